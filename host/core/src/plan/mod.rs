//! The planner: who is upgraded when, and who is left alone and why.
//!
//! Pure: a plan is a function of the candidates, the policy and the wanted version. It does not
//! look at the clock and starts nothing; `rollout` walks through the plan.

mod changes;
mod digest;
mod feasibility;
mod standing;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{
    Component, Digest, ExtensionName, Goal, Health, InstanceId, Participation, Phase, Protection,
    ScaleSetName, UpgradePolicy, Version, natural_cmp,
};

pub use changes::changes;
pub use feasibility::{Feasibility, FeasibilityInput, Finding, Resolved, feasibility, fleet_unhealthy};
pub use standing::{Standing, StandingInput, is_answered, reason_line, standing};

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
    /// Version of the application that it runs.
    pub version: Option<Version>,
    /// Versions of its extensions, as far as known.
    pub extensions: BTreeMap<ExtensionName, Version>,
    /// Committed health.
    pub health: Health,
    /// What the plugin's answers amount to.
    pub standing: Standing,
}

impl Candidate {
    /// The version that it has of a component.
    #[must_use]
    pub fn version_of(&self, component: &Component) -> Option<&Version> {
        match component {
            Component::Application => self.version.as_ref(),
            Component::Extension(name) => self.extensions.get(name),
        }
    }

    /// Whether nothing of the goal is left to do.
    #[must_use]
    pub fn is_at(&self, goal: &Goal) -> bool {
        goal.changes().all(|change| self.version_of(&change.component) == Some(&change.to))
    }
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

/// Why an instance is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum HoldReason {
    /// The plugin says skip; its reason follows.
    Skip(String),
    /// The plugin says not now; its reason follows.
    Defer(String),
    /// `protectFromScaleSetActions` is set.
    Protected,
    /// No probe round has been judged yet.
    Undecided,
    /// The plugin failed; its failure follows.
    PluginFailed(String),
    /// Its health could not be found out; the latest reason follows.
    Unknown(String),
}

impl HoldReason {
    /// Stable code, part of the plan's digest; the detail is not, because it may hold figures that
    /// change with every probe.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Skip(_) => "skip",
            Self::Defer(_) => "defer",
            Self::Protected => "protected",
            Self::Undecided => "undecided",
            Self::PluginFailed(_) => "plugin-failed",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip(detail) if detail.is_empty() => write!(f, "skip"),
            Self::Skip(detail) => write!(f, "skip: {detail}"),
            Self::Defer(detail) if detail.is_empty() => write!(f, "not now"),
            Self::Defer(detail) => write!(f, "not now: {detail}"),
            Self::Protected => write!(f, "protectFromScaleSetActions is set"),
            Self::Undecided => write!(f, "no probe has been judged by its plugin yet"),
            Self::PluginFailed(detail) => write!(f, "no decision: {detail}"),
            Self::Unknown(detail) if detail.is_empty() => {
                write!(f, "its health is unknown, which is no permission")
            }
            Self::Unknown(detail) => write!(f, "its health is unknown, which is no permission: {detail}"),
        }
    }
}

/// An instance that is left alone, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The instance.
    pub instance: InstanceId,
    /// Why.
    pub reason: HoldReason,
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

/// Border of a batch. A batch never holds members of two groups. Ordered in whichever way is
/// quick; see [`GroupKey::turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey<'a> {
    phase: PhaseOrder,
    healthy_later: bool,
    zone: Option<&'a str>,
    update_domain: Option<u32>,
}

/// Numeric phases first, instances without one in a phase of their own at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PhaseOrder {
    Number(Phase),
    Last,
}

impl GroupKey<'_> {
    /// Which of two groups is upgraded first. Zones are ordered as people count, which takes longer
    /// than finding a candidate's group may.
    fn turn(&self, other: &Self) -> Ordering {
        let Self { phase, healthy_later, zone, update_domain } = self;
        let zones = match (zone, other.zone) {
            (Some(zone), Some(other)) => natural_cmp(zone, other),
            (zone, other) => zone.is_some().cmp(&other.is_some()),
        };
        (phase, healthy_later)
            .cmp(&(&other.phase, &other.healthy_later))
            .then(zones)
            .then(update_domain.cmp(&other.update_domain))
    }
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
            Class::Held(reason) => holds.push(Hold { instance: candidate.id.clone(), reason }),
            Class::Target(key) => groups.entry(key).or_default().push(Target::from(candidate)),
        }
    }
    already.sort();
    holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    let rolling = &input.policy.rolling;
    let batch_max = rolling.batch_max(input.total);
    let size = |index| rolling.batch_size(input.batches_before + index, input.total);
    let mut batches = Vec::new();
    let mut groups: Vec<(GroupKey<'_>, Vec<Target<'_>>)> = groups.into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| a.turn(b));
    for (key, members) in groups {
        cut(&key, members, size, &mut batches);
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

enum Class<'a> {
    Already,
    Held(HoldReason),
    Target(GroupKey<'a>),
}

/// A member of a group, with what orders it at hand: candidates and the texts of ids lie far apart.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    fault_domain: Option<u32>,
    /// What is behind a beginning that all ids of the group have in common, where that is a number.
    number: Option<u64>,
    id: &'a InstanceId,
}

