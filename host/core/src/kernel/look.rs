//! An upgrade looks: one step of the rollout, and everything that follows from it in the same turn.

use std::sync::Arc;
use std::time::Duration;

use super::effect::{Again, Ask, Effect};
use super::memory::Memories;
use super::out::Out;
use super::perform::{self, Creation, Life, Wish};
use super::state::{Fleet, SetState};
use super::trail::{self, Before};
use super::watched::Stepped;
use super::zones::Waits;
use super::{doubts, ended, hooks, members, sight, surge, zones};
use crate::domain::{Now, ScaleSetName};
use crate::record::Write;
use crate::rollout::{Action, Event, Extent, Step, Upgrade, step};

/// What begins in the millisecond in which a batch ended may have begun before.
const A_MOMENT_LATER: Duration = Duration::from_millis(2);

/// Whether the upgrade of a set has a reason to look.
pub(super) fn is_woken(set: &SetState, now: Now) -> bool {
    let due = set.wake_at.is_some_and(|at| at <= now.at);
    set.active().is_some() && (set.dirty || !set.answers.is_empty() || due)
}

/// Steps one upgrade with the drivers' answers and these events.
pub(super) fn look(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    events: &[Event],
    now: Now,
    out: &mut Out,
) {
    zones::look_beside(fleet, name, now.at);
    doubts::look_beside(fleet, name);
    let Some(set) = fleet.change(name) else { return };
    set.dirty = false;
    let mut all = std::mem::take(&mut set.answers);
    all.extend_from_slice(events);
    let Some(mut upgrade) = set.upgrade.take() else { return };
    let before = Before::of(&upgrade);
    let unstepped = out.keeps_steps().then(|| Arc::clone(&upgrade));
    let stepped = step(Arc::make_mut(&mut upgrade), &set.view(now), &all, now.at);
    members::in_hand::remember(set, Arc::make_mut(&mut upgrade), &stepped.changed);
    if let Some(before) = unstepped {
        let seen = (all, stepped.clone());
        out.stepped.push(Stepped::new(before, Arc::clone(&upgrade), seen, (set, now)));
    }
    (set.wake_at, set.stepped_at) = (stepped.wake_at, now.at);
    trail::step(&upgrade, &before, &stepped, set, now, out);
    record(&upgrade, &stepped, out);
    let (actions, waits_for_zone) = (stepped.actions, stepped.waits_for_zone);
    if !stepped.ask.is_empty() {
        let instances = stepped.ask.into_iter().collect();
        out.effects.push(Effect::Ask(Ask { scale_set: name.clone(), instances, after: A_MOMENT_LATER }));
    }
    for id in &stepped.look {
        sight::look(set, id, now, out);
    }
    let ended = before.was_active() && !upgrade.is_active();
    set.upgrade = Some(upgrade);
    let waits = if waits_for_zone { Waits::ForItsZone } else { Waits::No };
    zones::note(fleet, name, waits, now.at);
    for action in actions {
        perform(fleet, memories, name, action, now, out);
    }
    if ended {
        ended::ended(fleet, memories, name, now, out);
    }
}

/// Of a host that ends: what drivers have answered counts, whatever follows from it is for the next host.
pub(super) fn last_answers(fleet: &mut Fleet, memories: &mut Memories, now: Now, out: &mut Out) {
    if fleet.held.is_some() {
        return;
    }
    for name in fleet.touched.clone() {
        if fleet.set(&name).is_ok_and(|set| set.active().is_some() && !set.answers.is_empty()) {
            look(fleet, memories, &name, &[], now, out);
        }
    }
}

/// Records the pieces of an upgrade that a step has changed.
fn record(upgrade: &Upgrade, step: &Step, out: &mut Out) {
    let Step { changed, batches_changed, order_changed, left_out_changed, head_changed, .. } = step;
    out.writes.extend(changed.iter().map(|id| member_write(upgrade, id)));
    out.writes.extend(batches_changed.iter().map(|number| batch_write(upgrade, *number)));
    if *order_changed {
        out.writes.push(Write::Order(upgrade.id.clone(), upgrade.order()));
    }
    if *left_out_changed {
        out.writes.push(Write::LeftOut(upgrade.id.clone(), Box::new(upgrade.left_out())));
    }
    if *head_changed {
        out.writes.push(Write::Upgrade(Box::new(upgrade.head())));
    }
}

/// Records a whole upgrade.
pub(super) fn record_all(upgrade: &Upgrade, out: &mut Out) {
    out.writes.push(Write::Upgrade(Box::new(upgrade.head())));
    out.writes.push(Write::Order(upgrade.id.clone(), upgrade.order()));
    out.writes.push(Write::LeftOut(upgrade.id.clone(), Box::new(upgrade.left_out())));
    out.writes.extend(upgrade.order().into_iter().map(|number| batch_write(upgrade, number)));
    // In the order of the batches: a store may keep together what is changed together.
    let mut members: Vec<_> = upgrade.members.iter().collect();
    members.sort_by_key(|(_, member)| member.batch());
    out.writes.extend(members.into_iter().map(|(id, _)| member_write(upgrade, id)));
}

/// What is recorded of a batch as it is now.
pub(super) fn batch_write(upgrade: &Upgrade, number: u32) -> Write {
    Write::Batch(upgrade.id.clone(), number, upgrade.batch(number).cloned().map(Box::new))
}

/// What is recorded of a member as it is now.
pub(super) fn member_write(upgrade: &Upgrade, id: &crate::domain::InstanceId) -> Write {
    match upgrade.members.get(id) {
        Some(member) => Write::Member(upgrade.id.clone(), id.clone(), Box::new(member.clone())),
        None => Write::MemberLeft(upgrade.id.clone(), id.clone()),
    }
}

fn perform(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    action: Action,
    now: Now,
    out: &mut Out,
) {
    match action {
        Action::Apply { instance, component, version, operation } => {
            let Some(set) = fleet.change(name) else { return };
            let again = match set.upgrade.as_ref().map(|upgrade| upgrade.extent) {
                Some(Extent::Everything | Extent::Repair) => Again::Yes,
                Some(Extent::Missing) | None => Again::No,
            };
            let wish = Wish { component, version, operation, life: Life::New, again };
            perform::ensure(set, &instance, wish, now, out);
        }
        Action::Create { instance, replaces, version, operation } => {
            let wanted = Creation { id: instance, replaces, version, operation };
            surge::intend_creation(fleet, name, wanted, now, out);
        }
        Action::Hook(hook) => hooks::run(fleet, name, hook, out),
        Action::EndHook { operation } => out.effects.push(Effect::End(name.clone(), operation)),
        Action::End { instance: _, operation } => out.effects.push(Effect::End(name.clone(), operation)),
        Action::Delete { instance, successor, operation } => {
            let Some(set) = fleet.change(name) else { return };
            surge::intend_deletion(set, memories, (&instance, successor.as_ref()), operation, now, out);
        }
    }
}

#[cfg(test)]
mod tests;
