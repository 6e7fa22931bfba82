//! Finds the component in a manifest of a registry.
//!
//! Looks at one manifest of an image; chooses nothing out of an index.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::net::text::one_line;
use phasegate_core::domain::Digest;

/// What may come; an index only to be told from a manifest.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json;q=0.5, \
    application/vnd.docker.distribution.manifest.v2+json;q=0.5, \
    application/vnd.docker.distribution.manifest.list.v2+json;q=0.2";

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// Media types of layers that are a component: of `oras` and `wkg` today, of older tools, of Docker.
const WASM: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

/// Layers whose types are shown.
const SHOWN_MAX: usize = 3;

/// The layer that is the component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    /// In bytes, as the manifest says.
    pub(super) size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// Why a manifest leads to no component; a fragment that follows "its manifest".
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON of that form.
    #[error("{}", one_line(&format!("cannot be read: {}", .0)))]
    Unreadable(serde_json::Error),
    /// It names other manifests.
    #[error("is an index of several manifests; name one of them by @sha256:…")]
    Index,
    /// It says two things.
    #[error("is an index and an image at once; push it again")]
    Both,
    /// It is of a type that is not read.
    #[error(
        "is of type {kind:?}, schema {schema}; only {IMAGE:?} is read, as `oras push` and `wkg oci push` write it"
    )]
    OtherType {
        /// Its media type.
        kind: String,
        /// Its version.
        schema: u32,
    },
    /// It has other layers, the first of which are shown.
    #[error("has no component: it holds {}; push it as {:?}", shown(types), "application/wasm")]
    NoComponent {
        /// Their types.
        types: Vec<String>,
    },
    /// It has more than one.
    #[error("has {0} components; a plugin is exactly one")]
    Several(usize),
    /// It names its component by a digest that is not known here.
    #[error("names its component by {0:?}; only sha256 is known")]
    OtherDigest(String),
}

fn shown(types: &[String]) -> String {
    let types: Vec<String> = types.iter().map(|one| format!("{one:?}")).collect();
    if types.is_empty() { "no layer at all".to_owned() } else { types.join(", ") }
}

/// Reads a manifest.
pub(super) fn component(bytes: &[u8], content_type: Option<&str>) -> Result<Layer, ManifestError> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(ManifestError::Unreadable)?;
    let Manifest { schema_version, media_type, layers, manifests } = manifest;
    let content_type = content_type.map(|text| text.split(';').next().unwrap_or(text).trim().to_owned());
    // The text itself counts: a registry may say anything about it.
    let kind = media_type.or(content_type).unwrap_or_else(|| IMAGE.to_owned());
    let is_index = INDEXES.contains(&kind.as_str());
    if is_index && layers.is_none() || manifests.is_some() && layers.is_none() {
        return Err(ManifestError::Index);
    }
    if manifests.is_some() || is_index {
        return Err(ManifestError::Both);
    }
    if schema_version != 2 || kind != IMAGE {
        return Err(ManifestError::OtherType { kind: one_line(&kind), schema: schema_version });
    }
    let layers = layers.unwrap_or_default();
    let mut wasm = layers.iter().filter(|layer| WASM.contains(&layer.media_type.as_str()));
    let Some(layer) = wasm.next() else {
        let types = layers.iter().map(|layer| one_line(&layer.media_type));
        return Err(ManifestError::NoComponent { types: types.take(SHOWN_MAX).collect() });
    };
    let more = wasm.count();
    if more > 0 {
        return Err(ManifestError::Several(more + 1));
    }
    let digest = Digest::parse(&layer.digest);
    let digest = digest.ok_or_else(|| ManifestError::OtherDigest(one_line(&layer.digest)))?;
    Ok(Layer { digest, size: layer.size })
}
