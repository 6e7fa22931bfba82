//! How an upgrade stands: its counts, its batches, and for each instance why it is not upgraded yet.

use phasegate_core::domain::{InstanceId, Now, Phase, WallTime};
use phasegate_core::kernel::state::SetState;
use phasegate_core::rollout::{
    BatchProgress, Purpose, Upgrade, UpgradeError, Waiting, WhyNot, estimate, waiting_now, why_not_yet,
};
use phasegate_wire as wire;

use super::waiting::waiting;
use super::{holds, moment};

/// How the latest upgrade stands.
pub(in crate::api) fn status(
    upgrade: &Upgrade,
    set: &SetState,
    store_trouble: Option<&str>,
    now: Now,
) -> wire::StatusDetail {
    let batch = |(index, batch): (usize, &BatchProgress)| wire::StatusBatch {
        phase: batch.phase.map(Phase::get),
        instances: upgrade.batch_members(index).into_iter().map(InstanceId::to_string).collect(),
        state: batch.state.name().into(),
        started_at: batch.started_at.map(moment),
        ended_at: batch.ended_at.map(moment),
    };
    let counts = upgrade.progress();
    let stopped = waiting_now(upgrade, &set.view(now), now.at);
    let for_a_person =
        stopped.is_some_and(|waiting| waiting.until().is_none() && waiting != Waiting::Initializing);
    let waiting = store_trouble.map(str::to_owned).or_else(|| waiting(upgrade, set, now));
    wire::StatusDetail {
        status: wire::Status {
            scale_set: upgrade.scale_set.to_string(),
            id: upgrade.id.to_string(),
            state: upgrade.state.name().into(),
            progress: wire::Progress {
                successful: counts.successful,
                failed: counts.failed,
                in_progress: counts.in_progress,
                pending: counts.pending,
            },
            batches: upgrade.batches.iter().enumerate().map(batch).collect(),
            holds: holds(&upgrade.holds),
            error: upgrade.error.as_ref().map(|error| self::error(upgrade, error)),
        },
        to: upgrade.goal.to_string(),
        already_latest: upgrade.already,
        rolls_back: match &upgrade.purpose {
            Purpose::Rollback { of, from, because } => {
                Some(wire::RollsBack { id: of.to_string(), to: from.to_string(), because: because.clone() })
            }
            Purpose::Forward | Purpose::Manual => None,
        },
        not_yet: not_yet(upgrade, set, waiting.as_deref(), now),
        estimate: estimate(upgrade, |at| set.frozen_until(WallTime(at.0)), now.at).map(|estimate| {
            wire::Estimate {
                seconds_left: estimate.ends_at.since(now.at).as_secs(),
                ends_at: (!for_a_person).then(|| moment(estimate.ends_at)),
                batches_left: estimate.batches_left,
                seconds_per_batch: estimate.per_batch.as_secs_f64(),
            }
        }),
        retry_at: set.retry.as_ref().map(|retry| moment(retry.at)),
        waiting,
        started_at: moment(upgrade.started_at),
        ended_at: upgrade.ended_at().map(moment),
    }
}

/// One line for each instance that does not have what is wanted.
fn not_yet(upgrade: &Upgrade, set: &SetState, waiting: Option<&str>, now: Now) -> Vec<wire::Hold> {
    let line = |(id, why): (InstanceId, WhyNot)| {
        let text = why.line(now.at);
        let reason = match (&why, waiting) {
            (WhyNot::Next, Some(waiting)) => format!("{text}, which waits for {waiting}"),
            _ => text,
        };
        wire::Hold { instance: id.to_string(), reason }
    };
    why_not_yet(upgrade, &set.view(now)).into_iter().map(line).collect()
}

fn error(upgrade: &Upgrade, error: &UpgradeError) -> wire::Error {
    let detail = |(id, message): &(InstanceId, String)| wire::ErrorDetail {
        code: wire::ErrorCode::InstanceUnhealthy,
        target: format!("{}/virtualMachines/{id}", upgrade.scale_set),
        message: message.clone(),
    };
    wire::Error {
        code: error.code.name().into(),
        message: error.message.clone(),
        details: error.details.iter().map(detail).collect(),
    }
}
