//! Whether a record is the state: what a kernel that starts from it would go by is what the living one does.

use std::collections::BTreeMap;

use crate::domain::{Change, Component, Membership, Now, Runs};
use crate::kernel::state::{InstanceState, SetState};
use crate::kernel::{Kernel, SetConfig};
use crate::record::{Disk, Stored};
use crate::rollout::Upgrade;

/// Where the record and the state part; none when they do not.
pub(super) fn differs(kernel: &Kernel, disk: &Disk, config: &[SetConfig], now: Now) -> Option<String> {
    let stored = disk.clone().open();
    let lives = kernel.fleet().plugins();
    let parted = lives
        .filter(|life| life.stored().is_some() && life.stored().as_ref() != stored.plugins.get(life.name()));
    if let Some(life) = parted.into_iter().next() {
        return Some(format!("plugin {:?} / {:?}", life.stored(), stored.plugins.get(life.name())));
    }
    let (booted, _) = Kernel::boot(config.to_vec(), &stored, now);
    let (living, booted) = (kernel.fleet(), booted.fleet());
    if living.line != booted.line {
        return Some(format!("line {:?} / {:?}", living.line, booted.line));
    }
    for set in living.sets() {
        let name = &set.spec.name;
        let recorded = stored.upgrades.get(name);
        if recorded != set.upgrade.as_deref() {
            return Some(format!("`{name}`: {}", part(recorded, set.upgrade.as_deref())));
        }
        let touched = stored.touched.get(name);
        if set.active().is_none() && touched != set.touched() {
            return Some(format!("`{name}`, the latest that did anything: {}", part(touched, set.touched())));
        }
        let Ok(other) = booted.set(name) else { return Some(format!("`{name}` is gone")) };
        // A start may go on where an upgrade stands: then the rows alone can be compared.
        let stands = |set: &SetState| {
            set.upgrade.as_ref().map(|upgrade| (upgrade.state, upgrade.stage, upgrade.members.clone()))
        };
        let booted = if stands(set) == stands(other) { set_differs(set, other) } else { None };
        if let Some(detail) = rows_differ(set, &stored).or(booted) {
            return Some(format!("`{name}`: {detail}"));
        }
    }
    None
}

/// What is recorded of a set and what it is, row by row.
fn rows_differ(set: &SetState, stored: &Stored) -> Option<String> {
    let name = &set.spec.name;
    let quarantined = stored.quarantined.iter().filter(|((of, _), _)| of == name);
    let quarantined: BTreeMap<Change, String> =
        quarantined.map(|((_, change), reason)| (change.clone(), reason.clone())).collect();
    if quarantined != set.quarantined {
        return Some(format!("quarantine {:?} / {quarantined:?}", set.quarantined));
    }
    if stored.retries.get(name) != set.retry.as_ref() {
        return Some(format!("retry {:?} / {:?}", set.retry, stored.retries.get(name)));
    }
    let model = |component: &Component| stored.models.get(&(name.clone(), component.clone()));
    if let Some(change) = set.model.changes().find(|c| model(&c.component).is_none_or(|m| m.version != c.to))
    {
        return Some(format!("model {change} / {:?}", model(&change.component)));
    }
    for instance in set.instances() {
        let key = (name.clone(), instance.spec.id.clone());
        let mut recorded = stored.memberships.get(&key).cloned();
        // The configuration knows better what an instance is like that it lists.
        if let Some(
            Membership::Creating { instance: spec, .. }
            | Membership::Created { instance: spec, .. }
            | Membership::Leaving { instance: spec, .. },
        ) = &mut recorded
            && set.spec.instances.contains_key(&key.1)
        {
            spec.clone_from(&instance.spec);
        }
        if recorded != instance.membership() {
            return Some(format!("{recorded:?} / {:?} {:?}", instance.place, instance.located));
        }
        if stored.provisions.get(&key) != instance.provision.as_deref() {
            return Some(format!("{:?} / {:?}", stored.provisions.get(&key), instance.provision));
        }
        let component = Component::Application;
        let runs = stored.versions.get(&(key.0, key.1, component)).cloned().unwrap_or(Runs::UNKNOWN);
        if runs != instance.runs {
            return Some(format!("`{}` has {runs:?} / {:?}", instance.spec.id, instance.runs));
        }
    }
    None
}

fn set_differs(living: &SetState, booted: &SetState) -> Option<String> {
    if living.model != booted.model {
        return Some(format!("model {} / {}", living.model, booted.model));
    }
    if living.quarantined != booted.quarantined {
        return Some(format!("quarantine {:?} / {:?}", living.quarantined, booted.quarantined));
    }
    if living.retry != booted.retry {
        return Some(format!("retry {:?} / {:?}", living.retry, booted.retry));
    }
    let is_same = |one: &InstanceState, other: &InstanceState| {
        (&one.spec, &one.place, one.located, &one.runs, &one.extensions)
            == (&other.spec, &other.place, other.located, &other.runs, &other.extensions)
    };
    let parted =
        living.instances().find(|one| booted.instance(&one.spec.id).is_none_or(|other| !is_same(one, other)));
    if let Some(one) = parted {
        return Some(format!("instance {one:#?} / {:#?}", booted.instance(&one.spec.id)));
    }
    let new = booted.instances().find(|other| living.instance(&other.spec.id).is_none());
    new.map(|other| format!("instance `{}` is there after a start", other.spec.id))
}

/// A few lines of each.
fn part(record: Option<&Upgrade>, state: Option<&Upgrade>) -> String {
    let (record, state) = (format!("{record:#?}"), format!("{state:#?}"));
    let part = record.lines().zip(state.lines()).filter(|(a, b)| a != b).take(3);
    part.map(|(a, b)| format!("{} / {}", a.trim(), b.trim())).collect::<Vec<_>>().join("; ")
}
