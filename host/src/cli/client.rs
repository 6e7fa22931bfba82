//! The client side of the HTTP API. One connection per request; nothing is cached.

use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::exit::Refused;
use crate::net::address::parse_address;
use crate::net::exchange::{ExchangeError, exchange};
use phasegate_core::domain::Address;
use phasegate_wire as wire;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Longest wait for an uploaded component to be loaded; one that carries a language runtime takes
/// most of a minute.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Largest answer in bytes: a fleet of a hundred thousand instances fits.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// What to do when there is nobody.
const START_ONE: &str = "start one with `phasegate run`, or name it with --server";

/// The same where the configuration names the address: it may have changed since the host was started.
const START_OR_FIND: &str = "the configuration names that address as server.listen: start a host with `phasegate run`; one that was started before that line changed listens at its old address until it is started again: name that with --server";

/// Speaks to one host.
pub struct Client {
    address: Address,
    /// What to try when it cannot be reached.
    hint: &'static str,
    token: Option<String>,
}

impl Client {
    /// A client for `host:port`.
    ///
    /// # Errors
    /// When the address has another form.
    pub fn new(authority: &str, token: Option<String>) -> anyhow::Result<Self> {
        let address = match parse_address(authority) {
            Ok(address) => address,
            Err(error) => bail!("server `{authority}` {error}"),
        };
        Ok(Self { address, hint: START_ONE, token })
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
        let answer = async { tokio::time::timeout(limit, self.ask(method, path, body, content_type)).await };
        // One for each request: a client may be dropped where another runtime lets nothing block.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, body) = runtime
            .block_on(answer)
            .with_context(|| format!("no answer from {} within {} s", self.address, limit.as_secs()))??;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| {
                format!("{} answered with something else than Phasegate's JSON", self.address)
            });
        }
        let Ok(wire::ErrorBody { error }) = serde_json::from_slice(&body) else {
            bail!("{} answered {status} without Phasegate's JSON; is it a phasegate?", self.address);
        };
        if status == StatusCode::CONFLICT || status == StatusCode::UNPROCESSABLE_ENTITY {
            return Err(Refused(error.message).into());
        }
        bail!("{}", error.message)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: &'static str,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let unreachable = || format!("cannot reach a phasegate at {}; {}", self.address, self.hint);
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port))
            .await
            .with_context(unreachable)?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        match exchange(stream, request.body(Full::new(body))?, ANSWER_MAX).await {
            Ok(answer) => Ok((StatusCode::from_u16(answer.status)?, answer.body)),
            Err(ExchangeError::Head(error)) => Err(error).with_context(unreachable),
            Err(ExchangeError::Status(_) | ExchangeError::Body(_) | ExchangeError::BodyTooLarge(_)) => {
                bail!("the answer from {} broke off", self.address)
            }
        }
    }
}
