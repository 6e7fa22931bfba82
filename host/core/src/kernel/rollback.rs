//! The rollback of an ended upgrade, put in its place.

use std::sync::Arc;

use super::look;
use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::start;
use super::state::{Fleet, InstanceState};
use crate::domain::{By, InstanceId, Now, ScaleSetName};
use crate::record::audit::{StartWhy, What};
use crate::rollout::{
    BackTo, Brake, Event, FleetView as _, Member, MemberState, Purpose, StartUpgrade, Upgrade, Wish,
    continued, rollback_of,
};

/// Takes the latest upgrade of a set back, and no other one: that one before it was good is likely. Where it was a
/// rollback that has ended half-way, a person may let it go on.
///
/// # Errors
/// When there is none, or nothing that could be taken back.
pub(super) fn latest(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, brake): (&ScaleSetName, Brake),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let latest = fleet.set(name)?.upgrade.clone().ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
    match (&latest.purpose, brake) {
        (Purpose::Rollback { .. }, Brake::Off) => go_on(fleet, memories, &latest, brake, by, now, out),
        (Purpose::Rollback { .. }, Brake::On) => Err(Refusal::WasRollback(latest.id.clone())),
        (Purpose::Forward | Purpose::Manual, _) => {
            if !latest.left_a_trace() {
                return Err(Refusal::NothingToRollBack(latest.id.clone()));
            }
            roll_back(fleet, memories, (&latest, brake), by, now, out)
        }
    }
}

/// Goes to what a former upgrade had brought: now, or once what runs has stopped.
pub(super) fn to(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    former: &Upgrade,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let target = BackTo::what(former).filter(|_| former.scale_set == *name);
    let target = target.ok_or_else(|| Refusal::NotCompleted(former.id.clone()))?;
    let Some(running) = set.active() else { return begin_to(fleet, memories, name, &target, by, now, out) };
    if matches!(running.purpose, Purpose::Rollback { .. }) {
        return Err(start::still_running(running));
    }
    out.audit(About::upgrade(running, None), by.clone(), What::Wish { wish: Wish::RollBack }, now);
    if let Some(upgrade) = fleet.change(name).and_then(|set| set.upgrade.as_mut()) {
        let upgrade = Arc::make_mut(upgrade);
        (upgrade.then_to, upgrade.asked_back) = (Some(Box::new(target)), Some(by.clone()));
    }
    look::look(fleet, memories, name, &[Event::Wish(Wish::RollBack)], now, out);
    Ok(())
}

/// Begins to go to what a former upgrade had brought.
pub(super) fn begin_to(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    target: &BackTo,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let latest = set.upgrade.clone().ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
    let (number, id) = out.upgrade(name)?;
    let start = StartUpgrade {
        id,
        number,
        scale_set: name.clone(),
        goal: target.goal.clone(),
        // What is taken back is as urgent as what brought it.
        policy: set.spec.policy.clone().at(latest.policy.urgency),
        before: set.model.clone(),
        bypass: false,
    };
    let from = (latest.id.clone(), latest.goal.clone());
    let upgrade = target.upgrade(start, from, &set.view(now).candidates(), now.at);
    let upgrade = upgrade.ok_or_else(|| Refusal::AlreadyBack(target.of.clone()))?;
    let why = StartWhy::BackTo { of: target.of.clone(), goal: target.goal.clone() };
    start::install(fleet, memories, upgrade, why, by, now, out);
    Ok(())
}

/// Brings back what an ended rollback has left.
pub(super) fn go_on(
    fleet: &mut Fleet,
    memories: &mut Memories,
    ended: &Upgrade,
    brake: Brake,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(&ended.scale_set)?;
    // What runs what it was to be brought back to has had all that a driver can do for it.
    let is_left = |id: &InstanceId, member: &Member| {
        let instance = set.instance(member.occupant(id));
        let lacks = |instance: &InstanceState| {
            member.parts.iter().any(|part| instance.runs_of(&part.component).version() != Some(&part.target))
        };
        matches!(member.state, MemberState::Failed { .. }) && instance.is_some_and(lacks)
    };
    let (number, id) = out.upgrade(&ended.scale_set)?;
    let rest = continued(ended, id, brake, is_left, now.at);
    let rest = rest.ok_or_else(|| Refusal::NothingToContinue(ended.id.clone()))?;
    install(fleet, memories, Upgrade { number, ..rest }, ended, by, now, out);
    Ok(())
}

/// Begins to take an ended upgrade back.
///
/// # Errors
/// When it was a rollback itself, or left nothing behind.
pub(super) fn roll_back(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (ended, brake): (&Upgrade, Brake),
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
    brake.apply(&mut rollback.policy);
    install(fleet, memories, rollback, ended, by, now, out);
    Ok(())
}

fn install(
    fleet: &mut Fleet,
    memories: &mut Memories,
    mut rollback: Upgrade,
    ended: &Upgrade,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    if let Ok(set) = fleet.set(&ended.scale_set) {
        // What the configuration no longer has stays as it is.
        let is_there = |id: &InstanceId| set.instance(id).is_some_and(InstanceState::is_member);
        rollback.forget_gone(is_there, now.at);
    }
    let why = match &rollback.purpose {
        // What it takes back, also where it goes on with what a rollback before it has left.
        Purpose::Rollback { to: Some(of), .. } => {
            StartWhy::BackTo { of: of.clone(), goal: rollback.goal.clone() }
        }
        Purpose::Rollback { of, from, .. } => StartWhy::TakesBack { ended: of.clone(), goal: from.clone() },
        Purpose::Forward | Purpose::Manual => {
            StartWhy::TakesBack { ended: ended.id.clone(), goal: ended.goal.clone() }
        }
    };
    start::install(fleet, memories, rollback, why, by, now, out);
}
