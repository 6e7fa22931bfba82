//! One running process of an instance: starting it, waiting for it, ending it.

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;

use super::command::Prepared;
use super::group::{Group, KILL_WAIT};
use super::guard_link::GuardLink;
use super::output;
use crate::clock::Clock;
use crate::domain::Timestamp;

/// A process that was started, with the group of processes that it leads.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Group,
    /// What was started.
    pub(super) prepared: Prepared,
    /// When.
    pub(super) started_at: Timestamp,
    output_start: u64,
}

impl Running {
    /// Starts a process in a group of its own and tells the guard.
    ///
    /// Between the start and the word to the guard lie a few instructions of this thread; a host
    /// killed right there leaves it to the death signal to end the process.
    pub(super) fn spawn(prepared: Prepared, guard: &GuardLink, clock: &Clock) -> Result<Self, String> {
        let (log, output_start) = output::open_log_for_start(&prepared.log)?;
        let failed =
            |error: io::Error| format!("`{}` cannot be started: {error}", prepared.program.display());
        let mut command = tokio::process::Command::new(&prepared.program);
        if let Some((name, arguments)) = prepared.command.argv.split_first() {
            command.arg0(name).args(arguments);
        }
        command
            .envs(&prepared.command.environment)
            .current_dir(&prepared.command.working_dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        end_with_this_process(&mut command);
        let child = command.spawn().map_err(failed)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Group::new);
        let group = id.ok_or_else(|| failed(io::Error::other("it has no process id")))?;
        guard.add(group);
        Ok(Self { child, group, prepared, started_at: clock.now(), output_start })
    }

    /// The process id.
    pub(super) fn pid(&self) -> i32 {
        self.group.id()
    }

    /// Ends when the process does, and says how: "exited with code 1". Can be dropped and called
    /// again.
    pub(super) async fn exited(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("could not be waited for ({error})"),
        }
    }

    /// The last lines of its output as one line.
    pub(super) fn output_tail(&self) -> String {
        output::tail(&self.prepared.log, self.output_start)
    }

    /// Ends the process and its group: SIGTERM, and SIGKILL after the timeout or as soon as
    /// `forced` ends. Nothing of the group runs afterwards.
    ///
    /// # Errors
    /// When something of it outlives SIGKILL, which means that it hangs in the kernel.
    pub(super) async fn stop(
        &mut self,
        timeout: Duration,
        forced: impl Future<Output = ()>,
        guard: &GuardLink,
    ) -> Result<(), String> {
        let group = self.group;
        if self.is_collected() && !group.is_alive() {
            guard.remove(group);
            return Ok(());
        }
        group.terminate();
        tokio::select! {
            biased;
            () = self.gone() => {}
            () = ended_by_force(forced, timeout) => {
                // The number of a group that vanished just now may belong to someone else.
                if !self.is_collected() || group.is_alive() {
                    group.signal(Signal::KILL);
                }
                let waited = tokio::time::timeout(KILL_WAIT, self.gone()).await;
                waited.map_err(|_| format!("process group {} does not end, not even by force", group.id()))?;
            }
        }
        guard.remove(group);
        Ok(())
    }

    async fn gone(&mut self) {
        self.exited().await;
        self.group.gone().await;
    }

    /// Whether the first process was waited for, so that its number is no longer reserved.
    fn is_collected(&self) -> bool {
        self.child.id().is_none()
    }
}

async fn ended_by_force(forced: impl Future<Output = ()>, timeout: Duration) {
    tokio::select! {
        () = forced => {}
        () = tokio::time::sleep(timeout) => {}
    }
}

/// Makes the kernel send SIGTERM to the process when the spawning thread ends, however it ends.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the hook runs between fork and exec and makes only system calls")]
fn end_with_this_process(command: &mut tokio::process::Command) {
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        // The host may have died before the line above; then nobody will send the signal.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::Error::from(rustix::io::Errno::SRCH))
        }
    };
    // SAFETY: the hook neither allocates nor takes locks; it captures one number.
    unsafe { command.pre_exec(hook) };
}

/// Only Linux has such a signal; elsewhere the guard alone does this.
#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_: &mut tokio::process::Command) {}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}{}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match Signal::from_named_raw(signal) {
        Some(Signal::HUP) => " (SIGHUP)",
        Some(Signal::INT) => " (SIGINT)",
        Some(Signal::QUIT) => " (SIGQUIT)",
        Some(Signal::ILL) => " (SIGILL)",
        Some(Signal::ABORT) => " (SIGABRT)",
        Some(Signal::BUS) => " (SIGBUS)",
        Some(Signal::FPE) => " (SIGFPE)",
        Some(Signal::KILL) => " (SIGKILL)",
        Some(Signal::SEGV) => " (SIGSEGV)",
        Some(Signal::PIPE) => " (SIGPIPE)",
        Some(Signal::TERM) => " (SIGTERM)",
        Some(_) | None => "",
    }
}
