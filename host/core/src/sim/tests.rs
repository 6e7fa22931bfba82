//! Seeds by the thousand, and a fault at every place of one upgrade.
//!
//! `PHASEGATE_SEEDS` gives another number of seeds, `PHASEGATE_SEED` replays one of them (`PHASEGATE_TRACE=1`
//! prints its turns, `PHASEGATE_SHRINK=1` makes a regression test of it), `PHASEGATE_TWICE=1` runs each seed
//! twice and compares all turns.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::rollout::UpgradeState;
use shrink::{Failing, shrink};
use world::{Counts, Tracing, run_traced};

mod crashes;
mod tiny;

/// Seeds of a normal run.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 10_000 };

/// Seeds that find faults which are known and not cured yet, in the kernel or in its checker. They are replayed by
/// `PHASEGATE_SEED`, and leave this list with their cure.
const OPEN_FAULTS: [u64; 0] = [];

/// Where regression tests go.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sim/regressions.rs");

#[expect(clippy::disallowed_methods, reason = "a test is told here how long to run")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The scenario of a seed, and the seed of its world.
fn world_of(seed: u64) -> (Scenario, u64) {
    let mut rng = Rng::new(seed);
    let scenario = Scenario::random(&mut rng);
    // Not drawn, so that the worlds of all other seeds stay what they were.
    let round_trip = seed % 7 == 3 && !scenario.policy.max_surge;
    let scenario = Scenario { round_trip, ..scenario };
    // Sets in several regions: few and small ones, so that a world costs what it did.
    let releases = seed % 5 == 2 && scenario.extensions > 0;
    let scenario = match releases {
        true => Scenario { releases, sets: 3, instances: scenario.instances.min(4), ..scenario },
        false => scenario,
    };
    (scenario, rng.next_u64())
}

/// CPU time of this thread so far; none where the system does not say.
pub(super) fn cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn replay(seed: u64) {
    let (scenario, world) = world_of(seed);
    let outcome = run_traced(world, &scenario, Tracing::On);
    if setting("PHASEGATE_TRACE").is_some() {
        outcome.trace.iter().for_each(|line| println!("{line}"));
    }
    println!("{}\n{:?} {:?}", shrink::json(&scenario), outcome.states, outcome.counts);
    outcome.violations.iter().for_each(|violation| println!("{violation}"));
    let Some(violation) = outcome.violations.into_iter().next() else { return };
    if setting("PHASEGATE_SHRINK").is_some() {
        let small = shrink(Failing { seed: world, scenario, violation });
        let test = shrink::test(&format!("seed_{seed}"), &small);
        let mut file = std::fs::OpenOptions::new().append(true).open(REGRESSIONS).unwrap();
        file.write_all(test.as_bytes()).unwrap();
        println!("{test}\nappended to {REGRESSIONS}");
    }
    panic!("seed {seed} breaks an invariant");
}

/// What all seeds amount to.
#[derive(Default)]
struct All {
    states: BTreeMap<&'static str, u64>,
    rolled_back: usize,
    counts: Counts,
    /// Virtual time of all fleets, and of all their instances.
    fleets: Duration,
    instances: Duration,
}

impl All {
    fn add(&mut self, outcome: &Outcome) {
        outcome.states.iter().for_each(|state| *self.states.entry(state.name()).or_default() += 1);
        self.rolled_back += usize::from(outcome.rolled_back);
        self.counts += outcome.counts;
        self.fleets += outcome.duration;
        self.instances += outcome.duration * u32::try_from(outcome.instances).unwrap();
    }

    fn print(&self, seeds: u64, began: Option<Duration>) {
        println!("{:?}, {} rolled back, {:#?}", self.states, self.rolled_back, self.counts);
        let Some((began, ended)) = began.zip(cpu()) else { return };
        let took = (ended - began).as_secs_f64().max(1e-9);
        let hours = |time: Duration| time.as_secs_f64() / 3600.0 / took;
        let each = took * 1000.0 / (seeds.max(1) as f64);
        println!(
            "{seeds} seeds, {each:.2} ms of CPU each; each CPU second is {:.1} virtual fleet-hours, {:.0} \
             instance-hours",
            hours(self.fleets),
            hours(self.instances)
        );
    }
}

#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = setting("PHASEGATE_SEED") {
        return replay(seed);
    }
    let seeds = setting("PHASEGATE_SEEDS").unwrap_or(SEEDS);
    let tracing = if setting("PHASEGATE_TWICE").is_some() { Tracing::On } else { Tracing::Off };
    let (mut all, mut failed) = (All::default(), Vec::new());
    let began = cpu();
    for seed in 0..seeds {
        let (scenario, world) = world_of(seed);
        let outcome = run_traced(world, &scenario, tracing);
        if tracing == Tracing::On {
            let again = run_traced(world, &scenario, tracing);
            let parted = outcome.trace.iter().zip(&again.trace).find(|(a, b)| a != b);
            assert!(outcome.trace == again.trace, "seed {seed} goes two ways: {parted:#?}");
        }
        if let Some(first) = outcome.violations.first().filter(|_| !OPEN_FAULTS.contains(&seed)) {
            let first: String = first.to_string().chars().take(300).collect();
            println!(
                "seed {seed}: {first}\nreplay it, and make a regression test of it:\n  PHASEGATE_SEED={seed} \
                 PHASEGATE_SHRINK=1 cargo test -p phasegate-core --lib every_seed -- --nocapture"
            );
            failed.push(seed);
        }
        all.add(&outcome);
        if failed.len() >= 20 {
            break;
        }
    }
    all.print(seeds, began);
    assert!(failed.is_empty(), "seeds {failed:?} break invariants");
    if seeds == SEEDS {
        // A simulation in which everything goes one way proves little.
        let least: u64 = if cfg!(debug_assertions) { 5 } else { 100 };
        let states = ["Completed", "Faulted", "Cancelled"];
        assert!(states.iter().all(|state| all.states.get(state) > Some(&least)), "{:?}", all.states);
        let Counts {
            crashes,
            copies,
            refused,
            created,
            swaps,
            reloads,
            retries,
            reverts,
            back,
            late,
            provisioned,
            ..
        } = all.counts;
        let seen = [
            all.rolled_back,
            crashes,
            copies,
            refused,
            created,
            swaps,
            reloads,
            retries,
            reverts,
            back,
            late,
            provisioned,
        ];
        assert!(seen.iter().all(|times| *times as u64 > least), "{:?}", all.counts);
    }
}

