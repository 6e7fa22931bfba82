//! The rules that one upgrade goes by, from its first batch to its last.
//!
//! An upgrade keeps a copy of them as they were when it started, and the digest of a plan covers each
//! of them. Deliberately without the two rules of a scale set that no running upgrade looks at: whether
//! one that failed is tried again, and the freeze windows, which hold every upgrade as they are now.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hook::HookKinds;
use super::policy::{HealthGate, RollingUpgradePolicy};
use super::rules::{Bake, Checkpoints, Decisions, FailureRules, Timeouts};
use super::urgency::Urgency;

/// The rules that one upgrade goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradePolicy {
    /// Azure's limits.
    #[serde(alias = "policy")]
    pub rolling: RollingUpgradePolicy,
    /// When an upgraded instance counts as good.
    pub gate: HealthGate,
    /// What is done about failures.
    pub failure: FailureRules,
    /// Where it waits for a person.
    pub checkpoints: Checkpoints,
    /// Whether later decisions of the plugin count.
    pub decisions: Decisions,
    /// How long what was upgraded is looked at after the last batch; none: not at all.
    #[serde(default)]
    pub bake: Option<Bake>,
    /// What a site wants run round instances and batches.
    #[serde(default, skip_serializing_if = "HookKinds::is_empty")]
    pub hooks: HookKinds,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether the first instance goes up, back and up again before anybody else.
    #[serde(default)]
    pub round_trip: bool,
    /// How urgent it is; what is written shrinks with it, see [`UpgradePolicy::at`].
    #[serde(default, skip_serializing_if = "Urgency::is_routine")]
    pub urgency: Urgency,
    /// How long after its start it asks instances again that say "not now".
    pub defer_max: Duration,
    /// How long it waits for instances that have not been judged yet before it takes its snapshot; anew
    /// after a restart of the host. See [`HealthSettings::prepare_max`](super::HealthSettings::prepare_max).
    pub prepare_max: Duration,
}

impl UpgradePolicy {
    /// These limits and this gate, and nothing beside them: no checkpoint, no hook, no bake, no limit of time, and nobody
    /// is waited for who has not been judged or says "not now".
    #[must_use]
    pub fn plain(rolling: RollingUpgradePolicy, gate: HealthGate) -> Self {
        Self {
            rolling,
            gate,
            failure: FailureRules::default(),
            checkpoints: Checkpoints::default(),
            decisions: Decisions::default(),
            bake: None,
            hooks: HookKinds::default(),
            timeouts: Timeouts::default(),
            round_trip: false,
            urgency: Urgency::default(),
            defer_max: Duration::ZERO,
            prepare_max: Duration::ZERO,
        }
    }
}
