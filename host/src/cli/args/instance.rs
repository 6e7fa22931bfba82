//! The arguments of `instance`.

use clap::{Args, Subcommand};

use super::{OutputArgs, ServerArgs};

/// Options of `instance`.
#[derive(Debug, Args)]
pub struct InstanceArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What is said.
    #[command(subcommand)]
    pub verb: InstanceVerb,
}

/// What a person says about an instance.
#[derive(Debug, Subcommand)]
pub enum InstanceVerb {
    /// Show how it stands, with all that its application has sent as custom metrics
    Show {
        /// Scale set
        name: String,
        /// Instance
        instance: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Not now: it is asked again until the time for that is over, as one whose plugin says "not now"
    Hold(SayArgs),
    /// Leave it out of upgrades
    Skip(SayArgs),
    /// Protect it from upgrades, as `protectFromScaleSetActions`
    Protect(SayArgs),
    /// Upgrade it in its phase whether or not its plugin says skip or "not now"; health, protection and budgets count as
    /// ever
    Force(SayArgs),
    /// Take back what was said
    Release {
        /// Scale set
        name: String,
        /// Instance
        instance: String,
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// About which instance, why and for how long.
#[derive(Debug, Args)]
pub struct SayArgs {
    /// Scale set
    pub name: String,
    /// Instance
    pub instance: String,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// For so long, an ISO 8601 duration such as PT2H [default: until it is released]
    #[arg(long = "for", value_name = "DURATION")]
    pub length: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}
