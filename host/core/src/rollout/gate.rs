//! The health gate: watches the batch in flight, and judges what has been upgraded so far.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{
    Component, Health, HealthGate, InstanceId, OnBakeFailure, OnBreach, OnInstanceFailure, Timestamp,
};

use super::batch::BatchState;
use super::error::{UpgradeError, UpgradeErrorCode};
use super::hooks::{self, BatchHook};
use super::member::{Member, MemberState};
use super::state::{Progress, Purpose, Stage, Upgrade, UpgradeState};
use super::step::{Step, end, fail, go};
use super::trip::Trip;
use super::view::{Brought, FleetView};
use super::{evidence, surge, trip, verdict};

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
    let (mut bad, mut turns) = (Vec::new(), Vec::new());
    upgrade.members.visit_batch(number, |id, member| match watch(gate, id, member, fleet, now, out) {
        Watched::AsItWas => None,
        Watched::Becomes(state) => Some(state),
        Watched::Turns => {
            turns.push(id.clone());
            None
        }
        Watched::Bad(reason) => {
            bad.push((id.clone(), reason));
            None
        }
    });
    for id in turns {
        if !next_part(upgrade, &id, now, out) {
            trip::turn(upgrade, fleet, &id, now, out);
        }
    }
    for (id, reason) in bad {
        fail(upgrade, &id, &reason, now, out);
    }
    if surges {
        surge::take_over(upgrade, &ids, now, out);
    }
    let progress = upgrade.members.progress_of(number);
    if progress.pending + progress.in_progress > 0 {
        return false;
    }
    let recovering = upgrade.recovering_until.filter(|until| now < *until);
    if let Some(until) = recovering.or_else(|| fleet.silence_goes_round())
        && upgraded_are_down(upgrade, fleet)
    {
        out.wake(until);
        return false;
    }
    if hooks::begin(upgrade, BatchHook::After, out) {
        return true;
    }
    if let Some(batch) = upgrade.batches.get_mut(upgrade.current) {
        batch.state = if progress.failed > 0 { BatchState::Failed } else { BatchState::Completed };
        batch.ended_at = Some(now);
        out.batches_changed.insert(number);
    }
    if trip::judge(upgrade, now) {
        upgrade.current += 1;
        return true;
    }
    after_batch(upgrade, fleet, now, out);
    true
}

/// A member that has come back healthy gets its next part; gives whether it has one.
fn next_part(upgrade: &mut Upgrade, id: &InstanceId, now: Timestamp, out: &mut Step) -> bool {
    let rule = upgrade.policy.failure.instance;
    let next = upgrade.members.update(id, |member| {
        member.is_between_parts().then(|| {
            member.latest_is_proven();
            member.next(rule, now)
        })
    });
    let Some(Some(next)) = next else { return false };
    go(upgrade, id, next, out);
    true
}

/// Whether an instance that was healthy at the new version is Initializing now: nobody has heard of it yet.
pub(super) fn upgraded_come_up(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let is_upgraded = |id: &InstanceId| upgraded_at(upgrade, id).is_some();
    fleet.initializing_count() > 0 && fleet.initializing().iter().any(is_upgraded)
}

/// Whether an instance that was healthy at the new version is not healthy now.
fn upgraded_are_down(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let is_upgraded = |id: &InstanceId| upgraded_at(upgrade, id).is_some();
    (fleet.unhealthy_count() > 0 && fleet.unhealthy().iter().any(is_upgraded))
        || upgraded_come_up(upgrade, fleet)
}

/// What a look at one member of the batch makes of it.
enum Watched {
    AsItWas,
    Becomes(MemberState),
    /// It is healthy, and gets its next part or goes the next way of its round trip.
    Turns,
    /// It has failed just now, and why.
    Bad(String),
}

