//! Runs a program once, to its end: what it prints, and how it ended.
//!
//! It runs in a group of its own, at `/`, with nothing on its input and nothing of the host's environment. When it is
//! over, or not wanted any more, everything of its group is ended, and whoever left the group and still holds its
//! output, too. A host that is killed can end nobody any more: the next one on the machine does. Runs no shell, and
//! keeps nothing between two runs.

use std::convert::Infallible;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::children;

/// By what a program of ours is known that has left its group: it inherits this.
const MARK: &str = "PHASEGATE_SOURCE";

/// How long an output is read on when the group is gone. Only who has left the group holds it then.
const DRAIN: Duration = Duration::from_millis(250);

/// How much of what goes to standard error is kept, in bytes.
const ERRORS_MAX: usize = 4 * 1024;

static RUNS: AtomicU64 = AtomicU64::new(0);

/// What is run.
#[derive(Debug)]
pub struct Program<'a> {
    /// Its file, or a name that `PATH` in `environment` has.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// All that it finds in its environment, beside its mark.
    pub environment: Vec<(String, String)>,
    /// Most bytes that it may print; none where nobody reads them.
    pub output_max: Option<usize>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub output: Vec<u8>,
    /// The beginning of what it wrote to standard error.
    pub errors: Vec<u8>,
}

/// Why a program was not run to its end.
#[derive(Debug)]
pub enum RunError {
    /// The system does not start it.
    NotStarted(io::Error),
    /// It has printed more than it may.
    Flooded,
    /// Nobody knows how it ended.
    Wait(io::Error),
}

/// Runs a program to its end. Where this is dropped before, it is ended with all that it has started.
///
/// # Errors
/// When it cannot be started or waited for, or prints too much.
pub async fn run(what: Program<'_>) -> Result<Ran, RunError> {
    let Program { program, arguments, environment, output_max } = what;
    // Unlike any of a host before this one, too.
    let mark = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .env(MARK, &mark)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(if output_max.is_some() { Stdio::piped() } else { Stdio::null() })
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let (mut child, _own) = children::spawn(&mut command).map_err(RunError::NotStarted)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group { id, mark };
    let mut output = Kept::new(output_max.unwrap_or(0));
    let mut errors = Kept::new(ERRORS_MAX);
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let status = tokio::select! {
        biased;
        () = output.flooded(stdout.as_mut()) => return Err(RunError::Flooded),
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
        return Err(RunError::Flooded);
    }
    Ok(Ran { status: status.map_err(RunError::Wait)?, output: output.bytes, errors: errors.bytes })
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
pub fn end_what_was_left() {
    let ours = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    // A host of its own that runs beside this one keeps what it has begun.
    let is_gone = |host: &str| match std::fs::read_to_string(format!("/proc/{host}/comm")) {
        Ok(name) => !name.starts_with(ours.trim_end()) || host == std::process::id().to_string(),
        Err(_) => true,
    };
    for (pid, mark) in marked() {
        if mark.split_once('-').is_some_and(|(host, _)| is_gone(host)) {
            tracing::info!(
                "process {pid}, a program of a source or a checker, is ended: its host is gone, or goes"
            );
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
