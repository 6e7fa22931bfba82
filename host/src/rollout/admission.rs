//! What may start: the snapshot at the beginning, and each batch after it.
//!
//! Every "not yet" leaves the stage as it is; the reason can be read off the same state, see
//! [`Waiting`]. Nothing here looks at a batch in flight.

use crate::domain::{InstanceId, PhaseName, Timestamp};
use crate::plan::{Candidate, PlanInput, Standing, plan};

use super::deferred::{self, Deferred};
use super::error::{UpgradeError, UpgradeErrorCode};
use super::gate;
use super::member::MemberState;
use super::state::{BatchState, Purpose, Stage, Upgrade, UpgradeState};
use super::step::{FleetView, Step, apply, end, fault};

/// What a running upgrade waits for between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The pause of the rolling-upgrade policy.
    Pause {
        /// Its end.
        until: Timestamp,
    },
    /// A person, after `upgrade pause`.
    Paused,
    /// A person, at `pauseAfterPhase`.
    Resume {
        /// The phase that is done.
        after: PhaseName,
    },
    /// A person, at `approvalBeforePhase`.
    Approval {
        /// The phase that comes next.
        before: PhaseName,
    },
    /// Instances that are Initializing.
    Initializing,
    /// Instances that say "not now".
    Deferred {
        /// When they are left out.
        until: Timestamp,
    },
    /// The fleet, which went down with the host.
    Recovery {
        /// Until when it is waited for.
        until: Timestamp,
    },
}

/// Waits for answers, then takes the snapshot. Gives whether the stage changed.
pub(super) fn prepare(
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
    let unready = |c: &Candidate| {
        matches!(c.standing, Standing::Undecided) || c.health == crate::domain::Health::Initializing
    };
    if now < until && candidates.iter().any(unready) {
        out.wake(until);
        return false;
    }
    let plan = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        to: &upgrade.to,
        policy: &upgrade.policy,
        candidates: &candidates,
        total: candidates.len(),
    });
    upgrade.adopt(plan, &candidates);
    out.changed.extend(upgrade.members.keys().cloned());
    true
}

/// Ends, waits, or admits the next batch.
pub(super) fn between(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
    out: &mut Step,
) -> bool {
    if upgrade.cancel_requested {
        let over = upgrade.current >= upgrade.batches.len() && !deferred::is_due(upgrade);
        if over {
            finish(upgrade, now)
        } else {
            end(upgrade, UpgradeState::Cancelled, now)
        }
        return true;
    }
    if upgrade.purpose == Purpose::Forward {
        if let Some(waiting) = waiting(upgrade, fleet, resume_at, now) {
            if let Waiting::Pause { until } | Waiting::Recovery { until } = waiting {
                out.wake(until);
            }
            return false;
        }
        if upgrade.has_more() && gate::is_over_limit(upgrade, fleet) {
            // What was healthy after its batch may have gone down during the pause.
            gate::judge_upgraded(upgrade, fleet, now, out);
            return true;
        }
        if upgrade.has_more()
            && let Some(error) = unhealthy_fleet(upgrade, fleet)
        {
            fault(upgrade, error, now);
            return true;
        }
        match deferred::ask(upgrade, fleet, now, out) {
            Deferred::Settled => {}
            Deferred::Moved => return true,
            Deferred::Waiting => return false,
        }
    }
    if upgrade.current >= upgrade.batches.len() {
        finish(upgrade, now);
        return true;
    }
    let room = match &upgrade.purpose {
        Purpose::Forward => room(upgrade, fleet),
        // No limit stops a way back; a person can.
        Purpose::Rollback { .. } if upgrade.paused => return false,
        Purpose::Rollback { .. } => usize::MAX,
    };
    admit(upgrade, room, now, out);
    true
}

/// The end of the plan. A rollback that left an instance behind has not completed.
fn finish(upgrade: &mut Upgrade, now: Timestamp) {
    let failed = upgrade.members.values().any(|member| matches!(member.state, MemberState::Failed { .. }));
    let state = match &upgrade.purpose {
        Purpose::Rollback { .. } if failed => UpgradeState::Faulted,
        Purpose::Rollback { .. } | Purpose::Forward => UpgradeState::Completed,
    };
    end(upgrade, state, now);
}

