//! The loop's state in the words of the API.

use super::state::{InstanceState, SetState};
use crate::api::wire;
use crate::domain::{InstanceId, Phase, PhaseName, RollingUpgradePolicy, ScaleSetName, Timestamp, Version};
use crate::plan::{FeasibilityInput, Finding, Hold, Plan, Resolved, Standing, feasibility, fleet_unhealthy};
use crate::rollout::{FleetView, MemberState, Stage, Upgrade, UpgradeError, Waiting};
use crate::store::AuditEntry;

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.to_string()
}

pub(super) fn scale_set(set: &SetState, now: Timestamp) -> wire::ScaleSet {
    wire::ScaleSet {
        name: set.spec.name.to_string(),
        instances: set.instances.values().map(|instance| self::instance(set, instance, now)).collect(),
    }
}

fn instance(set: &SetState, instance: &InstanceState, now: Timestamp) -> wire::Instance {
    let standing = set.standing(instance, now);
    let spec = &instance.spec;
    wire::Instance {
        id: spec.id.to_string(),
        address: spec.address.to_string(),
        zone: spec.zone.clone(),
        update_domain: spec.update_domain,
        fault_domain: spec.fault_domain,
        labels: spec.labels.clone(),
        health: instance.fold.health().name().to_owned(),
        phase: standing.phase().map(Phase::get),
        participation: standing.participation().map(|participation| participation.name().to_owned()),
        reason: reason(instance, &standing),
        version: instance.version.as_ref().map(Version::to_string),
        desired_version: Some(set.model.to_string()),
        plugin: instance.latest.as_ref().map(|outcome| wire::Stamp {
            name: outcome.stamp.name.to_string(),
            digest: outcome.stamp.digest.to_string(),
            generation: outcome.stamp.generation.0,
        }),
    }
}

/// The driver's trouble comes first: it explains the rest.
fn reason(instance: &InstanceState, standing: &Standing) -> Option<String> {
    if let Some((_, trouble)) = &instance.trouble {
        return Some(trouble.clone());
    }
    let text = match standing {
        Standing::Undecided => return None,
        Standing::PluginFailed { failure, .. } => failure,
        Standing::Unknown { detail, .. } | Standing::Decided { detail, .. } => detail,
    };
    (!text.is_empty()).then(|| text.clone())
}

