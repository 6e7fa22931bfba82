//! The JSON of a reload of the configuration.

use serde::{Deserialize, Serialize};

use crate::fleet::FileDiffers;

/// `POST /v1/reload`, `reload --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// Keys of the file that say something else than what is wanted, because a door has said something since; left out
    /// when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_differs: Vec<FileDiffers>,
}
