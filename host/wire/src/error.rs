//! The JSON of everything that is not a success.

use serde::{Deserialize, Serialize};

/// Body of every response that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: Error,
}

/// An error in Azure's shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Error {
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// One entry per instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
}

/// What went wrong with one instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable code.
    pub code: String,
    /// `<scale set>/virtualMachines/<id>`.
    pub target: String,
    /// One line for people.
    pub message: String,
}
