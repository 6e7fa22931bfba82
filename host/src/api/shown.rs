//! Plans that were shown: a start that names one of them and no longer fits is told what has changed since.
//!
//! Kept by the host that showed them and not recorded: after a restart a plan that no longer fits is only
//! said to be another one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use phasegate_core::domain::Digest;
use phasegate_core::plan::{Plan, changes};

/// Plans that are remembered, of all sets.
const SHOWN_MAX: usize = 64;

/// Plans that were shown, oldest first.
#[derive(Debug, Default)]
pub struct Shown(Mutex<VecDeque<Plan>>);

impl Shown {
    pub(super) fn remember(&self, plan: Plan) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.iter().any(|known| known.digest == plan.digest) {
            return;
        }
        if shown.len() == SHOWN_MAX {
            shown.pop_front();
        }
        shown.push_back(plan);
    }

    fn find(&self, digest: Digest) -> Option<Plan> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.iter().find(|known| known.digest == digest).cloned()
    }

    /// Why a start did not start the plan that it named, where `now` is what it would do now.
    pub(super) fn changed_since(&self, wanted: Digest, now: &Plan) -> String {
        let changed = match self.find(wanted) {
            Some(shown) if shown.goal != now.goal => {
                format!("it was to {}, and this start is to {}", shown.goal, now.goal)
            }
            Some(shown) => match changes(&shown, now) {
                same if same.is_empty() => "the limits are others".to_owned(),
                changed => changed,
            },
            None => {
                let planned: usize = now.batches.iter().map(|batch| batch.instances.len()).sum();
                let (batches, held) = (now.batches.len(), now.holds.len());
                format!(
                    "this host has not shown it; {planned} instances would be upgraded in {batches} batches \
                     and {held} left alone"
                )
            }
        };
        let digest = now.digest;
        format!(
            "the fleet has changed since plan {wanted} was shown, and nothing was started: {changed}; the \
             plan is now {digest}"
        )
    }
}

#[cfg(test)]
mod tests {
    use phasegate_core::domain::{Goal, ScaleSetName, Version};

    use super::*;

    fn plan(to: &str, number: u8) -> Plan {
        let digest = format!("sha256:{}", format!("{number:02x}").repeat(32));
        Plan {
            scale_set: ScaleSetName::parse("orders").unwrap(),
            goal: Goal::application(Version::parse(to).unwrap()),
            digest: Digest::parse(&digest).unwrap(),
            batches: Vec::new(),
            holds: Vec::new(),
            batch_max: 1,
            already: Vec::new(),
        }
    }

    #[test]
    fn a_start_is_told_what_is_no_longer_as_it_was_shown() {
        let shown = Shown::default();
        shown.remember(plan("v2", 1));
        for (wanted, now, expected) in [
            (1, plan("v3", 2), "it was to v2, and this start is to v3"),
            (1, plan("v2", 2), "the limits are others"),
            (
                7,
                plan("v2", 2),
                "this host has not shown it; 0 instances would be upgraded in 0 batches and 0 left",
            ),
        ] {
            let said = shown.changed_since(plan("v2", wanted).digest, &now);
            assert!(said.contains(expected) && said.contains("nothing was started"), "{said}");
        }
    }

    #[test]
    fn the_oldest_plans_are_forgotten() {
        let shown = Shown::default();
        (0..=64).for_each(|number| shown.remember(plan("v2", number)));
        assert!(shown.find(plan("v2", 0).digest).is_none());
        assert!(shown.find(plan("v2", 1).digest).is_some());
    }
}
