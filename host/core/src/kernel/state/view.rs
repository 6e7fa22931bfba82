//! A scale set at one moment, as plan and rollout see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evidence::ASKED;
use crate::domain::{
    BatchOf, Component, ExtensionName, FreshIds, Health, InstanceId, Now, Protection, Timestamp, Unheard,
    UpgradeId, WordKind,
};
use crate::kernel::doubts;
use crate::kernel::zones::Zone;
use crate::plan::{Candidate, Standing};
use crate::rollout::{Evidence, FleetView, Machines, Stop};

use super::{InstanceState, SetState};

/// How soon to look again while the host doubts itself; an answer wakes at once.
const SUSPICION_LOOK: Duration = Duration::from_secs(5);

/// Beyond an interval and the time limits of probes: what a machine and a plugin may take on top.
const EVIDENCE_LATE: Duration = Duration::from_secs(2);

/// A scale set at one moment.
#[derive(Debug, Clone, Copy)]
pub struct SetView<'a> {
    pub(super) set: &'a SetState,
    pub(super) now: Now,
}

impl SetView<'_> {
    /// Who counts as unhealthy: not those that are yet to be deployed for the first time.
    fn down(&self) -> impl Iterator<Item = &InstanceId> {
        let is_new = |id: &InstanceId| self.set.instance(id).is_some_and(|one| self.set.is_new_ground(one));
        self.set.members.unhealthy().iter().filter(move |id| !is_new(id))
    }

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
        match self.set.instance(instance) {
            // The process that was judged has ended; what answers at its address is something else.
            Some(instance) if instance.down && instance.fold.health() == Health::Healthy => Health::Unknown,
            Some(instance) => instance.fold.health(),
            None => Health::Unknown,
        }
    }

    fn total(&self) -> usize {
        self.set.members.total()
    }

    fn unhealthy_count(&self) -> usize {
        self.down().count()
    }

    fn initializing_count(&self) -> usize {
        self.set.members.initializing().len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.down().cloned().collect()
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

    fn is_used(&self, id: &InstanceId) -> bool {
        self.set.instances.contains_key(id) || self.set.ids_gone.contains(id)
    }

    fn fresh_ids(&self) -> FreshIds {
        FreshIds::new(self.set.ids_gone.iter().chain(self.set.instances.keys()))
    }

    fn unheard(&self, instance: &InstanceId) -> Unheard {
        let Some(instance) = self.set.instance(instance) else { return Unheard::default() };
        let unheard = instance.unheard(self.now.at);
        match self.set.suspicion.filter(|_| instance.word.is_silent()) {
            // The host doubts that it could be heard.
            Some(since) => {
                Unheard { length: unheard.length.saturating_add(self.now.at.since(since)), goes_on: true }
            }
            None => unheard,
        }
    }

    fn evidence(&self, from: Timestamp) -> Evidence {
        if self.set.is_evidence_complete(from) {
            return Evidence::Complete;
        }
        let health = &self.set.spec.health;
        let limits = health.timeout.saturating_mul(u32::try_from(ASKED).unwrap_or(u32::MAX));
        let until = from + health.interval.saturating_add(limits).saturating_add(EVIDENCE_LATE);
        // Whom the host cannot ask it does not count as silent.
        let unasked = |one: &InstanceState| one.is_member() && self.set.settled_at(one) < from;
        if self.set.unasked().any(unasked) {
            return Evidence::Awaited { until: until.max(self.now.at + EVIDENCE_LATE) };
        }
        if self.now.at < until { Evidence::Awaited { until } } else { Evidence::Overdue }
    }

    fn doubted(&self, from: Timestamp) -> Vec<InstanceId> {
        let evidence = &self.set.evidence;
        let mut doubted: Vec<InstanceId> = evidence.doubted().iter().cloned().collect();
        if self.evidence(from) == Evidence::Overdue {
            let counts =
                |id: &&InstanceId| self.health(id) == Health::Healthy && !evidence.doubted().contains(*id);
            doubted.extend(self.set.unasked_since(from).filter(counts).cloned());
        }
        doubted
    }

    fn has_answered(&self, instance: &InstanceId, from: Timestamp) -> bool {
        // Where nothing runs nobody is waited for.
        let is_heard = |one: &InstanceState| self.set.has_answered(one, from) || self.set.nothing_runs(one);
        self.set.instance(instance).is_some_and(is_heard)
    }

    fn is_unlooked(&self, instance: &InstanceId, from: Timestamp) -> bool {
        let is_old = |one: &InstanceState| {
            let at = one.looked_at.get(&Component::Application);
            self.set.nothing_runs(one) && at.is_none_or(|at| at < from)
        };
        self.set.instance(instance).is_some_and(is_old)
    }

    fn is_silent(&self, instance: &InstanceId) -> bool {
        self.set.instance(instance).is_some_and(|instance| instance.word.is_silent())
    }

    fn ended_by_themselves(&self, upgrade: &UpgradeId) -> BTreeMap<InstanceId, String> {
        let ended = self.set.ended_in_bake.as_ref().filter(|(bake, _)| bake == upgrade);
        ended.map(|(_, ended)| ended.clone()).unwrap_or_default()
    }

    fn deferral(&self, instance: &InstanceId) -> Option<String> {
        let deferring = self.set.instance(instance)?.deferring?;
        let stalls = deferring.stall().map(|stall| stall.to_string());
        let progress = deferring.progress.map(|progress| format!("defer-progress {progress}"));
        let until = deferring.until.map(|until| format!("says until {until}"));
        let over = |until: Timestamp| {
            self.moment(until) > self.set.active().map_or(self.now.at, |it| it.defer_until(self.now.at))
        };
        let late = deferring.until.filter(|until| over(*until)).map(|_| "which is after that".to_owned());
        let said: Vec<String> = match stalls {
            Some(stalls) => vec![stalls],
            None => progress.into_iter().chain(until).chain(late).collect(),
        };
        Some(said.join(", "))
    }

    fn trouble(&self, instance: &InstanceId) -> Option<String> {
        let trouble = self.set.instance(instance)?.trouble.as_ref()?;
        Some(trouble.text.clone())
    }

    fn provision_order(&self) -> Vec<ExtensionName> {
        let spec = &self.set.spec;
        let names: Vec<ExtensionName> = spec.model.extensions.iter().map(|(name, _)| name.clone()).collect();
        spec.provisioning.in_order(&names).unwrap_or(names)
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
        let suspicion = self.set.suspicion.map(|_| Stop::Suspicion);
        let release = self.set.release_hold.then_some(Stop::Release);
        line.into_iter().chain(frozen).chain(unheard).chain(suspicion).chain(release).collect()
    }

    fn silence_goes_round(&self) -> Option<Timestamp> {
        if self.set.suspicion.is_some() {
            return Some(self.now.at + SUSPICION_LOOK);
        }
        let (window, now) = (doubts::window(self.set), self.now.at);
        let is_recent = |since: &Timestamp| now.since(*since) < window && *since > self.set.trusted_at;
        // From the latest on: of old ones there may be many.
        let silent = self.set.evidence.silent().iter().rev().take_while(|(since, _)| is_recent(since));
        let mut recent = silent.filter(|(_, id)| doubts::is_untouched(self.set, id)).map(|(since, _)| *since);
        let own = recent.next().filter(|_| recent.next().is_some());
        // Of a set of few: who is silent here may be so with most of all the others.
        let beside = self.set.silence_beside.filter(|_| self.set.evidence().unanswered() > 0);
        let latest = own.max(beside.filter(is_recent))?;
        Some(latest + window)
    }

    fn is_zone_taken(&self, zone: Option<&str>) -> bool {
        self.set.neighbours.is_taken(zone)
    }

    fn are_zones_taken(&self, members: &mut dyn Iterator<Item = &InstanceId>) -> bool {
        let zone = |id: &InstanceId| self.set.instance(id).and_then(|instance| instance.spec.zone.clone());
        let zones: BTreeSet<Zone> = members.map(zone).collect();
        self.set.neighbours.are_taken(&zones)
    }

    fn whole_of(&self, of: BatchOf, domain: Option<u32>) -> usize {
        self.set.whole_of(of, domain)
    }

    fn machines(&self) -> Option<Machines> {
        self.set.neighbours.machines.clone()
    }

    fn moment(&self, date: Timestamp) -> Timestamp {
        let ahead = date.0.saturating_sub(self.now.wall.date().0);
        Timestamp(self.now.at.0.saturating_add(ahead))
    }
}
