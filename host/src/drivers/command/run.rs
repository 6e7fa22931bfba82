//! One instance reached by programs: what is run, what its end means, and when it is run again.
//!
//! Does not order anything; `site` does.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::error::{Ending, Log, ProgramError, Report};
use super::{CommandSettings, environment};
use crate::drivers::awake;
use crate::drivers::backoff::Backoff;
use crate::drivers::ends::End;
use crate::drivers::local::{Capture, Command, Finished, Job, RunError, Runner, output};
use crate::drivers::site::Reach;
use crate::drivers::words::Voice;
use crate::drivers::{BoxFuture, Create, Delete, Ensure};
use phasegate_core::domain::{
    Address, Component, Instance, InstanceId, OperationId, ScaleSetName, Seen, Version,
};

/// `EX_TEMPFAIL` of `sysexits.h`: not now, but later.
pub(super) const EXIT_BUSY: i32 = 75;

/// `EX_DATAERR`: failed, and nothing was touched.
const EXIT_UNTOUCHED: i32 = 65;

/// A program that looks cannot tell.
const EXIT_UNKNOWN: i32 = 3;

/// `EX_UNAVAILABLE`: a program that looks has found that nothing runs.
const EXIT_NOTHING: i32 = 69;

/// Longest run of a program that only looks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// What outlives SIGKILL for longer than that hangs in the kernel.
const GROUP_GONE: Duration = Duration::from_secs(10);

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
    stage: watch::Sender<Stage>,
}

/// Whether programs are begun that change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Working,
    /// What runs is waited for, and looked at afterwards.
    Finishing,
}

/// How one run of a program ended that did not fail.
pub(super) enum Attempt<T> {
    Done(T),
    Busy(Report),
}

impl Programs {
    pub(super) fn new(settings: CommandSettings, runner: Runner, timing: Timing) -> Self {
        let permits = Semaphore::new(settings.max_concurrent);
        let stage = watch::Sender::new(Stage::Working);
        Self(Arc::new(Shared { settings, runner, timing, permits, stage }))
    }

    /// No program that changes something begins any more.
    pub(super) fn finish(&self) {
        self.0.stage.send_replace(Stage::Finishing);
    }

    /// Ends all programs; the future ends when they are gone.
    pub(super) fn shutdown(&self) -> BoxFuture<()> {
        self.0.runner.shutdown()
    }
}

impl Reach for Programs {
    type Error = ProgramError;

    /// SIGTERM, SIGKILL, and a moment until the group is gone.
    fn end_within(&self) -> Duration {
        self.0.timing.stop_timeout + GROUP_GONE
    }

    fn apply(&self, request: Arc<Ensure>, end: End) -> BoxFuture<Result<(), ProgramError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.apply(&request, &end).await })
    }

    fn create(&self, request: Arc<Create>, end: End) -> BoxFuture<Result<Address, ProgramError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.create(&request, &end).await })
    }

    fn delete(&self, request: Arc<Delete>, end: End) -> BoxFuture<Result<(), ProgramError>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.delete(&request, &end).await })
    }

    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Option<BoxFuture<Result<Seen, ProgramError>>> {
        let mut command = match self.0.settings.commands.look(scale_set, instance, component) {
            Ok(command) => command?,
            Err(error) => return Some(Box::pin(std::future::ready(Err(error.into())))),
        };
        command.environment.extend(environment::of_instance(scale_set, instance));
        command.environment.insert("PHASEGATE_COMPONENT".to_owned(), component.to_string());
        let shared = Arc::clone(&self.0);
        Some(Box::pin(async move { shared.look(command).await }))
    }
}

impl Shared {
    async fn apply(&self, request: &Ensure, end: &End) -> Result<(), ProgramError> {
        let voice = self.voice((&request.scale_set, &request.instance.id), &request.operation);
        self.persist((&request.scale_set, &request.instance.id), (end, &voice), || {
            self.attempt(request, (end, &voice))
        })
        .await
    }

    pub(super) fn voice(&self, whom: (&ScaleSetName, &InstanceId), operation: &OperationId) -> Voice {
        self.settings.words.of(whom, operation)
    }

