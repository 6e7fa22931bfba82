//! The health gate: watches the batch in flight, and judges what has been upgraded so far.

use crate::domain::{Health, HealthGate, InstanceId, OnBreach, Timestamp};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::member::{MemberState, Restored};
use super::state::{BatchState, Purpose, Stage, Upgrade, UpgradeState};
use super::step::{FleetView, Step, apply, end, fail};

/// Watches the members of the batch in flight. Gives whether the batch is over.
pub(super) fn in_batch(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) -> bool {
    let current = upgrade.current;
    let settling: Vec<InstanceId> = upgrade
        .members
        .iter()
        .filter(|(_, member)| member.batch == current && matches!(member.state, MemberState::Settling { .. }))
        .map(|(id, _)| id.clone())
        .collect();
    for id in settling {
        watch(upgrade, &id, fleet.health(&id), now, out);
    }
    let members = || upgrade.members.values().filter(|member| member.batch == current);
    if members().any(|member| !member.state.is_terminal()) {
        return false;
    }
    if let Some(until) = upgrade.recovering_until.filter(|until| now < *until)
        && upgraded_are_down(upgrade, fleet)
    {
        out.wake(until);
        return false;
    }
    let failed = members().any(|member| matches!(member.state, MemberState::Failed { .. }));
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = if failed { BatchState::Failed } else { BatchState::Completed };
        batch.ended_at = Some(now);
    }
    after_batch(upgrade, fleet, now, out);
    true
}

/// Whether an instance that was healthy at the new version is not healthy now.
fn upgraded_are_down(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let succeeded = |state: &MemberState| matches!(state, MemberState::Succeeded { .. });
    let mut upgraded = upgrade.members.iter().filter(|(_, member)| succeeded(&member.state));
    upgraded.any(|(id, _)| fleet.health(id) != Health::Healthy)
}

/// Looks at one settling member.
fn watch(upgrade: &mut Upgrade, id: &InstanceId, health: Health, now: Timestamp, out: &mut Step) {
    let gate = upgrade.gate;
    let Some(member) = upgrade.members.get_mut(id) else { return };
    let MemberState::Settling { applied_at, healthy_since } = &mut member.state else { return };
    let (applied_at, before) = (*applied_at, *healthy_since);
    match settle(health, gate, applied_at, healthy_since, now) {
        Settle::Wait(at) => {
            out.wake(at);
            if before != *healthy_since {
                out.changed.insert(id.clone());
            }
        }
        Settle::Good => {
            member.state = MemberState::Succeeded { at: now };
            out.changed.insert(id.clone());
        }
        Settle::Bad(reason) => fail(upgrade, id, reason, now, out),
    }
}

enum Settle {
    /// Look again at this time at the latest.
    Wait(Timestamp),
    Good,
    Bad(String),
}

/// The gate for one instance: wait, then Healthy without a break for `stable_for`, all before the
/// deadline. Initializing means wait; Unhealthy and Unknown may recover until then.
fn settle(
    health: Health,
    gate: HealthGate,
    applied_at: Timestamp,
    healthy_since: &mut Option<Timestamp>,
    now: Timestamp,
) -> Settle {
    let watch_from = applied_at + gate.wait;
    let deadline = applied_at + gate.deadline;
    if now < watch_from {
        return Settle::Wait(watch_from);
    }
    let limit = gate.deadline.as_secs();
    match health {
        Health::Healthy => {
            let stable_at = *healthy_since.get_or_insert(now) + gate.stable_for;
            if now >= stable_at {
                return Settle::Good;
            }
            if now < deadline {
                return Settle::Wait(stable_at.min(deadline));
            }
            let stable = gate.stable_for.as_secs();
            Settle::Bad(format!(
                "was not Healthy for {stable} s without a break within {limit} s of its upgrade"
            ))
        }
        Health::Initializing | Health::Unhealthy | Health::Unknown => {
            *healthy_since = None;
            if now < deadline {
                return Settle::Wait(deadline);
            }
            Settle::Bad(format!("was still {} {limit} s after its upgrade", health.name()))
        }
    }
}

/// Goes on to the pause, unless what has been upgraded so far is over its limit.
fn after_batch(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    upgrade.current += 1;
    upgrade.stage = Stage::Between { resume_at: now + upgrade.policy.pause_time_between_batches };
    judge_upgraded(upgrade, fleet, now, out);
}

