//! Every order of events on fleets of up to four instances.

use std::time::Duration;

use super::explore::{Bounds, Report, TinyNode, explore};
use crate::domain::{
    Decisions, FailureRules, Goal, Health, InstanceId, OnBreach, OnInstanceFailure, Participation, Percent,
    Phase, ScaleSetName, Timestamp, UpgradeId, UpgradePolicy, Version,
};
use crate::rollout::{StartUpgrade, Upgrade};
use crate::sim::Scenario;

/// `0@a` is phase 0 in zone a, `-` no phase, `s` skip.
fn node((number, text): (usize, &str)) -> TinyNode {
    let (phase, zone) = text.split_once('@').unwrap();
    TinyNode {
        id: InstanceId::parse(&number.to_string()).unwrap(),
        zone: Some(zone.to_owned()),
        phase: phase.parse().ok().and_then(Phase::new),
        participation: if phase == "s" { Participation::Skip } else { Participation::Proceed },
        health: Health::Healthy,
        version: Version::parse("v1").unwrap(),
    }
}

struct Limits {
    batch: u8,
    unhealthy: u8,
    upgraded: u8,
    decisions: Decisions,
}

fn check(fleet: &str, limits: &Limits, failure: FailureRules, bounds: Bounds) -> Report {
    let mut policy = Scenario::default().policy;
    policy.max_batch_instance_percent = Percent::new(limits.batch).unwrap();
    policy.max_unhealthy_instance_percent = Percent::new(limits.unhealthy).unwrap();
    policy.max_unhealthy_upgraded_instance_percent = Percent::new(limits.upgraded).unwrap();
    let start = StartUpgrade {
        number: 1,
        id: UpgradeId::parse("tiny-1").unwrap(),
        scale_set: ScaleSetName::parse("tiny").unwrap(),
        goal: Goal::application(Version::parse("v2").unwrap()),
        policy: UpgradePolicy {
            rolling: policy,
            gate: Scenario::default().gate,
            failure,
            checkpoints: Default::default(),
            decisions: limits.decisions,
            defer_max: Duration::from_secs(600),
            prepare_max: Duration::from_secs(30),
        },
        before: Goal::application(Version::parse("v1").unwrap()),
        bypass: false,
    };
    let upgrade = Upgrade::new(start, Timestamp(1_000_000));
    let report = explore(upgrade, fleet.split_whitespace().enumerate().map(node).collect(), bounds);
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
    let bounds = Bounds { depth: usize::MAX, states: 400_000 };
    let limits = Limits { batch: 50, unhealthy: 50, upgraded: 50, decisions: Decisions::Snapshot };
    let report = check("0@a -@b", &limits, RESTORE_AND_UNDO, bounds);
    assert!(report.states < bounds.states && report.ended > 0, "{report:?}");
}

#[test]
fn four_instances_with_zones_phases_and_a_skip() {
    let bounds = Bounds { depth: 14, states: 30_000 };
    let limits = Limits { batch: 50, unhealthy: 50, upgraded: 50, decisions: Decisions::Snapshot };
    for failure in [RESTORE_AND_UNDO, LEAVE] {
        let report = check("0@a 0@b 1@a s@b", &limits, failure, bounds);
        assert!(report.states > 5_000 && report.ended > 0, "{report:?}");
    }
}

#[test]
fn four_instances_in_one_batch() {
    let bounds = Bounds { depth: 12, states: 30_000 };
    let limits = Limits { batch: 100, unhealthy: 75, upgraded: 25, decisions: Decisions::Live };
    let report = check("0@a 0@a 0@a s@a", &limits, RESTORE_AND_UNDO, bounds);
    assert!(report.states > 5_000, "{report:?}");
}
