//! The fleet as counts: nothing in it grows with the number of instances.

use std::collections::BTreeMap;

use crate::domain::ScaleSetName;
use crate::kernel::state::{Census, Fleet, SetState};
use crate::rollout::{Progress, UpgradeState};

/// All scale sets as counts.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Whether the line is stopped.
    pub line_stopped: bool,
    /// Whether the host holds until a person adopts its record.
    pub holding: bool,
    /// By name.
    pub sets: Vec<SetTally>,
}

/// One scale set as counts.
#[derive(Debug, Clone)]
pub struct SetTally {
    /// Which.
    pub name: ScaleSetName,
    /// Instances by committed health; those that are being replaced or created are not among them.
    pub health: Census,
    /// Instances that could not be asked last, because the host was short of something.
    pub unasked: usize,
    /// Codes of what plugins say of its instances, with how many have each; the most frequent ones, and the rest of them
    /// together as `(other)`.
    pub reasons: Vec<(String, usize)>,
    /// The latest upgrade: its state and counts.
    pub upgrade: Option<(UpgradeState, Progress)>,
}

/// Codes of one set that are counted by themselves: a label of a metric must stay one of few.
const REASONS_MAX: usize = 20;

/// What stands for the codes beyond them. No code of a plugin can be so: those have no blank.
const OTHER_REASONS: &str = "(other)";

/// Counts what plugins say last.
fn reasons(set: &SetState) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in set.instances() {
        let decision = state.latest.as_ref().and_then(|latest| latest.result.as_deref().ok());
        if let Some(reason) = decision.and_then(|decision| decision.reason.as_ref()) {
            *counts.entry(reason.code.as_str()).or_default() += 1;
        }
    }
    most_frequent(counts)
}

/// The most frequent codes, and the rest of them together.
fn most_frequent(counts: BTreeMap<&str, usize>) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    let rest: usize = counts.iter().skip(REASONS_MAX).map(|(_, count)| count).sum();
    counts.truncate(REASONS_MAX);
    if rest > 0 {
        counts.push((OTHER_REASONS.to_owned(), rest));
    }
    counts
}

/// Counts a fleet.
#[must_use]
pub fn tally(fleet: &Fleet) -> Tally {
    let sets = fleet.sets().map(|set| SetTally {
        name: set.spec.name.clone(),
        health: set.census().clone(),
        unasked: set.unasked().count(),
        reasons: reasons(set),
        upgrade: set.upgrade.as_ref().map(|upgrade| (upgrade.state, upgrade.progress())),
    });
    Tally { line_stopped: fleet.line.is_some(), holding: fleet.held.is_some(), sets: sets.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_beyond_a_few_are_counted_together() {
        let codes: Vec<String> = (0..100).map(|number| format!("c{number:03}")).collect();
        let counts = codes.iter().enumerate().map(|(number, code)| (code.as_str(), number + 1)).collect();
        let shown = most_frequent(counts);
        assert_eq!(shown.len(), REASONS_MAX + 1);
        assert_eq!(shown[0], ("c099".to_owned(), 100));
        assert_eq!(shown[REASONS_MAX], (OTHER_REASONS.to_owned(), (1..=80).sum()));
    }
}
