//! `phasegate config`: what the keys of the configuration look like, for editors and for the manual.

use anyhow::Context;

use crate::cli::args::ConfigCommand;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config;

/// Prints the schema, or writes the tables of a manual anew.
///
/// # Errors
/// When the manual cannot be read or written, or has a mark that names no table.
pub fn run(command: &ConfigCommand) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Schema => output::json(&config::schema())?,
        ConfigCommand::Manual { file } => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            let written = config::manual(&text)?;
            if written != text {
                std::fs::write(file, written)
                    .with_context(|| format!("cannot write `{}`", file.display()))?;
            }
        }
    }
    Ok(Exit::Done)
}