/// Looks at one member of the batch.
fn watch(
    gate: HealthGate,
    id: &InstanceId,
    member: &Member,
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) -> Watched {
    let MemberState::Settling { applied_at, healthy_since: before } = member.state else {
        return Watched::AsItWas;
    };
    let (health, unheard) = (fleet.health(member.watched(id)), fleet.unheard(member.watched(id)));
    let mut healthy_since = before;
    // What the host could not look at is not the instance's time.
    let gate = HealthGate { deadline: gate.deadline.saturating_add(unheard.length), ..gate };
    let settled = if unheard.goes_on {
        healthy_since = None;
        Settle::Wait((applied_at + gate.deadline).max(now + UNHEARD_LOOK))
    } else {
        settle(health, gate, applied_at, &mut healthy_since, now)
    };
    let state = match settled {
        Settle::Wait(at) => {
            out.wake(at);
            if before == healthy_since {
                return Watched::AsItWas;
            }
            MemberState::Settling { applied_at, healthy_since }
        }
        Settle::Good if member.is_between_parts() || member.turns() => return Watched::Turns,
        Settle::Good if member.is_surge() => MemberState::Ready { applied_at },
        Settle::Good if member.has_failed_part() => MemberState::Failed { at: now },
        Settle::Good => MemberState::Succeeded { at: now },
        Settle::Bad(reason) => match fleet.silence_goes_round() {
            Some(until) if fleet.health(member.watched(id)).is_unhealthy() => {
                out.wake(until);
                return Watched::AsItWas;
            }
            Some(_) | None => {
                let trouble = fleet.trouble(member.watched(id));
                let why = trouble.map_or_else(String::new, |text| format!(": {text}"));
                return Watched::Bad(format!("{reason}{why}"));
            }
        },
    };
    out.changed.insert(id.clone());
    Watched::Becomes(state)
}

/// How soon to look again at an instance that the host cannot ask; being asked again wakes at once.
const UNHEARD_LOOK: Duration = Duration::from_secs(1);

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
    upgrade.evidence_from = now + evidence::MOMENT;
    evidence::ask(upgrade, out);
    judge_upgraded(upgrade, fleet, now, out);
}

/// Whether too much of what has been upgraded so far, or brought back, is unhealthy. A person who names instances has
/// no limit.
pub(super) fn is_over_limit(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    if upgrade.purpose == Purpose::Manual {
        return false;
    }
    let mine = verdict::failed(upgrade) + upgraded_down(upgrade, fleet);
    // Whoever is through and well does not fail for others of its group.
    if mine == 0 && !upgrade.has_more() {
        return false;
    }
    let Brought { upgraded: others, bad } = beside(upgrade, fleet);
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent;
    limit.is_exceeded_by(mine + bad, upgraded(upgrade) + others)
}

/// What its releases have come to on other stand-alone machines of its group: these are one set for the limits.
pub(super) fn beside(upgrade: &Upgrade, fleet: &dyn FleetView) -> Brought {
    let goal = upgrade.open_goal();
    let each = goal.changes().map(|change| beside_of(upgrade, &change.component, fleet));
    each.max_by_key(|one| (one.bad, Reverse(one.upgraded))).unwrap_or_default()
}

/// The same of one component alone.
pub(super) fn beside_of(upgrade: &Upgrade, component: &Component, fleet: &dyn FleetView) -> Brought {
    if upgrade.releases.is_empty() || !upgrade.is_forward() {
        return Brought::default();
    }
    fleet.machines().and_then(|machines| machines.others.get(component).copied()).unwrap_or_default()
}

/// How many have been upgraded, with those of before.
pub(super) fn upgraded(upgrade: &Upgrade) -> usize {
    let Progress { successful, failed, in_progress: _, pending: _ } = upgrade.members.progress();
    successful + failed + brought_before(upgrade)
}

/// A release comes to a set more than once: to those that failed, and to those that have come since. Whoever it has brought
/// there before was upgraded, too, so that one that fails again is not all of them.
pub(super) fn brought_before(upgrade: &Upgrade) -> usize {
    if upgrade.releases.is_empty() || !upgrade.is_forward() { 0 } else { upgrade.already }
}

/// How many instances that were healthy at the new version count as unhealthy now.
pub(super) fn upgraded_down(upgrade: &Upgrade, fleet: &dyn FleetView) -> usize {
    down(upgrade, fleet).iter().filter(|id| upgraded_at(upgrade, id).is_some()).count()
}

/// Who is not healthy: also one that is Initializing because it has ended by itself and was started again, and one that
/// did so in the bake, however well it is between two ends.
fn down(upgrade: &Upgrade, fleet: &dyn FleetView) -> BTreeSet<InstanceId> {
    let mut down: BTreeSet<InstanceId> = ended_in_bake(upgrade, fleet).into_keys().collect();
    if fleet.unhealthy_count() > 0 {
        down.extend(fleet.unhealthy());
    }
    if fleet.initializing_count() > 0 {
        down.extend(fleet.initializing().into_iter().filter(|id| fleet.trouble(id).is_some()));
    }
    down
}

