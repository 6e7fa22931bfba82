//! The JSON of what persons say about single instances.

use serde::{Deserialize, Serialize};

use crate::words::words;

/// Body of `POST /v1/scale-sets/NAME/instances/ID/WORD`; `release` takes no `for`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// Why, one line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long, an ISO 8601 duration such as `PT2H`; until it is released unless said.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
}

/// What a person has said about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// What is wanted.
    pub kind: OverrideKind,
    /// Who said it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when, RFC 3339, UTC.
    pub since: String,
    /// When it ends by itself, RFC 3339, UTC; null until it is released.
    pub until: Option<String>,
}

/// The answer to a word about an instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct InstanceOverride {
    /// The scale set.
    pub scale_set: String,
    /// The instance.
    pub instance: String,
    /// What holds from now on; null when nothing does.
    #[serde(rename = "override")]
    pub word: Option<Override>,
}

words! {
    /// What a person wants of an instance.
    OverrideKind {
        /// Not now.
        Hold = "hold",
        /// It is left out.
        Skip = "skip",
        /// It is protected.
        Protect = "protect",
        /// It goes in spite of a skip or "not now" of its plugin.
        Force = "force",
    }
}
