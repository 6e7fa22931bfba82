//! The http and https probe: one GET on one new connection.
//!
//! Deliberately does without redirects, proxies, cookies, compression and kept connections: the
//! answer is the instance's own and the plugin sees it as it came.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::connect;
use super::failure::{self, ProbeError};
use super::tls::Tls;
use crate::net::exchange::{Answer, ExchangeError, exchange};
use phasegate_core::domain::{Address, HealthSettings, ProbeFailure, ProbeProtocol, Profile, Response};

/// Most response headers that reach a plugin.
const HEADERS_MAX: usize = 32;

/// Longest header value that reaches a plugin, in bytes. A longer one is left out: a shortened
/// value would be a different one.
const HEADER_VALUE_MAX: usize = 4 * 1024;

const USER_AGENT_FLEET: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));
const USER_AGENT_AZURE: &str = "ApplicationHealthExtension/1.0";

/// Sends one GET to `address` and reads the whole response; over TLS when `tls` is given.
/// The caller limits the time.
pub(super) async fn probe_http(
    address: &Address,
    settings: &HealthSettings,
    tls: Option<&Tls>,
) -> Result<Response, ProbeError> {
    let request = request(address, settings)?;
    let stream = connect(address).await?;
    match tls {
        Some(tls) => ask(tls.handshake(address, stream).await?, address, settings, request).await,
        None => ask(stream, address, settings, request).await,
    }
}

fn request(address: &Address, settings: &HealthSettings) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let default_port = match settings.protocol {
        ProbeProtocol::Http => Some(80),
        ProbeProtocol::Https => Some(443),
        ProbeProtocol::Tcp => None,
    };
    let host = if Some(address.port) == default_port { address.url_host() } else { address.to_string() };
    let user_agent = match settings.profile {
        Profile::Fleet => USER_AGENT_FLEET,
        Profile::Azure => USER_AGENT_AZURE,
    };
    // The configuration has checked and escaped the target; only its two short forms are left.
    let target = match settings.request_path.as_str() {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    let target =
        PathAndQuery::try_from(target).map_err(|_| failure::invalid("the request path is not valid"))?;
    let host = HeaderValue::try_from(host).map_err(|_| failure::invalid("the host name is not valid"))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static(user_agent));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn ask<S>(
    stream: S,
    address: &Address,
    settings: &HealthSettings,
    request: Request<Empty<Bytes>>,
) -> Result<Response, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = exchange(stream, request, settings.body_max).await.map_err(|error| match error {
        ExchangeError::Head(error) | ExchangeError::Body(error) => failure::exchange(address, &error),
        ExchangeError::Status(status) => failure::invalid(&format!("status {status} (limit 599)")),
        ExchangeError::BodyTooLarge(limit) => ProbeFailure::BodyTooLarge(limit).into(),
    })?;
    let Answer { status, headers, body } = answer;
    Ok(Response { status, headers: pick_headers(&headers, &settings.headers), body })
}

fn pick_headers(headers: &HeaderMap, wanted: &[String]) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, value)| {
            value.len() <= HEADER_VALUE_MAX && wanted.iter().any(|wanted| wanted == name.as_str())
        })
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .take(HEADERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
