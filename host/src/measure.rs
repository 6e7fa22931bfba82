//! What a host measures of itself: durations as buckets, and counts. Many writers, many readers, no waiting.
//!
//! Deliberately keeps no history and names nothing: what a measure is called stands where it is shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phasegate_core::domain::{PluginFailure, PluginName, ScaleSetName};
use phasegate_core::rollout::UpgradeState;

/// Upper bounds of the buckets in seconds: from what a commit takes to what a driver may.
const BOUNDS: [f64; 18] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    120.0, 600.0,
];

/// Durations, as counts of buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// What a histogram says at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Distribution {
    /// Upper bounds in seconds, and how many lie between it and the one before; the last bound has no limit.
    pub buckets: Vec<(f64, u64)>,
    /// All of them together, in seconds.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
}

impl Histogram {
    /// Takes one in.
    pub fn record(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let index = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What it says now.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let bounds = BOUNDS.into_iter().chain([f64::MAX]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64();
        Distribution { buckets, sum, count }
    }
}

/// How probes go, at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbesSeen {
    /// How late they started.
    pub late: Distribution,
    /// How long they took.
    pub took: Distribution,
    /// How many are under way.
    pub in_flight: u64,
    /// How many were not made at all, because the one before them started an interval late or more.
    pub skipped: u64,
    /// How many brought no response, by why.
    pub failures: Vec<(&'static str, u64)>,
    /// How many sources that are programs have waited for a place for longer than they may run.
    pub sources_kept_waiting: u64,
}

/// How an operation of a driver went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Went {
    /// It is done.
    Well,
    /// It has failed.
    Badly,
}

/// What a driver was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A version.
    Ensure,
    /// A new instance.
    Create,
    /// That an instance goes.
    Delete,
}

/// What a plugin can fail of, in a word.
#[must_use]
pub fn failure(failure: &PluginFailure) -> &'static str {
    match failure {
        PluginFailure::Refused { .. } => "refused",
        PluginFailure::OutOfTime { .. } => "outOfTime",
        PluginFailure::OutOfFuel { .. } => "outOfFuel",
        PluginFailure::OutOfMemory { .. } => "outOfMemory",
        PluginFailure::Trapped(_) => "trapped",
        PluginFailure::BadOutput(_) => "badOutput",
        PluginFailure::Resting => "resting",
        PluginFailure::Overloaded => "overloaded",
    }
}

/// One histogram for each key, made when it is first written to.
#[derive(Debug)]
pub struct Each<K>(Mutex<BTreeMap<K, Arc<Histogram>>>);

impl<K> Default for Each<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Each<K> {
    /// Takes one in.
    pub fn record(&self, key: K, took: Duration) {
        let histogram = Arc::clone(self.all().entry(key).or_default());
        histogram.record(took);
    }

    /// What they say now.
    #[must_use]
    pub fn read(&self) -> Vec<(K, Distribution)> {
        self.all().iter().map(|(key, histogram)| (key.clone(), histogram.read())).collect()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<K, Arc<Histogram>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A count for each key.
#[derive(Debug)]
pub struct Counts<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// One more.
    pub fn add(&self, key: K) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    /// How many there were.
    #[must_use]
    pub fn read(&self) -> BTreeMap<K, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Everything that is measured since the host started.
#[derive(Debug, Default)]
pub struct Measures {
    /// How long commits took.
    pub commits: Histogram,
    /// Commits that were refused, or of which it is not known.
    pub refused: AtomicU64,
    /// How long drivers took.
    pub drivers: Each<(ScaleSetName, Work, Went)>,
    /// How often drivers have asked again what was busy or could not be reached.
    pub retries: Counts<ScaleSetName>,
    /// How long plugins took for an observation.
    pub plugins: Each<PluginName>,
    /// Observations that brought no decision, by why.
    pub failures: Counts<(PluginName, &'static str)>,
    /// Upgrades that have ended, by how.
    pub ended: Counts<(ScaleSetName, &'static str)>,
}

impl Measures {
    /// An upgrade has ended.
    pub fn upgrade_ended(&self, set: &ScaleSetName, state: UpgradeState) {
        self.ended.add((set.clone(), state.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 60_000, 10_000_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let seen = histogram.read();
        let counted: Vec<(f64, u64)> = seen.buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0.0001, 1), (0.001, 1), (0.0025, 1), (120.0, 1), (f64::MAX, 1)]);
        assert_eq!((seen.count, seen.sum), (5, 10_060.003));
    }

    #[test]
    fn each_key_has_its_own() {
        let each = Each::default();
        each.record("a", Duration::from_secs(1));
        each.record("b", Duration::from_secs(2));
        each.record("a", Duration::from_secs(3));
        let sums: Vec<(&str, f64)> = each.read().into_iter().map(|(key, seen)| (key, seen.sum)).collect();
        assert_eq!(sums, [("a", 4.0), ("b", 2.0)]);
        let counts = Counts::default();
        counts.add(1);
        counts.add(1);
        assert_eq!(counts.read(), BTreeMap::from([(1, 2)]));
    }
}
