//! What may start: the snapshot at the beginning, and each batch after it.
//!
//! Every "not yet" leaves the stage as it is; the reason can be read off the same state, see
//! [`super::Waiting`]. Nothing here looks at a batch in flight.

use crate::domain::{Decisions, InstanceId, PhaseName, Timestamp};
use crate::plan::{Plan, PlanInput, plan};

use super::batch::BatchState;
use super::deferred::Deferred;
use super::error::{UpgradeError, UpgradeErrorCode};
use super::hooks::{self, BatchHook};
use super::limits::{room, unhealthy_fleet};
use super::state::{Purpose, Stage, Upgrade, UpgradeState};
use super::step::{Step, end, fault, go};
use super::view::FleetView;
use super::waiting::{Waiting, stopped, unheard, waiting};
use super::{bake, deferred, evidence, gate, live, manual, reasked, surge, trip};

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
    if let Some(stopped) = stopped(upgrade, fleet, now) {
        // A snapshot is taken when something can follow from it.
        stopped.until().into_iter().for_each(|until| out.wake(until));
        return false;
    }
    if fleet.looking_count() > 0 {
        // Each look ends, by its time limit at the latest, and that is an event.
        return false;
    }
    if upgrade.purpose == Purpose::Manual {
        // Everybody has been named: nobody's health is waited for, and no plugin is asked.
        manual::adopt(upgrade, &fleet.candidates(), now);
        told(upgrade, out);
        return true;
    }
    if now < until && (fleet.initializing_count() > 0 || fleet.any_undecided()) {
        out.wake(until);
        return false;
    }
    if now < until
        && let Some(awaited) = evidence::awaited(upgrade, fleet)
    {
        out.wake(awaited.until().map_or(until, |awaited| awaited.min(until)));
        return false;
    }
    let candidates = evidence::of_release(upgrade, fleet.candidates());
    let plan = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        goal: &upgrade.goal,
        policy: &upgrade.policy,
        candidates: &candidates,
        total: candidates.len(),
        there: upgrade.extent.there(),
        batches_before: 0,
    });
    if upgrade.expects.is_some_and(|expected| expected != plan.digest) {
        fault(upgrade, changed_plan(&plan), now);
        return true;
    }
    upgrade.adopt(plan, &candidates);
    reasked::note_silent(upgrade, fleet);
    told(upgrade, out);
    true
}

/// All of a plan is new.
fn told(upgrade: &Upgrade, out: &mut Step) {
    out.changed.extend(upgrade.members.keys().cloned());
    out.batches_changed.extend(upgrade.batches.iter().map(|batch| batch.number));
    out.order_changed = true;
    out.left_out_changed = true;
}

/// Everybody was asked, and the plan is not the one that a person was shown.
fn changed_plan(plan: &Plan) -> UpgradeError {
    let message = format!(
        "now that everybody was asked the plan is another one than was shown ({}): nothing was started; look at \
         it with `phasegate upgrade plan {}`",
        plan.digest, plan.scale_set,
    );
    UpgradeError { code: UpgradeErrorCode::PlanChangedBeforeRollingUpgrade, message, details: Vec::new() }
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
        cancelled(upgrade, now, out);
        return true;
    }
    if (upgrade.is_forward() && reasked::ask(upgrade, fleet, out)) || pass_empty(upgrade, out) {
        return true;
    }
    let is_live = upgrade.is_forward() && upgrade.policy.decisions == Decisions::Live;
    if is_live && now >= resume_at && stopped(upgrade, fleet, now).is_none() {
        if unheard(upgrade, fleet, now).is_some() {
            // Nobody is waited for longer, also where the end of a grace period is no event before that.
            upgrade.recovering_until.into_iter().for_each(|until| out.wake(until));
            return false;
        }
        // Nothing is admitted before that is over, and then all are asked again.
        let waits = upgrade.has_more()
            && (fleet.initializing_count() > 0 || evidence::awaited(upgrade, fleet).is_some());
        if !waits {
            live::ask_again(upgrade, fleet, now, out);
        }
    }
    if stopped(upgrade, fleet, now).is_some() && hooks::withdraw(upgrade, out) {
        return true;
    }
    evidence::look(upgrade, fleet, resume_at, now, out);
    if let Some(waiting) = waiting(upgrade, fleet, resume_at, now) {
        waiting.until().into_iter().for_each(|until| out.wake(until));
        out.waits_for_zone = matches!(waiting, Waiting::Zone | Waiting::Group);
        return false;
    }
    if upgrade.has_more() && gate::is_over_limit(upgrade, fleet) {
        if hooks::close(upgrade, out) {
            return true;
        }
        // What was healthy after its batch may have gone down during the pause.
        gate::judge_upgraded(upgrade, fleet, now, out);
        return true;
    }
    if upgrade.is_forward() {
        if upgrade.has_more()
            && let Some(error) = unhealthy_fleet(upgrade, fleet)
        {
            if !hooks::close(upgrade, out) {
                fault(upgrade, error, now);
            }
            return true;
        }
        match deferred::ask(upgrade, fleet, now, out) {
            Deferred::Settled => {}
            Deferred::Moved => return true,
            Deferred::Waiting => return false,
        }
    }
    if upgrade.current >= upgrade.batches.len() {
        if !hooks::close(upgrade, out) && !bake::begin(upgrade, now) {
            finish(upgrade, now);
        }
        return true;
    }
    // Live, they have been left out by now, and join again when they answer.
    if upgrade.is_forward() && !is_live && evidence::set_aside(upgrade, fleet, now, out) {
        return true;
    }
    let admitted = narrow(upgrade, fleet, out);
    if hooks::is_for_others(upgrade, &admitted) {
        return hooks::withdraw(upgrade, out);
    }
    if trip::begin(upgrade, &admitted, fleet, now, out) {
        return true;
    }
    if !hooks::begin(upgrade, BatchHook::Before, out) {
        admit(upgrade, &admitted, fleet, now, out);
    }
    true
}

