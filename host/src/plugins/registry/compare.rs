//! What differs between two components that judge the same observations, and whether a gate lets it
//! pass. Values in, values out.

use std::collections::BTreeMap;
use std::time::Duration;

use phasegate_core::domain::{Claim, InstanceId, Participation, ScaleSetName, Verdict};
use phasegate_core::domain::{Forbidden, Gate};

/// More failures than the former component had, after which it comes back: one may be chance.
const REVERT_FAILURES: u64 = 2;

/// Names an instance.
pub(super) type Key = (ScaleSetName, InstanceId);

/// Both answers to the latest observation of an instance.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// Of the component that was there before.
    pub(super) old: Verdict,
    /// Of the new one.
    pub(super) new: Verdict,
}

/// Everything that two components were asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparison {
    /// The latest of each instance.
    pub(super) pairs: BTreeMap<Key, Pair>,
    /// How many of them differ.
    changed: usize,
    /// All that were compared.
    pub(super) observations: u64,
    /// Observations where only the new one failed, and where only the old one did.
    pub(super) failed_new: u64,
    pub(super) failed_old: u64,
    /// The latest failure of only the new one.
    failure: Option<String>,
    /// The first change that the gate forbids.
    forbidden: Option<Banned>,
    /// The first one on an observation that both have judged.
    forbidden_of_both: Option<Banned>,
}

impl Comparison {
    /// Takes in both answers to one observation.
    pub(super) fn add(&mut self, key: Key, old: Verdict, new: Verdict, gate: Option<&Gate>) {
        self.observations += 1;
        match (&old, &new) {
            (Ok(_), Err(failure)) => {
                self.failed_new += 1;
                self.failure = Some(format!("{}: it {failure}", shown(&key)));
            }
            (Err(_), Ok(_)) => self.failed_old += 1,
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        }
        let pair = Pair { old, new };
        let banned = || {
            let change = gate?.forbid.iter().find(|forbidden| pair.is(**forbidden))?;
            Some(Banned { instance: shown(&key), change: *change })
        };
        let both = pair.old.is_ok() && pair.new.is_ok();
        if self.forbidden.is_none() {
            self.forbidden = banned();
        }
        if both && self.forbidden_of_both.is_none() {
            self.forbidden_of_both = banned();
        }
        self.changed += usize::from(pair.differs());
        if let Some(before) = self.pairs.insert(key, pair) {
            self.changed -= usize::from(before.differs());
        }
    }

    /// Drops an instance that is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(pair) = self.pairs.remove(key) {
            self.changed -= usize::from(pair.differs());
        }
    }

    /// Whether a gate may decide by itself after so much time. Not as long as some of the `instances` are
    /// not compared, be it that the new one misses them: it may change just those.
    pub(super) fn is_enough(&self, gate: &Gate, instances: usize, time: Duration) -> bool {
        let Gate { observations_min, time_min, changed_max: _, forbid: _ } = gate;
        self.observations >= u64::from(*observations_min)
            && self.pairs.len() >= instances
            && time >= *time_min
    }

    /// Instances whose latest decision differs.
    pub(super) fn changed(&self) -> usize {
        self.changed
    }

    /// How many more observations the new one fails on.
    pub(super) fn more_failures(&self) -> u64 {
        self.failed_new.saturating_sub(self.failed_old)
    }

    /// Why the new one fails more than the other one, which is called `than`; a fragment.
    fn failing(&self, than: &str) -> Option<String> {
        let example = self.failure.as_ref().filter(|_| self.more_failures() > 0)?;
        Some(format!(
            "fails on more observations than {than} ({} more), as on {example}",
            self.more_failures()
        ))
    }

    /// The first forbidden change; a fragment.
    pub(super) fn forbidden(&self) -> Option<String> {
        let Banned { instance, change } = self.forbidden.as_ref()?;
        Some(format!("would make of {instance} {}, which gate.forbid names", word(*change)))
    }

    /// The first forbidden change that no failure makes; a fragment. One failure may be chance, and
    /// failures have a rule of their own.
    fn forbidden_of_both(&self) -> Option<String> {
        let Banned { instance, change } = self.forbidden_of_both.as_ref()?;
        Some(format!("makes of {instance} {}, which gate.forbid names", word(*change)))
    }

    /// Whether too many of `instances` change, of which some may not have been judged yet; a fragment.
    pub(super) fn too_many(&self, gate: &Gate, instances: usize) -> Option<String> {
        let max = gate.changed_max?;
        let (changed, total) = (self.changed(), instances.max(self.pairs.len()));
        let limit = usize::try_from(max).unwrap_or(100);
        (changed * 100 > limit * total)
            .then(|| format!("changes {changed} of {total} instances (gate.maxChangedPercent is {max})"))
    }

    /// Why a candidate does not take over, with all that was seen; a fragment.
    pub(super) fn refusal(&self, gate: Option<&Gate>, instances: usize) -> Option<String> {
        let too_many = || gate.and_then(|gate| self.too_many(gate, instances));
        self.failing("the active one").or_else(|| self.forbidden()).or_else(too_many)
    }

    /// Why a generation that is watched is taken back, with all that was seen; a fragment. As long as
    /// `awaited` instances have not been compared, the one before may fail on those.
    pub(super) fn reversal(&self, gate: Option<&Gate>, instances: usize, awaited: usize) -> Option<String> {
        let enough = REVERT_FAILURES.saturating_add(u64::try_from(awaited).unwrap_or(u64::MAX));
        let failing = self.failing("the one before").filter(|_| self.more_failures() >= enough);
        let forbidden = || gate.and_then(|_| self.forbidden_of_both());
        let too_many = || gate.and_then(|gate| self.too_many(gate, instances));
        failing.or_else(forbidden).or_else(too_many)
    }
}

