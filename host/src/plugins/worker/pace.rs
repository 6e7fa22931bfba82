//! How often a plugin is asked that always runs into its limits, and how many of those may run at once: one that loops
//! must not keep the processor from those that do not, nor from the probes.
//!
//! Deliberately knows nothing of one that answers: that is asked at once, and waits for nobody.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use phasegate_core::domain::{PluginFailure, Timestamp, Verdict};

/// So many batches in a row without anything but limits, and it rests.
const STRIKES: u32 = 3;

/// It rests so many times as long as it ran: it gets a tenth of one processor at most.
const REST_SHARE: u32 = 9;

/// Longest rest: one that was mended from outside, such as by smaller answers, is found by then.
const REST_MAX: Duration = Duration::from_secs(60);

/// How long to wait for a place before looking whether anybody still wants one.
const LOOK: Duration = Duration::from_millis(100);

/// Of one worker.
#[derive(Debug, Default)]
pub(super) struct Pace {
    strikes: u32,
    rests_until: Option<Timestamp>,
}

/// What is done with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// All of it is judged.
    Whole,
    /// The first observation shows whether the others are.
    One,
    /// None is judged.
    None,
}

impl Pace {
    /// What is done with the next batch.
    pub(super) fn turn(&self, now: Timestamp) -> Turn {
        match self.rests_until {
            None => Turn::Whole,
            Some(until) if now < until => Turn::None,
            Some(_) => Turn::One,
        }
    }

    /// Whether the latest batch brought nothing but limits.
    pub(super) fn is_slow(&self) -> bool {
        self.strikes > 0
    }

    /// Takes in a batch that was judged.
    pub(super) fn heard(&mut self, results: &[Verdict], from: Timestamp, to: Timestamp) {
        let ran_out = |it: &Verdict| {
            matches!(it, Err(PluginFailure::OutOfTime { .. } | PluginFailure::OutOfFuel { .. }))
        };
        if results.is_empty() || !results.iter().all(ran_out) {
            *self = Self::default();
            return;
        }
        self.strikes = self.strikes.saturating_add(1);
        let Some(more) = self.strikes.checked_sub(STRIKES) else { return };
        let rest = to.since(from).saturating_mul(REST_SHARE).saturating_mul(1 << more.min(8));
        self.rests_until = Some(to + rest.min(REST_MAX));
    }
}

/// Places for those that run into their limits: one less than there are processors, one at least.
struct Places {
    taken: Mutex<usize>,
    free: Condvar,
}

static PLACES: Places = Places { taken: Mutex::new(0), free: Condvar::new() };

/// A place, until it is dropped.
pub(super) struct Place(());

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = PLACES.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(1);
        PLACES.free.notify_one();
    }
}

/// Waits for a place; none where nobody wants one any more.
pub(super) fn place(is_over: impl Fn() -> bool) -> Option<Place> {
    let most = std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
    let mut taken = PLACES.taken.lock().unwrap_or_else(PoisonError::into_inner);
    while *taken >= most {
        if is_over() {
            return None;
        }
        let waited = PLACES.free.wait_timeout(taken, LOOK).unwrap_or_else(PoisonError::into_inner);
        taken = waited.0;
    }
    *taken += 1;
    Some(Place(()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use phasegate_core::domain::{Claim, Decision, Participation};

    use super::*;

    fn slow() -> Verdict {
        Err(PluginFailure::OutOfTime { limit_ms: 200 })
    }

    fn good() -> Verdict {
        Ok(Arc::new(Decision {
            claim: Claim::Healthy,
            phase: None,
            participation: Participation::Proceed,
            reason: None,
            memory: None,
            attributes: Vec::new(),
        }))
    }

    /// What the turns are when each batch takes a second and brings this, one a second.
    fn turns(batches: &[Verdict]) -> Vec<Turn> {
        let mut pace = Pace::default();
        let mut now = Timestamp(0);
        let mut turns = Vec::new();
        for batch in batches {
            let turn = pace.turn(now);
            turns.push(turn);
            let from = now;
            now = now + Duration::from_secs(1);
            if turn != Turn::None {
                pace.heard(std::slice::from_ref(batch), from, now);
            }
        }
        turns
    }

    #[test]
    fn one_that_always_runs_into_its_limits_rests_longer_and_longer() {
        let said = turns(&vec![slow(); 40]);
        let asked: Vec<usize> = (0..40).filter(|at| said[*at] != Turn::None).collect();
        assert_eq!(asked, [0, 1, 2, 12, 31], "nine times as long as it ran, then twice that");
        assert_eq!(said[12], Turn::One, "one shows whether it is worth more");
    }

    #[test]
    fn one_answer_ends_it() {
        let batches: Vec<Verdict> = [slow(), slow(), good(), slow(), slow(), good()].into();
        assert_eq!(turns(&batches), [Turn::Whole; 6]);
        let mut pace = Pace::default();
        (0..5).for_each(|_| pace.heard(&[slow()], Timestamp(0), Timestamp(1000)));
        assert!(pace.is_slow());
        pace.heard(&[slow(), good()], Timestamp(0), Timestamp(1000));
        assert_eq!(pace.turn(Timestamp(1001)), Turn::Whole);
        let failed = Err(PluginFailure::Trapped("unreachable".to_owned()));
        (0..5).for_each(|_| pace.heard(std::slice::from_ref(&failed), Timestamp(0), Timestamp(1000)));
        assert!(!pace.is_slow(), "what fails at once keeps nobody waiting");
    }

    #[test]
    fn a_place_is_free_again_and_nobody_waits_in_vain() {
        let most = std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1);
        let taken: Vec<Place> = (0..most).filter_map(|_| place(|| false)).collect();
        assert_eq!(taken.len(), most);
        assert!(place(|| true).is_none());
        drop(taken);
        assert!(place(|| true).is_some());
    }
}
