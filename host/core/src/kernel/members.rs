//! From one list of members of a scale set to another, in one turn, while everything else goes on.
//!
//! Who is new is started or looked at, and joins no upgrade that has its plan. Who is gone leaves the running upgrade
//! as one that nobody has any more; what the host kept running of it ends, and what is recorded of it is forgotten
//! after a while. Who stands elsewhere begins a new life there. Knows no file and no source of instances.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

pub(super) mod in_hand;

use super::done::{after_failure, runs_what_was_wanted};
use super::effect::{Delete, Effect};
use super::event::{Deleted, Done};
use super::memory::Memories;
use super::out::{About, Out};
use super::perform::{self, Life, announce};
use super::state::{Away, End, Fleet, InstanceState, Kept, Place, Removed, SetState};
use super::surge::{self, DELETE_AGAIN};
use super::{boot, discovered, doubts, look, provision, sight};
use crate::domain::{By, Component, Custody, Instance, InstanceId, Located, Membership, Now, ScaleSetName};
use crate::record::Write;
use crate::record::audit::{Leaves, Several, What};
use crate::rollout::{Member, Upgrade};

/// The members of a set, as the configuration or a source lists them.
pub(super) type Members = BTreeMap<InstanceId, Arc<Instance>>;

/// Goes over to another list of members; nothing happens when it is the same one.
pub(super) fn go_over(
    fleet: &mut Fleet,
    name: &ScaleSetName,
    next: Members,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let may_touch = MayTouch::of(fleet);
    let next = put_off(fleet, name, next, by, out);
    let Ok(before) = fleet.set(name) else { return };
    let differs = Differs::between(&before.spec.instances, &next);
    if differs.is_nothing() {
        return;
    }
    let Some(set) = fleet.change(name) else { return };
    Arc::make_mut(&mut set.spec).instances = next;
    for id in &differs.removed {
        remove(set, id, now, out);
    }
    let replaced: Vec<InstanceId> = differs
        .changed
        .iter()
        .filter(|id| change(set, id, may_touch, now, out) == Stands::Elsewhere)
        .cloned()
        .collect();
    for id in &differs.added {
        add(set, id, may_touch, now, out);
    }
    in_hand::changed(set, &differs.changed, out);
    let Differs { added, removed, changed } = differs;
    let [added, removed, changed] = [added, removed, changed].map(Several::of);
    out.audit(About::set(name), by.clone(), What::Members { added, removed, changed }, now);
    reconfigured(set, &replaced, now, out);
    // Whose place somebody was to take is gone, and so has that one to go.
    for id in boot::orphans(set, out) {
        set.change(&id, |instance| instance.retry_at = Some(now.at));
    }
    doubts::reconsider(set, now, out);
    set.dirty = true;
}

/// Keeps those for a while for whom a driver or a hook is at work: the batch is not over before, and what a hook has taken
/// away is given back.
fn put_off(fleet: &mut Fleet, name: &ScaleSetName, mut next: Members, by: &By, out: &mut Out) -> Members {
    let Some(set) = fleet.change(name) else { return next };
    let Some(upgrade) = set.upgrade.as_mut().filter(|upgrade| upgrade.is_active()) else {
        set.put_off = OrdMap::new();
        return next;
    };
    let goes = |id: &InstanceId| !next.contains_key(id) && set.spec.instances.contains_key(id);
    let in_hand = |id: &&InstanceId| upgrade.members.get(id).is_some_and(Member::is_in_hand);
    let waits: Vec<InstanceId> =
        upgrade.members.in_flight().filter(|id| goes(id)).filter(in_hand).cloned().collect();
    for id in Arc::make_mut(upgrade).leaving(|id| waits.contains(id)) {
        out.writes.push(look::member_write(upgrade, &id));
    }
    let wanted = |id: &InstanceId| set.put_off.get(id).unwrap_or(by).clone();
    set.put_off = waits.iter().map(|id| (id.clone(), wanted(id))).collect();
    next.extend(waits.into_iter().filter_map(|id| {
        let kept = set.spec.instances.get(&id)?;
        Some((id, Arc::clone(kept)))
    }));
    next
}

/// Lets those go who had to wait, and for whom nothing is in hand any more.
fn take_out_put_off(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    let Ok(set) = fleet.set(name) else { return };
    let in_hand = |id: &InstanceId| {
        set.active().and_then(|upgrade| upgrade.members.get(id)).is_some_and(Member::is_in_hand)
    };
    let over = set.put_off.iter().find(|(id, _)| !in_hand(id)).map(|(_, by)| by.clone());
    let Some(by) = over else { return };
    let next = discovered::together(&set.listed, &set.discovered);
    go_over(fleet, name, next, &by, now, out);
}

