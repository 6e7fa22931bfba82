//! What many runs amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rollout::invariants::Violation;

use super::run::{End, Run};
use super::setup::Watch;

/// The middle, the far end and the end of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread<T> {
    /// Half of the values are not above it.
    pub median: T,
    /// 95 % of the values are not above it.
    pub p95: T,
    /// The largest.
    pub max: T,
}

/// How runs ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub end: End,
    /// With which error code.
    pub code: Option<&'static str>,
    /// Whether everything went back.
    pub rolled_back: bool,
    /// How many.
    pub runs: usize,
    /// Seed of the first.
    pub seed: u64,
}

/// What became of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionSummary {
    /// Runs in which it began.
    pub began: usize,
    /// Runs in which it completed.
    pub completed: usize,
    /// How long it took when it completed.
    pub duration: Option<Spread<Duration>>,
}

/// The run in which most was unavailable at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// Instances that were not Healthy at once.
    pub unavailable: usize,
    /// Of so many.
    pub total: usize,
    /// How many may be unhealthy.
    pub budget: usize,
    /// Seed of the run.
    pub seed: u64,
}

/// A run that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its seed.
    pub seed: u64,
    /// The first violation.
    pub violation: Violation,
}

/// Many runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub runs: usize,
    /// Those of them in which every step was checked.
    pub checked: usize,
    /// How they ended, the good ends first.
    pub endings: Vec<Ending>,
    /// How long those took that completed.
    pub duration: Option<Spread<Duration>>,
    /// How long all took, whatever their end.
    pub any_duration: Option<Spread<Duration>>,
    /// Batches that began.
    pub batches: Spread<usize>,
    /// Instances that failed.
    pub failed: Spread<usize>,
    /// Instances left alone.
    pub held: Spread<usize>,
    /// Where most was unavailable.
    pub worst: Option<Worst>,
    /// One for each region.
    pub regions: Vec<RegionSummary>,
    /// Runs that broke an invariant.
    pub broken_runs: usize,
    /// The first of them.
    pub broken: Vec<Broken>,
}

/// Sums up. The order of the runs matters only for which is named first.
#[must_use]
pub fn summary(runs: &[Run]) -> Summary {
    let completed = || runs.iter().filter(|run| run.end() == End::Completed);
    let sum = |of: fn(&super::run::RegionRun) -> usize| {
        spread(runs.iter().map(|run| run.regions.iter().map(of).sum())).unwrap_or_default()
    };
    let broken: Vec<Broken> = runs.iter().filter_map(broken).collect();
    Summary {
        runs: runs.len(),
        checked: runs.iter().filter(|run| run.watch == Watch::Steps).count(),
        endings: endings(runs),
        duration: spread(completed().map(Run::duration)),
        any_duration: spread(runs.iter().map(Run::duration)),
        batches: sum(|region| region.batches),
        failed: sum(|region| region.failed),
        held: sum(|region| region.held),
        worst: worst(runs),
        regions: regions(runs),
        broken_runs: broken.len(),
        broken: broken.into_iter().take(5).collect(),
    }
}

fn broken(run: &Run) -> Option<Broken> {
    let violation = run.regions.iter().find_map(|region| region.violations.first())?;
    Some(Broken { seed: run.seed, violation: violation.clone() })
}

fn endings(runs: &[Run]) -> Vec<Ending> {
    let mut endings: BTreeMap<(End, Option<&'static str>, bool), Ending> = BTreeMap::new();
    for run in runs {
        let last = run.regions.last();
        let (code, rolled_back) = last.map_or((None, false), |region| (region.code, region.rolled_back));
        let end = run.end();
        let new = Ending { end, code, rolled_back, runs: 0, seed: run.seed };
        endings.entry((end, code, rolled_back)).or_insert(new).runs += 1;
    }
    endings.into_values().collect()
}

fn worst(runs: &[Run]) -> Option<Worst> {
    let all = runs.iter().flat_map(|run| {
        run.regions.iter().map(|region| Worst {
            unavailable: region.unavailable,
            total: region.total,
            budget: region.budget,
            seed: run.seed,
        })
    });
    // The first of equals, by share.
    all.reduce(|worst, next| {
        let (a, b) = (worst.unavailable * next.total, next.unavailable * worst.total);
        if b > a { next } else { worst }
    })
}

fn regions(runs: &[Run]) -> Vec<RegionSummary> {
    let count = runs.iter().map(|run| run.regions.len()).max().unwrap_or(0);
    let region = |index: usize| {
        let began: Vec<_> = runs.iter().filter_map(|run| run.regions.get(index)).collect();
        let completed: Vec<_> = began.iter().filter(|region| region.end == End::Completed).collect();
        RegionSummary {
            began: began.len(),
            completed: completed.len(),
            duration: spread(completed.iter().map(|region| region.duration)),
        }
    };
    (0..count).map(region).collect()
}

/// None of nothing.
fn spread<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<Spread<T>> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    // The smallest value that so many percent of all are not above.
    let at = |percent: usize| values.get((values.len() * percent).div_ceil(100).max(1) - 1).copied();
    Some(Spread { median: at(50)?, p95: at(95)?, max: at(100)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let of = |values: &[u32]| spread(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(Spread { median: 7, p95: 7, max: 7 }));
        let hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), Some(Spread { median: 50, p95: 95, max: 100 }));
    }
}
