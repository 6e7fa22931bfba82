//! The loop's state in the words of the API.

use super::state::{InstanceState, SetState, StandIn};
use super::surge;
use phasegate_core::domain::{
    Component, InstanceId, Origin, Phase, PhaseName, RollingUpgradePolicy, ScaleSetName, Timestamp, Version,
};
use phasegate_core::plan::{
    FeasibilityInput, Finding, Hold, Plan, Resolved, Standing, feasibility, fleet_unhealthy,
};
use phasegate_core::record::AuditEntry;
use phasegate_core::rollout::{
    BatchProgress, FleetView, Member, MemberState, Purpose, Stage, Upgrade, UpgradeError, Waiting, WhyNot,
    estimate, waiting_now, why_not_yet,
};
use phasegate_wire as wire;

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
    let stand_in = set.stand_in(instance, now);
    let spec = &instance.spec;
    wire::Instance {
        id: spec.id.to_string(),
        address: spec.address.to_string(),
        zone: spec.zone.clone(),
        update_domain: spec.update_domain,
        fault_domain: spec.fault_domain,
        labels: spec.labels.clone(),
        health: instance.fold.health().name().into(),
        phase: standing.phase().map(Phase::get),
        participation: standing.participation().map(|participation| participation.name().into()),
        reason: reason(instance, &standing, stand_in.as_ref()),
        stands_in: stand_in.as_ref().map(|stand_in| wire::StandsIn {
            judged_at: rfc3339(stand_in.answered.evaluation.at),
            failure: stand_in.failure.clone(),
        }),
        version: instance.version.as_ref().map(Version::to_string),
        desired_version: set.model.of(&Component::Application).map(Version::to_string),
        extensions: instance.extensions.iter().map(|(name, v)| (name.to_string(), v.to_string())).collect(),
        protected: spec.protection.from_scale_set_actions,
        plugin: instance.latest.as_ref().map(|outcome| wire::Stamp {
            name: outcome.stamp.name.to_string(),
            digest: outcome.stamp.digest.to_string(),
            generation: outcome.stamp.generation.0,
        }),
        evaluation: instance.latest.as_ref().map(|outcome| wire::Evaluation {
            judged_at: rfc3339(outcome.evaluation.at),
            fuel: outcome.evaluation.cost.fuel,
            time_ns: outcome.evaluation.cost.time_ns,
            unchanged: outcome.evaluation.origin == Origin::Unchanged,
        }),
    }
}

/// The driver's trouble comes first: it explains the rest.
fn reason(instance: &InstanceState, standing: &Standing, stand_in: Option<&StandIn<'_>>) -> Option<String> {
    if let Some((_, trouble)) = &instance.trouble {
        return Some(trouble.clone());
    }
    let text = match standing {
        Standing::Undecided => return surge::note(&instance.place),
        Standing::PluginFailed { failure, .. } => failure,
        Standing::Unknown { detail, .. } | Standing::Decided { detail, .. } => detail,
    };
    let text = &match (stand_in, text.is_empty()) {
        (None, _) => text.clone(),
        (Some(stand_in), true) => stand_in.to_string(),
        (Some(stand_in), false) => format!("{text}; {stand_in}"),
    };
    match (surge::note(&instance.place), text.is_empty()) {
        (note, true) => note,
        // What it says for itself comes before where it came from.
        (Some(note), false) if !instance.is_member() => Some(format!("{note}: {text}")),
        (_, false) => Some(text.clone()),
    }
}