/// A change that a gate forbids.
#[derive(Debug, Clone)]
struct Banned {
    /// Where it was seen, as people are shown it.
    instance: String,
    change: Forbidden,
}

impl Pair {
    /// Whether anything does; cheap, unlike [`Self::changes`].
    fn differs(&self) -> bool {
        match (&self.old, &self.new) {
            (Ok(old), Ok(new)) => {
                (old.claim, old.phase, old.participation) != (new.claim, new.phase, new.participation)
            }
            (old, new) => old.is_ok() != new.is_ok(),
        }
    }

    /// What differs, in the words of gates; empty when nothing does.
    pub(super) fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        match (&self.old, &self.new) {
            (Ok(_), Err(_)) => changes.push("fails".to_owned()),
            (Err(_), Ok(_)) => changes.push("no longer fails".to_owned()),
            (Ok(old), Ok(new)) => {
                if old.claim != new.claim {
                    changes.push(format!("{}->{}", health(old.claim), health(new.claim)));
                }
                let mut more = vec![Forbidden::PhaseDecrease, Forbidden::PhaseIncrease];
                let takes_part = old.participation != new.participation;
                let skips = [Forbidden::SkipRemoved, Forbidden::SkipAdded];
                match skips.iter().find(|skip| self.is(**skip)) {
                    Some(skip) => more.push(*skip),
                    None if takes_part => {
                        changes.push(format!("{}->{}", old.participation.name(), new.participation.name()));
                    }
                    None => {}
                }
                changes.extend(more.into_iter().filter(|change| self.is(*change)).map(word));
            }
            (Err(_), Err(_)) => {}
        }
        changes
    }

    /// Whether this change happens here. A failure counts as it is treated: unknown, and skipped.
    fn is(&self, change: Forbidden) -> bool {
        let phase = |verdict: &Verdict| verdict.as_ref().ok().and_then(|decision| decision.phase);
        let skips = |verdict: &Verdict| {
            verdict.as_ref().map_or(true, |decision| decision.participation == Participation::Skip)
        };
        // None is the last phase. A failure keeps the phase before.
        let both = self.old.is_ok() && self.new.is_ok();
        let order = |verdict: &Verdict| phase(verdict).map_or(u64::MAX, |phase| u64::from(phase.get()));
        match change {
            Forbidden::Health(from, to) => claim(&self.old) == from && claim(&self.new) == to,
            Forbidden::PhaseDecrease => both && order(&self.new) < order(&self.old),
            Forbidden::PhaseIncrease => both && order(&self.new) > order(&self.old),
            Forbidden::SkipRemoved => skips(&self.old) && !skips(&self.new),
            Forbidden::SkipAdded => !skips(&self.old) && skips(&self.new),
        }
    }
}

fn claim(verdict: &Verdict) -> Claim {
    verdict.as_ref().map_or(Claim::Unknown, |decision| decision.claim)
}

/// As gates write it.
pub(super) fn health(claim: Claim) -> &'static str {
    match claim {
        Claim::Healthy => "healthy",
        Claim::Unhealthy => "unhealthy",
        Claim::Unknown => "unknown",
    }
}

fn word(change: Forbidden) -> String {
    match change {
        Forbidden::Health(from, to) => format!("{}->{}", health(from), health(to)),
        Forbidden::PhaseDecrease => "phase-decrease".to_owned(),
        Forbidden::PhaseIncrease => "phase-increase".to_owned(),
        Forbidden::SkipRemoved => "skip-removed".to_owned(),
        Forbidden::SkipAdded => "skip-added".to_owned(),
    }
}

