//! Signatures of an artifact in a registry, as `cosign sign --key` puts them there: a manifest under the tag
//! `sha256-….sig`, whose layers are texts that name the signed manifest, each with its signature.
//!
//! A layer may also be the file of signatures of the component itself, as `plugin push` puts it there.
//!
//! Says nothing about keys. What names another manifest is no signature of this one; that it is there is told all the same.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::FetchError;
use super::https::Client;
use super::manifest;
use super::oci::{Question, Registry};
use crate::plugins::signature::{
    SIGNATURES_BYTES_MAX, SIGNATURES_MAX, Signed, Void, bounded, decoded, lines, not_about,
};
use phasegate_core::domain::Digest;
use phasegate_wasm::component_digest;

/// Where a layer has its signature.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// Media type of a layer that is a file of signatures of the component, as `cosign sign-blob` makes them, one a line.
pub(super) const SIGNATURES_TYPE: &str = "application/vnd.phasegate.signatures.v1+text";

/// Largest manifest of signatures.
const MANIFEST_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The tag under which the signatures of a manifest are.
pub(super) fn tag(signed: Digest) -> String {
    format!("{}.sig", signed.to_string().replace(':', "-"))
}

/// Asks for the manifest of signatures.
pub(super) fn manifest_of(signed: Digest) -> Question {
    Question {
        path: format!("manifests/{}", tag(signed)),
        accept: manifest::ACCEPT,
        body_max: MANIFEST_MAX,
        what: "a manifest of signatures",
    }
}

/// The signatures of a manifest; none where nobody has signed it.
pub(super) async fn of(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    signed: Digest,
) -> Result<Vec<Signed>, FetchError> {
    let Some(answer) = registry.find(client, &manifest_of(signed)).await? else { return Ok(Vec::new()) };
    // What cannot be read is signed by nobody.
    let Ok(Manifest { layers }) = serde_json::from_slice(&answer.body) else {
        return Ok(vec![Void::NoSignatures.found()]);
    };
    let is_one =
        |layer: &Layer| layer.annotations.contains_key(ANNOTATION) || layer.media_type == SIGNATURES_TYPE;
    let layers: Vec<Layer> = layers.into_iter().filter(is_one).collect();
    if layers.is_empty() {
        return Ok(vec![Void::NoSignatures.found()]);
    }
    let more = layers.len().saturating_sub(SIGNATURES_MAX);
    let mut all = Vec::new();
    for Layer { digest, annotations, .. } in layers.into_iter().take(SIGNATURES_MAX) {
        let payload = match Digest::parse(&digest) {
            Some(digest) => payload(registry, client, digest).await?,
            None => None,
        };
        match (annotations.get(ANNOTATION), payload) {
            (_, None) => all.push(Void::NoText.found()),
            (Some(signature), Some(payload)) => {
                let void = not_about(&payload, signed);
                all.push(Signed { signature: decoded(signature), payload: Some(payload), void });
            }
            (None, Some(file)) => all.extend(lines(&file)),
        }
    }
    if more > 0 {
        all.push(Void::More(more).found());
    }
    Ok(bounded(all))
}

/// A signed text, or a file of signatures; none where it is not there or another one.
async fn payload(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    digest: Digest,
) -> Result<Option<Vec<u8>>, FetchError> {
    let question = Question {
        path: format!("blobs/{digest}"),
        accept: "*/*",
        body_max: SIGNATURES_BYTES_MAX,
        what: "a signed text",
    };
    let found = registry.find(client, &question).await?;
    Ok(found.map(|found| found.body).filter(|body| component_digest(body) == digest))
}
