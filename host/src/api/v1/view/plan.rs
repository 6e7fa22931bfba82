//! Plans, and what to know before one is started.

use phasegate_core::domain::{InstanceId, Now, Phase, Runs, Version};
use phasegate_core::kernel::SetState;
use phasegate_core::kernel::report::PlanReport;
use phasegate_core::plan::{Batch, Finding};
use phasegate_core::record::StoppedLine;
use phasegate_wire as wire;

use super::holds;
use crate::words;

/// A plan with its limits and warnings.
pub(crate) fn plan(report: PlanReport<'_>, set: &SetState, now: Now) -> wire::PlanDetail {
    let PlanReport { plan, policy, batch_time, limits, frozen, findings, line, round_trip, hooks, unseen } =
        report;
    let batch = |batch: &Batch| wire::PlanBatch {
        phase: batch.phase.map(Phase::get),
        zone: batch.zone.clone(),
        update_domain: batch.update_domain,
        instances: batch.instances.iter().map(InstanceId::to_string).collect(),
    };
    wire::PlanDetail {
        plan: wire::Plan {
            scale_set: plan.scale_set.to_string(),
            to: plan.goal.to_string(),
            digest: plan.digest.to_string(),
            batches: plan.batches.iter().map(batch).collect(),
            holds: holds(&plan.holds),
            round_trip: round_trip.map(|instance| instance.to_string()),
            hooks: hooks.iter().map(|hook| hook.to_string()).collect(),
            file_differs: words::file_differs(set),
            unseen: unseen.iter().map(|one| unseen_instance(&one.id, &one.runs)).collect(),
        },
        limits: words::limits(policy, &limits),
        batch_time: words::batch_time(batch_time),
        frozen: frozen.map(|frozen| wire::Frozen { until: frozen.until.to_string(), reason: frozen.reason }),
        warnings: findings.iter().map(warning).chain(line.map(|line| stopped(line, now))).collect(),
    }
}

fn unseen_instance(id: &InstanceId, runs: &Runs) -> wire::Unseen {
    wire::Unseen {
        instance: id.to_string(),
        version_state: words::version_state(runs),
        way_back: runs.way_back().map(Version::to_string),
    }
}

fn warning(finding: &Finding) -> wire::Warning {
    wire::Warning { code: words::warning_code(finding), message: finding.to_string() }
}

/// A stopped line holds a start.
fn stopped(line: &StoppedLine, now: Now) -> wire::Warning {
    let message = format!("the line is stopped since {}: {}", now.date_of(line.at), line.reason);
    wire::Warning { code: wire::WarningCode::LineStopped, message }
}
