//! One operation with an agent from the first request to the end, and the question for a version.
//!
//! Does not order operations; `site` does.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Semaphore;

use super::body::{AddressBody, VersionBody, body, body_of_creation, body_of_deletion};
use super::client::{Ask, Client, SendError};
use super::judge::{Asked, Verdict, judge, no_room};
use super::{AgentUrls, HttpSettings, LoadCertificatesError};
use crate::drivers::backoff::Backoff;
use crate::drivers::site::Reach;
use crate::drivers::{BoxFuture, Create, Delete, Ensure};
use crate::net::address::parse_address;
use crate::net::text::first_line;
use crate::net::tls::VerifiedTls;
use crate::net::url::HttpUrl;
use phasegate_core::domain::{Address, Instance, InstanceId, OperationId, ScaleSetName, Version};

/// Longest wait for the answer to a question. A request that does something may take as long as
/// the operation.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The times that tests shorten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Between two tries of a busy agent, or of one that cannot be reached.
    pub(super) retry: Backoff,
    /// Between two polls.
    pub(super) poll: Backoff,
    /// Bounds of what `Retry-After` may ask for.
    pub(super) after_min: Duration,
    pub(super) after_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Backoff::RETRY,
            poll: Backoff::new(Duration::from_secs(1), Duration::from_secs(5), Duration::MAX),
            after_min: Duration::from_secs(1),
            after_max: Duration::from_secs(60),
        }
    }
}

/// Reaches instances by their agents.
pub(super) struct Agents(Arc<Shared>);

struct Shared {
    urls: Box<dyn AgentUrls>,
    timeout: Duration,
    client: Client,
    timing: Timing,
}

/// What is posted, and to whom.
struct Posting<'a> {
    url: HttpUrl,
    body: Bytes,
    operation: &'a OperationId,
    instance: (&'a ScaleSetName, &'a InstanceId),
    busy: Busy,
}

/// What an agent means that refuses a request because of the state that it is in.
#[derive(Debug, Clone, Copy)]
enum Busy {
    /// It can be asked again.
    Wait,
    /// 409 and 507 say that there is no more room.
    NoRoom,
}

impl Agents {
    pub(super) fn new(settings: HttpSettings, timing: Timing) -> Result<Self, LoadCertificatesError> {
        let HttpSettings { urls, creation: _, token_file, ca_file, timeout, max_concurrent } = settings;
        let tls = ca_file.as_deref().map(VerifiedTls::load).transpose()?;
        let client = Client { tls, token_file, permits: Semaphore::new(max_concurrent) };
        Ok(Self(Arc::new(Shared { urls, timeout, client, timing })))
    }
}

impl Reach for Agents {
    fn apply(&self, request: Arc<Ensure>) -> BoxFuture<Result<(), String>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.apply(&request).await })
    }

    fn create(&self, request: Arc<Create>) -> BoxFuture<Result<Address, String>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.create(&request).await })
    }

    fn delete(&self, request: Arc<Delete>) -> BoxFuture<Result<(), String>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.delete(&request).await })
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
    ) -> Option<BoxFuture<Result<Option<Version>, String>>> {
        let url = self.0.urls.look(scale_set, instance).transpose()?;
        let shared = Arc::clone(&self.0);
        Some(Box::pin(async move {
            let url = url.map_err(|error| error.to_string())?;
            shared.look(&url).await
        }))
    }
}

impl Shared {
    async fn apply(&self, request: &Ensure) -> Result<(), String> {
        let wish = Posting {
            url: self.urls.apply(request).map_err(|error| error.to_string())?,
            body: body(request)?,
            operation: &request.operation,
            instance: (&request.scale_set, &request.instance.id),
            busy: Busy::Wait,
        };
        self.post(wish).await.map(|_| ())
    }

    async fn create(&self, request: &Create) -> Result<Address, String> {
        let url = self.urls.create(request).map_err(|error| error.to_string())?;
        let wish = Posting {
            url: url.ok_or("the driver has not been told how to create instances")?,
            body: body_of_creation(request)?,
            operation: &request.operation,
            instance: (&request.scale_set, &request.instance.id),
            busy: Busy::NoRoom,
        };
        let url = wish.url.clone();
        let body = self.post(wish).await?;
        let address = serde_json::from_slice::<AddressBody>(&body).ok().map(|body| body.address);
        let address = address.ok_or_else(|| format!("{url} is done, and did not name an address"))?;
        let shown = first_line(address.as_bytes());
        parse_address(&address).map_err(|error| format!("{url} named the address `{shown}`, which {error}"))
    }

