//! Instances that a source has found: members beside those that the configuration lists, which win where both name one.
//!
//! Knows no source. What was found last is recorded, so that a start whose source is silent has its members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::command::Discovered;
use super::members;
use super::out::Out;
use super::refusal::Refusal;
use super::state::{Fleet, SetState};
use crate::domain::{By, Instance, InstanceId, Now, ScaleSetName};
use crate::record::{FoundInstance, StillNamed, Write};

/// Goes by what a source says now.
pub(super) fn take_over(
    fleet: &mut Fleet,
    name: &ScaleSetName,
    change: &Discovered,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    fleet.set(name)?;
    let Some(set) = fleet.change(name) else { return Ok(()) };
    let mut changed: BTreeSet<&InstanceId> = change.found.iter().map(|found| &found.id).collect();
    changed.extend(&change.gone);
    for found in &change.found {
        set.discovered.insert(found.id.clone(), Arc::clone(found));
    }
    for id in &change.gone {
        set.discovered.remove(id);
    }
    let held: OrdSet<InstanceId> =
        change.held.iter().filter(|id| set.discovered.contains_key(*id)).cloned().collect();
    let before = std::mem::replace(&mut set.held_back, held);
    changed.extend(before.iter().filter(|id| !set.held_back.contains(*id)));
    changed.extend(change.held.iter().filter(|id| !before.contains(*id)));
    out.writes
        .extend(changed.into_iter().map(|id| Write::Discovered(name.clone(), id.clone(), row(set, id))));
    let next = together(&set.listed, &set.discovered);
    members::go_over(fleet, name, next, by, now, out);
    Ok(())
}

/// What is recorded of one that a source has found; none of one that it has not.
pub(super) fn row(set: &SetState, id: &InstanceId) -> Option<Box<FoundInstance>> {
    let instance = (**set.discovered.get(id)?).clone();
    let named = if set.held_back.contains(id) { StillNamed::Held } else { StillNamed::Yes };
    Some(Box::new(FoundInstance { instance, named }))
}

/// Those that are listed, and those that were found; of one in both what the list says.
pub(super) fn together(
    listed: &BTreeMap<InstanceId, Arc<Instance>>,
    discovered: &OrdMap<InstanceId, Arc<Instance>>,
) -> BTreeMap<InstanceId, Arc<Instance>> {
    if discovered.is_empty() {
        return listed.clone();
    }
    let mut all: BTreeMap<InstanceId, Arc<Instance>> =
        discovered.iter().map(|(id, found)| (id.clone(), Arc::clone(found))).collect();
    all.extend(listed.iter().map(|(id, listed)| (id.clone(), Arc::clone(listed))));
    all
}

#[cfg(test)]
mod tests;
