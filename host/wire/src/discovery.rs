//! The JSON about sources of instances.

use serde::{Deserialize, Serialize};

/// `GET /v1/scale-sets/NAME/discovery`, `discovery --json`, and in `fleet --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// The scale set.
    pub scale_set: String,
    /// Who says where instances are, for people.
    pub source: String,
    /// Instances that were found, and are recorded.
    pub instances: usize,
    /// When the source last gave an answer that could be read; RFC 3339, UTC. Null since the start of the host.
    pub refreshed_at: Option<String>,
    /// Why it does not now; left out while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<DiscoveryFailing>,
    /// Whom the source names no longer, and who stays all the same; left out when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<DiscoveryHeld>,
    /// Entries of the source that are refused.
    pub refused: usize,
    /// The first of them, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Why a source says nothing now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DiscoveryFailing {
    /// Since when; RFC 3339, UTC.
    pub since: String,
    /// One line for people.
    pub reason: String,
}

/// Who stays although a source names them no longer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DiscoveryHeld {
    /// Since when; RFC 3339, UTC.
    pub since: String,
    /// How many.
    pub removed: usize,
    /// Of how many that were found.
    pub of: usize,
    /// The first of them, by id.
    pub instances: Vec<String>,
    /// Why, and what to do, in one line for people.
    pub reason: String,
}

/// What `check` read of a source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CheckDiscovery {
    /// Who says where instances are, for people.
    pub source: String,
    /// How many it names; null when it could not be read, or was not asked.
    pub instances: Option<usize>,
    /// Entries of it that are refused.
    pub refused: usize,
}
