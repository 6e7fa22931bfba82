//! The JSON about upgrades of the past, and about the latest one of every scale set.

use serde::{Deserialize, Serialize};

use crate::words::words;

use super::{Progress, UpgradeState, Waiting};

/// `GET /v1/scale-sets/NAME/upgrades`, `upgrade list --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PastUpgrades {
    /// The scale set.
    pub scale_set: String,
    /// Newest first.
    pub upgrades: Vec<PastUpgrade>,
    /// Whether there are older ones that did not fit.
    pub truncated: bool,
    /// `before` of the request that goes on where this answer ends; null when it has all.
    pub next: Option<u64>,
}

/// One upgrade of a scale set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PastUpgrade {
    /// Its id.
    pub id: String,
    /// Rises with each upgrade of the record.
    pub number: u64,
    /// What it is for.
    pub kind: UpgradeKind,
    /// What its instances ran before; of one that is not planned yet what was wanted before. Null where nobody knows, or
    /// nothing ran.
    pub from: Option<String>,
    /// What it is to bring.
    pub to: String,
    /// How it stands.
    pub state: UpgradeState,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; null while it runs.
    pub ended_at: Option<String>,
    /// Counts of planned instances.
    pub progress: Progress,
    /// Instances that had all that is wanted when it was planned.
    pub already_latest: usize,
    /// Why it ended as it did, or what it takes back; one line, null when there is nothing to say.
    pub why: Option<String>,
    /// Who started it; null when that is no longer kept.
    pub actor: Option<String>,
    /// The reason that was given for it.
    pub reason: Option<String>,
}

/// `GET /v1/upgrades`, `phasegate status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LatestUpgrades {
    /// By name.
    pub scale_sets: Vec<LatestUpgrade>,
}

/// A scale set with its latest upgrade.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LatestUpgrade {
    /// The scale set.
    pub scale_set: String,
    /// How its latest upgrade stands; null when there has been none.
    pub upgrade: Option<UpgradeInBrief>,
    /// Versions in quarantine.
    pub quarantined: Vec<QuarantinedVersion>,
}

/// An upgrade in brief.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpgradeInBrief {
    /// Its id.
    pub id: String,
    /// What its instances ran before; of one that is not planned yet what was wanted before. Null where nobody knows, or
    /// nothing ran.
    pub from: Option<String>,
    /// What it is to bring.
    pub to: String,
    /// How it stands.
    pub state: UpgradeState,
    /// Counts of planned instances.
    pub progress: Progress,
    /// What it waits for right now, one line; null when it waits for nothing.
    pub waiting: Option<String>,
    /// The same for programs, with what is known of it.
    pub waiting_for: Option<Waiting>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; null while it runs.
    pub ended_at: Option<String>,
    /// When it is tried again by itself, RFC 3339, UTC; null when it is not.
    pub retry_at: Option<String>,
}

/// A version that faulted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedVersion {
    /// `application`, or an extension.
    pub component: String,
    /// Its version.
    pub version: String,
    /// Why.
    pub reason: String,
}

words! {
    /// What an upgrade is for.
    UpgradeKind {
        /// To bring instances to a version, behind all limits.
        Forward = "forward",
        /// To bring those that a person named to a version.
        Manual = "manual",
        /// To take another upgrade back.
        Rollback = "rollback",
    }
}
