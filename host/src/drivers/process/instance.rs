//! One instance: at most one process group at a time, kept running.
//!
//! ```text
//!            ensure                    exits by itself
//!   Idle ──────────────> Running ─────────────────────────> Waiting
//!     ^  stop old,          ^                                  │
//!     │  start new          └────── delay over, or ensure ─────┘
//!     └── only before the first ensure, and at the end
//! ```
//!
//! Requests are worked off one after the other, so that two processes of one instance never
//! overlap. Whether a version is good is not judged here, beyond that its process stays.

use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

use super::OnExit;
use super::child::Running;
use super::command::{CommandLine, Prepared};
use super::error::ProcessError;
use super::short::while_short;
use crate::clock::Clock;
use crate::drivers::backoff::{Backoff, in_seconds};
use crate::drivers::local::kept::{self, Kept};
use crate::drivers::local::{GuardLink, Leader, Stage, describe, listener, output, reached};
use crate::drivers::{Again, DriverError, DriverNote, Ensure, ProcessState};
use phasegate_core::domain::{InstanceId, OperationId, ScaleSetName, Version};

/// Which instance.
pub(super) type InstanceKey = (ScaleSetName, InstanceId);

/// Where the result of an ensure goes.
pub(super) type Answer = oneshot::Sender<Result<(), DriverError>>;

/// What an instance is told.
pub(super) enum Order {
    /// See `Driver::ensure`.
    Ensure(Box<Ensure>, Answer),
    /// See `Driver::delete`: ends the task.
    Delete(Answer),
}

/// The way to an instance's task.
pub(super) struct Handle {
    pub(super) requests: mpsc::Sender<Order>,
    pub(super) observed_version: watch::Receiver<Option<Version>>,
}

/// The times that tests shorten or stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// A new process must run this long before an ensure is done.
    pub(super) settle: Duration,
    /// Between an exit and the next start.
    pub(super) backoff: Backoff,
}

/// What all instances have in common.
pub(super) struct Shared {
    pub(super) commands: Box<dyn CommandLine>,
    pub(super) search_path: std::ffi::OsString,
    pub(super) log_dir: PathBuf,
    pub(super) stop_timeout: Duration,
    pub(super) timing: Timing,
    pub(super) notes: mpsc::Sender<DriverNote>,
    pub(super) guard: Rc<GuardLink>,
    /// Where it stands what processes that outlive their host are.
    pub(super) kept: PathBuf,
    /// What becomes of processes at the end of the host.
    pub(super) on_exit: OnExit,
    pub(super) clock: Clock,
}

/// Body of an instance's task: ends when the stage says so, and leaves nothing running.
pub(super) async fn supervise_instance(
    shared: Rc<Shared>,
    key: InstanceKey,
    mut inbox: mpsc::Receiver<Order>,
    observed_version: watch::Sender<Option<Version>>,
    stage: watch::Receiver<Stage>,
) {
    let mut stopping = stage.clone();
    let backoff = shared.timing.backoff.of(&format!("{key:?}"));
    let mut task =
        Task { shared, key, observed_version, stage, wanted: None, done: None, life: Life::New, backoff };
    loop {
        tokio::select! {
            biased;
            () = reached(&mut stopping, Stage::Ending) => break,
            request = inbox.recv() => match request {
                Some(Order::Ensure(request, answer)) => {
                    _ = answer.send(task.ensure(*request).await.map_err(told));
                }
                Some(Order::Delete(answer)) => {
                    let stopped = task.stop().await;
                    let is_over = stopped.is_ok();
                    if is_over {
                        // Whoever asks again finds that it is gone.
                        inbox.close();
                    }
                    _ = answer.send(stopped.map_err(DriverError::of_kind));
                    if is_over {
                        return;
                    }
                }
                None => break,
            },
            event = task.life.next() => match event {
                Event::Exited(how) => task.after_exit(&how).await,
                Event::Due => task.restart().await,
            },
        }
    }
    if task.shared.on_exit == OnExit::Leave {
        return;
    }
    if let Err(error) = task.stop().await {
        tracing::warn!(scale_set = %task.key.0, instance = %task.key.1, %error, "left behind");
    }
}

/// What cannot even be started leaves what runs as it is.
fn told(error: ProcessError) -> DriverError {
    match error {
        ProcessError::NotPrepared(error) => DriverError::untouched(*error),
        other => DriverError::of_kind(other),
    }
}

/// How often the log of a running process is looked at.
const LOG_LOOK_EVERY: Duration = Duration::from_secs(1);

enum Life {
    /// A host before this one may have left a process.
    New,
    Idle,
    Running(Box<Running>),
    Waiting(Pin<Box<Sleep>>),
}

enum Event {
    Exited(String),
    Due,
}

