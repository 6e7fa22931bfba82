//! The published fleet in the words of the API.
//!
//! Computed from a view, beside the loop. Everything that is decided was decided by the kernel; sentences
//! are made here.

mod status;
mod waiting;

pub(in crate::api) use status::status;

use phasegate_core::domain::{
    Component, InstanceId, Now, Origin, Phase, RollingUpgradePolicy, ScaleSetName, Timestamp, Version,
};
use phasegate_core::kernel::Fleet;
use phasegate_core::kernel::state::{InstanceState, Place, SetState, StandIn};
use phasegate_core::plan::{
    Batch, FeasibilityInput, Finding, Hold, Plan, Resolved, Standing, feasibility, fleet_unhealthy,
};
use phasegate_core::record::StoppedLine;
use phasegate_core::record::audit::Entry;
use phasegate_core::rollout::FleetView;
use phasegate_wire as wire;

/// RFC 3339 with milliseconds, UTC.
pub(in crate::api) fn moment(at: Timestamp) -> String {
    at.to_string()
}

/// The whole fleet.
pub(in crate::api) fn fleet(fleet: &Fleet, now: Now) -> wire::Fleet {
    wire::Fleet { scale_sets: fleet.sets().map(|set| scale_set(set, now)).collect() }
}

/// Whether the line is stopped.
pub(in crate::api) fn line(line: Option<&StoppedLine>) -> wire::Line {
    wire::Line {
        stopped: line.is_some(),
        since: line.map(|line| moment(line.at)),
        reason: line.map(|line| line.reason.clone()),
    }
}

fn scale_set(set: &SetState, now: Now) -> wire::ScaleSet {
    wire::ScaleSet {
        name: set.spec.name.to_string(),
        instances: set.instances().map(|instance| self::instance(set, instance, now)).collect(),
    }
}

fn instance(set: &SetState, instance: &InstanceState, now: Now) -> wire::Instance {
    let standing = set.standing(instance, now.at);
    let stand_in = set.stand_in(instance, now.at);
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
            judged_at: moment(stand_in.answered.evaluation.at),
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
            judged_at: moment(outcome.evaluation.at),
            fuel: outcome.evaluation.cost.fuel,
            time_ns: outcome.evaluation.cost.time_ns,
            unchanged: outcome.evaluation.origin == Origin::Unchanged,
        }),
    }
}

/// The driver's trouble comes first: it explains the rest.
fn reason(instance: &InstanceState, standing: &Standing, stand_in: Option<&StandIn<'_>>) -> Option<String> {
    if let Some(trouble) = &instance.trouble {
        return Some(trouble.text.clone());
    }
    let text = match standing {
        Standing::Undecided => return note(&instance.place),
        Standing::PluginFailed { failure, .. } => failure,
        Standing::Unknown { detail, .. } | Standing::Decided { detail, .. } => detail,
    };
    let text = &match (stand_in, text.is_empty()) {
        (None, _) => text.clone(),
        (Some(stand_in), true) => stands_in(stand_in),
        (Some(stand_in), false) => format!("{text}; {}", stands_in(stand_in)),
    };
    match (note(&instance.place), text.is_empty()) {
        (note, true) => note,
        // What it says for itself comes before where it came from.
        (Some(note), false) if !instance.is_member() => Some(format!("{note}: {text}")),
        (_, false) => Some(text.clone()),
    }
}

/// A plan, and what a person should know before it is started now.
pub(in crate::api) fn plan(plan: &Plan, set: &SetState, now: Now) -> wire::PlanDetail {
    let batch = |batch: &Batch| wire::PlanBatch {
        phase: batch.phase.map(Phase::get),
        zone: batch.zone.clone(),
        update_domain: batch.update_domain,
        instances: batch.instances.iter().map(InstanceId::to_string).collect(),
    };
    let found = feasibility(&FeasibilityInput::of(&set.spec, now.wall.date()));
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
            .frozen_at(now.wall.date())
            .map(|frozen| wire::Frozen { until: moment(frozen.until), reason: frozen.reason }),
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
    let message = format!("the line is stopped since {}: {}", moment(line.at), line.reason);
    Some(wire::Warning { code: wire::WarningCode::LineStopped, message })
}

fn warning(finding: &Finding) -> wire::Warning {
    wire::Warning { code: finding.code().into(), message: finding.to_string() }
}

fn holds<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> Vec<wire::Hold> {
    let hold =
        |hold: &Hold| wire::Hold { instance: hold.instance.to_string(), reason: hold.reason.to_string() };
    holds.into_iter().map(hold).collect()
}

/// An older decision that is used, in words.
fn stands_in(stand_in: &StandIn<'_>) -> String {
    let (at, failure) = (stand_in.answered.evaluation.at, &stand_in.failure);
    format!("the last good decision, of {at}, stands in: {failure}")
}

/// What a person should know of an instance that came or goes.
fn note(place: &Place) -> Option<String> {
    match place {
        Place::Member { replaced: None } => None,
        Place::Member { replaced: Some(old) } => Some(format!("replaced {old}")),
        Place::Coming { replaces } => Some(format!("is to replace {replaces}, which serves until then")),
        Place::Leaving { replaced_by: Some(by) } => Some(format!("is being deleted; {by} replaced it")),
        Place::Leaving { replaced_by: None } => Some("is being deleted".to_owned()),
    }
}

/// The audit trail.
pub(in crate::api) fn log(name: &ScaleSetName, entries: &[Entry]) -> wire::Log {
    let entry = |entry: &Entry| wire::LogEntry {
        at: entry.at.to_string(),
        upgrade: entry.upgrade.as_ref().map(ToString::to_string),
        instance: entry.instance.as_ref().map(ToString::to_string),
        kind: entry.what.code().into(),
        text: entry.to_string(),
    };
    wire::Log { scale_set: name.to_string(), entries: entries.iter().map(entry).collect() }
}
