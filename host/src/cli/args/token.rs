//! The arguments of `phasegate token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OutputArgs;
use crate::access::{Role, TokenName};

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// File with the tokens [default: `server.tokens` of the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,
    /// Configuration file that names it
    #[arg(short, long, value_name = "FILE", default_value = "phasegate.toml", global = true)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub verb: TokenVerb,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it; it is shown this once
    New {
        /// What the audit trail calls its bearer
        name: TokenName,
        /// What its bearer may do: read, approve, operate or admin
        #[arg(long)]
        role: Role,
        /// How long it counts, for example PT720H or P30D [default: for ever]
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// Show all tokens: name, role, when made and until when they count
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take a token out; a running host goes by that within two seconds
    Revoke {
        /// Its name
        name: TokenName,
    },
}
