//! How long an upgrade will still take, from the batches so far.

use std::time::Duration;

use crate::domain::Timestamp;

use super::state::{Stage, Upgrade};

/// What the batches so far let expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Batches that have not ended, the one in flight among them.
    pub batches_left: usize,
    /// What one took so far, on average.
    pub per_batch: Duration,
    /// When the last one will have ended; waits for people are not in it.
    pub ends_at: Timestamp,
}

/// Reckons with the average of the ended batches, the pauses ahead, and freeze windows:
/// `frozen_until` gives the end of the window that is open at a time. None while no batch has
/// ended, and when nothing is left.
#[must_use]
pub fn estimate(
    upgrade: &Upgrade,
    frozen_until: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
) -> Option<Estimate> {
    if !upgrade.is_active() {
        return None;
    }
    let took = upgrade.batches.iter().filter_map(|batch| Some(batch.ended_at?.since(batch.started_at?)));
    let (count, sum) = took.fold((0_u32, Duration::ZERO), |(count, sum), took| (count + 1, sum + took));
    let per_batch = sum.checked_div(count)?;
    let batches_left = upgrade.batches.len().checked_sub(upgrade.current).filter(|left| *left > 0)?;
    let mut at = now;
    for (index, batch) in upgrade.batches.iter().enumerate().skip(upgrade.current) {
        match (upgrade.stage, batch.started_at) {
            (Stage::InBatch, Some(started_at)) if index == upgrade.current => {
                at = at.max(started_at + per_batch);
                continue;
            }
            (Stage::Between { resume_at }, _) if index == upgrade.current => at = at.max(resume_at),
            (
                Stage::Preparing { .. }
                | Stage::Between { .. }
                | Stage::InBatch
                | Stage::Hooking { .. }
                | Stage::Undoing
                | Stage::Baking { .. }
                | Stage::Stopping { .. }
                | Stage::Ended { .. },
                _,
            ) => at = at + upgrade.policy.rolling.pause_time_between_batches,
        }
        if upgrade.bypassed_freeze.is_none() {
            at = frozen_until(at).map_or(at, |until| at.max(until));
        }
        at = at + per_batch;
    }
    Some(Estimate { batches_left, per_batch, ends_at: at })
}
