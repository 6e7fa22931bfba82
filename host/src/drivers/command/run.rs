//! One instance reached by programs: what is run, what its end means, and when it is run again.
//!
//! Does not order anything; `site` does.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{CommandSettings, environment};
use crate::drivers::backoff::Backoff;
use crate::drivers::local::{Capture, Command, Finished, Job, Runner, describe, output};
use crate::drivers::site::Reach;
use crate::drivers::{BoxFuture, Create, Delete, DriverError, Ensure};
use phasegate_core::domain::{Address, Instance, InstanceId, ScaleSetName, Version};

/// `EX_TEMPFAIL` of `sysexits.h`: not now, but later.
pub(super) const EXIT_BUSY: i32 = 75;

/// A program that looks cannot tell.
const EXIT_UNKNOWN: i32 = 3;

/// Longest run of a program that only looks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// The times that tests shorten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Between two tries of a busy site.
    pub(super) retry: Backoff,
    /// From SIGTERM to SIGKILL.
    pub(super) stop_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { retry: Backoff::RETRY, stop_timeout: Duration::from_secs(10) }
    }
}

/// Reaches instances by programs.
#[derive(Clone)]
pub(super) struct Programs(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) settings: CommandSettings,
    runner: Runner,
    timing: Timing,
    permits: Semaphore,
}

/// How one run of a program ended that did not fail.
pub(super) enum Attempt<T> {
    Done(T),
    Busy(String),
}

impl Programs {
    pub(super) fn new(settings: CommandSettings, runner: Runner, timing: Timing) -> Self {
        let permits = Semaphore::new(settings.max_concurrent);
        Self(Arc::new(Shared { settings, runner, timing, permits }))
    }

    /// Ends all programs; the future ends when they are gone.
    pub(super) fn shutdown(&self) -> BoxFuture<()> {
        self.0.runner.shutdown()
    }
}

impl Reach for Programs {
    fn apply(&self, request: Arc<Ensure>) -> BoxFuture<Result<(), DriverError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.apply(&request).await?) })
    }

    fn create(&self, request: Arc<Create>) -> BoxFuture<Result<Address, DriverError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.create(&request).await?) })
    }

    fn delete(&self, request: Arc<Delete>) -> BoxFuture<Result<(), DriverError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.delete(&request).await?) })
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
    ) -> Option<BoxFuture<Result<Option<Version>, String>>> {
        let mut command = match self.0.settings.commands.look(scale_set, instance) {
            Ok(command) => command?,
            Err(reason) => return Some(Box::pin(std::future::ready(Err(reason.to_string())))),
        };
        command.environment.extend(environment::of_instance(scale_set, instance));
        let shared = Arc::clone(&self.0);
        Some(Box::pin(async move { shared.look(command).await }))
    }
}

impl Shared {
    async fn apply(&self, request: &Ensure) -> Result<(), String> {
        self.persist((&request.scale_set, &request.instance.id), || self.attempt(request)).await
    }

    /// Tries until the site is not busy any more, or too long.
    pub(super) async fn persist<T, F>(
        &self,
        (scale_set, instance): (&ScaleSetName, &InstanceId),
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, String>
    where
        F: Future<Output = Result<Attempt<T>, String>>,
    {
        let mut backoff = self.timing.retry.of(&format!("{scale_set}/{instance}"));
        let mut over = pin!(tokio::time::sleep(self.settings.retry_for));
        loop {
            let reason = match attempt().await? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Busy(reason) => reason,
            };
            let delay = backoff.after_failure();
            tracing::info!(
                %scale_set, %instance, "busy: {reason}; trying again in {} s", delay.as_secs_f64()
            );
            tokio::select! {
                biased;
                () = &mut over => return Err(format!(
                    "still busy after {} s: {reason}", self.settings.retry_for.as_secs_f64()
                )),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn attempt(&self, request: &Ensure) -> Result<Attempt<()>, String> {
        let mut command = self.settings.commands.apply(request).map_err(|error| error.to_string())?;
        command.environment.extend(environment::of_request(request));
        let name = command.argv.first().cloned().unwrap_or_default();
        let limit = self.settings.timeout;
        let finished = self.run(command, Capture::Together, limit).await?;
        let how = ending(&finished, limit);
        let log = self.keep(
            &request.scale_set,
            &request.instance.id,
            &finished.output,
            &format!("operation {} to version {}: {how}", request.operation.0, request.version),
        );
        let reason = || format!("`{name}` {how}, {} ({log})", shown(&finished.output));
        match finished.status.and_then(|status| status.code()) {
            Some(0) => Ok(Attempt::Done(())),
            Some(EXIT_BUSY) => Ok(Attempt::Busy(reason())),
            Some(_) | None => Err(reason()),
        }
    }

    async fn look(&self, command: Command) -> Result<Option<Version>, String> {
        let name = command.argv.first().cloned().unwrap_or_default();
        let limit = self.settings.timeout.min(LOOK_TIMEOUT);
        let finished = self.run(command, Capture::Apart, limit).await?;
        match finished.status.and_then(|status| status.code()) {
            Some(0) => {
                let text = String::from_utf8_lossy(&finished.output);
                let version = Version::parse(text.trim());
                version.map(Some).map_err(|error| format!("`{name}` printed a version that {error}"))
            }
            Some(EXIT_UNKNOWN) => Ok(None),
            Some(_) | None => {
                Err(format!("`{name}` {}, {}", ending(&finished, limit), shown(&finished.errors)))
            }
        }
    }

    pub(super) async fn run(
        &self,
        command: Command,
        capture: Capture,
        limit: Duration,
    ) -> Result<Finished, String> {
        let program = command.resolve(&self.settings.search_path)?;
        // Never closed.
        let _permit = self.permits.acquire().await;
        let stop_timeout = self.timing.stop_timeout;
        self.runner.run(Job { program, command, capture, limit, stop_timeout }).await
    }

    /// Appends the output to the instance's log, and says where that is.
    pub(super) fn keep(
        &self,
        scale_set: &ScaleSetName,
        instance: &InstanceId,
        bytes: &[u8],
        title: &str,
    ) -> String {
        let path = output::log_path(&self.settings.log_dir, scale_set, instance);
        let written = output::open_log_for_start(&path).and_then(|(mut log, _)| {
            let mut text = format!("--- {title}\n").into_bytes();
            text.extend_from_slice(bytes);
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            log.write_all(&text).map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => path.display().to_string(),
            Err(error) => {
                tracing::warn!(path = %path.display(), "could not keep the output of a program: {error}");
                "not kept".to_owned()
            }
        }
    }
}

pub(super) fn ending(finished: &Finished, limit: Duration) -> String {
    match finished.status {
        Some(status) => describe(status),
        None => format!("did not end within {} s and was ended by force", limit.as_secs_f64()),
    }
}

pub(super) fn shown(bytes: &[u8]) -> String {
    let tail = output::in_one_line(bytes);
    if tail.is_empty() { "without output".to_owned() } else { format!("its output: {tail}") }
}
