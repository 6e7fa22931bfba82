//! A source that is a program on the host: what it prints is the answer.
//!
//! It runs in a group of its own, at `/`, with nothing on its input and nothing of the host's environment. When it is
//! over, out of time, or not wanted any more, everything of its group is ended, and whoever left the group and still
//! holds its output, too. A host that is killed can end nobody any more: the next one on the machine does. Runs no
//! shell, and keeps nothing between two runs.

use std::convert::Infallible;
use std::io;
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Outcome, facts};
use crate::children;
use crate::net::placed::in_text;
use crate::net::shortage::shortage;
use crate::net::text::{io_text, one_line};
use crate::probe::Target;
use crate::probe::failure::ProbeError;
use phasegate_core::domain::source::{ExecSource, SOURCE_PATH};
use phasegate_core::domain::{ProbeFailure, Response, Shortage};

/// Most programs at once, over all scale sets: a machine that runs a fleet's probes has other things to do.
const AT_ONCE: usize = 16;

/// By what a program of ours is known that has left its group: it inherits this.
const MARK: &str = "PHASEGATE_SOURCE";

/// How long an output is read on when the group is gone. Only who has left the group holds it then.
const DRAIN: Duration = Duration::from_millis(250);

/// How much of what goes to standard error is kept.
const ERRORS_MAX: usize = 1024;

/// Status of a program that ended with 0, and of one that ended with another code.
const STATUS_DONE: u16 = 200;
const STATUS_FAILED: u16 = 500;

static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE));

static RUNS: AtomicU64 = AtomicU64::new(0);

/// Waits until one more program may run. No part of the program's own time: that others take long is not its fault.
pub(super) async fn room() -> Option<SemaphorePermit<'static>> {
    // Never closed.
    ROOM.acquire().await.ok()
}

/// Ends the group when it is dropped, however the run ends.
struct Group {
    id: Option<Pid>,
    mark: String,
}

impl Group {
    /// Ends whoever is in the group; afterwards its number may be somebody else's.
    fn end(&mut self) {
        if let Some(id) = self.id.take() {
            // Refused only when nobody is left.
            _ = kill_process_group(id, Signal::KILL);
        }
    }

    /// Ends those that have left the group; a look through all processes, for the rare case alone.
    fn end_strays(&self) {
        for (pid, _) in marked().filter(|(_, mark)| *mark == self.mark) {
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Still there: it was cut off, and nobody has looked whether its output is held.
        if self.id.is_some() {
            self.end();
            self.end_strays();
        }
    }
}

/// Ends programs whose host is gone without having ended them, and all of this one, which ends.
pub(super) fn end_what_was_left() {
    let ours = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    // A host of its own that runs beside this one keeps what it has begun.
    let is_gone = |host: &str| match std::fs::read_to_string(format!("/proc/{host}/comm")) {
        Ok(name) => !name.starts_with(ours.trim_end()) || host == std::process::id().to_string(),
        Err(_) => true,
    };
    for (pid, mark) in marked() {
        if mark.split_once('-').is_some_and(|(host, _)| is_gone(host)) {
            tracing::info!("process {pid}, the program of a source, is ended: its host is gone, or goes");
            _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Processes that carry a mark, and which.
fn marked() -> impl Iterator<Item = (Pid, String)> {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let mut all = environment.split(|byte| *byte == 0);
        let mark = all.find_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
        Some((pid, String::from_utf8_lossy(mark).into_owned()))
    })
}

/// Runs the program to its end.
pub(super) async fn run(source: &ExecSource, body_max: usize, target: &Target) -> Outcome {
    let texts: Vec<String> = source.command.iter().map(|text| in_text(text, facts(target))).collect();
    let Some((program, arguments)) = texts.split_first() else {
        return Err(unreachable("there is no program to run"));
    };
    // Unlike any of a host before this one, too.
    let mark = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", SOURCE_PATH)
        .envs(source.environment.iter().map(|(name, text)| (name, in_text(text, facts(target)))))
        .env(MARK, &mark)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let started = children::spawn(&mut command);
    let (mut child, _own) = started.map_err(|error| match shortage(&error).or_else(|| busy(&error)) {
        Some(short_of) => ProbeError::Host(short_of),
        None => unreachable(&format!("`{program}` cannot be started: {}", io_text(&error))),
    })?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group { id, mark };
    let mut output = Kept::new(body_max);
    let mut errors = Kept::new(ERRORS_MAX);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let status = tokio::select! {
        biased;
        () = output.flooded(stdout.as_mut()) => {
            return Err(ProbeFailure::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX)).into());
        }
        never = errors.all(stderr.as_mut()) => match never {},
        status = child.wait() => status,
    };
    group.end();
    let drained = async {
        output.rest(stdout.as_mut()).await;
        errors.rest(stderr.as_mut()).await;
    };
    if timeout(DRAIN, drained).await.is_err() {
        group.end_strays();
    }
    if output.is_over() {
        return Err(ProbeFailure::BodyTooLarge(u64::try_from(body_max).unwrap_or(u64::MAX)).into());
    }
    let status = status.map_err(|error| unreachable(&format!("`{program}`: {}", io_text(&error))))?;
    let Some(code) = status.code() else {
        let why = format!("`{program}` was ended: {status}");
        return Err(ProbeFailure::InvalidResponse(one_line(&why)).into());
    };
    let mut headers = vec![("exit-code".to_owned(), code.to_string())];
    let said = one_line(String::from_utf8_lossy(&errors.bytes).trim());
    if !said.is_empty() {
        headers.push(("stderr".to_owned(), said));
    }
    let status = if code == 0 { STATUS_DONE } else { STATUS_FAILED };
    Ok(Response { status, headers, body: output.bytes })
}

fn unreachable(text: &str) -> ProbeError {
    ProbeFailure::Unreachable(one_line(text)).into()
}

/// The system has no process left.
fn busy(error: &io::Error) -> Option<Shortage> {
    (error.kind() == io::ErrorKind::WouldBlock).then_some(Shortage::Memory)
}

/// The beginning of what comes out of a pipe.
struct Kept {
    bytes: Vec<u8>,
    all: usize,
    max: usize,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), all: 0, max }
    }

    fn is_over(&self) -> bool {
        self.all > self.max
    }

    /// Reads once; gives whether there was anything.
    async fn read(&mut self, pipe: &mut (impl AsyncRead + Unpin)) -> bool {
        let mut buffer = [0; 8 * 1024];
        let Ok(count @ 1..) = pipe.read(&mut buffer).await else { return false };
        let room = self.max.saturating_sub(self.bytes.len());
        self.bytes.extend(buffer.iter().take(count.min(room)));
        self.all += count;
        true
    }

    /// Ends when too much has come, and never otherwise.
    async fn flooded(&mut self, pipe: Option<&mut (impl AsyncRead + Unpin)>) {
        if let Some(pipe) = pipe {
            while self.read(pipe).await {
                if self.is_over() {
                    return;
                }
            }
        }
        std::future::pending().await
    }

    /// Never ends; what is too much is thrown away.
    async fn all(&mut self, pipe: Option<&mut (impl AsyncRead + Unpin)>) -> Infallible {
        self.rest(pipe).await;
        std::future::pending().await
    }

    /// Reads up to the end; keeps no more than its limit.
    async fn rest(&mut self, pipe: Option<&mut (impl AsyncRead + Unpin)>) {
        if let Some(pipe) = pipe {
            while self.read(pipe).await {}
        }
    }
}
