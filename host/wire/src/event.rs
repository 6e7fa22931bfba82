//! The JSON of `GET /v1/events`: one object for each thing that changes.

use serde::{Deserialize, Serialize};

use super::{
    Estimate, Health, Hold, LogEntry, Progress, ReleaseInBrief, ReleaseLogEntry, UpgradeState, Waiting,
};

/// One event, by its `type`. A follower leaves out the types that it does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// The first event of every answer.
    Following(Following),
    /// A line of the audit trail.
    Recorded(Recorded),
    /// The committed health of an instance has changed.
    Health(HealthChange),
    /// How the latest upgrade of a scale set stands: at first, and whenever that changes.
    Progress(Box<UpgradeProgress>),
    /// How a release stands, and what it has told of itself since: at first, and whenever that changes.
    Release(Box<ReleaseProgress>),
    /// The follower was too slow: changes of health are missing here, and nothing else. What the fleet is now
    /// says `GET /v1/fleet`.
    Missed,
    /// Nothing has happened for a while.
    Heartbeat,
    /// The host ends, or the record cannot be read: ask again with `since`.
    Ending(Ending),
    /// A type that this version does not know.
    #[serde(other)]
    Unknown,
}

/// From where an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Following {
    /// Lines of the trail with higher numbers follow.
    pub since: u64,
    /// Where lines behind `since` are no longer kept, the line from which on none is missing; else null.
    pub truncated: Option<u64>,
}

/// A line of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The scale set.
    pub scale_set: String,
    /// As in `GET /v1/scale-sets/NAME/log`.
    #[serde(flatten)]
    pub entry: LogEntry,
}

/// A changed health.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthChange {
    /// The scale set.
    pub scale_set: String,
    /// The instance.
    pub instance: String,
    /// Before.
    pub from: Health,
    /// Since then.
    pub to: Health,
}

/// How an upgrade stands, without what grows with the fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpgradeProgress {
    /// The scale set.
    pub scale_set: String,
    /// Id of the upgrade.
    pub upgrade: String,
    /// The wanted version.
    pub to: String,
    /// How it stands.
    pub state: UpgradeState,
    /// Counts of planned instances.
    pub progress: Progress,
    /// The batch in flight; null between two.
    pub batch: Option<CurrentBatch>,
    /// What it waits for right now; null when it waits for nothing.
    pub waiting_for: Option<Waiting>,
    /// How long it will still take, from the batches so far.
    pub estimate: Option<Estimate>,
    /// Instances that do not have what is wanted.
    pub not_yet: NotYet,
}

/// How a release stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReleaseProgress {
    /// In a line.
    pub release: ReleaseInBrief,
    /// New lines of its log, oldest first; at first the latest one, or, with `since`, all from that line's date on.
    pub entries: Vec<ReleaseLogEntry>,
}

/// The batch in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CurrentBatch {
    /// From 1.
    pub number: usize,
    /// Batches of the upgrade.
    pub of: usize,
    /// Null is the last phase.
    pub phase: Option<u32>,
    /// Its first 12 members.
    pub instances: Vec<String>,
    /// All of its members.
    pub count: usize,
}

/// Instances that do not have what is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct NotYet {
    /// How many.
    pub count: usize,
    /// The first 12, each with the reason.
    pub first: Vec<Hold>,
}

/// Why an answer ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ending {
    /// One line for people.
    pub text: String,
}
