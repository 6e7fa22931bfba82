//! A component from a registry: the pull half of the OCI distribution protocol, and how a registry is spoken to.
//!
//! Manifest, at most one login, blob. Whoever is named by a digest must have it, down to the last
//! byte. The token server is the one that the registry names, over TLS: so the protocol wants it, and
//! it is the registry that is trusted with the credentials. Servers of blobs never see any.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::credentials::{self, Authorization};
use super::error::{OtherDigestError, TokenServerError, TransferError, refusal};
use super::https::{Client, Get, Send};
use super::{Fetch, FetchError, Fetched, Signatures, manifest, signatures};
use crate::net::exchange::Answer;
use crate::net::reference::{OciReference, is_loopback};
use crate::net::url::{HttpUrl, Scheme};
use phasegate_core::domain::{Address, Digest};
use phasegate_wasm::{COMPONENT_BYTES_MAX, component_digest};

/// Largest manifest: what the specification asks registries to take.
const MANIFEST_MAX: usize = 4 << 20;

/// Largest answer of a token server.
const TOKEN_ANSWER_MAX: usize = 256 << 10;

/// The registry of Docker Hub has another name than its references.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// How a registry on this machine is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loopback {
    Http,
    Https,
}

/// One artifact of a registry, and what the registry is told.
pub(super) struct Registry<'a> {
    reference: &'a OciReference,
    base: HttpUrl,
    told: Authorization,
    authorization: Option<HeaderValue>,
}

/// One question to it.
pub(super) struct Question {
    pub(super) path: String,
    pub(super) accept: &'static str,
    pub(super) body_max: usize,
    pub(super) what: &'static str,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a OciReference, loopback: Loopback, told: Authorization) -> Self {
        let OciReference { host, port, repository, .. } = reference;
        let scheme = match loopback {
            Loopback::Http if is_loopback(host) => Scheme::Http,
            Loopback::Http | Loopback::Https => Scheme::Https,
        };
        let default_port = match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let host = if *host == DOCKER_HUB.0 { DOCKER_HUB.1 } else { host };
        let address = Address { host: host.to_owned(), port: port.unwrap_or(default_port) };
        let base = HttpUrl { scheme, address, target: format!("/v2/{repository}") };
        // User and password are for whoever is named in the challenge.
        let authorization = match &told {
            Authorization::Bearer(value) => Some(value.clone()),
            Authorization::Basic(_) | Authorization::None => None,
        };
        Self { reference, base, told, authorization }
    }

    /// Asks; logs in when that is wanted.
    async fn get(&mut self, client: &Client<'_>, question: &Question) -> Result<Answer, FetchError> {
        let answer = self.get_any(client, question).await?;
        if answer.status != 200 {
            return Err(refusal(&self.base.address, answer.status, &self.told).into());
        }
        Ok(answer)
    }

    /// The same, of what may not be there: none then.
    pub(super) async fn find(
        &mut self,
        client: &Client<'_>,
        question: &Question,
    ) -> Result<Option<Answer>, FetchError> {
        let answer = self.get_any(client, question).await?;
        match answer.status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            status => Err(refusal(&self.base.address, status, &self.told).into()),
        }
    }

    async fn get_any(&mut self, client: &Client<'_>, question: &Question) -> Result<Answer, FetchError> {
        let mut answer = self.ask(client, question).await?;
        if answer.status == 401 && !matches!(self.told, Authorization::Bearer(_)) {
            self.authorization = self.log_in(client, &answer.headers).await?;
            answer = self.ask(client, question).await?;
        }
        Ok(answer)
    }

    async fn ask(&self, client: &Client<'_>, question: &Question) -> Result<Answer, FetchError> {
        let Question { path, accept, body_max, what } = question;
        let url = HttpUrl { target: format!("{}/{path}", self.base.target), ..self.base.clone() };
        let authorization = self.authorization.clone();
        Ok(client.get(Get { url, accept, authorization, body_max: *body_max, what }).await?)
    }

    /// Sends something to a path of the repository; logs in when that is wanted.
    pub(super) async fn send(
        &mut self,
        client: &Client<'_>,
        (method, path, content_type): (Method, &str, &'static str),
        body: Bytes,
    ) -> Result<Answer, FetchError> {
        let url = HttpUrl { target: format!("{}/{path}", self.base.target), ..self.base.clone() };
        let once = |authorization| Send {
            method: method.clone(),
            url: url.clone(),
            content_type,
            body: body.clone(),
            authorization,
        };
        let answer = client.send(once(self.authorization.clone())).await?;
        if answer.status != 401 || matches!(self.told, Authorization::Bearer(_)) {
            return Ok(answer);
        }
        // What was good for reading may not be for writing: the challenge says what is wanted.
        self.authorization = self.log_in(client, &answer.headers).await?;
        Ok(client.send(once(self.authorization.clone())).await?)
    }

    /// Sends something to where an answer has pointed; the credentials are for this registry alone.
    pub(super) async fn put(
        &self,
        client: &Client<'_>,
        (location, digest): (&str, Digest),
        body: Bytes,
    ) -> Result<Answer, TransferError> {
        let url = self.base.follow(location);
        let url =
            url.map_err(|error| TransferError::WrongPlace { address: self.address().clone(), error })?;
        if url.scheme == Scheme::Http && !(self.base.scheme == Scheme::Http && is_loopback(&url.address.host))
        {
            return Err(TransferError::IntoTheClear { address: self.address().clone(), to: url.address });
        }
        let authorization = self.authorization.clone().filter(|_| url.is_same_origin(&self.base));
        let url = url.with_parameter("digest", &digest.to_string());
        let content_type = "application/octet-stream";
        client.send(Send { method: Method::PUT, url, content_type, body, authorization }).await
    }

    /// Who it is.
    pub(super) fn address(&self) -> &Address {
        &self.base.address
    }

    /// What an answer that is no success means.
    pub(super) fn refusal(&self, answer: &Answer) -> TransferError {
        refusal(&self.base.address, answer.status, &self.told)
    }

    /// What a 401 asks for.
    async fn log_in(
        &self,
        client: &Client<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, FetchError> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = challenges.flat_map(challenge::parse).collect();
        let bearer = challenges.iter().find(|one| matches!(one, Challenge::Bearer { .. }));
        match bearer.or(challenges.first()) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                let url = self.token_url(realm, service.as_deref(), scope.as_deref())?;
                Ok(Some(self.token(client, url).await?))
            }
            Some(Challenge::Basic) if matches!(self.told, Authorization::Basic(_)) => Ok(self.told.header()),
            Some(Challenge::Basic) | None => Err(refusal(&self.base.address, 401, &self.told).into()),
        }
    }

    fn token_url(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<HttpUrl, TransferError> {
        let refused = |error| TransferError::TokenServer { address: self.base.address.clone(), error };
        let url = HttpUrl::parse(realm).map_err(|error| refused(error.into()))?;
        let both_here = self.base.scheme == Scheme::Http && is_loopback(&url.address.host);
        if url.scheme == Scheme::Http && !both_here {
            return Err(refused(TokenServerError::InTheClear(url.address)));
        }
        let default = format!("repository:{}:pull", self.reference.repository);
        let url = service.map_or(url.clone(), |service| url.with_parameter("service", service));
        Ok(url.with_parameter("scope", scope.unwrap_or(&default)))
    }

    async fn token(&self, client: &Client<'_>, url: HttpUrl) -> Result<HeaderValue, TransferError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let address = url.address.clone();
        let get = Get {
            url,
            accept: "application/json",
            authorization: self.told.header(),
            body_max: TOKEN_ANSWER_MAX,
            what: "a token",
        };
        let answer = client.get(get).await?;
        if answer.status != 200 {
            return Err(refusal(&address, answer.status, &self.told));
        }
        let token = serde_json::from_slice::<Token>(&answer.body).ok();
        let token = token.and_then(|answer| answer.token.or(answer.access_token));
        let header = token.filter(|token| !token.is_empty());
        let header = header.and_then(|token| credentials::header(format!("Bearer {token}")));
        header.ok_or(TransferError::NoToken(address))
    }
}

