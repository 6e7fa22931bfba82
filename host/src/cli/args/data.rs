//! The arguments of `phasegate data` as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OutputArgs, ServerArgs};

/// Options of `data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// How to reach a running host; its configuration also names the data directory.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Data directory; wins over `server.dataDir` of the configuration
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub verb: DataVerb,
}

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Read every row of the data file, also while a host runs: 0 when all read back, 1 when not
    Check {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Copy the record as it is at this moment, also while a host runs
    Backup {
        /// Where to
        file: PathBuf,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Put a copy in the place of the record, and the former one aside; the next host holds until `data adopt`
    Restore {
        /// The copy
        file: PathBuf,
    },
    /// Let a host that holds go on with its record, or the next one when none runs
    Adopt {
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}
