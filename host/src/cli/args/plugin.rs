//! The arguments of `plugin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{OutputArgs, ServerArgs};
use crate::author::Language;
use phasegate_wasm::World;

/// Options of `plugin`.
#[derive(Debug, Args)]
pub struct PluginArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: PluginVerb,
}

/// Whom `plugin try` and `plugin case` ask, and what the plugin is told of it.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// Where the application answers: http://…, https://…, h2://… or h2c://… (HTTP/2 with and without TLS),
    /// grpc://host:port/service (grpcs:// over TLS), or tcp://host:port. With --config and --scale-set in its place all
    /// sources of an instance of that file are asked, and settings and limits are those of its plugin there
    #[arg(long)]
    pub url: Option<String>,
    /// A header that is sent; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    pub request_header: Vec<String>,
    /// A header of the answer that the plugin gets to see; may be repeated
    #[arg(long, value_name = "NAME")]
    pub header: Vec<String>,
    /// Limit for the whole exchange, in seconds [default: 5, or what the configuration says]
    #[arg(long)]
    pub timeout: Option<f64>,
    /// Settings as JSON [default: {}, or what the configuration says]
    #[arg(long, value_name = "JSON")]
    pub settings: Option<String>,
    /// Scale set of the configuration, that the plugin is told, or that is taken from a recording
    #[arg(long, value_name = "NAME")]
    pub scale_set: Option<String>,
    /// Instance of the scale set [default: the first one], that the plugin is told, or that is taken from a recording
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// A label that the plugin is told; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Zone that the plugin is told
    #[arg(long)]
    pub zone: Option<String>,
    /// Version that the plugin is told the instance runs
    #[arg(long)]
    pub version: Option<String>,
    /// Version that the plugin is told is wanted
    #[arg(long)]
    pub desired_version: Option<String>,
    /// Certificates of an authority of your own, in PEM, for a plugin that is a reference
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginVerb {
    /// Write a project that builds and passes its cases at once, into a new folder NAME
    New {
        /// Name of the plugin and of its folder
        name: String,
        /// Language
        #[arg(short, long, value_enum)]
        lang: Language,
    },
    /// Make a project a component with the ordinary tools of its language
    Build {
        /// Folder of the project
        #[arg(default_value = ".")]
        project: PathBuf,
        /// Put the cases of the project into the component, where every host runs them before it takes it up
        #[arg(long)]
        with_cases: bool,
    },
    /// Run the cases beside a component; look for hidden state; say how near it came to the limits
    Test {
        /// Component, folder of a project, oci://… or https://…
        #[arg(default_value = ".")]
        plugin: PathBuf,
        /// Folder of the case files [default: `cases` beside the component]
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// Whether the cases notice changes of the code.
        #[command(flatten)]
        mutants: MutantArgs,
        /// Certificates of an authority of your own, in PEM, for a reference
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Ask one instance now, as a host would, and show what the plugin makes of the answer; nothing is changed
    Try {
        /// Component, folder of a project, builtin:azure-health, oci://… or https://…
        #[arg(default_value = ".")]
        plugin: PathBuf,
        /// Whom to ask, and as what.
        #[command(flatten)]
        ask: AskArgs,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write what an instance answers, and what the plugin makes of it, as a case
    Case {
        /// Component, folder of a project, builtin:azure-health, oci://… or https://…
        #[arg(default_value = ".")]
        plugin: PathBuf,
        /// Name of the case [default: what came]
        #[arg(long)]
        name: Option<String>,
        /// Folder or file of a recording; its latest record is taken, in place of a live answer
        #[arg(long, value_name = "PATH", conflicts_with = "url")]
        from_recording: Option<PathBuf>,
        /// Write it into this file, which must not exist [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Whom to ask, and as what.
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Build, test and rehearse a project each time that one of its files is saved, until Ctrl-C; nothing is swapped in
    Watch {
        /// Folder of a project; of a folder without one, its component is watched
        #[arg(default_value = ".")]
        project: PathBuf,
        /// Plugin of the running host with whose last observations it is rehearsed
        #[arg(long, value_name = "NAME")]
        into: String,
    },
    /// Measure time for each evaluation, memory, and the time to compile
    Bench {
        /// Component, folder of a project, oci://… or https://…
        #[arg(default_value = ".")]
        plugin: PathBuf,
        /// Settings as JSON [default: those of the first case that is judged, or `{}`]
        #[arg(long, value_name = "JSON")]
        settings: Option<String>,
        /// Folder of the case files, whose observations are measured
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// Certificates of an authority of your own, in PEM, for a reference
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print the contract between host and plugin
    Wit {
        /// Write it into this folder instead, as `policy.wit`
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Say what a file is: world, version, imports, pure or not; 1 when the host would refuse it
    Inspect {
        /// WebAssembly file, folder of a project, `builtin:azure-health`, oci://… or https://…
        #[arg(default_value = ".")]
        file: PathBuf,
        /// Certificates of an authority of your own, in PEM, for a reference
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// List the plugins of the running host
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Replace the component of a plugin in the running host, after the cases beside the file have passed
    Swap(SwapArgs),
    /// Show what a new component changes: which instances, from what to what, and why
    Diff(PluginOf),
    /// Let the component take over that judges beside the active one
    Promote(PluginOf),
    /// End the component that judges beside the active one
    Discard(PluginOf),
    /// Show the generations that can be gone back to
    History(PluginOf),
    /// Go back to a former generation, its component and its settings, under a new number
    Rollback {
        /// Which plugin.
        #[command(flatten)]
        plugin: PluginOf,
        /// Generation [default: the latest one that differs from the active one]
        #[arg(long, value_name = "GENERATION")]
        to: Option<u64>,
    },
    /// Judge recorded observations again and print the decisions that differ: 1 when there are any
    Replay(ReplayArgs),
    /// Put a component into a registry, with its cases and the signatures beside it; what does not load or fails its
    /// cases is refused
    Push(PushArgs),
    /// Turn a core module, as compilers write it, into a component
    Componentize(ComponentizeArgs),
}

/// Options of `plugin replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Folder `recording` of a data directory, or one file of it
    pub recording: PathBuf,
    /// Judge with this: a plugin of the configuration, with its settings and, where nothing else is
    /// said, its own records; or a component, ./FOLDER of a
    /// project, oci://… or https://…, with the recorded settings
    #[arg(long, value_name = "PLUGIN", required_unless_present = "verify")]
    pub plugin: Option<String>,
    /// Compare with this instead of the recorded decisions
    #[arg(long, value_name = "PLUGIN", requires = "plugin")]
    pub against: Option<String>,
    /// Prove that the recorded components decide again what they decided
    #[arg(long, conflicts_with = "plugin")]
    pub verify: bool,
    /// Only the records of this plugin; needed for a component where several plugins have records
    #[arg(long, value_name = "PLUGIN")]
    pub name: Option<String>,
    /// Only the records of this scale set
    #[arg(long, value_name = "NAME")]
    pub scale_set: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `plugin test --mutants`.
#[derive(Debug, Clone, Args)]
pub struct MutantArgs {
    /// Change operators, constants and branches of the component, one at a time, and say how many of them the cases
    /// notice: 1 when too few
    #[arg(long)]
    pub mutants: bool,
    /// So many mutants that some case comes to
    #[arg(long, value_name = "N", default_value_t = 60, requires = "mutants")]
    pub count: usize,
    /// No longer than that
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 300, requires = "mutants")]
    pub for_seconds: u64,
    /// The same seed changes the same places
    #[arg(long, value_name = "N", default_value_t = 1, requires = "mutants")]
    pub seed: u64,
    /// So many of a hundred have to be noticed
    #[arg(long, value_name = "PERCENT", default_value_t = 90, requires = "mutants")]
    pub at_least: usize,
}

/// Options of `plugin componentize`.
#[derive(Debug, Args)]
pub struct ComponentizeArgs {
    /// Core module with the exports of the contract; what it imports of WASI preview 1 gets a stand-in
    pub module: PathBuf,
    /// Where to write the component
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The world, where the module does not carry its type: policy, or timed-policy for one with WASI's clock
    #[arg(long, value_name = "WORLD", default_value = "policy", value_parser = world)]
    pub world: World,
    /// Folder of the source: which code is from which line of it is kept for `plugin test --mutants`, if the module has
    /// debug information
    #[arg(long, value_name = "DIR")]
    pub sources: Option<PathBuf>,
}

fn world(name: &str) -> Result<World, String> {
    World::parse(name).ok_or_else(|| "it can be policy or timed-policy".to_owned())
}

/// Options of `plugin push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Component, or folder of a project; FILE.sig beside it has its signatures
    pub file: PathBuf,
    /// Where to: oci://REGISTRY/REPOSITORY:TAG
    pub reference: String,
    /// Put the cases beside the file into the component first; not together with signatures, which are of other bytes
    #[arg(long)]
    pub with_cases: bool,
    /// Certificates of an authority of your own, in PEM
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// File with a token for the registry
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username_file", "password_file"])]
    pub token_file: Option<PathBuf>,
    /// File with the user of the registry
    #[arg(long, value_name = "FILE", requires = "password_file")]
    pub username_file: Option<PathBuf>,
    /// File with the password of that user
    #[arg(long, value_name = "FILE", requires = "username_file")]
    pub password_file: Option<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A plugin of the running host.
#[derive(Debug, Args)]
pub struct PluginOf {
    /// Plugin
    pub name: String,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `plugin swap`.
#[derive(Debug, Args)]
pub struct SwapArgs {
    /// Plugin
    pub name: String,
    /// New component: a file, or oci://… or https://…, which the host fetches
    pub file: PathBuf,
    /// Only show what it would change
    #[arg(long)]
    pub dry_run: bool,
    /// What it must pass [default: `strategy` of the configuration]
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyArg>,
    /// Swap it in whatever it changes and whatever cases beside it it fails, as long as it loads and passes those that it
    /// carries
    #[arg(long)]
    pub force: bool,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What a new component must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyArg {
    /// It loads and takes its settings
    Immediate,
    /// It judges the last observation of every instance once
    Rehearse,
    /// It judges live observations beside the active one until its gate or a person decides
    Shadow,
}

impl StrategyArg {
    /// As the API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Rehearse => "rehearse",
            Self::Shadow => "shadow",
        }
    }
}
