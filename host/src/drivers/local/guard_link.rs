//! The host's side of the guard: starting it, keeping it running, telling it the groups.
//!
//! Lives on one thread only, hence cells in place of locks. Never waits for the guard:
//! a guard that does not read is replaced.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::oneshot;

use super::group::Group;
use super::guard::{GUARD_COMMAND, GUARD_HOLDS_OPTION, GUARD_TIMEOUT_OPTION};
use crate::children::{self, OwnChild};
use crate::clock::Clock;
use crate::drivers::backoff::Backoff;

/// How long a guard with nothing left to guard may take to end.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// How to start a guard: a program that reads lines from its standard input as `guard` describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardCommand {
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl GuardCommand {
    /// The running program itself with [`GUARD_COMMAND`] as its first argument. It is found even
    /// after the file was replaced by a newer one, where the system allows that. It holds that file while it lives.
    ///
    /// # Errors
    /// When the system does not say which file this program is.
    pub fn of_this_program(stop_timeout: Duration, holds: &Path) -> io::Result<Self> {
        let alias = PathBuf::from("/proc/self/exe");
        let program = if alias.exists() { alias } else { std::env::current_exe()? };
        let timeout = stop_timeout.as_millis().to_string();
        Ok(Self {
            program,
            arguments: vec![
                GUARD_COMMAND.into(),
                GUARD_TIMEOUT_OPTION.into(),
                timeout.into(),
                GUARD_HOLDS_OPTION.into(),
                holds.into(),
            ],
        })
    }
}

/// What the guard knows, or will be told when there is one again.
#[derive(Debug, Default)]
pub(in crate::drivers) struct GuardLink(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    /// Its end is the guard's signal to act: closed only after the guard or all groups are gone.
    input: PipeWriter,
    pid: Pid,
    /// Nobody else collects it.
    _own: Option<OwnChild>,
}

impl GuardLink {
    /// A group exists now.
    pub(in crate::drivers) fn add(&self, group: Group) {
        let mut state = self.0.borrow_mut();
        state.groups.insert(group.id());
        state.tell('+', group.id());
    }

    /// A group is gone; its number may soon belong to someone else.
    pub(in crate::drivers) fn remove(&self, group: Group) {
        let mut state = self.0.borrow_mut();
        if state.groups.remove(&group.id()) {
            state.tell('-', group.id());
        }
    }

    /// Starts a guard and tells it all groups.
    pub(in crate::drivers) fn start(&self, command: &GuardCommand) -> io::Result<Child> {
        let (output, input) = io::pipe()?;
        rustix::fs::fcntl_setfl(&input, rustix::fs::OFlags::NONBLOCK)?;
        let mut program = tokio::process::Command::new(&command.program);
        program
            .arg0("phasegate")
            .args(&command.arguments)
            .stdin(output)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0);
        let (child, own) = children::spawn(&mut program)?;
        // The host must not hold the other end of the guard's input.
        drop(program);
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = id.ok_or_else(|| io::Error::other("the guard has no process id"))?;
        let mut state = self.0.borrow_mut();
        state.guard = Some(Guard { input, pid, _own: own });
        for group in state.groups.clone() {
            state.tell('+', group);
        }
        Ok(child)
    }

    /// The guard has ended and was waited for, or shall end.
    fn close(&self) {
        self.0.borrow_mut().guard = None;
    }

    fn is_guarding(&self) -> bool {
        !self.0.borrow().groups.is_empty()
    }
}

impl State {
    /// Writes a line. Short enough to be written whole or not at all. A guard that cannot take it
    /// is killed; the next one is told everything.
    fn tell(&mut self, sign: char, group: i32) {
        let Some(guard) = &mut self.guard else { return };
        if let Err(error) = guard.input.write_all(format!("{sign}{group}\n").as_bytes()) {
            tracing::warn!(%error, "the guard does not listen; replacing it");
            // Not yet waited for while it is in the state, so the number is still its own.
            _ = kill_process(guard.pid, Signal::KILL);
        }
    }
}

/// Replaces the guard whenever it ends, until `closing` ends; then lets it end.
pub(in crate::drivers) async fn keep_guard(
    link: Rc<GuardLink>,
    command: GuardCommand,
    mut guard: Child,
    mut closing: oneshot::Receiver<()>,
    clock: Clock,
) {
    let mut backoff = Backoff::GUARD;
    let mut started_at = clock.now();
    loop {
        tokio::select! {
            biased;
            _ = &mut closing => return let_end(&link, guard).await,
            _ = guard.wait() => link.close(),
        }
        tracing::warn!("the guard process ended; starting a new one");
        guard = loop {
            let delay = backoff.after_run(clock.now().since(started_at));
            tokio::select! {
                biased;
                _ = &mut closing => return,
                () = tokio::time::sleep(delay) => {}
            }
            started_at = clock.now();
            match link.start(&command) {
                Ok(guard) => break guard,
                Err(error) => tracing::warn!(%error, "the guard process cannot be started"),
            }
        };
    }
}

async fn let_end(link: &GuardLink, mut guard: Child) {
    let busy = link.is_guarding();
    link.close();
    // One that still has groups to end takes its time and needs nobody.
    if !busy && tokio::time::timeout(CLOSE_WAIT, guard.wait()).await.is_err() {
        _ = guard.kill().await;
    }
}
