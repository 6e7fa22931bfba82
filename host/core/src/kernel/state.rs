//! What a kernel knows of the fleet. All of it is shared data: a copy costs nothing and stays as it is, so
//! the view that is published, the way back from a refused commit and an explored state are copies.

mod away;
mod census;
mod deferring;
mod evidence;
mod given;
mod instance;
mod seen;
mod standing;
mod view;

pub(super) use away::{Away, End, Kept, Removed};
pub use census::Census;
pub(in crate::kernel) use deferring::LetGo;
pub use deferring::{Deferring, STALLED_ROUNDS};
pub use evidence::{Evidence, Word};
pub use given::{FileDiffers, WantedAndWithdrawn};
pub(super) use instance::Rhythm;
pub use instance::{Answered, Busy, InstanceState, Place, Said, StandIn, Trouble};
pub(super) use seen::Seats;
pub use standing::Ground;
pub use view::SetView;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};

use super::doubts::{Most, Whole};
use super::refusal::Refusal;
use super::release::Releases;
use super::zones::{Neighbours, Regions};
use crate::domain::{
    BatchOf, By, CanTell, Change, Component, Custody, DriverTraits, Generation, Goal, Instance, InstanceId,
    Now, OnFailure, OperationId, PersonsWord, PluginName, ScaleSet, ScaleSetName, Timestamp, UpgradeId,
    Version, WallTime, WordKind,
};
use crate::lifecycle::PluginLife;
use crate::record::{Hold, Retry, StoppedLine};
use crate::release::Published;
use crate::rollout::{Event as RolloutEvent, Upgrade};

/// The whole fleet at one moment, for whatever reads it.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    pub(super) sets: OrdMap<ScaleSetName, Arc<SetState>>,
    /// Whether the line is stopped for all of them.
    pub line: Option<StoppedLine>,
    /// The lives of plugins.
    pub(super) plugins: OrdMap<PluginName, Arc<PluginLife>>,
    /// Why nothing is done until a person adopts the record, if so.
    pub held: Option<Arc<Hold>>,
    /// Whether what a start begins has begun.
    pub(super) startup: Startup,
    /// Why nothing can be recorded, if so.
    pub refusing: Option<Arc<str>>,
    /// Sets that this turn has changed.
    pub(super) touched: BTreeSet<ScaleSetName>,
    /// What was published, and what is on its way.
    pub releases: Releases,
    /// Which zones are in flight.
    pub(super) regions: Regions,
    /// Who is silent, over all sets.
    pub(super) whole: Whole,
}

impl Fleet {
    /// All scale sets by name.
    pub fn sets(&self) -> impl Iterator<Item = &Arc<SetState>> {
        self.sets.values()
    }

    /// One scale set.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn set(&self, name: &ScaleSetName) -> Result<&Arc<SetState>, Refusal> {
        let known = || self.sets.keys().cloned().collect();
        self.sets.get(name).ok_or_else(|| Refusal::NoScaleSet { name: name.clone(), known: known() })
    }

    /// The lives of all plugins by name.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<PluginLife>> {
        self.plugins.values()
    }

    /// The life of one plugin.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn plugin(&self, name: &PluginName) -> Result<&Arc<PluginLife>, Refusal> {
        let known = || self.plugins.keys().cloned().collect();
        self.plugins.get(name).ok_or_else(|| Refusal::NoPlugin { name: name.clone(), known: known() })
    }

    /// One scale set, to change it.
    pub(super) fn change(&mut self, name: &ScaleSetName) -> Option<&mut SetState> {
        let set = self.sets.get_mut(name)?;
        if !self.touched.contains(name) {
            self.touched.insert(name.clone());
        }
        Some(Arc::make_mut(set))
    }

    /// The names of the sets for which something holds.
    pub(super) fn names(&self, holds: impl Fn(&SetState) -> bool) -> Vec<ScaleSetName> {
        self.sets.iter().filter(|(_, set)| holds(set)).map(|(name, _)| name.clone()).collect()
    }
}

/// Whether a start has taken up the instances and the upgrades that were under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Startup {
    /// It has.
    #[default]
    Done,
    /// A person has to adopt the record first.
    Waits,
}

