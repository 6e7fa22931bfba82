//! The arguments as typed. Nothing is looked up or checked here beyond their form.

mod data;
mod discovery;
mod init;
mod instance;
mod plugin;
mod release;
mod simulate;
mod token;
mod upgrade;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use data::{DataArgs, DataVerb};
pub use discovery::{DiscoveryArgs, DiscoveryVerb};
pub use init::{InitArgs, InitDriver, InitProtocol};
pub use instance::{InstanceArgs, InstanceVerb, SayArgs};
pub use release::{
    EnrolArgs, ExtensionArgs, ExtensionVerb, FeatureArgs, FeatureVerb, ReleaseArgs, ReleaseOf, ReleaseVerb,
    ReleaseWishArgs,
};
pub use simulate::SimulateArgs;
pub use token::{TokenArgs, TokenVerb};

use crate::demo::database::DatabaseArgs;

pub use plugin::{
    AskArgs, ComponentizeArgs, MutantArgs, PluginArgs, PluginOf, PluginVerb, PushArgs, ReplayArgs,
    StrategyArg, SwapArgs,
};
pub use upgrade::{
    BypassArgs, CancelArgs, ExplainArgs, ListArgs, LogArgs, LogOfArgs, RollbackArgs, StartArgs, StatusArgs,
    StatusOf, UpgradeArgs, UpgradeOf, UpgradeTo, UpgradeVerb, WishArgs,
};

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
    /// Write a commented configuration for instances that are there, and ask each of them once
    Init(InitArgs),
    /// Probe the fleet and serve the API until stopped
    Run(RunArgs),
    /// Check a configuration: 0 when it is good, 1 with every problem when it is not
    Check(CheckArgs),
    /// Describe the keys of the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show every instance: health, phase, participation, version and reason
    Fleet(FleetArgs),
    /// Show the latest upgrade of every scale set in a line, or that of one in full
    Status(StatusArgs),
    /// Show the audit trail of a scale set, or follow it; as `upgrade log`
    Log(LogOfArgs),
    /// Plan, start, follow and cancel upgrades
    Upgrade(UpgradeArgs),
    /// Hold one instance, leave it out, protect it or force it, whatever its plugin says
    Instance(InstanceArgs),
    /// Hold every upgrade of every scale set, or let them go on
    Line(LineArgs),
    /// Make, list and revoke tokens of the API, in their file
    Token(TokenArgs),
    /// Check the record, copy it, bring a copy back, and let a host go on with it
    Data(DataArgs),
    /// Write, build, test, look at and swap policy plugins
    Plugin(PluginArgs),
    /// Versions that faulted and are not tried again by themselves
    Quarantine(QuarantineArgs),
    /// Publish versions of extension types, and say who gets them
    Extension(ExtensionArgs),
    /// Releases of extension versions through regions: plan, start, follow, hold and end them
    Release(ReleaseArgs),
    /// Register the feature AutomaticExtensionUpgradePreview for subscriptions
    Feature(FeatureArgs),
    /// Run the driver again for the version that is there
    Repair(RepairArgs),
    /// Where instances are found, and those that stay although they are named no longer
    Discovery(DiscoveryArgs),
    /// Let the running host read its configuration file again: plugins, probes and policies
    Reload(ReloadArgs),
    /// Run an upgrade thousands of times on a virtual clock: how long, how often it faults
    Simulate(Box<SimulateArgs>),
    #[command(name = "__guard", hide = true)]
    /// Ends orphaned process groups when the host is gone
    Guard(GuardArgs),
    #[command(name = "__keep", hide = true)]
    /// Starts a process that outlives the host, waits for it, and writes down how it ended
    Keep(KeepArgs),
    #[command(name = "__compile", hide = true)]
    /// Turns a component into machine code, for the host that started it
    Compile(CompileArgs),
    #[command(name = "__demo-database", hide = true)]
    /// One member of the demo's database
    DemoDatabase(DatabaseArgs),
}

