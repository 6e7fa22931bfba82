//! The start of a kernel: what was recorded meets what is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet};

use super::memory::Memories;
use super::out::{About, Out};
use super::perform::{self, Life};
use super::release::{self, Releases};
use super::state::{
    Away, Census, Evidence, Fleet, InstanceState, Kept, LetGo, Place, Removed, Seats, SetState, Startup,
};
use super::zones::Neighbours;
use super::{doubts, held, look, members, modes, provision, sight, surge};
use crate::domain::{
    By, Change, Component, Custody, DriverTraits, Goal, Instance, InstanceId, Located, Membership, Now,
    OnFailure, PersonsWord, Provision, Runs, ScaleSet, ScaleSetName, Timestamp, Version,
};
use crate::record::audit::What;
use crate::record::{FoundInstance, StillNamed, Stored, StoredModel, Write};
use crate::rollout::{Event, MemberState, PartState, Purpose, Restored, Upgrade};

/// When one that has to go is looked at again whose driver is at something else.
const BUSY_AGAIN: Duration = Duration::from_secs(5);

/// A scale set as configured, and what its driver is.
#[derive(Debug, Clone)]
pub struct SetConfig {
    /// From the configuration.
    pub spec: ScaleSet,
    /// What its driver is.
    pub driver: DriverTraits,
    /// What becomes of an instance while its plugin fails.
    pub on_failure: OnFailure,
}

/// Builds the state, starts or looks at every instance, and takes up the upgrades that were under way.
pub(super) fn boot(
    sets: Vec<SetConfig>,
    releases: Releases,
    stored: &Stored,
    memories: &mut Memories,
    now: Now,
    out: &mut Out,
) -> Fleet {
    let mut fleet = Fleet { line: stored.line.clone(), releases, ..Fleet::default() };
    let mut shares = shares(stored);
    for set in sets {
        let share = shares.remove(&set.spec.name).unwrap_or_default();
        let state = set_state(set, (stored, &fleet.releases), share, now, out);
        fleet.regions.note(&state);
        fleet.sets.insert(state.spec.name.clone(), Arc::new(state));
    }
    match &stored.hold {
        Some(hold) => held::begin(&mut fleet, hold, now, out),
        None => take_up(&mut fleet, memories, Startup::Waits, now, out),
    }
    release::taken_up(&mut fleet, memories, now, out);
    doubts::count_all(&mut fleet);
    fleet
}

/// Asks again for what was in flight; and where the instances have not been taken up since the start of the host,
/// starts or looks at every one of them.
pub(super) fn take_up(fleet: &mut Fleet, memories: &mut Memories, startup: Startup, now: Now, out: &mut Out) {
    for name in fleet.names(|_| true) {
        if startup == Startup::Waits {
            doubts::resume(fleet, &name);
        }
        look::look(fleet, memories, &name, &[Event::Resumed], now, out);
        match startup {
            Startup::Waits => start_instances(fleet, memories, &name, now, out),
            Startup::Done => try_again(fleet, memories, &name, now, out),
        }
        provision::go_on(fleet, &name, now, out);
    }
}

/// The rows of the record that are about one set, so that each set looks at its own only.
#[derive(Default)]
struct Share<'a> {
    memberships: Vec<(&'a InstanceId, &'a Membership)>,
    memories: Vec<(&'a InstanceId, &'a [u8])>,
    versions: Vec<(&'a InstanceId, &'a Component, &'a Runs)>,
    words: Vec<(&'a InstanceId, &'a PersonsWord)>,
    discovered: Vec<(&'a InstanceId, &'a FoundInstance)>,
    provisions: Vec<(&'a InstanceId, &'a Provision)>,
}

impl Share<'_> {
    /// What a source has found.
    fn found(&self) -> OrdMap<InstanceId, Arc<Instance>> {
        let found = self.discovered.iter();
        found.map(|(id, found)| ((*id).clone(), Arc::new(found.instance.clone()))).collect()
    }
}