/// Why the next batch is not admitted now; none when it may be judged by the limits.
#[must_use]
pub(super) fn waiting(
    upgrade: &Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
) -> Option<Waiting> {
    if !upgrade.has_more() {
        return None;
    }
    if now < resume_at {
        return Some(Waiting::Pause { until: resume_at });
    }
    if upgrade.paused {
        return Some(Waiting::Paused);
    }
    if let Some(checkpoint) = checkpoint(upgrade) {
        return Some(checkpoint);
    }
    if fleet.any_initializing() {
        // It ends with the grace period at the latest, and that is an event.
        return Some(Waiting::Initializing);
    }
    let until = upgrade.recovering_until.filter(|until| now < *until)?;
    let down = unhealthy_fleet(upgrade, fleet).is_some() || gate::is_over_limit(upgrade, fleet);
    down.then_some(Waiting::Recovery { until })
}

/// As [`waiting`], and also what the last look found: instances that say "not now". For people.
#[must_use]
pub fn waiting_for(
    upgrade: &Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
) -> Option<Waiting> {
    let deferred = || {
        deferred::is_due(upgrade).then(|| Waiting::Deferred { until: upgrade.started_at + upgrade.defer_max })
    };
    waiting(upgrade, fleet, resume_at, now).or_else(deferred)
}

/// A checkpoint between the phase before and the one that comes next, unless it was passed.
fn checkpoint(upgrade: &Upgrade) -> Option<Waiting> {
    let current = upgrade.current;
    if deferred::is_due(upgrade) {
        // The phase before is not over yet.
        return None;
    }
    let next = PhaseName::from(upgrade.batches.get(current)?.phase);
    let before = current.checked_sub(1).and_then(|index| upgrade.batches.get(index));
    let before = before.map(|batch| PhaseName::from(batch.phase));
    if before == Some(next) {
        return None;
    }
    if let Some(after) = before
        && upgrade.checkpoints.pause_after.contains(&after)
        && upgrade.resumed_at != Some(current)
    {
        return Some(Waiting::Resume { after });
    }
    let wanted = upgrade.checkpoints.approval_before.contains(&next) && upgrade.approved_at != Some(current);
    wanted.then_some(Waiting::Approval { before: next })
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

/// How many members of the next batch may be taken down now, together with what is down anyway.
/// A member that is down already costs nothing. At least one: a fleet within its limits always
/// moves.
fn room(upgrade: &Upgrade, fleet: &dyn FleetView) -> usize {
    let budget = upgrade.policy.max_unhealthy_instance_percent.of(fleet.total());
    let mut spare = budget.saturating_sub(fleet.unhealthy().len());
    let mut room = 0;
    for id in upgrade.batch_members(upgrade.current) {
        if !fleet.health(id).is_unhealthy() {
            let Some(rest) = spare.checked_sub(1) else { break };
            spare = rest;
        }
        room += 1;
    }
    room.max(1)
}

/// Starts the next batch with at most `room` members; the others become a batch of their own
/// right behind it.
fn admit(upgrade: &mut Upgrade, room: usize, now: Timestamp, out: &mut Step) {
    let current = upgrade.current;
    let members: Vec<InstanceId> = upgrade.batch_members(current).into_iter().cloned().collect();
    if members.len() > room {
        split(upgrade, &members, room, out);
    }
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = BatchState::InProgress;
        batch.started_at = Some(now);
    }
    upgrade.stage = Stage::InBatch;
    for instance in members.iter().take(room) {
        apply(upgrade, instance, MemberState::Applying { since: now }, out);
    }
}

fn split(upgrade: &mut Upgrade, members: &[InstanceId], room: usize, out: &mut Step) {
    let current = upgrade.current;
    let Some(batch) = upgrade.batches.get(current).cloned() else { return };
    for (id, member) in upgrade.members.iter_mut().filter(|(_, member)| member.batch > current) {
        member.batch += 1;
        out.changed.insert(id.clone());
    }
    for id in members.iter().skip(room) {
        if let Some(member) = upgrade.members.get_mut(id) {
            member.batch = current + 1;
            out.changed.insert(id.clone());
        }
    }
    upgrade.batches.insert(current + 1, batch);
}
