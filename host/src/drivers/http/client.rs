//! One request to an agent on one new connection, and what its failure means for another try.
//!
//! Does not look at status or body.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::error::{ReadTokenError, Retry, SendError};
use crate::net::dial::dial;
use crate::net::exchange::{Answer, ExchangeError, ResponseError, exchange};
use crate::net::text::{io_text, one_line};
use crate::net::tls::VerifiedTls;
use crate::net::url::{HttpUrl, Scheme};
use phasegate_core::domain::Address;

/// Longest answer: some words and a few fields.
const BODY_MAX: usize = 64 * 1024;

/// Longest token file.
const TOKEN_MAX: u64 = 4 * 1024;

/// Longest wait for a connection and its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const USER_AGENT_TEXT: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// How things are.
    Get,
    /// That something is done, at most once per key.
    Post {
        /// Identity of the effect.
        key: String,
        /// JSON.
        body: Bytes,
    },
}

/// Sends requests.
pub(super) struct Client {
    pub(super) tls: Option<VerifiedTls>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) permits: Semaphore,
}

impl Client {
    /// Asks once. The caller limits the time.
    pub(super) async fn ask(&self, url: &HttpUrl, ask: Ask) -> Result<Answer, SendError> {
        let request = self.request(url, ask).await?;
        // Never closed.
        let _permit = self.permits.acquire().await;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connect(url)).await;
        let connected = connected.unwrap_or_else(|_| Err(SendError::NotAccepted(url.address.clone())));
        match connected? {
            Connection::Plain(stream) => send(url, stream, request).await,
            Connection::Tls(stream) => send(url, *stream, request).await,
        }
    }

    async fn connect(&self, url: &HttpUrl) -> Result<Connection, SendError> {
        let address = &url.address;
        let stream = dial(address).await;
        let stream = stream.map_err(|error| broken_off(address, &io_text(&error)))?;
        // The request follows as a second small write, which must not wait.
        _ = stream.set_nodelay(true);
        match (url.scheme, &self.tls) {
            (Scheme::Http, _) => Ok(Connection::Plain(stream)),
            (Scheme::Https, Some(tls)) => match tls.handshake(address, stream).await {
                Ok(stream) => Ok(Connection::Tls(Box::new(stream))),
                Err(error) => Err(handshake_failed(url, &error)),
            },
            (Scheme::Https, None) => Err(SendError::NoCertificates { url: url.clone() }),
        }
    }

    async fn request(&self, url: &HttpUrl, ask: Ask) -> Result<Request<Bytes>, SendError> {
        let never = |what| SendError::Unsendable { what, url: url.clone() };
        let default_port = match url.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let address = &url.address;
        let host = if address.port == default_port { address.url_host() } else { address.to_string() };
        let host = HeaderValue::try_from(host).map_err(|_| never("the host"))?;
        let target = PathAndQuery::try_from(url.target.as_str()).map_err(|_| never("the path"))?;
        let (method, body) = match &ask {
            Ask::Get => (Method::GET, Bytes::new()),
            Ask::Post { body, .. } => (Method::POST, body.clone()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(target);
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Ask::Post { key, .. } = ask {
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(key).map_err(|_| never("the operation"))?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(path) = self.token_file.clone() {
            let token = tokio::task::spawn_blocking(move || read_token(&path)).await;
            let token = token.map_err(|_| never("the token"))??;
            headers.insert(AUTHORIZATION, token);
        }
        Ok(request)
    }
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn send(
    url: &HttpUrl,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Bytes>,
) -> Result<Answer, SendError> {
    let address = url.address.clone();
    exchange(stream, request, BODY_MAX).await.map_err(|error| match error {
        ExchangeError::Io(error) => broken_off(&address, &io_text(&error)),
        ExchangeError::Response(error @ (ResponseError::Nothing | ResponseError::Closed)) => {
            broken_off(&address, &error.to_string())
        }
        ExchangeError::Response(ResponseError::Status(status)) => SendError::Status { address, status },
        ExchangeError::Response(ResponseError::BodyTooLarge(limit)) => {
            SendError::BodyTooLarge { address, limit }
        }
        ExchangeError::Response(error) => SendError::NotHttp { address, error },
    })
}

fn broken_off(address: &Address, cause: &str) -> SendError {
    SendError::Broken(one_line(&format!("{address}: {cause}")))
}

/// A certificate that is refused now is refused in a minute; a connection that broke is not.
fn handshake_failed(url: &HttpUrl, error: &std::io::Error) -> SendError {
    let address = &url.address;
    let text = one_line(&format!("{address}: no secure connection: {}", io_text(error)));
    let is_refused = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    SendError::Handshake { text, retry: if is_refused { Retry::Never } else { Retry::Later } }
}

/// The value of the header; never shown.
fn read_token(path: &Path) -> Result<HeaderValue, ReadTokenError> {
    let unreadable = |error| ReadTokenError::Read { path: path.to_owned(), error };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(TOKEN_MAX).read_to_string(&mut text).map_err(unreadable)?;
    let token = text.trim();
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut value = value.ok_or_else(|| ReadTokenError::NoLine(path.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