/// What to say of the configuration's keys.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a JSON Schema (draft 2020-12) of phasegate.toml, for editors
    Schema,
    /// Write the tables of keys in a manual anew
    #[command(hide = true)]
    Manual {
        /// The manual, in which marks name the tables
        file: std::path::PathBuf,
    },
}

/// How to print what was read.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How to print what has more to it than its plain JSON.
#[derive(Debug, Clone, Copy, Args)]
pub struct DetailArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// With --json: also what people read, such as reasons, waits and estimates
    #[arg(long, requires = "json")]
    pub detail: bool,
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

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to run.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// How the log on stderr is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", env = "PHASEGATE_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object on each line
    Json,
}

impl From<LogFormat> for crate::log::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What to check.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Make no requests: leave out components that would have to be fetched
    #[arg(long)]
    pub offline: bool,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How to reach the running host.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The running host: HOST:PORT, https://HOST:PORT or unix:PATH; wins over PHASEGATE_SERVER, and that over the
    /// configuration
    #[arg(long, value_name = "SERVER", env = "PHASEGATE_SERVER", global = true)]
    pub server: Option<String>,
    /// Configuration file to take the address and the token from
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Token of the API [default: the content of `server.tokenFile`]
    #[arg(long, value_name = "TOKEN", env = "PHASEGATE_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// Certificates that are trusted for https, in PEM [default: the web's authorities]
    #[arg(long, value_name = "FILE", env = "PHASEGATE_CA_FILE", global = true)]
    pub ca_file: Option<PathBuf>,
}

/// Options of `reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How to print.
    #[command(flatten)]
    pub output: DetailArgs,
}

/// Options of `quarantine`.
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: QuarantineVerb,
}

/// What to do with versions that faulted.
#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List them
    List {
        /// Scale set [default: all of them]
        name: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let a start take a version as any other
    Lift {
        /// Scale set
        name: String,
        /// The version
        version: String,
        /// Of this extension, not of the application
        #[arg(long, value_name = "NAME")]
        extension: Option<String>,
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Options of `repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Scale set
    pub name: String,
    /// These instances now (comma-separated ids, or `*`), without phases, batches and limits; without it all of
    /// them, in the order of a plan and behind all limits
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub instances: Option<Vec<String>>,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Follow it to its end: 0 all of it done, 1 not
    #[arg(long)]
    pub wait: bool,
    /// How to print.
    #[command(flatten)]
    pub output: DetailArgs,
}

/// Options of `line`.
#[derive(Debug, Args)]
pub struct LineArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: LineVerb,
}

/// What to do with the line.
#[derive(Debug, Subcommand)]
pub enum LineVerb {
    /// Show whether the line is stopped: 0 it goes on, 1 it is stopped
    Status {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Finish the batches in flight and admit nothing more anywhere
    Stop {
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let upgrades go on
    Start {
        /// Why; goes into the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Options of the hidden compiler.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// CPU time of all threads
    #[arg(long)]
    pub cpu_seconds: u32,
    /// Memory
    #[arg(long)]
    pub memory_mib: u32,
    /// Process id of the host
    #[arg(long)]
    pub parent: u32,
}

/// Options of the hidden keeper.
#[derive(Debug, Args)]
pub struct KeepArgs {
    /// File in which it writes down what it knows
    #[arg(long)]
    pub record: std::path::PathBuf,
    /// Whose the process is, as JSON
    #[arg(long)]
    pub about: String,
    /// The file to execute
    #[arg(long)]
    pub program: std::path::PathBuf,
    /// Its arguments, the name first
    #[arg(last = true)]
    pub arguments: Vec<std::ffi::OsString>,
}

/// Options of the hidden guard.
#[derive(Debug, Args)]
pub struct GuardArgs {
    /// Milliseconds between the gentle and the forceful end
    #[arg(long)]
    pub stop_timeout_ms: u64,
    /// A file that is held while it lives
    #[arg(long)]
    pub holds: Option<std::path::PathBuf>,
}
