//! Whole upgrades against a small fleet of values: one driver for all cases, events by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::domain::{
    Checkpoints, Decisions, ExtensionName, FailureRules, Goal, Health, HealthGate, InstanceId, OnBreach,
    OnInstanceFailure, Participation, Percent, Phase, Protection, RollingUpgradePolicy, ScaleSetName,
    Timestamp, UpgradeId, UpgradePolicy, Version,
};
use crate::plan::{Candidate, Standing};
use crate::rollout::invariants::Seen;
use crate::rollout::invariants::replay::untold;

struct Node {
    phase: Option<u32>,
    participation: Participation,
    health: Health,
    version: &'static str,
    extensions: BTreeMap<ExtensionName, Version>,
    decided: bool,
}

struct Fleet(BTreeMap<InstanceId, Node>, Option<Stop>);

impl FleetView for Fleet {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(id, node): (&InstanceId, &Node)| Candidate {
            id: id.clone(),
            zone: None,
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            version: Some(version(node.version)),
            extensions: node.extensions.clone(),
            health: node.health,
            standing: if node.decided {
                Standing::Decided {
                    phase: node.phase.and_then(Phase::new),
                    participation: node.participation,
                    detail: String::new(),
                }
            } else {
                Standing::Undecided
            },
        };
        self.0.iter().map(candidate).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        self.candidates().into_iter().find(|candidate| candidate.id == *instance)
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.0.get(instance).map_or(Health::Unknown, |node| node.health)
    }

    fn total(&self) -> usize {
        self.0.len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.0.iter().filter(|(_, node)| node.health.is_unhealthy()).map(|(id, _)| id.clone()).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.unhealthy().len()
    }

    fn initializing(&self) -> Vec<InstanceId> {
        let starting = |(_, node): &(&InstanceId, &Node)| node.health == Health::Initializing;
        self.0.iter().filter(starting).map(|(id, _)| id.clone()).collect()
    }

    fn initializing_count(&self) -> usize {
        self.initializing().len()
    }

    fn stop(&self) -> Option<Stop> {
        self.1
    }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn id(number: usize) -> InstanceId {
    InstanceId::parse(&number.to_string()).unwrap()
}

/// A fleet of healthy instances at v1; `phases` gives each one's phase.
fn fleet(phases: &[Option<u32>]) -> Fleet {
    let node = |phase: &Option<u32>| Node {
        phase: *phase,
        participation: Participation::Proceed,
        health: Health::Healthy,
        version: "v1",
        extensions: BTreeMap::new(),
        decided: true,
    };
    Fleet(phases.iter().enumerate().map(|(index, phase)| (id(index), node(phase))).collect(), None)
}

/// One upgrade and its world.
struct World {
    upgrade: Upgrade,
    fleet: Fleet,
    now: Timestamp,
    /// Every effect in the order in which it was asked for.
    applied: Vec<String>,
    wake_at: Option<Timestamp>,
    pending: Vec<Action>,
}

fn policy() -> RollingUpgradePolicy {
    let percent = |value| Percent::new(value).unwrap();
    RollingUpgradePolicy {
        max_batch_instance_percent: percent(20),
        max_unhealthy_instance_percent: percent(20),
        max_unhealthy_upgraded_instance_percent: percent(20),
        pause_time_between_batches: Duration::ZERO,
        enable_cross_zone_upgrade: false,
        prioritize_unhealthy_instances: false,
        max_surge: false,
        batches: Vec::new(),
    }
}

const GATE: HealthGate =
    HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::from_secs(300) };

