//! A source that is a request over HTTP/1.1, on a new connection each time, in the clear or over TLS.
//!
//! Certificates are verified always, other than by the probe of the health settings: what is sent here may be a secret.
//! Redirects are not followed: a secret goes where the configuration sends it, and nowhere else.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Outcome, connect, facts, place, secret};
use crate::net::address::parse_address;
use crate::net::exchange::{Answer, ExchangeError, ResponseError, exchange};
use crate::net::placed::{in_header, in_path, in_text};
use crate::net::text::one_line;
use crate::net::tls::VerifiedTls;
use crate::probe::Target;
use crate::probe::failure::{self, ProbeError};
use phasegate_core::domain::source::{HttpSource, SourceTls};
use phasegate_core::domain::{Address, ProbeFailure, Response};

/// Most headers, and longest value in bytes, that reach a plugin; as of the probe of the health settings.
const HEADERS_MAX: usize = 32;
const HEADER_VALUE_MAX: usize = 4 * 1024;

const USER_AGENT: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));

/// Sends the request and reads the whole answer.
pub(super) async fn ask(source: &HttpSource, body_max: usize, target: &Target) -> Outcome {
    let address = place(&source.at, target);
    let request = request(source, &address, target).await?;
    let response = match &source.tls {
        None => sent(connect(&address).await?, request, body_max, &address).await?,
        Some(tls) => {
            let name = server_name(tls, &request, &address, target);
            let trusted = trusting(tls.ca_file.as_deref()).await?;
            let stream = connect(&address).await?;
            let named = Address { host: name, port: address.port };
            let stream = trusted.handshake(&named, stream).await.map_err(|error| failure::tls(&error))?;
            sent(stream, request, body_max, &address).await?
        }
    };
    let Answer { status, headers, body, keeps: _ } = response;
    Ok(Response { status, headers: picked(&headers, &source.headers), body })
}

async fn sent<S>(
    stream: S,
    request: Request<Bytes>,
    body_max: usize,
    address: &Address,
) -> Result<Answer, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    exchange(stream, request, body_max).await.map_err(|error| match error {
        ExchangeError::Io(error) => failure::broken(address, &error),
        ExchangeError::Response(ResponseError::BodyTooLarge(limit)) => {
            ProbeFailure::BodyTooLarge(limit).into()
        }
        ExchangeError::Response(error) => failure::invalid(&error.to_string()),
    })
}

async fn request(
    source: &HttpSource,
    address: &Address,
    target: &Target,
) -> Result<Request<Bytes>, ProbeError> {
    let HttpSource { tls, at: _, method, path, request_headers, body, credentials, headers: _ } = source;
    let default_port = if tls.is_some() { 443 } else { 80 };
    // A zone means something on this machine alone (RFC 6874, section 4).
    let plain =
        Address { host: address.host.split('%').next().unwrap_or_default().to_owned(), port: address.port };
    let host = if plain.port == default_port { plain.url_host() } else { plain.to_string() };
    let said: Vec<(&str, String)> = request_headers
        .iter()
        .map(|(name, value)| (name.as_str(), in_header(value, facts(target))))
        .collect();
    let is_said = |wanted: &str| said.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut builder = Request::builder().method(method.as_str()).uri(in_path(path, facts(target)));
    // Host first, whoever says it: some servers look no further.
    let its_host = said.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    builder = builder.header("host", its_host.map_or(host.as_str(), |(_, value)| value.as_str()));
    for (name, value) in [("user-agent", USER_AGENT), ("accept-encoding", "gzip")] {
        if !is_said(name) {
            builder = builder.header(name, value);
        }
    }
    for (name, value) in said.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        builder = builder.header(*name, value.as_str());
    }
    if let Some(credentials) = credentials
        && !is_said("authorization")
    {
        builder = builder.header("authorization", secret::read(credentials).await?.authorization());
    }
    let body = in_text(body, facts(target));
    let request = builder.header("connection", "close").body(Bytes::from(body));
    request.map_err(|_| failure::invalid("the request cannot be written: a header or the path is not valid"))
}

/// The name that is asked for: the one that is written, or else the host of the request.
fn server_name(tls: &SourceTls, request: &Request<Bytes>, address: &Address, target: &Target) -> String {
    if let Some(name) = &tls.server_name {
        return in_text(name, facts(target));
    }
    let host = request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let with_port = parse_address(host).or_else(|_| parse_address(&format!("{host}:443")));
    with_port.map_or_else(|_| address.host.clone(), |address| address.host)
}

fn picked(headers: &HeaderMap, wanted: &[String]) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, value)| {
            wanted.iter().any(|wanted| wanted == name.as_str()) && value.len() <= HEADER_VALUE_MAX
        })
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .take(HEADERS_MAX)
        .collect()
}

/// Which file of authorities, and as it was when it was read.
type Read = (Option<(PathBuf, SystemTime, u64)>, VerifiedTls);

/// What was read of such files. A bundle of a system is read in milliseconds, which each probe would take again.
static READ: Mutex<Vec<Read>> = Mutex::new(Vec::new());

/// Most files that are known at once.
const READ_MAX: usize = 16;

/// Whom to trust; a file that was exchanged is read anew.
async fn trusting(ca_file: Option<&Path>) -> Result<VerifiedTls, ProbeError> {
    let refused =
        |why: String| -> ProbeError { ProbeFailure::Tls(one_line(&format!("not asked: {why}"))).into() };
    let key = match ca_file {
        None => None,
        Some(path) => {
            let owned = path.to_owned();
            let looked = tokio::task::spawn_blocking(move || std::fs::metadata(owned)).await;
            let metadata = looked.unwrap_or_else(|error| Err(io::Error::other(error)));
            let metadata = metadata.map_err(|error| refused(format!("`{}`: {error}", path.display())))?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some((path.to_owned(), modified, metadata.len()))
        }
    };
    let known = |read: &[Read]| read.iter().find(|(known, _)| *known == key).map(|(_, tls)| tls.clone());
    if let Some(tls) = known(&READ.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(tls);
    }
    let path = ca_file.map(Path::to_owned);
    let loaded = tokio::task::spawn_blocking(move || match path {
        Some(path) => VerifiedTls::load(&path),
        None => VerifiedTls::web(None),
    });
    let loaded = loaded.await.map_err(|error| refused(error.to_string()))?;
    let tls = loaded.map_err(|error| refused(error.to_string()))?;
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if read.len() >= READ_MAX {
        read.remove(0);
    }
    read.push((key, tls.clone()));
    Ok(tls)
}
