//! Commands that the program starts itself: the guard and the keepers of local processes, the compiler of plugins, and the
//! demo's database.

use std::time::Duration;

use crate::cli::args::{CompileArgs, GuardArgs, KeepArgs};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::demo::database::{self, DatabaseArgs};
use crate::drivers::local::{guard, keeper};
use crate::plugins::compiler;
use phasegate_core::domain::CompileLimits;

/// Waits for the host to end, then ends what it left.
///
/// # Errors
/// When standard input cannot be read.
pub fn guard(args: &GuardArgs) -> anyhow::Result<Exit> {
    guard::run(std::io::stdin(), Duration::from_millis(args.stop_timeout_ms), args.holds.as_deref())?;
    Ok(Exit::Done)
}

/// Starts a process that outlives the host, and waits for it.
///
/// # Errors
/// When it cannot be written down that there is one.
pub fn keep(args: KeepArgs) -> anyhow::Result<Exit> {
    let KeepArgs { record, about, program, arguments } = args;
    keeper::run(keeper::Task { record, about: serde_json::from_str(&about)?, program, arguments })?;
    Ok(Exit::Done)
}

/// Turns the component on standard input into machine code on standard output.
///
/// # Errors
/// When the system refuses a limit, or the streams fail.
pub fn compile(args: &CompileArgs) -> anyhow::Result<Exit> {
    let CompileArgs { cpu_seconds, memory_mib, parent } = *args;
    match compiler::compile(CompileLimits { cpu_seconds, memory_mib }, parent)? {
        Ok(()) => Ok(Exit::Done),
        Err(said) => {
            // Its words are data for the host, not talk for people.
            output::talk(&said);
            Ok(Exit::No)
        }
    }
}

/// One member of the demo's database, until it is told to stop.
///
/// # Errors
/// When its port is taken.
pub fn demo_database(args: DatabaseArgs) -> anyhow::Result<Exit> {
    database::run(args)?;
    Ok(Exit::Done)
}
