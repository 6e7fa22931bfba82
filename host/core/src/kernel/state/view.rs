//! A scale set at one moment, as plan and rollout see it.

use super::{InstanceState, SetState};
use crate::domain::{FreshIds, Health, InstanceId, Now, Protection, Timestamp, Unheard, WordKind};
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
            protection: Protection {
                from_scale_set_actions: self.set.is_protected(instance),
                ..spec.protection
            },
            runs: instance.runs.clone(),
            extensions: instance.extensions.clone(),
            health: instance.fold.health(),
            standing: self.set.permitted(instance, self.now.at),
            held: self.set.words.get(&spec.id).filter(|word| is_of_the_plan(word.kind)).cloned(),
        }
    }
}

/// Whether the planner heeds a word by itself; the others stand in protection and standing.
fn is_of_the_plan(kind: WordKind) -> bool {
    match kind {
        WordKind::Hold | WordKind::Skip => true,
        WordKind::Protect | WordKind::Force => false,
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
        self.stops().into_iter().next()
    }

    fn stops(&self) -> Vec<Stop> {
        let line = self.set.line.as_ref().map(|line| Stop::Line { since: line.at });
        let frozen = self.set.spec.freeze.frozen_at(self.now.wall.date());
        let frozen =
            frozen.map(|frozen| Stop::Freeze { since: frozen.since, until: self.moment(frozen.until) });
        let unheard = self.set.unheard_too_long(self.now.at).next().map(|_| Stop::NotAsked);
        line.into_iter().chain(frozen).chain(unheard).collect()
    }

    fn moment(&self, date: Timestamp) -> Timestamp {
        self.now.at + date.since(self.now.wall.date())
    }
}
