//! The JSON about versions that faulted, and about repairs.

use serde::{Deserialize, Serialize};

use super::QuarantinedVersion;

/// `GET /v1/scale-sets/NAME/quarantine`, `quarantine list --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// The scale set.
    pub scale_set: String,
    /// Versions that faulted and are not tried again by themselves.
    pub quarantined: Vec<QuarantinedVersion>,
}

/// Body of `POST /v1/scale-sets/NAME/quarantine/lift`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Lift {
    /// The version.
    pub version: String,
    /// Of which extension; null: of the application.
    #[serde(default)]
    pub extension: Option<String>,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Body of `POST /v1/scale-sets/NAME/repair`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// These instances now, without phases, batches and limits; null: all, batch by batch behind all limits.
    #[serde(default)]
    pub instances: Option<Vec<String>>,
    /// One line for people.
    #[serde(default)]
    pub reason: Option<String>,
}
