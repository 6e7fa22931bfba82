//! The first deployment of an instance: its extensions are installed one after the other before it counts as ready.
//!
//! Who is new is said where instances come in (`boot`, `members`); here is what follows. What a driver has answered is
//! a fact, told by `done`. What is asked of it next is an intent: recorded under its operation before it goes out, so
//! that a host that starts asks for the same again under the same name, and for nothing that is done.
//!
//! Deliberately tries nothing again that failed: an upgrade brings it later, or a person does.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::effect::{Again, Effect};
use super::out::{About, Out};
use super::perform::{self, Life, Wish, announce};
use super::state::{Fleet, InstanceState, SetState, Trouble};
use crate::domain::provision::{NextPart, Provision, ProvisionPart, Provisioned};
use crate::domain::{By, Component, Custody, InstanceId, Now, OperationId, Runs, ScaleSetName};
use crate::record::Write;
use crate::record::audit::{ProvisionNote, What};

/// An instance of which nothing is recorded has come: it gets the extensions of its model before it is ready.
pub(super) fn begin(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    if set.spec.model.extensions.is_empty() {
        return;
    }
    let spec = Arc::clone(&set.spec);
    let names: Vec<_> = spec.model.extensions.iter().map(|(name, _)| name.clone()).collect();
    // The configuration has refused orders that fight.
    let ordered = spec.provisioning.in_order(&names).unwrap_or(names);
    let part = |extension: crate::domain::ExtensionName| {
        let component = Component::Extension(extension.clone());
        Some(ProvisionPart {
            version: set.version_of_a_new_one(&component)?,
            after: spec.provisioning.after.get(&extension).cloned().unwrap_or_default(),
            operation: out.operation("provision", &spec.name, id),
            state: Provisioned::Waiting,
            extension,
        })
    };
    let budget = spec.provisioning.budget;
    let parts: Vec<ProvisionPart> = ordered.into_iter().filter_map(part).collect();
    set.change(id, |instance| {
        instance.provision = Some(Arc::new(Provision { since: now.at, budget, ended_at: None, parts }));
    });
    out.writes.extend(row(set, id));
}

/// What is recorded of it.
pub(super) fn row(set: &SetState, id: &InstanceId) -> Option<Write> {
    let there = set.instance(id).map(|instance| &instance.provision);
    let away = || set.away(id)?.removed().map(|removed| &removed.kept.provision);
    let provision = there.or_else(away)?.as_deref().cloned();
    Some(Write::Provision(set.spec.name.clone(), id.clone(), provision.map(Box::new)))
}

/// Takes in a driver's answer, whoever had asked: what is there by now is installed. Gives whether anything changed.
pub(super) fn answered(
    instance: &mut InstanceState,
    component: &Component,
    (operation, result): (&OperationId, &Result<(), String>),
) -> bool {
    let Component::Extension(name) = component else { return false };
    let is_there = instance.runs_of(component).version().is_some();
    let Some(provision) = instance.provision.as_mut() else { return false };
    let is_it = |part: &&mut ProvisionPart| part.extension == *name;
    let Some(part) = Arc::make_mut(provision).parts.iter_mut().find(is_it) else { return false };
    let before = part.state.clone();
    let is_ours = part.operation == *operation;
    part.state = match (result, &part.state) {
        (Ok(()), _) if is_ours || is_there => Provisioned::Installed,
        (Err(why), Provisioned::Installing) if is_ours => Provisioned::Failed { why: why.clone() },
        (Ok(()) | Err(_), state) => state.clone(),
    };
    let changed = part.state != before;
    if provision.is_complete() && !provision.is_open() {
        // What had failed was brought since.
        instance.provision = None;
    }
    changed
}

/// Goes on with those whose next step can be taken, and ends those whose time is over.
pub(super) fn go_on(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    let is_idle = |set: &Arc<SetState>| set.to_provision.is_empty() && !is_due(set, now);
    if fleet.set(name).is_ok_and(is_idle) {
        return;
    }
    let Some(set) = fleet.change(name) else { return };
    let due = set.provision_due.iter().take_while(|(at, _)| *at <= now.at);
    let due: Vec<InstanceId> = due.map(|(_, id)| id.clone()).collect();
    for id in &due {
        expire(set, id, now, out);
    }
    let mut ready: BTreeSet<InstanceId> = set.to_provision.iter().cloned().collect();
    ready.extend(due);
    for id in ready {
        step(set, &id, now, out);
    }
}

fn is_due(set: &SetState, now: Now) -> bool {
    set.provision_due.get_min().is_some_and(|(at, _)| *at <= now.at)
}

