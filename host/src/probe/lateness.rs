//! How late probes start: the first sign that the machine or the prober cannot keep up.
//!
//! One writer, many readers, no lock. Deliberately keeps counts only, no history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::measure::Histogram;

/// Upper bounds of the buckets in milliseconds; the last bucket has none.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// Time between the moment a probe was due and its start, over all probes since the prober
/// started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatenessStats {
    /// Probes started.
    pub started: u64,
    /// Lateness of the newest one, in milliseconds.
    pub last_ms: u64,
    /// The greatest, in milliseconds.
    pub max_ms: u64,
    /// 99 of 100 probes were at most this late, in milliseconds: one of 1, 2, 5, 10 … 5,000, or
    /// the greatest when that is more.
    pub p99_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Lateness {
    pub(super) all: Histogram,
    last_ms: AtomicU64,
    max_ms: AtomicU64,
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
}

impl Lateness {
    pub(super) fn record(&self, late: Duration) {
        self.all.record(late);
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(late_ms, Ordering::Relaxed);
        self.max_ms.fetch_max(late_ms, Ordering::Relaxed);
        let index = BOUNDS_MS.partition_point(|bound| *bound < late_ms);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> LatenessStats {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let started: u64 = counts.iter().sum();
        let max_ms = self.max_ms.load(Ordering::Relaxed);
        let mut missing = started - started / 100;
        let bounds = BOUNDS_MS.iter().copied().chain([u64::MAX]);
        let p99_ms = bounds.zip(counts).find_map(|(bound, count)| {
            missing = missing.saturating_sub(count);
            (missing == 0).then_some(bound.min(max_ms))
        });
        LatenessStats {
            started,
            last_ms: self.last_ms.load(Ordering::Relaxed),
            max_ms,
            p99_ms: p99_ms.unwrap_or(max_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_probe_in_a_hundred_is_not_the_99th_percentile() {
        let lateness = Lateness::default();
        assert_eq!(lateness.stats(), LatenessStats::default());
        (0..99).for_each(|_| lateness.record(Duration::from_millis(3)));
        lateness.record(Duration::from_millis(7_000));
        let seen = lateness.stats();
        assert_eq!(seen, LatenessStats { started: 100, last_ms: 7_000, max_ms: 7_000, p99_ms: 5 });

        lateness.record(Duration::from_millis(6_000));
        lateness.record(Duration::from_millis(6_000));
        assert_eq!(lateness.stats().p99_ms, 7_000, "beyond the last bound: the greatest");
    }
}
