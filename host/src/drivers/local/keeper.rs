//! The keeper: the parent of a process that outlives its host. It waits for that process and writes down how it ended.
//!
//! Does nothing else: it never signals, and its own end changes nothing for the process.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::signal::unix::{SignalKind, signal};

use super::kept::{About, Kept};

/// First argument of the host's program that makes it a keeper.
pub const KEEP_COMMAND: &str = "__keep";

/// What a keeper is told.
#[derive(Debug, Clone)]
pub struct Task {
    /// Where it writes down what it knows.
    pub record: PathBuf,
    /// Whose the process is.
    pub about: About,
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments, the name first.
    pub arguments: Vec<OsString>,
}

/// Starts the process and waits for it. Standard input is the way to the host: it gets one line, the process id or the
/// number of the error. The other streams are the process's own.
///
/// # Errors
/// When the runtime cannot be had, or nobody would know of the process.
pub fn run(task: Task) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Handlers, because what is ignored would be ignored by the process, too.
        let mut ignored = Vec::new();
        for kind in
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
        {
            ignored.push(signal(kind)?);
        }
        keep(task).await
    })
}

async fn keep(task: Task) -> io::Result<()> {
    let Task { record, about, program, arguments } = task;
    let mut host = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut command = tokio::process::Command::new(&program);
    if let Some((name, arguments)) = arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    let started = command.stdin(Stdio::null()).process_group(0).spawn();
    let known = started.and_then(|child| {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        Ok((child, written(&record, about, pid)?))
    });
    let (mut child, kept) = match known {
        Ok(known) => known,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or_default();
            return writeln!(host, "error {number} {error}");
        }
    };
    // A host that is gone by now finds the file.
    _ = writeln!(host, "{}", kept.pid);
    drop(host);
    let status = child.wait().await?;
    kept.ended(status).write(&record)
}

/// Nobody would ever find what is not written down, so it does not stay.
fn written(record: &Path, about: About, pid: i32) -> io::Result<Kept> {
    let kept = Kept::new(about, pid).and_then(|kept| kept.write(record).map(|()| kept));
    if kept.is_err() {
        super::group::Group::new(pid)
            .into_iter()
            .for_each(|group| group.signal(rustix::process::Signal::KILL));
    }
    kept
}