/// Three sets in two or three regions, several releases that go their way, and people who pause and resume them: few
/// faults, so that most come through.
fn release_world_of(seed: u64) -> (Scenario, u64) {
    let mut rng = Rng::new(seed ^ 0x5EED);
    let drawn = Scenario::random(&mut rng);
    let Faults { instance_crash, host_crash, bad_version, driver_fails, .. } = drawn.faults;
    let faults = Faults {
        instance_crash,
        host_crash: host_crash.min(20),
        bad_version: bad_version.min(50),
        driver_fails: driver_fails.min(50),
        ..Faults::default()
    };
    let extensions = drawn.extensions.clamp(2, 3);
    let instances = drawn.instances.clamp(2, 4);
    let scenario = Scenario {
        releases: true,
        release_people: ReleasePeople::Fickle,
        sets: 3,
        faults,
        extensions,
        instances,
        skip: 0,
        protected: 0,
        freeze: None,
        timeouts: Default::default(),
        cut_off: None,
        ..drawn
    };
    (scenario, rng.next_u64())
}

/// Three sets of two, none of which can tell by itself, and a host that loses its network in the middle of their upgrades.
fn silent_world_of(seed: u64) -> (Scenario, u64) {
    let (releases, world) = release_world_of(seed ^ 0xDEAF);
    let mut rng = Rng::new(seed ^ 0xDEAF_0001);
    let (after, length) = (rng.between(15, 60), rng.between(200, 400));
    let scenario = Scenario {
        instances: 2,
        releases: seed.is_multiple_of(2),
        faults: Faults::default(),
        cut_off: Some((Duration::from_secs(after), Duration::from_secs(length))),
        ..releases
    };
    (scenario, world)
}

#[test]
fn every_seed_of_silence_keeps_the_invariants() {
    let seeds = setting("PHASEGATE_SEEDS").unwrap_or(SEEDS).div_ceil(5);
    let broken = (0..seeds).filter_map(|seed| {
        let (scenario, world) = silent_world_of(seed);
        let first = run(world, &scenario).violations.into_iter().next()?;
        Some(format!("silent seed {seed}: {}", first.to_string().chars().take(300).collect::<String>()))
    });
    let broken: Vec<String> = broken.take(20).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_seed_of_releases_keeps_the_invariants() {
    if let Some(seed) = setting("PHASEGATE_RELEASE_SEED") {
        let (scenario, world) = release_world_of(seed);
        let outcome = run_traced(world, &scenario, Tracing::On);
        if setting("PHASEGATE_TRACE").is_some() {
            outcome.trace.iter().for_each(|line| println!("{line}"));
        }
        assert_eq!(outcome.violations, [], "{}", shrink::json(&scenario));
        return;
    }
    let seeds = setting("PHASEGATE_SEEDS").unwrap_or(SEEDS).div_ceil(4);
    let mut failed = Vec::new();
    for seed in 0..seeds {
        let (scenario, world) = release_world_of(seed);
        let outcome = run(world, &scenario);
        if let Some(first) = outcome.violations.first() {
            let first: String = first.to_string().chars().take(300).collect();
            println!("release seed {seed}: {first}; replay it with PHASEGATE_RELEASE_SEED={seed}");
            failed.push(seed);
        }
        if failed.len() >= 20 {
            break;
        }
    }
    assert!(failed.is_empty(), "release seeds {failed:?} break invariants");
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..20 {
        let (scenario, world) = world_of(seed);
        let trace = |()| run_traced(world, &scenario, Tracing::On).trace;
        assert_eq!(trace(()), trace(()), "seed {seed}");
    }
}

#[test]
fn without_faults_every_instance_arrives() {
    for seed in 0..50 {
        let outcome = run(seed, &Scenario::default());
        assert_eq!(outcome.violations, []);
        assert_eq!(outcome.states, [UpgradeState::Completed], "seed {seed}");
        let arrived = |versions: &Versions| versions.application.as_ref().is_some_and(|v| v.as_str() == "v2");
        assert!(outcome.running.values().all(arrived), "seed {seed}");
    }
}

#[test]
fn a_scenario_is_what_its_json_says() {
    for seed in 0..50 {
        let (scenario, _) = world_of(seed);
        let read: Scenario = serde_json::from_str(&shrink::json(&scenario)).unwrap();
        assert_eq!(read, scenario, "seed {seed}");
    }
}
