//! What is published at a place: the document of a web server, or the tags of a repository with what they name.
//!
//! Reads no document: who wants to know what is in it does.

use serde::Deserialize;

use super::error::TransferError;
use super::https::{Client, Get};
use super::oci::{Loopback, Question, Registry};
use super::{FetchConfig, FetchError, credentials, manifest};
use crate::net::reference::{RemotePlace, RemoteSource};
use crate::net::tls::VerifiedTls;
use phasegate_core::domain::Digest;
use phasegate_wasm::component_digest;

/// Largest document, and largest list of tags.
const DOCUMENT_MAX: usize = 8 << 20;

/// Largest manifest: what the specification asks registries to take.
const MANIFEST_MAX: usize = 4 << 20;

/// What a place says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// A document in JSON.
    Document(Vec<u8>),
    /// Tags, and of those that were asked for what they name.
    Tags(Vec<(String, Option<Digest>)>),
}

/// Asks a place once. Of the tags that `wanted` picks out the manifest is fetched, for its digest.
///
/// # Errors
/// When it does not answer, in time and in the form of a list.
pub async fn list(
    source: &RemoteSource,
    settings: &FetchConfig,
    wanted: impl Fn(&[String]) -> Vec<String>,
) -> Result<Listing, FetchError> {
    let limit = settings.timeout;
    let listing = tokio::time::timeout(limit, ask(source, settings, wanted)).await;
    listing.unwrap_or_else(|_| Err(TransferError::TooSlow { limit, came: 0 }.into()))
}

async fn ask(
    source: &RemoteSource,
    settings: &FetchConfig,
    wanted: impl Fn(&[String]) -> Vec<String>,
) -> Result<Listing, FetchError> {
    let tls = VerifiedTls::web(settings.ca_file.as_deref()).map_err(TransferError::from)?;
    let told = credentials::read(settings.credentials.clone()).await?;
    let client = Client { tls, on_bytes: &|_| {} };
    match source.place() {
        RemotePlace::Url(url) => {
            let get = Get {
                url: url.clone(),
                accept: "application/json, */*;q=0.5",
                authorization: told.header(),
                body_max: DOCUMENT_MAX,
                what: "a list of versions",
            };
            let answer = client.get(get).await?;
            if answer.status != 200 {
                return Err(super::error::refusal(&url.address, answer.status, &told).into());
            }
            Ok(Listing::Document(answer.body))
        }
        RemotePlace::Oci(reference) => {
            let trust = match settings.ca_file {
                Some(_) => Loopback::Https,
                None => Loopback::Http,
            };
            let mut registry = Registry::new(reference, trust, told);
            let all = tags(&mut registry, &client).await?;
            let asked = wanted(&all);
            let mut named = Vec::new();
            for tag in all {
                let digest = match asked.contains(&tag) {
                    true => digest(&mut registry, &client, &tag).await?,
                    false => None,
                };
                named.push((tag, digest));
            }
            Ok(Listing::Tags(named))
        }
    }
}

async fn tags(registry: &mut Registry<'_>, client: &Client<'_>) -> Result<Vec<String>, FetchError> {
    #[derive(Deserialize)]
    struct Tags {
        tags: Option<Vec<String>>,
    }
    let question = Question {
        path: "tags/list".to_owned(),
        accept: "application/json",
        body_max: DOCUMENT_MAX,
        what: "a list of tags",
    };
    let answer = registry.get(client, &question).await?;
    let tags: Result<Tags, _> = serde_json::from_slice(&answer.body);
    let tags =
        tags.map_err(|error| TransferError::Broken(format!("the list of tags is no such list: {error}")))?;
    Ok(tags.tags.unwrap_or_default())
}

/// What a tag names now; none when it is gone.
async fn digest(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    tag: &str,
) -> Result<Option<Digest>, FetchError> {
    let question = Question {
        path: format!("manifests/{tag}"),
        accept: manifest::ACCEPT,
        body_max: MANIFEST_MAX,
        what: "a manifest",
    };
    let answer = registry.find(client, &question).await?;
    Ok(answer.map(|answer| component_digest(&answer.body)))
}
