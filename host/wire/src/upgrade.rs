//! The JSON about upgrades: how one is started, told something, and how it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::words;

use super::{Error, Hold, Waiting};

/// Body of `POST /v1/scale-sets/NAME/upgrade`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// Why the freeze and the stopped line of now do not hold it.
    #[serde(default)]
    pub bypass: Option<String>,
    /// Why, one line for people; a `bypass` says why, too, and goes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Also bring it to instances that have it already.
    #[serde(default)]
    pub reapply: bool,
    /// When it begins, RFC 3339; null: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// `routine`, `security` or `emergency`: `deferDeadline`, `bake` and `pauseTimeBetweenBatches` count whole, a
    /// quarter, or not at all; null: `routine`. No limit of health changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urgency: Option<String>,
}

/// Body of `POST /v1/line/stop`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Optional body of the wishes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WishRequest {
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `cancel`: end what drivers do and bring the batch in flight back, instead of finishing it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
    /// With `rollback`: go on whatever becomes of what is brought back.
    #[serde(default, rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub go_on: bool,
    /// With `rollback`: to the versions that this Completed upgrade had brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// `GET /v1/scale-sets/NAME/upgrade` and `…/upgrades/ID`, `upgrade status --json --detail`: a [`Status`] with what
/// people ask next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusDetail {
    /// The plain status.
    pub status: Status,
    /// The wanted version.
    pub to: String,
    /// What the upgrade waits for right now, one line for people; null when it waits for nothing.
    pub waiting: Option<String>,
    /// The same for programs, with what is known of it.
    pub waiting_for: Option<Waiting>,
    /// The upgrade that this one takes back; null when it is none.
    pub rolls_back: Option<RollsBack>,
    /// How urgent it is.
    #[serde(default = "routine")]
    pub urgency: String,
    /// Instances that had all that is wanted when the upgrade was planned.
    pub already_latest: usize,
    /// One line for every instance that does not have what is wanted: why not now.
    pub not_yet: Vec<Hold>,
    /// How long it will still take, from the batches so far; null before the first one has ended.
    pub estimate: Option<Estimate>,
    /// When it is tried again by itself, RFC 3339, UTC; null when it is not.
    pub retry_at: Option<String>,
    /// What runs where, and how many instances; left out unless it has ended and not as it was meant to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunsWhere>,
    /// Commands that help now, each with what it does; left out as above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helps: Vec<Help>,
    /// How it stands with each component; left out where there is one alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentStatus>,
    /// When it was asked for.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Whether its instances and batches are still kept: of an old one only the counts may be.
    #[serde(default = "kept")]
    pub members_kept: bool,
}

fn routine() -> String {
    "routine".to_owned()
}

fn kept() -> bool {
    true
}

/// How it stands with one component of an upgrade.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// `application`, or the name of an extension.
    pub component: String,
    /// The wanted version.
    pub to: String,
    /// How it stands: an extension may have ended before the rest.
    pub state: UpgradeState,
    /// Counts of the instances that get it.
    pub progress: Progress,
    /// Why it ended before the rest; null where it did not.
    pub error: Option<String>,
}

/// What some instances run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunsWhere {
    /// Of what: `application`, or the name of an extension.
    pub component: String,
    /// A version, `absent` or `unknown`; with the version before, where one is recorded.
    pub runs: String,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub instances: Vec<String>,
}

/// A command that helps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Help {
    /// The command.
    pub command: String,
    /// What it does, one line.
    pub does: String,
}

/// `upgrade status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The scale set.
    pub scale_set: String,
    /// Id of the upgrade.
    pub id: String,
    /// How it stands.
    pub state: UpgradeState,
    /// Counts of planned instances.
    pub progress: Progress,
    /// In order.
    pub batches: Vec<StatusBatch>,
    /// Instances left alone.
    pub holds: Vec<Hold>,
    /// What went wrong.
    pub error: Option<Error>,
}

/// Azure's four counters.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusBatch {
    /// Null is the last phase.
    pub phase: Option<u32>,
    /// Members in order.
    pub instances: Vec<String>,
    /// How it stands.
    pub state: BatchState,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    /// RFC 3339, UTC.
    pub ended_at: Option<String>,
}

/// An upgrade that is taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RollsBack {
    /// Its id.
    pub id: String,
    /// What it was to bring.
    pub to: String,
    /// Which limit ended it; null when a person did, or when it had completed.
    pub because: Option<String>,
    /// The former upgrade to whose versions everything goes back; left out where each instance gets what it had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
}

/// What the batches so far let expect; waits for people are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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

words! {
    /// How an upgrade stands, by Azure's names.
    UpgradeState {
        /// It goes on, or waits.
        RollingForward = "RollingForward",
        /// It ended as planned.
        Completed = "Completed",
        /// A person ended it.
        Cancelled = "Cancelled",
        /// A limit ended it.
        Faulted = "Faulted",
    }
}

words! {
    /// How a batch stands.
    BatchState {
        /// Not begun.
        Pending = "Pending",
        /// Begun.
        InProgress = "InProgress",
        /// Ended, all healthy.
        Completed = "Completed",
        /// Ended, with failures.
        Failed = "Failed",
    }
}
