//! The health gate: watches the batch in flight, and judges what has been upgraded so far.

use crate::domain::{Health, HealthGate, InstanceId, OnBreach, OnInstanceFailure, Timestamp};

use super::error::{UpgradeError, UpgradeErrorCode};
use super::member::{Member, MemberState};
use super::state::{BatchState, Stage, Upgrade, UpgradeState};
use super::step::{FleetView, Step, end, fail, go};
use super::surge;

/// Watches the members of the batch in flight. Gives whether the batch is over.
pub(super) fn in_batch(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) -> bool {
    let Some(number) = upgrade.batches.get(upgrade.current).map(|batch| batch.number) else { return false };
    let surges = upgrade.policy.rolling.max_surge;
    let ids: Vec<InstanceId> =
        if surges { upgrade.members.of_batch(number).cloned().collect() } else { Vec::new() };
    if surges {
        surge::recheck(upgrade, &ids, fleet, out);
    }
    let gate = upgrade.policy.gate;
    let mut bad = Vec::new();
    upgrade.members.visit_batch(number, |id, member| {
        bad.extend(watch(gate, id, member, fleet, now, out).map(|reason| (id.clone(), reason)));
    });
    for (id, reason) in bad {
        fail(upgrade, &id, &reason, now, out);
    }
    if surges {
        surge::take_over(upgrade, &ids, now, out);
    }
    let mut failed = false;
    for member in upgrade.members.of_batch(number).filter_map(|id| upgrade.members.get(id)) {
        if !member.state.is_terminal() {
            return false;
        }
        failed |= matches!(member.state, MemberState::Failed { .. });
    }
    if let Some(until) = upgrade.recovering_until.filter(|until| now < *until)
        && upgraded_are_down(upgrade, fleet)
    {
        out.wake(until);
        return false;
    }
    if let Some(batch) = upgrade.batches.get_mut(upgrade.current) {
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
    upgraded.any(|(id, member)| fleet.health(member.occupant(id)) != Health::Healthy)
}

/// Looks at one member of the batch, and gives why it has failed if it just did.
fn watch(
    gate: HealthGate,
    id: &InstanceId,
    member: &mut Member,
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> Option<String> {
    if !matches!(member.state, MemberState::Settling { .. }) {
        return None;
    }
    let health = fleet.health(member.watched(id));
    let MemberState::Settling { applied_at, healthy_since } = &mut member.state else { return None };
    let before = *healthy_since;
    let applied_at = *applied_at;
    match settle(health, gate, applied_at, healthy_since, now) {
        Settle::Wait(at) => {
            out.wake(at);
            if before != *healthy_since {
                out.changed.insert(id.clone());
            }
            None
        }
        Settle::Good => {
            member.state = if member.is_surge() {
                MemberState::Ready { applied_at }
            } else if member.has_failed_part() {
                MemberState::Failed { at: now }
            } else {
                MemberState::Succeeded { at: now }
            };
            out.changed.insert(id.clone());
            None
        }
        Settle::Bad(reason) => Some(reason),
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
    upgrade.stage = Stage::Between { resume_at: now + upgrade.policy.rolling.pause_time_between_batches };
    judge_upgraded(upgrade, fleet, now, out);
}

/// Whether too much of what has been upgraded so far is unhealthy. A way back has no limit, nor has a
/// person who names instances.
pub(super) fn is_over_limit(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let (upgraded, unhealthy) = upgraded_so_far(upgrade, fleet);
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent;
    upgrade.is_forward() && limit.is_exceeded_by(unhealthy.len(), upgraded)
}

/// Judges all that has been upgraded so far: tells what is not healthy, and stops over the limit.
pub(super) fn judge_upgraded(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let (upgraded, unhealthy) = upgraded_so_far(upgrade, fleet);
    if unhealthy.is_empty() {
        return;
    }
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent;
    let exceeded = upgrade.is_forward() && limit.is_exceeded_by(unhealthy.len(), upgraded);
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
    for (id, member) in upgrade.members.iter() {
        match &member.state {
            MemberState::Failed { .. } => {
                upgraded += 1;
                unhealthy.push((id.clone(), member.failure().unwrap_or_default()));
            }
            MemberState::Succeeded { .. } => {
                upgraded += 1;
                let id = member.occupant(id);
                let health = fleet.health(id);
                if health.is_unhealthy() {
                    unhealthy.push((id.clone(), format!("became {} after it was upgraded", health.name())));
                }
            }
            MemberState::Pending
            | MemberState::Applying { .. }
            | MemberState::Settling { .. }
            | MemberState::Creating { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Restoring { .. } => {}
        }
    }
    (upgraded, unhealthy)
}

/// A limit was passed. Ends at once, or after the failed instances have been brought back.
fn breach(upgrade: &mut Upgrade, unhealthy: &[InstanceId], now: Timestamp, out: &mut Step) {
    match upgrade.policy.failure.breach {
        OnBreach::Stop => {}
        OnBreach::RollBack => upgrade.then_roll_back = true,
        OnBreach::RestoreFailed => {
            for id in unhealthy {
                let Some(member) = upgrade.members.get_mut(id) else { continue };
                // With maxSurge, the one before was never touched, or is gone.
                if member.is_surge() {
                    continue;
                }
                member.applied_have_failed("became unhealthy after it was upgraded");
                member.try_again_to_restore();
                out.changed.insert(id.clone());
                let back = member.next(OnInstanceFailure::Restore, now);
                // Without a way back it has failed all the same.
                if back.is_with_driver() || matches!(member.state, MemberState::Succeeded { .. }) {
                    go(upgrade, id, back, out);
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
