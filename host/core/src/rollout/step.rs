//! One step of a rollout: state, fleet, events and time in; actions out.
//!
//! Total: an event that makes no sense here changes nothing. `admission` decides what starts,
//! `gate` what has ended well.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{InstanceId, OnInstanceFailure, OperationId, Timestamp, Touched};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::error::UpgradeError;
use super::member::{Member, MemberState, Stay};
use super::state::{Stage, Upgrade, UpgradeState};
use super::trip::Trip;
use super::view::FleetView;
use super::waiting::Waiting;
use super::{admission, bake, evidence, gate, hooks, stopping, timeouts, verdict, waiting};

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
    /// The host stood still for so long.
    StoodStill(Duration),
    /// The host doubted itself and does no more: most answer again, the others have yet to be asked.
    Trusted,
    /// The driver has failed, and says that it has touched nothing: there is nothing to bring back.
    EffectRefused {
        /// Which.
        operation: OperationId,
        /// Which instance.
        instance: InstanceId,
        /// How; one line for people.
        reason: String,
    },
    /// A hook has been run.
    HookDone {
        /// Which.
        operation: OperationId,
        /// Round which instance; none where it was round a batch.
        instance: Option<InstanceId>,
        /// How it went; one line for people when badly.
        result: Result<(), String>,
    },
    /// A person wants something.
    Wish(Wish),
    /// Something was said about an instance that goes before what it says itself.
    Reask(InstanceId),
}

/// What a person may want of a running upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    /// Stop after the batch in flight.
    Cancel,
    /// Stop at once, and bring the batch in flight back.
    CancelNow,
    /// Stop at once, then go back.
    RollBack,
    /// Go back, whatever becomes of what was brought back.
    RollBackOn,
    /// Admit nothing more for now.
    Pause,
    /// Go on after a pause or a checkpoint.
    Resume,
    /// Go on before a phase that needs approval.
    Approve,
    /// Go on in spite of the freeze that holds it now, or of the line as it is stopped now.
    Bypass,
    /// Go past what a person may pass and what it waits for now.
    Promote,
    /// Start again with what the ended one has left.
    Retry,
}

/// Result of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// Members whose row changed, or that left the plan.
    pub changed: BTreeSet<InstanceId>,
    /// Batches that came or that stand otherwise now, by number. One that is no longer in the order is gone.
    pub batches_changed: BTreeSet<u32>,
    /// Whether the order of the batches changed.
    pub order_changed: bool,
    /// Whether other instances are left out, or for other reasons.
    pub left_out_changed: bool,
    /// Whether anything else of the upgrade changed.
    pub head_changed: bool,
    /// In order.
    pub actions: Vec<Action>,
    /// Who was let go by this step: the members of the batch that has begun.
    pub admitted: Vec<InstanceId>,
    /// Instances that are to be asked now, out of turn.
    pub ask: BTreeSet<InstanceId>,
    /// Instances at which is to be looked now, out of turn: what runs there.
    pub look: BTreeSet<InstanceId>,
    /// Whether the next batch waits for nothing but its zone.
    pub waits_for_zone: bool,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
}

