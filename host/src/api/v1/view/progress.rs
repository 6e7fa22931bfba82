//! How an upgrade stands, in a size that does not grow with the fleet.

use phasegate_core::domain::{InstanceId, Now, Phase};
use phasegate_core::kernel::report::StatusReport;
use phasegate_core::rollout::{BatchState, Progress, Upgrade};
use phasegate_wire as wire;

use super::status::{estimate, not_yet};
use super::waiting::waiting;
use crate::words;

/// Instances that are named; the others are counted.
const NAMED_MAX: usize = 12;

/// What a follower is told of an upgrade.
pub(crate) fn progress(report: &StatusReport<'_>, now: Now) -> wire::UpgradeProgress {
    let Progress { successful, failed, in_progress, pending } = report.progress;
    let upgrade = report.upgrade;
    let waiting = waiting(report, now);
    let first = report.not_yet.get(..NAMED_MAX).unwrap_or(&report.not_yet);
    wire::UpgradeProgress {
        scale_set: upgrade.scale_set.to_string(),
        upgrade: upgrade.id.to_string(),
        to: upgrade.goal.to_string(),
        state: words::upgrade_state(upgrade.state),
        progress: wire::Progress { successful, failed, in_progress, pending },
        batch: batch(upgrade),
        not_yet: wire::NotYet {
            count: report.not_yet.len(),
            first: not_yet(first, waiting.as_ref(), now.at),
        },
        waiting_for: waiting,
        estimate: report.expected.map(|expected| estimate(expected, now.at)),
    }
}

/// The batch in flight.
fn batch(upgrade: &Upgrade) -> Option<wire::CurrentBatch> {
    let in_flight = upgrade.batches.iter().enumerate().find(|(_, one)| one.state == BatchState::InProgress);
    let (index, batch) = in_flight?;
    let members = upgrade.batch_members(index);
    Some(wire::CurrentBatch {
        number: index + 1,
        of: upgrade.batches.len(),
        phase: batch.phase.map(Phase::get),
        count: members.len(),
        instances: members.into_iter().take(NAMED_MAX).map(InstanceId::to_string).collect(),
    })
}
