//! The JSON about the catalogue of extension types and about releases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::words;

/// `GET /v1/extensionTypes`, `extension list --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExtensionTypes {
    /// By publisher and type.
    pub extension_types: Vec<ExtensionType>,
}

/// One type of the catalogue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExtensionType {
    /// Who publishes it.
    pub publisher: String,
    /// Its name.
    #[serde(rename = "type")]
    pub name: String,
    /// The newest version that anybody may get; null when there is none.
    pub newest: Option<String>,
    /// Its versions, oldest first.
    pub versions: Vec<ExtensionVersion>,
    /// Scale sets that have it in their model.
    pub scale_sets: Vec<ExtensionUse>,
    /// Where its versions are listed; null where nobody lists them.
    #[serde(default)]
    pub source: Option<ExtensionSource>,
}

/// How it stands with the source of a type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExtensionSource {
    /// A file, `https://…` or `oci://…`.
    pub place: String,
    /// When it last gave a list that could be read, RFC 3339, UTC.
    pub looked_at: Option<String>,
    /// How many versions that had.
    pub versions: usize,
    /// Since when it gives none, RFC 3339, UTC.
    pub failing_since: Option<String>,
    /// Why.
    pub failing: Option<String>,
    /// What of it was not published.
    pub refused: Vec<RefusedVersion>,
}

/// A version that a source lists and that was not published.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RefusedVersion {
    /// Two to four numbers.
    pub version: String,
    /// Why not; one line for people.
    pub reason: String,
}

/// One version of a type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExtensionVersion {
    /// Two to four numbers.
    pub version: String,
    /// Of its bytes; null where the publisher gave none.
    pub digest: Option<String>,
    /// When it was published, RFC 3339, UTC.
    pub published_at: String,
    /// Who published it.
    pub published_by: String,
    /// Whether nobody gets it any more.
    pub withdrawn: bool,
    /// Why it was withdrawn, where somebody said so.
    pub withdrawn_reason: Option<String>,
    /// Why no release of it begins by itself; null when one may.
    pub quarantined: Option<String>,
}

/// What a scale set has of a type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExtensionUse {
    /// The scale set.
    pub scale_set: String,
    /// Name of the extension, or `application`.
    pub component: String,
    /// What is wanted there.
    pub version: Option<String>,
    /// `typeHandlerVersion` of its model.
    pub type_handler_version: String,
    /// Whether the model wants the newest minor at creation.
    pub auto_upgrade_minor_version: bool,
    /// Whether the model lets releases move it.
    pub enable_automatic_upgrade: bool,
    /// Whether a person keeps it as it is.
    pub opted_out: bool,
}

/// Body of `POST /v1/extensionTypes/PUBLISHER/TYPE/publish`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PublishRequest {
    /// Two to four numbers.
    pub version: String,
    /// `sha256:…` of its bytes.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether a release waits until a person starts it.
    #[serde(default)]
    pub no_release: bool,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Body of `POST /v1/extensionTypes/PUBLISHER/TYPE/withdraw`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// The version.
    pub version: String,
    /// Whether those that have it go back.
    #[serde(default)]
    pub rollback: bool,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Body of `POST /v1/scale-sets/NAME/opt-out` and `…/opt-in`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// `PUBLISHER/TYPE`.
    #[serde(rename = "type")]
    pub subject: String,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `GET /v1/features`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Whether releases leave out subscriptions that have not registered.
    pub required: bool,
    /// All subscriptions of the estate, and others that have registered.
    pub subscriptions: Vec<Feature>,
}

/// Whether a subscription has registered the feature.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Feature {
    /// The subscription.
    pub subscription: String,
    /// `AutomaticExtensionUpgradePreview`.
    pub feature: String,
    /// Whether it has.
    pub registered: bool,
    /// Since when, RFC 3339, UTC.
    pub since: Option<String>,
}

/// Body of `POST /v1/releases`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// `PUBLISHER/TYPE`; null: the one of the plan.
    #[serde(default, rename = "type")]
    pub subject: Option<String>,
    /// The version; null: the one of the plan.
    #[serde(default)]
    pub version: Option<String>,
    /// Exactly the plan with this digest.
    #[serde(default)]
    pub plan: Option<String>,
    /// Also a version that is in quarantine.
    #[serde(default)]
    pub force: bool,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Body of `POST /v1/releases/ID/WISH`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReleaseWishRequest {
    /// Of an approval: which region phase may begin, from 1.
    #[serde(default)]
    pub region_phase: Option<usize>,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

words! {
    /// How a release stands.
    ReleaseState {
        /// Under way.
        Running = "Running",
        /// A person paused it.
        Paused = "Paused",
        /// More sets failed than it allows.
        Halted = "Halted",
        /// What is in flight ends, and then it has ended.
        Ending = "Ending",
        /// Every set was dealt with.
        Completed = "Completed",
        /// A person stopped it.
        Stopped = "Stopped",
        /// A newer version took its place.
        Superseded = "Superseded",
        /// Its version was withdrawn.
        Withdrawn = "Withdrawn",
        /// What it had brought was taken back.
        RolledBack = "RolledBack",
        /// Taken back, but for sets that are `NotBack`; `release rollback` tries those once more.
        PartlyRolledBack = "PartlyRolledBack",
    }
}

words! {
    /// Where a set is in a release.
    ReleaseSetState {
        /// It has not begun; `code` says why.
        Waiting = "Waiting",
        /// It is no part of it; `code` says why.
        Left = "Left",
        /// Its upgrade is under way.
        Running = "Running",
        /// Every eligible instance has the version.
        Done = "Done",
        /// A limit ended its upgrade.
        Failed = "Failed",
        /// Its upgrade came to its end without an eligible instance.
        Incomplete = "Incomplete",
        /// Its upgrade was ended before its end; `text` says why.
        Cancelled = "Cancelled",
        /// Nobody approved what came next for as long as `approvalTimeout` allows.
        NotApproved = "NotApproved",
        /// It is being taken back.
        GoingBack = "GoingBack",
        /// It was taken back.
        Back = "Back",
        /// It was to be taken back and was not, or not everywhere; `text` says why.
        NotBack = "NotBack",
    }
}

words! {
    /// Where the duration of a plan comes from.
    DurationFrom {
        /// The kernel has gone through the plan on a virtual clock, with drivers and starts that take what `simulate`
        /// takes for them where it is told nothing.
        Simulation = "simulation",
        /// The plan is too large for that, or has what a simulation does not know: the batches of the largest set of each
        /// region phase at their least, one after the other, and the bakes.
        Formula = "formula",
    }
}

/// `GET /v1/releases`, `release list --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Releases {
    /// The latest first.
    pub releases: Vec<ReleaseInBrief>,
}

