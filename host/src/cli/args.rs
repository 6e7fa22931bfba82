//! The arguments as typed. Nothing is looked up or checked here beyond their form.

mod plugin;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::demo::database::DatabaseArgs;

pub use plugin::{PluginArgs, PluginVerb};

/// Rolls an upgrade through a fleet in the order that the application says is safe.
#[derive(Debug, Parser)]
#[command(name = "phasegate", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 the answer is no, 2 could not run.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a dozen local processes upgrade themselves, leader last; needs nothing
    Demo(DemoArgs),
    /// Probe the fleet and serve the API until stopped
    Run(ConfigArgs),
    /// Check a configuration: 0 when it is good, 1 with every problem when it is not
    Check(ConfigArgs),
    /// Show every instance: health, phase, participation, version and reason
    Fleet(FleetArgs),
    /// Plan, start, follow and cancel upgrades
    Upgrade(UpgradeArgs),
    /// Write, build, test, look at and swap policy plugins
    Plugin(PluginArgs),
    #[command(name = "__guard", hide = true)]
    /// Ends orphaned process groups when the host is gone
    Guard(GuardArgs),
    #[command(name = "__demo-database", hide = true)]
    /// One member of the demo's database
    DemoDatabase(DatabaseArgs),
}

/// How to print what was read.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the fleet and the API running after the upgrade, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// How to print the summary.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A command that works on a configuration file.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = "phasegate.toml")]
    pub config: PathBuf,
}

/// How to reach the running host.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Address of the running host; wins over PHASEGATE_SERVER, and that over the configuration
    #[arg(long, value_name = "HOST:PORT", env = "PHASEGATE_SERVER", global = true)]
    pub server: Option<String>,
    /// Configuration file to take the address and the token from
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Token of the API [default: the content of `server.tokenFile`]
    #[arg(long, value_name = "TOKEN", env = "PHASEGATE_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
}

/// Options of `fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: UpgradeVerb,
}

/// What to do with an upgrade.
#[derive(Debug, Subcommand)]
pub enum UpgradeVerb {
    /// Show which instances would be upgraded when, and which not and why
    Plan(UpgradeTo),
    /// Start an upgrade
    Start(StartArgs),
    /// Show how the latest upgrade stands
    Status(UpgradeOf),
    /// Follow the latest upgrade to its end: 0 Completed, 1 Faulted or Cancelled
    Watch(UpgradeOf),
    /// Finish the batch in flight and stop
    Cancel(UpgradeOf),
    /// Finish the batch in flight and admit nothing more for now
    Pause(UpgradeOf),
    /// Go on after a pause or a `pauseAfterPhase`
    Resume(UpgradeOf),
    /// Go on before an `approvalBeforePhase`
    Approve(UpgradeOf),
    /// Bring every touched instance back to the version before, newest first
    Rollback(RollbackArgs),
    /// Show the audit trail: every decision, admission and effect
    Log(UpgradeOf),
}

/// A scale set and a version.
#[derive(Debug, Args)]
pub struct UpgradeTo {
    /// Scale set
    pub name: String,
    /// Wanted version [default: the model's]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `upgrade start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Scale set and version.
    #[command(flatten)]
    pub upgrade: UpgradeTo,
    /// Follow it to its end: 0 Completed, 1 Faulted or Cancelled
    #[arg(long)]
    pub wait: bool,
    /// Start exactly the plan that `upgrade plan` showed, or nothing
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// Try a version again that faulted before
    #[arg(long)]
    pub force: bool,
}

/// Options of `upgrade rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Scale set.
    #[command(flatten)]
    pub upgrade: UpgradeOf,
    /// Follow it to its end: 0 Completed, 1 Faulted or Cancelled
    #[arg(long)]
    pub wait: bool,
}

/// A scale set.
#[derive(Debug, Args)]
pub struct UpgradeOf {
    /// Scale set
    pub name: String,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of the hidden guard.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// Milliseconds between the gentle and the forceful end
    #[arg(long)]
    pub stop_timeout_ms: u64,
}