/// A plan, and what a person should know before it is started now.
pub(super) fn plan(plan: &Plan, set: &SetState, now: Timestamp) -> wire::Plan {
    let batch = |batch: &crate::plan::Batch| wire::PlanBatch {
        phase: batch.phase.map(Phase::get),
        zone: batch.zone.clone(),
        update_domain: batch.update_domain,
        instances: batch.instances.iter().map(InstanceId::to_string).collect(),
    };
    let found = feasibility(&FeasibilityInput::of(&set.spec, now));
    let view = set.view(now);
    // A plan without batches ends before anything is counted.
    let starts = !plan.batches.is_empty();
    let at_once =
        starts.then(|| fleet_unhealthy(&set.spec.policy, &view.unhealthy(), view.total())).flatten();
    wire::Plan {
        scale_set: plan.scale_set.to_string(),
        to: plan.to.to_string(),
        digest: plan.digest.to_string(),
        batches: plan.batches.iter().map(batch).collect(),
        holds: holds(&plan.holds),
        limits: limits(&set.spec.policy, &found.resolved),
        frozen: set
            .spec
            .freeze
            .frozen_at(now)
            .map(|frozen| wire::Frozen { until: rfc3339(frozen.until), reason: frozen.reason }),
        warnings: found.findings.iter().chain(&at_once).map(warning).collect(),
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
    wire::Warning { code: finding.code().to_owned(), message: finding.to_string() }
}

fn holds(holds: &[Hold]) -> Vec<wire::Hold> {
    let hold =
        |hold: &Hold| wire::Hold { instance: hold.instance.to_string(), reason: hold.reason.to_string() };
    holds.iter().map(hold).collect()
}

pub(super) fn status(
    upgrade: &Upgrade,
    set: &SetState,
    store_trouble: Option<&str>,
    now: Timestamp,
) -> wire::StatusDetail {
    let members = upgrade.members_by_batch();
    let batches = upgrade.batches.iter().zip(members).map(|(batch, members)| wire::StatusBatch {
        phase: batch.phase.map(Phase::get),
        instances: members.into_iter().map(InstanceId::to_string).collect(),
        state: batch.state.name().to_owned(),
        started_at: batch.started_at.map(rfc3339),
        ended_at: batch.ended_at.map(rfc3339),
    });
    let counts = upgrade.progress();
    wire::StatusDetail {
        status: wire::Status {
            scale_set: upgrade.scale_set.to_string(),
            id: upgrade.id.to_string(),
            state: upgrade.state.name().to_owned(),
            progress: wire::Progress {
                successful: counts.successful,
                failed: counts.failed,
                in_progress: counts.in_progress,
                pending: counts.pending,
            },
            batches: batches.collect(),
            holds: holds(&upgrade.holds),
            error: upgrade.error.as_ref().map(|error| self::error(upgrade, error)),
        },
        to: upgrade.to.to_string(),
        waiting: store_trouble.map(str::to_owned).or_else(|| waiting(upgrade, set, now)),
        started_at: rfc3339(upgrade.started_at),
        ended_at: upgrade.ended_at().map(rfc3339),
    }
}

fn error(upgrade: &Upgrade, error: &UpgradeError) -> wire::Error {
    let detail = |(id, message): &(InstanceId, String)| wire::ErrorDetail {
        code: "RollingUpgradeInstanceUnhealthyError".to_owned(),
        target: format!("{}/virtualMachines/{id}", upgrade.scale_set),
        message: message.clone(),
    };
    wire::Error {
        code: error.code.name().to_owned(),
        message: error.message.clone(),
        details: error.details.iter().map(detail).collect(),
    }
}

/// What a running upgrade waits for, one line.
fn waiting(upgrade: &Upgrade, set: &SetState, now: Timestamp) -> Option<String> {
    let of = |wanted: fn(&MemberState) -> bool| {
        let members = upgrade.members.iter().filter(|(_, member)| wanted(&member.state));
        some_of(&members.map(|(id, _)| id.as_str()).collect::<Vec<_>>())
    };
    let any = |wanted: fn(&MemberState) -> bool| upgrade.members.values().any(|member| wanted(&member.state));
    let settling: fn(&MemberState) -> bool = |state| matches!(state, MemberState::Settling { .. });
    Some(match upgrade.stage {
        Stage::Ended { .. } => return None,
        Stage::Preparing { .. } => {
            format!("first decision of {} (Initializing)", some_of(&initializing(set)))
        }
        Stage::Between { resume_at } => return between(upgrade, set, resume_at, now),
        Stage::Undoing => format!("driver to bring back {}", of(MemberState::is_with_driver)),
        Stage::InBatch if any(MemberState::is_with_driver) => {
            format!("driver to change {}", of(MemberState::is_with_driver))
        }
        Stage::InBatch if any(settling) => format!("health of {}", of(settling)),
        Stage::InBatch => "upgraded instances to be healthy again after the host's restart".to_owned(),
    })
}

fn between(upgrade: &Upgrade, set: &SetState, resume_at: Timestamp, now: Timestamp) -> Option<String> {
    let phase = |phase: PhaseName| match phase {
        PhaseName::Number(phase) => format!("phase {}", phase.get()),
        PhaseName::Last => "the last phase".to_owned(),
    };
    let seconds = |until: Timestamp| until.since(now).as_secs_f32().ceil();
    let name = &upgrade.scale_set;
    Some(match crate::rollout::waiting_for(upgrade, &set.view(now), resume_at, now)? {
        Waiting::Pause { until } => format!("pause between batches, {} s left", seconds(until)),
        Waiting::Paused => format!("a person: paused; go on with `phasegate upgrade resume {name}`"),
        Waiting::Resume { after } => {
            format!("a person: {} is done; go on with `phasegate upgrade resume {name}`", phase(after))
        }
        Waiting::Approval { before } => {
            format!("a person: {} needs `phasegate upgrade approve {name}`", phase(before))
        }
        Waiting::Initializing => format!("{} to leave Initializing", some_of(&initializing(set))),
        Waiting::Deferred { until } => {
            let ids: Vec<&str> = upgrade.deferred.keys().map(InstanceId::as_str).collect();
            format!("{} that said \"not now\", {} s at most", some_of(&ids), seconds(until))
        }
        Waiting::Recovery { until } => {
            format!("fleet to be healthy after the host's restart, {} s at most", seconds(until))
        }
    })
}

/// Instances that cannot be judged yet.
fn initializing(set: &SetState) -> Vec<&str> {
    let unready = set.instances.values().filter(|instance| {
        instance.latest.is_none() || instance.fold.health() == crate::domain::Health::Initializing
    });
    unready.map(|instance| instance.spec.id.as_str()).collect()
}

/// At most five names, and how many more there are.
fn some_of(ids: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = ids.iter().copied().take(SHOWN).collect();
    match ids.len() {
        0 => "no instance".to_owned(),
        count if count > SHOWN => format!("instances {} and {} more", shown.join(", "), count - SHOWN),
        1 => format!("instance {}", shown.join("")),
        _ => format!("instances {}", shown.join(", ")),
    }
}

/// The audit trail as the API shows it.
pub(super) fn log(name: &ScaleSetName, entries: &[AuditEntry]) -> wire::Log {
    let entry = |entry: &AuditEntry| wire::LogEntry {
        at: rfc3339(entry.at),
        upgrade: entry.upgrade.as_ref().map(ToString::to_string),
        instance: entry.instance.as_ref().map(ToString::to_string),
        kind: entry.kind.to_string(),
        text: entry.text.clone(),
    };
    wire::Log { scale_set: name.to_string(), entries: entries.iter().map(entry).collect() }
}