/// Who has ended by itself in the bake, and how.
fn ended_in_bake(upgrade: &Upgrade, fleet: &dyn FleetView) -> BTreeMap<InstanceId, String> {
    match upgrade.stage {
        Stage::Baking { .. } => fleet.ended_by_themselves(&upgrade.id),
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Undoing
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => BTreeMap::new(),
    }
}

/// Judges all that has been upgraded so far: tells what is not healthy, and stops over the limit.
pub(super) fn judge_upgraded(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    if is_over_limit(upgrade, fleet) {
        verdict::end_guilty(upgrade, fleet, now, out);
    }
    let (upgraded, unhealthy) = upgraded_so_far(upgrade, fleet);
    let beside = beside(upgrade, fleet);
    if unhealthy.is_empty() {
        if beside.bad > 0 && is_over_limit(upgrade, fleet) {
            return end_with_the_group(upgrade, beside, now);
        }
        // Whoever was down for a while is well again, and nothing has failed: the headline says no more.
        let failed = UpgradeErrorCode::RollingUpgradeInProgressWithFailedUpgradedVMs;
        upgrade.error.take_if(|error| error.code == failed);
        return;
    }
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent;
    let (bad, upgraded) = (unhealthy.len() + beside.bad, upgraded + beside.upgraded);
    let exceeded = upgrade.purpose != Purpose::Manual && limit.is_exceeded_by(bad, upgraded);
    let code = if exceeded {
        UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade
    } else {
        UpgradeErrorCode::RollingUpgradeInProgressWithFailedUpgradedVMs
    };
    let (first, why) = unhealthy.first().map_or(("", ""), |(id, why)| (id.as_str(), why.as_str()));
    let what = match upgrade.purpose {
        Purpose::Forward if beside != Brought::default() => "upgraded stand-alone machines of its group",
        Purpose::Forward | Purpose::Manual => "upgraded instances",
        Purpose::Rollback { .. } => "instances that were brought back",
    };
    // Past the brake nobody has configured the limit that is in force.
    let by = match upgrade.purpose {
        Purpose::Rollback { .. } if !exceeded => String::new(),
        Purpose::Forward | Purpose::Manual | Purpose::Rollback { .. } => {
            format!(" (maxUnhealthyUpgradedInstancePercent = {})", limit.get())
        }
    };
    let message = format!("{bad} of {upgraded} {what} are unhealthy{by}; the first is `{first}`: {why}");
    upgrade.error = Some(UpgradeError { code, message, details: unhealthy.clone() });
    if exceeded {
        breach(upgrade, &unhealthy, now, out);
    }
}

/// Too many of its group are unhealthy with the version: a stand-alone machine whose turn has not come stays as it is.
fn end_with_the_group(upgrade: &mut Upgrade, others: Brought, now: Timestamp) {
    let Brought { upgraded, bad } = others;
    let limit = upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent.get();
    upgrade.error = Some(UpgradeError {
        code: UpgradeErrorCode::MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade,
        message: format!(
            "{bad} of {upgraded} upgraded stand-alone machines of its group are unhealthy \
             (maxUnhealthyUpgradedInstancePercent = {limit}); nothing was begun here"
        ),
        details: Vec::new(),
    });
    end(upgrade, UpgradeState::Faulted, now);
}

/// Counts what was upgraded, and names what of it is not healthy and why, in the order of the plan's ids.
/// Looks at what failed and at what is down in the fleet, and at nothing else.
fn upgraded_so_far(upgrade: &Upgrade, fleet: &dyn FleetView) -> (usize, Vec<(InstanceId, String)>) {
    let mut unhealthy: BTreeMap<&InstanceId, (InstanceId, String)> = BTreeMap::new();
    let counts =
        |id: &&InstanceId| upgrade.members.get(id).is_some_and(|member| verdict::counts(upgrade, member));
    for id in upgrade.members.failed().filter(counts) {
        let why = upgrade.members.get(id).and_then(Member::failure).unwrap_or_default();
        unhealthy.insert(id, (id.clone(), why));
    }
    let mut ended = ended_in_bake(upgrade, fleet);
    for here in down(upgrade, fleet) {
        let Some(id) = upgraded_at(upgrade, &here) else { continue };
        let why = ended.remove(&here).unwrap_or_else(|| {
            let trouble = fleet.trouble(&here).map_or_else(String::new, |text| format!(": {text}"));
            format!("became {} after it was upgraded{trouble}", fleet.health(&here).name())
        });
        unhealthy.insert(id, (here, why));
    }
    (upgraded(upgrade), unhealthy.into_values().collect())
}

