//! A person wants a running upgrade to end at once, or its time is over: what drivers have in hand is ended, the
//! health gate is left, and nothing new begins.
//!
//! ```text
//! InBatch ─> Stopping ─ what the driver has in hand is ended, and has answered ─> Ended(Cancelled, or Faulted)
//!                └ the batch in flight is brought back, unless a rollback of everything follows
//! ```
//!
//! Waits for each answer: what a driver may still do must be over before the version before is brought back under
//! an operation of its own. How long a driver may take for that is the driver's business.

use crate::domain::{Direction, InstanceId, Moment, OnInstanceFailure, Timestamp};

use super::action::Action;
use super::batch::BatchState;
use super::hooks::{self, BatchHook};
use super::member::{Member, MemberState};
use super::rollback;
use super::state::{Purpose, Stage, Upgrade, UpgradeState};
use super::step::{Step, end, go};
use super::timeouts;
use super::trip::Trip;

/// What is said of an instance that nobody has judged.
pub(super) fn not_judged(upgrade: &Upgrade) -> String {
    if timeouts::is_over(upgrade) {
        "had not ended when the time for it was over".to_owned()
    } else {
        "was stopped by a person before it was judged".to_owned()
    }
}

/// What is said of work that a host was to end, and that ended with the host.
pub(super) fn ended_with_the_host(upgrade: &Upgrade) -> String {
    if timeouts::is_over(upgrade) {
        "was ended with the host, as the time for it was over".to_owned()
    } else {
        "was ended with the host, as a person had asked for".to_owned()
    }
}

/// Begins to stop. `batch` says whether the batch in flight is brought back; one that takes an upgrade back never
/// brings a batch of its own forward again.
pub(super) fn begin(upgrade: &mut Upgrade, batch: OnInstanceFailure, now: Timestamp, out: &mut Step) {
    match upgrade.stage {
        Stage::InBatch => {}
        // What the hook before has taken away is given back by this one alone.
        Stage::Hooking { hook: BatchHook::AfterStop | BatchHook::AfterNothing, .. } => return,
        Stage::Hooking { hook, stop } => {
            let batch =
                stop.map_or(batch, |before| if batch == OnInstanceFailure::Leave { batch } else { before });
            upgrade.stage = Stage::Hooking { hook, stop: Some(batch) };
            out.actions.push(Action::EndHook { operation: upgrade.batch_hook(hook) });
            return;
        }
        // What failed is being brought back: only a driver that hangs is not waited for.
        Stage::Undoing if batch == OnInstanceFailure::Leave => return end_work(upgrade, batch, now, out),
        Stage::Stopping { .. } if batch == OnInstanceFailure::Leave => {
            upgrade.stage = Stage::Stopping { batch };
            return end_work(upgrade, batch, now, out);
        }
        // Nothing is in flight, or it ends by itself.
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::Undoing
        | Stage::Baking { .. }
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => return,
    }
    leave(upgrade, batch, now, out);
}

/// A person cancels while the next batch, or everybody in it, waits for the hook before: nothing is in flight that
/// would be waited for, and a hook may say "not yet" for a day.
pub(super) fn wait_no_longer(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) {
    match upgrade.stage {
        Stage::Hooking { hook: BatchHook::Before, stop: None } => {
            upgrade.stage = Stage::Hooking { hook: BatchHook::Before, stop: Some(OnInstanceFailure::Leave) };
            out.actions.push(Action::EndHook { operation: upgrade.batch_hook(BatchHook::Before) });
        }
        Stage::InBatch if nobody_is_touched(upgrade) => leave(upgrade, OnInstanceFailure::Restore, now, out),
        Stage::Preparing { .. }
        | Stage::Between { .. }
        | Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Undoing
        | Stage::Baking { .. }
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => {}
    }
}

/// Whether no driver was told anything yet of the batch in flight.
fn nobody_is_touched(upgrade: &Upgrade) -> bool {
    let in_batch = upgrade.batch_members(upgrade.current);
    in_batch.into_iter().filter_map(|id| upgrade.members.get(id)).all(|member| member.attempt == 0)
}

/// Leaves the batch in flight.
pub(super) fn leave(upgrade: &mut Upgrade, batch: OnInstanceFailure, now: Timestamp, out: &mut Step) {
    let batch = match upgrade.purpose {
        Purpose::Rollback { .. } => OnInstanceFailure::Leave,
        Purpose::Forward | Purpose::Manual => batch,
    };
    upgrade.stage = Stage::Stopping { batch };
    end_work(upgrade, batch, now, out);
    let why = not_judged(upgrade);
    for id in in_batch(upgrade) {
        let next = upgrade.members.update(&id, |member| leaves(member, &why, batch, now)).flatten();
        if let Some(next) = next {
            go(upgrade, &id, next, out);
        }
    }
}

