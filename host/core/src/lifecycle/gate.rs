//! Whether what two components differ in lets the new one take over, and whether one that has taken over
//! stays.
//!
//! Counts nothing itself; `compare` does.

use std::fmt;
use std::time::Duration;

use super::compare::{Banned, Example, Shown, Summary, word};
use crate::domain::{Forbidden, Gate};

/// More failures than the former component had, after which it comes back: one may be chance.
const REVERT_FAILURES: u64 = 2;

/// Why a gate holds against a component. Displays as a fragment that follows the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateReason {
    /// It fails on more observations than the component it is compared with.
    MoreFailures {
        /// Which one that is.
        than: Other,
        /// How many more.
        more: u64,
        /// One of the failures.
        example: Example,
    },
    /// It makes a change that the gate forbids.
    Forbidden {
        /// Which component does.
        than: Other,
        /// Which change, and where.
        banned: Banned,
    },
    /// It changes too many instances.
    TooMany {
        /// Instances that change.
        changed: usize,
        /// Instances in all.
        total: usize,
        /// The limit, in percent.
        max: u32,
    },
}

/// The component that another one is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// The one that is active, for one that may take over.
    Active,
    /// The one before, for one that has taken over.
    Before,
}

impl GateReason {
    /// The change that the gate forbids, where that is the reason.
    #[must_use]
    pub fn forbidden(&self) -> Option<Forbidden> {
        match self {
            Self::Forbidden { banned, .. } => Some(banned.change),
            Self::MoreFailures { .. } | Self::TooMany { .. } => None,
        }
    }
}

impl fmt::Display for GateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MoreFailures { than, more, example: Example { instance, failure } } => {
                let than = match than {
                    Other::Active => "the active one",
                    Other::Before => "the one before",
                };
                let instance = Shown(instance);
                write!(
                    f,
                    "fails on more observations than {than} ({more} more), as on {instance}: it {failure}"
                )
            }
            Self::Forbidden { than, banned: Banned { instance, change } } => {
                let makes = match than {
                    Other::Active => "would make",
                    Other::Before => "makes",
                };
                write!(f, "{makes} of {} {}, which gate.forbid names", Shown(instance), word(*change))
            }
            Self::TooMany { changed, total, max } => {
                write!(f, "changes {changed} of {total} instances (gate.maxChangedPercent is {max})")
            }
        }
    }
}

/// What a gate says of a shadow so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    /// It may take over.
    Open,
    /// It is refused.
    Refused(GateReason),
    /// It has not seen enough.
    Wait,
}

/// Whether a shadow that has judged for so long takes over by itself.
pub(super) fn opening(seen: &Summary, gate: &Gate, time: Duration) -> Opening {
    // More observations do not undo a forbidden change.
    if let Some(banned) = &seen.forbidden {
        return Opening::Refused(GateReason::Forbidden { than: Other::Active, banned: banned.clone() });
    }
    if !is_enough(seen, gate, time) {
        return Opening::Wait;
    }
    refusal(seen, Some(gate)).map_or(Opening::Open, Opening::Refused)
}

/// Whether a gate may decide by itself after so much time. Not as long as some of the instances are not
/// compared, be it that the new one misses them: it may change just those.
pub(super) fn is_enough(seen: &Summary, gate: &Gate, time: Duration) -> bool {
    let Gate { observations_min, time_min, changed_max: _, forbid: _ } = gate;
    seen.observations >= u64::from(*observations_min) && seen.compared >= seen.instances && time >= *time_min
}

/// Why a candidate does not take over, with all that was seen.
pub(super) fn refusal(seen: &Summary, gate: Option<&Gate>) -> Option<GateReason> {
    let forbidden = || {
        let banned = seen.forbidden.clone()?;
        Some(GateReason::Forbidden { than: Other::Active, banned })
    };
    failing(seen, Other::Active).or_else(forbidden).or_else(|| gate.and_then(|gate| too_many(seen, gate)))
}

/// Why a generation that is watched is taken back, with all that was seen. As long as `awaited` instances
/// have not been compared, the one before may fail on those. One failure may be chance, and failures have a
/// rule of their own: what a gate forbids counts only where both have judged.
pub(super) fn reversal(seen: &Summary, gate: Option<&Gate>, awaited: usize) -> Option<GateReason> {
    let enough = REVERT_FAILURES.saturating_add(u64::try_from(awaited).unwrap_or(u64::MAX));
    let forbidden = || {
        let banned = gate.and(seen.forbidden_of_both.clone())?;
        Some(GateReason::Forbidden { than: Other::Before, banned })
    };
    failing(seen, Other::Before)
        .filter(|_| seen.more_failures() >= enough)
        .or_else(forbidden)
        .or_else(|| gate.and_then(|gate| too_many(seen, gate)))
}

fn failing(seen: &Summary, than: Other) -> Option<GateReason> {
    let more = seen.more_failures();
    let example = seen.failure.clone().filter(|_| more > 0)?;
    Some(GateReason::MoreFailures { than, more, example })
}

