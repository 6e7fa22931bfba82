//! Exit codes, and the one printer of errors.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::output;

/// What a command's end means to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the answer is yes.
    Done,
    /// It ran, and the answer is no.
    No,
    /// It could not run.
    CouldNotRun,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::CouldNotRun => 2,
        })
    }
}

/// An error whose exit code is not 2: the host was asked and refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Prints an error as `error:` and `caused by:` lines and gives the code.
#[must_use]
pub fn report(result: anyhow::Result<Exit>) -> Exit {
    let error = match result {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    if error.chain().any(output::is_closed_pipe) {
        // The reader has seen enough; that is no failure of ours.
        return Exit::Done;
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "caused by: {cause}");
    }
    output::talk(&text);
    if error.is::<Refused>() { Exit::No } else { Exit::CouldNotRun }
}