    async fn delete(&self, request: &Delete) -> Result<(), String> {
        let Some(url) = self.urls.delete(request).map_err(|error| error.to_string())? else {
            tracing::warn!(
                scale_set = %request.scale_set, instance = %request.instance.id,
                "it never had an address, and cannot be deleted without one; is anything left of it?"
            );
            return Ok(());
        };
        let wish = Posting {
            url,
            body: body_of_deletion(request)?,
            operation: &request.operation,
            instance: (&request.scale_set, &request.instance.id),
            busy: Busy::Wait,
        };
        self.post(wish).await.map(|_| ())
    }

    /// One operation within its time. Gives the body of the last answer.
    async fn post(&self, wish: Posting<'_>) -> Result<Vec<u8>, String> {
        let mut latest = "there was no answer yet".to_owned();
        let operation = self.operate(wish, &mut latest);
        match tokio::time::timeout(self.timeout, operation).await {
            Ok(result) => result,
            Err(_) => Err(format!("not done within {} s: {latest}", self.timeout.as_secs_f64())),
        }
    }

    /// Asks until there is an end. `latest` says what was heard last.
    async fn operate(&self, wish: Posting<'_>, latest: &mut String) -> Result<Vec<u8>, String> {
        let Posting { url, body, operation, instance: (scale_set, instance), busy } = wish;
        let post = Ask::Post { key: operation.0.clone(), body };
        let mut place: Option<HttpUrl> = None;
        let (mut retry, mut poll) = (self.timing.retry.of(&operation.0), self.timing.poll.of(&operation.0));
        loop {
            let (verdict, said) = match &place {
                None => self.ask(&url, post.clone(), (Asked::Post, busy)).await,
                Some(place) => {
                    let question = self.ask(place, Ask::Get, (Asked::Poll, busy));
                    tokio::time::timeout(QUESTION_TIMEOUT, question).await.unwrap_or_else(|_| {
                        (
                            Verdict::Again { reason: "the agent does not answer".to_owned(), after: None },
                            Vec::new(),
                        )
                    })
                }
            };
            let (after, delay) = match verdict {
                Verdict::Done => return Ok(said),
                Verdict::Failed(reason) => return Err(reason),
                Verdict::Again { reason, after } => {
                    tracing::info!(%scale_set, %instance, "again later: {reason}");
                    *latest = reason;
                    (after, retry.after_failure())
                }
                Verdict::Running { poll: found, message, after } => {
                    *latest = if message.is_empty() { "it is under way".to_owned() } else { message };
                    retry.reset();
                    let default = || url.with_parameter("operation", &operation.0);
                    place = Some(found.or(place).unwrap_or_else(default));
                    (after, poll.after_failure())
                }
            };
            let Timing { after_min, after_max, .. } = self.timing;
            tokio::time::sleep(after.map_or(delay, |after| after.clamp(after_min, after_max))).await;
        }
    }

    async fn ask(&self, url: &HttpUrl, ask: Ask, (asked, busy): (Asked, Busy)) -> (Verdict, Vec<u8>) {
        match self.client.ask(url, ask).await {
            Ok(answer) => {
                let verdict = match busy {
                    Busy::NoRoom => no_room(&answer),
                    Busy::Wait => None,
                };
                (verdict.unwrap_or_else(|| judge(url, asked, &answer)), answer.body)
            }
            Err(SendError::Again(reason)) => (Verdict::Again { reason, after: None }, Vec::new()),
            Err(SendError::Never(reason)) => (Verdict::Failed(reason), Vec::new()),
        }
    }

    async fn look(&self, url: &HttpUrl) -> Result<Option<Version>, String> {
        let answer = tokio::time::timeout(QUESTION_TIMEOUT.min(self.timeout), self.client.ask(url, Ask::Get));
        let answer = match answer.await {
            Err(_) => return Err(format!("{url} does not answer")),
            Ok(Err(SendError::Again(reason) | SendError::Never(reason))) => return Err(reason),
            Ok(Ok(answer)) => answer,
        };
        if answer.status != 200 {
            return Err(format!("{url} answered {}", answer.status));
        }
        let fields: Result<VersionBody, _> = serde_json::from_slice(&answer.body);
        let Ok(VersionBody { version }) = fields else {
            return Err(format!("{url} answered with something else than {{\"version\": …}}"));
        };
        let parse = |text: String| {
            let shown = first_line(text.as_bytes());
            Version::parse(&text).map_err(|_| format!("{url} answered with `{shown}`, which is no version"))
        };
        version.map(parse).transpose()
    }
}
