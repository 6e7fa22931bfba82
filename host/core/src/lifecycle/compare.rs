//! What differs between two components that judge the same observations.
//!
//! Counts; whether a gate lets it pass is decided in `gate`.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::{
    Claim, Forbidden, Gate, InstanceId, Participation, PluginFailure, ScaleSetName, Verdict,
};

/// Names an instance.
pub type Key = (ScaleSetName, InstanceId);

/// Both answers to the latest observation of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Of the component that was there before.
    pub old: Verdict,
    /// Of the new one.
    pub new: Verdict,
}

/// Everything that two components were asked.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    pairs: BTreeMap<Key, Pair>,
    changed: usize,
    observations: u64,
    failed_new: u64,
    failed_old: u64,
    failure: Option<Example>,
    forbidden: Option<Banned>,
    forbidden_of_both: Option<Banned>,
}

/// A comparison in numbers: what a gate decides on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Instances that the plugin judges, be it that some have not been judged since the host started.
    pub instances: usize,
    /// Of these, those that have been judged.
    pub judged: usize,
    /// Instances that both components have judged.
    pub compared: usize,
    /// Observations that both components were asked about.
    pub observations: u64,
    /// Observations that the second component did not see, because it did not keep up.
    pub missed: u64,
    /// Instances whose latest decision differs.
    pub changed: usize,
    /// Observations where only the new one failed.
    pub failed_new: u64,
    /// Observations where only the old one failed.
    pub failed_old: u64,
    /// The latest failure of only the new one.
    pub failure: Option<Example>,
    /// The first change that the gate forbids.
    pub forbidden: Option<Banned>,
    /// The first one on an observation that both have judged.
    pub forbidden_of_both: Option<Banned>,
}

/// A failure of only the new component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Where.
    pub instance: Key,
    /// How.
    pub failure: PluginFailure,
}

/// A change that a gate forbids, and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banned {
    /// Where.
    pub instance: Key,
    /// Which.
    pub change: Forbidden,
}

impl Comparison {
    /// Takes in both answers to one observation.
    pub fn add(&mut self, key: Key, old: Verdict, new: Verdict, gate: Option<&Gate>) {
        self.observations = self.observations.saturating_add(1);
        match (&old, &new) {
            (Ok(_), Err(failure)) => {
                self.failed_new = self.failed_new.saturating_add(1);
                self.failure = Some(Example { instance: key.clone(), failure: failure.clone() });
            }
            (Err(_), Ok(_)) => self.failed_old = self.failed_old.saturating_add(1),
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        }
        let pair = Pair { old, new };
        let banned = || {
            let change = gate?.forbid.iter().find(|forbidden| pair.is(**forbidden))?;
            Some(Banned { instance: key.clone(), change: *change })
        };
        let both = pair.old.is_ok() && pair.new.is_ok();
        if self.forbidden.is_none() {
            self.forbidden = banned();
        }
        if both && self.forbidden_of_both.is_none() {
            self.forbidden_of_both = banned();
        }
        self.changed = self.changed.saturating_add(usize::from(pair.differs()));
        if let Some(before) = self.pairs.insert(key, pair) {
            self.changed = self.changed.saturating_sub(usize::from(before.differs()));
        }
    }

    /// Drops an instance that is gone.
    pub fn forget(&mut self, key: &Key) {
        if let Some(pair) = self.pairs.remove(key) {
            self.changed = self.changed.saturating_sub(usize::from(pair.differs()));
        }
    }

    /// How many more observations the new one fails on.
    #[must_use]
    pub fn more_failures(&self) -> u64 {
        self.failed_new.saturating_sub(self.failed_old)
    }

    /// The latest answers of each instance.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<Key, Pair> {
        &self.pairs
    }

    /// In numbers, of a plugin that judges so many `instances`, of which so many were `judged`.
    #[must_use]
    pub fn summary(&self, instances: usize, judged: usize, missed: u64) -> Summary {
        Summary {
            instances,
            judged,
            compared: self.pairs.len(),
            observations: self.observations,
            missed,
            changed: self.changed,
            failed_new: self.failed_new,
            failed_old: self.failed_old,
            failure: self.failure.clone(),
            forbidden: self.forbidden.clone(),
            forbidden_of_both: self.forbidden_of_both.clone(),
        }
    }
}

impl Summary {
    /// How many more observations the new one fails on.
    #[must_use]
    pub fn more_failures(&self) -> u64 {
        self.failed_new.saturating_sub(self.failed_old)
    }
}

/// `instance `orders/0``.
pub(super) struct Shown<'a>(pub(super) &'a Key);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale_set, instance) = self.0;
        write!(f, "instance `{scale_set}/{instance}`")
    }
}

impl Pair {
    /// Whether anything differs; cheap, unlike [`Self::changes`].
    #[must_use]
    pub fn differs(&self) -> bool {
        match (&self.old, &self.new) {
            (Ok(old), Ok(new)) => {
                (old.claim, old.phase, old.participation) != (new.claim, new.phase, new.participation)
            }
            (old, new) => old.is_ok() != new.is_ok(),
        }
    }

    /// What differs, in the words of gates; empty when nothing does.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
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
#[must_use]
pub fn health(claim: Claim) -> &'static str {
    match claim {
        Claim::Healthy => "healthy",
        Claim::Unhealthy => "unhealthy",
        Claim::Unknown => "unknown",
    }
}

pub(super) fn word(change: Forbidden) -> String {
    match change {
        Forbidden::Health(from, to) => format!("{}->{}", health(from), health(to)),
        Forbidden::PhaseDecrease => "phase-decrease".to_owned(),
        Forbidden::PhaseIncrease => "phase-increase".to_owned(),
        Forbidden::SkipRemoved => "skip-removed".to_owned(),
        Forbidden::SkipAdded => "skip-added".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failed, good, said};
    use super::*;

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
            assert_eq!(comparison.summary(1, 1, 0).changed, changed);
        }
    }
}