/// One scale set.
#[derive(Debug, Clone)]
pub struct SetState {
    /// From the configuration.
    pub spec: Arc<ScaleSet>,
    /// Members that the configuration lists; `spec` has those that a source has found, too.
    pub listed: Arc<BTreeMap<InstanceId, Arc<Instance>>>,
    /// Those that a source has found, as it said last.
    pub discovered: OrdMap<InstanceId, Arc<Instance>>,
    /// Those of them that the source does not name any more.
    pub(super) held_back: OrdSet<InstanceId>,
    /// Who is listed no more while a driver or a hook is at work for it, and who wanted it: it goes when that is over.
    pub(super) put_off: OrdMap<InstanceId, By>,
    /// What its driver is.
    pub driver: DriverTraits,
    /// Who has kept its instances running: the host, once one of its drivers in this life of the host has.
    pub(super) kept_running: Custody,
    /// What becomes of an instance while its plugin fails.
    pub on_failure: OnFailure,
    /// Generation of its plugin whose decisions count; none since the start of the host, when there was
    /// no other one.
    pub in_force: Option<Generation>,
    /// What is wanted: the configuration's model, or what the latest upgrade was started with.
    pub model: Goal,
    /// What an upgrade that Completed brought last, or what the set began with: what a new instance starts with.
    pub(super) good: BTreeMap<Component, Version>,
    /// All of them, also those that come and go. Changed through [`SetState::change`] alone, which keeps
    /// the counts.
    pub(super) instances: OrdMap<InstanceId, Arc<InstanceState>>,
    /// Those that count, by health.
    pub(super) members: Census,
    /// Those that count, by what is known of them.
    pub(super) evidence: Evidence,
    /// When settled members were heard last, where they said the same again.
    pub(super) seats: Seats,
    /// Since when the host doubts itself: most of those that nothing has touched went silent at once.
    pub suspicion: Option<Timestamp>,
    /// It does so by what it sees of this set alone.
    pub(super) doubted_alone: bool,
    /// It does so by what it sees of all sets, of which most went silent at once.
    pub doubted_with: Option<Most>,
    /// When silence began last that may be that of most of all sets, as of the latest look.
    pub(super) silence_beside: Option<Timestamp>,
    /// Silence that began before says nothing about the host.
    pub(super) trusted_at: Timestamp,
    /// What its plugin has said of taking part.
    pub(super) let_go: LetGo,
    /// What hooks that are being run have said last, by operation.
    pub(super) hooks_say: OrdMap<OperationId, String>,
    /// What drivers have said last of what they have in hand for the upgrade, by operation.
    pub(super) drivers_say: OrdMap<OperationId, Said>,
    /// Who has ended by itself in the bake of an upgrade, and how. Not recorded: a host that starts counts anew.
    pub(super) ended_in_bake: Option<(UpgradeId, BTreeMap<InstanceId, String>)>,
    /// Those that could not be asked last, some of which may be gone.
    pub(super) unasked: OrdSet<InstanceId>,
    /// When an instance is to be started or deleted again.
    pub(super) due: OrdSet<(Timestamp, InstanceId)>,
    /// New ones whose next extension may be installed, as far as they themselves can tell.
    pub(super) to_provision: OrdSet<InstanceId>,
    /// When the time for the extensions of new ones is over.
    pub(super) provision_due: OrdSet<(Timestamp, InstanceId)>,
    /// When instances are to be looked at again.
    pub(super) look_due: OrdSet<(Timestamp, InstanceId)>,
    /// Those that are being looked at.
    pub(in crate::kernel) looking: OrdSet<InstanceId>,
    /// Those that were deleted or removed.
    pub(super) away: OrdMap<InstanceId, Away>,
    /// When something of those is due.
    pub(super) away_due: OrdSet<(Timestamp, InstanceId)>,
    /// Every id that was used by what is gone; those that are there may be among them.
    pub(super) ids_gone: OrdSet<InstanceId>,
    /// The latest upgrade, running or ended.
    pub upgrade: Option<Arc<Upgrade>>,
    /// The latest one that did anything, where that is another one.
    pub(super) touched: Option<Arc<Upgrade>>,
    /// Versions that faulted, with the reason.
    pub quarantined: BTreeMap<Change, String>,
    /// What was published of those of its components of which a version was withdrawn or is in quarantine.
    pub(super) kept_back: BTreeMap<Component, Arc<Published>>,
    /// What persons have said about single instances.
    pub words: OrdMap<InstanceId, PersonsWord>,
    /// When the latest upgrade, which faulted, is tried again.
    pub retry: Option<Retry>,
    /// A person stopped the line for all sets.
    pub line: Option<StoppedLine>,
    /// A release holds its upgrade.
    pub(super) release_hold: bool,
    /// What is in flight beside it in its region, as of its latest look.
    pub(super) neighbours: Neighbours,
    /// When somebody who was brought back is waited for no longer; none where all of them are well again.
    pub(super) zone_until: Option<Timestamp>,
    /// Answers of drivers that the upgrade has not heard yet.
    pub(super) answers: Vec<RolloutEvent>,
    /// Something changed that the upgrade must look at.
    pub(super) dirty: bool,
    /// When the upgrade wants to look again.
    pub(super) wake_at: Option<Timestamp>,
    /// When the upgrade has looked last.
    pub(super) stepped_at: Timestamp,
}

