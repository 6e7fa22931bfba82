//! Hooks round an instance and round a batch.
//!
//! ```text
//!  instance:  Pending ─> Hooking(before) ─> Applying … ─> Hooking(after) ─> Settling ─> …
//!                             └ failed: nothing is asked of the driver, and the one after is run
//!
//!  batch:     Between ─> Hooking(before) ─ ok ─> Between ─> InBatch ─> Hooking(after) ─ ok ─> Between
//!                             │                                            └ failed: its members are brought back
//!                             └ failed: its members have failed, untouched; the one after is run
//! ```
//!
//! The one after an instance is run before the health gate watches it: what the one before took away, such as its
//! traffic, is given back, and the gate judges it as it will serve. A way back has hooks of its own.
//!
//! Deliberately without time limits and without "not yet": whoever runs a hook has those, and answers once.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Direction, HookKind, InstanceId, Moment, OnInstanceFailure, OperationId, Timestamp, Version,
};

use super::action::{Action, HookAbout, HookAction};
use super::batch::BatchState;
use super::member::{Member, MemberState};
use super::part::{PartState, Restored};
use super::state::{Purpose, Stage, Upgrade};
use super::step::{Step, go};
use super::stopping;
use super::trip::Trip;
use super::view::FleetView;

/// What a member's hooks have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooked {
    /// The way for which the one before is over, and the one after is still to come.
    pub open: Option<Direction>,
    /// Hooks asked for so far; part of their ids.
    pub asked: u32,
}

impl Hooked {
    /// Whether none was ever asked for.
    #[must_use]
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// What the hooks round batches have come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchesHooked {
    /// Index of the batch before which one is over.
    pub before: Option<usize>,
    /// Index of the batch after which one is over.
    pub after: Option<usize>,
    /// Hooks asked for so far; part of their ids.
    pub asked: u32,
    /// Whom the one before was told of: nobody else goes on its word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<InstanceId>,
}

/// A hook round a batch that is being run, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchHook {
    /// The one before the next batch.
    Before,
    /// The one after the batch in flight, all of which has been judged.
    After,
    /// The one after a batch that does not begin after all.
    AfterNothing,
    /// The one after a batch that a person wanted to end at once.
    AfterStop,
}

impl BatchHook {
    /// On which side.
    #[must_use]
    pub fn kind(self) -> HookKind {
        match self {
            Self::Before => HookKind::BeforeBatch,
            Self::After | Self::AfterNothing | Self::AfterStop => HookKind::AfterBatch,
        }
    }
}

impl Upgrade {
    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self.purpose {
            Purpose::Forward | Purpose::Manual => Direction::Forward,
            Purpose::Rollback { .. } => Direction::Back,
        }
    }

    /// Identity of the hook round an instance that is being run: the same for a repeat after a restart.
    #[must_use]
    pub fn instance_hook(&self, id: &InstanceId, member: &Member) -> Option<(HookKind, OperationId)> {
        let MemberState::Hooking { moment, .. } = member.state else { return None };
        let kind = moment.of_instance();
        Some((kind, OperationId(format!("{}/{id}/{kind}/{}", self.id, member.hooked.asked))))
    }

    /// Hooks that are being run, and their identities.
    pub fn hooks_in_hand(&self) -> impl Iterator<Item = (HookKind, OperationId)> {
        let batch = match self.stage {
            Stage::Hooking { hook, .. } => Some((hook.kind(), self.batch_hook(hook))),
            Stage::Preparing { .. }
            | Stage::Between { .. }
            | Stage::InBatch
            | Stage::Undoing
            | Stage::Baking { .. }
            | Stage::Stopping { .. }
            | Stage::Ended { .. } => None,
        };
        let instances = self.members.in_flight().filter_map(|id| {
            let member = self.members.get(id)?;
            self.instance_hook(id, member)
        });
        batch.into_iter().chain(instances)
    }

    /// Identity of a hook round a batch.
    #[must_use]
    pub fn batch_hook(&self, hook: BatchHook) -> OperationId {
        OperationId(format!("{}/batch-{}/{}/{}", self.id, self.current + 1, hook.kind(), self.hooked.asked))
    }
}

