//! What an upgrade does beyond its limits: about failures, about decisions that change, and where it
//! waits for a person.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::Phase;

/// What happens beyond a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureRules {
    /// What is done about an instance that failed.
    pub instance: OnInstanceFailure,
    /// What is done when a limit is passed.
    pub breach: OnBreach,
}

/// What begins an upgrade when the model changes; as in Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpgradeMode {
    /// A person.
    #[default]
    Manual,
    /// It begins by itself, and goes in batches.
    Rolling,
    /// It begins by itself, and goes to all at once.
    Automatic,
}

/// How long what was upgraded is looked at after the last batch before it is called good: both have to be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bake {
    /// So long.
    pub duration: Duration,
    /// And so many probes of everybody.
    pub probes: u32,
    /// What is done when the limit of upgraded instances is passed meanwhile.
    pub on_failure: OnBakeFailure,
}

/// What is done when an upgrade fails in its bake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnBakeFailure {
    /// The whole upgrade is rolled back.
    #[default]
    RollBack,
    /// Stop.
    Stop,
}

/// How long an upgrade may take, as time counts for it; see `rollout::timeouts`. None: as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// One batch, from its admission on.
    pub batch: Option<Duration>,
    /// All of it, from its start on.
    pub upgrade: Option<Duration>,
    /// The wait for one approval.
    pub approval: Option<Duration>,
    /// What follows when one of them is over.
    pub then: OnTimeout,
}

impl Timeouts {
    /// Whether none is written.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.batch.is_none() && self.upgrade.is_none() && self.approval.is_none()
    }
}

/// What follows when an upgrade has taken too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// It stops: the batch in flight is brought back, the batches before it stay.
    #[default]
    Stop,
    /// The whole upgrade is rolled back.
    RollBack,
}

/// What is done about an instance that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnInstanceFailure {
    /// Its previous version is brought back at once.
    #[default]
    Restore,
    /// It stays as it is.
    Leave,
}

/// What is done when a limit is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnBreach {
    /// Stop.
    #[default]
    Stop,
    /// Stop, and bring the failed instances back (`rollbackFailedInstancesOnPolicyBreach`).
    RestoreFailed,
    /// Stop, and roll the whole upgrade back.
    RollBack,
}

/// Which decisions of the plugin an upgrade follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decisions {
    /// Those of its start.
    #[default]
    Snapshot,
    /// Those of the moment, before each batch.
    Live,
}

/// When an upgrade that failed is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryRule {
    /// So long after its end, at least a minute.
    pub after: Duration,
    /// So many times, 1 to 100.
    pub limit: u32,
}

/// A phase of the plan by its number, or the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PhaseName {
    /// Instances with this number.
    Number(Phase),
    /// Instances without a number.
    Last,
}

impl From<Option<Phase>> for PhaseName {
    fn from(phase: Option<Phase>) -> Self {
        phase.map_or(Self::Last, Self::Number)
    }
}

/// Where an upgrade stops by itself and waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoints {
    /// After these phases, until `resume`.
    pub pause_after: BTreeSet<PhaseName>,
    /// Before these phases, until `approve`.
    pub approval_before: BTreeSet<PhaseName>,
}
