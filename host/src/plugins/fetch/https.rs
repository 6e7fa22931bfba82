//! One request over a verified connection, a GET with its redirects; and a component from a web server.
//!
//! Each request has a connection of its own. A redirect is followed at most five times, never from
//! TLS into the clear, and never takes credentials to another server. Of what a server answers to an
//! error only the status is shown: a page may repeat what it was sent.

use std::io;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};

use super::credentials::Authorization;
use super::error::{Advice, TransferError, refusal};
use super::{FetchError, Fetched, Signatures};
use crate::net::dial::dial;
use crate::net::exchange::{Answer, ExchangeError, ResponseError, exchange_watched};
use crate::net::reference::is_loopback;
use crate::net::text::{io_text, one_line};
use crate::net::tls::VerifiedTls;
use crate::net::url::{HttpUrl, Scheme};
use crate::plugins::signature::{self, SIGNATURES_BYTES_MAX, Signed};
use phasegate_wasm::COMPONENT_BYTES_MAX;

/// Redirects of one request: registries and mirrors need one or two.
const REDIRECTS_MAX: usize = 5;

/// Longest wait for a connection: a start goes on without a server that is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const USER_AGENT_TEXT: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));

/// Sends requests.
pub(super) struct Client<'a> {
    pub(super) tls: VerifiedTls,
    /// Is told how many bytes of the body have come.
    pub(super) on_bytes: &'a (dyn Fn(u64) + Sync),
}

/// One request.
pub(super) struct Get {
    pub(super) url: HttpUrl,
    pub(super) accept: &'static str,
    /// For the server of `url` only.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body_max: usize,
    /// What is limited, for example `a component`.
    pub(super) what: &'static str,
}

/// One request that brings something along. No redirect of it is followed.
pub(super) struct Send {
    pub(super) method: Method,
    pub(super) url: HttpUrl,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    /// For the server of `url` only.
    pub(super) authorization: Option<HeaderValue>,
}

/// Longest answer to what was sent; nothing of it is shown.
const ANSWER_MAX: usize = 64 << 10;

impl Client<'_> {
    /// Sends.
    pub(super) async fn send(&self, send: Send) -> Result<Answer, TransferError> {
        let Send { method, url, content_type, body, authorization } = send;
        let what = "an answer to what was sent";
        let get =
            Get { url, accept: "application/json, */*;q=0.5", authorization, body_max: ANSWER_MAX, what };
        let mut request = request(&get)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *request.method_mut() = method;
        *request.body_mut() = body;
        self.talk(&get, request).await
    }

    /// Asks, and follows redirects. An answer is one of any other status.
    pub(super) async fn get(&self, get: Get) -> Result<Answer, TransferError> {
        let mut get = get;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&get).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = follow(&get.url, &answer)?;
            if !next.is_same_origin(&get.url) {
                get.authorization = None;
            }
            get.url = next;
        }
        Err(TransferError::Redirects { max: REDIRECTS_MAX, last: get.url.address })
    }

    async fn ask(&self, get: &Get) -> Result<Answer, TransferError> {
        self.talk(get, request(get)?).await
    }

    async fn talk(&self, get: &Get, request: Request<Bytes>) -> Result<Answer, TransferError> {
        let address = &get.url.address;
        let failed = |error: &io::Error| one_line(&format!("{address}: {}", io_text(error)));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial(address)).await;
        let stream = stream.map_err(|_| TransferError::NotAccepted(address.clone()))?;
        let stream = stream.map_err(|error| TransferError::Broken(failed(&error)))?;
        // The request follows as a second small write, which must not wait.
        _ = stream.set_nodelay(true);
        let mut on_bytes = |bytes| (self.on_bytes)(u64::try_from(bytes).unwrap_or(u64::MAX));
        let answer = match get.url.scheme {
            Scheme::Http => {
                // A name can mean anything.
                let peer = stream.peer_addr().map_err(|error| TransferError::Broken(failed(&error)))?.ip();
                if !peer.is_loopback() {
                    return Err(TransferError::NotLoopback { address: address.clone(), peer });
                }
                exchange_watched(stream, request, get.body_max, &mut on_bytes).await
            }
            Scheme::Https => {
                let stream = self.tls.handshake(address, stream).await;
                let stream = stream.map_err(|error| insecure(failed(&error), &error))?;
                exchange_watched(stream, request, get.body_max, &mut on_bytes).await
            }
        };
        answer.map_err(|error| broken(get, &error))
    }
}

