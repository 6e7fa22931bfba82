//! The http and https probe: one GET on one new connection.
//!
//! Deliberately does without redirects, proxies, and cookies: the answer is the instance's
//! own and the plugin sees it as it came, but for compression.

use hyper::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::{Closing, connect};
use super::failure::{self, ProbeError};
use super::tls::Tls;
use crate::net::exchange::{self, Answer, ExchangeError, Keep, Reading, ResponseError, Rules};
use phasegate_core::domain::{
    Address, HealthSettings, ProbeConnection, ProbeFailure, ProbeProtocol, Profile, Response,
};

/// Most response headers that reach a plugin.
const HEADERS_MAX: usize = 32;

/// Longest header value that reaches a plugin, in bytes. A longer one is left out: a shortened
/// value would be a different one.
const HEADER_VALUE_MAX: usize = 4 * 1024;

pub(super) const USER_AGENT_FLEET: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));
const USER_AGENT_AZURE: &str = "ApplicationHealthExtension/1.0";

/// Sends one GET to `address` and reads the whole response; over TLS when `tls` is given.
/// The caller limits the time.
pub(super) async fn probe_http(
    address: &Address,
    settings: &HealthSettings,
    tls: Option<&Tls>,
) -> Result<Response, ProbeError> {
    let request = request(address, settings)?;
    let mut stream = connect(address, Closing::WithReset).await?;
    let response = match tls {
        Some(tls) => {
            let mut secure = tls.handshake(address, settings, &mut stream).await?;
            ask(&mut secure, address, settings, &request).await
        }
        None => ask(&mut stream, address, settings, &request).await,
    };
    if response.is_ok() {
        stream.close_in_order();
    }
    response
}

/// The bytes that are sent.
///
/// # Errors
/// When the host is no text for a header.
pub(super) fn request(address: &Address, settings: &HealthSettings) -> Result<Vec<u8>, ProbeError> {
    let host = host(address, settings.protocol);
    HeaderValue::try_from(&host).map_err(|_| failure::invalid("the host name is not valid"))?;
    let user_agent = match settings.profile {
        Profile::Fleet => USER_AGENT_FLEET,
        Profile::Azure => USER_AGENT_AZURE,
    };
    let target = target(settings);
    let mut head = format!("GET {target} HTTP/1.1\r\n");
    let own = [
        ("Host", host.as_str()),
        ("User-Agent", user_agent),
        ("Accept-Encoding", "gzip"),
        ("Connection", "close"),
    ];
    let said = &settings.request_headers;
    let is_said = |name: &str| said.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
    let keeps = settings.connection == ProbeConnection::Keep;
    let own = own.into_iter().filter(|(name, _)| !is_said(name) && (!keeps || *name != "Connection"));
    let said = said.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // Host first, whoever says it: some servers look no further.
    let (hosts, others): (Vec<_>, Vec<_>) =
        own.chain(said).partition(|(name, _)| name.eq_ignore_ascii_case("host"));
    for (name, value) in hosts.into_iter().chain(others) {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// The host as a request names it.
pub(super) fn host(address: &Address, protocol: ProbeProtocol) -> String {
    let default_port = match protocol {
        ProbeProtocol::Http | ProbeProtocol::H2c | ProbeProtocol::Grpc => Some(80),
        ProbeProtocol::Https | ProbeProtocol::H2 | ProbeProtocol::Grpcs => Some(443),
        ProbeProtocol::Tcp => None,
    };
    // A zone means something on this machine alone (RFC 6874, section 4).
    let host = address.host.split('%').next().unwrap_or_default().to_owned();
    let address = Address { host, port: address.port };
    if Some(address.port) == default_port { address.url_host() } else { address.to_string() }
}

/// What is asked for. The configuration has checked and escaped it; only its two short forms are left.
pub(super) fn target(settings: &HealthSettings) -> String {
    match settings.request_path.as_str() {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    }
}

async fn ask<S>(
    stream: &mut S,
    address: &Address,
    settings: &HealthSettings,
    request: &[u8],
) -> Result<Response, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = exchange::ask(stream, request, reading(settings)).await;
    response(address, answer)
}

/// How an answer is read.
pub(super) fn reading(settings: &HealthSettings) -> Reading<'_> {
    let rules = match settings.profile {
        Profile::Fleet => Rules::Readable,
        Profile::Azure => Rules::AsAzure,
    };
    Reading { rules, body_max: settings.body_max, keep: Keep::These(&settings.headers) }
}

/// What an exchange means.
pub(super) fn response(
    address: &Address,
    answer: Result<Answer, ExchangeError>,
) -> Result<Response, ProbeError> {
    let Answer { status, headers, body, keeps: _ } = answer.map_err(|error| match error {
        ExchangeError::Io(error) => failure::broken(address, &error),
        ExchangeError::Response(ResponseError::BodyTooLarge(limit)) => {
            ProbeFailure::BodyTooLarge(limit).into()
        }
        ExchangeError::Response(error) => failure::invalid(&error.to_string()),
    })?;
    Ok(Response { status, headers: pick_headers(&headers), body })
}

/// Headers as a plugin gets them.
pub(super) fn pick_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(_, value)| value.len() <= HEADER_VALUE_MAX)
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .take(HEADERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
