//! The arguments of `phasegate simulate`.

use std::path::PathBuf;

use clap::Args;

/// Options of `simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Faults, with the rate that a bare name means:
  crash=0.02/h        an instance goes down for 30 to 120 s; for each instance and hour
  flap=0.02/h         says three times for 10 to 30 s that it does not work; instance and hour
  zone-loss=0.05/h    a zone goes down for 1 to 5 min; for each zone and hour
  slow=5%             a start takes 30 to 180 s longer; for each start
  lost-probe=1%       a probe gets no answer; for each probe
  bad-version=1%      never becomes healthy at the wanted version; for each instance
  driver=1%           the driver fails; for each effect
  all                 all of them; `--faults all,crash=1/h` changes one, `none` is the default

Examples:
  phasegate simulate --instances 1000 --zones 3 --phases 60,30,10 --faults all --runs 1000
  phasegate simulate -c phasegate.toml --scale-set orders --policy maxBatchInstancePercent=10
  phasegate simulate --release --regions 20 --sets 1000 --instances 50000 --bad-from-region-phase 3
  phasegate fleet --json > fleet.json; phasegate simulate --fleet fleet.json --timeline

Exit codes: 0 no invariant was broken, 1 one was, 2 could not run.")]
pub struct SimulateArgs {
    /// Take policy, health gate, rules, freeze windows and instances from this configuration
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which scale set of the configuration or of the recorded fleet; not needed for the only one
    #[arg(long, value_name = "NAME")]
    pub scale_set: Option<String>,
    /// Take the instances from the output of `phasegate fleet --json`
    #[arg(long, value_name = "FILE", conflicts_with = "instances")]
    pub fleet: Option<PathBuf>,
    /// Make up so many instances, all regions together [default: 100]
    #[arg(long, value_name = "N")]
    pub instances: Option<usize>,
    /// Zones of each region; 0 for none [default: 3]
    #[arg(long, value_name = "N")]
    pub zones: Option<u16>,
    /// Scale sets upgraded one after the other, each with its part of the instances; the next begins
    /// when the one before has completed [default: 1]
    #[arg(long, value_name = "N")]
    pub regions: Option<u32>,
    /// Update domains; 0 for none [default: 0]
    #[arg(long, value_name = "N")]
    pub update_domains: Option<u32>,
    /// So many equal phases, or the share in percent of each from phase 0 on, such as 60,30; who is
    /// left has no phase and comes last [default: 1]
    #[arg(long, value_name = "N|SHARES")]
    pub phases: Option<String>,
    /// Percent of the instances that say skip [default: 0]
    #[arg(long, value_name = "PERCENT")]
    pub skip: Option<String>,
    /// Percent of the instances that are protected [default: 0]
    #[arg(long, value_name = "PERCENT")]
    pub protected: Option<String>,
    /// A release instead of one upgrade: through the regions of an estate that is made up, or through all sets of
    /// the configuration
    #[arg(
        long,
        value_name = "PUBLISHER/TYPE@VERSION",
        num_args = 0..=1,
        default_missing_value = "contoso/app@1.1.0",
        conflicts_with_all = ["fleet", "scale_set", "to", "runs", "timeline", "plugin", "phases", "skip", "protected"]
    )]
    pub release: Option<String>,
    /// Of a release: so many sets, all regions together [default: 3 for each region]
    #[arg(long, value_name = "N", requires = "release")]
    pub sets: Option<usize>,
    /// Of a release: from this region phase on the version never becomes healthy
    #[arg(long, value_name = "N", requires = "release")]
    pub bad_from_region_phase: Option<usize>,
    /// Wanted version [default: that of the model]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// What goes wrong and how often; see below
    #[arg(long, value_name = "NAME[=RATE],…", default_value = "none", hide_default_value = true)]
    pub faults: String,
    /// Changes one setting of policy, health gate or health probe, by its name in the configuration;
    /// may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub policy: Vec<String>,
    /// How long the driver takes for one instance, in seconds
    #[arg(long, value_name = "LOW[..HIGH]", default_value = "2..10")]
    pub apply: String,
    /// How long an instance takes to answer after that, in seconds
    #[arg(long, value_name = "LOW[..HIGH]", default_value = "1..10")]
    pub start: String,
    /// How long a person takes to answer at a checkpoint, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub person: String,
    /// When the upgrade is asked for; freeze windows go by it
    #[arg(long, value_name = "TIME", default_value = "2026-01-05T09:00:00Z")]
    pub at: String,
    /// Seed of the first run; the others count on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many runs [default: 100, and 1 above 10,000 instances]
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// Tell one run line by line: that of this seed, else of --seed
    #[arg(long, value_name = "SEED", num_args = 0..=1, conflicts_with = "runs")]
    pub timeline: Option<Option<u64>>,
    /// Let this plugin judge the answers: a WebAssembly component, or `builtin:azure-health`
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// Settings of the plugin
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "plugin")]
    pub settings: String,
    /// What instances answer to the plugin, all or those of one phase; {id}, {zone}, {phase}, {skip},
    /// {health} and {version} are filled in [default: Azure's customMetrics]
    #[arg(long, value_name = "[PHASE=]TEXT", requires = "plugin")]
    pub body: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
