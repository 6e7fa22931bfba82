//! `phasegate simulate --release`: one version on its way through an estate, made up or from a configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::report::{faults, grouped};
use super::{begin, parse, policy};
use crate::cli::args::SimulateArgs;
use crate::cli::exit::Exit;
use crate::cli::output::{self, duration, table};
use crate::clock::Clock;
use crate::config::{self, LoadConfigError};
use phasegate_core::domain::{ExtensionType, HookKinds, OnFailure, ReleaseVersion};
use phasegate_core::kernel::{ReleaseRules, SetConfig};
use phasegate_core::sim::released::{Course, Invented, Setup, invented, settled, site};

/// Regions, sets and instances of each, where nothing is said.
const REGIONS: u32 = 6;
const SETS_PER_REGION: usize = 3;
const INSTANCES: usize = 10;

/// Most sets, and most instances of all of them.
const SETS_MAX: usize = 10_000;
const INSTANCES_MAX: usize = 1_000_000;

/// How long a region phase of a made-up estate is looked at.
const BAKE: Duration = Duration::from_secs(3_600);

/// Virtual time after which a release is given up.
const LIMIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Runs the simulation of a release of `PUBLISHER/TYPE@VERSION`.
///
/// # Errors
/// When an argument means nothing, or a file cannot be read.
pub(super) fn run(args: &SimulateArgs, what: &str) -> anyhow::Result<Exit> {
    let (subject, version) = what.split_once('@').with_context(|| {
        format!("`--release` is `{what}`; write PUBLISHER/TYPE@VERSION, for example contoso/agent@1.3.0")
    })?;
    let subject = ExtensionType::parse(subject)
        .map_err(|error| anyhow::anyhow!("type `{subject}` of `--release` {error}"))?;
    let version = ReleaseVersion::parse(version)
        .map_err(|error| anyhow::anyhow!("version `{version}` of `--release` {error}"))?;
    let (sets, rules) = match &args.config {
        Some(path) => configured(path, args, &subject)?,
        None => made_up(args, &subject)?,
    };
    let regions = sets.iter().map(|set| set.spec.estate.location.clone()).collect();
    let phases = rules.strategy.phases(&regions).len();
    if let Some(from) = args.bad_from_region_phase.filter(|from| *from == 0 || *from > phases) {
        bail!(
            "`--bad-from-region-phase` is {from} (allowed: 1 to {phases}, the region phases that there are)"
        );
    }
    let apply = parse::span("--apply", &args.apply)?;
    let instances = || sets.iter().flat_map(|set| set.spec.instances.values());
    let zones: BTreeSet<&String> = instances().filter_map(|one| one.zone.as_ref()).collect();
    let rates = parse::faults(&args.faults, zones.len())?;
    let setup = Setup {
        sets,
        rules,
        subject,
        version,
        bad_from: args.bad_from_region_phase,
        rates,
        apply: (apply.low, apply.high),
        start: parse::span("--start", &args.start)?.high,
        begin: begin(&args.at)?,
        seed: args.seed,
        limit: LIMIT,
    };
    let clock = Clock::start();
    let estate = settled(&setup);
    let begun_at = clock.now();
    let moved = estate.plan().unwrap_or(0);
    let planned = clock.now().since(begun_at);
    let course = estate.run();
    let took = clock.now().since(clock.started_at());
    if args.json {
        output::json(&as_json(&setup, &course))?;
    } else {
        output::data(&text(&setup, &course))?;
    }
    let count = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
    output::talk(&format!(
        "{} sets with {} instances in {:.2} s: {} turns of the kernel, {} rounds of probes; its plan, which moves {} sets, in \
         {:.2} s\n",
        grouped(setup.sets.len()),
        grouped(course.instances),
        took.as_secs_f64(),
        count(course.turns),
        count(course.judged),
        grouped(moved),
        planned.as_secs_f64(),
    ));
    Ok(if course.violations.is_empty() { Exit::Done } else { Exit::No })
}

fn made_up(args: &SimulateArgs, subject: &ExtensionType) -> anyhow::Result<(Vec<SetConfig>, ReleaseRules)> {
    let regions = usize::try_from(args.regions.unwrap_or(REGIONS))?;
    let sets = args.sets.unwrap_or(regions * SETS_PER_REGION);
    if regions == 0 || sets == 0 || sets > SETS_MAX {
        bail!(
            "{sets} sets in {regions} regions are made up (allowed: 1 to {SETS_MAX} sets, 1 region at least)"
        );
    }
    let all = args.instances.unwrap_or(sets * INSTANCES);
    if all < sets || all > INSTANCES_MAX {
        bail!("`--instances` is {all}, for {sets} sets (allowed: {sets} to {INSTANCES_MAX})");
    }
    if !all.is_multiple_of(sets) {
        let each = all / sets;
        output::talk(&format!(
            "{sets} sets of {each} instances are made up: {all} is no multiple of {sets}\n"
        ));
    }
    let wanted = Invented {
        regions,
        sets,
        instances: all / sets,
        zones: usize::from(args.zones.unwrap_or(3)),
        bake: BAKE,
    };
    let pattern = policy::apply(None, &args.policy)?;
    if pattern.policy.rolling.max_surge {
        bail!("maxSurge is true, which `simulate` does not know");
    }
    invented(&wanted, &pattern, subject).map_err(|error| anyhow::anyhow!(error))
}

