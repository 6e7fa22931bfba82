//! The rollback of an ended upgrade, put in its place.

use std::sync::Arc;

use super::memory::Memories;
use super::out::Out;
use super::refusal::Refusal;
use super::start;
use super::state::{Fleet, InstanceState, SetState};
use crate::domain::{By, InstanceId, Now, ScaleSetName};
use crate::record::audit::StartWhy;
use crate::rollout::{Purpose, Upgrade, rollback_of};

/// The latest upgrade that did anything: one that found everybody there already does not hide the one
/// before it.
pub(super) fn subject(set: &SetState) -> Option<Arc<Upgrade>> {
    let latest = set.upgrade.as_ref()?;
    let hidden = || set.touched.clone().filter(|_| !crate::record::left_a_trace(latest));
    Some(hidden().unwrap_or_else(|| Arc::clone(latest)))
}

/// Begins to take an ended upgrade back.
///
/// # Errors
/// When it was a rollback itself, or left nothing behind.
pub(super) fn roll_back(
    fleet: &mut Fleet,
    memories: &mut Memories,
    ended: &Upgrade,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let name: &ScaleSetName = &ended.scale_set;
    if matches!(ended.purpose, Purpose::Rollback { .. }) {
        return Err(Refusal::WasRollback(ended.id.clone()));
    }
    let (number, id) = out.upgrade(name)?;
    let rollback = rollback_of(ended, id, now.at);
    let mut rollback = rollback.ok_or_else(|| Refusal::NothingToRollBack(ended.id.clone()))?;
    rollback.number = number;
    if let Ok(set) = fleet.set(name) {
        // What the configuration no longer has stays as it is.
        let is_there = |id: &InstanceId| set.instance(id).is_some_and(InstanceState::is_member);
        rollback.reconfigured(is_there, |_| false, now.at);
    }
    let why = StartWhy::TakesBack { ended: ended.id.clone(), goal: ended.goal.clone() };
    start::install(fleet, memories, rollback, why, by, now, out);
    Ok(())
}