fn shares(stored: &Stored) -> BTreeMap<ScaleSetName, Share<'_>> {
    let mut shares: BTreeMap<ScaleSetName, Share<'_>> = BTreeMap::new();
    for ((set, id), membership) in &stored.memberships {
        shares.entry(set.clone()).or_default().memberships.push((id, membership));
    }
    for ((set, id), memory) in &stored.memories {
        shares.entry(set.clone()).or_default().memories.push((id, &memory.bytes));
    }
    for ((set, id), provision) in &stored.provisions {
        shares.entry(set.clone()).or_default().provisions.push((id, provision));
    }
    for ((set, id), found) in &stored.discovered {
        shares.entry(set.clone()).or_default().discovered.push((id, found));
    }
    for ((set, id), word) in &stored.words {
        shares.entry(set.clone()).or_default().words.push((id, word));
    }
    for ((set, id, component), runs) in &stored.versions {
        shares.entry(set.clone()).or_default().versions.push((id, component, runs));
    }
    shares
}

/// One scale set from its configuration and its record. A changed configuration of the model wins over an
/// older `upgrade start --to`; otherwise the record wins.
fn set_state(
    config: SetConfig,
    (stored, releases): (&Stored, &Releases),
    share: Share<'_>,
    now: Now,
    out: &mut Out,
) -> SetState {
    let SetConfig { mut spec, driver, on_failure } = config;
    let discovered = share.found();
    let held_back = share.discovered.iter().filter(|(_, found)| found.named == StillNamed::Held);
    let held_back = held_back.map(|(id, _)| (*id).clone()).collect();
    let listed = Arc::new(std::mem::take(&mut spec.instances));
    spec.instances = super::discovered::together(&listed, &discovered);
    let with_row = share.memberships.iter().map(|(id, _)| *id).collect();
    let upgrade = stored.upgrades.get(&spec.name);
    let put_off = members::in_hand::take_in(&mut spec.instances, upgrade, &with_row);
    let (model, good, said_anew) = model(&spec, stored, out);
    let quarantined = stored.quarantined.iter().filter(|((set, _), _)| *set == spec.name);
    let mut state = SetState {
        let_go: LetGo::default(),
        in_force: None,
        model,
        good,
        instances: OrdMap::new(),
        members: Census::default(),
        evidence: Evidence::default(),
        seats: Seats::default(),
        hooks_say: OrdMap::new(),
        drivers_say: OrdMap::new(),
        ended_in_bake: None,
        suspicion: None,
        doubted_alone: false,
        doubted_with: None,
        silence_beside: None,
        trusted_at: Timestamp::default(),
        unasked: OrdSet::new(),
        look_due: OrdSet::new(),
        looking: OrdSet::new(),
        due: OrdSet::new(),
        to_provision: OrdSet::new(),
        provision_due: OrdSet::new(),
        away: OrdMap::new(),
        away_due: OrdSet::new(),
        put_off: OrdMap::new(),
        ids_gone: OrdSet::new(),
        upgrade: stored.upgrades.get(&spec.name).cloned().map(Arc::new),
        touched: stored.touched.get(&spec.name).cloned().map(Arc::new),
        quarantined: quarantined.map(|((_, change), reason)| (change.clone(), reason.clone())).collect(),
        kept_back: release::kept_back_of(&spec, releases),
        words: share.words.iter().map(|(id, word)| ((*id).clone(), (*word).clone())).collect(),
        retry: stored.retries.get(&spec.name).cloned(),
        line: stored.line.clone(),
        release_hold: false,
        neighbours: Neighbours::default(),
        zone_until: None,
        answers: Vec::new(),
        dirty: true,
        wake_at: None,
        stepped_at: now.at,
        spec: Arc::new(spec),
        kept_running: driver.custody,
        listed,
        discovered,
        held_back,
        driver,
        on_failure,
    };
    instances(&mut state, share, now, out);
    members::in_hand::leave_later(&mut state, &put_off, out);
    members::reconfigured(&mut state, &[], now, out);
    orphans(&mut state, out);
    if said_anew == SaidAnew::Yes {
        modes::said_anew(&mut state, now, out);
    }
    state
}

/// Whether the file says something else of a set that was known than it said before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SaidAnew {
    Yes,
    No,
}

