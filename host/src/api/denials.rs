//! How many requests were turned away, by why: for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::guard::Denied;

/// Counts since the host started.
#[derive(Debug, Default)]
pub struct Denials {
    malformed: AtomicU64,
    foreign: AtomicU64,
    no_token: AtomicU64,
    wrong_token: AtomicU64,
    expired: AtomicU64,
    role: AtomicU64,
    busy: AtomicU64,
}

impl Denials {
    pub(super) fn count(&self, denied: &Denied) {
        let counter = match denied {
            Denied::Malformed(_) => &self.malformed,
            Denied::Foreign | Denied::CrossSite => &self.foreign,
            Denied::NoToken => &self.no_token,
            Denied::WrongToken => &self.wrong_token,
            Denied::Expired(_) => &self.expired,
            Denied::Role { .. } => &self.role,
            Denied::Busy => &self.busy,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Each reason as the metrics call it, and how often.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        let Self { malformed, foreign, no_token, wrong_token, expired, role, busy } = self;
        [
            ("malformed", malformed),
            ("foreign", foreign),
            ("noToken", no_token),
            ("wrongToken", wrong_token),
            ("expired", expired),
            ("role", role),
            ("busy", busy),
        ]
        .map(|(reason, counter)| (reason, counter.load(Ordering::Relaxed)))
    }
}