/// A plan, and what a person should know before it is started now.
pub(super) fn plan(plan: &Plan, set: &SetState, now: Timestamp) -> wire::PlanDetail {
    let batch = |batch: &phasegate_core::plan::Batch| wire::PlanBatch {
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
        starts.then(|| fleet_unhealthy(&set.spec.policy.rolling, &view.unhealthy(), view.total())).flatten();
    wire::PlanDetail {
        plan: wire::Plan {
            scale_set: plan.scale_set.to_string(),
            to: plan.goal.to_string(),
            digest: plan.digest.to_string(),
            batches: plan.batches.iter().map(batch).collect(),
            holds: holds(&plan.holds),
        },
        limits: limits(&set.spec.policy.rolling, &found.resolved),
        frozen: set
            .spec
            .freeze
            .frozen_at(now)
            .map(|frozen| wire::Frozen { until: rfc3339(frozen.until), reason: frozen.reason }),
        warnings: found.findings.iter().chain(&at_once).map(warning).chain(stopped_line(set)).collect(),
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

/// A stopped line holds a start.
fn stopped_line(set: &SetState) -> Option<wire::Warning> {
    let line = set.line.as_ref()?;
    let message = format!("the line is stopped since {}: {}", rfc3339(line.at), line.reason);
    Some(wire::Warning { code: wire::WarningCode::LineStopped, message })
}

fn warning(finding: &Finding) -> wire::Warning {
    wire::Warning { code: finding.code().into(), message: finding.to_string() }
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
    let batch = |(index, batch): (usize, &BatchProgress)| wire::StatusBatch {
        phase: batch.phase.map(Phase::get),
        instances: upgrade.batch_members(index).into_iter().map(InstanceId::to_string).collect(),
        state: batch.state.name().into(),
        started_at: batch.started_at.map(rfc3339),
        ended_at: batch.ended_at.map(rfc3339),
    };
    let counts = upgrade.progress();
    let stopped = waiting_now(upgrade, &set.view(now), now);
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
        estimate: estimate(upgrade, |at| set.frozen_until(at), now).map(|estimate| wire::Estimate {
            seconds_left: estimate.ends_at.since(now).as_secs(),
            ends_at: (!for_a_person).then(|| rfc3339(estimate.ends_at)),
            batches_left: estimate.batches_left,
            seconds_per_batch: estimate.per_batch.as_secs_f64(),
        }),
        retry_at: set.retry.as_ref().map(|retry| rfc3339(retry.at)),
        waiting,
        started_at: rfc3339(upgrade.started_at),
        ended_at: upgrade.ended_at().map(rfc3339),
    }
}

/// One line for each instance that does not have what is wanted.
fn not_yet(upgrade: &Upgrade, set: &SetState, waiting: Option<&str>, now: Timestamp) -> Vec<wire::Hold> {
    let line = |(id, why): (InstanceId, WhyNot)| {
        let text = why.line(now);
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

/// What a running upgrade waits for, one line, and what follows when somebody wished for it.
fn waiting(upgrade: &Upgrade, set: &SetState, now: Timestamp) -> Option<String> {
    let line = waiting_for_what(upgrade, set, now)?;
    let then = match (upgrade.stage, upgrade.then_roll_back, upgrade.cancel_requested, upgrade.paused) {
        (Stage::InBatch, true, _, _) => "; then it is rolled back",
        (Stage::InBatch, _, true, _) => "; then it is cancelled",
        (Stage::InBatch, _, _, true) => "; then it is paused",
        _ => "",
    };
    Some(format!("{line}{then}"))
}

fn waiting_for_what(upgrade: &Upgrade, set: &SetState, now: Timestamp) -> Option<String> {
    let of = |wanted: fn(&MemberState) -> bool| {
        let members = upgrade.members.iter().filter(|(_, member)| wanted(&member.state));
        some_of(&members.map(|(id, member)| busy_with(id, member).as_str()).collect::<Vec<_>>())
    };
    let any = |wanted: fn(&MemberState) -> bool| upgrade.members.values().any(|member| wanted(&member.state));
    let settling: fn(&MemberState) -> bool = |state| matches!(state, MemberState::Settling { .. });
    let creating: fn(&MemberState) -> bool = |state| matches!(state, MemberState::Creating { .. });
    let deleting: fn(&MemberState) -> bool =
        |state| matches!(state, MemberState::Deleting { .. } | MemberState::Removing { .. });
    let stopped = waiting_now(upgrade, &set.view(now), now)
        .map(|waiting| self::waiting_line(waiting, upgrade, set, now));
    Some(match upgrade.stage {
        Stage::Ended { .. } => return None,
        Stage::Preparing { .. } if stopped.is_some() => return stopped,
        Stage::Preparing { .. } => {
            format!("first decision of {} (Initializing)", some_of(&initializing(set)))
        }
        Stage::Between { .. } => return stopped,
        Stage::Undoing => format!("driver to bring back {}", of(MemberState::is_with_driver)),
        Stage::InBatch if any(creating) => format!("driver to create {}", of(creating)),
        Stage::InBatch if any(deleting) => format!("driver to delete {}", of(deleting)),
        Stage::InBatch if any(MemberState::is_with_driver) => {
            format!("driver to change {}", of(MemberState::is_with_driver))
        }
        Stage::InBatch if any(settling) => format!("health of {}", of(settling)),
        Stage::InBatch => "upgraded instances to be healthy again after the host's restart".to_owned(),
    })
}

/// The instance that the driver or the health gate has in hand for a member.
fn busy_with<'a>(id: &'a InstanceId, member: &'a Member) -> &'a InstanceId {
    if matches!(member.state, MemberState::Deleting { .. }) { id } else { member.watched(id) }
}

fn waiting_line(waiting: Waiting, upgrade: &Upgrade, set: &SetState, now: Timestamp) -> String {
    let phase = |phase: PhaseName| match phase {
        PhaseName::Number(phase) => format!("phase {}", phase.get()),
        PhaseName::Last => "the last phase".to_owned(),
    };
    let seconds = |until: Timestamp| until.since(now).as_secs_f32().ceil();
    let name = &upgrade.scale_set;
    match waiting {
        Waiting::Line => {
            let line = set.line.as_ref();
            let why =
                line.map_or_else(String::new, |line| format!(" since {}: {}", rfc3339(line.at), line.reason));
            format!(
                "a person: the line is stopped for all scale sets{why}; let it go on with \
                 `phasegate line start`, or bypass it with `phasegate upgrade bypass {name} --reason TEXT`"
            )
        }
        Waiting::Freeze { until } => {
            let reason = set.spec.freeze.frozen_at(now).map_or_else(String::new, |frozen| frozen.reason);
            format!(
                "the end of a freeze window ({reason}) at {}; bypass it with \
                 `phasegate upgrade bypass {name} --reason TEXT`",
                rfc3339(until)
            )
        }
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
    }
}

/// Instances that cannot be judged yet.
fn initializing(set: &SetState) -> Vec<&str> {
    let unready = set.members().map(|(_, instance)| instance).filter(|instance| {
        instance.latest.is_none() || instance.fold.health() == phasegate_core::domain::Health::Initializing
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
        kind: entry.kind.as_ref().into(),
        text: entry.text.clone(),
    };
    wire::Log { scale_set: name.to_string(), entries: entries.iter().map(entry).collect() }
}
