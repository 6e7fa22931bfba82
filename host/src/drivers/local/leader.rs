//! A program that leads a group of processes: starting it, waiting for it, ending all of them.
//!
//! Does not choose the program, and does not touch its output.

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;

use super::error::StillAliveError;
use super::group::{Group, KILL_WAIT};
use super::guard_link::GuardLink;
use crate::children::{self, OwnChild};

/// A running program with its group.
#[derive(Debug)]
pub(in crate::drivers) struct Leader {
    child: Child,
    group: Group,
    /// Nobody else collects it.
    _own: Option<OwnChild>,
}

impl Leader {
    /// Starts a program in a group of its own, without input, and tells the guard.
    ///
    /// Between the start and the word to the guard lie a few instructions of this thread; a host
    /// killed right there leaves it to the death signal to end the program.
    pub(in crate::drivers) fn spawn(
        command: &mut tokio::process::Command,
        guard: &GuardLink,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        end_with_this_process(command);
        let (child, own) = children::spawn(command)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Group::new);
        let group = id.ok_or_else(|| io::Error::other("it has no process id"))?;
        guard.add(group);
        Ok(Self { child, group, _own: own })
    }

    /// Its process id, which is also the id of the group.
    pub(in crate::drivers) fn id(&self) -> i32 {
        self.group.id()
    }

    /// Ends when the program does. Can be dropped and called again.
    pub(in crate::drivers) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the program and its group: SIGTERM, and SIGKILL after the timeout or as soon as
    /// `forced` ends. Nothing of the group runs afterwards.
    ///
    /// # Errors
    /// When something of it outlives SIGKILL, which means that it hangs in the kernel.
    pub(in crate::drivers) async fn stop(
        &mut self,
        timeout: Duration,
        forced: impl Future<Output = ()>,
        guard: &GuardLink,
    ) -> Result<(), StillAliveError> {
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
                waited.map_err(|_| StillAliveError(group.id()))?;
            }
        }
        guard.remove(group);
        Ok(())
    }

    async fn gone(&mut self) {
        // One that cannot be waited for is looked for in its group.
        _ = self.exited().await;
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

/// How a program ended, for people: "exited with code 1".
pub(in crate::drivers) fn describe(status: ExitStatus) -> String {
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
