//! The JSON of the HTTP API and of every `--json`, and nothing else.
//!
//! Field order is the order on the wire. Absent values are null, never left out.

mod decision;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod plugin;

pub use decision::{Evaluation, Explanation, PluginCounts};
pub use plugin::*;

/// `GET /v1/fleet`, `fleet --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// All scale sets, by name.
    pub scale_sets: Vec<ScaleSet>,
}

/// One scale set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScaleSet {
    /// Its name.
    pub name: String,
    /// Its instances, by id as people count.
    pub instances: Vec<Instance>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Unique within the scale set.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// Zone.
    pub zone: Option<String>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Fault domain.
    pub fault_domain: Option<u32>,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Initializing, Healthy, Unhealthy or Unknown.
    pub health: String,
    /// Phase; null means the last one, or not known yet.
    pub phase: Option<u32>,
    /// `proceed`, `skip`, `defer`; null before the first decision.
    pub participation: Option<String>,
    /// One line for people.
    pub reason: Option<String>,
    /// Version that it runs.
    pub version: Option<String>,
    /// Version that the model wants.
    pub desired_version: Option<String>,
    /// Versions of its extensions, as far as known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// Whether `protectFromScaleSetActions` is set; left out when it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Which code decided last; null before the first decision.
    pub plugin: Option<Stamp>,
    /// What that took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// The plugin fails now, and an older decision of it is used (`onFailure = "last-good"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<StandsIn>,
}

/// An older decision that is used because the plugin fails now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StandsIn {
    /// When that was made; RFC 3339, UTC.
    pub judged_at: String,
    /// Which plugin fails now, and how.
    pub failure: String,
}

/// Which code decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamp {
    /// Name in the configuration.
    pub name: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// Rises with each swap.
    pub generation: u64,
}

/// `upgrade plan --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The scale set.
    pub scale_set: String,
    /// The wanted version.
    pub to: String,
    /// `sha256:…` of all that decides the course of the upgrade.
    pub digest: String,
    /// In order.
    pub batches: Vec<PlanBatch>,
    /// Instances left alone.
    pub holds: Vec<Hold>,
}

/// `GET /v1/scale-sets/NAME/plan`, `upgrade plan --json --detail`: a [`Plan`] with what to know
/// before a start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanDetail {
    /// The plain plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// The policy's percentages as counts.
    pub limits: Limits,
    /// The freeze in force; null when there is none.
    pub frozen: Option<Frozen>,
    /// What to know before a start.
    pub warnings: Vec<Warning>,
}

/// Percentages of a policy and what they are for a fleet of this size.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// All instances; what the percentages refer to.
    pub instances: usize,
    /// How many of them no upgrade may touch.
    pub protected: usize,
    /// As configured.
    pub max_batch_instance_percent: u8,
    /// Largest batch.
    pub batch_max: usize,
    /// As configured.
    pub max_unhealthy_instance_percent: u8,
    /// So many may be unhealthy when a batch starts.
    pub unhealthy_max: usize,
    /// As configured; of what has been upgraded so far, so it is no fixed count.
    pub max_unhealthy_upgraded_instance_percent: u8,
    /// Sizes of the first batches; the last one goes on.
    pub batch_sizes: Vec<usize>,
}

/// A freeze: nothing begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Frozen {
    /// RFC 3339, UTC.
    pub until: String,
    /// One line for people.
    pub reason: String,
}

/// Something to know that is no error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
}

/// One planned batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanBatch {
    /// Null is the last phase.
    pub phase: Option<u32>,
    /// Null without zones, or when zones may be crossed.
    pub zone: Option<String>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Members in order.
    pub instances: Vec<String>,
}

/// An instance that is left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub instance: String,
    /// One line for people.
    pub reason: String,
}

/// `upgrade status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The scale set.
    pub scale_set: String,
    /// Id of the upgrade.
    pub id: String,
    /// RollingForward, Completed, Cancelled or Faulted.
    pub state: String,
    /// Counts of planned instances.
    pub progress: Progress,
    /// In order.
    pub batches: Vec<StatusBatch>,
    /// Instances left alone.
    pub holds: Vec<Hold>,
    /// What went wrong.
    pub error: Option<Error>,
}

/// An upgrade that is taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollsBack {
    /// Its id.
    pub id: String,
    /// What it was to bring.
    pub to: String,
    /// Which limit ended it; null when a person did, or when it had completed.
    pub because: Option<String>,
}

/// What the batches so far let expect; waits for people are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Whole seconds.
    pub seconds_left: u64,
    /// RFC 3339, UTC; null while it waits for a person.
    pub ends_at: Option<String>,
    /// Batches that have not ended.
    pub batches_left: usize,
    /// What one took so far, on average.
    pub seconds_per_batch: f64,
}

