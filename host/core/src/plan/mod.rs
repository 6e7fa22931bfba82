//! The planner: who is upgraded when, and who is left alone and why.
//!
//! Pure: a plan is a function of the candidates, the policy and the wanted version. It does not
//! look at the clock and starts nothing; `rollout` walks through the plan.

mod changes;
mod digest;
mod feasibility;
mod group;
mod hold;
mod standing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{
    BatchOf, Component, Digest, ExtensionName, Goal, Health, InstanceId, Participation, PersonsWord, Phase,
    Protection, Runs, ScaleSetName, UpgradePolicy, Version, WordKind,
};

use group::{GroupKey, PhaseOrder, Target, cut};

pub use changes::changes;
pub use feasibility::{
    BatchTime, Feasibility, FeasibilityInput, Finding, Resolved, TimesFinding, Waits, feasibility,
    fleet_unhealthy,
};
pub use hold::{Hold, HoldReason};
pub use standing::{Basis, Standing, StandingInput, is_answered, judged, reason_line, standing};

/// What the planner knows of one instance at the moment of planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The instance.
    pub id: InstanceId,
    /// Zone.
    pub zone: Option<String>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Fault domain; orders members of a group, never a border.
    pub fault_domain: Option<u32>,
    /// Protection.
    pub protection: Protection,
    /// What of the application it runs.
    pub runs: Runs,
    /// What it has of extensions; what is not in here is unknown.
    pub extensions: BTreeMap<ExtensionName, Runs>,
    /// Committed health.
    pub health: Health,
    /// What the plugin's answers amount to, and what a person has said that goes before them.
    pub standing: Standing,
    /// A person holds it or leaves it out.
    pub held: Option<PersonsWord>,
}

impl Candidate {
    /// What it has of a component.
    #[must_use]
    pub fn runs_of(&self, component: &Component) -> &Runs {
        match component {
            Component::Application => &self.runs,
            Component::Extension(name) => self.extensions.get(name).unwrap_or(&Runs::UNKNOWN),
        }
    }

    /// Whether it says "not now", or a person does.
    #[must_use]
    pub fn defers(&self) -> bool {
        let by_person = self.held.as_ref().is_some_and(|word| word.kind == WordKind::Hold);
        by_person || matches!(self.standing, Standing::Decided { participation: Participation::Defer, .. })
    }

    /// The version that it has of a component, where there is one and it is known.
    #[must_use]
    pub fn version_of(&self, component: &Component) -> Option<&Version> {
        self.runs_of(component).version()
    }

    /// Whether nothing of the goal is left to do. What is unknown is never there.
    #[must_use]
    pub fn is_at(&self, goal: &Goal) -> bool {
        goal.changes().all(|change| self.version_of(&change.component) == Some(&change.to))
    }
}

/// What becomes of an instance that has what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum There {
    /// It is left alone.
    #[default]
    Stays,
    /// It gets it again.
    Again,
    /// It gets again what it has, whatever is wanted.
    Repaired,
}

/// Input of [`plan`].
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The scale set.
    pub scale_set: &'a ScaleSetName,
    /// What is wanted.
    pub goal: &'a Goal,
    /// What the upgrade would go by.
    pub policy: &'a UpgradePolicy,
    /// Instances to plan for, protected and skipped ones included.
    pub candidates: &'a [Candidate],
    /// Number of instances of the whole set, which percentages refer to.
    pub total: usize,
    /// Whether those that have what is wanted are left alone.
    pub there: There,
    /// Batches that lie behind; the sizes of growing batches count on from there.
    pub batches_before: usize,
}

/// Instances that are upgraded at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Their phase; none is the last one.
    pub phase: Option<Phase>,
    /// Their zone; none when they have none or when zones are crossed.
    pub zone: Option<String>,
    /// Their update domain.
    pub update_domain: Option<u32>,
    /// Members in order.
    pub instances: Vec<InstanceId>,
}

/// The order of an upgrade before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// What is wanted.
    pub goal: Goal,
    /// Resolved size of the largest batch.
    pub batch_max: usize,
    /// In order.
    pub batches: Vec<Batch>,
    /// Instances left alone, by id.
    pub holds: Vec<Hold>,
    /// Instances that have all that is wanted, by id.
    pub already: Vec<InstanceId>,
    /// SHA-256 of everything that decides what happens.
    pub digest: Digest,
}

