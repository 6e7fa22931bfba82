//! One operation with an agent from the first request to the end, and the question for a version.
//!
//! Does not order operations; `site` does.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Semaphore;

use super::body::{AddressBody, VersionBody, body, body_of_creation, body_of_deletion};
use super::client::{Ask, Client};
use super::error::{AgentError, Busy, Heard, Refusal, Retry};
use super::judge::{Asked, Verdict, ahead, judge, no_room};
use super::{AgentUrls, HttpSettings, LoadCertificatesError};
use crate::drivers::awake;
use crate::drivers::backoff::Backoff;
use crate::drivers::ends::End;
use crate::drivers::settings::ExtensionSettings;
use crate::drivers::site::Reach;
use crate::drivers::{BoxFuture, Create, Delete, Ensure, Words};
use crate::net::address::parse_address;
use crate::net::text::first_line;
use crate::net::tls::VerifiedTls;
use crate::net::url::HttpUrl;
use phasegate_core::domain::{
    Address, Component, Fence, Instance, InstanceId, OperationId, ScaleSetName, Seen, Version,
};

/// Longest wait for the answer to a question. A request that does something may take as long as
/// the operation.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// What an agent says of an instance on which nothing runs.
const ABSENT: &str = "absent";

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
    /// How long an operation that a person wants to end is waited for.
    pub(super) end_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Backoff::RETRY,
            poll: Backoff::new(Duration::from_secs(1), Duration::from_secs(5), Duration::MAX),
            after_min: Duration::from_secs(1),
            after_max: Duration::from_secs(60),
            end_within: Duration::from_secs(30),
        }
    }
}

/// Reaches instances by their agents.
pub(super) struct Agents(Arc<Shared>);

struct Shared {
    urls: Box<dyn AgentUrls>,
    extensions: ExtensionSettings,
    words: Words,
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
    conflict: Conflict,
    fence: Fence,
}

/// What an agent means that refuses a request because of the state that it is in.
#[derive(Debug, Clone, Copy)]
enum Conflict {
    /// It can be asked again.
    Wait,
    /// 409 and 507 say that there is no more room.
    NoRoom,
}

impl Agents {
    pub(super) fn new(settings: HttpSettings, timing: Timing) -> Result<Self, LoadCertificatesError> {
        let HttpSettings {
            urls,
            creation: _,
            sight: _,
            confirm: _,
            token_file,
            ca_file,
            identity,
            timeout,
            max_concurrent,
            extensions,
            words,
        } = settings;
        let tls = ca_file.as_deref().map(|path| VerifiedTls::load_as(path, identity.as_ref())).transpose()?;
        let client = Client { tls, token_file, permits: Semaphore::new(max_concurrent) };
        Ok(Self(Arc::new(Shared { urls, extensions, words, timeout, client, timing })))
    }
}

impl Reach for Agents {
    type Error = AgentError;

    /// What an agent has begun is the agent's to finish: it is asked on for so long, and then let go.
    fn end_within(&self) -> Duration {
        self.0.timing.end_within
    }

    fn apply(&self, request: Arc<Ensure>, _: End) -> BoxFuture<Result<(), AgentError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.apply(&request).await })
    }

    fn create(&self, request: Arc<Create>, _: End) -> BoxFuture<Result<Address, AgentError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.create(&request).await })
    }

    fn delete(&self, request: Arc<Delete>, _: End) -> BoxFuture<Result<(), AgentError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.delete(&request).await })
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Option<BoxFuture<Result<Seen, AgentError>>> {
        let url = self.0.urls.look(scale_set, instance, component).transpose()?;
        let shared = Arc::clone(&self.0);
        Some(Box::pin(async move { shared.look(&url?).await }))
    }
}

impl Shared {
    async fn apply(&self, request: &Ensure) -> Result<(), AgentError> {
        let wish = Posting {
            url: self.urls.apply(request)?,
            body: body(request, self.extensions.texts(request)?)?,
            operation: &request.operation,
            instance: (&request.scale_set, &request.instance.id),
            conflict: Conflict::Wait,
            fence: request.fence,
        };
        self.post(wish).await.map(|_| ())
    }

    async fn create(&self, request: &Create) -> Result<Address, AgentError> {
        let url = self.urls.create(request)?;
        let wish = Posting {
            url: url.ok_or(AgentError::NoCreation)?,
            body: body_of_creation(request)?,
            operation: &request.operation,
            instance: (&request.scale_set, &request.instance.id),
            conflict: Conflict::NoRoom,
            fence: request.fence,
        };
        let url = wish.url.clone();
        let body = self.post(wish).await?;
        let address = serde_json::from_slice::<AddressBody>(&body).ok().map(|body| body.address);
        let address = address.ok_or_else(|| AgentError::NoAddress { url: url.clone() })?;
        let shown = || first_line(address.as_bytes());
        parse_address(&address).map_err(|error| AgentError::BadAddress { url, shown: shown(), error })
    }

