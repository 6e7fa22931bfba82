//! The JSON about the record: whether it holds the host, and what a check of it has found.

use serde::{Deserialize, Serialize};

/// `GET /v1/data`, and the answer to `POST /v1/data/adopt`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// What speaks against the record, so that the host touches nothing until a person adopts it; empty when it does
    /// not hold.
    pub holding: Vec<String>,
}

/// `data check --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DataCheck {
    /// The data file.
    pub file: String,
    /// Whether every row of it reads back.
    pub whole: bool,
    /// Its schema.
    pub schema: i64,
    /// The least version of phasegate that may read it; null where it does not say.
    pub least_version: Option<String>,
    /// Why not an older one.
    pub least_version_because: Option<String>,
    /// The latest generation that has written it.
    pub generation: u64,
    /// Commits so far.
    pub commits: u64,
    /// Rows that were read one by one.
    pub rows: u64,
    /// Whether it was written where it lies; null where it does not say.
    pub written_here: Option<bool>,
    /// What speaks against it, as it says itself.
    pub holding: Vec<String>,
    /// How many parts of it do not read back.
    pub damaged: usize,
    /// The first of them.
    pub problems: Vec<String>,
}
