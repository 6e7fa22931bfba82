//! Signatures of an artifact in a registry, as `cosign sign --key` puts them there: a manifest under the tag
//! `sha256-….sig`, whose layers are texts that name the signed manifest, each with its signature.
//!
//! A layer may also be the file of signatures of the component itself, as `plugin push` puts it there.
//!
//! Says nothing about keys. What names another manifest is no signature of this one and is left out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::FetchError;
use super::https::Client;
use super::manifest;
use super::oci::{Question, Registry};
use crate::plugins::signature::{SIGNATURES_BYTES_MAX, SIGNATURES_MAX, Signed, decoded, is_about, lines};
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
    let Ok(Manifest { layers }) = serde_json::from_slice(&answer.body) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for Layer { digest, media_type, annotations } in layers.into_iter().take(SIGNATURES_MAX) {
        let (signature, is_file) = (annotations.get(ANNOTATION), media_type == SIGNATURES_TYPE);
        let Some(digest) = Digest::parse(&digest).filter(|_| signature.is_some() || is_file) else {
            continue;
        };
        let question = Question {
            path: format!("blobs/{digest}"),
            accept: "*/*",
            body_max: SIGNATURES_BYTES_MAX,
            what: "a signed text",
        };
        let Some(payload) = registry.find(client, &question).await? else { continue };
        if component_digest(&payload.body) != digest {
            continue;
        }
        match signature {
            Some(signature) if is_about(&payload.body, signed) => {
                all.push(Signed { signature: decoded(signature), payload: Some(payload.body) });
            }
            None if is_file => all.extend(lines(&payload.body)),
            Some(_) | None => {}
        }
    }
    all.truncate(SIGNATURES_MAX);
    Ok(all)
}
