//! Instances that a source has found: members beside those that the configuration lists, which win where both name one.
//!
//! Knows no source. What was found last is recorded, so that a start whose source is silent has its members.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use super::command::Discovered;
use super::members;
use super::out::Out;
use super::refusal::Refusal;
use super::state::Fleet;
use crate::domain::{By, Instance, InstanceId, Now, ScaleSetName};
use crate::record::Write;

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
    for found in &change.found {
        set.discovered.insert(found.id.clone(), Arc::clone(found));
        out.writes.push(Write::Discovered(name.clone(), found.id.clone(), Some(Box::new((**found).clone()))));
    }
    for id in &change.gone {
        set.discovered.remove(id);
        out.writes.push(Write::Discovered(name.clone(), id.clone(), None));
    }
    let next = together(&set.listed, &set.discovered);
    members::go_over(fleet, name, next, by, now, out);
    Ok(())
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
