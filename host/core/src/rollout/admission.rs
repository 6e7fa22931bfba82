//! What may start: the snapshot at the beginning, and each batch after it.
//!
//! Every "not yet" leaves the stage as it is; the reason can be read off the same state, see
//! [`super::Waiting`]. Nothing here looks at a batch in flight.

use crate::domain::{Decisions, InstanceId, Timestamp};
use crate::plan::{Candidate, PlanInput, Standing, plan};

use super::deferred::Deferred;
use super::limits::{room, unhealthy_fleet};
use super::member::MemberState;
use super::state::{BatchState, Purpose, Stage, Upgrade, UpgradeState};
use super::step::{FleetView, Step, end, fault, go};
use super::waiting::{Waiting, stopped, unheard, waiting};
use super::{deferred, gate, live, surge};

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
    if let Some(stopped) = stopped(upgrade, fleet) {
        // A snapshot is taken when something can follow from it.
        stopped.until().into_iter().for_each(|until| out.wake(until));
        return false;
    }
    if now < until && fleet.any_initializing() {
        // Told apart from the question below because it costs nothing.
        out.wake(until);
        return false;
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
        goal: &upgrade.goal,
        policy: &upgrade.policy,
        candidates: &candidates,
        total: candidates.len(),
        batches_before: 0,
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
    let is_live = upgrade.is_forward() && upgrade.policy.decisions == Decisions::Live;
    if is_live && now >= resume_at && stopped(upgrade, fleet).is_none() {
        if let Some(waiting) = unheard(upgrade, fleet, now) {
            waiting.until().into_iter().for_each(|until| out.wake(until));
            return false;
        }
        live::ask_again(upgrade, fleet, now, out);
    }
    if let Some(waiting) = waiting(upgrade, fleet, resume_at, now) {
        if let Waiting::Pause { until } | Waiting::Recovery { until } | Waiting::Freeze { until } = waiting {
            out.wake(until);
        }
        return false;
    }
    if upgrade.is_forward() {
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
    admit(upgrade, fleet, now, out);
    true
}

/// The end of the plan. What nobody limits has not completed while an instance failed.
fn finish(upgrade: &mut Upgrade, now: Timestamp) {
    let failed = upgrade.members.values().any(|member| matches!(member.state, MemberState::Failed { .. }));
    let state = match &upgrade.purpose {
        Purpose::Rollback { .. } | Purpose::Manual if failed => UpgradeState::Faulted,
        Purpose::Rollback { .. } | Purpose::Manual | Purpose::Forward => UpgradeState::Completed,
    };
    end(upgrade, state, now);
}

/// Starts the next batch with as many members as there is room for; the others become a batch of
/// their own right behind it.
fn admit(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let current = upgrade.current;
    let members: Vec<InstanceId> = upgrade.batch_members(current).into_iter().cloned().collect();
    // No limit stops a way back or a person.
    let room = if upgrade.is_forward() { room(upgrade, &members, fleet) } else { usize::MAX };
    if members.len() > room {
        split(upgrade, &members, room, out);
    }
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = BatchState::InProgress;
        batch.started_at = Some(now);
    }
    upgrade.stage = Stage::InBatch;
    let rule = upgrade.policy.failure.instance;
    let admitted: Vec<InstanceId> = members.iter().take(room).cloned().collect();
    surge::choose_replacements(upgrade, &admitted, fleet);
    for instance in &admitted {
        let Some(member) = upgrade.members.get(instance) else { continue };
        let first = member.next(rule, now);
        go(upgrade, instance, first, out);
    }
}

fn split(upgrade: &mut Upgrade, members: &[InstanceId], room: usize, out: &mut Step) {
    let current = upgrade.current;
    let Some(mut batch) = upgrade.batches.get(current).cloned() else { return };
    batch.number = upgrade.new_number();
    for (position, id) in members.iter().skip(room).enumerate() {
        upgrade.members.place(id, batch.number, position);
        out.changed.insert(id.clone());
    }
    upgrade.batches.insert(current + 1, batch);
}