fn world(fleet: Fleet, policy: RollingUpgradePolicy, gate: HealthGate) -> World {
    let start = StartUpgrade {
        number: 1,
        id: UpgradeId::parse("orders-1").unwrap(),
        scale_set: ScaleSetName::parse("orders").unwrap(),
        goal: Goal::application(version("v2")),
        policy: UpgradePolicy {
            rolling: policy,
            gate,
            failure: FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::Stop },
            checkpoints: Checkpoints::default(),
            decisions: Decisions::Snapshot,
            defer_max: Duration::from_secs(600),
            prepare_max: Duration::from_secs(30),
        },
        before: Goal::application(version("v1")),
        bypass: false,
    };
    let now = Timestamp(1_000_000);
    World {
        upgrade: Upgrade::new(start, now),
        fleet,
        now,
        applied: Vec::new(),
        wake_at: None,
        pending: Vec::new(),
    }
}

impl World {
    fn event(&mut self, event: &Event) {
        let (before, events) = (self.upgrade.clone(), std::slice::from_ref(event));
        let out = step(&mut self.upgrade, &self.fleet, events, self.now);
        let (after, fleet, now) = (&self.upgrade, &self.fleet, self.now);
        let seen = Seen { before: &before, after, events, step: &out, fleet, now };
        assert_eq!(untold(&seen), None, "{event:?}");
        self.wake_at = out.wake_at;
        for action in out.actions {
            self.applied.push(action.instance().to_string());
            self.pending.push(action);
        }
    }

    fn look(&mut self) {
        self.event(&Event::Look);
    }

    /// The driver answers for everything it was asked for; instances come back Initializing.
    fn drivers_answer(&mut self, result: &Result<(), String>) {
        for action in std::mem::take(&mut self.pending) {
            let (instance, operation) = (action.instance().clone(), action.operation().clone());
            if let Some(node) = self.fleet.0.get_mut(&instance) {
                node.health = Health::Initializing;
                node.version = "v2";
            }
            self.event(&Event::EffectDone { operation, instance, result: result.clone() });
        }
    }

    fn set_health(&mut self, number: usize, health: Health) {
        if let Some(node) = self.fleet.0.get_mut(&id(number)) {
            node.health = health;
        }
        self.look();
    }

    fn everybody_is_healthy(&mut self) {
        for node in self.fleet.0.values_mut() {
            node.health = Health::Healthy;
        }
        self.look();
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.look();
    }

    /// Runs on in good order, at most so many batches.
    fn run(&mut self) {
        for _ in 0..100 {
            self.look();
            if !self.upgrade.is_active() {
                return;
            }
            self.drivers_answer(&Ok(()));
            self.everybody_is_healthy();
        }
        panic!("no end in sight: {:?}", self.upgrade.stage);
    }

    fn code(&self) -> Option<&'static str> {
        self.upgrade.error.as_ref().map(|error| error.code.name())
    }
}

#[test]
fn a_healthy_fleet_goes_phase_by_phase_and_the_last_phase_last() {
    let mut phases = vec![Some(0); 10];
    phases[4] = None;
    phases[7] = Some(1);
    let mut world = world(fleet(&phases), policy(), GATE);
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.applied.join(" "), "0 1 2 3 5 6 8 9 7 4");
    assert_eq!(world.upgrade.progress().successful, 10);
    assert_eq!(world.upgrade.error, None);
}

#[test]
fn no_batch_before_the_one_before_is_healthy() {
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    assert_eq!(world.applied.len(), 2);
    world.look();
    assert_eq!(world.applied.len(), 2, "the driver has not answered");
    world.drivers_answer(&Ok(()));
    world.pass(10);
    assert_eq!(world.applied.len(), 2, "Initializing means wait");
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Unknown);
    assert_eq!(world.applied.len(), 2, "Unknown is not healthy");
    world.set_health(1, Health::Healthy);
    assert_eq!(world.applied.len(), 4);
}

#[test]
fn no_batch_is_admitted_while_an_instance_is_initializing() {
    // Row R12.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(9, Health::Initializing);
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Healthy);
    assert_eq!(world.applied.len(), 2);
    world.set_health(9, Health::Unhealthy);
    assert_eq!(world.applied.len(), 3, "one of the two that may be down is down already");
}