/// What is wanted of a set, and what it began with or what last Completed.
fn model(spec: &ScaleSet, stored: &Stored, out: &mut Out) -> (Goal, BTreeMap<Component, Version>, SaidAnew) {
    let name = &spec.name;
    let mut good_ones = BTreeMap::new();
    // What the file says of a set that nobody knew is where it begins.
    let is_known = stored.models.keys().any(|(set, _)| set == name);
    let mut said_anew = SaidAnew::No;
    let mut wanted = |change: &Change| {
        let component = change.component.clone();
        let configured = change.to.clone();
        let recorded = stored.models.get(&(name.clone(), component.clone()));
        // What the file said first is what the set began with, also when it says something else by now.
        let before = recorded.map(|model| model.good.as_ref().unwrap_or(&model.configured).clone());
        let defined = release::defined(spec, &component, &configured);
        // An earlier build has recorded no more than the version.
        let is_same = |model: &&StoredModel| model.configured == defined || model.configured == configured;
        if let Some(model) = recorded.filter(is_same) {
            let good = before.unwrap_or(configured);
            good_ones.insert(component.clone(), good.clone());
            if model.configured != defined {
                let model = StoredModel { configured: defined, good: Some(good), ..model.clone() };
                out.writes.push(Write::Model(name.clone(), component.clone(), model));
            }
            return Change { component, to: model.version.clone() };
        }
        said_anew = if is_known { SaidAnew::Yes } else { said_anew };
        // At creation, and at a change of the definition, the catalogue says what a type stands for.
        let version = release::resolved(spec, &component, stored).unwrap_or_else(|| configured.clone());
        let good = before.unwrap_or_else(|| version.clone());
        good_ones.insert(component.clone(), good.clone());
        let model = StoredModel { version: version.clone(), configured: defined, good: Some(good) };
        out.writes.push(Write::Model(name.clone(), component.clone(), model));
        Change { component, to: version }
    };
    let model = Goal::new(spec.model.goal().changes().map(&mut wanted).collect::<Vec<_>>());
    (model, good_ones, said_anew)
}

/// Puts in what the configuration lists and what was created, without what was deleted.
fn instances(state: &mut SetState, share: Share<'_>, now: Now, out: &mut Out) {
    let spec = Arc::clone(&state.spec);
    for instance in spec.instances.values() {
        state.insert(InstanceState::new(&spec, Arc::clone(instance), now.at));
    }
    for (id, membership) in &share.memberships {
        recorded(state, id, membership, now, out);
    }
    removed_meanwhile(state, &share, now, out);
    let new = new_ones(state, &share);
    for (id, bytes) in share.memories {
        state.change(id, |instance| instance.memory = Some(Arc::from(bytes)));
        state.change_removed(id, |removed| removed.kept.memory = Some(Arc::from(bytes)));
    }
    for (id, component, runs) in share.versions {
        state.ids_gone.insert(id.clone());
        let lost = runs.version().is_none() && *component == Component::Application;
        state.change(id, |instance| {
            instance.set_runs(component, runs.clone());
            instance.lost |= lost;
        });
        state.change_removed(id, |removed| removed.kept.set_runs(component, runs.clone()));
    }
    for (id, recorded) in share.provisions {
        let recorded = Some(Arc::new(recorded.clone()));
        state.change(id, |instance| instance.provision.clone_from(&recorded));
        state.change_removed(id, |removed| removed.kept.provision.clone_from(&recorded));
    }
    for id in new {
        provision::begin(state, &id, now, out);
    }
    let Some(upgrade) = state.upgrade.clone() else { return };
    let unknown = state.instances().filter(|instance| instance.runs.version().is_none());
    let asked: Vec<(InstanceId, Version)> = unknown
        .filter_map(|instance| Some((instance.spec.id.clone(), asked_before(&upgrade, instance)?)))
        .collect();
    for (id, version) in asked {
        state.change(&id, |instance| instance.asked = Some(version));
    }
}

/// Those of which nothing is recorded: they have never been here.
fn new_ones(state: &SetState, share: &Share<'_>) -> Vec<InstanceId> {
    if state.spec.model.extensions.is_empty() {
        return Vec::new();
    }
    let versions = share.versions.iter().map(|(id, _, _)| *id);
    let memberships = share.memberships.iter().map(|(id, _)| *id);
    let memories = share.memories.iter().map(|(id, _)| *id);
    let provisions = share.provisions.iter().map(|(id, _)| *id);
    let known: BTreeSet<&InstanceId> =
        versions.chain(memberships).chain(memories).chain(provisions).collect();
    state.spec.instances.keys().filter(|id| !known.contains(id)).cloned().collect()
}

