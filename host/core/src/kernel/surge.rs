//! Instances that come and go: what an upgrade wants created and deleted, recorded before the driver
//! hears of it.
//!
//! A new instance is watched and counts for nothing until the one before is about to be deleted: in that
//! turn the two change places. What has to go is asked for again until the driver says that it is gone.

use std::sync::Arc;
use std::time::Duration;

use super::done::runs_what_was_wanted;
use super::event::{Created, Deleted};
use super::members;
use super::memory::Memories;
use super::out::Out;
use super::perform::{self, Creation, announce};
use super::state::{Away, Fleet, InstanceState, Place, SetState, Trouble};
use crate::domain::{
    Address, Backoff, Component, Instance, InstanceId, Located, Membership, Now, OperationId, ScaleSetName,
};
use crate::record::Write;
use crate::rollout::Event as RolloutEvent;

/// Between two tries to delete what has to go and is no upgrade's business any more.
pub(super) const DELETE_AGAIN: Backoff =
    Backoff { first: Duration::from_secs(60), max: Duration::from_secs(600) };

/// Records that an instance is about to be created, and tells the driver.
pub(super) fn intend_creation(
    fleet: &mut Fleet,
    name: &ScaleSetName,
    wanted: Creation,
    now: Now,
    out: &mut Out,
) {
    let Some(set) = fleet.change(name) else { return };
    let Creation { id, replaces, .. } = &wanted;
    let Some(old) = set.instance(replaces) else { return };
    let instance = Instance { id: id.clone(), ..(*old.spec).clone() };
    // One that is asked for again after a restart is known, and stays as it was recorded.
    if set.instance(id).is_none() {
        let mut state = InstanceState::new(&set.spec, Arc::new(instance), now.at);
        state.place = Place::Coming { replaces: replaces.clone() };
        state.located = Located::Never;
        set.insert(state);
    }
    let recorded = set.instance(id).and_then(membership).map(Box::new);
    out.writes.push(Write::Membership(name.clone(), id.clone(), recorded));
    perform::create(fleet, name, wanted, out);
}

/// Records that an instance is about to be deleted, and tells the driver. What stands in its place is a
/// member from this turn on.
pub(super) fn intend_deletion(
    set: &mut SetState,
    memories: &mut Memories,
    (id, successor): (&InstanceId, Option<&InstanceId>),
    operation: OperationId,
    now: Now,
    out: &mut Out,
) {
    if let Some(successor) = successor {
        set.change(successor, |instance| instance.place = Place::Member { replaced: Some(id.clone()) });
    }
    let leaving = set.change(id, |instance| {
        instance.place = Place::Leaving { replaced_by: successor.cloned() };
        membership(instance)
    });
    if let Some(membership) = leaving.flatten() {
        set.dirty = true;
        let name = set.spec.name.clone();
        out.writes.push(Write::Membership(name, id.clone(), Some(Box::new(membership))));
    }
    perform::delete(set, memories, (id, operation), now, out);
}

/// What is recorded of an instance that came or goes; none of one that the configuration lists.
pub(super) fn membership(instance: &InstanceState) -> Option<Membership> {
    let spec = || (*instance.spec).clone();
    match (&instance.place, instance.located) {
        (Place::Member { replaced: None }, _) => None,
        (Place::Member { replaced: Some(old) }, _) => {
            Some(Membership::Created { instance: spec(), replaces: old.clone() })
        }
        (Place::Coming { replaces }, Located::Never) => {
            Some(Membership::Creating { instance: spec(), replaces: replaces.clone() })
        }
        (Place::Coming { replaces }, Located::Yes) => {
            Some(Membership::Created { instance: spec(), replaces: replaces.clone() })
        }
        (Place::Leaving { replaced_by }, located) => {
            Some(Membership::Leaving { instance: spec(), located, replaced_by: replaced_by.clone() })
        }
    }
}