/// Whether too much of what has been upgraded so far is unhealthy. A way back has no limit.
pub(super) fn is_over_limit(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let (upgraded, unhealthy) = upgraded_so_far(upgrade, fleet);
    let limit = upgrade.policy.max_unhealthy_upgraded_instance_percent;
    upgrade.purpose == Purpose::Forward && limit.is_exceeded_by(unhealthy.len(), upgraded)
}

/// Judges all that has been upgraded so far: tells what is not healthy, and stops over the limit.
pub(super) fn judge_upgraded(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let (upgraded, unhealthy) = upgraded_so_far(upgrade, fleet);
    if unhealthy.is_empty() {
        return;
    }
    let limit = upgrade.policy.max_unhealthy_upgraded_instance_percent;
    let exceeded = upgrade.purpose == Purpose::Forward && limit.is_exceeded_by(unhealthy.len(), upgraded);
    let code = if exceeded {
        UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade
    } else {
        UpgradeErrorCode::RollingUpgradeInProgressWithFailedUpgradedVMs
    };
    let (first, why) = unhealthy.first().map_or(("", ""), |(id, why)| (id.as_str(), why.as_str()));
    let message = format!(
        "{} of {upgraded} upgraded instances are unhealthy (maxUnhealthyUpgradedInstancePercent = {}); \
         the first is `{first}`: {why}",
        unhealthy.len(),
        limit.get(),
    );
    let ids: Vec<InstanceId> = unhealthy.iter().map(|(id, _)| id.clone()).collect();
    upgrade.error = Some(UpgradeError { code, message, details: unhealthy });
    if exceeded {
        breach(upgrade, &ids, now, out);
    }
}

/// Counts what was upgraded, and names what of it is not healthy and why.
fn upgraded_so_far(upgrade: &Upgrade, fleet: &dyn FleetView) -> (usize, Vec<(InstanceId, String)>) {
    let mut upgraded = 0_usize;
    let mut unhealthy = Vec::new();
    for (id, member) in &upgrade.members {
        match &member.state {
            MemberState::Failed { reason, restored, .. } => {
                upgraded += 1;
                let back = match (restored, &member.previous) {
                    (Restored::Yes, Some(previous)) => format!("; {previous} was brought back"),
                    (Restored::No(why), _) => {
                        format!("; its previous version could not be brought back: {why}")
                    }
                    (Restored::Yes | Restored::NotTried, _) => String::new(),
                };
                unhealthy.push((id.clone(), format!("{reason}{back}")));
            }
            MemberState::Succeeded { .. } => {
                upgraded += 1;
                let health = fleet.health(id);
                if health.is_unhealthy() {
                    unhealthy.push((id.clone(), format!("became {} after it was upgraded", health.name())));
                }
            }
            MemberState::Pending
            | MemberState::Applying { .. }
            | MemberState::Settling { .. }
            | MemberState::Restoring { .. } => {}
        }
    }
    (upgraded, unhealthy)
}

/// A limit was passed. Ends at once, or after the failed instances have been brought back.
fn breach(upgrade: &mut Upgrade, unhealthy: &[InstanceId], now: Timestamp, out: &mut Step) {
    match upgrade.failure.breach {
        OnBreach::Stop => {}
        OnBreach::RollBack => upgrade.then_roll_back = true,
        OnBreach::RestoreFailed => {
            for id in unhealthy {
                let Some(member) = upgrade.members.get(id) else { continue };
                let reason = match &member.state {
                    MemberState::Failed { restored: Restored::Yes, .. } => continue,
                    MemberState::Failed { reason, .. } => reason.clone(),
                    MemberState::Pending
                    | MemberState::Applying { .. }
                    | MemberState::Settling { .. }
                    | MemberState::Succeeded { .. }
                    | MemberState::Restoring { .. } => "became unhealthy after it was upgraded".to_owned(),
                };
                if member.way_back().is_some() {
                    apply(upgrade, id, MemberState::Restoring { since: now, reason }, out);
                }
            }
            if !out.actions.is_empty() {
                upgrade.stage = Stage::Undoing;
                return;
            }
        }
    }
    end(upgrade, UpgradeState::Faulted, now);
}

/// Waits until the failed instances have been brought back, then ends.
pub(super) fn undoing(upgrade: &mut Upgrade, now: Timestamp) -> bool {
    let restoring = |state: &MemberState| matches!(state, MemberState::Restoring { .. });
    if upgrade.members.values().any(|member| restoring(&member.state)) {
        return false;
    }
    end(upgrade, UpgradeState::Faulted, now);
    true
}
