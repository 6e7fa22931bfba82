//! Instances that come and go: what the core wants created and deleted, handed to a driver and
//! recorded.
//!
//! A new instance is watched and counts for nothing until the one before is about to be deleted:
//! in that turn the two change places. What has to go is recorded first and asked for again until
//! the driver says that it is gone.

use super::run::{Control, Effect};
use super::state::{InstanceState, Place, SetState};
use super::{ControlEvent, Created, Deleted, audit};
use crate::drivers::{Create, Delete, DriverError};
use phasegate_core::domain::{
    Address, Component, Instance, InstanceId, Located, Membership, OperationId, ScaleSetName, Timestamp,
    Version,
};
use phasegate_core::record::{AuditEntry, Write};
use phasegate_core::rollout::{Action, Event, MemberState, Upgrade};
use std::time::Duration;

/// Between two tries to delete what has to go and is no upgrade's business any more.
const DELETE_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Control {
    /// Records that an instance is about to be created, and gives the effect.
    pub(super) fn intend_creation(&mut self, name: &ScaleSetName, action: &Action) -> Option<Effect> {
        let now = self.clock.now();
        let Action::Create { instance: id, replaces, version, operation } = action else { return None };
        let set = self.sets.get_mut(name)?;
        let old = set.instances.get(replaces)?.spec.clone();
        let instance = Instance { id: id.clone(), ..old };
        set.ids_ever.insert(id.clone());
        if !set.instances.contains_key(id) {
            let mut state = InstanceState::new(&set.spec, instance.clone(), None, now);
            state.place = Place::Coming { replaces: replaces.clone() };
            state.located = Located::Never;
            set.instances.insert(id.clone(), state);
        }
        let replaces = replaces.clone();
        let membership = Membership::Creating { instance, replaces: replaces.clone() };
        self.writes.push(Write::Membership(name.clone(), id.clone(), membership));
        Some(Effect::Create {
            scale_set: name.clone(),
            instance: id.clone(),
            replaces,
            version: version.clone(),
            operation: operation.clone(),
        })
    }

    /// Records that an instance is about to be deleted, and gives the effect. Who stands in its
    /// place is a member from this turn on.
    pub(super) fn intend_deletion(&mut self, name: &ScaleSetName, action: &Action) -> Option<Effect> {
        let Action::Delete { instance: id, successor, operation } = action else { return None };
        let set = self.sets.get_mut(name)?;
        if let Some(successor) = successor.as_ref().and_then(|id| set.instances.get_mut(id)) {
            successor.place = Place::Member { replaced: Some(id.clone()) };
        }
        let instance = set.instances.get_mut(id);
        let (spec, located) = match instance {
            Some(instance) => {
                instance.place = Place::Leaving { replaced_by: successor.clone() };
                (instance.spec.clone(), instance.located)
            }
            // It is gone, and the answer was not heard.
            None => return Some(self.gone_already(name, id, operation)),
        };
        set.dirty = true;
        let membership = Membership::Leaving { instance: spec, located, replaced_by: successor.clone() };
        self.writes.push(Write::Membership(name.clone(), id.clone(), membership));
        Some(Effect::Delete { scale_set: name.clone(), instance: id.clone(), operation: operation.clone() })
    }

    fn gone_already(&self, name: &ScaleSetName, id: &InstanceId, operation: &OperationId) -> Effect {
        Effect::Delete { scale_set: name.clone(), instance: id.clone(), operation: operation.clone() }
    }

    /// Hands a creation to its driver.
    pub(super) fn create(
        &mut self,
        (scale_set, id, replaces): (ScaleSetName, InstanceId, InstanceId),
        version: Version,
        operation: OperationId,
    ) {
        let taken = self.addresses();
        let fence = self.fence;
        let Some(set) = self.sets.get_mut(&scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        instance.busy.insert(Component::Application, operation.clone());
        instance.asked = Some(version.clone());
        let request = Create {
            scale_set: scale_set.clone(),
            instance: instance.spec.clone(),
            replaces,
            version: version.clone(),
            taken,
            operation: operation.clone(),
            fence,
        };
        let (driver, handle) = (set.driver.clone(), self.handle.clone());
        self.runtime.spawn(async move {
            let spec = request.instance.clone();
            let result = driver.create(request).await.map_err(|DriverError(text)| text);
            let mut observed = None;
            let result = match result {
                Err(reason) => Err(reason),
                Ok(address) => {
                    let spec = Instance { address: address.clone(), ..spec };
                    observed = driver.observe(&scale_set, &spec).await;
                    match &observed {
                        Some(seen) if *seen != version => Err(format!(
                            "the driver says done, but the instance runs {seen} and not {version}"
                        )),
                        Some(_) | None => Ok(address),
                    }
                }
            };
            let version = observed.or_else(|| result.is_ok().then_some(version));
            let created = Created { scale_set, instance: id, operation, result, version };
            handle.send(ControlEvent::Created(created)).await;
        });
    }

    /// Where instances are, those of all sets. A new one that nobody has placed yet is nowhere.
    fn addresses(&self) -> Vec<Address> {
        let all = self.sets.values().flat_map(|set| set.instances.values());
        let located = all.filter(|instance| instance.located == Located::Yes);
        located.map(|instance| instance.spec.address.clone()).collect()
    }

    /// Who else is at an address.
    fn stands_at(&self, address: &Address, new: (&ScaleSetName, &InstanceId)) -> Option<String> {
        let all = self.sets.iter().flat_map(|(name, set)| set.instances.values().map(move |one| (name, one)));
        let mut others = all.filter(|(name, one)| {
            one.located == Located::Yes && one.spec.address == *address && (*name, &one.spec.id) != new
        });
        others.next().map(|(name, one)| format!("instance `{}` of scale set `{name}`", one.spec.id))
    }

    /// Takes in the driver's answer to a creation.
    pub(super) fn created(&mut self, created: Created) {
        let now = self.clock.now();
        let Created { scale_set: name, instance: id, operation, result, version } = created;
        let result = result.and_then(|address| match self.stands_at(&address, (&name, &id)) {
            None => Ok(address),
            // Whoever answers there would be taken for the new one, and the old one deleted.
            Some(other) => Err(format!(
                "the driver says that the new instance is at {address}, where {other} is; `create` must give \
                 it an address of its own"
            )),
        });
        let Some(set) = self.sets.get_mut(&name) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        if instance.busy.get(&Component::Application) != Some(&operation) {
            return;
        }
        instance.busy.remove(&Component::Application);
        let answer = match result {
            Ok(address) => {
                instance.spec.address = address;
                instance.located = Located::Yes;
                instance.down = false;
                instance.applied_at = now;
                instance.begin_life(&set.spec, now);
                instance.set_version(&Component::Application, version.clone());
                if let Place::Coming { replaces } = instance.place.clone() {
                    let membership = Membership::Created { instance: instance.spec.clone(), replaces };
                    self.writes.push(Write::Membership(name.clone(), id.clone(), membership));
                }
                let write = Write::Version(name.clone(), id.clone(), Component::Application, version);
                self.writes.push(write);
                Ok(())
            }
            Err(reason) => {
                tracing::warn!(scale_set = %name, instance = %id, "driver: {reason}");
                instance.trouble = Some((now, reason.clone()));
                Err(reason)
            }
        };
        if answer.is_ok() {
            self.announce(&name, &id);
        }
        self.answer(&name, Event::EffectDone { operation, instance: id, result: answer });
    }

    /// Hands a deletion to its driver. The prober lets go of the instance first: what answers at its
    /// address from now on means nothing.
    pub(super) fn delete(&mut self, scale_set: ScaleSetName, id: InstanceId, operation: OperationId) {
        (self.forget_target)(&scale_set, &id);
        self.memories.forget(&scale_set, &id, self.clock.now());
        let fence = self.fence;
        let Some(set) = self.sets.get_mut(&scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&id) else {
            let event = Event::EffectDone { operation, instance: id, result: Ok(()) };
            self.answer(&scale_set, event);
            return;
        };
        instance.busy.insert(Component::Application, operation.clone());
        instance.retry_at = None;
        let request = Delete {
            scale_set: scale_set.clone(),
            instance: instance.spec.clone(),
            located: instance.located,
            operation: operation.clone(),
            fence,
        };
        let (driver, handle) = (set.driver.clone(), self.handle.clone());
        self.runtime.spawn(async move {
            let result = driver.delete(request).await.map_err(|DriverError(text)| text);
            let deleted = Deleted { scale_set, instance: id, operation, result };
            handle.send(ControlEvent::Deleted(deleted)).await;
        });
    }

    /// Takes in the driver's answer to a deletion.
    pub(super) fn deleted(&mut self, deleted: Deleted) {
        let now = self.clock.now();
        let Deleted { scale_set: name, instance: id, operation, result } = deleted;
        let Some(set) = self.sets.get_mut(&name) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        if instance.busy.get(&Component::Application) != Some(&operation) {
            return;
        }
        instance.busy.remove(&Component::Application);
        match &result {
            Ok(()) => {
                let replaced_by = match &instance.place {
                    Place::Leaving { replaced_by } => replaced_by.clone(),
                    Place::Member { .. } | Place::Coming { .. } => None,
                };
                set.instances.remove(&id);
                let gone = Membership::Deleted { replaced_by };
                self.writes.push(Write::Membership(name.clone(), id.clone(), gone));
            }
            Err(reason) => {
                tracing::warn!(scale_set = %name, instance = %id, "could not be deleted: {reason}");
                instance.trouble = Some((now, format!("could not be deleted: {reason}")));
                instance.retry_at = Some(now + DELETE_AGAIN_AFTER);
            }
        }
        self.answer(&name, Event::EffectDone { operation, instance: id, result });
    }

    fn answer(&mut self, name: &ScaleSetName, event: Event) {
        let Some(set) = self.sets.get_mut(name) else { return };
        set.dirty = true;
        if set.upgrade.as_ref().is_some_and(Upgrade::is_active) {
            set.answers.push(event);
        }
    }

    /// Asks again for the end of what has to go and is no upgrade's business: its upgrade has ended,
    /// or the host was restarted.
    pub(super) fn delete_again(&mut self, name: &ScaleSetName, ids: Vec<InstanceId>, now: Timestamp) {
        for id in ids {
            let operation = OperationId(format!("delete/{}/{name}/{id}/{}", self.fence, now.0));
            self.effects.push(Effect::Delete { scale_set: name.clone(), instance: id, operation });
        }
    }

    /// Deletions whose next try has come.
    pub(super) fn retry_deletions(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (name, set) in &mut self.sets {
            let mut ids = Vec::new();
            for (id, instance) in &mut set.instances {
                let leaving = matches!(instance.place, Place::Leaving { .. }) && instance.busy.is_empty();
                if leaving && instance.retry_at.is_some_and(|at| at <= now) {
                    instance.retry_at = None;
                    ids.push(id.clone());
                }
            }
            due.push((name.clone(), ids));
        }
        for (name, ids) in due {
            self.delete_again(&name, ids, now);
        }
    }
}

/// Instances from the configuration and from the record: those that were deleted stay away, those
/// that were created are there. What an ended upgrade left half-way has to go.
pub(super) fn recorded(
    set: &mut SetState,
    memberships: Vec<(InstanceId, Membership)>,
    now: Timestamp,
) -> Vec<Write> {
    let name = set.spec.name.clone();
    let mut writes = Vec::new();
    for (id, membership) in memberships {
        set.ids_ever.insert(id.clone());
        let (instance, place, located) = match membership {
            Membership::Deleted { replaced_by } => {
                if set.instances.remove(&id).is_some() {
                    writes.push(stays_deleted(&name, &id, replaced_by.as_ref(), now));
                }
                continue;
            }
            Membership::Leaving { instance, located, replaced_by } => {
                (instance, Place::Leaving { replaced_by }, located)
            }
            Membership::Creating { instance, replaces } => {
                (instance, Place::Coming { replaces }, Located::Never)
            }
            Membership::Created { instance, replaces } => {
                let is_coming =
                    set.upgrade.as_ref().is_some_and(|upgrade| is_beside(upgrade, &replaces, &id));
                let member = Place::Member { replaced: Some(replaces.clone()) };
                let place = if is_coming { Place::Coming { replaces } } else { member };
                (instance, place, Located::Yes)
            }
        };
        // The configuration knows better where it is and what it is like.
        let spec = set.spec.instances.get(&id).filter(|_| located == Located::Yes).cloned();
        let mut state = InstanceState::new(&set.spec, spec.unwrap_or(instance), None, now);
        (state.place, state.located) = (place, located);
        set.instances.insert(id, state);
    }
    writes
}

/// What came beside another one and belongs to no running upgrade has to go.
pub(super) fn orphans(set: &mut SetState) -> Vec<Write> {
    let name = set.spec.name.clone();
    let mut writes = Vec::new();
    for (id, instance) in &mut set.instances {
        let Place::Coming { replaces } = &instance.place else { continue };
        if set.upgrade.as_ref().is_some_and(|upgrade| is_beside(upgrade, replaces, id)) {
            continue;
        }
        instance.place = Place::Leaving { replaced_by: None };
        let membership = Membership::Leaving {
            instance: instance.spec.clone(),
            located: instance.located,
            replaced_by: None,
        };
        writes.push(Write::Membership(name.clone(), id.clone(), membership));
    }
    writes
}

/// Whether a running upgrade has an instance in hand that is to take the place of another.
fn is_beside(upgrade: &Upgrade, replaces: &InstanceId, id: &InstanceId) -> bool {
    let member = upgrade.members.get(replaces).filter(|_| upgrade.is_active());
    member.is_some_and(|member| {
        let swapped = matches!(member.state, MemberState::Deleting { .. });
        member.replacement() == Some(id) && member.state.is_in_flight() && !swapped
    })
}

fn stays_deleted(name: &ScaleSetName, id: &InstanceId, by: Option<&InstanceId>, now: Timestamp) -> Write {
    let why = by.map_or_else(|| "was deleted".to_owned(), |by| format!("was replaced by `{by}`"));
    let text = format!(
        "the configuration lists it, but it {why} and stays deleted; \
         an instance that shall be there needs an id that was never used"
    );
    tracing::info!(scale_set = %name, instance = %id, "{text}");
    Write::Audit(AuditEntry {
        at: now,
        scale_set: name.clone(),
        upgrade: None,
        instance: Some(id.clone()),
        kind: "deleted".into(),
        text,
    })
}

/// What a person should know of an instance that came or goes.
pub(super) fn note(place: &Place) -> Option<String> {
    match place {
        Place::Member { replaced: None } => None,
        Place::Member { replaced: Some(old) } => Some(format!("replaced {old}")),
        Place::Coming { replaces } => Some(format!("is to replace {replaces}, which serves until then")),
        Place::Leaving { replaced_by: Some(by) } => Some(format!("is being deleted; {by} replaced it")),
        Place::Leaving { replaced_by: None } => Some("is being deleted".to_owned()),
    }
}

/// The line of the audit trail for a step of a member whose place is taken.
pub(super) fn audited(upgrade: &Upgrade, id: &InstanceId, now: Timestamp) -> Option<Write> {
    let member = upgrade.members.get(id)?;
    let by = member.replacement()?;
    let all = || {
        let parts = member.parts.iter().map(|part| audit::name(&part.component, &part.target));
        parts.collect::<Vec<_>>().join(", ")
    };
    let attempt = member.attempt;
    let (kind, text) = match &member.state {
        MemberState::Creating { .. } => ("create", format!("{id} -> {by}: creating (attempt {attempt})")),
        MemberState::Applying { .. } => {
            let (component, version) = member.wanted()?;
            ("apply", format!("{id} -> {by}: {} (attempt {attempt})", audit::name(component, version)))
        }
        MemberState::Settling { healthy_since: Some(_), .. } => return None,
        MemberState::Settling { healthy_since: None, .. } => {
            ("applied", format!("{id} -> {by}: {by} has {}", all()))
        }
        MemberState::Ready { .. } => ("ready", format!("{id} -> {by}: {by} is healthy")),
        MemberState::Deleting { .. } => {
            ("replace", format!("{by} replaces {id}, which is deleted (attempt {attempt})"))
        }
        MemberState::Removing { .. } => {
            ("remove", format!("{}; {by} is deleted (attempt {attempt})", member.failure()?))
        }
        MemberState::Succeeded { .. } => ("succeeded", format!("{by} replaced {id} with {}", all())),
        MemberState::Failed { .. } => ("failed", member.failure()?),
        MemberState::Pending | MemberState::Restoring { .. } => return None,
    };
    Some(audit::line(upgrade, Some(id), kind, text, now))
}
