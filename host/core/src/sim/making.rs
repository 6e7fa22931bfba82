//! How the instances of a world come into being.

use std::collections::BTreeMap;

use crate::domain::{Change, Component, Goal, Participation, Phase, Protection, Version};

use super::fleet::{Facts, Node};
use super::rng::Rng;
use super::scenario::Scenario;
use super::versions::Versions;
use super::world::BEGIN;

/// What an instance is made of.
pub(super) struct Making<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) scenario: &'a Scenario,
    /// The application of before.
    pub(super) first: &'a Version,
    pub(super) before: &'a Goal,
    pub(super) goal: &'a Goal,
}

impl Making<'_> {
    /// The next instance.
    pub(super) fn node(&mut self) -> Node {
        let facts = self.facts();
        Node {
            facts,
            running: self.versions(),
            up_at: BEGIN,
            calls: BTreeMap::new(),
            generation: 0,
            asked: BTreeMap::new(),
        }
    }

    fn facts(&mut self) -> Facts {
        let scenario = self.scenario;
        let zone = self.below(scenario.zones).map(|zone| (zone + 1).to_string());
        let update_domain = self.below(scenario.update_domains);
        let phase = self.below(scenario.phases).and_then(Phase::new);
        let last_phase = self.rng.chance(150);
        let protection =
            Protection { from_scale_set_actions: self.rng.chance(scenario.protected), from_scale_in: false };
        let skips = self.rng.chance(scenario.skip);
        let changes: Vec<&Change> = self.goal.changes().collect();
        let bad = self.rng.chance(scenario.faults.bad_version);
        let bad_version = if bad { self.rng.pick(&changes).copied().cloned() } else { None };
        Facts {
            zone,
            update_domain,
            protection,
            phase: if last_phase { None } else { phase },
            participation: if skips { Participation::Skip } else { Participation::Proceed },
            bad_version,
        }
    }

    /// Everybody runs the application. An extension may be missing, or be there in its new version.
    fn versions(&mut self) -> Versions {
        let mut versions = Versions { application: Some(self.first.clone()), ..Versions::default() };
        for change in self.goal.changes() {
            let ahead = self.rng.chance(self.scenario.ahead);
            let old = self.before.of(&change.component).cloned();
            let version = match &change.component {
                _ if ahead => Some(change.to.clone()),
                Component::Extension(_) if self.rng.chance(self.scenario.missing) => None,
                Component::Application | Component::Extension(_) => old,
            };
            versions.set(&change.component, version);
        }
        versions
    }

    fn below(&mut self, count: u32) -> Option<u32> {
        let last = u64::from(count.checked_sub(1)?);
        u32::try_from(self.rng.between(0, last)).ok()
    }
}
