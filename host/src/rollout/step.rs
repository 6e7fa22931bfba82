//! One step of a rollout: state, fleet, event and time in; actions out.
//!
//! Total: an event that makes no sense here changes nothing.

use std::collections::BTreeSet;

use crate::domain::{Health, InstanceId, OperationId, Timestamp, Version};
use crate::plan::{Candidate, PlanInput, Standing, plan};

use super::state::{BatchState, MemberState, Stage, Upgrade, UpgradeError, UpgradeErrorCode, UpgradeState};

/// What a step may know of the fleet. A trait, so that the loop, the simulator and the tests give
/// their own without copying the fleet for each event.
pub trait FleetView {
    /// All instances, protected and skipped ones included.
    fn candidates(&self) -> Vec<Candidate>;
    /// Committed health of one instance; Unknown when it is not there.
    fn health(&self, instance: &InstanceId) -> Health;
    /// Number of instances.
    fn total(&self) -> usize;
    /// Instances that count as unhealthy, by id.
    fn unhealthy(&self) -> Vec<InstanceId>;
    /// Whether an instance is Initializing: neither healthy nor unhealthy, so everybody waits.
    fn any_initializing(&self) -> bool;
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed or the fleet looks different.
    Look,
    /// The host has restarted; effects in flight are to be asked for again.
    Resumed,
    /// The driver has answered for one operation.
    EffectDone {
        /// Which.
        operation: OperationId,
        /// Which instance.
        instance: InstanceId,
        /// How it went; one line for people when badly.
        result: Result<(), String>,
    },
    /// A person asks to stop after the batch in flight.
    Cancel,
}

/// What is to be done, after the new state has been recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the instance run the version.
    Apply {
        /// The instance.
        instance: InstanceId,
        /// The version.
        version: Version,
        /// Identity of the effect.
        operation: OperationId,
    },
}

/// Result of a step.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Members whose row changed.
    pub changed: BTreeSet<InstanceId>,
    /// Whether anything but members changed.
    pub head_changed: bool,
    /// In order.
    pub actions: Vec<Action>,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

/// Applies one event.
pub fn step(upgrade: &mut Upgrade, fleet: &dyn FleetView, event: &Event, now: Timestamp) -> Step {
    let mut out = Step::default();
    if !upgrade.is_active() {
        return out;
    }
    match event {
        Event::Look => {}
        Event::Resumed => resume(upgrade, now, &mut out),
        Event::EffectDone { operation, instance, result } => {
            effect_done(upgrade, (operation, instance), result, now, &mut out);
        }
        Event::Cancel => {
            out.head_changed |= !upgrade.cancel_requested;
            upgrade.cancel_requested = true;
        }
    }
    advance(upgrade, fleet, now, &mut out);
    out
}

/// Goes through as many stages as this moment allows. Each turn either waits or moves on, so the
/// loop is bounded by the number of batches.
fn advance(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    loop {
        let moved = match upgrade.stage {
            Stage::Preparing { until } => prepare(upgrade, fleet, until, now, out),
            Stage::Between { resume_at } => between(upgrade, fleet, resume_at, now, out),
            Stage::InBatch => in_batch(upgrade, fleet, now, out),
            Stage::Ended { .. } => false,
        };
        if !moved {
            return;
        }
        out.head_changed = true;
        out.wake_at = None;
    }
}

fn wake(out: &mut Step, at: Timestamp) {
    out.wake_at = Some(out.wake_at.map_or(at, |before| before.min(at)));
}

fn end(upgrade: &mut Upgrade, state: UpgradeState, now: Timestamp) {
    upgrade.state = state;
    upgrade.stage = Stage::Ended { at: now };
}

fn fault(upgrade: &mut Upgrade, error: UpgradeError, now: Timestamp) {
    upgrade.error = Some(error);
    end(upgrade, UpgradeState::Faulted, now);
}

/// Waits for answers, then takes the snapshot. Gives whether the stage changed.
fn prepare(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    until: Timestamp,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    if upgrade.cancel_requested {
        end(upgrade, UpgradeState::Cancelled, now);
        return true;
    }
    let candidates = fleet.candidates();
    let unready =
        |c: &Candidate| matches!(c.standing, Standing::Undecided) || c.health == Health::Initializing;
    if now < until && candidates.iter().any(unready) {
        wake(out, until);
        return false;
    }
    let plan = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        to: &upgrade.to,
        policy: &upgrade.policy,
        candidates: &candidates,
    });
    let running: std::collections::BTreeMap<_, _> =
        candidates.into_iter().map(|candidate| (candidate.id, candidate.version)).collect();
    upgrade.adopt(plan, |id| running.get(id).cloned().flatten());
    out.changed.extend(upgrade.members.keys().cloned());
    upgrade.stage = Stage::Between { resume_at: now };
    true
}

