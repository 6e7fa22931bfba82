//! Evaluates batches so that a failing call costs only the observations that make it fail.
//!
//! ```text
//! call(all) ── ok ─────────────────────────────> results
//!     └─ failed ─> call(left half), call(right half), … down to one observation
//! ```
//!
//! Nothing here knows what a guest is: a [`Caller`] makes the calls. Elements of a batch do not
//! depend on each other (the contract says so), hence splitting and repeating is allowed.

use std::time::Duration;

use phasegate_core::domain::{Cost, Observation, PluginFailure, Verdict};

/// Most observations of one call.
pub const BATCH_MAX: usize = 128;

/// Time that failing calls of one evaluation may take, in timeouts, before the rest fails too.
/// Isolating one poison among 128 takes 8 calls, two take up to 15.
const LOST_TIMEOUTS_MAX: u32 = 24;
/// The same while no call has succeeded: then it is the plugin, not an observation.
const LOST_TIMEOUTS_MAX_HOPELESS: u32 = 10;

/// Good batches in a row before a reduced batch size is doubled; twice as many after each time
/// that this was too early.
const GROW_AFTER_MIN: u32 = 32;
const GROW_AFTER_MAX: u32 = 4096;

/// What instance a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// One that has served other calls will do.
    Any,
    /// It must be new.
    Required,
}

/// Makes calls into a guest.
pub(super) trait Caller {
    /// Judges a batch; as many results as observations.
    fn call(&mut self, batch: &[Observation], freshness: Freshness) -> Result<Vec<Verdict>, CallError>;

    /// What the latest call took.
    fn spent(&self) -> Cost;

    /// Deadline of one call.
    fn timeout(&self) -> Duration;

    /// Whether to end early.
    fn stopped(&self) -> bool;
}

/// What became of some observations, in their order.
#[derive(Debug, Default)]
pub struct Judged {
    /// One for each.
    pub results: Vec<Verdict>,
    /// What each took; of a batch, an equal share.
    pub costs: Vec<Cost>,
}

/// A call that brought no results.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) failure: PluginFailure,
    /// Time that the call took.
    pub(super) lost: Duration,
    /// Whether a smaller batch could succeed.
    pub(super) blames_batch: bool,
    /// Whether the instance had served other calls, so that they may be to blame.
    pub(super) was_reused: bool,
}

/// How many observations go into one call. Shrinks when a batch was too much as a whole, so that a
/// slow but legal plugin does not cost a timeout each round, and grows again slowly.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BatchSize {
    size: usize,
    good: u32,
    grow_after: u32,
}

impl BatchSize {
    pub(super) fn new() -> Self {
        Self { size: BATCH_MAX, good: 0, grow_after: GROW_AFTER_MIN }
    }

    /// A batch was too much, and parts of at most this length were not (zero: all were).
    fn too_much(&mut self, length: usize, succeeded_max: usize) {
        let fits = if succeeded_max == 0 { length / 2 } else { succeeded_max };
        self.size = fits.clamp(1, self.size);
        self.good = 0;
        self.grow_after = (self.grow_after * 2).min(GROW_AFTER_MAX);
    }

    /// A batch of this length succeeded at once.
    fn good(&mut self, length: usize) {
        if length < self.size {
            return;
        }
        self.good = self.good.saturating_add(1);
        if self.good < self.grow_after {
            return;
        }
        self.good = 0;
        if self.size < BATCH_MAX {
            self.size = (self.size * 2).min(BATCH_MAX);
        } else {
            self.grow_after = GROW_AFTER_MIN;
        }
    }
}

/// Evaluates any number of observations; as many results, in the same order.
pub(super) fn evaluate(
    caller: &mut impl Caller,
    size: &mut BatchSize,
    observations: &[Observation],
) -> Judged {
    let mut run = Run { judged: Judged::default(), lost: Duration::ZERO, succeeded: false, gave_up: None };
    let mut rest = observations;
    while !rest.is_empty() {
        let (batch, tail) = rest.split_at(rest.len().min(size.size));
        run.batch(caller, size, batch);
        rest = tail;
    }
    run.judged
}

/// State of one evaluation.
struct Run {
    judged: Judged,
    lost: Duration,
    succeeded: bool,
    gave_up: Option<PluginFailure>,
}

impl Run {
    fn batch(&mut self, caller: &mut impl Caller, size: &mut BatchSize, batch: &[Observation]) {
        // Parts still to do, the next one last.
        let mut parts = vec![batch];
        let mut freshness = Freshness::Any;
        let mut succeeded_max = 0;
        let mut late = false;
        let mut failed_calls = 0_u32;
        let mut poisons = 0_u32;
        while let Some(part) = parts.pop() {
            if caller.stopped() && self.gave_up.is_none() {
                self.gave_up = Some(PluginFailure::Overloaded);
            }
            if let Some(failure) = &self.gave_up {
                self.fail(part.len(), &failure.clone(), Cost::default());
                continue;
            }
            match caller.call(part, freshness) {
                Ok(results) => {
                    self.succeeded = true;
                    succeeded_max = succeeded_max.max(part.len());
                    self.take(results, caller.spent());
                }
                Err(error) => {
                    late |= matches!(
                        error.failure,
                        PluginFailure::OutOfTime { .. } | PluginFailure::OutOfFuel { .. }
                    );
                    failed_calls += 1;
                    self.count_lost(&error, caller.timeout());
                    match part.split_at_checked(part.len() / 2) {
                        Some((left, right)) if error.blames_batch && !left.is_empty() => {
                            parts.push(right);
                            parts.push(left);
                        }
                        _ if error.was_reused => parts.push(part),
                        _ => {
                            poisons += 1;
                            self.fail(part.len(), &error.failure, caller.spent());
                        }
                    }
                }
            }
            freshness = Freshness::Required;
        }
        // Time is dear: even one observation that takes too long is found sooner in a small batch.
        // Other failures are cheap and shrink it only when they came from the size alone, for
        // example from the memory that all the bodies take together.
        if late || (failed_calls > 0 && poisons == 0) {
            size.too_much(batch.len(), succeeded_max);
        } else if failed_calls == 0 {
            size.good(batch.len());
        }
    }

    fn take(&mut self, results: Vec<Verdict>, spent: Cost) {
        let count = u64::try_from(results.len().max(1)).unwrap_or(u64::MAX);
        let share = Cost { fuel: spent.fuel / count, time_ns: spent.time_ns / count };
        self.judged.costs.extend(std::iter::repeat_n(share, results.len()));
        if self.judged.results.is_empty() {
            // Mostly there is one call, and this is all of it.
            self.judged.results = results;
        } else {
            self.judged.results.extend(results);
        }
    }

    fn fail(&mut self, count: usize, failure: &PluginFailure, spent: Cost) {
        self.take(vec![Err(failure.clone()); count], spent);
    }

    fn count_lost(&mut self, error: &CallError, timeout: Duration) {
        let slow = matches!(error.failure, PluginFailure::OutOfTime { .. });
        self.lost = self.lost.saturating_add(if slow { error.lost.max(timeout) } else { error.lost });
        let allowed = if self.succeeded { LOST_TIMEOUTS_MAX } else { LOST_TIMEOUTS_MAX_HOPELESS };
        // One second at least, so that a tight timeout on a busy machine does not give up early.
        let allowed = timeout.saturating_mul(allowed).max(Duration::from_secs(1));
        if self.lost >= allowed {
            self.gave_up = Some(error.failure.clone());
        }
    }
}

#[cfg(test)]
mod tests;
