//! The arguments of `upgrade`.

use clap::{Args, Subcommand};

use super::{DetailArgs, OutputArgs, ServerArgs};

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
    /// Show how the latest upgrade stands, or how another one stood
    Status(StatusOf),
    /// List the upgrades of a scale set, newest first
    List(ListArgs),
    /// Follow the latest upgrade to its end: 0 Completed; 1 Faulted, Cancelled, or with instances that failed or
    /// that nobody could judge
    Watch(UpgradeOf),
    /// Finish the batch in flight and stop
    Cancel(CancelArgs),
    /// Finish the batch in flight and admit nothing more for now
    Pause(WishArgs),
    /// Go on after a pause or a `pauseAfterPhase`
    Resume(WishArgs),
    /// Go on before an `approvalBeforePhase`
    Approve(WishArgs),
    /// Go past the one thing that it waits for now: a pause, a checkpoint, an approval, the bake
    Promote(WishArgs),
    /// Start again with what the latest upgrade has left: what failed, was left out or was not reached
    Retry(WishArgs),
    /// Go on in spite of the freeze or the stopped line of now; one that comes later holds it
    Bypass(BypassArgs),
    /// Stop at once, and bring every touched instance back to the version before, newest first
    Rollback(RollbackArgs),
    /// Show the audit trail: every decision, admission and effect; the newest lines that fit
    Log(LogArgs),
    /// Show what an instance's plugin was asked and said when the latest upgrade, or that of --upgrade, took or
    /// left the instance, and whether it says the same again: 1 when it does not
    Explain(ExplainArgs),
}

/// A scale set and a version.
#[derive(Debug, Args)]
pub struct UpgradeTo {
    /// Scale set
    pub name: String,
    /// Wanted version of the application [default: the whole model, extensions included]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Upgrade this extension, by default to the model's version; may be given several times
    #[arg(long, value_name = "NAME[=VERSION]")]
    pub extension: Vec<String>,
    /// How urgent it is: deferDeadline, bake and pauses count whole, a quarter, or not at all; limits of health stay
    #[arg(long, value_name = "URGENCY", value_parser = ["routine", "security", "emergency"])]
    pub urgency: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: DetailArgs,
}

/// Options of `upgrade start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Scale set and version.
    #[command(flatten)]
    pub upgrade: UpgradeTo,
    /// Follow it to its end: 0 Completed; 1 Faulted or Cancelled, and also when an instance failed or was left
    /// out because nobody could judge it
    #[arg(long)]
    pub wait: bool,
    /// With --wait: 0 whenever it is Completed, whoever failed or was left out
    #[arg(long, requires = "wait")]
    pub allow_partial: bool,
    /// Run the driver again for instances that have the version already
    #[arg(long)]
    pub reapply: bool,
    /// Start exactly the plan that `upgrade plan` showed, or nothing
    #[arg(long, value_name = "DIGEST")]
    pub plan: Option<String>,
    /// Try a version again that faulted before
    #[arg(long)]
    pub force: bool,
    /// Manual upgrade: these instances now (comma-separated ids, or `*`), without phases, batches and
    /// limits, and whatever their plugin says; protected ones are refused
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with = "plan")]
    pub instances: Option<Vec<String>>,
    /// Go on in spite of the freeze and the stopped line of now; the text goes into the audit trail
    #[arg(long, value_name = "WHY")]
    pub bypass: Option<String>,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT", conflicts_with = "bypass")]
    pub reason: Option<String>,
    /// Begin at this time, RFC 3339 (2026-01-05T22:00:00Z); until then it waits, and `upgrade cancel` gives it up
    #[arg(long, value_name = "TIME", conflicts_with_all = ["plan", "instances"])]
    pub at: Option<String>,
}

/// Options of `upgrade log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Scale set
    pub name: String,
    /// Only what concerns this instance
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Only what belongs to this upgrade; `upgrade list` has the ids
    #[arg(long, value_name = "ID")]
    pub upgrade: Option<String>,
    /// Only what comes from this time on (2026-01-05T09:00:00Z), from so long ago on (PT1H, P1D), or after the line
    /// of this number
    #[arg(long, value_name = "TIME|DURATION|LINE")]
    pub since: Option<String>,
    /// Only what comes before that, with it
    #[arg(long, value_name = "TIME|DURATION|LINE")]
    pub until: Option<String>,
    /// So many lines at most, the newest
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Then go on with each new line, until interrupted; with --json a JSON object on each line
    #[arg(short, long, conflicts_with = "until")]
    pub follow: bool,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `log`.
#[derive(Debug, Args)]
pub struct LogOfArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Which lines.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of `upgrade explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Scale set
    pub name: String,
    /// Instance
    pub instance: String,
    /// What this upgrade decided, not the latest; `upgrade list` has the ids
    #[arg(long, value_name = "ID")]
    pub upgrade: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `upgrade list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Scale set
    pub name: String,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// How to print.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `upgrade status`.
#[derive(Debug, Args)]
pub struct StatusOf {
    /// Scale set.
    #[command(flatten)]
    pub of: UpgradeOf,
    /// This upgrade, not the latest; `upgrade list` has the ids
    #[arg(long, value_name = "ID")]
    pub upgrade: Option<String>,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to reach the host.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Scale set [default: all of them, a line each]
    pub name: Option<String>,
    /// This upgrade of it, not the latest
    #[arg(long, value_name = "ID", requires = "name")]
    pub upgrade: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub output: DetailArgs,
}

/// Options of `upgrade bypass`.
#[derive(Debug, Args)]
pub struct BypassArgs {
    /// Scale set.
    #[command(flatten)]
    pub upgrade: UpgradeOf,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Options of `upgrade cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Scale set.
    #[command(flatten)]
    pub upgrade: UpgradeOf,
    /// Do not finish the batch in flight: end what drivers do, and bring it back
    #[arg(long)]
    pub now: bool,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of what a person may want of an upgrade.
#[derive(Debug, Args)]
pub struct WishArgs {
    /// Scale set.
    #[command(flatten)]
    pub upgrade: UpgradeOf,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
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
    /// Do not stop when too much of what was brought back is unhealthy; goes on with a rollback that has stopped for
    /// that
    #[arg(long = "continue", conflicts_with = "to")]
    pub go_on: bool,
    /// To the versions that this Completed upgrade had brought; `upgrade list` has the ids
    #[arg(long, value_name = "ID")]
    pub to: Option<String>,
    /// Why; goes into the audit trail
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A scale set.
#[derive(Debug, Args)]
pub struct UpgradeOf {
    /// Scale set
    pub name: String,
    /// How to print.
    #[command(flatten)]
    pub output: DetailArgs,
}