/// Tells drivers to end what they have in hand. A way back goes on where nothing else brings it about.
fn end_work(upgrade: &Upgrade, batch: OnInstanceFailure, now: Timestamp, out: &mut Step) {
    for id in upgrade.members.in_flight() {
        let Some(member) = upgrade.members.get(id) else { continue };
        let ends = match member.state {
            MemberState::Hooking { moment: Moment::Before, direction: Direction::Forward, .. } => true,
            MemberState::Hooking { moment: Moment::Before, .. } => batch == OnInstanceFailure::Leave,
            // What the one before took away from an instance that stays as it is now is given back by nothing else.
            MemberState::Hooking { direction: Direction::Forward, .. } => {
                comes_back(upgrade, member, batch, now)
            }
            MemberState::Hooking { .. } => false,
            MemberState::Applying { .. } | MemberState::Creating { .. } => true,
            MemberState::Restoring { .. } => batch == OnInstanceFailure::Leave,
            MemberState::Pending
            | MemberState::Settling { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => false,
        };
        if ends {
            let hook = upgrade.instance_hook(id, member).map(|(_, operation)| operation);
            let operation = hook.unwrap_or_else(|| upgrade.operation(id, member.attempt));
            out.actions.push(Action::End { instance: member.watched(id).clone(), operation });
        }
    }
}

/// Whether a member whose hook after is ended now is brought back, between hooks of that way: by this upgrade or by the
/// rollback that follows; or nothing is left of it.
fn comes_back(upgrade: &Upgrade, member: &Member, batch: OnInstanceFailure, now: Timestamp) -> bool {
    let (mut after, why) = (member.clone(), not_judged(upgrade));
    match hooks::follows(&mut after, Some(&why), (batch, Some(&why)), now) {
        Some(MemberState::Restoring { .. } | MemberState::Removing { .. }) => true,
        Some(next) => {
            after.state = next;
            upgrade.then_roll_back && rollback::goes_back(&after)
        }
        None => false,
    }
}

/// Whether the rollback that follows brings back something of the batch in flight, between hooks of a batch of its own.
pub(super) fn batch_comes_back(upgrade: &Upgrade) -> bool {
    let members = upgrade.batch_members(upgrade.current);
    let mut members = members.into_iter().filter_map(|id| upgrade.members.get(id));
    upgrade.then_roll_back && members.any(rollback::goes_back)
}

/// What becomes of a member of the batch in flight of which the driver has nothing in hand; none when it stays.
fn leaves(member: &mut Member, why: &str, batch: OnInstanceFailure, now: Timestamp) -> Option<MemberState> {
    match member.state {
        MemberState::Settling { .. } | MemberState::Ready { .. } => Some(stopped(member, why, batch, now)),
        MemberState::Succeeded { .. } | MemberState::Failed { .. }
            if batch == OnInstanceFailure::Restore && !member.is_surge() =>
        {
            // Where there is no way back it stays as it ended, and as it is recorded.
            let mut back = member.clone();
            back.try_again_to_restore();
            let next = stopped(&mut back, why, batch, now);
            next.is_with_driver().then(|| {
                *member = back;
                next
            })
        }
        MemberState::Pending
        | MemberState::Hooking { .. }
        | MemberState::Applying { .. }
        | MemberState::Creating { .. }
        | MemberState::Deleting { .. }
        | MemberState::Removing { .. }
        | MemberState::Restoring { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Failed { .. } => None,
    }
}

/// What follows for a member whose part in hand is over: nothing more is brought to it.
pub(super) fn stopped(
    member: &mut Member,
    why: &str,
    batch: OnInstanceFailure,
    now: Timestamp,
) -> MemberState {
    // Where it goes from here is the business of whoever stopped it.
    member.trip = Trip::None;
    let reason = member.blame(why);
    member.applied_have_failed(&reason);
    member.drop_waiting_parts(&reason);
    member.next(batch, now)
}

/// What follows for a member before which a hook was run, and to which nothing was brought.
pub(super) fn untouched(
    member: &mut Member,
    why: &str,
    batch: OnInstanceFailure,
    now: Timestamp,
) -> MemberState {
    member.is_barred(Direction::Forward, why);
    stopped(member, why, batch, now)
}

/// Ends once nothing is in flight any more.
pub(super) fn advance(upgrade: &mut Upgrade, now: Timestamp, out: &mut Step) -> bool {
    if upgrade.members.in_flight().next().is_some() {
        return false;
    }
    if upgrade.hooked.before == Some(upgrade.current) && hooks::begin(upgrade, BatchHook::AfterStop, out) {
        return true;
    }
    if let Some(batch) = upgrade.batches.get_mut(upgrade.current) {
        batch.state = BatchState::Failed;
        batch.ended_at = Some(now);
        out.batches_changed.insert(batch.number);
    }
    upgrade.current += 1;
    let over = if timeouts::is_over(upgrade) { UpgradeState::Faulted } else { UpgradeState::Cancelled };
    end(upgrade, over, now);
    true
}

/// After a restart: what the driver had in hand is gone with the host, or is the agent's to finish under its old
/// name. It is not asked for again only to be ended.
pub(super) fn resume(upgrade: &mut Upgrade, batch: OnInstanceFailure, now: Timestamp, out: &mut Step) {
    let over: Vec<InstanceId> = upgrade.members.in_flight().cloned().collect();
    let (why, ended) = (not_judged(upgrade), ended_with_the_host(upgrade));
    for id in over {
        let next = upgrade.members.update(&id, |member| match member.state {
            // The one before a way back that is to come is run again, as that is.
            MemberState::Hooking { moment: Moment::Before, direction, .. }
                if direction == Direction::Forward || batch == OnInstanceFailure::Leave =>
            {
                hooks::follows(member, Some(&ended), (batch, Some(&why)), now)
            }
            MemberState::Applying { .. } | MemberState::Creating { .. } => {
                member.answered(&Err(ended.clone()));
                Some(stopped(member, &why, batch, now))
            }
            MemberState::Restoring { .. } if batch == OnInstanceFailure::Leave => {
                member.answered(&Err(ended.clone()));
                Some(member.next(OnInstanceFailure::Leave, now))
            }
            MemberState::Settling { .. } | MemberState::Ready { .. } => {
                Some(stopped(member, &why, batch, now))
            }
            MemberState::Pending
            | MemberState::Hooking { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Restoring { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => None,
        });
        match next.flatten() {
            Some(next) => go(upgrade, &id, next, out),
            None => super::step::ask(upgrade, &id, out),
        }
    }
}

fn in_batch(upgrade: &Upgrade) -> Vec<InstanceId> {
    upgrade.batch_members(upgrade.current).into_iter().cloned().collect()
}
