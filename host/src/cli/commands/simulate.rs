//! `phasegate simulate`: how an upgrade would go, thousands of times on a virtual clock.

mod cost;
mod fleet;
mod parse;
mod policy;
mod release;
mod report;
mod runs;
mod wasm;

use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::args::SimulateArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::{self, LoadConfigError};
use phasegate_core::domain::{ScaleSet, Timestamp, Version};
use phasegate_core::sim::forecast::{Fleet, Pace, Probes, Setup, Tell, summary};

/// Runs of a small fleet, if none are named.
const RUNS: usize = 100;

/// Above this a run takes long enough that one is the default.
const LARGE: usize = 10_000;

/// Most runs and instances of one simulation.
const RUNS_MAX: usize = 1_000_000;

/// Virtual time after which an upgrade is given up.
const LIMIT: Duration = Duration::from_secs(60 * 24 * 3600);

/// Runs the simulation.
///
/// # Errors
/// When an argument means nothing, or a file cannot be read.
pub fn run(args: &SimulateArgs) -> anyhow::Result<Exit> {
    if let Some(what) = &args.release {
        return release::run(args, what);
    }
    let setup = setup(args)?;
    let size = match &setup.fleet {
        Fleet::Invented(invented) => invented.instances,
        Fleet::Recorded(crowd) => crowd.facts.len(),
    };
    let judge = wasm::Judge::load(args, size)?;
    let first = args.timeline.flatten().unwrap_or(args.seed);
    let tell = if args.timeline.is_some() { Tell::Timeline } else { Tell::Figures };
    let count = match args.runs {
        _ if tell == Tell::Timeline => 1,
        Some(count) if (1..=RUNS_MAX).contains(&count) => count,
        Some(count) => bail!("`--runs` is {count} (allowed: 1 to {RUNS_MAX})"),
        None if size > LARGE => 1,
        None => RUNS,
    };
    let cost = cost::Cost::begin();
    if size >= LARGE {
        cost.of_the_plan(&setup, first, &mut *judge.decider()?)?;
    }
    let runs = runs::all(&setup, &runs::Wanted { first, count, size, tell }, &judge)?;
    let summary = summary(&runs);
    let report = report::Report { args, setup: &setup, size, runs: &runs, summary: &summary };
    if args.json {
        output::json(&report.json())?;
    } else {
        output::data(&report.text())?;
    }
    cost.say(&runs);
    Ok(if summary.broken_runs == 0 { Exit::Done } else { Exit::No })
}

fn setup(args: &SimulateArgs) -> anyhow::Result<Setup> {
    let base = match &args.config {
        Some(path) => Some(configured(path, args)?),
        None => None,
    };
    let set = policy::apply(base.as_ref(), &args.policy)?;
    if set.policy.rolling.max_surge {
        bail!(
            "maxSurge is true, which `simulate` does not know; try the same in place with --policy maxSurge=false"
        );
    }
    let to = match &args.to {
        Some(text) => Some(
            Version::parse(text).map_err(|error| anyhow::anyhow!("version `{text}` of `--to` {error}"))?,
        ),
        None => None,
    };
    let fleet = fleet::of(args, base.as_ref().map(|_| &set), to.as_ref())?;
    let zones = match &fleet.fleet {
        Fleet::Invented(invented) => usize::from(invented.zones),
        Fleet::Recorded(crowd) => crowd.zones.len(),
    };
    Ok(Setup {
        name: set.name.clone(),
        to: fleet.to,
        fleet: fleet.fleet,
        regions: fleet.regions,
        rules: set.policy.clone(),
        freeze: set.freeze.clone(),
        health: (&set.health).into(),
        interval: set.health.interval,
        pace: Pace {
            apply: parse::span("--apply", &args.apply)?,
            start: parse::span("--start", &args.start)?,
            person: parse::seconds("--person", &args.person)?,
        },
        rates: parse::faults(&args.faults, zones)?,
        begin: begin(&args.at)?,
        limit: LIMIT,
        probes: Probes::Telling,
    })
}

fn begin(text: &str) -> anyhow::Result<Timestamp> {
    let at: jiff::Timestamp = text
        .parse()
        .with_context(|| format!("`--at` is `{text}`; write for example 2026-01-05T09:00:00Z"))?;
    Ok(Timestamp(at.as_millisecond()))
}

fn configured(path: &std::path::Path, args: &SimulateArgs) -> anyhow::Result<ScaleSet> {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => bail!(
            "`{}` has {} problems; see `phasegate check -c {}`",
            path.display(),
            problems.list.len(),
            path.display()
        ),
        Err(error) => return Err(error.into()),
    };
    // A name that only the recorded fleet has means nothing here.
    let named = args.scale_set.as_deref();
    let names: Vec<String> = config.scale_sets.iter().map(|set| format!("`{}`", set.name)).collect();
    let mut sets = config.scale_sets;
    if let Some(name) = named {
        sets.retain(|set| set.name.as_str() == name);
    }
    match (sets.len(), named) {
        (1, _) => sets.pop().map(|set| set.split().0).context("no scale set"),
        (0, Some(name)) => {
            bail!("`{}` has no scale set `{name}`; it has {}", path.display(), names.join(", "))
        }
        _ => bail!(
            "`{}` has several scale sets: {}; choose one with `--scale-set`",
            path.display(),
            names.join(", ")
        ),
    }
}
