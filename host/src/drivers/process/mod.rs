//! The process driver: one local process per instance, started, kept running and ended here.
//!
//! Each process leads a group of its own, so that Ctrl-C at the host's terminal does not reach it
//! and everything that it starts ends with it. With `onExit = "stop"` no process outlives the host:
//! one that ends in good order stops them; one that is killed leaves it to the kernel (on Linux) and to
//! the guard. With `"leave"` each has a keeper, goes on whatever becomes of the host, and is adopted by
//! the next one.
//!
//! Does not judge health, does not retry an upgrade, and remembers nothing else across a restart of
//! the host.

mod child;
mod command;
pub mod config;
mod error;
mod instance;
mod keys;
pub mod leftovers;
mod ports;
mod short;
mod supervisor;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub use self::command::CommandLine;
pub use self::config::ProcessConfig;
use self::error::ProcessError;
use self::instance::{Answer, InstanceKey, Shared, Timing};
pub use self::keys::KIND;
use self::ports::Ports;
use self::supervisor::Request;
use super::backoff::Backoff;
use super::kind::StartDriverError;
use super::local::{GuardCommand, OwnThread, kept, output};
use super::{
    Again, BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, DriverNote, Ensure, Observe,
};
use crate::clock::Clock;
use phasegate_core::domain::{Address, Component, Instance, OperationId, Seen, Sight};

/// A new process must run this long before an ensure is done: long enough for a missing file or a
/// taken port to show, short enough not to slow an upgrade.
const SETTLE: Duration = Duration::from_millis(150);

/// Requests that may wait to be handed out; handing out does not block.
const INBOX_LEN: usize = 64;

/// What becomes of processes at the end of their host, however it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExit {
    /// They end with it.
    #[default]
    Stop,
    /// They go on, and the next host adopts them.
    Leave,
}

/// What a process driver needs to know.
pub struct ProcessSettings {
    /// What to run for an instance.
    pub commands: Box<dyn CommandLine>,
    /// The host's `PATH`, for commands that do not set it.
    pub search_path: OsString,
    /// Where the output of instances goes, as `<scale set>-<instance>.log`; created if need be.
    pub log_dir: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// Lowest and highest port for new instances; without them none can be created.
    pub surge_ports: Option<(u16, u16)>,
    /// Where it stands what processes that outlive their host are.
    pub kept: PathBuf,
    /// What becomes of processes at the end of the host.
    pub on_exit: OnExit,
    /// How to start the guard. Without one, processes of a killed host get only the kernel's
    /// SIGTERM, and what they started gets nothing.
    pub guard: Option<GuardCommand>,
}

/// Hands a request to the supervisor and waits for its answer.
async fn ask(
    inbox: mpsc::Sender<Request>,
    request: impl FnOnce(Answer) -> Request,
) -> Result<(), DriverError> {
    let ended = || DriverError::of_kind(ProcessError::Ended);
    let (answer, result) = oneshot::channel();
    inbox.send(request(answer)).await.map_err(|_| ended())?;
    result.await.unwrap_or_else(|_| Err(ended()))
}

/// What is kept running for an instance; a driver that has ended keeps nothing running.
async fn seen(inbox: mpsc::Sender<Request>, key: InstanceKey) -> Seen {
    let (answer, version) = oneshot::channel();
    if inbox.send(Request::Observe(key, answer)).await.is_err() {
        return Seen::Nothing;
    }
    version.await.ok().flatten().map_or(Seen::Nothing, Seen::Version)
}

/// Runs instances as local processes.
///
/// `ensure` first checks everything that can be checked; a command that cannot be executed is an
/// error that leaves the old process untouched. Then it stops the old process group, starts the
/// new process, and is done when that one still runs a moment later. When it does not, the upgrade
/// has failed and says why, but the *new* version stays the one to run: it is started again with a
/// growing delay, each exit with its note, and `observe` names it, until another `ensure` says
/// otherwise. So it does when the start itself fails after the old process was stopped.
///
/// Dropping the driver ends all processes by force and blocks until they are gone; those that are to outlive the host
/// go on.
#[derive(Debug)]
pub struct ProcessDriver {
    inbox: mpsc::Sender<Request>,
    ports: Option<Arc<Ports>>,
    thread: OwnThread,
}