    /// Tries until the site is not busy any more, or too long.
    pub(super) async fn persist<T, F>(
        &self,
        (scale_set, instance): (&ScaleSetName, &InstanceId),
        (end, voice): (&End, &Voice),
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ProgramError>
    where
        F: Future<Output = Result<Attempt<T>, ProgramError>>,
    {
        let mut backoff = self.timing.retry.of(&format!("{scale_set}/{instance}"));
        let mut over = pin!(awake::sleep(self.settings.retry_for));
        loop {
            let report = match attempt().await? {
                Attempt::Done(value) => return Ok(value),
                Attempt::Busy(report) => report,
            };
            let delay = backoff.after_failure();
            voice.busy(&report.last_words()).await;
            tracing::info!(
                %scale_set, %instance, "busy: {report}; trying again in {} s", delay.as_secs_f64()
            );
            tokio::select! {
                biased;
                () = end.wanted() => return Err(ProgramError::EndedOnWish),
                () = self.finishes() => return Err(RunError::Ended.into()),
                () = &mut over => {
                    return Err(ProgramError::StillBusy { within: self.settings.retry_for, report });
                }
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn attempt(&self, request: &Ensure, heard: (&End, &Voice)) -> Result<Attempt<()>, ProgramError> {
        // They are there until the program has ended.
        let handed = self.settings.extensions.hand_out(request, &self.settings.settings_dir)?;
        let mut command = self.settings.commands.apply(request, handed.files())?;
        command.environment.extend(environment::of_request(request));
        command.environment.extend(environment::of_settings(handed.files()));
        let program = command.argv.first().cloned().unwrap_or_default();
        let finished = self.run(command, Capture::Together, self.settings.timeout, heard).await?;
        drop(handed);
        let how = Ending::of(&finished, self.settings.timeout);
        let title = format!("operation {} to version {}: {how}", request.operation.0, request.version);
        let log = self.keep(&request.scale_set, &request.instance.id, &finished.output, &title);
        let report = Report { program, how, output: finished.output, log: Some(log) };
        match how.code() {
            Some(0) => Ok(Attempt::Done(())),
            Some(EXIT_BUSY) => Ok(Attempt::Busy(report)),
            Some(EXIT_UNTOUCHED) => Err(ProgramError::Untouched(report)),
            Some(_) | None => Err(ProgramError::Failed(report)),
        }
    }

    async fn look(&self, command: Command) -> Result<Seen, ProgramError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let limit = self.settings.timeout.min(LOOK_TIMEOUT);
        let found = command.resolve(&self.settings.search_path)?;
        // Never closed.
        let _permit = self.permits.acquire().await;
        let finished = self.job((found, command), (Capture::Apart, limit), (&End::never(), None)).await?;
        let how = Ending::of(&finished, limit);
        match how.code() {
            Some(0) => {
                let text = String::from_utf8_lossy(&finished.output);
                if text.trim().is_empty() {
                    return Err(ProgramError::NoLine(program));
                }
                let version = Version::parse(text.trim());
                version.map(Seen::Version).map_err(|error| ProgramError::NoVersion { program, error })
            }
            Some(EXIT_NOTHING) => Ok(Seen::Nothing),
            Some(EXIT_UNKNOWN) => Ok(Seen::Unknown),
            Some(_) | None => {
                Err(ProgramError::Failed(Report { program, how, output: finished.errors, log: None }))
            }
        }
    }

    /// Runs a program that changes something: the end of the host waits for it.
    pub(super) async fn run(
        &self,
        command: Command,
        capture: Capture,
        limit: Duration,
        (end, voice): (&End, &Voice),
    ) -> Result<Finished, ProgramError> {
        let program = command.resolve(&self.settings.search_path)?;
        // Never closed.
        let _permit = tokio::select! {
            biased;
            () = end.wanted() => return Err(ProgramError::EndedOnWish),
            () = self.finishes() => return Err(RunError::Ended.into()),
            permit = self.permits.acquire() => permit,
        };
        self.job((program, command), (capture, limit), (end, Some(voice))).await
    }

    async fn job(
        &self,
        (program, command): (PathBuf, Command),
        (capture, limit): (Capture, Duration),
        (end, voice): (&End, Option<&Voice>),
    ) -> Result<Finished, ProgramError> {
        // It has had `server.stopTimeout` already when the host ends.
        let (stop_timeout, exit_timeout) = (self.timing.stop_timeout, self.timing.stop_timeout);
        let job = Job {
            program,
            command,
            capture,
            limit,
            stop_timeout,
            exit_timeout,
            end: end.clone(),
            voice: voice.cloned(),
        };
        Ok(self.runner.run(job).await?)
    }

    /// Ends when nothing is begun any more.
    async fn finishes(&self) {
        // The sender is part of this.
        _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Finishing).await;
    }

    /// Appends the output to the instance's log, and says where that is.
    pub(super) fn keep(
        &self,
        scale_set: &ScaleSetName,
        instance: &InstanceId,
        bytes: &[u8],
        title: &str,
    ) -> Log {
        let path = output::log_path(&self.settings.log_dir, scale_set, instance);
        let mut text = format!("--- {title}\n").into_bytes();
        text.extend_from_slice(bytes);
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        match output::append(&path, &text) {
            Ok(()) => Log::Kept(path),
            Err(error) => {
                tracing::warn!(path = %path.display(), "could not keep the output of a program: {error}");
                Log::NotKept
            }
        }
    }
}