fn shown((scale_set, instance): &Key) -> String {
    format!("instance `{scale_set}/{instance}`")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use phasegate_core::domain::{Decision, Phase, PluginFailure};

    fn said(claim: Claim, phase: Option<u32>, participation: Participation) -> Verdict {
        let phase = phase.and_then(Phase::new);
        let (reason, memory, attributes) = (None, None, Vec::new());
        Ok(Arc::new(Decision { claim, phase, participation, reason, memory, attributes }))
    }

    fn good(phase: u32) -> Verdict {
        said(Claim::Healthy, Some(phase), Participation::Proceed)
    }

    fn failed() -> Verdict {
        Err(PluginFailure::Trapped("unreachable".to_owned()))
    }

    fn gate(changed_max: Option<u32>, forbid: &[Forbidden]) -> Gate {
        Gate { changed_max, forbid: forbid.to_vec(), observations_min: 1, time_min: Duration::ZERO }
    }

    fn compared(pairs: &[(Verdict, Verdict)], gate: &Gate) -> Comparison {
        let mut comparison = Comparison::default();
        for (index, (old, new)) in pairs.iter().enumerate() {
            let key =
                (ScaleSetName::parse("orders").unwrap(), InstanceId::parse(&index.to_string()).unwrap());
            comparison.add(key, old.clone(), new.clone(), Some(gate));
        }
        comparison
    }

    #[test]
    fn changes_have_names() {
        let skip = said(Claim::Healthy, None, Participation::Skip);
        let defer = said(Claim::Healthy, Some(1), Participation::Defer);
        let ill = said(Claim::Unhealthy, Some(1), Participation::Proceed);
        let rows: [(Verdict, Verdict, Vec<&str>); 9] = [
            (good(1), good(1), vec![]),
            (good(2), good(1), vec!["phase-decrease"]),
            (good(1), skip.clone(), vec!["phase-increase", "skip-added"]),
            (skip, defer.clone(), vec!["phase-decrease", "skip-removed"]),
            (defer, good(1), vec!["defer->proceed"]),
            (good(1), ill, vec!["healthy->unhealthy"]),
            (good(1), failed(), vec!["fails"]),
            (failed(), good(1), vec!["no longer fails"]),
            (failed(), failed(), vec![]),
        ];
        for (old, new, expected) in rows {
            let pair = Pair { old, new };
            assert_eq!(
                (pair.changes(), pair.differs()),
                (expected.iter().map(|e| (*e).to_owned()).collect(), !expected.is_empty())
            );
        }
    }

    #[test]
    fn an_instance_counts_as_it_was_judged_last() {
        let key = (ScaleSetName::parse("orders").unwrap(), InstanceId::parse("0").unwrap());
        let mut comparison = Comparison::default();
        for (new, changed) in [(good(2), 1), (good(2), 1), (good(1), 0), (failed(), 1), (good(1), 0)] {
            comparison.add(key.clone(), good(1), new, None);
            assert_eq!(comparison.changed(), changed);
        }
    }

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
            let comparison = compared(&pairs, &gate);
            let enough = comparison.is_enough(&gate, instances, Duration::from_secs(seconds));
            assert_eq!(enough, expected, "{} of {instances}, {seconds} s", pairs.len());
        }
        // One that is gone neither stands for another one nor changes.
        let mut comparison = compared(&[same, (good(1), good(2))], &gate);
        let gone = comparison.pairs.keys().next_back().unwrap().clone();
        comparison.forget(&gone);
        assert_eq!((comparison.changed(), comparison.refusal(Some(&gate), 2)), (0, None));
        assert!(!comparison.is_enough(&gate, 2, Duration::from_secs(1)));
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
            let why = compared(&pairs, &gate).reversal(Some(&gate), pairs.len(), 0);
            match expected {
                Some(text) => assert!(why.as_ref().is_some_and(|why| why.contains(text)), "{why:?}"),
                None => assert_eq!(why, None),
            }
        }
        let forbidden = compared(&[(good(2), good(1))], &gate);
        assert_eq!(forbidden.reversal(None, 1, 0), None, "a person has seen the changes");
    }

    #[test]
    fn a_watch_that_has_seen_few_instances_counts_all_of_them() {
        let gate = gate(Some(20), &[]);
        let changes = compared(&[(good(1), good(2)), (good(1), good(1))], &gate);
        assert_eq!(changes.reversal(Some(&gate), 8, 6), None);
        assert!(changes.reversal(Some(&gate), 4, 2).is_some(), "one of four, whatever the others do");
        let fails = compared(&[(good(1), failed()), (good(1), failed()), (good(1), failed())], &gate);
        assert_eq!(fails.reversal(None, 5, 2), None, "the one before may fail on the other two");
        assert!(fails.reversal(None, 4, 1).is_some());
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
            let refusal = compared(&pairs, gate).refusal(Some(gate), pairs.len());
            match expected {
                Some(text) => assert!(refusal.as_ref().is_some_and(|r| r.contains(text)), "{refusal:?}"),
                None => assert_eq!(refusal, None),
            }
        }
    }
}
