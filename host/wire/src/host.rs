//! The JSON about the host itself and, in brief, what it is in charge of.

use serde::{Deserialize, Serialize};

use crate::{Progress, UpgradeState};

/// `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Version {
    /// Of the program that answers; every answer has it in the header `Phasegate-Version`, too.
    pub version: String,
    /// Of the API.
    pub api: String,
    /// The source that the program was built from; null when that is not known.
    pub commit: Option<String>,
}

/// `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HostStanding {
    /// `ok` or `ready`.
    pub status: String,
}

/// `GET /v1/scale-sets`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScaleSets {
    /// By name.
    pub scale_sets: Vec<ScaleSetSummary>,
}

/// A scale set in brief.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScaleSetSummary {
    /// Its name.
    pub name: String,
    /// Version of the application in its model.
    pub model_version: String,
    /// Its instances by committed health; those that are being replaced or created are not among them.
    pub instances: HealthCounts,
    /// The latest upgrade; null when there has been none.
    pub upgrade: Option<UpgradeSummary>,
}

/// Instances by committed health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthCounts {
    /// All of them.
    pub total: usize,
    /// Nothing is committed yet.
    pub initializing: usize,
    /// Healthy.
    pub healthy: usize,
    /// Unhealthy.
    pub unhealthy: usize,
    /// They do not answer.
    pub unknown: usize,
}

/// The latest upgrade in brief.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UpgradeSummary {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: UpgradeState,
    /// Counts of planned instances.
    pub progress: Progress,
}
