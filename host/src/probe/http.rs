//! The http and https probe: one GET on one new connection.
//!
//! Deliberately does without redirects, proxies, cookies, compression and kept connections: the
//! answer is the instance's own and the plugin sees it as it came.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::connect;
use super::failure::{self, HEADER_BLOCK_MAX};
use super::tls::Tls;
use crate::domain::{Address, HealthSettings, ProbeFailure, ProbeProtocol, Profile, Response};

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
) -> Result<Response, ProbeFailure> {
    let request = request(address, settings)?;
    let stream = connect(address).await?;
    match tls {
        Some(tls) => exchange(tls.handshake(address, stream).await?, address, settings, request).await,
        None => exchange(stream, address, settings, request).await,
    }
}

fn request(address: &Address, settings: &HealthSettings) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
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

async fn exchange<S>(
    stream: S,
    address: &Address,
    settings: &HealthSettings,
    request: Request<Empty<Bytes>>,
) -> Result<Response, ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: hyper::Error| failure::exchange(address, &error);
    let mut builder = http1::Builder::new();
    // Title case: small servers have been seen that look for `Host` to the letter.
    builder.max_header_size(HEADER_BLOCK_MAX).max_buf_size(HEADER_BLOCK_MAX).title_case_headers(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        if status > 599 {
            return Err(failure::invalid(&format!("status {status} (limit 599)")));
        }
        let headers = pick_headers(response.headers(), &settings.headers);
        let body = read_body(response.into_body(), settings.body_max, failed).await?;
        Ok(Response { status, headers, body })
    };
    // The connection moves the bytes. Its own end is no result: the answer is told of it.
    let carry = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = carry => never,
    }
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

/// Reads to the end, or up to the cap: an instance that sends without end costs no more.
async fn read_body(
    mut body: Incoming,
    body_max: usize,
    failed: impl Fn(hyper::Error) -> ProbeFailure,
) -> Result<Vec<u8>, ProbeFailure> {
    let limit = u64::try_from(body_max).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(ProbeFailure::BodyTooLarge(limit));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // What is no data is a trailer, which nobody asked for.
        let Ok(data) = frame.map_err(&failed)?.into_data() else { continue };
        if data.len() > body_max.saturating_sub(bytes.len()) {
            return Err(ProbeFailure::BodyTooLarge(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