/// Plans the upgrade of one scale set.
///
/// Hard borders of a batch are phase, zone (unless zones may be crossed) and update domain; fault
/// domain and id only order members. The result does not depend on the order of the candidates.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut groups: BTreeMap<GroupKey<'_>, Vec<Target<'_>>> = BTreeMap::new();
    let mut holds = Vec::new();
    let mut already = Vec::new();
    for candidate in input.candidates {
        match classify(candidate, input) {
            Class::Already => already.push(candidate.id.clone()),
            Class::Held(reason) => holds.push(Hold::new(candidate.id.clone(), reason, &candidate.standing)),
            Class::Target(key) => groups.entry(key).or_default().push(Target::from(candidate)),
        }
    }
    already.sort();
    holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    let rolling = &input.policy.rolling;
    let whole = Whole::of(input);
    let batch_max = rolling.batch_max(whole.largest());
    // Who makes the round trip makes it alone.
    let trips = input.policy.round_trip && input.there == There::Stays && input.batches_before == 0;
    let size = |domain: Option<u32>, index: usize| match index.checked_sub(usize::from(trips)) {
        Some(index) => rolling.batch_size(input.batches_before + index, whole.of_domain(domain)),
        None => 1,
    };
    let mut batches = Vec::new();
    let mut groups: Vec<(GroupKey<'_>, Vec<Target<'_>>)> = groups.into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| a.turn(b));
    for (key, members) in groups {
        cut(&key, members, |index| size(key.update_domain, index), &mut batches);
    }
    let digest = digest::of(input, batch_max, &batches, &holds);
    Plan {
        scale_set: input.scale_set.clone(),
        goal: input.goal.clone(),
        batch_max,
        batches,
        holds,
        already,
        digest,
    }
}

/// What the share of a batch is a share of.
enum Whole {
    /// The set.
    Set(usize),
    /// The update domain of the batch, as far as it is planned for.
    Domains(BTreeMap<Option<u32>, usize>),
}

impl Whole {
    fn of(input: &PlanInput<'_>) -> Self {
        match input.policy.rolling.batch_of {
            BatchOf::Set => Self::Set(input.total),
            BatchOf::UpdateDomain => {
                let mut domains: BTreeMap<Option<u32>, usize> = BTreeMap::new();
                for candidate in input.candidates {
                    *domains.entry(candidate.update_domain).or_default() += 1;
                }
                Self::Domains(domains)
            }
        }
    }

    fn of_domain(&self, domain: Option<u32>) -> usize {
        match self {
            Self::Set(total) => *total,
            Self::Domains(domains) => domains.get(&domain).copied().unwrap_or(0),
        }
    }

    fn largest(&self) -> usize {
        match self {
            Self::Set(total) => *total,
            Self::Domains(domains) => domains.values().copied().max().unwrap_or(0),
        }
    }
}

enum Class<'a> {
    Already,
    Held(HoldReason),
    Target(GroupKey<'a>),
}

/// Where a candidate belongs. The order of the checks is the order of their strength: nothing
/// overrides protection, and an instance that is already there needs no permission.
fn classify<'a>(candidate: &'a Candidate, input: &PlanInput<'_>) -> Class<'a> {
    if input.there == There::Stays && candidate.is_at(input.goal) {
        return Class::Already;
    }
    let is_known =
        || input.goal.changes().any(|change| candidate.runs_of(&change.component).last().is_some());
    if input.there == There::Repaired && !is_known() {
        let detail = "nobody knows what it has, so that nothing can be brought there again";
        return Class::Held(HoldReason::Unknown(detail.to_owned()));
    }
    let phase = match withheld(candidate) {
        Ok(phase) => phase,
        Err(reason) => return Class::Held(reason),
    };
    let rolling = &input.policy.rolling;
    Class::Target(GroupKey {
        phase: phase.map_or(PhaseOrder::Last, PhaseOrder::Number),
        healthy_later: rolling.prioritize_unhealthy_instances && !candidate.health.is_unhealthy(),
        zone: if rolling.enable_cross_zone_upgrade { None } else { candidate.zone.as_deref() },
        update_domain: candidate.update_domain,
    })
}

/// Why the host leaves an instance alone whatever is wanted; else its phase. Nothing overrides protection.
///
/// # Errors
/// The reason.
pub fn withheld(candidate: &Candidate) -> Result<Option<Phase>, HoldReason> {
    if candidate.protection.from_scale_set_actions {
        return Err(HoldReason::Protected);
    }
    match candidate.held.as_ref().map(|word| (word.kind, word.to_string())) {
        Some((WordKind::Skip, said)) => return Err(HoldReason::PersonSkip(said)),
        Some((WordKind::Hold, said)) => return Err(HoldReason::PersonHold(said)),
        // In its protection, and in its standing.
        Some((WordKind::Protect | WordKind::Force, _)) | None => {}
    }
    match &candidate.standing {
        Standing::Undecided => Err(HoldReason::Undecided),
        Standing::PluginFailed { failure, .. } => Err(HoldReason::PluginFailed(failure.clone())),
        Standing::Unknown { detail, .. } => Err(HoldReason::Unknown(detail.clone())),
        Standing::Decided { participation: Participation::Skip, detail, .. } => {
            Err(HoldReason::Skip(detail.clone()))
        }
        Standing::Decided { participation: Participation::Defer, detail, .. } => {
            Err(HoldReason::Defer(detail.clone()))
        }
        Standing::Decided { participation: Participation::Proceed, phase, .. } => Ok(*phase),
    }
}

#[cfg(test)]
mod tests;
