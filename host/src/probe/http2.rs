//! One request and its whole response over HTTP/2, on a connection of its own: the probes of kind h2 and h2c.
//!
//! The frames are `h2`'s affair. What is bounded here is what a server may send: in bytes altogether, so that
//! endless frames of any kind end the probe, and in size, what is kept of it. The caller limits the time. Takes no
//! push, keeps no connection, and does without redirects, as the probe over HTTP/1.1 does.

mod told;
mod wire;

use std::pin::pin;
use std::task::Poll;

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

use self::told::told;
use self::wire::Wire;
use super::connect::{Closing, connect};
use super::failure::{self, ProbeError};
use super::http::{USER_AGENT_FLEET, host, pick_headers, target};
use super::tls::Tls;
use crate::net::exchange::{ResponseError, decoded};
use phasegate_core::domain::{Address, HealthSettings, ProbeFailure, Response};

/// Largest block of headers, unpacked, as HTTP/2 counts it.
const HEADERS_MAX: u32 = 256 * 1024;

/// Most bytes of an exchange that are not the body: headers, frames' own heads, padding, settings, pings.
const OVERHEAD_MAX: usize = 512 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// As it came.
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// Sends one GET to `address` and reads the whole response; over TLS when `tls` is given.
/// The caller limits the time.
pub(super) async fn probe_http2(
    address: &Address,
    settings: &HealthSettings,
    tls: Option<&Tls>,
) -> Result<Response, ProbeError> {
    let mut request = request("GET", &target(settings), address, settings)?;
    add(&mut request, "accept-encoding", "gzip");
    let Whole { status, headers, body, trailers: _ } = once(address, settings, tls, request, None).await?;
    if !(100..=599).contains(&status) {
        return Err(failure::invalid(&ResponseError::Status(status).to_string()));
    }
    let body = decoded(&headers, body, settings.body_max).map_err(|error| match error {
        ResponseError::BodyTooLarge(limit) => ProbeFailure::BodyTooLarge(limit).into(),
        error => failure::invalid(&error.to_string()),
    })?;
    Ok(Response { status, headers: pick_headers(&kept(headers, settings)), body })
}

/// Connects, sends one request and reads what comes. An exchange that went well ends in order.
pub(super) async fn once(
    address: &Address,
    settings: &HealthSettings,
    tls: Option<&Tls>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<Whole, ProbeError> {
    let mut stream = connect(address, Closing::WithReset).await?;
    stream.set_nodelay();
    let body_max = settings.body_max;
    let outcome = match tls {
        Some(tls) => {
            let secure = tls.handshake(address, settings, &mut stream).await?;
            exchange(secure, address, (request, body), body_max).await
        }
        None => exchange(&mut stream, address, (request, body), body_max).await,
    };
    if outcome.is_ok() {
        stream.close_in_order();
    }
    outcome
}

/// A request with what the host says of itself and what the configuration adds.
///
/// # Errors
/// When the host is none that a request can name.
pub(super) fn request(
    method: &str,
    target: &str,
    address: &Address,
    settings: &HealthSettings,
) -> Result<Request<()>, ProbeError> {
    let said = &settings.request_headers;
    let named =
        said.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.clone());
    let authority = named.unwrap_or_else(|| host(address, settings.protocol));
    let authority =
        Authority::try_from(authority).map_err(|_| failure::invalid("the host name is not valid"))?;
    let target = PathAndQuery::try_from(target).map_err(|_| failure::invalid("the path is not valid"))?;
    let scheme = if settings.protocol.is_over_tls() { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build();
    let request =
        Request::builder().method(method).uri(uri.map_err(|_| failure::invalid("the path is not valid"))?);
    let mut request = request.body(()).map_err(|error| failure::invalid(&error.to_string()))?;
    for (name, value) in said.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        add(&mut request, name, value);
    }
    add(&mut request, "user-agent", USER_AGENT_FLEET);
    Ok(request)
}

/// Adds a header, unless the configuration says another one. It has checked what it says.
pub(super) fn add(request: &mut Request<()>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        request.headers_mut().entry(name).or_insert(value);
    }
}

/// Those that the plugin gets to see.
pub(super) fn kept(headers: HeaderMap, settings: &HealthSettings) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in &settings.headers {
        for value in headers.get_all(name) {
            if let Ok(name) = HeaderName::try_from(name) {
                kept.append(name, value.clone());
            }
        }
    }
    kept
}

async fn exchange<S>(
    stream: S,
    address: &Address,
    (request, body): (Request<()>, Option<Bytes>),
    body_max: usize,
) -> Result<Whole, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (wire, seen) = Wire::new(stream, body_max.saturating_add(OVERHEAD_MAX));
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).max_header_list_size(HEADERS_MAX);
    let shaken = builder.handshake::<_, Bytes>(wire).await;
    let (sender, connection) = shaken.map_err(|error| told(&error, &seen, address))?;
    let mut connection = pin!(connection);
    let mut talk = pin!(talk(sender, request, body, body_max));
    let outcome = tokio::select! {
        biased;
        outcome = &mut talk => outcome,
        // What it says of its end, the request's own answer says as well, or it was there before.
        _ = &mut connection => (&mut talk).await,
    };
    if outcome.is_ok() {
        // Says good-bye, if that needs no waiting.
        std::future::poll_fn(|context| {
            _ = connection.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    outcome.map_err(|stopped| match stopped {
        Stopped::TooLarge => ProbeFailure::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX)).into(),
        Stopped::Failed(error) => told(&error, &seen, address),
    })
}

/// Why there is no whole response.
enum Stopped {
    TooLarge,
    Failed(h2::Error),
}

impl From<h2::Error> for Stopped {
    fn from(error: h2::Error) -> Self {
        Self::Failed(error)
    }
}

async fn talk(
    sender: h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
    body_max: usize,
) -> Result<Whole, Stopped> {
    let mut sender = sender.ready().await?;
    let (response, mut sending) = sender.send_request(request, body.is_none())?;
    if let Some(body) = body {
        // Goes out as far as the server's window lets it, and the rest as soon as it does.
        sending.send_data(body, true)?;
    }
    let (head, mut coming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(part) = coming.data().await {
        let part = part?;
        if body.len().saturating_add(part.len()) > body_max {
            return Err(Stopped::TooLarge);
        }
        body.extend_from_slice(&part);
        coming.flow_control().release_capacity(part.len())?;
    }
    let trailers = coming.trailers().await?;
    Ok(Whole { status: head.status.as_u16(), headers: head.headers, body, trailers })
}

#[cfg(test)]
mod tests;