/// Takes in the driver's answer to a creation.
pub(super) fn created(fleet: &mut Fleet, created: Created, now: Now, out: &mut Out) {
    let Created { scale_set: name, instance: id, operation, answer, seen } = created;
    let answer = answer.and_then(|address| free(fleet, &address, &name, &id).map(|()| address));
    let Some(set) = fleet.change(&name) else { return };
    if !set.takes_answer(&id, &Component::Application, &operation) {
        return;
    }
    let (spec, can_tell) = (Arc::clone(&set.spec), set.can_tell(&Component::Application));
    let heard = set.change(&id, |instance| {
        let wanted = instance.busy.remove(&Component::Application).and_then(|busy| busy.wanted);
        let answer = answer.and_then(|address| {
            let runs = runs_what_was_wanted(can_tell, seen, wanted)?;
            Ok((address, runs))
        });
        match answer {
            Ok((address, runs)) => {
                instance.spec = Arc::new(Instance { address, ..(*instance.spec).clone() });
                instance.located = Located::Yes;
                instance.down = false;
                instance.applied_at = now.at;
                instance.begin_life(&spec, now.at);
                instance.looked_at.insert(Component::Application, now.at);
                instance.set_runs(&Component::Application, runs.clone());
                Ok((runs, membership(instance)))
            }
            Err(text) => {
                instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
                Err(text)
            }
        }
    });
    let Some(heard) = heard else { return };
    let result = match heard {
        Ok((runs, membership)) => {
            if let Some(membership) = membership {
                out.writes.push(Write::Membership(name.clone(), id.clone(), Some(Box::new(membership))));
            }
            out.writes.push(Write::Runs(name.clone(), id.clone(), Component::Application, runs));
            announce(set, &id, out);
            Ok(())
        }
        Err(text) => {
            out.changes.troubles.push((name.clone(), id.clone(), text.clone()));
            Err(text)
        }
    };
    answer_to(set, RolloutEvent::EffectDone { operation, instance: id, result });
}

/// Whether no other instance is at an address: what answers there would be taken for the new one, and the
/// old one deleted.
fn free(fleet: &Fleet, address: &Address, name: &ScaleSetName, id: &InstanceId) -> Result<(), String> {
    let stands = |one: &&InstanceState| one.located == Located::Yes && one.spec.address == *address;
    let other = fleet.sets().find_map(|set| {
        let is_it = |one: &&InstanceState| set.spec.name == *name && one.spec.id == *id;
        let other = set.instances().filter(stands).find(|one| !is_it(one))?;
        Some(format!("instance `{}` of scale set `{}`", other.spec.id, set.spec.name))
    });
    other.map_or(Ok(()), |other| {
        Err(format!(
            "the driver says that the new instance is at {address}, where {other} is; `create` must give \
             it an address of its own"
        ))
    })
}

/// Takes in the driver's answer to a deletion.
pub(super) fn deleted(fleet: &mut Fleet, deleted: Deleted, now: Now, out: &mut Out) {
    if members::ended(fleet, &deleted, now, out) {
        return;
    }
    let Deleted { scale_set: name, instance: id, operation, answer } = deleted;
    let Some(set) = fleet.change(&name) else { return };
    if !set.takes_answer(&id, &Component::Application, &operation) {
        return;
    }
    match &answer {
        Ok(()) => {
            let gone = set.take_out(&id);
            if gone.as_ref().is_some_and(|gone| gone.provision.is_some()) {
                out.writes.push(Write::Provision(name.clone(), id.clone(), None));
            }
            let replaced_by = match gone.map(|gone| gone.place.clone()) {
                Some(Place::Leaving { replaced_by }) => replaced_by,
                Some(Place::Member { .. } | Place::Coming { .. }) | None => None,
            };
            if set.words.remove(&id).is_some() {
                // No id is used twice.
                out.writes.push(Write::Word(name.clone(), id.clone(), None));
            }
            let away = Away::Deleted { replaced_by };
            out.writes.push(Write::Membership(name, id.clone(), Some(Box::new(away.membership()))));
            set.put_away(&id, away);
        }
        Err(reason) => {
            let text = format!("could not be deleted: {reason}");
            set.change(&id, |instance| {
                instance.busy.remove(&Component::Application);
                instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
                instance.retry_at = Some(now.at + DELETE_AGAIN.after(1, out.numbers.operation));
            });
            out.changes.troubles.push((name, id.clone(), text));
        }
    }
    answer_to(set, RolloutEvent::EffectDone { operation, instance: id, result: answer });
}

fn answer_to(set: &mut SetState, event: RolloutEvent) {
    set.dirty = true;
    if set.active().is_some() {
        set.answers.push(event);
    }
}

/// Asks again for the end of what has to go and is no upgrade's business: its upgrade has ended, or the
/// host was restarted.
pub(super) fn delete_again(
    set: &mut SetState,
    memories: &mut Memories,
    id: &InstanceId,
    now: Now,
    out: &mut Out,
) {
    let operation = out.operation("delete", &set.spec.name, id);
    perform::delete(set, memories, (id, operation), now, out);
}
