//! Plans, and what to know before one is started.

use phasegate_core::domain::{InstanceId, Phase, RollingUpgradePolicy};
use phasegate_core::kernel::report::PlanReport;
use phasegate_core::plan::{Batch, Finding, Resolved};
use phasegate_core::record::StoppedLine;
use phasegate_wire as wire;

use super::{holds, words};

/// A plan with its limits and warnings.
pub(crate) fn plan(report: PlanReport<'_>) -> wire::PlanDetail {
    let PlanReport { plan, policy, limits, frozen, findings, line } = report;
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
        },
        limits: self::limits(policy, &limits),
        frozen: frozen.map(|frozen| wire::Frozen { until: frozen.until.to_string(), reason: frozen.reason }),
        warnings: findings.iter().map(warning).chain(line.map(stopped)).collect(),
    }
}

/// The percentages of a policy beside their counts.
pub(crate) fn limits(policy: &RollingUpgradePolicy, resolved: &Resolved) -> wire::Limits {
    let Resolved { total, protected, batch_max, unhealthy_max, batch_sizes } = resolved;
    wire::Limits {
        instances: *total,
        protected: *protected,
        max_batch_instance_percent: policy.max_batch_instance_percent.get(),
        batch_max: *batch_max,
        max_unhealthy_instance_percent: policy.max_unhealthy_instance_percent.get(),
        unhealthy_max: *unhealthy_max,
        max_unhealthy_upgraded_instance_percent: policy.max_unhealthy_upgraded_instance_percent.get(),
        batch_sizes: batch_sizes.clone(),
    }
}

fn warning(finding: &Finding) -> wire::Warning {
    wire::Warning { code: words::warning_code(finding), message: finding.to_string() }
}

/// A stopped line holds a start.
fn stopped(line: &StoppedLine) -> wire::Warning {
    let message = format!("the line is stopped since {}: {}", line.at, line.reason);
    wire::Warning { code: wire::WarningCode::LineStopped, message }
}
