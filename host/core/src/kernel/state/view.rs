//! A scale set at one moment, as plan and rollout see it.

use super::{InstanceState, SetState};
use crate::domain::{Health, InstanceId, Now, Timestamp};
use crate::plan::Candidate;
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
    pub fn candidate(&self, instance: &InstanceState) -> Candidate {
        let spec = &instance.spec;
        Candidate {
            id: spec.id.clone(),
            zone: spec.zone.clone(),
            update_domain: spec.update_domain,
            fault_domain: spec.fault_domain,
            protection: spec.protection,
            version: instance.version.clone(),
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
        self.set.members().map(|instance| self.candidate(instance)).collect()
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.set.instance(instance).map_or(Health::Unknown, |instance| instance.fold.health())
    }

    fn total(&self) -> usize {
        self.set.counts.total()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        let unhealthy = |instance: &&InstanceState| instance.fold.health().is_unhealthy();
        self.set.members().filter(unhealthy).map(|instance| instance.spec.id.clone()).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.set.counts.unhealthy + self.set.counts.unknown
    }

    fn any_initializing(&self) -> bool {
        self.set.counts.initializing > 0
    }

    fn ids_ever(&self) -> Vec<InstanceId> {
        self.set.ids_ever.iter().cloned().collect()
    }

    fn stop(&self) -> Option<Stop> {
        if let Some(line) = &self.set.line {
            return Some(Stop::Line { since: line.at });
        }
        let until = self.set.frozen_until(self.now.wall)?;
        Some(Stop::Freeze { until: self.moment(until) })
    }
}
