//! Signatures of an artifact in a registry, as `cosign sign --key` puts them there: a manifest under the tag
//! `sha256-….sig`, whose layers are texts that name the signed manifest, each with its signature.
//!
//! Says nothing about keys. What names another manifest is no signature of this one and is left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::FetchError;
use super::https::Client;
use super::manifest;
use super::oci::{Question, Registry};
use crate::plugins::signature::{SIGNATURES_BYTES_MAX, SIGNATURES_MAX, Signed, decoded, is_about};
use phasegate_core::domain::Digest;
use phasegate_wasm::component_digest;

/// Where a layer has its signature.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// Largest manifest of signatures.
const MANIFEST_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The signatures of a manifest; none where nobody has signed it.
pub(super) async fn of(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    signed: Digest,
) -> Result<Vec<Signed>, FetchError> {
    let tag = format!("{}.sig", signed.to_string().replace(':', "-"));
    let question = Question {
        path: format!("manifests/{tag}"),
        accept: manifest::ACCEPT,
        body_max: MANIFEST_MAX,
        what: "a manifest of signatures",
    };
    let Some(answer) = registry.find(client, &question).await? else { return Ok(Vec::new()) };
    // What cannot be read is signed by nobody.
    let Ok(Manifest { layers }) = serde_json::from_slice(&answer.body) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for Layer { digest, annotations } in layers.into_iter().take(SIGNATURES_MAX) {
        let (Some(digest), Some(signature)) = (Digest::parse(&digest), annotations.get(ANNOTATION)) else {
            continue;
        };
        let question = Question {
            path: format!("blobs/{digest}"),
            accept: "*/*",
            body_max: SIGNATURES_BYTES_MAX,
            what: "a signed text",
        };
        let Some(payload) = registry.find(client, &question).await? else { continue };
        if component_digest(&payload.body) == digest && is_about(&payload.body, signed) {
            all.push(Signed { signature: decoded(signature), payload: Some(payload.body) });
        }
    }
    Ok(all)
}