/// What two lists do not have in common.
#[derive(Debug, Default)]
struct Differs {
    added: Vec<InstanceId>,
    removed: Vec<InstanceId>,
    changed: Vec<InstanceId>,
}

impl Differs {
    fn between(before: &Members, next: &Members) -> Self {
        let is_new = |id: &&InstanceId| !before.contains_key(*id);
        let is_gone = |id: &&InstanceId| !next.contains_key(*id);
        let is_other = |(id, instance): &(&InstanceId, &Arc<Instance>)| {
            before.get(*id).is_some_and(|known| !Arc::ptr_eq(known, instance) && known != *instance)
        };
        Self {
            added: next.keys().filter(is_new).cloned().collect(),
            removed: before.keys().filter(is_gone).cloned().collect(),
            changed: next.iter().filter(is_other).map(|(id, _)| id.clone()).collect(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Whether drivers may be told to do anything: while the host holds they may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayTouch {
    Yes,
    Later,
}

impl MayTouch {
    pub(super) fn of(fleet: &Fleet) -> Self {
        if fleet.held.is_some() { Self::Later } else { Self::Yes }
    }
}

/// Nobody lists it any more.
fn remove(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    // One that an upgrade has created, or is about to delete, has a row of its own and goes by that.
    if set.instance(id).is_none_or(|instance| instance.membership().is_some()) {
        return;
    }
    let Some(gone) = set.take_out(id) else { return };
    let name = set.spec.name.clone();
    out.effects.push(Effect::Forget(name.clone(), id.clone()));
    let end = (set.kept_running == Custody::Host).then(|| End {
        instance: Arc::clone(&gone.spec),
        located: gone.located,
        at: now.at,
        told: None,
    });
    let forget_at = now.at + set.spec.forget_after;
    let away = Away::Removed(Box::new(Removed { forget_at, end, kept: Kept::of(&gone) }));
    out.writes.push(Write::Membership(name, id.clone(), Some(Box::new(away.membership()))));
    set.put_away(id, away);
}

/// It is new, or comes back.
fn add(set: &mut SetState, id: &InstanceId, may_touch: MayTouch, now: Now, out: &mut Out) {
    if set.instance(id).is_some() {
        change(set, id, may_touch, now, out);
        return;
    }
    let (Some(spec), name) = (set.spec.instances.get(id).map(Arc::clone), set.spec.name.clone()) else {
        return;
    };
    let mut state = InstanceState::new(&set.spec, spec, now.at);
    let was_away = set.away(id).is_some();
    match set.away(id) {
        Some(Away::Deleted { replaced_by }) => {
            let what = What::StaysDeleted { replaced_by: replaced_by.clone() };
            let about = About { instance: Some(id), ..About::set(&name) };
            return out.audit(about, By::host(), what, now);
        }
        Some(Away::Removed(_)) => {
            if let Some(Away::Removed(removed)) = set.take_away(id) {
                removed.kept.give(&mut state);
            }
            if set.driver.custody == Custody::Host {
                // What was being started has ended since, or does before it is started again.
                state.busy.remove(&Component::Application);
            }
            out.writes.push(Write::Membership(name.clone(), id.clone(), None));
            let memory = state.memory.clone();
            out.effects.extend(memory.map(|memory| Effect::Remember(name, id.clone(), memory)));
        }
        None => {}
    }
    set.insert(state);
    if !was_away {
        provision::begin(set, id, now, out);
    }
    bring_up(set, id, may_touch, now, out);
}

/// Where an instance stands whose entry has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// Where it did.
    There,
    /// At another address.
    Elsewhere,
}

/// It is there, and something of it is another one.
fn change(set: &mut SetState, id: &InstanceId, may_touch: MayTouch, now: Now, out: &mut Out) -> Stands {
    let Some(next) = set.spec.instances.get(id).map(Arc::clone) else { return Stands::There };
    let spec = Arc::clone(&set.spec);
    let moved = set.change(id, |instance| {
        // One that has no place yet gets it from its driver.
        if instance.located == Located::Never {
            return false;
        }
        let moved = instance.spec.address != next.address && instance.is_member();
        instance.spec = next;
        if moved {
            instance.begin_life(&spec, now.at);
            // What was asked there says nothing of what is here.
            instance.looking.clear();
        }
        moved
    });
    match moved {
        Some(true) => bring_up(set, id, may_touch, now, out),
        Some(false) => announce(set, id, out),
        None => {}
    }
    if moved == Some(true) { Stands::Elsewhere } else { Stands::There }
}

/// An instance is to run where it stands: started by the host, or looked at where the site keeps it running.
pub(super) fn bring_up(set: &mut SetState, id: &InstanceId, may_touch: MayTouch, now: Now, out: &mut Out) {
    let Some(instance) = set.instance(id).filter(|instance| instance.located == Located::Yes) else { return };
    if set.driver.custody == Custody::Site {
        return sight::look(set, id, now, out);
    }
    let version = set.version_at_start(instance);
    let is_busy = instance.busy.contains_key(&Component::Application);
    if may_touch == MayTouch::Yes && !is_busy {
        return perform::start(set, id, version, Life::New, now, out);
    }
    set.change(id, |instance| {
        // What its driver is about to start stands where it was.
        instance.starts_again = is_busy;
        instance.asked.get_or_insert(version);
        instance.retry_at = (!is_busy).then_some(now.at);
    });
    announce(set, id, out);
}

/// What is due of those that are not there: the end of what runs, and what is forgotten.
pub(super) fn settle(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) {
    take_out_put_off(fleet, name, now, out);
    let is_due = |set: &Arc<SetState>| set.away_due.get_min().is_some_and(|(at, _)| *at <= now.at);
    if !fleet.set(name).is_ok_and(is_due) {
        return;
    }
    let Some(set) = fleet.change(name) else { return };
    let due: Vec<InstanceId> =
        set.away_due.iter().take_while(|(at, _)| *at <= now.at).map(|(_, id)| id.clone()).collect();
    for id in due {
        if !end(set, &id, out) {
            forget(set, memories, &id, now, out);
        }
    }
}

/// Has the driver end what the host kept running of one that was removed; gives whether there is anything to end.
fn end(set: &mut SetState, id: &InstanceId, out: &mut Out) -> bool {
    let operation = out.operation("end", &set.spec.name, id);
    let (scale_set, fence) = (set.spec.name.clone(), out.numbers.fence);
    let request = set.change_removed(id, |removed| {
        let end = removed.end.as_mut()?;
        end.told = Some(operation.clone());
        let (instance, located) = ((*end.instance).clone(), end.located);
        Some(Delete { scale_set, instance, located, operation, fence })
    });
    let request = request.flatten();
    let is_to_end = request.is_some();
    out.effects.extend(request.map(|request| Effect::Dismiss(Box::new(request))));
    is_to_end
}

/// Nobody listed it for long enough.
fn forget(set: &mut SetState, memories: &mut Memories, id: &InstanceId, now: Now, out: &mut Out) {
    let name = set.spec.name.clone();
    set.take_away(id);
    set.words.remove(id);
    memories.forget(&name, id, now.at);
    out.writes.push(Write::Forgotten(name, id.clone()));
}

/// Everything that is recorded of one that was removed, where it may have been forgotten and was not.
pub(super) fn rows(set: &SetState, id: &InstanceId) -> Vec<Write> {
    let Some(Away::Removed(removed)) = set.away(id) else { return Vec::new() };
    let name = || set.spec.name.clone();
    let membership = Membership::Removed { forget_at: removed.forget_at };
    let mut rows = vec![Write::Membership(name(), id.clone(), Some(Box::new(membership)))];
    let runs = removed.kept.all_runs();
    rows.extend(runs.map(|(component, runs)| Write::Runs(name(), id.clone(), component, runs.clone())));
    rows.extend(provision::row(set, id));
    rows.extend(set.words.get(id).map(|word| Write::Word(name(), id.clone(), Some(word.clone()))));
    let memory = removed.kept.memory.as_ref();
    rows.extend(memory.map(|bytes| {
        let memory = crate::record::StoredMemory { plugin: set.spec.plugin.clone(), bytes: bytes.to_vec() };
        Write::Memory(name(), id.clone(), Some(memory))
    }));
    rows
}

/// Takes in that what the host kept running of one that was removed has ended, or has not; gives whether it was that.
pub(super) fn ended(fleet: &mut Fleet, deleted: &Deleted, now: Now, out: &mut Out) -> bool {
    let Deleted { scale_set, instance: id, operation, answer } = deleted;
    let told =
        |removed: &Removed| removed.end.as_ref().is_some_and(|end| end.told.as_ref() == Some(operation));
    let is_it = |set: &Arc<SetState>| set.away(id).and_then(Away::removed).is_some_and(told);
    if !fleet.set(scale_set).is_ok_and(is_it) {
        return false;
    }
    let Some(set) = fleet.change(scale_set) else { return true };
    let again_at = now.at + DELETE_AGAIN.after(1, out.numbers.operation);
    set.change_removed(id, |removed| match answer {
        Ok(()) => removed.end = None,
        Err(_) => {
            if let Some(end) = &mut removed.end {
                (end.told, end.at) = (None, again_at);
            }
        }
    });
    if let Err(reason) = answer {
        let text = format!("was removed and could not be ended: {reason}");
        out.changes.troubles.push((scale_set.clone(), id.clone(), text));
    }
    true
}

/// Takes in the answer to an effect on one that was removed meanwhile: what it has is so, and nobody waits for it.
pub(super) fn done(set: &mut SetState, done: Done, out: &mut Out) {
    let Done { scale_set, instance: id, component, operation, answer, touched, seen } = done;
    let can_tell = set.can_tell(&component);
    let runs = set.change_removed(&id, |removed| {
        let kept = &mut removed.kept;
        if kept.busy.get(&component).is_none_or(|busy| busy.operation != operation) {
            return None;
        }
        let wanted = kept.busy.remove(&component).and_then(|busy| busy.wanted);
        let before = kept.runs_of(&component).clone();
        let runs = match answer {
            Ok(()) => {
                runs_what_was_wanted(can_tell, seen.clone(), wanted).unwrap_or_else(|_| before.after(seen))
            }
            Err(_) => after_failure(&before, touched, seen),
        };
        (runs != before).then(|| {
            kept.set_runs(&component, runs.clone());
            runs
        })
    });
    let runs = runs.flatten();
    out.writes.extend(runs.map(|runs| Write::Runs(scale_set, id, component, runs)));
}

/// What is listed no longer, protected now or somewhere else leaves the running upgrade, or its batch; so does what was
/// upgraded of those that are at another address, where the host does not start them there.
pub(super) fn reconfigured(set: &mut SetState, replaced: &[InstanceId], now: Now, out: &mut Out) {
    let Some(mut upgrade) = set.upgrade.take() else { return };
    if upgrade.is_active() {
        let replaced = if set.driver.custody == Custody::Site { replaced } else { &[] };
        for id in Arc::make_mut(&mut upgrade).replaced(replaced) {
            let what = What::Leaves { why: Leaves::Replaced };
            out.audit(About::upgrade(&upgrade, Some(&id)), By::host(), what, now);
            out.writes.push(look::member_write(&upgrade, &id));
        }
        moved(set, Arc::make_mut(&mut upgrade), now, out);
        let is_there = |id: &InstanceId| set.instance(id).is_some();
        let is_protected =
            |id: &InstanceId| set.instance(id).is_some_and(|instance| set.is_protected(instance));
        for id in Arc::make_mut(&mut upgrade).reconfigured(is_there, is_protected, now.at) {
            let why = if is_there(&id) { Leaves::Protected } else { Leaves::Removed };
            out.audit(About::upgrade(&upgrade, Some(&id)), By::host(), What::Leaves { why }, now);
            out.writes.push(look::member_write(&upgrade, &id));
        }
        out.writes.push(Write::LeftOut(upgrade.id.clone(), Box::new(upgrade.left_out())));
        out.writes.push(Write::Upgrade(Box::new(upgrade.head())));
    }
    set.upgrade = Some(upgrade);
}

fn moved(set: &SetState, upgrade: &mut Upgrade, now: Now, out: &mut Out) {
    let borders = |id: &InstanceId| {
        let spec = &set.instance(id)?.spec;
        Some((spec.zone.clone(), spec.update_domain))
    };
    let rolling = upgrade.policy.rolling.clone();
    let batch_max = |domain| rolling.batch_max(set.whole_of(rolling.batch_of, domain));
    let (moved, numbers) = upgrade.moved(borders, batch_max);
    for id in &moved {
        out.audit(About::upgrade(upgrade, Some(id)), By::host(), What::Leaves { why: Leaves::Moved }, now);
        out.writes.push(look::member_write(upgrade, id));
    }
    if !moved.is_empty() {
        out.writes.extend(numbers.into_iter().map(|number| look::batch_write(upgrade, number)));
        out.writes.push(Write::Order(upgrade.id.clone(), upgrade.order()));
    }
}

/// What is recorded of who is there or away, if anything.
pub(super) fn membership(set: &SetState, id: &InstanceId) -> Option<Membership> {
    match set.instance(id) {
        Some(instance) => surge::membership(instance),
        None => set.away(id).map(Away::membership),
    }
}

/// Whether an instance goes.
pub(super) fn is_leaving(instance: &InstanceState) -> bool {
    matches!(instance.place, Place::Leaving { .. })
}

#[cfg(test)]
mod tests;