fn too_many(seen: &Summary, gate: &Gate) -> Option<GateReason> {
    let max = gate.changed_max?;
    let total = seen.instances.max(seen.compared);
    let limit = usize::try_from(max).unwrap_or(100);
    let is_over = seen.changed.saturating_mul(100) > limit.saturating_mul(total);
    is_over.then_some(GateReason::TooMany { changed: seen.changed, total, max })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{compared, comparison, failed, gate, good};
    use super::*;

    #[test]
    fn a_gate_waits_for_every_instance() {
        let gate = Gate { observations_min: 2, time_min: Duration::from_secs(1), ..gate(Some(0), &[]) };
        let same = (good(1), good(1));
        for (pairs, instances, seconds, expected) in [
            (vec![same.clone()], 1, 1, false),
            (vec![same.clone(), same.clone()], 2, 0, false),
            (vec![same.clone(), same.clone()], 3, 1, false),
            (vec![same.clone(), same.clone()], 2, 1, true),
        ] {
            let seen = compared(&pairs, &gate, instances);
            let enough = is_enough(&seen, &gate, Duration::from_secs(seconds));
            assert_eq!(enough, expected, "{} of {instances}, {seconds} s", pairs.len());
        }
        // One that is gone neither stands for another one nor changes.
        let mut comparison = comparison(&[same, (good(1), good(2))], &gate);
        let gone = comparison.pairs().keys().next_back().unwrap().clone();
        comparison.forget(&gone);
        let seen = comparison.summary(2, 2, 0);
        assert_eq!((seen.changed, refusal(&seen, Some(&gate))), (0, None));
        assert!(!is_enough(&seen, &gate, Duration::from_secs(1)));
    }

    #[test]
    fn a_forbidden_change_is_refused_at_once() {
        let gate = gate(None, &[Forbidden::PhaseDecrease]);
        let seen = compared(&[(good(2), good(1))], &gate, 100);
        assert!(matches!(opening(&seen, &gate, Duration::ZERO), Opening::Refused(_)));
        let seen = compared(&[(good(1), good(1))], &gate, 2);
        assert_eq!(opening(&seen, &gate, Duration::ZERO), Opening::Wait);
        let seen = compared(&[(good(1), good(1))], &gate, 1);
        assert_eq!(opening(&seen, &gate, Duration::ZERO), Opening::Open);
    }

    #[test]
    fn a_watch_has_rules_of_its_own() {
        let gate = gate(Some(40), &[Forbidden::PhaseDecrease, Forbidden::SkipRemoved]);
        let same = (good(1), good(1));
        for (pairs, expected) in [
            (
                vec![(good(2), good(1)), same.clone(), same.clone()],
                Some("makes of instance `orders/0` phase-decrease"),
            ),
            // One failure may be chance, also where the gate forbids what it makes.
            (vec![(failed(), good(1)), same.clone(), same.clone()], None),
            (vec![(good(1), failed()), same.clone(), same.clone()], None),
            (vec![(good(1), failed()), (good(1), failed())], Some("than the one before (2 more)")),
            (vec![(good(1), good(2)), (good(1), good(2)), same], Some("changes 2 of 3 instances")),
        ] {
            let why =
                reversal(&compared(&pairs, &gate, pairs.len()), Some(&gate), 0).map(|why| why.to_string());
            match expected {
                Some(text) => assert!(why.as_ref().is_some_and(|why| why.contains(text)), "{why:?}"),
                None => assert_eq!(why, None),
            }
        }
        let forbidden = compared(&[(good(2), good(1))], &gate, 1);
        assert_eq!(reversal(&forbidden, None, 0), None, "a person has seen the changes");
    }

    #[test]
    fn a_watch_that_has_seen_few_instances_counts_all_of_them() {
        let gate = gate(Some(20), &[]);
        let changes = |instances| compared(&[(good(1), good(2)), (good(1), good(1))], &gate, instances);
        assert_eq!(reversal(&changes(8), Some(&gate), 6), None);
        assert!(reversal(&changes(4), Some(&gate), 2).is_some(), "one of four, whatever the others do");
        let fails = [(good(1), failed()), (good(1), failed()), (good(1), failed())];
        let fails = compared(&fails, &gate, 5);
        assert_eq!(reversal(&fails, None, 2), None, "the one before may fail on the other two");
        assert!(reversal(&fails, None, 1).is_some());
    }

    #[test]
    fn a_gate_says_why_it_refuses() {
        let none = gate(None, &[]);
        let half = gate(Some(50), &[]);
        let strict = gate(None, &[Forbidden::PhaseDecrease]);
        let no_skip_removed = gate(None, &[Forbidden::SkipRemoved]);
        for (pairs, gate, expected) in [
            (vec![(good(1), good(2)), (good(1), good(2))], &none, None),
            (vec![(good(1), failed())], &none, Some("fails on more observations")),
            (vec![(failed(), failed())], &none, None),
            (vec![(good(1), failed()), (failed(), good(1))], &none, None),
            (vec![(good(1), good(2)), (good(1), good(1))], &half, None),
            (vec![(good(1), good(2)), (good(1), good(2))], &half, Some("changes 2 of 2 instances")),
            (vec![(good(2), good(1))], &strict, Some("`orders/0` phase-decrease")),
            (vec![(failed(), good(1))], &no_skip_removed, Some("skip-removed")),
        ] {
            let refusal =
                refusal(&compared(&pairs, gate, pairs.len()), Some(gate)).map(|why| why.to_string());
            match expected {
                Some(text) => assert!(refusal.as_ref().is_some_and(|r| r.contains(text)), "{refusal:?}"),
                None => assert_eq!(refusal, None),
            }
        }
    }
}
