//! The JSON about the fleet: scale sets, their instances, and what was decided of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::words;

use super::{Discovery, Evaluation, HoldCode, Override, QuarantinedVersion};

/// `GET /v1/fleet`, `fleet --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Fleet {
    /// Why the host touches nothing until a person adopts its record; left out when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<String>,
    /// All scale sets, by name.
    pub scale_sets: Vec<ScaleSet>,
}

/// One scale set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ScaleSet {
    /// Its name.
    pub name: String,
    /// Versions that faulted and are not tried again by themselves; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedVersion>,
    /// Versions that are wanted and were withdrawn: no new instance gets them; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<WantedAndWithdrawn>,
    /// Keys of the file that say something else than what is wanted, because a door has said something since; left out
    /// when there are none.
    #[serde(default, rename = "fileDiffers", skip_serializing_if = "Vec::is_empty")]
    pub file_differs: Vec<FileDiffers>,
    /// Where its instances are found, if they are; left out when the configuration lists all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Its instances, by id as people count.
    pub instances: Vec<Instance>,
}

/// A version that is wanted and was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct WantedAndWithdrawn {
    /// What of an instance: `application` or the name of an extension.
    pub component: String,
    /// The version that was withdrawn.
    pub version: String,
    /// Who has withdrawn it.
    pub actor: String,
    /// Why; null where nobody said.
    pub reason: Option<String>,
    /// What a new instance gets in its place; null: nothing, because there is nothing else.
    pub new_instances: Option<String>,
}

/// A key of the file that says something else than what is wanted: what was said last counts, and the file counts again
/// when its text changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileDiffers {
    /// The scale set.
    pub scale_set: String,
    /// Such as `model.version`.
    pub key: String,
    /// What the file says.
    pub file: String,
    /// What was said since, and is wanted.
    pub recorded: String,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// As committed.
    pub health: Health,
    /// Phase, also while the health is Unknown; null means the last one, or not known yet.
    pub phase: Option<u32>,
    /// What its plugin says; null before its first decision, and while it fails. Why the host leaves the instance alone
    /// is `held`.
    pub participation: Option<Participation>,
    /// Why no upgrade would touch it now; left out when one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldBack>,
    /// One line for people.
    pub reason: Option<String>,
    /// The code of what its plugin says of it, one of few; left out where it has given none, or fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// What the application has sent of itself for the plugin, as that has received it; left out where there is none. In
    /// the fleet its beginning, at one instance all that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metrics: Option<CustomMetrics>,
    /// Version that it runs; null when nothing runs or nobody can tell, as `versionState` says.
    pub version: Option<String>,
    /// What is known of what it runs.
    #[serde(default = "known")]
    pub version_state: VersionState,
    /// Version that was recorded last, where it runs none that is known; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<String>,
    /// Version that the model wants.
    pub desired_version: Option<String>,
    /// Versions of its extensions, as far as known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// Its first deployment: while that goes on it is not ready, and afterwards what of it has failed; left out when
    /// there is nothing to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<Provisioning>,
    /// Whether `protectFromScaleSetActions` is set; left out when it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// What a person has said about it, which goes before what its plugin says; left out when nobody has.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub word: Option<Override>,
    /// Which code decided last; null before the first decision.
    pub plugin: Option<Stamp>,
    /// What that took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
    /// The plugin fails now, and an older decision of it is used (`onFailure = "last-good"`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<StandsIn>,
}

/// The first deployment of an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Provisioning {
    /// How it stands.
    pub state: ProvisioningState,
    /// When its time is over (`extensionsTimeBudget`); left out when it has ended. RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Its extensions, in the order in which they are installed.
    pub extensions: Vec<ProvisionedExtension>,
}

/// One extension of a new instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProvisionedExtension {
    /// Its name.
    pub name: String,
    /// The version that it is to have.
    pub version: String,
    /// How it stands.
    pub state: ProvisionedState,
    /// Why it failed, or is not installed; left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Custom metrics of the application, as its plugin has received them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomMetrics {
    /// The raw text, or its beginning.
    pub text: String,
    /// Whether the plugin could read it: `success` or `error`; left out where the plugin does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many bytes of the whole text were left out; left out itself where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<u64>,
}

/// Why the host leaves an instance alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HeldBack {
    /// Why, for programs.
    pub code: HoldCode,
    /// One line for people.
    pub reason: String,
}

/// An older decision that is used because the plugin fails now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StandsIn {
    /// When that was made; RFC 3339, UTC.
    pub judged_at: String,
    /// Which plugin fails now, and how.
    pub failure: String,
}

/// Which code decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stamp {
    /// Name in the configuration.
    pub name: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// Rises with each swap.
    pub generation: u64,
}

/// What older programs mean that do not say it.
fn known() -> VersionState {
    VersionState::Version
}

words! {
    /// What is known of what an instance runs.
    VersionState {
        /// It runs `version`.
        Version = "version",
        /// Nothing runs.
        Absent = "absent",
        /// Nobody can tell, or something was begun and did not end well.
        Unknown = "unknown",
    }
}

words! {
    /// Committed health of an instance, by Azure's names.
    Health {
        /// Not judged long enough yet.
        Initializing = "Initializing",
        /// It serves.
        Healthy = "Healthy",
        /// It does not.
        Unhealthy = "Unhealthy",
        /// It gives no answer that counts.
        Unknown = "Unknown",
    }
}

words! {
    /// Whether an instance takes part in an upgrade.
    Participation {
        /// It may be upgraded.
        Proceed = "proceed",
        /// It is left alone.
        Skip = "skip",
        /// It is asked again.
        Defer = "defer",
    }
}

words! {
    /// How the first deployment of an instance stands, by Azure's names of provisioning states.
    ProvisioningState {
        /// Its extensions are being installed.
        Creating = "Creating",
        /// It is over, and not all of them are there.
        Failed = "Failed",
    }
}

words! {
    /// How an extension of a new instance stands.
    ProvisionedState {
        /// Its turn has not come.
        Waiting = "waiting",
        /// Its driver has been told.
        Installing = "installing",
        /// It is there.
        Installed = "installed",
        /// It could not be installed.
        Failed = "failed",
        /// It comes after one that failed.
        NotInstalled = "not-installed",
    }
}