fn configured(
    path: &Path,
    args: &SimulateArgs,
    subject: &ExtensionType,
) -> anyhow::Result<(Vec<SetConfig>, ReleaseRules)> {
    let made_up = [
        ("--sets", args.sets.is_some()),
        ("--instances", args.instances.is_some()),
        ("--regions", args.regions.is_some()),
    ];
    if let Some((name, _)) = made_up.into_iter().find(|(_, given)| *given) {
        bail!("`{name}` goes with an estate that is made up; leave it out, or `-c`");
    }
    let config = match config::load(path) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => {
            let (shown, count) = (path.display(), problems.list.len());
            bail!("`{shown}` has {count} problems; see `phasegate check -c {shown}`")
        }
        Err(error) => return Err(error.into()),
    };
    let mut sets = Vec::new();
    for set in config.scale_sets {
        let mut spec = policy::apply(Some(&set.split().0), &args.policy)?;
        if spec.policy.rolling.max_surge {
            bail!(
                "maxSurge of `{}` is true, which `simulate` does not know; add --policy maxSurge=false",
                spec.name
            );
        }
        if spec.instances.is_empty() {
            bail!("`{}` lists no instances; what a discovery finds is not there in a simulation", spec.name);
        }
        spec.policy.hooks = HookKinds::default();
        sets.push(SetConfig { spec, driver: site(), on_failure: OnFailure::Hold });
    }
    if !sets.iter().any(|set| set.spec.estate.enrolment(subject).is_some()) {
        bail!("no set of `{}` has {subject} in its model", path.display());
    }
    Ok((sets, config.releases))
}

fn text(setup: &Setup, course: &Course) -> String {
    let Course {
        state, duration: took, phases, had_it, have_it, instances, sets, reasons, violations, ..
    } = course;
    let mut text = format!(
        "release of {} {} through {} sets with {} instances: {} after {}; faults: {}\n",
        setup.subject,
        setup.version,
        grouped(setup.sets.len()),
        grouped(*instances),
        state.unwrap_or("nothing to move"),
        duration(took.as_secs()),
        faults(&setup.rates),
    );
    let at = |span: &Option<Duration>| span.map_or_else(|| "-".to_owned(), |span| duration(span.as_secs()));
    let rows: Vec<Vec<String>> = phases
        .iter()
        .enumerate()
        .map(|(index, phase)| {
            vec![
                (index + 1).to_string(),
                phase.regions.join(" "),
                format!("{} of {}", phase.done, phase.sets),
                grouped(phase.had_it),
                at(&phase.began),
                at(&phase.ended),
            ]
        })
        .collect();
    text += &table(&["PHASE", "REGIONS", "SETS DONE", "INSTANCES", "BEGAN AFTER", "ENDED AFTER"], &rows);
    let when = if *state == Some("Halted") { "when it was halted" } else { "at the end" };
    _ = writeln!(text, "{} instances ever had it, {} of them {when}", grouped(*had_it), grouped(*have_it));
    let counts = |all: &std::collections::BTreeMap<&str, usize>| {
        all.iter().map(|(what, count)| format!("{} {what}", grouped(*count))).collect::<Vec<_>>().join(", ")
    };
    _ = writeln!(text, "sets: {}", counts(sets));
    if !reasons.is_empty() {
        _ = writeln!(text, "not begun or left out: {}", counts(reasons));
    }
    for violation in violations {
        _ = writeln!(text, "broken: {violation}");
    }
    text
}

fn as_json(setup: &Setup, course: &Course) -> serde_json::Value {
    let seconds = |span: &Option<Duration>| span.map(|span| span.as_secs_f64());
    let phases = course.phases.iter().enumerate().map(|(index, phase)| {
        json!({
            "regionPhase": index + 1,
            "regions": phase.regions,
            "scaleSets": phase.sets,
            "done": phase.done,
            "instancesWithVersion": phase.had_it,
            "beganAfterSeconds": seconds(&phase.began),
            "endedAfterSeconds": seconds(&phase.ended),
        })
    });
    json!({
        "type": setup.subject.to_string(),
        "version": setup.version.to_string(),
        "faults": faults(&setup.rates),
        "state": course.state,
        "durationSeconds": course.duration.as_secs_f64(),
        "scaleSets": setup.sets.len(),
        "instances": course.instances,
        "instancesWithVersion": course.had_it,
        "instancesWithVersionAtStop": course.have_it,
        "phases": phases.collect::<Vec<_>>(),
        "scaleSetsByState": course.sets,
        "reasons": course.reasons,
        "violations": course.violations,
    })
}
