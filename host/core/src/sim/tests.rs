//! Seeds by the thousand, and a crash at every place of one upgrade.
//!
//! `PHASEGATE_SEEDS` gives another number of seeds, `PHASEGATE_SEED` replays one of them.

use std::collections::BTreeMap;

use super::*;
use crate::rollout::UpgradeState;

mod crashes;
mod tiny;

/// Seeds of a normal run.
const SEEDS: u64 = 10_000;

#[expect(clippy::disallowed_methods, reason = "a test is told here how long to run")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn world_of(seed: u64) -> (Scenario, Outcome) {
    let mut rng = Rng::new(seed);
    let scenario = Scenario::random(&mut rng);
    let outcome = run(rng.next_u64(), &scenario);
    (scenario, outcome)
}

#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = setting("PHASEGATE_SEED") {
        let (scenario, outcome) = world_of(seed);
        println!("{scenario:#?}\n{outcome:#?}");
        for violation in &outcome.violations {
            println!("{violation}");
        }
        assert!(outcome.violations.is_empty());
        return;
    }
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut steps, mut crashes, mut rollbacks) = (0, 0, 0);
    for seed in 0..setting("PHASEGATE_SEEDS").unwrap_or(SEEDS) {
        let (_, outcome) = world_of(seed);
        if let Some(first) = outcome.violations.first() {
            panic!(
                "seed {seed}: {first}\nreplay it:\n  PHASEGATE_SEED={seed} cargo test --release -p phasegate-core \
                 --lib sim::tests::every_seed_keeps_the_invariants -- --nocapture"
            );
        }
        *states.entry(outcome.state.name()).or_default() += 1;
        steps += outcome.steps;
        crashes += outcome.crashes;
        rollbacks += usize::from(outcome.rolled_back);
    }
    println!("{states:?}, {rollbacks} rolled back, {steps} steps, {crashes} crashes of the host");
    if setting("PHASEGATE_SEEDS").is_none() {
        // A simulation in which everything goes one way proves little.
        assert!(["Completed", "Faulted", "Cancelled"].iter().all(|state| states.get(state) > Some(&100)));
        assert!(rollbacks > 100 && crashes > 1000);
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..20 {
        assert_eq!(format!("{:?}", world_of(seed)), format!("{:?}", world_of(seed)), "seed {seed}");
    }
}

#[test]
fn without_faults_everybody_arrives() {
    for seed in 0..50 {
        let outcome = run(seed, &Scenario::default());
        assert_eq!(outcome.violations, []);
        assert_eq!(outcome.state, UpgradeState::Completed, "seed {seed}");
        let arrived = |versions: &Versions| versions.application.as_ref().is_some_and(|v| v.as_str() == "v2");
        assert!(outcome.running.iter().all(arrived), "seed {seed}");
    }
}
