//! `phasegate check`: every problem of a configuration at once.

use crate::cli::args::ConfigArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::{self, LoadConfigError};

/// Checks the file and what it names on this machine.
///
/// # Errors
/// When the file cannot be read.
pub fn run(args: &ConfigArgs) -> anyhow::Result<Exit> {
    let problems = match config::load(&args.config) {
        Ok(config) => crate::host::problems(&config),
        Err(LoadConfigError::Invalid(problems)) => problems,
        Err(error @ LoadConfigError::Unreadable { .. }) => return Err(error.into()),
    };
    if problems.is_empty() {
        output::talk(&format!("{}: ok\n", args.config.display()));
        return Ok(Exit::Done);
    }
    output::data(&format!("{problems}\n"))?;
    let count = problems.list.len();
    output::talk(&format!("{count} problem{}\n", if count == 1 { "" } else { "s" }));
    Ok(Exit::No)
}