impl Life {
    async fn next(&mut self) -> Event {
        match self {
            Self::New | Self::Idle => std::future::pending().await,
            Self::Running(running) => loop {
                match tokio::time::timeout(LOG_LOOK_EVERY, running.exited()).await {
                    Ok(how) => return Event::Exited(how),
                    Err(_) => {
                        if let Err(error) = running.written.keep_small() {
                            tracing::debug!(log = %running.log.display(), %error, "could not be cut");
                        }
                    }
                }
            },
            Self::Waiting(delay) => {
                delay.await;
                Event::Due
            }
        }
    }
}

/// Who keeps the port of an instance although its process has been stopped: it would answer for the one to come.
async fn still_held(prepared: &Prepared) -> Option<listener::Holder> {
    const LOOKS: u32 = 10;
    let mut holder = None;
    for _ in 0..LOOKS {
        holder = listener::holder(prepared.port, &prepared.mark);
        holder.as_ref()?;
        tokio::time::sleep(PORT_LOOK_EVERY).await;
    }
    holder
}

/// What was told to end may take a moment to let go.
const PORT_LOOK_EVERY: Duration = Duration::from_millis(100);

struct Task {
    shared: Rc<Shared>,
    key: InstanceKey,
    observed_version: watch::Sender<Option<Version>>,
    stage: watch::Receiver<Stage>,
    /// What is kept running.
    wanted: Option<Ensure>,
    /// The last operation that succeeded.
    done: Option<OperationId>,
    life: Life,
    backoff: Backoff,
}

impl Task {
    async fn ensure(&mut self, request: Ensure) -> Result<(), ProcessError> {
        if self.done.as_ref() == Some(&request.operation) {
            return Ok(());
        }
        let operation = request.operation.clone();
        if matches!(self.life, Life::New) {
            self.adopt(&request).await;
        }
        let same_version = self.wanted.as_ref().is_some_and(|wanted| wanted.version == request.version);
        let same_place =
            self.wanted.as_ref().is_some_and(|wanted| wanted.instance.address == request.instance.address);
        let stays = same_version && same_place && request.again == Again::No;
        if !(stays && matches!(self.life, Life::Running(_))) {
            let prepared = while_short(self.stage.clone(), || self.prepare(&request)).await;
            let prepared = prepared.map_err(|error| ProcessError::NotPrepared(Box::new(error)))?;
            self.stop().await?;
            if !same_version {
                self.backoff.reset();
            }
            self.observed_version.send_replace(Some(request.version.clone()));
            self.wanted = Some(request);
            self.start(prepared).await?;
        }
        self.settle().await?;
        self.done = Some(operation);
        Ok(())
    }

    /// Everything that can be found out without touching the running process.
    fn prepare(&self, request: &Ensure) -> Result<Prepared, ProcessError> {
        let Shared { commands, search_path, log_dir, .. } = &*self.shared;
        let mut command = commands.render(&request.scale_set, &request.instance, &request.version)?;
        let mark = format!("{}/{}", request.scale_set, request.instance.id);
        command.environment.insert(listener::INSTANCE.to_owned(), mark.clone());
        let program = command.resolve(search_path)?;
        let log = output::log_path(log_dir, &request.scale_set, &request.instance.id);
        let port = request.instance.address.port;
        Ok(Prepared { program, command, log, version: request.version.clone(), mark, port })
    }

