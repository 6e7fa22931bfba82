//! When two states of an exploration are the same: numbers that decide what can still happen.

use std::time::Duration;

use crate::domain::{Component, Direction, Health, HookKind, Moment, Timestamp};
use crate::rollout::{MemberState, Part, PartState, Restored, Stage, Upgrade};

use super::{Next, State};

/// The state as numbers.
pub(super) fn of(state: &State) -> Vec<i64> {
    let (Some(set), Some(upgrade)) = (state.set(), state.upgrade()) else { return Vec::new() };
    let State { kernel, open, next, wake_at, now, .. } = state;
    // To the second: each move takes a millisecond of its own.
    let ahead = |at: Timestamp| ((at.0 - now.0).max(0) + 999) / 1000;
    let mut key = stage(upgrade, *now);
    key.extend([
        upgrade.recovering_until.map_or(0, ahead),
        wake_at.map_or(-1, ahead),
        i64::from(upgrade.paused),
        i64::from(upgrade.cancel_requested),
        i64::from(upgrade.error.is_some()),
        number(upgrade.current),
        number(upgrade.batches.len()),
        number(upgrade.resumed.len()),
        number(upgrade.approved.len()),
    ]);
    for member in upgrade.members.values() {
        let (kind, a, b) = match &member.state {
            MemberState::Pending => (0, 0, 0),
            MemberState::Applying { .. } => (1, 0, 0),
            MemberState::Settling { applied_at, healthy_since } => {
                let since = healthy_since.map_or(-1, |at| (now.0 - at.0) / 1000);
                (2, ahead(*applied_at + upgrade.policy.gate.deadline), since)
            }
            MemberState::Succeeded { .. } => (3, 0, 0),
            MemberState::Restoring { .. } => (4, 0, 0),
            MemberState::Failed { .. } => (5, 0, 0),
            MemberState::Creating { .. } => (6, 0, 0),
            MemberState::Ready { applied_at } => (7, ahead(*applied_at + upgrade.policy.gate.deadline), 0),
            MemberState::Deleting { .. } => (8, 0, 0),
            MemberState::Removing { .. } => (9, 0, 0),
            MemberState::Hooking { moment, direction, .. } => {
                (10, i64::from(*moment == Moment::After), i64::from(*direction == Direction::Back))
            }
        };
        let batch = upgrade.batch_index(member.batch()).map_or(-1, number);
        key.extend([batch, i64::from(member.attempt), kind, a, b]);
        key.extend(member.parts.iter().map(part));
    }
    for (index, instance) in set.instances().enumerate() {
        let health = match instance.fold.health() {
            Health::Initializing => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
            Health::Unknown => 3,
        };
        key.extend([
            health,
            i64::from(upgrade.goal.of(&Component::Application) == instance.runs.version()),
            i64::from(open.contains_key(&index)),
            i64::from(instance.busy.is_empty()),
            i64::from(instance.latest.is_some()),
            i64::from(set.settled_at(instance) >= upgrade.evidence_from),
            i64::from(instance.is_doubted()),
        ]);
    }
    let mood = match next {
        Next::Made => 0,
        Next::Refused => 1,
        Next::AnswerLost => 2,
    };
    key.extend([mood, i64::from(kernel.fleet().refusing.is_some()), i64::from(state.doubtful.is_empty())]);
    key
}

/// Where in its life an upgrade is.
fn stage(upgrade: &Upgrade, now: Timestamp) -> Vec<i64> {
    let ahead = |at: Timestamp| ((at.0 - now.0).max(0) + 999) / 1000;
    match upgrade.stage {
        Stage::Preparing { until } => vec![0, ahead(until)],
        Stage::Between { resume_at } => vec![1, ahead(resume_at)],
        Stage::InBatch => vec![2, 0],
        Stage::Undoing => vec![3, 0],
        Stage::Hooking { hook, .. } => vec![-1, i64::from(hook.kind() == HookKind::AfterBatch)],
        Stage::Stopping { batch } => vec![5, i64::from(batch == crate::domain::OnInstanceFailure::Restore)],
        Stage::Ended { .. } => vec![4, 0],
        Stage::Baking { since, rounds, held } => {
            vec![
                6 + i64::from(rounds),
                held.map_or(-1, ahead),
                ahead(since + upgrade.policy.bake.map_or(Duration::ZERO, |bake| bake.duration)),
            ]
        }
    }
}

fn part(part: &Part) -> i64 {
    match &part.state {
        PartState::Waiting => 0,
        PartState::Applied => 1,
        PartState::Proven => 6,
        PartState::Failed { restored: Restored::NotTried, .. } => 2,
        PartState::Failed { restored: Restored::Yes, .. } => 3,
        PartState::Failed { restored: Restored::No(_), .. } => 4,
        PartState::Failed { restored: Restored::NotNeeded, .. } => 5,
    }
}

fn number(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
