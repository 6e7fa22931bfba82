//! What is told of decisions: how many, what they took, and why.

use serde::{Deserialize, Serialize};

use super::{CustomMetrics, Health, Participation, Stamp};

/// What a plugin has done since the host began.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginCounts {
    /// Observations that it was asked about.
    pub evaluated: u64,
    /// Observations that were the same as the ones before, so that it was not asked.
    pub unchanged: u64,
    /// Observations that brought no decision.
    pub failed: u64,
    /// Lines of its log that were dropped because they came too fast.
    pub log_lines_dropped: u64,
}

/// What an evaluation took, `fleet --json --detail`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// RFC 3339, UTC. Of an unchanged observation, when the plugin was asked before.
    pub judged_at: String,
    /// Of a batch, an equal share.
    pub fuel: u64,
    /// Nanoseconds; of a batch, an equal share.
    pub time_ns: u64,
    /// The observation was the same as the one before, so that the plugin was not asked.
    pub unchanged: bool,
}

/// On which word an instance was let go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// When; RFC 3339, UTC.
    pub at: String,
    /// Number of its batch, from 1.
    pub batch: usize,
    /// Its phase there; null is the last one.
    pub phase: Option<u32>,
    /// Its committed health then.
    pub health: Health,
    /// What its plugin had said of its taking part; null where it had said nothing.
    pub participation: Option<Participation>,
    /// When the probe had ended that it answered so; null where the application had said nothing.
    pub answered_at: Option<String>,
    /// When the plugin was asked about that answer, or about the same one before.
    pub judged_at: Option<String>,
    /// Which code had said so.
    pub plugin: Option<Stamp>,
}

/// `GET /v1/scale-sets/NAME/explain/INSTANCE`, `upgrade explain --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The scale set.
    pub scale_set: String,
    /// The upgrade that decided.
    pub upgrade: String,
    /// The instance.
    pub instance: String,
    /// What the upgrade made of the decision, and when.
    pub verdict: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The latest probe had brought nothing, or the plugin had failed, and this older decision was used; null where the
    /// latest one was.
    #[serde(default)]
    pub stands_in: Option<String>,
    /// On which word it was let go with its batch; null where it was not.
    #[serde(default)]
    pub admission: Option<Admission>,
    /// Which code decided.
    pub plugin: Option<Stamp>,
    /// What it was asked; null when that is not in the recording.
    pub observation: serde_json::Value,
    /// What it said.
    pub outcome: serde_json::Value,
    /// The custom metrics that it had received; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metrics: Option<CustomMetrics>,
    /// What it says when it is asked again.
    pub again: serde_json::Value,
    /// Fuel of that.
    pub fuel: Option<u64>,
    /// Whether it is the same, to the byte; null when that cannot be found out, see `note`.
    pub same: Option<bool>,
    /// What to know about it.
    pub note: Option<String>,
}