    async fn delete(&self, request: &Delete) -> Result<(), AgentError> {
        let Some(url) = self.urls.delete(request)? else {
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
            conflict: Conflict::Wait,
            fence: request.fence,
        };
        self.post(wish).await.map(|_| ())
    }

    /// One operation within its time. Gives the body of the last answer.
    async fn post(&self, wish: Posting<'_>) -> Result<Vec<u8>, AgentError> {
        let mut latest = Heard::Nothing;
        let operation = self.operate(wish, &mut latest);
        match awake::timeout(self.timeout, operation).await {
            Ok(result) => result,
            Err(_) => Err(AgentError::NotDone { within: self.timeout, latest }),
        }
    }

    /// Asks until there is an end. `latest` says what was heard last.
    async fn operate(&self, wish: Posting<'_>, latest: &mut Heard) -> Result<Vec<u8>, AgentError> {
        let Posting { url, body, operation, instance: (scale_set, instance), conflict, fence } = wish;
        let post = Ask::Post { key: operation.0.clone(), body };
        let voice = self.words.of((scale_set, instance), operation);
        let mut place: Option<HttpUrl> = None;
        let (mut retry, mut poll) = (self.timing.retry.of(&operation.0), self.timing.poll.of(&operation.0));
        loop {
            let (verdict, said) = match &place {
                None => self.ask(&url, post.clone(), (Asked::Post, conflict, fence)).await,
                Some(place) => {
                    let question = self.ask(place, Ask::Get, (Asked::Poll, conflict, fence));
                    tokio::time::timeout(QUESTION_TIMEOUT, question).await.unwrap_or_else(|_| {
                        (Verdict::Again { reason: Busy::Silent, after: None }, Vec::new())
                    })
                }
            };
            let (after, delay) = match verdict {
                Verdict::Done => return Ok(said),
                Verdict::Failed(refusal) => return Err(refusal.into()),
                Verdict::Superseded(seen) => return Err(AgentError::Superseded(seen)),
                Verdict::Again { reason, after } => {
                    tracing::info!(%scale_set, %instance, "again later: {reason}");
                    voice.busy(&reason.to_string()).await;
                    *latest = Heard::Busy(reason);
                    (after, retry.after_failure())
                }
                Verdict::Running { poll: found, message, after } => {
                    *latest = Heard::Running(message);
                    voice.works(&latest.to_string());
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

    async fn ask(
        &self,
        url: &HttpUrl,
        ask: Ask,
        (asked, conflict, fence): (Asked, Conflict, Fence),
    ) -> (Verdict, Vec<u8>) {
        match self.client.ask(url, ask).await {
            Ok(answer) => {
                let verdict = ahead(&answer, fence).map(Verdict::Superseded).or_else(|| match conflict {
                    Conflict::NoRoom => no_room(&answer),
                    Conflict::Wait => None,
                });
                (verdict.unwrap_or_else(|| judge(url, asked, &answer)), answer.body)
            }
            Err(error) => {
                let verdict = match error.retry() {
                    Retry::Later => Verdict::Again { reason: Busy::Send(error), after: None },
                    Retry::Never => Verdict::Failed(Refusal::Send(error)),
                };
                (verdict, Vec::new())
            }
        }
    }

    async fn look(&self, url: &HttpUrl) -> Result<Seen, AgentError> {
        let answer = tokio::time::timeout(QUESTION_TIMEOUT.min(self.timeout), self.client.ask(url, Ask::Get));
        let answer = match answer.await {
            Err(_) => return Err(AgentError::Silent { url: url.clone() }),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(answer)) => answer,
        };
        if answer.status != 200 {
            return Err(AgentError::Status { url: url.clone(), status: answer.status });
        }
        let fields: Result<VersionBody, _> = serde_json::from_slice(&answer.body);
        let text = match fields {
            Ok(VersionBody { version: Some(Some(text)), state: None }) => text,
            Ok(VersionBody { version: Some(None), state: Some(state) }) if state == ABSENT => {
                return Ok(Seen::Nothing);
            }
            // A version of something that is absent is no word that can be used, nor is a state alone: a body of another
            // program may have one.
            Ok(VersionBody { version: Some(Some(_) | None) | None, .. }) | Err(_) => {
                return Err(AgentError::NoVersion { url: url.clone() });
            }
        };
        let shown = || first_line(text.as_bytes());
        let version = Version::parse(&text);
        version.map(Seen::Version).map_err(|_| AgentError::BadVersion { url: url.clone(), shown: shown() })
    }
}
