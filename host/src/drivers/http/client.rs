//! One request to an agent on one new connection, and what its failure means for another try.
//!
//! Does not look at status or body.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::net::exchange::{Answer, ExchangeError, HEADER_BLOCK_MAX, exchange};
use crate::net::text::{find_io, io_text, one_line};
use crate::net::tls::VerifiedTls;
use crate::net::url::{HttpUrl, Scheme};

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

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendError {
    /// It may work later.
    Again(String),
    /// It will not.
    Never(String),
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
        let connected = connected.unwrap_or_else(|_| {
            Err(SendError::Again(format!("{} does not accept a connection", url.address)))
        });
        match connected? {
            Connection::Plain(stream) => send(url, stream, request).await,
            Connection::Tls(stream) => send(url, *stream, request).await,
        }
    }

    async fn connect(&self, url: &HttpUrl) -> Result<Connection, SendError> {
        let address = &url.address;
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
        let stream =
            stream.map_err(|error| SendError::Again(one_line(&format!("{address}: {}", io_text(&error)))))?;
        // The request follows as a second small write, which must not wait.
        _ = stream.set_nodelay(true);
        match (url.scheme, &self.tls) {
            (Scheme::Http, _) => Ok(Connection::Plain(stream)),
            (Scheme::Https, Some(tls)) => match tls.handshake(address, stream).await {
                Ok(stream) => Ok(Connection::Tls(Box::new(stream))),
                Err(error) => Err(handshake_failed(url, &error)),
            },
            (Scheme::Https, None) => {
                Err(SendError::Never(format!("{url} is https, and no certificates are trusted")))
            }
        }
    }

    async fn request(&self, url: &HttpUrl, ask: Ask) -> Result<Request<Full<Bytes>>, SendError> {
        let never = |what: &str| SendError::Never(format!("{what} of {url} cannot be sent"));
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
        let mut request = Request::new(Full::new(body));
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
            let token = token.map_err(|_| never("the token"))?.map_err(SendError::Never)?;
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
    request: Request<Full<Bytes>>,
) -> Result<Answer, SendError> {
    let address = &url.address;
    exchange(stream, request, BODY_MAX).await.map_err(|error| match error {
        ExchangeError::Status(status) => SendError::Never(format!("{address} answered with status {status}")),
        ExchangeError::BodyTooLarge(limit) => {
            SendError::Never(format!("{address} answered with more than {limit} bytes"))
        }
        ExchangeError::Head(error) | ExchangeError::Body(error) => broken(url, &error),
    })
}

fn broken(url: &HttpUrl, error: &hyper::Error) -> SendError {
    let address = &url.address;
    if error.is_parse_too_large() {
        return SendError::Never(format!(
            "{address} answered with more than {HEADER_BLOCK_MAX} bytes of headers, or more than 100 of them"
        ));
    }
    if error.is_parse() {
        return SendError::Never(format!("{address} does not speak HTTP: {}", one_line(&error.to_string())));
    }
    let cause = match find_io(error) {
        Some(cause) => io_text(cause),
        None => "the connection was closed before the answer was complete".to_owned(),
    };
    SendError::Again(one_line(&format!("{address}: {cause}")))
}

/// A certificate that is refused now is refused in a minute; a connection that broke is not.
fn handshake_failed(url: &HttpUrl, error: &std::io::Error) -> SendError {
    let address = &url.address;
    let text = one_line(&format!("{address}: no secure connection: {}", io_text(error)));
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        SendError::Never(text)
    } else {
        SendError::Again(text)
    }
}

/// The value of the header; never shown.
fn read_token(path: &Path) -> Result<HeaderValue, String> {
    let shown = path.display();
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("token file `{shown}`: {error}"))?;
    file.take(TOKEN_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("token file `{shown}`: {error}"))?;
    let token = text.trim();
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut value = value.ok_or_else(|| format!("token file `{shown}` does not hold one line of text"))?;
    value.set_sensitive(true);
    Ok(value)
}
