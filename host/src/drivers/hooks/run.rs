//! One hook from its first try to its end: a program or a POST, asked again while it says "not yet".

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::Says;
use super::config::{Hook, Hooks, What};
use super::error::HookError;
use super::told;
use crate::drivers::BoxFuture;
use crate::drivers::awake::{self, Over, Spent};
use crate::drivers::backoff::Backoff;
use crate::drivers::ends::End;
use crate::drivers::kind::{Premises, StartDriverError};
use crate::drivers::local::{Capture, Command, Cut, GuardCommand, Job, Runner, describe, output};
use crate::drivers::template::Template;
use crate::net::dial::dial;
use crate::net::exchange::exchange;
use crate::net::text::{first_line, io_text, one_line};
use crate::net::tls::VerifiedTls;
use crate::net::url::{HttpUrl, Scheme};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use phasegate_core::kernel::effect::HookCall;

/// `EX_TEMPFAIL` of `sysexits.h`: not now, but later.
const EXIT_NOT_YET: i32 = 75;

/// From SIGTERM to SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The same when the host ends: a hook is repeated by the next host, and one that ignores SIGTERM holds up nobody's
/// restart.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest answer that is read.
const BODY_MAX: usize = 16 * 1024;

/// Between two tries of one that says "not yet": a gate is asked often enough to lose little time, and seldom enough
/// to be no load.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10), Duration::MAX);

/// With less time than that left it is not asked again.
const AGAIN_AT_LEAST: Duration = Duration::from_millis(500);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What runs hooks.
pub(super) struct Runs {
    hooks: Hooks,
    runner: Runner,
    search_path: OsString,
}

/// How one try ended that did not fail.
enum Try {
    Done,
    NotYet(String),
}

impl Runs {
    pub(super) fn start(hooks: Hooks, premises: &Premises) -> Result<Self, StartDriverError> {
        let guard =
            GuardCommand::of_this_program(STOP_TIMEOUT, &premises.guards).map_err(StartDriverError::Guard)?;
        Self::start_with(hooks, premises.search_path.clone(), Some(guard))
    }

    pub(super) fn start_with(
        hooks: Hooks,
        search_path: OsString,
        guard: Option<GuardCommand>,
    ) -> Result<Self, StartDriverError> {
        let runner = Runner::start("hooks", guard)
            .map_err(|source| StartDriverError::Thread { what: "the runner of hooks", source })?;
        Ok(Self { hooks, runner, search_path })
    }

    /// Ends all programs; the future ends when they are gone.
    pub(super) fn shutdown(&self) -> BoxFuture<()> {
        self.runner.shutdown()
    }

    /// Runs a hook until it is done, has failed, or its time is over. One that there is no longer is done.
    pub(super) async fn run(&self, call: &HookCall, says: &Says, end: &End) -> Result<(), HookError> {
        let Some(hook) = self.hooks.all.get(&call.hook) else { return Ok(()) };
        let spent = Spent::default();
        let mut said = None;
        spent.during(self.until_done(hook, call, (says, end), (&spent, &mut said))).await
    }

    async fn until_done(
        &self,
        hook: &Hook,
        call: &HookCall,
        (says, end): (&Says, &End),
        (spent, said): (&Spent, &mut Option<String>),
    ) -> Result<(), HookError> {
        let mut again = AGAIN.of(&call.operation.0);
        loop {
            let left = spent.left_of(hook.timeout);
            let done = match &hook.what {
                What::Command(argv) => self.program(argv, call, left, end).await?,
                What::Url { to, ca_file } => tokio::select! {
                    biased;
                    () = end.wanted() => return Err(HookError::EndedOnWish),
                    done = awake::timeout(left, post((to, ca_file.as_deref()), call)) => match done {
                        Ok(done) => done.map(Some)?,
                        Err(Over) => None,
                    },
                },
            };
            match done {
                Some(Try::Done) => return Ok(()),
                Some(Try::NotYet(why)) => {
                    if said.as_ref() != Some(&why) {
                        says.say(&why);
                    }
                    *said = Some(why);
                }
                None => return Err(late(hook.timeout, said.take())),
            }
            let pause = again.after_failure();
            let left = spent.left_of(hook.timeout);
            tokio::select! {
                biased;
                () = end.wanted() => return Err(HookError::EndedOnWish),
                () = tokio::time::sleep(pause.min(left)) => {}
            }
            // Where the host stood still meanwhile there is time left, and it asks once more.
            if pause >= left && spent.left_of(hook.timeout) < AGAIN_AT_LEAST {
                return Err(late(hook.timeout, said.take()));
            }
        }
    }

