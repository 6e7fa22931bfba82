//! What a plugin answered for one instance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::health::Claim;
use super::ids::{Digest, Generation, Phase, PluginName};
use super::time::Timestamp;

/// Whether an instance takes part in a rolling upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Participation {
    /// Upgrade it in its phase.
    Proceed,
    /// Leave it out.
    Skip,
    /// Not now.
    Defer,
}

impl Participation {
    /// As JSON and tables write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Skip => "skip",
            Self::Defer => "defer",
        }
    }
}

/// Attribute of a decision that defers: an integer that moves while the instance comes nearer to another answer.
pub const DEFER_PROGRESS: &str = "defer-progress";

/// Attribute of a decision that defers: the date, RFC 3339, by which it expects to give another answer.
pub const DEFER_UNTIL: &str = "defer-until";

/// Why a plugin decided as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, low-cardinality.
    pub code: String,
    /// One line for people.
    pub detail: String,
}

/// Which code decided: every decision carries exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStamp {
    /// Name in the configuration.
    pub name: PluginName,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Generation that was active.
    pub generation: Generation,
}

/// A valid answer for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Health claim.
    pub claim: Claim,
    /// Phase; none means the last one.
    pub phase: Option<Phase>,
    /// Whether it takes part.
    pub participation: Participation,
    /// Why.
    pub reason: Option<Reason>,
    /// Handed back with the next observation; at most 4,096 bytes.
    pub memory: Option<Vec<u8>>,
    /// Open output, for example `custom-metrics`.
    pub attributes: Vec<(String, String)>,
}

/// Why there is no decision. Never read as permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PluginFailure {
    /// The plugin said that it cannot judge this answer.
    #[error("cannot judge the answer ({kind}): {detail}")]
    Refused {
        /// `unreadable`, `unsupported` or `internal`.
        kind: String,
        /// The plugin's own line.
        detail: String,
    },
    /// The call ran past its deadline.
    #[error("ran longer than {limit_ms} ms; raise limits.timeoutMs or make the plugin faster")]
    OutOfTime {
        /// The deadline in milliseconds.
        limit_ms: u64,
    },
    /// The evaluation did more work than allowed.
    #[error("used more than {limit} fuel; raise limits.fuel or make the plugin do less")]
    OutOfFuel {
        /// The limit.
        limit: u64,
    },
    /// The call needed more memory than allowed.
    #[error("needed more than {limit_mib} MiB of memory; raise limits.memoryMiB or make the plugin leaner")]
    OutOfMemory {
        /// The limit in MiB.
        limit_mib: u64,
    },
    /// The guest trapped.
    #[error("trapped: {0}")]
    Trapped(String),
    /// The guest answered with something outside the contract.
    #[error("answered outside the contract: {0}")]
    BadOutput(String),
    /// It runs into its limits again and again, and is asked less often for it; this round was not judged.
    #[error(
        "was not asked this time: it runs into its limits again and again, and rests between; raise limits.timeoutMs or \
         limits.fuel, or make the plugin faster"
    )]
    Resting,
    /// The worker of the plugin is not keeping up; this round was dropped.
    #[error("did not get to this round; its queue is full")]
    Overloaded,
}

/// What an evaluation took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Work, as limited by [`super::PluginLimits::fuel`]. Of a batch, an equal share.
    pub fuel: u64,
    /// Wall-clock time in nanoseconds. Of a batch, an equal share.
    pub time_ns: u64,
}

/// Whether an outcome is from an evaluation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The plugin was asked.
    #[default]
    Evaluated,
    /// A pure plugin had answered the very same before.
    Unchanged,
}

/// When and how an outcome came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evaluation {
    /// When the plugin was asked; of an unchanged observation, when it was asked before.
    pub at: Timestamp,
    /// What that took.
    pub cost: Cost,
    /// Whether it was asked for this round.
    pub origin: Origin,
}

/// Result of one evaluation of one observation, stamped with the code that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which code decided or failed.
    pub stamp: PluginStamp,
    /// When, and what it took.
    pub evaluation: Evaluation,
    /// The decision, or why there is none. Shared: an unchanged observation brings the same again.
    pub result: Verdict,
}

/// What became of an evaluation.
pub type Verdict = Result<Arc<Decision>, PluginFailure>;
