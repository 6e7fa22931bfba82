//! What is published at a place: the document of a web server, or the tags of a repository with what they name.
//!
//! Reads no document: who wants to know what is in it does.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::header::LINK;
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

/// Tags after which no further page is asked for: more than any type may have versions.
const TAGS_MAX: usize = 20_000;

/// Largest manifest: what the specification asks registries to take.
const MANIFEST_MAX: usize = 4 << 20;

/// What a place says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// A document in JSON.
    Document(Vec<u8>),
    /// Tags.
    Tags {
        /// Each, and of those that were asked for what they name.
        named: Vec<(String, Option<Digest>)>,
        /// Those that were asked for and name nothing: in the moment of a push, or of a deletion.
        empty: Vec<String>,
    },
}

/// Asks a place once. Of the tags that `wanted` picks out the manifest is fetched, for its digest. Each question may take
/// the time that the settings give: a registry with thousands of new tags needs that often.
///
/// # Errors
/// When it does not answer, in time and in the form of a list.
pub async fn list(
    source: &RemoteSource,
    settings: &FetchConfig,
    wanted: impl Fn(&[String]) -> Vec<String>,
) -> Result<Listing, FetchError> {
    let limit = settings.timeout;
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
            let answer = in_time(limit, async { Ok(client.get(get).await?) }).await?;
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
            let all = tags(&mut registry, &client, limit).await?;
            let asked: BTreeSet<String> = wanted(&all).into_iter().collect();
            let (mut named, mut empty) = (Vec::new(), Vec::new());
            for tag in all {
                if !asked.contains(&tag) {
                    named.push((tag, None));
                    continue;
                }
                match in_time(limit, digest(&mut registry, &client, &tag)).await? {
                    Some(digest) => named.push((tag, Some(digest))),
                    None => empty.push(tag),
                }
            }
            Ok(Listing::Tags { named, empty })
        }
    }
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(TransferError::TooSlow { limit, came: 0 }.into()))
}

/// All tags: registries give some at a time, and say where the next ones are.
async fn tags(
    registry: &mut Registry<'_>,
    client: &Client<'_>,
    limit: Duration,
) -> Result<Vec<String>, FetchError> {
    #[derive(Deserialize)]
    struct Tags {
        tags: Option<Vec<String>>,
    }
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut path = "tags/list".to_owned();
    loop {
        let question = Question {
            path: path.clone(),
            accept: "application/json",
            body_max: DOCUMENT_MAX,
            what: "a list of tags",
        };
        let answer = in_time(limit, registry.get(client, &question)).await?;
        let page: Result<Tags, _> = serde_json::from_slice(&answer.body);
        let page = page
            .map_err(|error| TransferError::Broken(format!("the list of tags is no such list: {error}")))?;
        let before = all.len();
        all.extend(page.tags.unwrap_or_default());
        let next = answer.headers.get(LINK).and_then(|link| next_page(link.to_str().ok()?));
        match next {
            // A page with nothing new would lead to itself for ever.
            Some(_) if all.len() > TAGS_MAX => {
                let why = format!("the list of tags does not end after {TAGS_MAX} of them");
                return Err(TransferError::Broken(why).into());
            }
            Some(query) if all.len() > before => {
                path = format!("tags/list?{query}");
            }
            Some(_) | None => return Ok(all.into_iter().collect()),
        }
    }
}

/// The query of the next page, as `<…?last=1.9&n=100>; rel="next"` names it. Where it leads to is not followed: the
/// next page is one of the same repository.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|one| one.contains("rel=\"next\"") || one.contains("rel=next"))?;
    let (address, _) = next.split_once('<')?.1.split_once('>')?;
    let (_, query) = address.split_once('?')?;
    Some(query.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_one_of_the_same_repository() {
        let next = |text: &str| next_page(text);
        assert_eq!(next("</v2/a/tags/list?last=1.9&n=2>; rel=\"next\"").as_deref(), Some("last=1.9&n=2"));
        assert_eq!(next("<https://evil.example/x?n=1>; rel=next").as_deref(), Some("n=1"));
        assert_eq!(next("</v2/a?n=1>; rel=\"prev\", </v2/a?n=2>; rel=\"next\"").as_deref(), Some("n=2"));
        for wrong in ["", "?n=1; rel=\"next\"", "</v2/a/tags/list>; rel=\"next\"", "<>; rel=\"next\""] {
            assert_eq!(next(wrong), None, "{wrong}");
        }
    }
}
