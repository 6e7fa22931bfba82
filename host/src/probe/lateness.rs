//! How probes go: how late they start, how long they take, what becomes of them. Lateness is the first sign that the
//! machine or the prober cannot keep up; it is said in the log, once in a while.
//!
//! One writer, many readers, no lock. Deliberately keeps counts only, no history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::measure::{Histogram, ProbesSeen};
use phasegate_core::domain::ProbeFailure;

use super::failure::ProbeError;
use super::sources;

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
    took: Histogram,
    in_flight: AtomicU64,
    skipped: AtomicU64,
    failures: [AtomicU64; KINDS.len()],
}

/// Kinds of failures, as the metrics name them.
const KINDS: [&str; 6] = ["timeout", "unreachable", "tls", "invalid_response", "body_too_large", "host"];

/// Which kind it is.
fn kind(error: &ProbeError) -> usize {
    match error {
        ProbeError::Instance(ProbeFailure::Timeout) => 0,
        ProbeError::Instance(ProbeFailure::Unreachable(_)) => 1,
        ProbeError::Instance(ProbeFailure::Tls(_)) => 2,
        ProbeError::Instance(ProbeFailure::InvalidResponse(_)) => 3,
        ProbeError::Instance(ProbeFailure::BodyTooLarge(_)) => 4,
        ProbeError::Host(_) => 5,
    }
}

impl Lateness {
    /// So many probes are under way.
    pub(super) fn under_way(&self, count: usize) {
        self.in_flight.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A probe has ended.
    pub(super) fn ended(&self, took: Duration, failure: Option<&ProbeError>) {
        self.took.record(took);
        let failed = failure.and_then(|error| self.failures.get(kind(error)));
        if let Some(count) = failed {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Some were not made: the one before them started too late.
    pub(super) fn skipped(&self, count: u64) {
        self.skipped.fetch_add(count, Ordering::Relaxed);
    }

    /// All of it.
    pub(super) fn seen(&self) -> ProbesSeen {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        ProbesSeen {
            late: self.all.read(),
            took: self.took.read(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            failures: KINDS.into_iter().zip(counts).collect(),
            sources_kept_waiting: sources::kept_waiting(),
        }
    }

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

/// How often late probes are told of.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Says that intervals are not kept: when that begins, and then once a minute while it goes on.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    told_at: Option<Instant>,
    late: u64,
    worst: Duration,
}

impl Keeping {
    /// A probe started so late.
    pub(super) fn started(&mut self, late: Duration, interval: Duration, now: Instant) {
        if late <= interval / 10 {
            return;
        }
        self.late += 1;
        self.worst = self.worst.max(late);
        if self.told_at.is_some_and(|told_at| now.saturating_duration_since(told_at) < TOLD_EVERY) {
            return;
        }
        let (late, worst) = (self.late, self.worst);
        *self = Self { told_at: Some(now), late: 0, worst: Duration::ZERO };
        tracing::warn!(
            "probes start late by more than a tenth of their interval: {late} since this was last said, the worst by \
             {:.1} s; the machine was busy or stood still, or does not keep up: ask less often \
             (health.intervalInSeconds), or give the host more of it",
            worst.as_secs_f64()
        );
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