/// What is recorded of instances that nobody lists any more since the host ended is kept for a while, as of those that
/// go while it runs.
fn removed_meanwhile(state: &mut SetState, share: &Share<'_>, now: Now, out: &mut Out) {
    let known = share.versions.iter().filter(|(_, _, runs)| **runs != Runs::UNKNOWN);
    let all = known.map(|(id, _, _)| *id);
    let all =
        all.chain(share.memories.iter().map(|(id, _)| *id)).chain(share.words.iter().map(|(id, _)| *id));
    let all = all.chain(share.provisions.iter().map(|(id, _)| *id));
    let is_gone = |id: &&InstanceId| state.instance(id).is_none() && state.away(id).is_none();
    let gone: BTreeSet<InstanceId> = all.filter(is_gone).cloned().collect();
    for id in gone {
        let removed =
            Removed { forget_at: now.at + state.spec.forget_after, end: None, kept: Kept::default() };
        let away = Away::Removed(Box::new(removed));
        let row = Some(Box::new(away.membership()));
        out.writes.push(Write::Membership(state.spec.name.clone(), id.clone(), row));
        state.put_away(&id, away);
    }
}

/// What an instance was brought to last that did not come up: not the model, which may be the target of an
/// upgrade that left it out or has not come to it yet. None of a new one.
fn asked_before(upgrade: &Upgrade, instance: &InstanceState) -> Option<Version> {
    let id = &instance.spec.id;
    let before = match &instance.place {
        Place::Member { replaced: Some(before) } | Place::Coming { replaces: before } => Some(before),
        Place::Member { replaced: None } | Place::Leaving { .. } => None,
    };
    let member = std::iter::once(id).chain(before).find_map(|key| {
        let member = upgrade.members.get(key)?;
        (member.occupant(key) == id || member.watched(key) == id).then_some(member)
    });
    let untouched = match upgrade.purpose {
        Purpose::Forward | Purpose::Manual => &upgrade.before,
        Purpose::Rollback { .. } => &upgrade.goal,
    };
    let untouched = untouched.of(&Component::Application).filter(|_| instance.lost || member.is_some());
    let part = member.and_then(|member| {
        let mut parts = member.parts.iter();
        parts.find(|part| part.component == Component::Application)
    });
    let Some(part) = part else { return untouched.cloned() };
    match &part.state {
        PartState::Applied
        | PartState::Proven
        | PartState::Failed { restored: Restored::NotTried | Restored::No(_), .. } => {
            Some(part.target.clone())
        }
        PartState::Waiting | PartState::Failed { restored: Restored::Yes | Restored::NotNeeded, .. } => {
            part.previous.as_ref().or(untouched).cloned()
        }
    }
}

/// One instance that came or went: what was deleted stays away, what was created is there.
fn recorded(state: &mut SetState, id: &InstanceId, membership: &Membership, now: Now, out: &mut Out) {
    state.ids_gone.insert(id.clone());
    let (instance, place, located): (&Instance, Place, Located) = match membership {
        Membership::Removed { forget_at } => {
            if state.instance(id).is_some() {
                // It is listed again.
                out.writes.push(Write::Membership(state.spec.name.clone(), id.clone(), None));
            } else {
                let removed = Removed { forget_at: *forget_at, end: None, kept: Kept::default() };
                state.put_away(id, Away::Removed(Box::new(removed)));
            }
            return;
        }
        Membership::Deleted { replaced_by } => {
            state.put_away(id, Away::Deleted { replaced_by: replaced_by.clone() });
            if state.take_out(id).is_some() {
                let about = About { instance: Some(id), ..About::set(&state.spec.name) };
                let what = What::StaysDeleted { replaced_by: replaced_by.clone() };
                out.audit(about, By::host(), what, now);
            }
            return;
        }
        Membership::Leaving { instance, located, replaced_by } => {
            (instance, Place::Leaving { replaced_by: replaced_by.clone() }, *located)
        }
        Membership::Creating { instance, replaces } => {
            (instance, Place::Coming { replaces: replaces.clone() }, Located::Never)
        }
        Membership::Created { instance, replaces } => {
            let is_coming = state.upgrade.as_ref().is_some_and(|upgrade| is_beside(upgrade, replaces, id));
            let place = if is_coming {
                Place::Coming { replaces: replaces.clone() }
            } else {
                Place::Member { replaced: Some(replaces.clone()) }
            };
            (instance, place, Located::Yes)
        }
    };
    // The configuration knows better where it is and what it is like.
    let listed = state.spec.instances.get(id).filter(|_| located == Located::Yes);
    let spec = listed.map_or_else(|| Arc::new(instance.clone()), Arc::clone);
    let mut back = InstanceState::new(&state.spec, spec, now.at);
    (back.place, back.located) = (place, located);
    state.insert(back);
}

