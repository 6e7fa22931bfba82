//! How an upgrade stands.

use phasegate_core::domain::{Change, Component, InstanceId, Now, Phase, Runs, Timestamp};
use phasegate_core::kernel::report::{Expected, Few, StatusReport};
use phasegate_core::rollout::{
    BatchProgress, Progress, Purpose, Tally, Upgrade, UpgradeError, UpgradeState, WhyNot,
};
use phasegate_wire as wire;

use super::helps::helps;
use super::holds;
use super::waiting::waiting;
use crate::words;

/// The status with what people ask next.
pub(crate) fn status(report: &StatusReport<'_>, now: Now) -> wire::StatusDetail {
    let StatusReport { upgrade, progress, waiting: _, then: _, not_yet, expected, retry_at, runs, .. } =
        report;
    let Progress { successful, failed, in_progress, pending } = *progress;
    let waiting = waiting(report, now);
    wire::StatusDetail {
        status: wire::Status {
            scale_set: upgrade.scale_set.to_string(),
            id: upgrade.id.to_string(),
            state: words::upgrade_state(upgrade.state),
            progress: wire::Progress { successful, failed, in_progress, pending },
            batches: upgrade
                .batches
                .iter()
                .enumerate()
                .map(|(index, one)| batch(upgrade, index, one, now))
                .collect(),
            holds: holds(&upgrade.holds),
            error: upgrade.error.as_ref().map(|error| self::error(upgrade, error)),
        },
        to: upgrade.goal.to_string(),
        rolls_back: rolls_back(&upgrade.purpose),
        urgency: upgrade.policy.urgency.name().to_owned(),
        already_latest: upgrade.already,
        not_yet: self::not_yet(not_yet, waiting.as_ref(), now.at),
        waiting: waiting.as_ref().map(|waiting| waiting.text.clone()),
        waiting_for: waiting,
        estimate: expected.map(|expected| estimate(expected, now.at)),
        retry_at: retry_at.map(|at| now.date_of(at).to_string()),
        runs: runs.iter().map(|(component, what, few)| runs_where(component, what, few)).collect(),
        helps: if runs.is_empty() { Vec::new() } else { helps(report) },
        components: components(upgrade),
        started_at: now.date_of(upgrade.started_at).to_string(),
        ended_at: upgrade.ended_at().map(|at| now.date_of(at).to_string()),
        members_kept: true,
    }
}

/// Each component by itself, where there are several.
fn components(upgrade: &Upgrade) -> Vec<wire::ComponentStatus> {
    if upgrade.goal.changes().count() < 2 {
        return Vec::new();
    }
    let one = |change: &Change| {
        let ended = upgrade.ended.iter().find(|ended| ended.change.component == change.component);
        let Tally { successful, failed, in_progress, pending } = upgrade.tally_of(&change.component);
        let state = match ended {
            Some(_) => UpgradeState::Faulted,
            // Another one has ended before, and this one has gone through.
            None if upgrade.state == UpgradeState::Faulted
                && !upgrade.ended.is_empty()
                && upgrade.is_through() =>
            {
                UpgradeState::Completed
            }
            None => upgrade.state,
        };
        wire::ComponentStatus {
            component: change.component.to_string(),
            to: change.to.to_string(),
            state: words::upgrade_state(state),
            progress: wire::Progress { successful, failed, in_progress, pending },
            error: ended.map(|ended| ended.why.clone()),
        }
    };
    upgrade.goal.changes().map(one).collect()
}

fn runs_where(component: &Component, runs: &Runs, few: &Few<'_>) -> wire::RunsWhere {
    wire::RunsWhere {
        component: component.to_string(),
        runs: runs.to_string(),
        count: few.count,
        instances: few.first.iter().map(ToString::to_string).collect(),
    }
}

/// The status of an upgrade of which only the counts are kept.
pub(crate) fn in_numbers(status: wire::StatusDetail, counts: Progress) -> wire::StatusDetail {
    let Progress { successful, failed, in_progress, pending } = counts;
    let progress = wire::Progress { successful, failed, in_progress, pending };
    wire::StatusDetail { status: wire::Status { progress, ..status.status }, members_kept: false, ..status }
}

fn batch(upgrade: &Upgrade, index: usize, batch: &BatchProgress, now: Now) -> wire::StatusBatch {
    wire::StatusBatch {
        phase: batch.phase.map(Phase::get),
        instances: upgrade.batch_members(index).into_iter().map(InstanceId::to_string).collect(),
        state: words::batch_state(batch.state),
        started_at: batch.started_at.map(|at| now.date_of(at).to_string()),
        ended_at: batch.ended_at.map(|at| now.date_of(at).to_string()),
    }
}

fn rolls_back(purpose: &Purpose) -> Option<wire::RollsBack> {
    match purpose {
        Purpose::Rollback { of, from, because, to } => Some(wire::RollsBack {
            id: of.to_string(),
            to: from.to_string(),
            because: because.clone(),
            with: to.as_ref().map(ToString::to_string),
        }),
        Purpose::Forward | Purpose::Manual => None,
    }
}

/// One line for each instance that does not have what is wanted.
pub(super) fn not_yet(
    all: &[(InstanceId, WhyNot)],
    waiting: Option<&wire::Waiting>,
    now: Timestamp,
) -> Vec<wire::Hold> {
    let line = |(id, why): &(InstanceId, WhyNot)| {
        let text = why.line(now);
        let reason = match (why, waiting) {
            (WhyNot::Next, Some(waiting)) => format!("{text}, which waits for {}", waiting.text),
            _ => text,
        };
        wire::Hold { instance: id.to_string(), reason, code: None, phase: None, participation: None }
    };
    all.iter().map(line).collect()
}

fn error(upgrade: &Upgrade, error: &UpgradeError) -> wire::Error {
    let detail = |(id, message): &(InstanceId, String)| wire::ErrorDetail {
        code: wire::ErrorCode::InstanceUnhealthy,
        target: format!("{}/virtualMachines/{id}", upgrade.scale_set),
        message: message.clone(),
    };
    wire::Error {
        code: words::error_code(error.code),
        message: error.message.clone(),
        details: error.details.iter().map(detail).collect(),
    }
}

pub(super) fn estimate(expected: Expected, now: Timestamp) -> wire::Estimate {
    let (estimate, ends_at) = match expected {
        Expected::By(estimate) => (estimate, Some(estimate.ends_at.to_string())),
        Expected::AfterAPerson(estimate) => (estimate, None),
    };
    wire::Estimate {
        seconds_left: estimate.ends_at.since(now).as_secs(),
        ends_at,
        batches_left: estimate.batches_left,
        seconds_per_batch: estimate.per_batch.as_secs_f64(),
    }
}
