//! The way back of a whole upgrade: newest first, to what each instance had before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Change, Checkpoints, Component, FailureRules, Goal, HealthGate, InstanceId, OnBreach, OnInstanceFailure,
    Percent, Timeouts, Timestamp, UpgradeId, UpgradePolicy, Version,
};

use imbl::Vector;

use crate::plan::{Hold, HoldReason};

use super::batch::{BatchProgress, BatchState};
use super::member::{Member, MemberState};
use super::members::Members;
use super::part::{Part, PartState, Restored};
use super::state::{Purpose, Stage, StartUpgrade, Upgrade};
use super::surge::Way;

/// An upgrade that undoes an ended one: the batches that it touched in reverse order, so that
/// their zone and update-domain borders hold on the way back too. Where new instances took over,
/// newer ones with the versions of before take over from those. None when there is nothing to undo.
#[must_use]
pub fn rollback_of(upgrade: &Upgrade, id: UpgradeId, now: Timestamp) -> Option<Upgrade> {
    if upgrade.is_active() {
        return None;
    }
    let mut batches: Vec<BatchProgress> = Vec::new();
    let mut members = Members::default();
    let mut holds = Vec::new();
    for batch in upgrade.batches.iter().rev() {
        let number = u32::try_from(batches.len()).ok()?;
        let mut position = 0;
        for id in upgrade.members.of_batch(batch.number).rev() {
            let Some(before) = upgrade.members.get(id) else { continue };
            let Some((way, parts)) = parts_back(before) else {
                holds.extend(without_way_back(before.occupant(id), before));
                continue;
            };
            members.insert(before.occupant(id).clone(), Member::pending((number, position), way, parts));
            position += 1;
        }
        if position > 0 {
            let state = BatchState::Pending;
            batches.push(BatchProgress {
                number,
                state,
                started_at: None,
                ended_at: None,
                set_aside_at: None,
                ..batch.clone()
            });
        }
    }
    if members.is_empty() {
        return None;
    }
    let policy = policy_back(&upgrade.policy);
    let start = StartUpgrade {
        id,
        number: 0,
        scale_set: upgrade.scale_set.clone(),
        // What is wanted from now on; each member knows itself what it goes back to.
        goal: wanted_again(upgrade, &members),
        policy,
        before: upgrade.goal.clone(),
        bypass: false,
    };
    let purpose = Purpose::Rollback {
        of: upgrade.id.clone(),
        from: upgrade.goal.clone(),
        because: upgrade.error.as_ref().map(|error| error.message.clone()),
        to: None,
    };
    Some(Upgrade {
        purpose,
        bypass: upgrade.bypass,
        bypassed_freeze: upgrade.bypassed_freeze,
        stage: Stage::Between { resume_at: now },
        next_number: u32::try_from(batches.len()).ok()?,
        batches: batches.into(),
        holds: sorted(holds),
        members,
        ..Upgrade::new(start, now)
    })
}

/// Whether a rollback of its upgrade brings a member back.
pub(super) fn goes_back(member: &Member) -> bool {
    parts_back(member).is_some()
}

/// What stays on a member, because nothing was there before; none where that is nothing.
fn without_way_back(id: &InstanceId, member: &Member) -> Option<Hold> {
    let stays = |part: &&Part| {
        let is_over = match &part.state {
            PartState::Waiting | PartState::Failed { restored: Restored::Yes | Restored::NotNeeded, .. } => {
                true
            }
            PartState::Applied | PartState::Proven | PartState::Failed { .. } => false,
        };
        part.previous.is_none() && !is_over
    };
    let change = |part: &Part| Change { component: part.component.clone(), to: part.target.clone() };
    let stays: Vec<String> = member.parts.iter().filter(stays).map(|part| change(part).to_string()).collect();
    let any = member.attempt > 0 && !stays.is_empty();
    any.then(|| Hold::of_host(id.clone(), HoldReason::NoWayBack(stays.join(", "))))
}

fn sorted(mut holds: Vec<Hold>) -> Vector<Hold> {
    holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    holds.into()
}

/// What a way back goes by: no checkpoints, no limits of time, no second way back. What is brought back is looked at and not watched for
/// long, because the next one waits for it.
pub(super) fn policy_back(policy: &UpgradePolicy) -> UpgradePolicy {
    UpgradePolicy {
        gate: HealthGate { stable_for: Duration::ZERO, ..policy.gate },
        failure: FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::Stop },
        checkpoints: Checkpoints::default(),
        // What goes back is not stopped half-way for its time.
        timeouts: Timeouts::default(),
        ..policy.clone()
    }
}

