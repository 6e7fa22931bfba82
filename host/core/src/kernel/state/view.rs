//! A scale set at one moment, as plan and rollout see it.

use super::{InstanceState, SetState};
use crate::domain::{FreshIds, Health, InstanceId, Now, Timestamp, Unheard};
use crate::plan::{Candidate, Standing};
use crate::rollout::{FleetView, Stop};

/// A scale set at one moment.
#[derive(Debug, Clone, Copy)]
pub struct SetView<'a> {
    pub(super) set: &'a SetState,
    pub(super) now: Now,
}

impl SetView<'_> {
    /// What the planner knows of one instance.
    #[must_use]
    pub fn candidate_of(&self, instance: &InstanceState) -> Candidate {
        let spec = &instance.spec;
        Candidate {
            id: spec.id.clone(),
            zone: spec.zone.clone(),
            update_domain: spec.update_domain,
            fault_domain: spec.fault_domain,
            protection: spec.protection,
            runs: instance.runs.clone(),
            extensions: instance.extensions.clone(),
            health: instance.fold.health(),
            standing: self.set.standing(instance, self.now.at),
        }
    }

    /// The moment on the fleet's own time at which the wall clock, as it goes now, shows a date.
    fn moment(&self, date: Timestamp) -> Timestamp {
        self.now.at + date.since(self.now.wall.date())
    }
}

impl FleetView for SetView<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        self.set.members().map(|instance| self.candidate_of(instance)).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        let instance = self.set.instance(instance).filter(|instance| instance.is_member())?;
        Some(self.candidate_of(instance))
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.set.instance(instance).map_or(Health::Unknown, |instance| instance.fold.health())
    }

    fn total(&self) -> usize {
        self.set.members.total()
    }

    fn unhealthy_count(&self) -> usize {
        self.set.members.unhealthy().len()
    }

    fn initializing_count(&self) -> usize {
        self.set.members.initializing().len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.set.members.unhealthy().iter().cloned().collect()
    }

    fn initializing(&self) -> Vec<InstanceId> {
        self.set.members.initializing().iter().cloned().collect()
    }

    fn looking_count(&self) -> usize {
        self.set.looking.len()
    }

    fn any_undecided(&self) -> bool {
        let undecided = |instance: &InstanceState| {
            matches!(self.set.standing(instance, self.now.at), Standing::Undecided)
        };
        self.set.members().any(undecided)
    }

    fn fresh_ids(&self) -> FreshIds {
        FreshIds::new(self.set.ids_gone.iter().chain(self.set.instances.keys()))
    }

    fn unheard(&self, instance: &InstanceId) -> Unheard {
        self.set.instance(instance).map_or_else(Unheard::default, |instance| instance.unheard(self.now.at))
    }

    fn trouble(&self, instance: &InstanceId) -> Option<String> {
        let trouble = self.set.instance(instance)?.trouble.as_ref()?;
        Some(trouble.text.clone())
    }

    fn stop(&self) -> Option<Stop> {
        if let Some(line) = &self.set.line {
            return Some(Stop::Line { since: line.at });
        }
        if let Some(until) = self.set.frozen_until(self.now.wall) {
            return Some(Stop::Freeze { until: self.moment(until) });
        }
        self.set.unheard_too_long(self.now.at).next().map(|_| Stop::NotAsked)
    }
}