fn request(get: &Get) -> Result<Request<Bytes>, TransferError> {
    let Get { url: HttpUrl { scheme, address, target }, accept, authorization, .. } = get;
    let default_port = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let host = if address.port == default_port { address.url_host() } else { address.to_string() };
    let unusable = |what| TransferError::Unsendable { what, address: address.clone() };
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = Uri::from(PathAndQuery::try_from(target.as_str()).map_err(|_| unusable("path"))?);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(host).map_err(|_| unusable("host"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, value.clone());
    }
    Ok(request)
}

/// Where a redirect leads, if it may be followed. Its path and query are not shown: they may be a key.
fn follow(from: &HttpUrl, answer: &Answer) -> Result<HttpUrl, TransferError> {
    let address = || from.address.clone();
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else {
        return Err(TransferError::NoPlace { address: address(), status: answer.status });
    };
    let next = from.follow(location);
    let next = next.map_err(|error| TransferError::WrongPlace { address: address(), error })?;
    let clear = match (from.scheme, next.scheme) {
        (_, Scheme::Https) => false,
        (Scheme::Http, Scheme::Http) => !is_loopback(&next.address.host),
        (Scheme::Https, Scheme::Http) => true,
    };
    if clear {
        return Err(TransferError::IntoTheClear { address: address(), to: next.address });
    }
    Ok(next)
}

/// A handshake that failed; for a certificate with what can be done about it.
fn insecure(text: String, error: &io::Error) -> TransferError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let advice = match cause {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            Advice::NameAuthority
        }
        Some(rustls::Error::InvalidMessage(_)) => Advice::LookAtPort,
        _ => Advice::None,
    };
    TransferError::Insecure { text, advice }
}

fn broken(get: &Get, error: &ExchangeError) -> TransferError {
    let address = get.url.address.clone();
    match error {
        ExchangeError::Response(ResponseError::Status(status)) => {
            TransferError::Status { address, status: *status, advice: "" }
        }
        ExchangeError::Response(ResponseError::BodyTooLarge(limit)) => {
            TransferError::TooMuch { address, limit: *limit, what: get.what }
        }
        ExchangeError::Io(cause) => {
            TransferError::Broken(one_line(&format!("{address}: {}", io_text(cause))))
        }
        ExchangeError::Response(error @ (ResponseError::Nothing | ResponseError::Closed)) => {
            TransferError::Broken(one_line(&format!("{address}: {error}")))
        }
        ExchangeError::Response(error) => {
            TransferError::Broken(one_line(&format!("{address}: it does not speak HTTP: {error}")))
        }
    }
}

/// Fetches a file.
pub(super) async fn component(
    client: &Client<'_>,
    url: &HttpUrl,
    told: &Authorization,
    signatures: Signatures,
) -> Result<Fetched, FetchError> {
    let get = Get {
        url: url.clone(),
        accept: "application/wasm, */*;q=0.5",
        authorization: told.header(),
        body_max: COMPONENT_BYTES_MAX,
        what: "a component",
    };
    let answer = client.get(get).await?;
    if answer.status != 200 {
        return Err(refusal(&url.address, answer.status, told).into());
    }
    let note = format!("{} bytes from {}", answer.body.len(), url.address);
    let signed = match signatures {
        Signatures::Left => Vec::new(),
        Signatures::Wanted => self::signatures(client, url, told).await?,
    };
    Ok(Fetched { bytes: answer.body, note, signed })
}

/// The file of signatures beside a file: none where there is none.
async fn signatures(
    client: &Client<'_>,
    url: &HttpUrl,
    told: &Authorization,
) -> Result<Vec<Signed>, FetchError> {
    // Before a query: that may be a key to the folder.
    let target = match url.target.split_once('?') {
        Some((path, query)) => format!("{path}.sig?{query}"),
        None => format!("{}.sig", url.target),
    };
    let get = Get {
        url: HttpUrl { target, ..url.clone() },
        accept: "text/plain, */*;q=0.5",
        authorization: told.header(),
        body_max: SIGNATURES_BYTES_MAX,
        what: "a file of signatures",
    };
    let answer = client.get(get).await?;
    match answer.status {
        200 => Ok(signature::lines(&answer.body)),
        404 | 410 => Ok(Vec::new()),
        status => Err(refusal(&url.address, status, told).into()),
    }
}
