//! What a forecast promises: the same seed, the same run; no probe that matters is left out.

use std::time::Duration;

use super::*;
use crate::domain::{
    FreezeWindows, HookKinds, OnBreach, Percent, Phase, PhaseName, RollingUpgradePolicy, ScaleSetName,
    Timestamp, UpgradePolicy, Version,
};
use crate::sim::{Rng, Scenario};

/// A small fleet with the rules of a scenario of the test world.
fn setup(scenario: &Scenario, instances: usize) -> Setup {
    let seconds = |low, high| Span { low: Duration::from_secs(low), high: Duration::from_secs(high) };
    Setup {
        name: ScaleSetName::parse("sim").unwrap(),
        to: Version::parse("v2").unwrap(),
        fleet: Fleet::Invented(Invented {
            instances,
            zones: u16::try_from(scenario.zones).unwrap(),
            update_domains: scenario.update_domains,
            phases: vec![400_000; usize::try_from(scenario.phases).unwrap().min(2)],
            skip: scenario.skip * 1000,
            protected: scenario.protected * 1000,
        }),
        regions: 1,
        rules: UpgradePolicy {
            // Nothing is created in a forecast.
            rolling: RollingUpgradePolicy { max_surge: false, ..scenario.policy.clone() },
            gate: scenario.gate,
            failure: scenario.failure,
            checkpoints: scenario.checkpoints.clone(),
            decisions: scenario.decisions,
            urgency: Default::default(),
            defer_max: Duration::from_secs(600),
            bake: None,
            hooks: HookKinds::default(),
            round_trip: false,
            timeouts: scenario.timeouts,
            prepare_max: scenario.prepare_max(),
        },
        freeze: FreezeWindows::default(),
        health: scenario.health,
        interval: scenario.interval,
        pace: Pace { apply: seconds(1, 10), start: seconds(1, 20), person: Duration::from_secs(60) },
        rates: Rates::default(),
        begin: Timestamp(1_000_000),
        limit: Duration::from_secs(48 * 3600),
        probes: Probes::Telling,
    }
}

/// Rates at which something happens in every run.
const MUCH: Rates = Rates {
    crash: 2_000_000,
    flap: 2_000_000,
    zone_loss: 500_000,
    lost_probe: 30_000,
    slow: 200_000,
    bad_version: 50_000,
    driver: 50_000,
};

fn random(seed: u64) -> Setup {
    let mut rng = Rng::new(seed);
    let scenario = Scenario::random(&mut rng);
    let mut setup = setup(&scenario, usize::try_from(rng.between(1, 40)).unwrap());
    if rng.chance(800) {
        setup.rates = MUCH;
    }
    setup
}

fn run_of(setup: &Setup, seed: u64, watch: Watch) -> Run {
    run(setup, seed, watch, Tell::Timeline, &mut AtTheirWord)
}

/// Everything but the number of things that happened.
fn course(run: &Run) -> String {
    let mut run = run.clone();
    run.regions.iter_mut().for_each(|region| region.happened = 0);
    format!("{run:#?}")
}

#[test]
fn probes_that_are_not_looked_at_change_nothing() {
    let mut saved = 0;
    for seed in 0..600 {
        let telling = random(seed);
        let all = Setup { probes: Probes::All, ..telling.clone() };
        let (telling, all) = (run_of(&telling, seed, Watch::Steps), run_of(&all, seed, Watch::Steps));
        let (a, b) = (course(&telling), course(&all));
        let first = a.lines().zip(b.lines()).find(|(a, b)| a != b);
        assert!(a == b, "seed {seed}: {first:?}");
        let happened = |run: &Run| run.regions.iter().map(|region| region.happened).sum::<u64>();
        saved += happened(&all) - happened(&telling);
    }
    assert!(saved > 100_000, "{saved} probes were left out");
}

#[test]
fn every_run_keeps_the_invariants_in_both_ways_of_watching() {
    let mut ends = std::collections::BTreeSet::new();
    for seed in 0..600 {
        let setup = random(seed);
        let (steps, short) = (run_of(&setup, seed, Watch::Steps), run_of(&setup, seed, Watch::Admissions));
        for run in [&steps, &short] {
            let broken: Vec<String> =
                run.regions.iter().flat_map(|r| &r.violations).map(ToString::to_string).collect();
            assert!(broken.is_empty(), "seed {seed}: {broken:#?}\n{:#?}", run.regions[0].timeline);
        }
        assert!(steps.regions[0].timeline == short.regions[0].timeline, "seed {seed}");
        ends.insert(steps.end());
        assert!(steps.end() != End::Unfinished, "seed {seed}: {:#?}", steps.regions[0].timeline);
    }
    assert!(ends.contains(&End::Completed) && ends.contains(&End::Faulted), "{ends:?}");
}

#[test]
fn regions_go_one_after_the_other_and_stop_at_the_first_that_faults() {
    let mut setup = Setup { regions: 3, ..setup(&Scenario::default(), 30) };
    let well = run_of(&setup, 1, Watch::Steps);
    assert_eq!(well.regions.len(), 3);
    assert_eq!(well.regions.iter().map(|region| region.total).sum::<usize>(), 30);
    assert_eq!(well.end(), End::Completed);
    setup.rates.bad_version = 1_000_000;
    let bad = run_of(&setup, 1, Watch::Steps);
    assert_eq!((bad.regions.len(), bad.end()), (1, End::Faulted));
}

#[test]
fn checkpoints_are_answered_and_a_breach_rolls_back() {
    let mut setup = setup(&Scenario::default(), 12);
    setup.rules.checkpoints.approval_before.insert(PhaseName::Last);
    setup.rules.checkpoints.pause_after.extend(Phase::new(0).map(PhaseName::Number));
    let run = run_of(&setup, 3, Watch::Steps);
    assert_eq!(run.end(), End::Completed);
    let kinds: Vec<&str> = run.regions[0].timeline.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "person").count(), 2, "{kinds:?}");

    setup.rates.bad_version = 1_000_000;
    setup.rules.failure.breach = OnBreach::RollBack;
    setup.rules.failure.instance = crate::domain::OnInstanceFailure::Leave;
    setup.rules.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(0);
    let run = run_of(&setup, 3, Watch::Steps);
    assert!(run.regions[0].rolled_back && run.end() == End::Faulted, "{run:#?}");
}
