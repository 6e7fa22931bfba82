//! The JSON of the audit trail.

use serde::{Deserialize, Serialize};

/// `GET /v1/scale-sets/NAME/log`, `upgrade log --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The scale set.
    pub scale_set: String,
    /// Oldest first.
    pub entries: Vec<LogEntry>,
}

/// One line of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// RFC 3339, UTC.
    pub at: String,
    /// Upgrade that it belongs to.
    pub upgrade: Option<String>,
    /// Instance that it is about.
    pub instance: Option<String>,
    /// Stable code.
    pub kind: String,
    /// One line for people.
    pub text: String,
}
