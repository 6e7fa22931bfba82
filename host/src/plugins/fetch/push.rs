//! A component into a registry: the push half of the OCI distribution protocol.
//!
//! Two blobs and a manifest, as `wkg oci push` writes them, and the file of signatures under the tag `sha256-….sig`,
//! beside those that are there already. Deliberately does not look at the component: whoever pushes has tried it.

use std::sync::atomic::AtomicU64;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::LOCATION;
use serde_json::{Value, json};

use super::https::Client;
use super::oci::{Loopback, Registry};
use super::{FetchConfig, FetchError, TransferError, credentials, on_a_thread, signatures};
use crate::net::reference::OciReference;
use crate::net::tls::VerifiedTls;
use phasegate_core::domain::Digest;
use phasegate_wasm::component_digest;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";

/// There is nothing to say of a component that it does not say itself.
const CONFIG: &[u8] = b"{}";

/// What to push, and where to.
pub struct Push<'a> {
    /// A repository and a tag.
    pub reference: &'a OciReference,
    /// With which trust, time limit and credentials.
    pub settings: &'a FetchConfig,
    /// The component.
    pub component: &'a [u8],
    /// Its file of signatures, where there is one.
    pub signatures: Option<&'a [u8]>,
}

/// What the registry has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest: what `oci://…@` may name.
    pub manifest: Digest,
    /// The tag of its signatures, where there are some.
    pub signatures: Option<String>,
}

impl Push<'_> {
    /// Pushes. Blocks for as long as the settings allow, at most.
    ///
    /// # Errors
    /// When the registry cannot be reached or does not take it.
    pub fn run(&self) -> Result<Pushed, FetchError> {
        on_a_thread(self.settings.timeout, &AtomicU64::new(0), || self.go())
    }

    async fn go(&self) -> Result<Pushed, FetchError> {
        let tls = VerifiedTls::web(self.settings.ca_file.as_deref()).map_err(TransferError::from)?;
        let told = credentials::read(self.settings.credentials.clone()).await?;
        let client = Client { tls, on_bytes: &|_| () };
        let trust = match self.settings.ca_file {
            Some(_) => Loopback::Https,
            None => Loopback::Http,
        };
        let mut registry = Registry::new(self.reference, trust, told);
        let layer = blob(&mut registry, &client, self.component).await?;
        let config = blob(&mut registry, &client, CONFIG).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": CONFIG_TYPE,
            "config": descriptor(CONFIG_TYPE, config, CONFIG.len()),
            "layers": [descriptor("application/wasm", layer, self.component.len())],
        });
        let digest = put_manifest(&mut registry, &client, &self.reference.version(), &manifest).await?;
        let signatures = match self.signatures {
            Some(file) => Some(add_signatures(&mut registry, &client, digest, file).await?),
            None => None,
        };
        Ok(Pushed { manifest: digest, signatures })
    }
}

fn descriptor(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}

/// Puts bytes into the repository.
async fn blob(registry: &mut Registry<'_>, client: &Client<'_>, bytes: &[u8]) -> Result<Digest, FetchError> {
    let digest = component_digest(bytes);
    let begin = (Method::POST, "blobs/uploads/", "application/octet-stream");
    let answer = registry.send(client, begin, Bytes::new()).await?;
    if answer.status != 202 {
        return Err(registry.refusal(&answer).into());
    }
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| TransferError::NoUpload(registry.address().clone()))?;
    let answer = registry.put(client, (location, digest), Bytes::copy_from_slice(bytes)).await?;
    match answer.status {
        201 | 204 => Ok(digest),
        _ => Err(registry.refusal(&answer).into()),
    }
}

async fn put_manifest(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    version: &str,
    manifest: &Value,
) -> Result<Digest, FetchError> {
    let bytes = manifest.to_string().into_bytes();
    let digest = component_digest(&bytes);
    let put = (Method::PUT, &*format!("manifests/{version}"), MANIFEST_TYPE);
    let answer = registry.send(client, put, bytes.into()).await?;
    match answer.status {
        200..=299 => Ok(digest),
        _ => Err(registry.refusal(&answer).into()),
    }
}

/// Puts a file of signatures beside those that the manifest has; gives the tag.
async fn add_signatures(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    signed: Digest,
    file: &[u8],
) -> Result<String, FetchError> {
    let before = registry.find(client, &signatures::manifest_of(signed)).await?;
    let before: Option<Value> = before.and_then(|answer| serde_json::from_slice(&answer.body).ok());
    let layers = before.as_ref().and_then(|manifest| manifest.get("layers")).and_then(Value::as_array);
    let mut layers = layers.cloned().unwrap_or_default();
    let digest = blob(registry, client, file).await?;
    let is_new = |layer: &Value| layer.get("digest").and_then(Value::as_str) != Some(&*digest.to_string());
    if layers.iter().all(is_new) {
        layers.push(descriptor(signatures::SIGNATURES_TYPE, digest, file.len()));
    }
    let config = blob(registry, client, CONFIG).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config, CONFIG.len()),
        "layers": layers,
    });
    let tag = signatures::tag(signed);
    put_manifest(registry, client, &tag, &manifest).await?;
    Ok(tag)
}
