//! A program that leads a group of processes: starting it, waiting for it, ending all of them.
//!
//! Does not choose the program, and does not touch its output.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Child;

use super::command::Command;
use super::error::StillAliveError;
use super::group::{Group, KILL_WAIT};
use super::guard_link::GuardLink;
use super::keeper::KEEP_COMMAND;
use super::kept::{About, Kept};
use super::watched::Watched;
use crate::children::{self, OwnChild};

/// A running program with its group.
#[derive(Debug)]
pub(in crate::drivers) struct Leader {
    body: Body,
    group: Group,
}

/// How its end is noticed.
#[derive(Debug)]
enum Body {
    /// A child of this host.
    Child {
        child: Child,
        /// Nobody else collects it.
        _own: Option<OwnChild>,
    },
    /// It has a keeper, and outlives this host.
    Kept(Watched),
}

/// A keeper that was started and has not said yet which process it keeps.
#[derive(Debug)]
pub(in crate::drivers) struct Starting {
    said: pipe::Receiver,
    record: PathBuf,
}

/// How long what a program has started may take to leave its group once the program has ended by itself: a daemon that
/// forks calls `setsid` only then.
const LEAVES_WITHIN: Duration = Duration::from_millis(500);

/// Longest wait for the word of a keeper; a busy machine may need a while to start two programs.
const KEEPER_SAYS_WITHIN: Duration = Duration::from_secs(20);

/// Longest word of a keeper.
const WORD_MAX: u64 = 1024;

impl Starting {
    /// The process that it keeps, once it runs.
    pub(in crate::drivers) async fn begun(self) -> io::Result<Leader> {
        let mut word = String::new();
        let mut said = BufReader::new(self.said.take(WORD_MAX));
        tokio::time::timeout(KEEPER_SAYS_WITHIN, said.read_line(&mut word))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "its keeper says nothing"))??;
        let word = word.trim();
        if let Some(error) = word.strip_prefix("error ") {
            let (number, text) = error.split_once(' ').unwrap_or((error, ""));
            let number = number.parse().ok().filter(|number| *number != 0);
            return Err(
                number.map_or_else(|| io::Error::other(text.to_owned()), io::Error::from_raw_os_error)
            );
        }
        let kept = Kept::read(&self.record)?;
        if word.parse() != Ok(kept.pid) {
            return Err(io::Error::other(format!(
                "its keeper says `{word}`, and its file process {}",
                kept.pid
            )));
        }
        Leader::adopt(&kept, &self.record)?.ok_or_else(|| io::Error::other("it has no process id"))
    }
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
        Ok(Self { body: Body::Child { child, _own: own }, group })
    }

    /// Starts a keeper for a program that is to outlive this host; both streams go where the command says.
    pub(in crate::drivers) fn keep(
        (command, program): (&Command, &Path),
        log: std::fs::File,
        about: &About,
        record: &Path,
    ) -> io::Result<Starting> {
        let (said, word) = io::pipe()?;
        let own = PathBuf::from("/proc/self/exe");
        let mut keeper = tokio::process::Command::new(&own);
        keeper.arg0("phasegate").arg(KEEP_COMMAND).arg("--record").arg(record);
        keeper.arg("--about").arg(serde_json::to_string(about)?).arg("--program").arg(program).arg("--");
        keeper.args(command.argv.iter().map(OsString::from));
        keeper.envs(&command.environment).current_dir(&command.working_dir);
        keeper.stdin(word).stdout(log.try_clone()?).stderr(log);
        in_a_session_of_its_own(&mut keeper);
        let (_, _own) = children::spawn(&mut keeper)?;
        // The end of the word is that of the keeper's end of the pipe.
        drop(keeper);
        let said = pipe::Receiver::from_owned_fd(said.into())?;
        Ok(Starting { said, record: record.to_owned() })
    }

    /// One that runs, whoever started it; none when it has ended.
    pub(in crate::drivers) fn adopt(kept: &Kept, record: &Path) -> io::Result<Option<Self>> {
        let Some(group) = kept.group() else { return Ok(None) };
        let watched = Watched::new(kept, record)?;
        Ok(Some(Self { body: Body::Kept(watched), group }))
    }

    /// The guard ends it when this host is killed.
    pub(in crate::drivers) fn guarded(&self, guard: &GuardLink) {
        guard.add(self.group);
    }

    /// Its process id, which is also the id of the group.
    pub(in crate::drivers) fn id(&self) -> i32 {
        self.group.id()
    }

    /// Ends when the program does. Can be dropped and called again.
    pub(in crate::drivers) async fn exited(&mut self) -> io::Result<ExitStatus> {
        match &mut self.body {
            Body::Child { child, .. } => child.wait().await,
            Body::Kept(watched) => watched.ended().await,
        }
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
        if self.is_collected() {
            // A daemon leaves the group a moment after its parent has ended.
            let left = tokio::time::timeout(LEAVES_WITHIN, group.gone()).await;
            if left.is_ok() {
                self.forget(guard);
                return Ok(());
            }
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
        self.forget(guard);
        Ok(())
    }

    /// Nothing of it is left to guard or to adopt.
    fn forget(&self, guard: &GuardLink) {
        guard.remove(self.group);
        if let Body::Kept(watched) = &self.body {
            watched.forget();
        }
    }

    async fn gone(&mut self) {
        // One that cannot be waited for is looked for in its group.
        _ = self.exited().await;
        self.group.gone().await;
    }

    /// Whether the first process was waited for, so that its number is no longer reserved.
    fn is_collected(&self) -> bool {
        match &self.body {
            Body::Child { child, .. } => child.id().is_none(),
            Body::Kept(watched) => watched.has_ended(),
        }
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

/// So that neither the end of the terminal nor a signal for its processes reaches it.
#[expect(unsafe_code, reason = "the hook runs between fork and exec and makes one system call")]
fn in_a_session_of_its_own(command: &mut tokio::process::Command) {
    let hook = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: the hook neither allocates nor takes locks, and captures nothing.
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