/// Ends, waits for the pause, or admits the next batch.
fn between(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    if upgrade.current >= upgrade.batches.len() {
        end(upgrade, UpgradeState::Completed, now);
        return true;
    }
    if upgrade.cancel_requested {
        end(upgrade, UpgradeState::Cancelled, now);
        return true;
    }
    if now < resume_at {
        wake(out, resume_at);
        return false;
    }
    if fleet.any_initializing() {
        // It ends with the grace period at the latest, and that is an event.
        return false;
    }
    if let Some(error) = unhealthy_fleet(upgrade, fleet) {
        if let Some(until) = recovering(upgrade, now) {
            wake(out, until);
            return false;
        }
        fault(upgrade, error, now);
        return true;
    }
    admit(upgrade, now, out);
    true
}

/// Until when the fleet may still be coming back from a restart of the host.
fn recovering(upgrade: &Upgrade, now: Timestamp) -> Option<Timestamp> {
    upgrade.recovering_until.filter(|until| now < *until)
}

/// The budget over the whole fleet, checked before each batch.
fn unhealthy_fleet(upgrade: &Upgrade, fleet: &dyn FleetView) -> Option<UpgradeError> {
    let unhealthy = fleet.unhealthy();
    let (total, limit) = (fleet.total(), upgrade.policy.max_unhealthy_instance_percent);
    if !limit.is_exceeded_by(unhealthy.len(), total) {
        return None;
    }
    let code = if upgrade.current == 0 {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade
    } else {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededInRollingUpgrade
    };
    let message = format!(
        "{} of {total} instances are unhealthy, more than maxUnhealthyInstancePercent = {} allows; the first is `{}`",
        unhealthy.len(),
        limit.get(),
        unhealthy.first().map_or("", |id| id.as_str()),
    );
    let detail = |id| (id, "Instance found to be unhealthy or unreachable.".to_owned());
    Some(UpgradeError { code, message, details: unhealthy.into_iter().map(detail).collect() })
}

fn admit(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    let current = upgrade.current;
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = BatchState::InProgress;
        batch.started_at = Some(now);
    }
    upgrade.stage = Stage::InBatch;
    let members: Vec<InstanceId> = upgrade.batch_members(current).into_iter().cloned().collect();
    for instance in members {
        apply(upgrade, instance, now, out);
    }
}

/// Asks for a new effect on one member.
fn apply(upgrade: &mut Upgrade, instance: InstanceId, now: Timestamp, out: &mut Step) {
    let Some(member) = upgrade.members.get_mut(&instance) else { return };
    member.attempt += 1;
    member.state = MemberState::Applying { since: now };
    let operation = upgrade.operation(&instance, upgrade.members.get(&instance).map_or(0, |m| m.attempt));
    out.changed.insert(instance.clone());
    out.actions.push(Action::Apply { instance, version: upgrade.to.clone(), operation });
}

/// After a restart: the same operations again (the driver treats a repeat as done), and fresh
/// clocks for the health gate, because nobody has watched meanwhile.
fn resume(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    let (id, to) = (upgrade.id.clone(), upgrade.to.clone());
    upgrade.recovering_until = Some(now + upgrade.gate.deadline);
    out.head_changed = true;
    for (instance, member) in &mut upgrade.members {
        match &mut member.state {
            MemberState::Applying { .. } => {
                let operation = OperationId(format!("{id}/{instance}/{}", member.attempt));
                out.actions.push(Action::Apply {
                    instance: instance.clone(),
                    version: to.clone(),
                    operation,
                });
            }
            MemberState::Settling { applied_at, healthy_since } => {
                *applied_at = now;
                *healthy_since = None;
                out.changed.insert(instance.clone());
            }
            MemberState::Pending | MemberState::Succeeded { .. } | MemberState::Failed { .. } => {}
        }
    }
}

fn effect_done(
    upgrade: &mut Upgrade,
    (operation, instance): (&OperationId, &InstanceId),
    result: &Result<(), String>,
    now: Timestamp,
    out: &mut Step,
) {
    let expected = upgrade.members.get(instance).map(|member| upgrade.operation(instance, member.attempt));
    if expected.as_ref() != Some(operation) {
        return;
    }
    let Some(member) = upgrade.members.get_mut(instance) else { return };
    let MemberState::Applying { .. } = member.state else { return };
    member.state = match result {
        Ok(()) => MemberState::Settling { applied_at: now, healthy_since: None },
        Err(reason) => MemberState::Failed { at: now, reason: reason.clone() },
    };
    out.changed.insert(instance.clone());
}