    /// Takes over what a host before this one has left running, whatever version that is; says how it ended if it has.
    async fn adopt(&mut self, request: &Ensure) {
        self.life = Life::Idle;
        let record = kept::path(&self.shared.kept, &self.key.0, &self.key.1);
        let kept = match Kept::read(&record) {
            Ok(kept) => kept,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(file = %record.display(), %error, "what a host before this one has left is not known");
                return;
            }
        };
        let version = kept.about.version.clone();
        let log = output::log_path(&self.shared.log_dir, &self.key.0, &self.key.1);
        match Leader::adopt(&kept, &record) {
            Ok(Some(leader)) if kept.is_alive() => {
                let running = Running::adopted(leader, &kept, log, &self.shared.clock);
                if self.shared.on_exit == OnExit::Stop {
                    running.guarded(&self.shared.guard);
                }
                let (scale_set, instance) = &self.key;
                tracing::info!(%scale_set, %instance, "adopted process {} of version {version}", kept.pid);
                self.observed_version.send_replace(Some(version.clone()));
                let mut wanted = Ensure { version, ..request.clone() };
                if let Some(port) = kept.about.port {
                    wanted.instance.address.port = port;
                }
                self.wanted = Some(wanted);
                self.life = Life::Running(Box::new(running));
            }
            Ok(_) => {
                let how = kept.exit().map_or_else(|| "ended, nobody saw how,".to_owned(), describe);
                let text = format!("process {} of version {version} {how} while no host watched", kept.pid);
                self.note(ProcessState::Exited, text).await;
                _ = std::fs::remove_file(record);
            }
            Err(error) => {
                tracing::warn!(file = %record.display(), %error, "cannot adopt process {}", kept.pid)
            }
        }
    }

    /// Ends what runs. On an error it is still held, for another try.
    async fn stop(&mut self) -> Result<(), ProcessError> {
        if let Life::Running(running) = &mut self.life {
            let forced = reached(&mut self.stage, Stage::Forced);
            running.stop(self.shared.stop_timeout, forced, &self.shared.guard).await?;
        }
        self.life = Life::Idle;
        Ok(())
    }

    /// Starts a process where none runs; a failure is tried again later.
    async fn start(&mut self, prepared: Prepared) -> Result<(), ProcessError> {
        // What is to outlive the host is not left without a process because that ends.
        if *self.stage.borrow() > Stage::Running && self.shared.on_exit == OnExit::Stop {
            return Err(ProcessError::Ending);
        }
        if let Some(holder) = still_held(&prepared).await {
            let Prepared { port, .. } = prepared;
            let held = ProcessError::PortHeld { port, pid: holder.pid, command: holder.command };
            return Err(self.retry_later(held).await);
        }
        match self.spawn(&prepared).await {
            Ok(running) => {
                self.life = Life::Running(Box::new(running));
                Ok(())
            }
            Err(error) => Err(self.retry_later(error).await),
        }
    }

    async fn spawn(&self, prepared: &Prepared) -> Result<Running, ProcessError> {
        let Shared { guard, clock, kept, on_exit, .. } = &*self.shared;
        let stage = self.stage.clone();
        match on_exit {
            OnExit::Stop => while_short(stage, || Running::spawn(prepared.clone(), guard, clock)).await,
            OnExit::Leave => {
                let coming = || Running::keep(prepared.clone(), &self.key, kept);
                while_short(stage, coming).await?.begun(clock).await
            }
        }
    }

    /// Waits until the process has run for the settle time.
    async fn settle(&mut self) -> Result<(), ProcessError> {
        let Life::Running(running) = &mut self.life else { return Ok(()) };
        let ran = self.shared.clock.now().since(running.started_at);
        let how = tokio::select! {
            biased;
            how = running.exited() => how,
            () = tokio::time::sleep(self.shared.timing.settle.saturating_sub(ran)) => return Ok(()),
            () = reached(&mut self.stage, Stage::Ending) => return Err(ProcessError::Ending),
        };
        let (pid, output) = (running.pid(), running.output_tail());
        let (version, log) = (running.version.clone(), running.log.clone());
        self.after_exit(&how).await;
        Err(ProcessError::EndedAtOnce { pid, version, how, output, log })
    }

    /// The process ended by itself: the rest of its group follows, and later a new one comes.
    async fn after_exit(&mut self, how: &str) {
        let Life::Running(running) = &self.life else { return };
        let ran = self.shared.clock.now().since(running.started_at);
        let delay = self.backoff.after_run(ran);
        let version = &running.version;
        let output = running.output_tail();
        let said = if output.is_empty() { String::new() } else { format!(", its output: {output}") };
        let text = format!(
            "process {} of version {version} {how}{said}; restarting in {}",
            running.pid(),
            in_seconds(delay)
        );
        self.note(ProcessState::Exited, text).await;
        if let Err(error) = self.stop().await {
            tracing::warn!(scale_set = %self.key.0, instance = %self.key.1, %error, "restarting nevertheless");
        }
        self.life = Life::Waiting(Box::pin(tokio::time::sleep(delay)));
    }

    async fn restart(&mut self) {
        let Some(wanted) = &self.wanted else { return };
        let prepared = match self.prepare(wanted) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.retry_later(error).await;
                return;
            }
        };
        let version = prepared.version.clone();
        if self.start(prepared).await.is_err() {
            return;
        }
        if let Life::Running(running) = &self.life {
            let text = format!("process {} runs version {version} again", running.pid());
            self.note(ProcessState::Restarted, text).await;
        }
    }

    /// Plans another start after one that did not even bring a process; says so.
    async fn retry_later(&mut self, error: ProcessError) -> ProcessError {
        let delay = self.backoff.after_run(Duration::ZERO);
        self.life = Life::Waiting(Box::pin(tokio::time::sleep(delay)));
        let error = ProcessError::TriedAgain { error: Box::new(error), delay };
        self.note(ProcessState::Exited, error.to_string()).await;
        error
    }

    /// Waits for room, unless the driver is ending: its owner may have stopped reading.
    async fn note(&mut self, state: ProcessState, text: String) {
        let (scale_set, instance) = self.key.clone();
        let note = DriverNote { scale_set, instance, at: self.shared.clock.now(), state, text };
        tokio::select! {
            biased;
            _ = self.shared.notes.send(note) => {}
            () = reached(&mut self.stage, Stage::Ending) => {}
        }
    }
}