#[test]
fn a_skip_is_never_touched() {
    let mut fleet = fleet(&[Some(0); 5]);
    fleet.0.get_mut(&id(2)).unwrap().participation = Participation::Skip;
    let mut world = world(fleet, policy(), GATE);
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 3 4");
    assert_eq!(world.upgrade.holds.len(), 1);
}

#[test]
fn all_skipped_completes_with_nothing_done() {
    let mut fleet = fleet(&[Some(0); 3]);
    for node in fleet.0.values_mut() {
        node.participation = Participation::Skip;
    }
    let mut world = world(fleet, policy(), GATE);
    world.look();
    assert_eq!((world.upgrade.state, world.applied.len()), (UpgradeState::Completed, 0), "P06");
}

#[test]
fn too_many_unhealthy_before_the_start() {
    // Rows R07, R08 and R09.
    for (unhealthy, state) in [(2, UpgradeState::RollingForward), (3, UpgradeState::Faulted)] {
        let mut fleet = fleet(&[Some(0); 10]);
        for number in 0..unhealthy {
            fleet.0.get_mut(&id(9 - number)).unwrap().health = Health::Unhealthy;
        }
        let mut world = world(fleet, policy(), GATE);
        world.look();
        assert_eq!(world.upgrade.state, state, "{unhealthy} unhealthy");
        if state == UpgradeState::Faulted {
            assert_eq!(world.code(), Some("MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade"));
            assert_eq!(world.applied.len(), 0);
            assert_eq!(world.upgrade.error.as_ref().unwrap().details.len(), 3);
        }
    }
}

#[test]
fn an_instance_that_never_recovers_fails_at_the_deadline() {
    // Rows R13, R14 and R16: one of two upgraded is 50 %.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Unhealthy);
    world.pass(299);
    assert!(world.upgrade.is_active());
    assert_eq!(world.wake_at, Some(Timestamp(1_300_000)), "it says when to look again");
    world.pass(1);
    assert_eq!(world.upgrade.state, UpgradeState::Faulted);
    assert_eq!(world.code(), Some("MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade"));
    let error = world.upgrade.error.as_ref().unwrap();
    assert_eq!(error.details, [(id(1), "was still Unhealthy 300 s after its upgrade".to_owned())]);
    assert_eq!(world.upgrade.progress().failed, 1);
}

#[test]
fn a_failure_within_the_limit_goes_on_and_is_told() {
    let mut policy = policy();
    policy.max_unhealthy_upgraded_instance_percent = Percent::new(50).unwrap();
    let mut world = world(fleet(&[Some(0); 10]), policy, GATE);
    world.look();
    let action = world.pending.remove(0);
    let (instance, operation) = (action.instance().clone(), action.operation().clone());
    world.event(&Event::EffectDone { operation, instance, result: Err("exit code 3".to_owned()) });
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.code(), Some("RollingUpgradeInProgressWithFailedUpgradedVMs"));
    assert_eq!(world.upgrade.batches[0].state, BatchState::Failed);
    let progress = world.upgrade.progress();
    assert_eq!((progress.successful, progress.failed), (9, 1));
}

