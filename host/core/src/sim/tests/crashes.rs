//! A crash at every place of one upgrade: before each commit, after it, and after each effect with its answer
//! lost. And each commit refused once, and its answer lost once. The end must be that of the run without.

use std::time::Duration;

use super::*;
use crate::domain::{Decisions, OnBreach, Percent};

/// The world without a fault, and how many worlds with one ended in the same way.
fn same_end(seed: u64, scenario: &Scenario) -> (Counts, usize) {
    let calm = run(seed, scenario);
    assert_eq!(calm.violations, [], "without a fault");
    let mut runs = 0;
    let mut check = |scenario: &Scenario, what: &str| {
        let outcome = run(seed, scenario);
        assert_eq!(outcome.violations, [], "{what}");
        assert_eq!(outcome.states, calm.states, "{what}");
        assert_eq!(outcome.rolled_back, calm.rolled_back, "{what}");
        assert_eq!(outcome.running, calm.running, "{what}");
        assert_eq!(outcome.versions, calm.versions, "{what}");
        runs += 1;
        outcome.counts
    };
    for (at, places) in [
        (CrashAt::BeforeCommit, calm.counts.commits),
        (CrashAt::AfterCommit, calm.counts.commits),
        (CrashAt::AfterAct, calm.counts.calls),
    ] {
        for number in 0..places {
            let crash = Some(Crash { at, number });
            let what = format!("crash {at:?} {number} of {places}");
            let counts = check(&Scenario { crash, ..scenario.clone() }, &what);
            assert_eq!(counts.crashes, 1, "{what}");
        }
    }
    for fate in [Fate::Refused, Fate::AnswerLost, Fate::Doubted] {
        for number in 0..calm.counts.commits {
            let commit = Some(BadCommit { number, fate });
            let what = format!("commit {number}: {fate:?}");
            let counts = check(&Scenario { commit, ..scenario.clone() }, &what);
            assert_eq!(counts.refused, 1, "{what}");
        }
    }
    (calm.counts, runs)
}

const KEEPERS: [Keeper; 3] = [Keeper::Host, Keeper::HostAlone, Keeper::Site];

#[test]
fn a_fault_at_any_place_changes_nothing_in_the_end() {
    for keeper in KEEPERS {
        let scenario = Scenario { keeper, ..Scenario::default() };
        for seed in 0..1 {
            let (counts, runs) = same_end(seed, &scenario);
            assert!(counts.commits > 24 && runs > 100, "{counts:?}, {runs} runs");
        }
    }
}

#[test]
fn a_fault_between_the_parts_of_an_instance_changes_nothing_in_the_end() {
    for keeper in KEEPERS {
        for application in [Application::Changes, Application::Stays] {
            let scenario = Scenario {
                keeper,
                application,
                extensions: 2,
                missing: 300,
                instances: 8,
                ..Scenario::default()
            };
            same_end(1, &scenario);
        }
    }
}

#[test]
fn a_fault_while_instances_come_and_go_changes_nothing_in_the_end() {
    for keeper in KEEPERS {
        let mut scenario = Scenario { keeper, instances: 6, extensions: 1, ..Scenario::default() };
        scenario.policy.max_surge = true;
        let (counts, runs) = same_end(1, &scenario);
        assert!(counts.created == 6 && runs > 80, "{counts:?}, {runs} runs");
    }
}

#[test]
fn a_fault_during_the_way_back_changes_nothing_in_the_end() {
    // The new version never becomes healthy: failed instances are restored, the rest rolled back.
    for breach in [OnBreach::Stop, OnBreach::RestoreFailed, OnBreach::RollBack] {
        for keeper in [Keeper::Host, Keeper::HostAlone] {
            let mut scenario = Scenario { keeper, instances: 8, ..Scenario::default() };
            scenario.faults.bad_version = 1000;
            scenario.failure.breach = breach;
            scenario.policy.max_batch_instance_percent = Percent::clamped(40);
            scenario.policy.max_unhealthy_instance_percent = Percent::clamped(40);
            scenario.quiet_after = Duration::ZERO;
            same_end(1, &scenario);
        }
    }
}

/// A person swaps a component in that leaves some instances out. Which of them have had their turn by then
/// depends on how long a host was away, so what runs in the end may differ; the rules do not.
#[test]
fn a_fault_at_any_place_of_a_swap_breaks_no_rule() {
    for decisions in [Decisions::Live, Decisions::Snapshot] {
        let swap_at = Some(Duration::from_secs(40));
        let scenario = Scenario { decisions, swap_at, instances: 6, ..Scenario::default() };
        let calm = run(1, &scenario);
        assert_eq!((calm.violations, calm.counts.swaps), (vec![], 1), "without a fault");
        let check = |scenario: &Scenario, what: &str| {
            let outcome = run(1, scenario);
            assert_eq!(outcome.violations, [], "{what}");
            assert_eq!(outcome.judges.values().collect::<Vec<_>>(), [&b'c'], "{what}");
        };
        for number in 0..calm.counts.commits {
            for at in [CrashAt::BeforeCommit, CrashAt::AfterCommit] {
                let crash = Some(Crash { at, number });
                check(&Scenario { crash, ..scenario.clone() }, &format!("crash {at:?} {number}"));
            }
            for fate in [Fate::Refused, Fate::AnswerLost] {
                let commit = Some(BadCommit { number, fate });
                check(&Scenario { commit, ..scenario.clone() }, &format!("commit {number}: {fate:?}"));
            }
        }
        for number in 0..calm.counts.calls {
            let crash = Some(Crash { at: CrashAt::AfterAct, number });
            check(&Scenario { crash, ..scenario.clone() }, &format!("crash after effect {number}"));
        }
    }
}
