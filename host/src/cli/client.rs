//! The client side of the HTTP API. One connection per request; nothing is cached.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::exit::Refused;
use super::output;
use crate::net::dial::dial;
use crate::net::exchange::{ExchangeError, ResponseError, exchange};
use crate::net::text::one_line;
use crate::net::tls::VerifiedTls;
use phasegate_core::domain::Address;
use phasegate_wire as wire;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Longest wait for an uploaded component to be loaded; one that carries a language runtime takes
/// most of a minute.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Longest wait until a version is published: its checker has a minute.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest answer in bytes: a fleet of a hundred thousand instances fits.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// What to do when there is nobody.
const START_ONE: &str = "start one with `phasegate run`, or name it with --server";

/// The same where the configuration names the address: it may have changed since the host was started.
const START_OR_FIND: &str = "the configuration names that address as server.listen: start a host with `phasegate run`; one that was started before that line changed listens at its old address until it is started again: name that with --server";

/// Where a host is, and how it is spoken to.
#[derive(Clone)]
pub enum Server {
    /// In the clear.
    Plain(Address),
    /// Encrypted, and its certificate is checked.
    Tls(Address, VerifiedTls),
    /// Through a socket in the file system.
    Socket(PathBuf),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(f),
            Self::Tls(address, _) => write!(f, "https://{address}"),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection of any kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection for S {}

/// Speaks to one host.
pub struct Client {
    server: Server,
    /// What to try when it cannot be reached.
    hint: &'static str,
    token: Option<String>,
}

impl Client {
    /// A client for a host.
    #[must_use]
    pub fn new(server: Server, token: Option<String>) -> Self {
        Self { server, hint: START_ONE, token }
    }

    /// Its address is from the configuration.
    #[must_use]
    pub fn of_the_file(self) -> Self {
        Self { hint: START_OR_FIND, ..self }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// [`Refused`] when the host says no; anything else when it cannot be reached or understood.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, Bytes::new(), "application/json")
    }

    /// `POST path` with JSON.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.call(Method::POST, path, Bytes::from(serde_json::to_vec(body)?), "application/json")
    }

    /// `POST path` with JSON, to publish a version.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn publish<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        self.call_within(PUBLISH_TIMEOUT, Method::POST, path, body, "application/json")
    }

    /// `POST path` with bytes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn upload<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> anyhow::Result<T> {
        self.call(Method::POST, path, Bytes::from(body), "application/wasm")
    }

    /// `POST /v1/reload`, which waits for components to compile.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn reload<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        self.upload("/v1/reload", Vec::new())
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: &'static str,
    ) -> anyhow::Result<T> {
        let limit = if content_type == "application/wasm" { UPLOAD_TIMEOUT } else { TIMEOUT };
        self.call_within(limit, method, path, body, content_type)
    }

    fn call_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: &'static str,
    ) -> anyhow::Result<T> {
        let answer = async { tokio::time::timeout(limit, self.ask(method, path, body, content_type)).await };
        // One for each request: a client may be dropped where another runtime lets nothing block.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, body) = runtime
            .block_on(answer)
            .with_context(|| format!("no answer from {} within {} s", self.server, limit.as_secs()))??;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| {
                format!("{} answered with something else than Phasegate's JSON", self.server)
            });
        }
        Err(self.refused(status, &body))
    }

    /// What an answer says that is no success.
    pub(super) fn refused(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let Ok(wire::ErrorBody { error }) = serde_json::from_slice(body) else {
            return anyhow::anyhow!(
                "{} answered {status} without Phasegate's JSON; is it a phasegate?",
                self.server
            );
        };
        match error.code.as_refusal().map(|code| code.ends) {
            Some(wire::codes::Ends::No) => Refused(error.message).into(),
            Some(wire::codes::Ends::CouldNotRun) | None => anyhow::anyhow!("{}", error.message),
        }
    }

    /// A connection to the host.
    pub(super) async fn reach(&self) -> anyhow::Result<Box<dyn Connection>> {
        self.connect().await.with_context(|| self.unreachable())
    }

    fn unreachable(&self) -> String {
        format!("cannot reach a phasegate at {}; {}", self.server, self.hint)
    }

    /// The head of a request.
    pub(super) fn head(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let host = match &self.server {
            Server::Plain(address) | Server::Tls(address, _) => address.to_string(),
            Server::Socket(_) => "localhost".to_owned(),
        };
        let head = Request::builder().method(method).uri(path).header(HOST, host);
        match &self.token {
            Some(token) => head.header(AUTHORIZATION, format!("Bearer {token}")),
            None => head,
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: &'static str,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let unreachable = || self.unreachable();
        let stream = self.reach().await?;
        let request = self.head(method, path).header(CONTENT_TYPE, content_type);
        match exchange(stream, request.body(body)?, ANSWER_MAX).await {
            Ok(answer) => {
                warn_of_another_version(&answer.headers);
                Ok((StatusCode::from_u16(answer.status)?, answer.body))
            }
            Err(ExchangeError::Io(error)) => Err(error).with_context(unreachable),
            Err(ExchangeError::Response(error @ ResponseError::Nothing)) => {
                Err(error).with_context(unreachable)
            }
            Err(ExchangeError::Response(error)) => {
                bail!("the answer from {} broke off: {error}", self.server)
            }
        }
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        let tcp = async |address: &Address| dial(address).await;
        Ok(match &self.server {
            Server::Plain(address) => Box::new(tcp(address).await?),
            Server::Tls(address, tls) => Box::new(tls.handshake(address, tcp(address).await?).await?),
            Server::Socket(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// Says once when the host is another version than this program: what one of them knows the other may not.
fn warn_of_another_version(headers: &HeaderMap) {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    static SAID: AtomicBool = AtomicBool::new(false);
    let theirs = headers.get("phasegate-version").and_then(|version| version.to_str().ok());
    if let Some(theirs) = theirs.filter(|theirs| *theirs != OURS)
        && !SAID.swap(true, Ordering::Relaxed)
    {
        let theirs = one_line(theirs);
        output::talk(&format!("warning: the host is phasegate {theirs}, and this program is {OURS}\n"));
    }
}
