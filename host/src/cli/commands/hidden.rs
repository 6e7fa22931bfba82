//! Commands that the program starts itself: the guard of local processes, and the demo's
//! database.

use std::time::Duration;

use crate::cli::args::GuardArgs;
use crate::cli::exit::Exit;
use crate::demo::database::{self, DatabaseArgs};
use crate::drivers::local::guard;

/// Waits for the host to end, then ends what it left.
///
/// # Errors
/// When standard input cannot be read.
pub fn guard(args: &GuardArgs) -> anyhow::Result<Exit> {
    guard::run(std::io::stdin(), Duration::from_millis(args.stop_timeout_ms))?;
    Ok(Exit::Done)
}

/// One member of the demo's database, until it is told to stop.
///
/// # Errors
/// When its port is taken.
pub fn demo_database(args: DatabaseArgs) -> anyhow::Result<Exit> {
    database::run(args)?;
    Ok(Exit::Done)
}