    /// None when its time was over.
    async fn program(
        &self,
        argv: &[Template],
        call: &HookCall,
        limit: Duration,
        end: &End,
    ) -> Result<Option<Try>, HookError> {
        let argv = told::argv(argv, call)?;
        let name = argv.first().cloned().unwrap_or_default();
        let working_dir = self.hooks.working_dir.clone();
        let command = Command { argv, environment: told::environment(call), working_dir };
        let program = command.resolve(&self.search_path)?;
        let job = Job {
            program,
            command,
            capture: Capture::Together,
            limit,
            stop_timeout: STOP_TIMEOUT,
            exit_timeout: EXIT_TIMEOUT,
            end: end.clone(),
            voice: None,
        };
        let finished = self.runner.run(job).await?;
        let text = output::in_one_line(&finished.output);
        match finished.status {
            Ok(status) if status.code() == Some(0) => Ok(Some(Try::Done)),
            Ok(status) if status.code() == Some(EXIT_NOT_YET) => {
                Ok(Some(Try::NotYet(if text.is_empty() { format!("`{name}` exited with 75") } else { text })))
            }
            Ok(status) => {
                let output = if text.is_empty() { String::new() } else { format!(": {text}") };
                Err(HookError::Failed(format!("`{name}` {}{output}", describe(status))))
            }
            Err(Cut::Time) => Ok(None),
            Err(Cut::Wish) => Err(HookError::EndedOnWish),
        }
    }
}

fn late(within: Duration, said: Option<String>) -> HookError {
    match said {
        Some(said) => HookError::NotYet { within, said },
        None => HookError::TooLong(within),
    }
}

/// Asks once. Whoever cannot be reached, or is busy, is asked again.
async fn post((template, ca_file): (&Template, Option<&Path>), call: &HookCall) -> Result<Try, HookError> {
    let to = told::url(template, call)?;
    let request = request(&to, call).ok_or_else(|| HookError::Unsendable(to.to_string()))?;
    let stream = match dial(&to.address).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Try::NotYet(one_line(&format!("{}: {}", to.address, io_text(&error))))),
    };
    let answer = match to.scheme {
        Scheme::Http => exchange(stream, request, BODY_MAX).await,
        Scheme::Https => {
            // Read each time: a file that was exchanged counts, and a gate is asked seldom.
            let tls = VerifiedTls::web(ca_file)?;
            match tls.handshake(&to.address, stream).await {
                Ok(stream) => exchange(stream, request, BODY_MAX).await,
                Err(error) => {
                    return Ok(Try::NotYet(one_line(&format!("{}: TLS: {}", to.address, io_text(&error)))));
                }
            }
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Try::NotYet(one_line(&format!("{}: {error}", to.address)))),
    };
    let body = first_line(&answer.body);
    let said = format!(
        "{to} answered {}{}",
        answer.status,
        if body.is_empty() { body } else { format!(": {body}") }
    );
    match answer.status {
        200 | 204 => Ok(Try::Done),
        // Those with which a server asks for patience.
        202 | 408 | 409 | 423 | 425 | 429 | 502 | 503 | 504 => Ok(Try::NotYet(said)),
        _ => Err(HookError::Failed(said)),
    }
}

fn request(to: &HttpUrl, call: &HookCall) -> Option<Request<Bytes>> {
    let mut request = Request::new(Bytes::from(told::body(call)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(PathAndQuery::try_from(to.target.as_str()).ok()?);
    let default = if to.scheme == Scheme::Https { 443 } else { 80 };
    let host = if to.address.port == default { to.address.url_host() } else { to.address.to_string() };
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("phasegate/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(call.operation.0.as_str()).ok()?);
    Some(request)
}