/// What comes before a member can be in a state: a hook, where one is to be run first.
pub(super) fn on_the_way(upgrade: &mut Upgrade, id: &InstanceId, state: MemberState) -> MemberState {
    let kinds = upgrade.policy.hooks;
    if kinds.is_empty() {
        return state;
    }
    let wants = match &state {
        MemberState::Applying { .. } | MemberState::Creating { .. } => Some(Direction::Forward),
        MemberState::Restoring { .. } => Some(Direction::Back),
        MemberState::Pending
        | MemberState::Hooking { .. }
        | MemberState::Settling { .. }
        | MemberState::Ready { .. }
        | MemberState::Deleting { .. }
        | MemberState::Removing { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Failed { .. } => None,
    };
    // Between two parts it is on the same way still.
    let goes_on = state.is_settling() && upgrade.members.get(id).is_some_and(Member::is_between_parts);
    let wants = if goes_on { Some(Direction::Forward) } else { wants };
    let since = state.since();
    let hooking = |moment, direction, then| MemberState::Hooking { since, moment, direction, then };
    let way = upgrade.members.update(id, |member| {
        if let Some(open) = member.hooked.open.filter(|open| wants != Some(*open)) {
            if kinds.has(HookKind::AfterInstance) {
                member.hooked.asked += 1;
                return hooking(Moment::After, open, Box::new(state.clone()));
            }
            member.hooked.open = None;
        }
        match wants {
            Some(direction) if member.hooked.open.is_none() => {
                if kinds.has(HookKind::BeforeInstance) {
                    member.hooked.asked += 1;
                    return hooking(Moment::Before, direction, Box::new(state.clone()));
                }
                member.hooked.open = Some(direction);
                state.clone()
            }
            Some(_) | None => state.clone(),
        }
    });
    way.unwrap_or(state)
}

impl Member {
    /// The hook that the present state wants run.
    pub(super) fn hook(&self, upgrade: &Upgrade, id: &InstanceId) -> Option<Action> {
        let MemberState::Hooking { direction, .. } = &self.state else { return None };
        let (hook, operation) = upgrade.instance_hook(id, self)?;
        let told = match upgrade.direction() {
            Direction::Forward => *direction,
            Direction::Back => direction.reversed(),
        };
        let about = HookAbout::Instance {
            instance: self.watched(id).clone(),
            replaces: self.replacement().map(|_| id.clone()),
            version: self.brought(*direction).cloned(),
        };
        Some(Action::Hook(HookAction { hook, direction: told, about, operation }))
    }

    /// Whether it has failed with its batch, before anything of its own had begun.
    #[must_use]
    pub fn never_began(&self) -> bool {
        let failed = matches!(self.state, MemberState::Failed { .. });
        failed && self.attempt == 0 && self.hooked.is_new()
    }

    /// The version that is brought on a way, of the first thing that is brought.
    fn brought(&self, direction: Direction) -> Option<&Version> {
        match direction {
            Direction::Forward => self.parts.first().map(|part| &part.target),
            Direction::Back => self.parts.iter().find_map(|part| part.way_back()),
        }
    }

    /// The hook before has failed: the driver is not asked for anything on this way.
    pub(super) fn is_barred(&mut self, direction: Direction, reason: &str) {
        for part in &mut self.parts {
            match (&mut part.state, direction) {
                (state @ PartState::Waiting, Direction::Forward) => {
                    *state = PartState::Failed { reason: reason.to_owned(), restored: Restored::NotNeeded };
                }
                (PartState::Failed { restored, .. }, Direction::Back) if *restored == Restored::NotTried => {
                    *restored = Restored::No(reason.to_owned());
                }
                (
                    PartState::Waiting | PartState::Applied | PartState::Proven | PartState::Failed { .. },
                    _,
                ) => {}
            }
        }
    }

    /// The hook after has failed for one that has failed already: that is said, too.
    fn also(&mut self, reason: &str) {
        let failed = self.parts.iter_mut().find_map(|part| match &mut part.state {
            PartState::Failed { reason, .. } => Some(reason),
            PartState::Waiting | PartState::Applied | PartState::Proven => None,
        });
        if let Some(text) = failed {
            text.push_str("; ");
            text.push_str(reason);
        }
    }
}

/// A hook round an instance is over.
pub(super) fn instance_done(
    upgrade: &mut Upgrade,
    fleet: &dyn FleetView,
    (operation, instance): (&OperationId, &InstanceId),
    result: &Result<(), String>,
    now: Timestamp,
    out: &mut Step,
) {
    let Some((id, member)) = upgrade.members.behind(instance) else { return };
    let Some((kind, _)) = upgrade.instance_hook(id, member).filter(|(_, mine)| mine == operation) else {
        return;
    };
    let id = id.clone();
    let mut failed = result.as_ref().err().map(|why| format!("{kind}: {why}"));
    if let MemberState::Hooking { moment: Moment::Before, then, .. } = &member.state
        && matches!(**then, MemberState::Creating { .. })
        && fleet.is_used(instance)
    {
        // It was free when the hook began.
        failed = Some(format!("the id {instance} was given to another instance while {kind} was run"));
    }
    let (rule, stops) = rule(upgrade);
    let stops = stops.as_deref();
    let next = upgrade.members.update(&id, |member| follows(member, failed.as_deref(), (rule, stops), now));
    if let Some(Some(next)) = next {
        go(upgrade, &id, next, out);
    }
}

/// What becomes of an instance that fails now, and what is said of it where the upgrade ends at once.
fn rule(upgrade: &Upgrade) -> (OnInstanceFailure, Option<String>) {
    match upgrade.stage {
        Stage::Undoing => (OnInstanceFailure::Restore, None),
        Stage::Stopping { batch } => (batch, Some(stopping::not_judged(upgrade))),
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Baking { .. }
        | Stage::Ended { .. } => (upgrade.policy.failure.instance, None),
    }
}

/// What follows when the hook of a member is over.
pub(super) fn follows(
    member: &mut Member,
    failed: Option<&str>,
    (rule, stops): (OnInstanceFailure, Option<&str>),
    now: Timestamp,
) -> Option<MemberState> {
    let MemberState::Hooking { moment, direction, then, .. } = &member.state else { return None };
    let (moment, direction, then) = (*moment, *direction, then.at(now));
    member.hooked.open = match moment {
        Moment::Before => Some(direction),
        Moment::After => None,
    };
    match (moment, failed) {
        // Nothing more is brought to one whose upgrade is to end.
        (Moment::Before, None)
            if direction == Direction::Forward
                && let Some(why) = stops =>
        {
            return Some(stopping::untouched(member, why, rule, now));
        }
        // Nobody looks at it any more.
        (Moment::After, None) if stops.is_some() && then.is_settling() => {}
        (_, None) => return Some(then),
        (Moment::Before, Some(reason)) => {
            // What is brought back because of the end is barred, too.
            if let (Direction::Back, Some(why)) = (direction, stops) {
                let blamed = member.blame(why);
                member.applied_have_failed(&blamed);
            }
            member.is_barred(direction, reason);
        }
        (Moment::After, Some(reason)) => {
            if direction == Direction::Back && member.trip == Trip::Back {
                member.way_back_has_failed(reason);
            } else if direction == Direction::Forward && then.is_settling() {
                let blamed = member.blame(reason);
                member.applied_have_failed(&blamed);
            } else {
                member.also(reason);
                // Nobody looks at it any more, either.
                if stops.is_none() || !then.is_settling() {
                    return Some(then);
                }
            }
        }
    }
    Some(match stops {
        Some(why) => stopping::stopped(member, why, rule, now),
        None => member.next(rule, now),
    })
}

/// Begins a hook of the next batch, or of the one in flight, where there is one that has not been run.
pub(super) fn begin(upgrade: &mut Upgrade, hook: BatchHook, out: &mut Step) -> bool {
    let done = match hook {
        BatchHook::Before => upgrade.hooked.before,
        BatchHook::After | BatchHook::AfterNothing | BatchHook::AfterStop => upgrade.hooked.after,
    };
    if !upgrade.policy.hooks.has(hook.kind()) || done == Some(upgrade.current) {
        return false;
    }
    upgrade.hooked.asked += 1;
    if hook == BatchHook::Before {
        upgrade.hooked.of = members(upgrade);
    }
    upgrade.stage = Stage::Hooking { hook, stop: None };
    out.head_changed = true;
    run(upgrade, hook, out);
    true
}

/// Runs the hook after a batch that does not begin after all, where the one before was run.
pub(super) fn close(upgrade: &mut Upgrade, out: &mut Step) -> bool {
    upgrade.hooked.before == Some(upgrade.current) && begin(upgrade, BatchHook::AfterNothing, out)
}

/// What the hook before the next batch has permitted it has permitted then, and for those that it was told of: whether
/// these are others.
pub(super) fn is_for_others(upgrade: &Upgrade, admitted: &[InstanceId]) -> bool {
    let told = &upgrade.hooked.of;
    upgrade.hooked.before == Some(upgrade.current)
        && !told.is_empty()
        && admitted.iter().any(|id| !told.contains(id))
}

/// The word of the hook before the next batch counts no more: the one after is run, and the one before again when the
/// batch could begin. Gives whether there was one.
pub(super) fn withdraw(upgrade: &mut Upgrade, out: &mut Step) -> bool {
    if upgrade.hooked.before != Some(upgrade.current) {
        return false;
    }
    if !close(upgrade, out) {
        upgrade.hooked.before = None;
        upgrade.hooked.of.clear();
        out.head_changed = true;
    }
    true
}

/// Asks for a hook round a batch, again after a restart. The one after names those that the one before has named.
pub(super) fn run(upgrade: &Upgrade, hook: BatchHook, out: &mut Step) {
    let told = &upgrade.hooked.of;
    let is_paired = hook != BatchHook::Before && upgrade.hooked.before == Some(upgrade.current);
    let instances = if is_paired && !told.is_empty() { told.clone() } else { members(upgrade) };
    let about = HookAbout::Batch { number: upgrade.current + 1, instances };
    let operation = upgrade.batch_hook(hook);
    let direction = match hook {
        // Whatever it was, it has come back; and a gate lets that pass.
        BatchHook::AfterStop => Direction::Back,
        BatchHook::Before | BatchHook::After | BatchHook::AfterNothing => upgrade.direction(),
    };
    out.actions.push(Action::Hook(HookAction { hook: hook.kind(), direction, about, operation }));
}

/// After a restart: one that was being ended is gone with the host.
pub(super) fn resume(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    let Stage::Hooking { hook, stop } = upgrade.stage else { return };
    if stop.is_none() {
        return run(upgrade, hook, out);
    }
    let ended = Err(stopping::ended_with_the_host(upgrade));
    batch_done(upgrade, &upgrade.batch_hook(hook), &ended, now, out);
}

/// A hook round a batch is over.
pub(super) fn batch_done(
    upgrade: &mut Upgrade,
    operation: &OperationId,
    result: &Result<(), String>,
    now: Timestamp,
    out: &mut Step,
) {
    let Stage::Hooking { hook, stop } = upgrade.stage else { return };
    if upgrade.batch_hook(hook) != *operation {
        return;
    }
    out.head_changed = true;
    let failed = result.as_ref().err().map(|why| format!("{}: {why}", hook.kind()));
    let current = Some(upgrade.current);
    match hook {
        BatchHook::Before => {
            upgrade.hooked.before = current;
            upgrade.stage = Stage::Between { resume_at: now };
            if let Some(reason) = failed.filter(|_| !upgrade.cancel_requested) {
                fail_untouched(upgrade, &reason, now, out);
                upgrade.stage = Stage::InBatch;
            }
        }
        BatchHook::After => {
            // One that was ended half-way has given nothing back: it is run again when the batch is over, unless a
            // rollback follows, which it must not hold up: that has a pair of its own.
            let is_over = stop.is_none() || result.is_ok() || stopping::batch_comes_back(upgrade);
            upgrade.hooked.after = current.filter(|_| is_over);
            upgrade.stage = Stage::InBatch;
            match (stop, failed) {
                (Some(batch), _) => stopping::leave(upgrade, batch, now, out),
                (None, Some(reason)) => fail_judged(upgrade, &reason, now, out),
                (None, None) => {}
            }
        }
        // A batch may come to stand at its place that begins.
        BatchHook::AfterNothing => {
            (upgrade.hooked.before, upgrade.hooked.after) = (None, None);
            upgrade.hooked.of.clear();
            upgrade.stage = Stage::Between { resume_at: now };
        }
        BatchHook::AfterStop => {
            upgrade.hooked.after = current;
            upgrade.stage = Stage::Stopping { batch: OnInstanceFailure::Leave };
        }
    }
}

/// Nothing of the batch was touched, and nothing will be.
fn fail_untouched(upgrade: &mut Upgrade, reason: &str, now: Timestamp, out: &mut Step) {
    if let Some(batch) = upgrade.batches.get_mut(upgrade.current) {
        batch.state = BatchState::InProgress;
        batch.started_at = Some(now);
        out.batches_changed.insert(batch.number);
    }
    for id in members(upgrade) {
        upgrade.members.update(&id, |member| {
            member.is_barred(Direction::Forward, reason);
            member.state = MemberState::Failed { at: now };
        });
        out.changed.insert(id);
    }
}

/// Everybody of the batch has failed after all, and is brought back as one that fails is.
fn fail_judged(upgrade: &mut Upgrade, reason: &str, now: Timestamp, out: &mut Step) {
    let rule = upgrade.policy.failure.instance;
    for id in members(upgrade) {
        let next = upgrade.members.update(&id, |member| {
            if !matches!(member.state, MemberState::Succeeded { .. }) {
                return None;
            }
            member.applied_have_failed(reason);
            // The one whose place it took is gone.
            let stays =
                member.is_surge() || member.last_to_restore().is_none() || rule == OnInstanceFailure::Leave;
            Some(if stays { MemberState::Failed { at: now } } else { member.next(rule, now) })
        });
        if let Some(Some(next)) = next {
            go(upgrade, &id, next, out);
        }
    }
}

fn members(upgrade: &Upgrade) -> Vec<InstanceId> {
    upgrade.batch_members(upgrade.current).into_iter().cloned().collect()
}
