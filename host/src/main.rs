//! The `phasegate` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    phasegate::cli::main()
}
