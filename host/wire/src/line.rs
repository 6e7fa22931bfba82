//! The JSON of the one switch that holds every upgrade.

use serde::{Deserialize, Serialize};

/// `GET /v1/line`, `line status --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Whether no upgrade admits anything.
    pub stopped: bool,
    /// RFC 3339, UTC.
    pub since: Option<String>,
    /// Who has stopped it.
    #[serde(default)]
    pub actor: Option<String>,
    /// One line for people.
    pub reason: Option<String>,
}