/// A batch all of whose members have left in the meantime is none: it costs no pause and no hook. A checkpoint of its
/// phase stays where it is, as nobody has proven anything. Gives whether it was so.
fn pass_empty(upgrade: &mut Upgrade, out: &mut Step) -> bool {
    let Some(batch) = upgrade.batches.get(upgrade.current) else { return false };
    let (number, phase) = (batch.number, PhaseName::from(batch.phase));
    if upgrade.members.count_of(number) > 0 {
        return false;
    }
    if hooks::close(upgrade, out) {
        return true;
    }
    upgrade.batches.remove(upgrade.current);
    upgrade.unproven.insert(phase);
    out.batches_changed.insert(number);
    out.order_changed = true;
    out.head_changed = true;
    true
}

/// A person wanted the end after the batch that was in flight.
fn cancelled(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    if hooks::close(upgrade, out) {
        return;
    }
    let over = upgrade.current >= upgrade.batches.len() && !deferred::is_due(upgrade);
    if over { finish(upgrade, now) } else { end(upgrade, UpgradeState::Cancelled, now) }
}

/// The end of the plan. What has no limits has not completed where an instance failed.
fn finish(upgrade: &mut Upgrade, now: Timestamp) {
    let failed = upgrade.members.progress().failed > 0;
    let state = match &upgrade.purpose {
        Purpose::Rollback { .. } | Purpose::Manual if failed => UpgradeState::Faulted,
        Purpose::Rollback { .. } | Purpose::Manual | Purpose::Forward => UpgradeState::Completed,
    };
    end(upgrade, state, now);
}

/// Leaves of the next batch as many members as there is room for; the others stay for the one behind it.
fn narrow(upgrade: &mut Upgrade, fleet: &dyn FleetView, out: &mut Step) -> Vec<InstanceId> {
    let Some(number) = upgrade.batches.get(upgrade.current).map(|batch| batch.number) else {
        return Vec::new();
    };
    // No limit stops a way back or a person.
    let room = if upgrade.is_forward() { room(upgrade, number, fleet) } else { usize::MAX };
    let room = if upgrade.is_trip_due() { 1 } else { room };
    let admitted: Vec<InstanceId> = upgrade.members.of_batch(number).take(room).cloned().collect();
    if upgrade.members.count_of(number) > room {
        split(upgrade, &admitted, out);
    }
    admitted
}

/// Starts the next batch.
fn admit(
    upgrade: &mut Upgrade,
    admitted: &[InstanceId],
    fleet: &dyn FleetView,
    now: Timestamp,
    out: &mut Step,
) {
    let current = upgrade.current;
    if let Some(batch) = upgrade.batches.get_mut(current) {
        batch.state = BatchState::InProgress;
        batch.started_at = Some(now);
        out.batches_changed.insert(batch.number);
    }
    upgrade.stage = Stage::InBatch;
    upgrade.spent.begin_batch(now);
    let rule = upgrade.policy.failure.instance;
    surge::choose_replacements(upgrade, admitted, fleet);
    for instance in admitted {
        let Some(member) = upgrade.members.get(instance) else { continue };
        let first = member.next(rule, now);
        go(upgrade, instance, first, out);
    }
    out.admitted.extend_from_slice(admitted);
}

/// Makes a batch of their own of the members that are admitted, right before those that are left: it
/// costs what is admitted, however many are left.
fn split(upgrade: &mut Upgrade, admitted: &[InstanceId], out: &mut Step) {
    let current = upgrade.current;
    let Some(mut batch) = upgrade.batches.get(current).cloned() else { return };
    batch.number = upgrade.new_number();
    for (position, id) in admitted.iter().enumerate() {
        upgrade.members.place(id, batch.number, position);
        out.changed.insert(id.clone());
    }
    out.batches_changed.insert(batch.number);
    upgrade.batches.insert(current, batch);
    out.order_changed = true;
}