#[test]
fn pauses_lie_between_batches_and_not_after_the_last() {
    // Row R15.
    let mut policy = policy();
    policy.pause_time_between_batches = Duration::from_secs(30);
    policy.max_batch_instance_percent = Percent::new(34).unwrap();
    let mut world = world(fleet(&[Some(0); 3]), policy, GATE);
    for batch in 1..=3 {
        world.look();
        assert_eq!(world.applied.len(), batch);
        world.drivers_answer(&Ok(()));
        world.everybody_is_healthy();
        if batch < 3 {
            world.pass(29);
            assert_eq!(world.applied.len(), batch, "still in the pause");
            world.now = world.now + Duration::from_secs(1);
        }
    }
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn cancel_finishes_the_batch_and_leaves_the_rest() {
    // Row R17.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.event(&Event::Wish(Wish::Cancel));
    assert!(world.upgrade.is_active());
    world.drivers_answer(&Ok(()));
    world.everybody_is_healthy();
    assert_eq!(world.upgrade.state, UpgradeState::Cancelled);
    let progress = world.upgrade.progress();
    assert_eq!((progress.successful, progress.pending, world.applied.len()), (2, 8, 2));
}

#[test]
fn the_snapshot_waits_for_answers_and_then_holds_the_silent() {
    let mut silent = fleet(&[Some(0); 5]);
    silent.0.get_mut(&id(3)).unwrap().decided = false;
    let mut world = world(silent, policy(), GATE);
    world.look();
    assert_eq!(world.applied.len(), 0);
    assert_eq!(world.wake_at, Some(Timestamp(1_030_000)));
    world.pass(30);
    assert_eq!(world.applied.join(" "), "0");
    assert_eq!(world.upgrade.holds[0].instance, id(3));
    world.fleet.0.get_mut(&id(3)).unwrap().decided = true;
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 2 4", "a snapshot is a snapshot");
}

#[test]
fn stable_for_means_without_a_break() {
    let gate = HealthGate { wait: Duration::from_secs(5), stable_for: Duration::from_secs(10), ..GATE };
    let mut world = world(fleet(&[Some(0)]), policy(), gate);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(0, Health::Healthy);
    world.pass(5);
    world.pass(9);
    world.set_health(0, Health::Unhealthy);
    world.set_health(0, Health::Healthy);
    world.pass(9);
    assert!(world.upgrade.is_active());
    world.pass(1);
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn a_restart_asks_again_with_the_same_operation_and_watches_anew() {
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    let first = world.pending.remove(0);
    let (instance, operation) = (first.instance().clone(), first.operation().clone());
    world.event(&Event::EffectDone {
        operation: operation.clone(),
        instance: instance.clone(),
        result: Ok(()),
    });
    let second = world.pending.remove(0);
    // The host was away for longer than the deadline; only a watched instance can fail it.
    world.now = world.now + Duration::from_secs(3600);
    world.fleet.0.get_mut(&instance).unwrap().health = Health::Initializing;
    world.event(&Event::Resumed);
    assert!(world.upgrade.is_active());
    assert_eq!(world.pending, [second], "the same operation, and only the one that had no answer");
    // An answer for an operation that is not open changes nothing.
    let before = world.upgrade.clone();
    world.event(&Event::EffectDone { operation, instance, result: Err("late".to_owned()) });
    assert_eq!(world.upgrade, before);
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn a_fleet_that_went_down_with_the_host_is_waited_for_and_not_forever() {
    for comes_back in [true, false] {
        let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
        world.look();
        world.drivers_answer(&Ok(()));
        world.everybody_is_healthy();
        assert_eq!(world.applied.len(), 4, "the second batch is in flight");
        for node in world.fleet.0.values_mut() {
            node.health = Health::Unhealthy;
        }
        world.event(&Event::Resumed);
        world.drivers_answer(&Ok(()));
        world.set_health(2, Health::Healthy);
        world.set_health(3, Health::Healthy);
        assert!(world.upgrade.is_active(), "the others are still coming back");
        assert_eq!(world.applied.len(), 6, "the open operations again, no further batch");
        if comes_back {
            world.run();
            assert_eq!(world.upgrade.state, UpgradeState::Completed);
        } else {
            world.pass(300);
            assert_eq!(world.upgrade.state, UpgradeState::Faulted);
        }
    }
}

#[test]
fn an_ended_upgrade_does_nothing_more() {
    let mut world = world(fleet(&[Some(0); 2]), policy(), GATE);
    world.run();
    let before = world.upgrade.clone();
    for event in [Event::Look, Event::Resumed, Event::Wish(Wish::Cancel)] {
        world.event(&event);
    }
    assert_eq!(world.upgrade, before);
}

mod cost;
mod kinds;
mod limits;
mod live;
mod recovery;
mod stops;
mod surge;