/// The time for all of them is over.
fn expire(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    let expired = set.change(id, |instance| {
        let provision = instance.provision.as_mut()?;
        Some(Arc::make_mut(provision).expire())
    });
    let Some((in_hand, left_out)) = expired.flatten() else { return };
    let name = set.spec.name.clone();
    out.effects.extend(in_hand.into_iter().map(|it| Effect::End(name.clone(), it)));
    if let Some(provision) = set.instance(id).and_then(|instance| instance.provision.clone()) {
        tell_left_out(set, id, (&provision, left_out), now, out);
    }
    end(set, id, now, out);
}

/// What follows for one of them.
fn step(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    let Some(instance) = set.instance(id).filter(|instance| may_go_on(instance, set.driver.custody)) else {
        return;
    };
    let Some(mut provision) = instance.provision.as_deref().filter(|it| it.is_open()).cloned() else {
        return;
    };
    // Told before, and nobody has it in hand: the host was started anew.
    let again = provision.parts.iter().position(|part| part.state == Provisioned::Installing);
    if again.is_none() {
        let there = |part: &ProvisionPart| instance.runs_of(&part.component()).version().is_some();
        for part in provision.parts.iter_mut().filter(|part| part.state == Provisioned::Waiting) {
            if there(part) {
                part.state = Provisioned::Installed;
            }
        }
    }
    let (next, left_out) = provision.next_part();
    tell_left_out(set, id, (&provision, left_out), now, out);
    let index = again.or(match next {
        NextPart::Install(index) => Some(index),
        NextPart::Wait | NextPart::Nothing => None,
    });
    let wish = index.and_then(|index| {
        let part = provision.parts.get_mut(index)?;
        part.state = Provisioned::Installing;
        let (component, version) = (part.component(), part.version.clone());
        Some(Wish {
            component,
            version,
            operation: part.operation.clone(),
            life: Life::Same,
            again: Again::No,
        })
    });
    let changed = set.change(id, |instance| {
        let changed = instance.provision.as_deref() != Some(&provision);
        instance.provision = Some(Arc::new(provision));
        changed
    });
    if changed == Some(true) {
        out.writes.extend(row(set, id));
    }
    match wish {
        Some(wish) => {
            if again.is_none() {
                let change =
                    crate::domain::Change { component: wish.component.clone(), to: wish.version.clone() };
                told(set, id, ProvisionNote::Begins { change }, now, out);
            }
            perform::ensure(set, id, wish, now, out);
        }
        None => end(set, id, now, out),
    }
}

/// Says of each of these that it comes after one that is not there.
fn tell_left_out(
    set: &SetState,
    id: &InstanceId,
    (provision, left_out): (&Provision, Vec<usize>),
    now: Now,
    out: &mut Out,
) {
    for part in left_out.into_iter().filter_map(|index| provision.parts.get(index)) {
        if let Provisioned::NotInstalled { after } = &part.state {
            let note = ProvisionNote::LeftOut { change: part.change(), after: after.clone() };
            told(set, id, note, now, out);
        }
    }
}

/// Whether nothing speaks against the next step: it is there, what is to be known of it is known, and what the host
/// keeps running runs.
fn may_go_on(instance: &InstanceState, custody: Custody) -> bool {
    instance.wants_provision()
        && match (custody, &instance.runs) {
            (_, Runs::Version { .. }) | (Custody::Site, Runs::Nothing { .. }) => true,
            (Custody::Host, Runs::Nothing { .. }) | (_, Runs::Unknown { .. }) => false,
        }
}

/// All of them have been dealt with: its health counts from now on, and what failed is said until it is brought.
fn end(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    let spec = Arc::clone(&set.spec);
    let ended = set.change(id, |instance| {
        let provision = instance.provision.as_mut().filter(|provision| provision.is_open())?;
        Arc::make_mut(provision).ended_at = Some(now.at);
        let provision = (**provision).clone();
        if provision.is_complete() {
            instance.provision = None;
        } else {
            instance.trouble = Some(Arc::new(Trouble { at: now.at, text: provision.to_string() }));
        }
        instance.begin_life(&spec, now.at);
        Some(provision)
    });
    let Some(provision) = ended.flatten() else { return };
    set.dirty = true;
    out.writes.extend(row(set, id));
    for part in &provision.parts {
        if let Provisioned::Failed { why } = &part.state {
            let note = ProvisionNote::Failed { change: part.change(), why: why.clone() };
            told(set, id, note, now, out);
        }
    }
    let is_there = |part: &&ProvisionPart| part.state == Provisioned::Installed;
    let has = provision.parts.iter().filter(is_there).map(ProvisionPart::change).collect();
    told(set, id, ProvisionNote::Ends { has }, now, out);
    if !provision.is_complete() {
        out.changes.troubles.push((spec.name.clone(), id.clone(), provision.to_string()));
    }
    announce(set, id, out);
}

fn told(set: &SetState, id: &InstanceId, note: ProvisionNote, now: Now, out: &mut Out) {
    let about = About { instance: Some(id), ..About::set(&set.spec.name) };
    out.audit(about, By::host(), What::Provision { note }, now);
}

#[cfg(test)]
mod tests;