impl<'a> From<&'a Candidate> for Target<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        let Candidate { id, fault_domain, .. } = candidate;
        Self { fault_domain: *fault_domain, number: id.number(), id }
    }
}

impl Target<'_> {
    /// By fault domain, then by id.
    fn order(&self, other: &Self) -> Ordering {
        let ids = || match (self.number, other.number) {
            (Some(number), Some(other)) if number != other => number.cmp(&other),
            _ => self.id.cmp(other.id),
        };
        self.fault_domain.cmp(&other.fault_domain).then_with(ids)
    }
}

/// Names such as `web-1` to `web-1000000` are ordered as quickly as their numbers: what they all begin
/// with is left out. Changes no order, only how long it takes.
fn number_behind_prefix(members: &mut [Target<'_>]) {
    let Some(first) = members.first().filter(|_| members.iter().any(|target| target.number.is_none())) else {
        return;
    };
    let first = first.id.as_str();
    let common = members.iter().fold(first.len(), |common, target| {
        let bytes = first.bytes().take(common).zip(target.id.as_str().bytes());
        bytes.take_while(|(ours, theirs)| ours == theirs).count()
    });
    // A number is compared as a whole.
    let prefix = first.get(..common).unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    for target in members {
        target.number = target.id.as_str().get(prefix.len()..).and_then(|rest| rest.parse().ok());
    }
}

/// Where a candidate belongs. The order of the checks is the order of their strength: nothing
/// overrides protection, and an instance that is already there needs no permission.
fn classify<'a>(candidate: &'a Candidate, input: &PlanInput<'_>) -> Class<'a> {
    if candidate.is_at(input.goal) {
        return Class::Already;
    }
    if candidate.protection.from_scale_set_actions {
        return Class::Held(HoldReason::Protected);
    }
    let phase = match &candidate.standing {
        Standing::Undecided => return Class::Held(HoldReason::Undecided),
        Standing::PluginFailed { failure, .. } => {
            return Class::Held(HoldReason::PluginFailed(failure.clone()));
        }
        Standing::Unknown { detail, .. } => return Class::Held(HoldReason::Unknown(detail.clone())),
        Standing::Decided { participation: Participation::Skip, detail, .. } => {
            return Class::Held(HoldReason::Skip(detail.clone()));
        }
        Standing::Decided { participation: Participation::Defer, detail, .. } => {
            return Class::Held(HoldReason::Defer(detail.clone()));
        }
        Standing::Decided { participation: Participation::Proceed, phase, .. } => *phase,
    };
    let rolling = &input.policy.rolling;
    Class::Target(GroupKey {
        phase: phase.map_or(PhaseOrder::Last, PhaseOrder::Number),
        healthy_later: rolling.prioritize_unhealthy_instances && !candidate.health.is_unhealthy(),
        zone: if rolling.enable_cross_zone_upgrade { None } else { candidate.zone.as_deref() },
        update_domain: candidate.update_domain,
    })
}

/// Cuts one group into batches behind those that are there; `size` gives how large the batch with
/// an index may be.
fn cut(
    key: &GroupKey<'_>,
    mut members: Vec<Target<'_>>,
    size: impl Fn(usize) -> usize,
    batches: &mut Vec<Batch>,
) {
    number_behind_prefix(&mut members);
    members.sort_by(Target::order);
    let mut rest = members.as_slice();
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(size(batches.len()).clamp(1, rest.len()));
        rest = behind;
        batches.push(Batch {
            phase: match key.phase {
                PhaseOrder::Number(phase) => Some(phase),
                PhaseOrder::Last => None,
            },
            zone: key.zone.map(str::to_owned),
            update_domain: key.update_domain,
            instances: batch.iter().map(|target| target.id.clone()).collect(),
        });
    }
}

#[cfg(test)]
mod tests;
