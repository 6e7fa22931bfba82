//! The arguments of `phasegate extension`, `phasegate release` and `phasegate feature`.

use clap::{Args, Subcommand};

use super::{OutputArgs, ServerArgs};

/// Options of `extension`.
#[derive(Debug, Args)]
pub struct ExtensionArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: ExtensionVerb,
}

/// What to do with the catalogue.
#[derive(Debug, Subcommand)]
pub enum ExtensionVerb {
    /// Take a version into the catalogue; a release of it begins by itself where scale sets are enrolled
    Publish {
        /// PUBLISHER/TYPE
        #[arg(value_name = "PUBLISHER/TYPE")]
        subject: String,
        /// Two to four numbers
        version: String,
        /// Of its bytes: the same version with another one is refused
        #[arg(long, value_name = "sha256:…")]
        digest: Option<String>,
        /// Only publish: a release waits for `release start`
        #[arg(long)]
        no_release: bool,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Follow the release to its end: 0 completed, 1 not
        #[arg(long)]
        wait: bool,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show every type, its newest version and who has it
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show the versions of a type
    Versions {
        /// PUBLISHER/TYPE
        #[arg(value_name = "PUBLISHER/TYPE")]
        subject: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Nobody gets a version any more; a release of it ends after the batches in flight
    Withdraw {
        /// PUBLISHER/TYPE
        #[arg(value_name = "PUBLISHER/TYPE")]
        subject: String,
        /// The version
        version: String,
        /// Take it back where it is
        #[arg(long)]
        rollback: bool,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Keep a type in a scale set as it is, also in the middle of a release
    OptOut(EnrolArgs),
    /// Let releases move a type in a scale set again
    OptIn(EnrolArgs),
}

/// Which type in which scale set.
#[derive(Debug, Args)]
pub struct EnrolArgs {
    /// Scale set
    pub name: String,
    /// PUBLISHER/TYPE
    #[arg(value_name = "PUBLISHER/TYPE")]
    pub subject: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `feature`.
#[derive(Debug, Args)]
pub struct FeatureArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: FeatureVerb,
}

/// What to do with the feature AutomaticExtensionUpgradePreview.
#[derive(Debug, Subcommand)]
pub enum FeatureVerb {
    /// Register it for a subscription
    Register {
        /// The subscription
        subscription: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take a registration back
    Unregister {
        /// The subscription
        subscription: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show who has registered it; of one subscription 0 when it has, 1 when not
    Show {
        /// The subscription [default: all]
        subscription: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Options of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// What to do.
    #[command(subcommand)]
    pub verb: ReleaseVerb,
}

/// What to do with releases.
#[derive(Debug, Subcommand)]
pub enum ReleaseVerb {
    /// Show what a release would do: region phases, scale sets, counts, and a digest
    Plan {
        /// PUBLISHER/TYPE
        #[arg(value_name = "PUBLISHER/TYPE")]
        subject: String,
        /// The version
        version: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start a release
    Start {
        /// PUBLISHER/TYPE [default: that of the plan]
        #[arg(value_name = "PUBLISHER/TYPE")]
        subject: Option<String>,
        /// The version [default: that of the plan]
        version: Option<String>,
        /// Exactly the plan with this digest, or nothing
        #[arg(long, value_name = "DIGEST")]
        plan: Option<String>,
        /// Also a version that is in quarantine
        #[arg(long)]
        force: bool,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Follow it to its end: 0 completed, 1 not
        #[arg(long)]
        wait: bool,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show all releases, the latest first
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show how a release stands, and why each scale set that has not begun has not
    Status(ReleaseOf),
    /// Follow a release to its end: 0 completed, 1 not
    Watch(ReleaseOf),
    /// Begin nothing more; the batches in flight end
    Pause(ReleaseWishArgs),
    /// Go on after a pause, or past the scale sets that have failed
    Resume(ReleaseWishArgs),
    /// Let a region phase begin, whatever the ones before have shown
    Approve {
        /// Which region phase, from 1
        #[arg(long, value_name = "N")]
        region_phase: usize,
        /// What it is about.
        #[command(flatten)]
        wish: ReleaseWishArgs,
    },
    /// End the release after the batches in flight; what has the version keeps it
    Stop(ReleaseWishArgs),
    /// End the release and take back what it has brought, region by region
    Rollback(ReleaseWishArgs),
    /// Show what a release tells of itself
    Log(ReleaseOf),
}

/// Which release.
#[derive(Debug, Args)]
pub struct ReleaseOf {
    /// Id of the release, or PUBLISHER/TYPE for its latest [default: the latest that has not ended, or the latest]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which release, and why.
#[derive(Debug, Args)]
pub struct ReleaseWishArgs {
    /// Which.
    #[command(flatten)]
    pub of: ReleaseOf,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Follow it to its end
    #[arg(long)]
    pub wait: bool,
}
