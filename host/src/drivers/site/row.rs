//! When the answers of an instance count: so many in a row, over so long.
//!
//! Asks nobody and reads no clock.

use std::time::Duration;

use super::Patience;
use crate::drivers::DriverError;
use crate::drivers::looking::Confirm;
use phasegate_core::domain::{Seen, Timestamp, Version};

/// The same answer, several times in a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    latest: Option<Seen>,
    count: u32,
    since: Timestamp,
}

impl Row {
    /// Takes in an answer to a question that was asked at a time.
    pub(super) fn add(&mut self, seen: Seen, at: Timestamp) {
        if self.latest.as_ref() == Some(&seen) {
            self.count = self.count.saturating_add(1);
            return;
        }
        (self.latest, self.count, self.since) = (Some(seen), 1, at);
    }

    /// Whether the latest answer counts.
    pub(super) fn counts(&self, confirm: Confirm, now: Timestamp) -> bool {
        self.count >= confirm.answers && now.since(self.since) >= confirm.over
    }
}

/// How it stands with something that was said to be done, when an answer does not name it.
pub(super) struct Judged<'a> {
    pub(super) wanted: &'a Version,
    /// When it was said.
    pub(super) begun: Timestamp,
    /// When an answer last named it.
    pub(super) named_at: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) patience: Patience,
}

impl Judged<'_> {
    /// Why it has failed, unless there is time left.
    pub(super) fn verdict(self, seen: Seen, why: Option<String>) -> Option<DriverError> {
        let Self { wanted, begun, named_at, now, patience } = self;
        let Patience { confirm, longest } = patience;
        let silent = now.since(named_at.unwrap_or(begun)) >= confirm.within;
        let whole: Duration = now.since(begun);
        if !silent && whole < longest.max(confirm.within) {
            return None;
        }
        if named_at.is_some() && !silent {
            return Some(DriverError::SideBySide { wanted: wanted.clone(), within: whole });
        }
        let within = confirm.within;
        Some(match seen {
            Seen::Version(seen) => DriverError::NotSo { seen, within },
            Seen::Nothing => DriverError::NothingThere { within },
            Seen::Unknown => DriverError::NotConfirmed {
                wanted: wanted.clone(),
                within,
                why: why.unwrap_or_else(|| "it says that it cannot tell".to_owned()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    const RULE: Confirm =
        Confirm { answers: 3, over: Duration::from_millis(1000), within: Duration::from_millis(5000) };

    #[test]
    fn so_many_in_a_row_over_so_long() {
        let mut row = Row::default();
        let mut add = |text: &str, at: i64| {
            row.add(Seen::Version(version(text)), Timestamp(at));
            row.counts(RULE, Timestamp(at))
        };
        assert!(!add("v2", 0) && !add("v2", 500));
        assert!(!add("v1", 800), "the row is broken");
        assert!(!add("v2", 1000) && !add("v2", 1400));
        assert!(!add("v2", 1800), "not long enough");
        assert!(add("v2", 2000));
    }

    #[test]
    fn who_never_names_it_has_failed_and_side_by_side_is_waited_for() {
        let (wanted, longest) = (version("v2"), Duration::from_secs(60));
        let patience = Patience { confirm: RULE, longest };
        let over = |named_at: Option<i64>, now: i64, seen: Seen| {
            let named_at = named_at.map(Timestamp);
            let judged =
                Judged { wanted: &wanted, begun: Timestamp(0), named_at, now: Timestamp(now), patience };
            judged.verdict(seen, None).map(|error| error.to_string())
        };
        let old = || Seen::Version(version("v1"));
        assert_eq!(over(None, 4_999, old()), None);
        assert!(over(None, 5_000, old()).unwrap().contains("still runs v1"));
        assert!(over(None, 5_000, Seen::Nothing).unwrap().contains("nothing runs"));
        assert!(over(None, 5_000, Seen::Unknown).unwrap().contains("cannot tell"));
        assert_eq!(over(Some(4_000), 8_000, old()), None, "a graceful reload goes on");
        assert!(over(Some(4_000), 9_000, old()).unwrap().contains("still runs v1"));
        assert!(over(Some(59_000), 60_000, old()).unwrap().contains("side by side"));
    }
}
