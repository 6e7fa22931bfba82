//! From what an upgrade wants done to what a driver is told. The instance begins a new life with the
//! effect, so that answers of the process that is about to stop are not taken for answers of the new one.

use std::sync::Arc;

use super::effect::{Again, Announced, Create, Delete, Effect, Ensure};
use super::memory::Memories;
use super::out::Out;
use super::state::{Busy, Fleet, Place, SetState};
use crate::domain::{Address, Component, InstanceId, Located, Now, OperationId, ScaleSetName, Version};
use crate::rollout::Event as RolloutEvent;

/// What an effect means for the health of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It begins anew, with a grace period of its own.
    New,
    /// A start that failed is tried again: no second grace period, or it would be Initializing for ever.
    Same,
}

/// What a component of an instance is to be brought to, and under which name.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) component: Component,
    pub(super) version: Version,
    pub(super) operation: OperationId,
    pub(super) life: Life,
    pub(super) again: Again,
}

/// Tells a driver to bring an instance to a version.
pub(super) fn ensure(set: &mut SetState, id: &InstanceId, wish: Wish, now: Now, out: &mut Out) {
    let Wish { component, version, operation, life, again } = wish;
    let spec = Arc::clone(&set.spec);
    let told = operation.clone();
    let request = set.change(id, |instance| {
        let busy = Busy { operation: operation.clone(), wanted: Some(version.clone()) };
        instance.busy.insert(component.clone(), busy);
        // Its answer says what runs; one that was asked for before it says what ran.
        instance.looking.remove(&component);
        if component == Component::Application {
            instance.asked = Some(version.clone());
        }
        instance.retry_at = None;
        if life == Life::New {
            instance.begin_life(&spec, now.at);
        }
        Ensure {
            scale_set: spec.name.clone(),
            instance: (*instance.spec).clone(),
            previous: instance.runs_of(&component).last().cloned(),
            component,
            version,
            again,
            operation,
            fence: out.numbers.fence,
        }
    });
    let Some(request) = request else {
        // No driver can be told: the upgrade would wait for its answer for ever.
        let result = Err("the configuration lists it no longer".to_owned());
        set.dirty = true;
        set.answers.push(RolloutEvent::EffectDone { operation: told, instance: id.clone(), result });
        return;
    };
    announce(set, id, out);
    out.effects.push(Effect::Ensure(Box::new(request)));
}

/// Starts an instance, or starts it again.
pub(super) fn start(
    set: &mut SetState,
    id: &InstanceId,
    version: Version,
    life: Life,
    now: Now,
    out: &mut Out,
) {
    let operation = out.operation("start", &set.spec.name, id);
    let wish = Wish { component: Component::Application, version, operation, life, again: Again::No };
    ensure(set, id, wish, now, out);
}

/// A creation, as the rollout wants it.
#[derive(Debug, Clone)]
pub(super) struct Creation {
    pub(super) id: InstanceId,
    pub(super) replaces: InstanceId,
    pub(super) version: Version,
    pub(super) operation: OperationId,
}

/// Tells a driver to create an instance, which is known already.
pub(super) fn create(fleet: &mut Fleet, name: &ScaleSetName, wanted: Creation, out: &mut Out) {
    let taken = addresses(fleet);
    let Creation { id, replaces, version, operation } = wanted;
    let Some(set) = fleet.change(name) else { return };
    let request = set.change(&id, |instance| {
        let busy = Busy { operation: operation.clone(), wanted: Some(version.clone()) };
        instance.busy.insert(Component::Application, busy);
        instance.asked = Some(version.clone());
        Create {
            scale_set: name.clone(),
            instance: (*instance.spec).clone(),
            replaces,
            version,
            taken,
            operation,
            fence: out.numbers.fence,
        }
    });
    out.effects.extend(request.map(|request| Effect::Create(Box::new(request))));
}

/// Where instances are, those of all sets. A new one that has no place yet is nowhere.
fn addresses(fleet: &Fleet) -> Vec<Address> {
    let all = fleet.sets().flat_map(|set| set.instances());
    let located = all.filter(|instance| instance.located == Located::Yes);
    located.map(|instance| instance.spec.address.clone()).collect()
}

/// Tells a driver to delete an instance. The prober lets go of it first: what answers at its address from
/// now on means nothing.
pub(super) fn delete(
    set: &mut SetState,
    memories: &mut Memories,
    (id, operation): (&InstanceId, OperationId),
    now: Now,
    out: &mut Out,
) {
    out.effects.push(Effect::Forget(set.spec.name.clone(), id.clone()));
    memories.forget(&set.spec.name, id, now.at);
    let name = set.spec.name.clone();
    let request = set.change(id, |instance| {
        let busy = Busy { operation: operation.clone(), wanted: None };
        instance.busy.insert(Component::Application, busy);
        instance.retry_at = None;
        Delete {
            scale_set: name.clone(),
            instance: (*instance.spec).clone(),
            located: instance.located,
            operation: operation.clone(),
            fence: out.numbers.fence,
        }
    });
    match request {
        Some(request) => out.effects.push(Effect::Delete(Box::new(request))),
        // It is gone, and the answer was not heard.
        None => {
            set.dirty = true;
            set.answers.push(RolloutEvent::EffectDone { operation, instance: id.clone(), result: Ok(()) });
        }
    }
}

/// Tells the prober what it should know of an instance now.
pub(super) fn announce(set: &SetState, id: &InstanceId, out: &mut Out) {
    let Some(instance) = set.instance(id) else { return };
    // It has no place yet, or what answers there means nothing any more.
    if instance.located == Located::Never || matches!(instance.place, Place::Leaving { .. }) {
        return;
    }
    out.effects.push(Effect::Probe(Announced {
        set: Arc::clone(&set.spec),
        instance: Arc::clone(&instance.spec),
        version: instance.runs.version().cloned(),
        wanted: set.model.of(&Component::Application).cloned(),
        epoch: instance.epoch,
    }));
}