/// Fetches the component of an artifact.
pub(super) async fn component(
    fetch: &Fetch<'_>,
    client: &Client<'_>,
    mut registry: Registry<'_>,
) -> Result<Fetched, FetchError> {
    let address = registry.base.address.clone();
    let question = Question {
        path: format!("manifests/{}", registry.reference.version()),
        accept: manifest::ACCEPT,
        body_max: MANIFEST_MAX,
        what: "a manifest",
    };
    let answer = registry.get(client, &question).await?;
    check_manifest(registry.reference, &answer)?;
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let layer = manifest::component(&answer.body, content_type).map_err(TransferError::from)?;
    if let Some(wanted) = fetch.wanted.filter(|wanted| *wanted != layer.digest) {
        return Err(OtherDigestError::Configured { seen: layer.digest, wanted }.into());
    }
    let signed = match fetch.signatures {
        Signatures::Left => Vec::new(),
        Signatures::Wanted => signatures::of(&mut registry, client, component_digest(&answer.body)).await?,
    };
    if let Some(bytes) = (fetch.kept)(layer.digest) {
        return Ok(Fetched { bytes, note: format!("{address} still names the bytes that are kept"), signed });
    }
    let (size, limit) = (usize::try_from(layer.size).unwrap_or(usize::MAX), COMPONENT_BYTES_MAX);
    if size > limit {
        return Err(TransferError::TooLarge { size, limit }.into());
    }
    let question = Question {
        path: format!("blobs/{}", layer.digest),
        accept: "*/*",
        body_max: size,
        what: "the component by its manifest",
    };
    let bytes = registry.get(client, &question).await?.body;
    let seen = component_digest(&bytes);
    if seen != layer.digest {
        return Err(OtherDigestError::Component { seen, wanted: layer.digest }.into());
    }
    Ok(Fetched { note: format!("{} bytes from {address}", bytes.len()), bytes, signed })
}

/// A manifest is what the reference names by digest; under a tag, what the registry itself says.
fn check_manifest(reference: &OciReference, answer: &Answer) -> Result<(), OtherDigestError> {
    let header = answer.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
    let Some(wanted) = reference.manifest.or(header.and_then(Digest::parse)) else { return Ok(()) };
    let seen = component_digest(&answer.body);
    if seen == wanted {
        return Ok(());
    }
    let who = if reference.manifest.is_some() { "reference" } else { "registry" };
    Err(OtherDigestError::Manifest { seen, wanted, who })
}
