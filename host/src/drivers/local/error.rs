//! Why a local program could not be run, or would not end.

use std::io;
use std::path::PathBuf;

/// Why no file was found to execute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::drivers) enum ResolveError {
    #[error("the command is empty")]
    Empty,
    #[error("the command contains a NUL byte")]
    Nul,
    #[error("environment variable {0:?} has a forbidden character")]
    Environment(String),
    #[error("working directory `{}` is not a directory", .0.display())]
    WorkingDir(PathBuf),
    /// A command that names its place.
    #[error("command `{name}` {why}: looked at {}", at.display())]
    There { name: String, why: NotExecutable, at: PathBuf },
    /// A command that is looked for; with a file of that name that will not do, if there is one.
    #[error(
        "command `{name}` {}: looked in PATH {search_path}",
        match found {
            Some((why, at)) => format!("{why} ({})", at.display()),
            None => NotExecutable::Missing.to_string(),
        }
    )]
    Nowhere { name: String, found: Option<(NotExecutable, PathBuf)>, search_path: String },
}

/// Why a file cannot be executed; a fragment that follows its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::drivers) enum NotExecutable {
    #[error("was not found")]
    Missing,
    #[error("is not a file")]
    NoFile,
    #[error("is not executable")]
    NotAllowed,
}

/// Why a log file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("log file `{}` cannot be opened: {error}", path.display())]
pub(in crate::drivers) struct OpenLogError {
    pub(in crate::drivers) path: PathBuf,
    pub(in crate::drivers) error: io::Error,
}

/// Why something was not written to a log file.
#[derive(Debug, thiserror::Error)]
pub(in crate::drivers) enum KeepError {
    #[error(transparent)]
    Open(#[from] OpenLogError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Why a program that was found cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be started: {error}", program.display())]
pub(in crate::drivers) struct StartError {
    pub(in crate::drivers) program: PathBuf,
    pub(in crate::drivers) error: io::Error,
}

/// Why a program was not run to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::drivers) enum RunError {
    /// The one who runs programs.
    #[error("the driver has ended")]
    Ended,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("`{}` could not be waited for: {error}", program.display())]
    Wait { program: PathBuf, error: io::Error },
}

/// What outlives SIGKILL hangs in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("process group {0} does not end, not even by force")]
pub(in crate::drivers) struct StillAliveError(pub(in crate::drivers) i32);