/// The member that was upgraded and in whose place an instance stands; an instance that has been
/// replaced stands in no place.
pub(super) fn upgraded_at<'a>(upgrade: &'a Upgrade, instance: &InstanceId) -> Option<&'a InstanceId> {
    let (id, member) = upgrade.members.behind(instance)?;
    let stands = matches!(member.state, MemberState::Succeeded { .. }) && member.occupant(id) == instance;
    stands.then_some(id)
}

/// A limit was passed. Ends at once, or after the failed instances have been brought back.
fn breach(upgrade: &mut Upgrade, unhealthy: &[(InstanceId, String)], now: Timestamp, out: &mut Step) {
    let rule = match (upgrade.stage, upgrade.policy.bake) {
        (Stage::Baking { .. }, Some(bake)) => match bake.on_failure {
            OnBakeFailure::Stop => OnBreach::Stop,
            OnBakeFailure::RollBack => OnBreach::RollBack,
        },
        (_, _) => upgrade.policy.failure.breach,
    };
    match rule {
        OnBreach::Stop | OnBreach::RollBack => {
            upgrade.then_roll_back |= rule == OnBreach::RollBack;
            // What the headline names as bad does not count as good.
            let all = if upgrade.is_forward() { unhealthy } else { &[] };
            all.iter().for_each(|(id, why)| counts_as_failed(upgrade, id, why, now, out));
        }
        OnBreach::RestoreFailed => {
            for (id, why) in unhealthy {
                let back = upgrade.members.update(id, |member| has_failed_after_all(member, why, now));
                let Some(Some(back)) = back else { continue };
                out.changed.insert(id.clone());
                batch_has_failed(upgrade, id, out);
                let succeeded = |member: &Member| matches!(member.state, MemberState::Succeeded { .. });
                // Without a way back it has failed all the same.
                if back.is_with_driver() || upgrade.members.get(id).is_some_and(succeeded) {
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

/// What was good and is not any more has failed, and stays as it is. With maxSurge it stands where another one was, and
/// that one is gone.
fn counts_as_failed(upgrade: &mut Upgrade, id: &InstanceId, why: &str, now: Timestamp, out: &mut Step) {
    let failed = upgrade.members.update(id, |member| {
        let was_good = matches!(member.state, MemberState::Succeeded { .. }) && !member.is_surge();
        if was_good {
            member.applied_have_failed(why);
            member.state = MemberState::Failed { at: now };
        }
        was_good
    });
    if failed == Some(true) {
        out.changed.insert(id.clone());
        batch_has_failed(upgrade, id, out);
    }
}

/// A batch of which a member has failed after all did not come back healthy.
fn batch_has_failed(upgrade: &mut Upgrade, id: &InstanceId, out: &mut Step) {
    let Some(number) = upgrade.members.get(id).map(Member::batch) else { return };
    let batch = upgrade.batches.iter_mut().find(|batch| batch.number == number);
    if let Some(batch) = batch.filter(|batch| batch.state == BatchState::Completed) {
        batch.state = BatchState::Failed;
        out.batches_changed.insert(number);
    }
}

/// What follows for a member that is to be brought back though it went well; none with maxSurge, where
/// the one before was never touched, or is gone.
fn has_failed_after_all(member: &mut Member, why: &str, now: Timestamp) -> Option<MemberState> {
    if member.is_surge() {
        return None;
    }
    // It goes nowhere but back from here.
    member.trip = Trip::None;
    member.applied_have_failed(why);
    member.try_again_to_restore();
    Some(member.next(OnInstanceFailure::Restore, now))
}

/// Waits until the failed instances have been brought back, then ends.
pub(super) fn undoing(upgrade: &mut Upgrade, now: Timestamp) -> bool {
    let restoring =
        |member: &Member| matches!(member.state, MemberState::Restoring { .. } | MemberState::Hooking { .. });
    if upgrade.members.in_flight().filter_map(|id| upgrade.members.get(id)).any(restoring) {
        return false;
    }
    end(upgrade, UpgradeState::Faulted, now);
    true
}
