//! Instances, and in one line each why they are as they are.

use phasegate_core::domain::{Decision, InstanceId, Now, Origin, Phase, Runs, Version};
use phasegate_core::kernel::Fleet;
use phasegate_core::kernel::report::{InstanceReport, instance};
use phasegate_core::kernel::state::{InstanceState, Place, SetState, StandIn, WantedAndWithdrawn};
use phasegate_core::plan::Standing;
use phasegate_wire as wire;

use super::received::custom_metrics;
use crate::api::begun::starting;
use crate::api::behind::Sources;
use crate::words;

/// How much of an instance's custom metrics is in the view of the whole fleet, in bytes.
const CUSTOM_METRICS_BRIEF: usize = 1024;

/// The whole fleet, and where its instances are found.
pub(crate) fn fleet(fleet: &Fleet, sources: &dyn Sources, now: Now) -> wire::Fleet {
    let holding = fleet.held.as_ref().map(|hold| hold.to_string());
    wire::Fleet { holding, scale_sets: fleet.sets().map(|set| scale_set(fleet, set, sources, now)).collect() }
}

fn scale_set(fleet: &Fleet, set: &SetState, sources: &dyn Sources, now: Now) -> wire::ScaleSet {
    let starting = starting(fleet, &set.spec.plugin);
    let shown = |state| one(&instance(set, state, now), starting.as_deref(), now);
    wire::ScaleSet {
        name: set.spec.name.to_string(),
        quarantined: super::quarantined(set),
        withdrawn: set.wanted_and_withdrawn().into_iter().map(withdrawn).collect(),
        file_differs: words::file_differs(set),
        discovery: sources.of(&set.spec.name).map(|source| source.shown),
        instances: set.instances().map(shown).collect(),
    }
}

fn withdrawn(one: WantedAndWithdrawn) -> wire::WantedAndWithdrawn {
    let WantedAndWithdrawn { change, withdrawn, new_ones } = one;
    wire::WantedAndWithdrawn {
        component: change.component.to_string(),
        version: change.to.to_string(),
        actor: withdrawn.by.to_string(),
        reason: withdrawn.reason,
        new_instances: new_ones.map(|version| version.to_string()),
    }
}

/// One instance of a set, whole; none where the set has none of that id.
pub(crate) fn one_of(fleet: &Fleet, set: &SetState, id: &InstanceId, now: Now) -> Option<wire::Instance> {
    let state = set.instance(id)?;
    let starting = starting(fleet, &set.spec.plugin);
    let mut shown = one(&instance(set, state, now), starting.as_deref(), now);
    let attributes = decision(state).map(|decision| decision.attributes.as_slice());
    shown.custom_metrics = custom_metrics(attributes.unwrap_or_default(), usize::MAX);
    Some(shown)
}

/// What the plugin has said last, unless it fails.
fn decision(state: &InstanceState) -> Option<&Decision> {
    state.latest.as_ref()?.result.as_deref().ok()
}

/// `starting` says what the plugin does, if it decides nothing yet.
fn one(report: &InstanceReport<'_>, starting: Option<&str>, now: Now) -> wire::Instance {
    let InstanceReport { state, standing, held, stand_in, desired, word } = report;
    let spec = &state.spec;
    let latest = state.latest.as_ref();
    wire::Instance {
        id: spec.id.to_string(),
        address: spec.address.to_string(),
        zone: spec.zone.clone(),
        update_domain: spec.update_domain,
        fault_domain: spec.fault_domain,
        labels: spec.labels.clone(),
        health: words::health(state.fold.health()),
        phase: standing.phase().map(Phase::get),
        participation: standing.said().map(words::participation),
        held: held
            .as_ref()
            .map(|reason| wire::HeldBack { code: words::hold_code(reason), reason: reason.to_string() }),
        reason: reason(report, starting),
        reason_code: decision(state).and_then(|said| Some(said.reason.as_ref()?.code.clone())),
        custom_metrics: decision(state)
            .and_then(|said| custom_metrics(&said.attributes, CUSTOM_METRICS_BRIEF)),
        version: state.runs.version().map(Version::to_string),
        version_state: words::version_state(&state.runs),
        last_version: match &state.runs {
            Runs::Version { .. } => None,
            Runs::Nothing { before } | Runs::Unknown { before } => before.as_ref().map(Version::to_string),
        },
        desired_version: desired.map(Version::to_string),
        extensions: state
            .extensions
            .iter()
            .filter_map(|(name, runs)| Some((name.to_string(), runs.version()?.to_string())))
            .collect(),
        provisioning: state.provision.as_deref().map(|provision| words::provisioning(provision, now)),
        protected: spec.protection.from_scale_set_actions,
        word: word.map(|word| words::word(word, now)),
        plugin: latest.map(|outcome| words::stamp(&outcome.stamp)),
        evaluation: latest.map(|outcome| wire::Evaluation {
            judged_at: outcome.evaluation.at.to_string(),
            fuel: outcome.evaluation.cost.fuel,
            time_ns: outcome.evaluation.cost.time_ns,
            unchanged: outcome.evaluation.origin == Origin::Unchanged,
        }),
        stands_in: stand_in.as_ref().map(|stand_in| wire::StandsIn {
            judged_at: stand_in.answered.outcome.evaluation.at.to_string(),
            failure: stand_in.failure.clone(),
        }),
    }
}

/// What a person has said comes first, then the driver's trouble: each explains the rest.
fn reason(report: &InstanceReport<'_>, starting: Option<&str>) -> Option<String> {
    let InstanceReport { state, standing, held: _, stand_in, desired: _, word } = report;
    if let Some(word) = word {
        return Some(word.to_string());
    }
    if let Some(provision) = &state.provision {
        return Some(provision.to_string());
    }
    if let Some(trouble) = &state.trouble {
        return Some(trouble.text.clone());
    }
    if let Some(unasked) = &state.unasked {
        return Some(format!("not asked since {}: the host is short of {}", unasked.since, unasked.short_of));
    }
    let note = place(&state.place);
    let text = match standing {
        Standing::Undecided => return note.or_else(|| starting.map(str::to_owned)),
        Standing::PluginFailed { failure, .. } => failure,
        Standing::Unknown { detail, .. } | Standing::Decided { detail, .. } => detail,
    };
    let text = match (stand_in, text.is_empty()) {
        (None, _) => text.clone(),
        (Some(stand_in), true) => older(stand_in),
        (Some(stand_in), false) => format!("{text}; {}", older(stand_in)),
    };
    match (note, text.is_empty()) {
        (note, true) => note,
        (Some(note), false) if !state.is_member() => Some(format!("{note}: {text}")),
        // What it says for itself comes before where it came from.
        (Some(_) | None, false) => Some(text),
    }
}

fn older(stand_in: &StandIn<'_>) -> String {
    let StandIn { answered, failure } = stand_in;
    format!("the last good decision, of {}, stands in: {failure}", answered.outcome.evaluation.at)
}

/// What an instance that comes or goes is to its scale set.
fn place(place: &Place) -> Option<String> {
    match place {
        Place::Member { replaced: None } => None,
        Place::Member { replaced: Some(old) } => Some(format!("replaced {old}")),
        Place::Coming { replaces } => Some(format!("is to replace {replaces}, which serves until then")),
        Place::Leaving { replaced_by: Some(by) } => Some(format!("is being deleted; {by} replaced it")),
        Place::Leaving { replaced_by: None } => Some("is being deleted".to_owned()),
    }
}