impl Step {
    /// Asks for a look at this time at the latest.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// Applies events that happened at the same moment, then looks once.
pub fn step(upgrade: &mut Upgrade, fleet: &dyn FleetView, events: &[Event], now: Timestamp) -> Step {
    let mut out = Step::default();
    if !upgrade.is_active() {
        return out;
    }
    timeouts::tick(upgrade, fleet, now, &mut out);
    for event in events {
        match event {
            Event::Look => {}
            Event::Resumed => resume(upgrade, now, &mut out),
            Event::EffectDone { operation, instance, result } => {
                effect_done(upgrade, (operation, instance), (result, Touched::Perhaps), now, &mut out);
            }
            Event::EffectRefused { operation, instance, reason } => {
                let answer = (&Err(reason.clone()), Touched::No);
                effect_done(upgrade, (operation, instance), answer, now, &mut out);
            }
            Event::HookDone { operation, instance: Some(instance), result } => {
                hooks::instance_done(upgrade, fleet, (operation, instance), result, now, &mut out);
            }
            Event::HookDone { operation, instance: None, result } => {
                hooks::batch_done(upgrade, operation, result, now, &mut out);
            }
            Event::StoodStill(length) => stood_still(upgrade, *length, now, &mut out),
            Event::Trusted => trusted(upgrade, now, &mut out),
            Event::Wish(wish) => grant(upgrade, fleet, *wish, now, &mut out),
            Event::Reask(instance) => {
                // Before it is planned everybody is asked anyway; a way back asks nobody.
                if upgrade.is_forward() && upgrade.digest.is_some() {
                    out.head_changed |= upgrade.reask.insert(instance.clone());
                }
            }
        }
    }
    timeouts::tick(upgrade, fleet, now, &mut out);
    advance(upgrade, fleet, now, &mut out);
    timeouts::tick(upgrade, fleet, now, &mut out);
    timeouts::wake(upgrade, fleet, now, &mut out);
    out
}

/// Goes through as many stages as this moment allows. Each turn either waits or moves on, so the
/// loop is bounded by the number of batches.
fn advance(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    loop {
        let begins = matches!(upgrade.stage, Stage::Preparing { .. } | Stage::Between { .. });
        // Nothing begins for which there is no time.
        if begins && upgrade.has_more() && timeouts::end_overdue(upgrade, fleet, now, out) {
            out.head_changed = true;
            out.wake_at = None;
            return;
        }
        let moved = match upgrade.stage {
            Stage::Preparing { until } => admission::prepare(upgrade, fleet, until, now, out),
            Stage::Between { resume_at } => admission::between(upgrade, fleet, resume_at, now, out),
            Stage::InBatch => gate::in_batch(upgrade, fleet, now, out),
            Stage::Hooking { .. } => false,
            Stage::Undoing => gate::undoing(upgrade, now),
            Stage::Baking { since, rounds, held: _ } => {
                bake::baking(upgrade, fleet, (since, rounds), now, out)
            }
            Stage::Stopping { .. } => stopping::advance(upgrade, now, out),
            Stage::Ended { .. } => false,
        };
        // What has just ended well is not called late.
        if !moved && !timeouts::end_overdue(upgrade, fleet, now, out) {
            return;
        }
        out.head_changed = true;
        out.wake_at = None;
    }
}

fn grant(upgrade: &mut Upgrade, fleet: &dyn FleetView, wish: Wish, now: Timestamp, out: &mut Step) {
    match wish {
        Wish::Cancel => {
            upgrade.cancel_requested = true;
            stopping::wait_no_longer(upgrade, now, out);
        }
        Wish::CancelNow => {
            upgrade.cancel_requested = true;
            stopping::begin(upgrade, OnInstanceFailure::Restore, now, out);
        }
        Wish::RollBack | Wish::RollBackOn => {
            upgrade.cancel_requested = true;
            upgrade.then_roll_back = true;
            upgrade.past_brake = wish == Wish::RollBackOn;
            stopping::begin(upgrade, OnInstanceFailure::Leave, now, out);
        }
        Wish::Pause => {
            upgrade.paused = true;
            bake::hold(upgrade, now);
        }
        // It ends the pause that waits now; a checkpoint that comes later is one of its own.
        Wish::Resume if upgrade.paused => end_pause(upgrade, now),
        Wish::Resume => upgrade.resumed.extend(waiting::checkpoint_behind(upgrade)),
        Wish::Approve => upgrade.approved.extend(waiting::approval_before(upgrade)),
        Wish::Bypass => upgrade.bypass_stops(fleet, now),
        Wish::Promote => promote(upgrade, fleet, now),
        // Of an upgrade that has ended.
        Wish::Retry => return,
    }
    out.head_changed = true;
}

fn end_pause(upgrade: &mut Upgrade, now: Timestamp) {
    upgrade.paused = false;
    bake::go_on(upgrade, now);
}

/// Passes the one thing that it waits for now.
fn promote(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp) {
    match waiting::waiting_now(upgrade, fleet, now) {
        Some(Waiting::Paused) => end_pause(upgrade, now),
        Some(Waiting::Resume { after }) => _ = upgrade.resumed.insert(after),
        Some(Waiting::Approval { before }) => _ = upgrade.approved.insert(before),
        Some(Waiting::Pause { .. }) => upgrade.stage = Stage::Between { resume_at: now },
        Some(Waiting::Bake { .. }) => end(upgrade, UpgradeState::Completed, now),
        Some(
            Waiting::Scheduled { .. }
            | Waiting::Line
            | Waiting::Freeze { .. }
            | Waiting::Initializing
            | Waiting::Deferred { .. }
            | Waiting::NotAsked
            | Waiting::Evidence { .. }
            | Waiting::Look
            | Waiting::Doubted
            | Waiting::Suspicion
            | Waiting::Release
            | Waiting::Zone
            | Waiting::Group
            | Waiting::Silence { .. }
            | Waiting::Recovery { .. },
        )
        | None => {}
    }
}

pub(super) fn end(upgrade: &mut Upgrade, state: UpgradeState, now: Timestamp) {
    upgrade.state = verdict::state_at_the_end(upgrade, state);
    upgrade.stage = Stage::Ended { at: now };
}

pub(super) fn fault(upgrade: &mut Upgrade, error: UpgradeError, now: Timestamp) {
    upgrade.error = Some(error);
    end(upgrade, UpgradeState::Faulted, now);
}

/// Brings one member to a state, with a new effect where the state wants one.
pub(super) fn go(upgrade: &mut Upgrade, instance: &InstanceId, state: MemberState, out: &mut Step) {
    let stay = upgrade.members.get(instance).map(|member| member.stay);
    let state = match stay {
        Some(Stay::Leaves) => MemberState::Failed { at: state.since() },
        Some(Stay::Yes) | None => state,
    };
    let state = hooks::on_the_way(upgrade, instance, state);
    if stay == Some(Stay::Leaves) && state.is_terminal() {
        return upgrade.let_leave(instance, out);
    }
    let changed = upgrade.members.update(instance, |member| {
        member.state = state;
        if member.state.is_with_driver() {
            member.attempt += 1;
        }
    });
    if changed.is_some() {
        out.changed.insert(instance.clone());
        ask(upgrade, instance, out);
    }
}

/// Asks for what a member's state wants, under its latest attempt.
pub(super) fn ask(upgrade: &Upgrade, instance: &InstanceId, out: &mut Step) {
    let Some(member) = upgrade.members.get(instance) else { return };
    let operation = upgrade.operation(instance, member.attempt);
    out.actions.extend(member.hook(upgrade, instance).or_else(|| member.action(instance, operation)));
}

/// A member did not come back healthy: brings its previous versions back, or leaves it as it is.
pub(super) fn fail(
    upgrade: &mut Upgrade,
    instance: &InstanceId,
    reason: &str,
    now: Timestamp,
    out: &mut Step,
) {
    let rule = upgrade.policy.failure.instance;
    let next = upgrade.members.update(instance, |member| {
        let reason = member.blame(reason);
        if member.trip == Trip::Back {
            member.way_back_has_failed(&reason);
        }
        member.latest_has_failed(&reason);
        member.next(rule, now)
    });
    if let Some(next) = next {
        go(upgrade, instance, next, out);
    }
}

/// After a restart: the same operations again (the driver treats a repeat as done), and fresh
/// clocks for the health gate, because there was no watch meanwhile.
fn resume(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    upgrade.recovering_until = Some(now + upgrade.policy.gate.deadline);
    bake::resume(upgrade, now);
    // What was heard before says nothing of what went on meanwhile.
    upgrade.evidence_from = now;
    evidence::ask(upgrade, out);
    out.head_changed = true;
    if let Stage::Preparing { until } = &mut upgrade.stage {
        // No instance has answered yet: a snapshot at the old time would hold the whole fleet.
        *until = (*until).max(now + upgrade.policy.prepare_max);
    }
    let was_stopping = matches!(upgrade.stage, Stage::Stopping { .. });
    hooks::resume(upgrade, now, out);
    if let Stage::Stopping { batch } = upgrade.stage {
        // What only began to stop with the end of its hook has just been asked for.
        if !was_stopping {
            return;
        }
        return stopping::resume(upgrade, batch, now, out);
    }
    let open: Vec<InstanceId> = upgrade.members.in_flight().cloned().collect();
    for instance in open {
        let watched_anew = upgrade.members.update(&instance, |member| {
            let watched = matches!(member.state, MemberState::Settling { .. } | MemberState::Ready { .. });
            if watched {
                member.state = MemberState::Settling { applied_at: now, healthy_since: None };
            }
            watched
        });
        if watched_anew == Some(true) {
            out.changed.insert(instance.clone());
        }
        ask(upgrade, &instance, out);
    }
}

/// Those that were not heard are heard one after the other, and need as many probes as ever to count as healthy: until
/// they had the time for it the fleet is waited for, as after a restart.
fn trusted(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    let until = now + upgrade.policy.gate.deadline;
    upgrade.recovering_until = Some(upgrade.recovering_until.map_or(until, |before| before.max(until)));
    upgrade.evidence_from = upgrade.evidence_from.max(now);
    if let Stage::Preparing { until } = &mut upgrade.stage {
        *until = (*until).max(now + upgrade.policy.prepare_max);
    }
    evidence::ask(upgrade, out);
    out.head_changed = true;
}

/// Nobody looked for so long, so nobody is judged by that time: deadlines move, a stretch of good health has a gap
/// that counts for nothing, and what was heard before says nothing of now.
fn stood_still(upgrade: &mut Upgrade, length: Duration, now: Timestamp, out: &mut Step) {
    match &mut upgrade.stage {
        Stage::Preparing { until } => *until = *until + length,
        Stage::Baking { since, held, .. } => {
            *since = *since + length;
            *held = held.map(|held| held + length);
        }
        Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Undoing
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => {}
    }
    upgrade.evidence_from = upgrade.evidence_from.max(now);
    upgrade.spent.stood_still(length);
    upgrade.recovering_until = upgrade.recovering_until.map(|until| until + length);
    out.head_changed = true;
    let open: Vec<InstanceId> = upgrade.members.in_flight().cloned().collect();
    for instance in open {
        let moved = upgrade.members.update(&instance, |member| match &mut member.state {
            MemberState::Settling { healthy_since: Some(since), .. } => {
                *since = *since + length;
                true
            }
            MemberState::Settling { healthy_since: None, .. }
            | MemberState::Pending
            | MemberState::Hooking { .. }
            | MemberState::Applying { .. }
            | MemberState::Creating { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Restoring { .. }
            | MemberState::Failed { .. } => false,
        });
        if moved == Some(true) {
            out.changed.insert(instance);
        }
    }
}

fn effect_done(
    upgrade: &mut Upgrade,
    (operation, instance): (&OperationId, &InstanceId),
    (result, touched): (&Result<(), String>, Touched),
    now: Timestamp,
    out: &mut Step,
) {
    let Some(instance) = member_of(upgrade, operation, instance) else { return };
    let rule = match upgrade.stage {
        // What a breach brings back is brought back whatever the rule for single failures says.
        Stage::Undoing => OnInstanceFailure::Restore,
        Stage::Stopping { batch } => batch,
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Baking { .. }
        | Stage::Ended { .. } => upgrade.policy.failure.instance,
    };
    let stops = matches!(upgrade.stage, Stage::Stopping { .. }).then(|| stopping::not_judged(upgrade));
    let next = upgrade.members.update(&instance, |member| {
        if matches!(member.state, MemberState::Deleting { .. }) {
            member.deleted(result, now);
            return Answered::Over;
        }
        if !member.answered(result) {
            return Answered::NotAsked;
        }
        if touched == Touched::No {
            member.was_not_touched();
        }
        Answered::GoesOn(match &stops {
            Some(why) => stopping::stopped(member, why, rule, now),
            None => member.next(rule, now),
        })
    });
    match next {
        Some(Answered::GoesOn(next)) => go(upgrade, &instance, next, out),
        Some(Answered::Over) => _ = out.changed.insert(instance),
        Some(Answered::NotAsked) | None => {}
    }
}

/// What an answer of the driver makes of a member.
enum Answered {
    GoesOn(MemberState),
    Over,
    NotAsked,
}

/// The member that an operation belongs to. What happens to a new instance is an effect of the one
/// whose place it takes.
fn member_of(upgrade: &Upgrade, operation: &OperationId, instance: &InstanceId) -> Option<InstanceId> {
    let itself = upgrade.members.get(instance).map(|member| (instance, member));
    let is_it = |(id, member): &(&InstanceId, &Member)| upgrade.operation(id, member.attempt) == *operation;
    let found = itself.filter(is_it).or_else(|| upgrade.members.behind(instance).filter(is_it));
    found.map(|(id, _)| id.clone())
}
