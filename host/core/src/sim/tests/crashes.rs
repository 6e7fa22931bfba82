//! A crash at every place of one upgrade: before each commit, after it, and after each effect with
//! its answer lost. The end must be that of the run without a crash.

use std::time::Duration;

use super::*;
use crate::domain::OnBreach;

/// The world, its seed, and the versions in the end.
fn same_end(seed: u64, scenario: &Scenario) -> (usize, usize) {
    let calm = run(seed, scenario);
    assert_eq!(calm.violations, [], "without a crash");
    let end = |outcome: &Outcome| -> (UpgradeState, bool, Vec<Versions>, Vec<Versions>) {
        (outcome.state, outcome.rolled_back, outcome.versions.clone(), outcome.running.clone())
    };
    let mut runs = 0;
    for (at, places) in [
        (CrashAt::BeforeCommit, calm.commits),
        (CrashAt::AfterCommit, calm.commits),
        (CrashAt::AfterAct, calm.calls),
    ] {
        for number in 0..places {
            let crash = Some(Crash { at, number });
            let outcome = run(seed, &Scenario { crash, ..scenario.clone() });
            assert_eq!(outcome.crashes, 1, "{at:?} {number}");
            assert_eq!(outcome.violations, [], "{at:?} {number}");
            assert_eq!(end(&outcome), end(&calm), "{at:?} {number} of {places}");
            runs += 1;
        }
    }
    (calm.commits, runs)
}

#[test]
fn a_crash_at_any_place_changes_nothing_in_the_end() {
    for dies_with_host in [false, true] {
        let scenario = Scenario { dies_with_host, ..Scenario::default() };
        for seed in 0..5 {
            let (commits, runs) = same_end(seed, &scenario);
            assert!(commits > 24 && runs > 70, "{commits} commits, {runs} runs");
        }
    }
}

#[test]
fn a_crash_between_the_parts_of_an_instance_changes_nothing_in_the_end() {
    for dies_with_host in [false, true] {
        for application in [Place::First, Place::Last, Place::Absent] {
            let scenario =
                Scenario { dies_with_host, application, extensions: 2, missing: 300, ..Scenario::default() };
            for seed in 0..2 {
                same_end(seed, &scenario);
            }
        }
    }
}

#[test]
fn a_crash_during_the_way_back_changes_nothing_in_the_end() {
    // The new version never becomes healthy: failed instances are restored, the rest rolled back.
    for breach in [OnBreach::Stop, OnBreach::RestoreFailed, OnBreach::RollBack] {
        for dies_with_host in [false, true] {
            let mut scenario = Scenario { dies_with_host, ..Scenario::default() };
            scenario.faults.bad_version = 1000;
            scenario.failure.breach = breach;
            scenario.policy.max_batch_instance_percent = crate::domain::Percent::clamped(40);
            scenario.policy.max_unhealthy_instance_percent = crate::domain::Percent::clamped(40);
            scenario.quiet_after = Duration::ZERO;
            for seed in 0..3 {
                same_end(seed, &scenario);
            }
        }
    }
}
