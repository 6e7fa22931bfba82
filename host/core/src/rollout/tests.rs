//! Whole upgrades against a small fleet of values: one driver for all cases, events by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::domain::{
    Checkpoints, Decisions, ExtensionName, FailureRules, Goal, Health, HealthGate, HookKinds, InstanceId,
    OnBreach, OnInstanceFailure, Participation, Percent, Phase, Protection, RollingUpgradePolicy, Runs,
    ScaleSetName, Timestamp, UpgradeId, UpgradePolicy, Version, testing,
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
            held: None,
            id: id.clone(),
            zone: None,
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            runs: Runs::at(version(node.version)),
            extensions: node
                .extensions
                .iter()
                .map(|(name, version)| (name.clone(), Runs::at(version.clone())))
                .collect(),
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
    testing::limits(20)
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
            gate,
            failure: FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::Stop },
            urgency: Default::default(),
            defer_max: Duration::from_secs(600),
            bake: None,
            hooks: HookKinds::default(),
            round_trip: false,
            timeouts: crate::domain::Timeouts::default(),
            prepare_max: Duration::from_secs(30),
            ..testing::upgrade_policy(policy)
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

/// The driver answers for the batch in flight, and its instances come back healthy.
fn finish_batch(world: &mut World) {
    world.drivers_answer(&Ok(()));
    world.all_become_healthy();
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
            self.applied.push(action.instance().unwrap().to_string());
            self.pending.push(action);
        }
    }

    fn look(&mut self) {
        self.event(&Event::Look);
    }

    /// The driver answers for everything it was asked for; instances come back Initializing.
    fn drivers_answer(&mut self, result: &Result<(), String>) {
        for action in std::mem::take(&mut self.pending) {
            let (instance, operation) = (action.instance().unwrap().clone(), action.operation().clone());
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

    fn all_become_healthy(&mut self) {
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
            self.all_become_healthy();
        }
        panic!("no end in sight: {:?}", self.upgrade.stage);
    }

    fn code(&self) -> Option<&'static str> {
        self.upgrade.error.as_ref().map(|error| error.code.name())
    }
}

mod cost;
mod course;
mod kinds;
mod limits;
mod live;
mod recovery;
mod restart;
mod stops;
mod surge;
mod timeouts;