impl ProcessDriver {
    /// Starts the supervisor thread and the guard. `notes` receives what happens to processes
    /// outside of any request; while it is full, restarts wait.
    ///
    /// # Errors
    /// When the log directory, the thread or the guard cannot be had.
    pub fn start(
        settings: ProcessSettings,
        notes: mpsc::Sender<DriverNote>,
    ) -> Result<Self, StartDriverError> {
        Self::start_with(settings, notes, Timing { settle: SETTLE, backoff: Backoff::PROCESS })
    }

    fn start_with(
        settings: ProcessSettings,
        notes: mpsc::Sender<DriverNote>,
        timing: Timing,
    ) -> Result<Self, StartDriverError> {
        let ProcessSettings {
            commands,
            search_path,
            log_dir,
            stop_timeout,
            surge_ports,
            kept,
            on_exit,
            guard,
        } = settings;
        kept::make_folder(&kept).map_err(|source| StartDriverError::LogDir { path: kept.clone(), source })?;
        // Absolute, because it is also shown to people who are elsewhere.
        let log_dir = output::make_folder(&log_dir)
            .and_then(|()| log_dir.canonicalize())
            .map_err(|source| StartDriverError::LogDir { path: log_dir, source })?;
        let (inbox, requests) = mpsc::channel(INBOX_LEN);
        let thread = OwnThread::start("processes", guard, move |guard, stage| {
            let clock = Clock::start();
            let shared = Shared {
                commands,
                search_path,
                log_dir,
                stop_timeout,
                timing,
                notes,
                guard,
                kept,
                on_exit,
                clock,
            };
            supervisor::supervise(shared, requests, stage)
        })
        .map_err(|source| StartDriverError::Thread { what: "the supervisor of processes", source })?;
        let ports = surge_ports.map(|range| Arc::new(Ports::new(range)));
        Ok(Self { inbox, ports, thread })
    }
}

impl Driver for ProcessDriver {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        let inbox = self.inbox.clone();
        Box::pin(async move {
            let key = (request.scale_set.clone(), request.instance.id.clone());
            ask(inbox.clone(), move |answer| Request::Ensure(Box::new(request), answer)).await?;
            Ok(seen(inbox, key).await)
        })
    }

    fn creation(&self) -> Creation {
        if self.ports.is_some() { Creation::Possible } else { Creation::NotTold }
    }

    /// Starts a process for a new instance, at a free port of the host where the replaced one is.
    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        let (inbox, ports) = (self.inbox.clone(), self.ports.clone());
        Box::pin(async move {
            let ports = ports.ok_or_else(|| DriverError::of_kind(ProcessError::NoPorts))?;
            let Create { scale_set, instance, replaces: _, version, taken, operation, fence } = request;
            let key = (scale_set.clone(), instance.id.clone());
            let host = instance.address.host.clone();
            let port = ports.take(&key, &host, &taken).await.map_err(DriverError::of_kind)?;
            let address = Address { host, port };
            let ensure = Ensure {
                scale_set,
                instance: Instance { address: address.clone(), ..instance },
                component: Component::Application,
                version,
                previous: None,
                again: Again::No,
                operation,
                fence,
            };
            ask(inbox.clone(), move |answer| Request::Ensure(Box::new(ensure), answer)).await?;
            Ok((address, seen(inbox, key).await))
        })
    }

    /// Ends the process group gracefully, then by force.
    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        let (inbox, ports) = (self.inbox.clone(), self.ports.clone());
        Box::pin(async move {
            let key = (request.scale_set.clone(), request.instance.id.clone());
            let fence = request.fence;
            let to = key.clone();
            ask(inbox, move |answer| Request::Delete(to, fence, answer)).await?;
            ports.iter().for_each(|ports| ports.release(&key));
            Ok(())
        })
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        let inbox = self.inbox.clone();
        let key = (question.scale_set.clone(), question.instance.id.clone());
        Box::pin(seen(inbox, key))
    }

    /// It knows what it keeps running, and is never asked in a rhythm.
    fn sight(&self) -> Sight {
        Sight::APPLICATION
    }

    /// What it does ends by itself: within the stop timeout of the old process and a moment for the new one.
    fn end(&self, _: &OperationId) {}

    fn custody(&self) -> Custody {
        Custody::Host
    }

    fn shutdown(&self) -> BoxFuture<()> {
        self.thread.shutdown()
    }
}