/// `GET /v1/line`, `line status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Whether no upgrade admits anything.
    pub stopped: bool,
    /// RFC 3339, UTC.
    pub since: Option<String>,
    /// One line for people.
    pub reason: Option<String>,
}

/// Body of `POST /v1/line/stop`, and optional body of the wishes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `GET /v1/scale-sets/NAME/upgrade`, `upgrade status --json --detail`: a [`Status`] with what
/// people ask next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetail {
    /// The plain status.
    pub status: Status,
    /// The wanted version.
    pub to: String,
    /// What the upgrade waits for right now, one line; null when it waits for nothing.
    pub waiting: Option<String>,
    /// The upgrade that this one takes back; null when it is none.
    pub rolls_back: Option<RollsBack>,
    /// Instances that had all that is wanted when the upgrade was planned.
    pub already_latest: usize,
    /// One line for every instance that does not have what is wanted: why not now.
    pub not_yet: Vec<Hold>,
    /// How long it will still take, from the batches so far; null before the first one has ended.
    pub estimate: Option<Estimate>,
    /// When it is tried again by itself, RFC 3339, UTC; null when it is not.
    pub retry_at: Option<String>,
    /// When it was asked for.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

/// Azure's four counters.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Healthy at the new version.
    pub successful: usize,
    /// Failed.
    pub failed: usize,
    /// In flight.
    pub in_progress: usize,
    /// Waiting for their batch.
    pub pending: usize,
}

/// One batch of a running or ended upgrade.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusBatch {
    /// Null is the last phase.
    pub phase: Option<u32>,
    /// Members in order.
    pub instances: Vec<String>,
    /// Pending, InProgress, Completed or Failed.
    pub state: String,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    /// RFC 3339, UTC.
    pub ended_at: Option<String>,
}

/// An error in Azure's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Error {
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// One entry per instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
}

/// What went wrong with one instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable code.
    pub code: String,
    /// `<scale set>/virtualMachines/<id>`.
    pub target: String,
    /// One line for people.
    pub message: String,
}

/// Body of every response that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: Error,
}

/// Body of `POST /v1/scale-sets/NAME/upgrade`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The wanted version; null: the model's.
    #[serde(default)]
    pub to: Option<String>,
    /// Start exactly the plan with this digest, or nothing.
    #[serde(default)]
    pub plan: Option<String>,
    /// Try a version again that is in quarantine.
    #[serde(default)]
    pub force: bool,
    /// Extensions with their versions; null is the model's version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Option<String>>,
    /// These instances now, without phases, batches and limits; `*` is all of them.
    #[serde(default)]
    pub instances: Option<Vec<String>>,
    /// Why freeze windows and a stopped line do not hold it.
    #[serde(default)]
    pub bypass: Option<String>,
}

/// `GET /v1/scale-sets/NAME/log`, `upgrade log --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The scale set.
    pub scale_set: String,
    /// Oldest first.
    pub entries: Vec<LogEntry>,
}

/// One line of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// RFC 3339, UTC.
    pub at: String,
    /// Upgrade that it belongs to.
    pub upgrade: Option<String>,
    /// Instance that it is about.
    pub instance: Option<String>,
    /// Stable code.
    pub kind: String,
    /// One line for people.
    pub text: String,
}

/// `POST /v1/reload`, `reload --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reload {
    /// What changed, in words; empty when the file says what the host goes by already.
    pub changed: Vec<String>,
    /// What could not be looked at, such as a registry that does not answer, and what goes on instead.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the file says and what is not in force, because it was refused before: of plugins that this
    /// reload leaves as they are.
    #[serde(default)]
    pub not_in_force: Vec<String>,
}

/// `check --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Whether a host would start with this file.
    pub ok: bool,
    /// What keeps it from it, in the order of the lines.
    pub problems: Vec<CheckProblem>,
    /// What to know all the same.
    pub warnings: Vec<CheckWarning>,
    /// What the policies amount to; empty while the file itself is wrong.
    pub scale_sets: Vec<CheckScaleSet>,
}

/// One thing to correct.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckProblem {
    /// The file as it was named.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Path of the key; empty when the file is not TOML.
    pub key: String,
    /// What was seen.
    pub message: String,
    /// What would be right; null when the message says it.
    pub hint: Option<String>,
    /// How often the same mistake is made; the place and the key are those of the first time.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_once(times: &usize) -> bool {
    *times == 1
}

/// A warning about one scale set or one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckWarning {
    /// The scale set; absent when it is about a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_set: Option<String>,
    /// The plugin; absent when it is about a scale set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
}

/// One scale set of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckScaleSet {
    /// Its name.
    pub name: String,
    /// Its policy's percentages as counts.
    #[serde(flatten)]
    pub limits: Limits,
}
