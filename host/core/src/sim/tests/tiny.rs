//! Every order of events on fleets of up to four instances.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::{
    Decisions, FailureRules, OnBreach, OnInstanceFailure, Participation, Percent, Phase, Version,
};
use crate::sim::explore::{Bounds, Record, Report, TinyNode, explore};
use crate::sim::making::{Addresses, Making};

/// `0@a` is phase 0 in zone a, `-` no phase, `s` skip.
fn node(text: &str) -> TinyNode {
    let (phase, _) = text.split_once('@').unwrap();
    TinyNode {
        phase: phase.parse().ok().and_then(Phase::new),
        participation: if phase == "s" { Participation::Skip } else { Participation::Proceed },
    }
}

struct Limits {
    batch: u8,
    unhealthy: u8,
    upgraded: u8,
    decisions: Decisions,
}

fn check(fleet: &str, limits: &Limits, failure: FailureRules, bounds: Bounds) -> Report {
    let mut scenario = Scenario { failure, decisions: limits.decisions, ..Scenario::default() };
    scenario.policy.max_batch_instance_percent = Percent::new(limits.batch).unwrap();
    scenario.policy.max_unhealthy_instance_percent = Percent::new(limits.unhealthy).unwrap();
    scenario.policy.max_unhealthy_upgraded_instance_percent = Percent::new(limits.upgraded).unwrap();
    scenario.health.grace_period = Duration::ZERO;
    scenario.instances = fleet.split_whitespace().count();
    let (mut rng, mut addresses) = (Rng::new(0), Addresses::default());
    let mut making = Making { rng: &mut rng, scenario: &scenario, addresses: &mut addresses };
    let (mut config, _) = making.set(0);
    let texts: Vec<&str> = fleet.split_whitespace().collect();
    for (instance, text) in config.spec.instances.values_mut().zip(&texts) {
        Arc::make_mut(instance).zone = text.split_once('@').map(|(_, zone)| zone.to_owned());
    }
    let nodes = texts.into_iter().map(node).collect();
    let report = explore(config, nodes, Version::parse("v2").unwrap(), bounds);
    if let Some((violations, way)) = &report.broken {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        panic!("{fleet}: {}\nafter {way:#?}", lines.join("\n"));
    }
    println!("{fleet}: {} states, {} moves, depth {}", report.states, report.moves, report.depth);
    report
}

const RESTORE_AND_UNDO: FailureRules =
    FailureRules { instance: OnInstanceFailure::Restore, breach: OnBreach::RestoreFailed };
const LEAVE: FailureRules =
    FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::RestoreFailed };

#[test]
fn two_instances_to_the_very_end() {
    // Every reachable state: the exploration ends by itself.
    let bounds = Bounds { depth: usize::MAX, states: 400_000, record: Record::Works };
    let limits = Limits { batch: 50, unhealthy: 50, upgraded: 50, decisions: Decisions::Snapshot };
    let report = check("0@a -@b", &limits, RESTORE_AND_UNDO, bounds);
    assert!(report.states < bounds.states && report.ended > 0, "{report:?}");
}

#[test]
fn four_instances_with_zones_phases_and_a_skip() {
    let bounds = Bounds { depth: 14, states: 12_000, record: Record::Works };
    let limits = Limits { batch: 50, unhealthy: 50, upgraded: 50, decisions: Decisions::Snapshot };
    for failure in [RESTORE_AND_UNDO, LEAVE] {
        let report = check("0@a 0@b 1@a s@b", &limits, failure, bounds);
        assert!(report.states > 5_000 && report.ended > 0, "{report:?}");
    }
}

#[test]
fn four_instances_in_one_batch() {
    let bounds = Bounds { depth: 12, states: 12_000, record: Record::Works };
    let limits = Limits { batch: 100, unhealthy: 75, upgraded: 25, decisions: Decisions::Live };
    let report = check("0@a 0@a 0@a s@a", &limits, RESTORE_AND_UNDO, bounds);
    assert!(report.states > 5_000, "{report:?}");
}

#[test]
fn two_instances_and_a_record_that_refuses() {
    let bounds = Bounds { depth: usize::MAX, states: 20_000, record: Record::Refuses };
    let limits = Limits { batch: 50, unhealthy: 50, upgraded: 50, decisions: Decisions::Snapshot };
    let report = check("0@a -@b", &limits, RESTORE_AND_UNDO, bounds);
    assert!(report.states > 10_000 && report.ended > 0, "{report:?}");
}