/// Watches the members of the batch in flight. Gives whether the batch is over.
fn in_batch(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) -> bool {
    let (current, gate) = (upgrade.current, upgrade.gate);
    let (mut open, mut failed) = (0_usize, 0_usize);
    for (id, member) in upgrade.members.iter_mut().filter(|(_, member)| member.batch == current) {
        if let MemberState::Settling { applied_at, healthy_since } = &mut member.state {
            let before = *healthy_since;
            let verdict = settle(fleet.health(id), gate, *applied_at, healthy_since, now);
            let moved = before != *healthy_since;
            match verdict {
                Settle::Wait(at) => {
                    wake(out, at);
                    if moved {
                        out.changed.insert(id.clone());
                    }
                }
                Settle::Over(state) => {
                    member.state = state;
                    out.changed.insert(id.clone());
                }
            }
        }
        open += usize::from(!member.state.is_terminal());
        failed += usize::from(matches!(member.state, MemberState::Failed { .. }));
    }
    if open > 0 {
        return false;
    }
    if let Some(until) = recovering(upgrade, now)
        && upgraded_are_down(upgrade, fleet)
    {
        wake(out, until);
        return false;
    }
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = if failed == 0 { BatchState::Completed } else { BatchState::Failed };
        batch.ended_at = Some(now);
    }
    after_batch(upgrade, fleet, now);
    true
}

/// Whether an instance that was healthy at the new version is not healthy now.
fn upgraded_are_down(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let succeeded = |state: &MemberState| matches!(state, MemberState::Succeeded { .. });
    let mut upgraded = upgrade.members.iter().filter(|(_, member)| succeeded(&member.state));
    upgraded.any(|(id, _)| fleet.health(id) != Health::Healthy)
}

enum Settle {
    /// Look again at this time at the latest.
    Wait(Timestamp),
    Over(MemberState),
}

/// The health gate for one instance: wait, then Healthy without a break for `stable_for`, all
/// before the deadline. Initializing means wait; Unhealthy and Unknown may recover until then.
fn settle(
    health: Health,
    gate: crate::domain::HealthGate,
    applied_at: Timestamp,
    healthy_since: &mut Option<Timestamp>,
    now: Timestamp,
) -> Settle {
    let watch_from = applied_at + gate.wait;
    let deadline = applied_at + gate.deadline;
    if now < watch_from {
        return Settle::Wait(watch_from);
    }
    match health {
        Health::Healthy => {
            let stable_at = *healthy_since.get_or_insert(now) + gate.stable_for;
            if now >= stable_at {
                return Settle::Over(MemberState::Succeeded { at: now });
            }
            if now < deadline {
                return Settle::Wait(stable_at.min(deadline));
            }
        }
        Health::Initializing | Health::Unhealthy | Health::Unknown => {
            *healthy_since = None;
            if now < deadline {
                return Settle::Wait(deadline);
            }
        }
    }
    let limit = gate.deadline.as_secs();
    let reason = match health {
        Health::Healthy => {
            let stable = gate.stable_for.as_secs();
            format!("was not Healthy for {stable} s without a break within {limit} s of its upgrade")
        }
        Health::Initializing | Health::Unhealthy | Health::Unknown => {
            format!("was still {} {limit} s after its upgrade", health.name())
        }
    };
    Settle::Over(MemberState::Failed { at: now, reason })
}

/// Judges all that has been upgraded so far, then goes on to the pause.
fn after_batch(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp) {
    let mut upgraded = 0_usize;
    let mut unhealthy = Vec::new();
    for (id, member) in &upgrade.members {
        match &member.state {
            MemberState::Failed { reason, .. } => {
                upgraded += 1;
                unhealthy.push((id.clone(), reason.clone()));
            }
            MemberState::Succeeded { .. } => {
                upgraded += 1;
                let health = fleet.health(id);
                if health.is_unhealthy() {
                    unhealthy.push((id.clone(), format!("became {} after it was upgraded", health.name())));
                }
            }
            MemberState::Pending | MemberState::Applying { .. } | MemberState::Settling { .. } => {}
        }
    }
    upgrade.current += 1;
    upgrade.stage = Stage::Between { resume_at: now + upgrade.policy.pause_time_between_batches };
    let limit = upgrade.policy.max_unhealthy_upgraded_instance_percent;
    if unhealthy.is_empty() {
        return;
    }
    let exceeded = limit.is_exceeded_by(unhealthy.len(), upgraded);
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
    upgrade.error = Some(UpgradeError { code, message, details: unhealthy });
    if exceeded {
        end(upgrade, UpgradeState::Faulted, now);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