impl SetState {
    /// All instances by id, also those that come and go.
    pub fn instances(&self) -> impl Iterator<Item = &InstanceState> {
        self.instances.values().map(Arc::as_ref)
    }

    /// One instance.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&InstanceState> {
        self.instances.get(id).map(Arc::as_ref)
    }

    /// The instances that count.
    pub fn members(&self) -> impl Iterator<Item = &InstanceState> {
        self.instances().filter(|instance| instance.is_member())
    }

    /// The instances that count, by health.
    #[must_use]
    pub fn census(&self) -> &Census {
        &self.members
    }

    /// What the share of a batch in an update domain is a share of.
    #[must_use]
    pub fn whole_of(&self, of: BatchOf, domain: Option<u32>) -> usize {
        match of {
            BatchOf::Set => self.census().total(),
            BatchOf::UpdateDomain => self.members().filter(|one| one.spec.update_domain == domain).count(),
        }
    }

    /// The latest upgrade that did anything, as far as it has ended.
    #[must_use]
    pub fn touched(&self) -> Option<&Upgrade> {
        self.touched.as_deref()
    }

    /// The running upgrade.
    #[must_use]
    pub fn active(&self) -> Option<&Arc<Upgrade>> {
        self.upgrade.as_ref().filter(|upgrade| upgrade.is_active())
    }

    /// Changes one instance, and keeps counts and due times in step with it.
    pub(super) fn change<T>(
        &mut self,
        id: &InstanceId,
        change: impl FnOnce(&mut InstanceState) -> T,
    ) -> Option<T> {
        let instance = Arc::make_mut(self.instances.get_mut(id)?);
        let provision_before = instance.provision_due();
        let (before, due_before, look_before) = (instance.counted(), instance.retry_at, instance.look_at);
        let told_before = instance.told();
        if let Some(again) = self.seats.taken(instance.seat) {
            instance.take_in(again);
        }
        let out = change(instance);
        let (after, due_after, look_after) = (instance.counted(), instance.retry_at, instance.look_at);
        let (looking, told_after) = (!instance.looking.is_empty(), instance.told());
        let (provision_after, wants_provision) = (instance.provision_due(), instance.wants_provision());
        self.members.moved(id, before, after);
        self.evidence.moved(id, told_before, told_after);
        if looking {
            self.looking.insert(id.clone());
        } else {
            self.looking.remove(id);
        }
        if look_before != look_after {
            look_before.into_iter().for_each(|at| drop(self.look_due.remove(&(at, id.clone()))));
            look_after.into_iter().for_each(|at| drop(self.look_due.insert((at, id.clone()))));
        }
        if provision_before != provision_after {
            provision_before.into_iter().for_each(|at| drop(self.provision_due.remove(&(at, id.clone()))));
            provision_after.into_iter().for_each(|at| drop(self.provision_due.insert((at, id.clone()))));
        }
        if wants_provision {
            self.to_provision.insert(id.clone());
        } else if provision_before.is_some() {
            self.to_provision.remove(id);
        }
        if due_before != due_after {
            due_before.into_iter().for_each(|at| drop(self.due.remove(&(at, id.clone()))));
            due_after.into_iter().for_each(|at| drop(self.due.insert((at, id.clone()))));
        }
        Some(out)
    }

    /// Puts an instance in, or in the place of its former self.
    pub(super) fn insert(&mut self, mut instance: InstanceState) {
        let id = instance.spec.id.clone();
        self.take_out(&id);
        instance.seat = self.seats.take();
        self.members.moved(&id, None, instance.counted());
        self.evidence.moved(&id, None, instance.told());
        instance.retry_at.into_iter().for_each(|at| drop(self.due.insert((at, id.clone()))));
        instance.look_at.into_iter().for_each(|at| drop(self.look_due.insert((at, id.clone()))));
        if !instance.looking.is_empty() {
            self.looking.insert(id.clone());
        }
        let provision_due = instance.provision_due();
        provision_due.into_iter().for_each(|at| drop(self.provision_due.insert((at, id.clone()))));
        if instance.wants_provision() {
            self.to_provision.insert(id.clone());
        }
        self.instances.insert(id, Arc::new(instance));
    }

    /// Those that could not be asked last.
    pub fn unasked(&self) -> impl Iterator<Item = &InstanceState> {
        self.unasked.iter().filter_map(|id| self.instance(id)).filter(|instance| instance.unasked.is_some())
    }

    /// Those of them that count and of which what is known is old.
    pub fn unheard_too_long(&self, now: Timestamp) -> impl Iterator<Item = &InstanceState> {
        let freshness = self.spec.health.freshness();
        let is_old = move |one: &&InstanceState| {
            one.is_member() && one.unasked.is_some_and(|unasked| now.since(unasked.since) > freshness)
        };
        self.unasked().filter(is_old)
    }

    /// Takes an instance out.
    pub(super) fn take_out(&mut self, id: &InstanceId) -> Option<Arc<InstanceState>> {
        self.take_in(id);
        let gone = self.instances.remove(id)?;
        self.seats.give_back(gone.seat);
        self.ids_gone.insert(id.clone());
        self.members.moved(id, gone.counted(), None);
        self.evidence.moved(id, gone.told(), None);
        self.unasked.remove(id);
        self.looking.remove(id);
        self.to_provision.remove(id);
        let provision_due = gone.provision_due();
        provision_due.into_iter().for_each(|at| drop(self.provision_due.remove(&(at, id.clone()))));
        gone.look_at.into_iter().for_each(|at| drop(self.look_due.remove(&(at, id.clone()))));
        gone.retry_at.into_iter().for_each(|at| drop(self.due.remove(&(at, id.clone()))));
        Some(gone)
    }

    /// When a faulted upgrade is tried again; none while another one runs.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        let idle = self.active().is_none();
        self.retry.as_ref().filter(|_| idle).map(|retry| retry.at)
    }

    /// When something of the set is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let due = self.due.get_min().map(|(at, _)| *at);
        let look = self.look_due.get_min().map(|(at, _)| *at);
        // What an upgrade has not heard is due at once.
        let unheard = self.active().is_some() && !self.answers.is_empty();
        if unheard {
            return Some(Timestamp::default());
        }
        let words = self.words.values().filter_map(|word| word.until).min();
        let away = self.away_due.get_min().map(|(at, _)| *at);
        let provision = self.provision_due.get_min().map(|(at, _)| *at);
        let all = self.wake_at.into_iter().chain(due).chain(look).chain(away).chain(words).chain(provision);
        all.chain(self.retry_at()).chain(self.zone_until).min()
    }

    /// End of the freeze window that is open at a date.
    #[must_use]
    pub fn frozen_until(&self, date: WallTime) -> Option<Timestamp> {
        self.spec.freeze.frozen_at(date.date()).map(|frozen| frozen.until)
    }

    /// Whether no upgrade may touch an instance: by the configuration, or by a person's word.
    #[must_use]
    pub fn is_protected(&self, instance: &InstanceState) -> bool {
        let word = self.words.get(&instance.spec.id);
        instance.spec.protection.from_scale_set_actions
            || word.is_some_and(|word| word.kind == WordKind::Protect)
    }

    /// How long an answered decision stands in for a missed probe or a failing plugin.
    pub(super) fn stands_in(&self) -> Option<Duration> {
        (self.on_failure == OnFailure::LastGood).then(|| self.spec.health.freshness())
    }

    /// The view that the core gets of this set at this moment.
    #[must_use]
    pub fn view(&self, now: Now) -> SetView<'_> {
        SetView { set: self, now }
    }

    /// Whether what an instance has of a component can be found out by asking.
    pub(super) fn can_tell(&self, component: &Component) -> CanTell {
        match (self.driver.custody, component) {
            // What the host keeps running, it knows.
            (Custody::Host, Component::Application) => CanTell::Yes,
            (Custody::Host | Custody::Site, component) => self.driver.sight.of(component),
        }
    }

    /// Whether a driver works under this operation on an instance.
    /// Whether the answer to an effect is waited for; what was said of it meanwhile is over then.
    pub(super) fn takes_answer(
        &mut self,
        id: &InstanceId,
        component: &Component,
        operation: &OperationId,
    ) -> bool {
        self.drivers_say.remove(operation);
        self.is_busy(id, component, operation)
    }

    pub(super) fn is_busy(&self, id: &InstanceId, component: &Component, operation: &OperationId) -> bool {
        let busy = self.instance(id).and_then(|instance| instance.busy.get(component));
        busy.is_some_and(|busy| busy.operation == *operation)
    }
}