/// What came beside another one and belongs to no running upgrade has to go.
pub(super) fn orphans(state: &mut SetState, out: &mut Out) -> Vec<InstanceId> {
    let upgrade = state.upgrade.clone();
    let is_orphan = |instance: &&InstanceState| match &instance.place {
        Place::Coming { replaces } => {
            !upgrade.as_ref().is_some_and(|upgrade| is_beside(upgrade, replaces, &instance.spec.id))
        }
        Place::Member { .. } | Place::Leaving { .. } => false,
    };
    let orphans: Vec<InstanceId> =
        state.instances().filter(is_orphan).map(|instance| instance.spec.id.clone()).collect();
    for id in &orphans {
        let membership = state.change(id, |instance| {
            instance.place = Place::Leaving { replaced_by: None };
            surge::membership(instance).map(Box::new)
        });
        out.writes.push(Write::Membership(state.spec.name.clone(), id.clone(), membership.flatten()));
    }
    orphans
}

/// Whether a running upgrade has an instance in hand that is to take the place of another.
fn is_beside(upgrade: &Upgrade, replaces: &InstanceId, id: &InstanceId) -> bool {
    let member = upgrade.members.get(replaces).filter(|_| upgrade.is_active());
    member.is_some_and(|member| {
        let swapped = matches!(member.state, MemberState::Deleting { .. });
        member.replacement() == Some(id) && member.state.is_in_flight() && !swapped
    })
}

/// Brings every instance up at the version that it ran last; a new one at the model's. Where the site keeps
/// the instances running, only asks what they run. One whose upgrade is in flight is left to the upgrade.
fn start_instances(fleet: &mut Fleet, memories: &mut Memories, name: &ScaleSetName, now: Now, out: &mut Out) {
    // Effects of the upgrade have been asked for again; some of them on new instances. Those on extensions
    // are no reason not to start the application.
    let mine = out.effects.iter().filter_map(super::effect::Effect::of_application);
    let in_flight: BTreeSet<InstanceId> =
        mine.filter(|(set, _)| *set == name).map(|(_, id)| id.clone()).collect();
    let Some(set) = fleet.change(name) else { return };
    let idle: Vec<(InstanceId, bool)> = set
        .instances()
        .filter(|instance| !in_flight.contains(&instance.spec.id))
        .map(|instance| (instance.spec.id.clone(), members::is_leaving(instance)))
        .collect();
    for (id, is_leaving) in idle {
        if is_leaving {
            surge::delete_again(set, memories, &id, now, out);
            continue;
        }
        let Some(instance) = set.instance(&id).filter(|instance| instance.located == Located::Yes) else {
            continue;
        };
        match set.driver.custody {
            Custody::Site => sight::look(set, &id, now, out),
            Custody::Host => {
                let version = set.version_at_start(instance);
                perform::start(set, &id, version, Life::New, now, out);
            }
        }
    }
}

/// Starts and deletions whose next try has come.
pub(super) fn try_again(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) {
    let Some(set) = fleet.change(name) else { return };
    let due: Vec<InstanceId> =
        set.due.iter().take_while(|(at, _)| *at <= now.at).map(|(_, id)| id.clone()).collect();
    for id in due {
        let again = set.change(&id, |instance| {
            let is_leaving = matches!(instance.place, Place::Leaving { .. });
            // What its driver is at comes to an end first.
            instance.retry_at = (is_leaving && !instance.busy.is_empty()).then_some(now.at + BUSY_AGAIN);
            // Not the model: that may be the target of an upgrade that left this one out.
            let asked = instance.asked.clone();
            instance.busy.is_empty().then_some((is_leaving, asked))
        });
        match again.flatten() {
            Some((true, _)) => surge::delete_again(set, memories, &id, now, out),
            Some((false, Some(version))) => perform::start(set, &id, version, Life::Same, now, out),
            Some((false, None)) | None => {}
        }
    }
}
