//! Why programs of a site did not do what was asked for.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::drivers::DriverError;
use crate::drivers::local::{Cut, Finished, ResolveError, RunError, describe, output};
use crate::drivers::settings::SettingsError;
use crate::drivers::template::RenderError;
use crate::net::address::InvalidAddressError;
use phasegate_core::domain::InvalidIdError;

/// One line for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    #[error("the driver has not been told how to create instances")]
    NoCreation,
    #[error("it was ended, because its upgrade is to end")]
    EndedOnWish,
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{0}")]
    Failed(Report),
    #[error("{0}")]
    Untouched(Report),
    #[error("`{0}` printed nothing")]
    NoLine(String),
    #[error("no more room: {0}")]
    NoRoom(Report),
    #[error("still busy after {} s: {report}", within.as_secs_f64())]
    StillBusy { within: Duration, report: Report },
    #[error("`{program}` printed a version that {error}")]
    NoVersion { program: String, error: InvalidIdError },
    #[error("`{program}` did not print an address on its last line: `{}` {error}", output_text(line))]
    NoAddress { program: String, line: String, error: InvalidAddressError },
}

/// How a run of a program ended, what it wrote, and where all of that is kept.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) program: String,
    pub(super) how: Ending,
    pub(super) output: Vec<u8>,
    /// None where its output is no part of a log.
    pub(super) log: Option<Log>,
}

/// Where the output of a program is.
#[derive(Debug)]
pub(super) enum Log {
    Kept(PathBuf),
    NotKept,
}

impl Report {
    /// The last line of what it wrote; how it ended where it wrote nothing.
    pub(super) fn last_words(&self) -> String {
        match output::last_line(&self.output) {
            line if line.is_empty() => format!("`{}` {}, without output", self.program, self.how),
            line => line,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, how, output, log } = self;
        write!(f, "`{program}` {how}, {}", output_text(&output::in_one_line(output)))?;
        match log {
            Some(Log::Kept(path)) => write!(f, " ({})", path.display()),
            Some(Log::NotKept) => f.write_str(" (not kept)"),
            None => Ok(()),
        }
    }
}

/// How a run ended; a fragment that follows the program.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    ByItself(ExitStatus),
    /// Its time was over.
    ByForce {
        limit: Duration,
    },
    /// A person wanted that.
    OnWish,
}

impl Ending {
    pub(super) fn of(finished: &Finished, limit: Duration) -> Self {
        match finished.status {
            Ok(status) => Self::ByItself(status),
            Err(Cut::Time) => Self::ByForce { limit },
            Err(Cut::Wish) => Self::OnWish,
        }
    }

    /// None when it was ended by force or by a signal.
    pub(super) fn code(self) -> Option<i32> {
        match self {
            Self::ByItself(status) => status.code(),
            Self::ByForce { .. } | Self::OnWish => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByItself(status) => f.write_str(&describe(*status)),
            Self::OnWish => f.write_str("was ended, because its upgrade is to end"),
            Self::ByForce { limit } => {
                write!(f, "did not end within {} s and was ended by force", limit.as_secs_f64())
            }
        }
    }
}

fn output_text(tail: &str) -> String {
    if tail.is_empty() { "without output".to_owned() } else { format!("its output: {tail}") }
}

impl From<ProgramError> for DriverError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::EndedOnWish
            | ProgramError::Failed(Report { how: Ending::OnWish, .. })
            | ProgramError::NoRoom(Report { how: Ending::OnWish, .. }) => Self::EndedOnWish,
            ProgramError::Run(RunError::Ended) => Self::Ended,
            // None of these programs has begun, or it says so itself.
            ProgramError::Render(_)
            | ProgramError::Settings(_)
            | ProgramError::Resolve(_)
            | ProgramError::Run(RunError::Start(_))
            | ProgramError::Untouched(_) => Self::untouched(error),
            other => Self::of_kind(other),
        }
    }
}
