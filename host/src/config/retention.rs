//! Declares `[retention]`.

use std::time::Duration;

use crate::keys::{Is, Key, Section, no_check};
use phasegate_core::record::Retention;

/// What holds where the file says nothing.
pub(super) fn blank() -> Retention {
    Retention { audit: Duration::MAX, lines: 0, upgrades: 0, members: 0 }
}

pub(super) const RETENTION: Section<Retention> = Section {
    keys: &[
        Key::<Retention>::optional(
            "audit",
            "\"P180D\"",
            Is::Span(Some(("PT1M", "P366D")), |retention, span| retention.audit = span),
        )
        .doc("lines of the audit trail that are older go; unless it is said, however old they are")
        .restart(),
        Key::<Retention>::preset(
            "auditLines",
            "2000000",
            Is::Whole(100, 1_000_000_000, |retention, lines| retention.lines = u64::from(lines)),
        )
        .doc("lines of the audit trail beyond so many go, the oldest first; a million takes about 1 GB")
        .restart(),
        Key::<Retention>::preset(
            "upgrades",
            "1000",
            Is::Whole(3, 1_000_000, |retention, upgrades| retention.upgrades = upgrades),
        )
        .doc("upgrades of a scale set beyond so many go, the oldest first")
        .restart(),
        Key::<Retention>::preset(
            "members",
            "50",
            Is::Whole(3, 1_000_000, |retention, members| retention.members = members),
        )
        .doc(
            "of upgrades of a scale set beyond so many the instances and batches go; their counts and how they \
             ended stay",
        )
        .restart(),
    ],
    check: no_check,
};
