//! Why a process driver could not do what it was asked for.

use std::path::PathBuf;
use std::time::Duration;

use crate::drivers::backoff::in_seconds;
use crate::drivers::local::{OpenLogError, ResolveError, StartError, StillAliveError};
use crate::drivers::template::RenderError;
use phasegate_core::domain::Version;

/// One line for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error("the process driver is ending")]
    Ending,
    #[error("the process driver has ended")]
    Ended,
    #[error("the driver has no ports for new instances")]
    NoPorts,
    #[error("no more room: none of the ports {first} to {last} is free")]
    NoFreePort { first: u16, last: u16 },
    #[error("more than {max} requests wait for this instance")]
    TooMany { max: usize },
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    StillAlive(#[from] StillAliveError),
    #[error(
        "port {port} is still held by process {pid} (`{command}`), which the version before has left behind: it would \
         answer for the new one; end it, and let the version end all that it starts"
    )]
    PortHeld { port: u16, pid: u32, command: String },
    /// Found out before anything was touched.
    #[error(transparent)]
    NotPrepared(Box<Self>),
    /// No process came of it this time.
    #[error("{error}; trying again in {}", in_seconds(*delay))]
    TriedAgain { error: Box<Self>, delay: Duration },
    #[error("process {pid} of version {version} {how} at once, {} ({})", output_text(output), log.display())]
    EndedAtOnce {
        pid: i32,
        version: Version,
        /// "exited with code 1".
        how: String,
        /// The end of what it wrote.
        output: String,
        log: PathBuf,
    },
}

fn output_text(tail: &str) -> String {
    if tail.is_empty() { "without output".to_owned() } else { format!("its output: {tail}") }
}