/// A release in a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseInBrief {
    /// Its id.
    pub id: String,
    /// `PUBLISHER/TYPE`.
    #[serde(rename = "type")]
    pub subject: String,
    /// The version.
    pub version: String,
    /// How it stands.
    pub state: ReleaseState,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// Who started it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The latest region phase in which anything has begun, from 1; 0 when nothing has.
    pub region_phase: usize,
    /// How many region phases it has.
    pub region_phases: usize,
    /// Its scale sets by where they are.
    pub scale_sets: BTreeMap<String, usize>,
    /// Why nothing goes on before a person has decided, and how; null while something does.
    #[serde(default)]
    pub waits_for_people: Option<String>,
}

/// `GET /v1/releases/ID`, `release status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDetail {
    /// In a line.
    #[serde(flatten)]
    pub brief: ReleaseInBrief,
    /// Digest of its plan.
    pub digest: String,
    /// What it goes by.
    pub strategy: ReleaseStrategy,
    /// Region phases that a person let begin without what they still waited for, from 1.
    pub approved: Vec<usize>,
    /// In order.
    pub phases: Vec<ReleasePhase>,
}

/// What a release goes by.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStrategy {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// How long a region phase is looked at.
    pub bake_seconds: u64,
    /// So many sets may fail.
    pub max_failed_sets: usize,
    /// A failed set is tried again after so long.
    pub retry_after_seconds: u64,
    /// So many times.
    pub retry_limit: u32,
    /// Digest of all of it.
    pub digest: String,
}

/// One region phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleasePhase {
    /// From 1.
    pub region_phase: usize,
    /// Its regions.
    pub regions: Vec<String>,
    /// Its scale sets, by name.
    pub scale_sets: Vec<ReleaseSet>,
}

/// One scale set of a release, or of its plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSet {
    /// Its name.
    pub scale_set: String,
    /// Its region.
    pub location: String,
    /// Where it is.
    pub state: ReleaseSetState,
    /// Why it has not begun or is no part, for programs; null where it has begun.
    pub code: Option<String>,
    /// The same for people, or how it ended.
    pub text: Option<String>,
    /// What was wanted there before; of a plan what is wanted there now.
    pub from: Option<String>,
    /// Versions that its instances are known to run now, with how many; empty where nobody knows.
    #[serde(default)]
    pub runs: BTreeMap<String, usize>,
    /// The group of a stand-alone machine, `SUBSCRIPTION/LOCATION`: its machines are counted as one set for the limits of
    /// health and for `maxFailedSets`; null of a set.
    #[serde(default)]
    pub group: Option<String>,
    /// Sets of the model's `after`: it begins behind them.
    #[serde(default)]
    pub after: Vec<String>,
    /// Its latest upgrade.
    pub upgrade: Option<String>,
    /// How often it was begun.
    pub tries: u32,
    /// Since when every eligible instance has the version and is Healthy, on the host's own time; null when not.
    pub well_since: Option<String>,
    /// All of its instances.
    pub instances: usize,
    /// Those that count.
    pub eligible: usize,
    /// Those of them that have the version.
    pub at_version: usize,
    /// Those of these that are Healthy.
    pub healthy: usize,
    /// Those that do not count, by code.
    pub not_eligible: BTreeMap<String, usize>,
    /// All of them by zone; the empty name is that of those without one.
    pub zones: BTreeMap<String, usize>,
}

/// `GET /v1/extensionTypes/PUBLISHER/TYPE/plan`, `release plan --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReleasePlan {
    /// `PUBLISHER/TYPE`.
    #[serde(rename = "type")]
    pub subject: String,
    /// The version.
    pub version: String,
    /// Whether the catalogue has it.
    pub published: bool,
    /// For `release start --plan`.
    pub digest: String,
    /// How long it takes when every batch does well.
    pub duration_seconds: u64,
    /// Where that comes from.
    pub duration_from: DurationFrom,
    /// What it would go by.
    pub strategy: ReleaseStrategy,
    /// In order.
    pub phases: Vec<ReleasePhase>,
}

/// `GET /v1/releases/ID/log`, `release log --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReleaseLog {
    /// The release.
    pub id: String,
    /// Oldest first.
    pub entries: Vec<ReleaseLogEntry>,
}

/// A line of a release's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReleaseLogEntry {
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Who.
    pub actor: String,
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub text: String,
}
