//! The arguments of `phasegate discovery`.

use clap::{Args, Subcommand};

use super::{OutputArgs, ServerArgs};

/// Options of `discovery`.
#[derive(Debug, Args)]
pub struct DiscoveryArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: DiscoveryVerb,
}

/// What to do with sources of instances.
#[derive(Debug, Subcommand)]
pub enum DiscoveryVerb {
    /// Show where instances are found, when that was last looked at, and what of it is held
    List {
        /// Scale set [default: all of them that have a source]
        name: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Look again, and let those go who are held and are not named now either
    Accept {
        /// Scale set
        name: String,
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}