/// What an ended rollback has left: whom it has not come to, and those of whom `is_left` says that they do not run
/// what they were to be brought back to. None when nothing is.
#[must_use]
pub fn continued(
    rollback: &Upgrade,
    id: UpgradeId,
    brake: Brake,
    is_left: impl Fn(&InstanceId, &Member) -> bool,
    now: Timestamp,
) -> Option<Upgrade> {
    if rollback.is_active() {
        return None;
    }
    let mut batches: Vec<BatchProgress> = Vec::new();
    let mut members = Members::default();
    for batch in &rollback.batches {
        let number = u32::try_from(batches.len()).ok()?;
        let mut position = 0;
        for id in rollback.members.of_batch(batch.number) {
            let Some(before) = rollback.members.get(id) else { continue };
            let way = match &before.way {
                Way::InPlace => Way::InPlace,
                Way::Surge | Way::Beside { .. } => Way::Surge,
                Way::Instead { .. } => continue,
            };
            if before.state != MemberState::Pending && !is_left(id, before) {
                continue;
            }
            let anew = |part: &Part| Part { state: PartState::Waiting, ..part.clone() };
            let parts = before.parts.iter().map(anew).collect();
            members.insert(id.clone(), Member::pending((number, position), way, parts));
            position += 1;
        }
        if position > 0 {
            let state = BatchState::Pending;
            batches.push(BatchProgress { number, state, started_at: None, ended_at: None, ..batch.clone() });
        }
    }
    if members.is_empty() {
        return None;
    }
    let mut policy = rollback.policy.clone();
    brake.apply(&mut policy);
    let start = StartUpgrade {
        id,
        number: 0,
        scale_set: rollback.scale_set.clone(),
        goal: rollback.goal.clone(),
        policy,
        before: rollback.before.clone(),
        bypass: false,
    };
    Some(Upgrade {
        purpose: rollback.purpose.clone(),
        bypass: rollback.bypass,
        bypassed_freeze: rollback.bypassed_freeze,
        stage: Stage::Between { resume_at: now },
        next_number: u32::try_from(batches.len()).ok()?,
        batches: batches.into(),
        members,
        ..Upgrade::new(start, now)
    })
}

/// Whether a way back stops when too much of what it has brought back is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brake {
    /// It does.
    On,
    /// A person goes past it.
    Off,
}

impl Brake {
    /// Makes it so of the rules that a way back goes by.
    pub fn apply(self, policy: &mut UpgradePolicy) {
        if self == Self::Off {
            policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(100);
        }
    }
}

/// What was wanted before, except where most of the members go back to something else: after a try
/// that faulted the version that is taken back was wanted before this try, too.
fn wanted_again(upgrade: &Upgrade, members: &Members) -> Goal {
    let most = |change: &Change| {
        let mut counts: BTreeMap<&Version, usize> = BTreeMap::new();
        let parts = members.values().flat_map(|member| &member.parts);
        for part in parts.filter(|part| part.component == change.component) {
            *counts.entry(&part.target).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(version, count)| (*count, **version == change.to));
        let to = most.map_or_else(|| change.to.clone(), |(version, _)| version.clone());
        Change { component: change.component.clone(), to }
    };
    Goal::new(upgrade.before.changes().map(most))
}

/// The parts on which our effect may still be, newest first, and the way back; none when there is
/// none.
fn parts_back(member: &Member) -> Option<(Way, Vec<Part>)> {
    match member.way {
        Way::InPlace if member.is_touched() => {}
        Way::Instead { .. } => return whole_back(member),
        // The new instance is gone, and the old one was never touched.
        Way::InPlace | Way::Surge | Way::Beside { .. } => return None,
    }
    let back = |part: &Part| {
        let target = part.way_back()?.clone();
        part.leaves_a_trace().then(|| Part {
            component: part.component.clone(),
            previous: Some(part.target.clone()),
            target,
            state: PartState::Waiting,
        })
    };
    let parts: Vec<Part> = member.parts.iter().rev().filter_map(back).collect();
    (!parts.is_empty()).then_some((Way::InPlace, parts))
}

/// A new instance gets everything that the first one had.
fn whole_back(member: &Member) -> Option<(Way, Vec<Part>)> {
    let back = |part: &Part| {
        let target = part.previous.clone()?;
        let previous = Some(part.target.clone());
        Some(Part { component: part.component.clone(), previous, target, state: PartState::Waiting })
    };
    let parts: Vec<Part> = member.parts.iter().filter_map(back).collect();
    let has_application = parts.iter().any(|part| part.component == Component::Application);
    has_application.then_some((Way::Surge, parts))
}
