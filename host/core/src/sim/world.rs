//! The world: virtual clock, event heap, and what really happens to instances.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::domain::{Change, Goal, InstanceId, OperationId, PluginStamp, ScaleSetName, Timestamp, Version};
use crate::rollout::UpgradeState;
use crate::rollout::invariants::{Checker, Rule, Violation};

use super::disk::Disk;
use super::fleet::{Node, stamp};
use super::host::Host;
use super::making::Making;
use super::rng::Rng;
use super::scenario::{Of, Scenario};
use super::versions::Versions;

/// Virtual time begins here.
pub(super) const BEGIN: Timestamp = Timestamp(1_000_000);

/// A run that needs more events than this is stuck.
const EVENTS_MAX: usize = 400_000;

/// What became of a world.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Invariants that were broken, in order.
    pub violations: Vec<Violation>,
    /// How the last upgrade ended; `RollingForward` when it did not.
    pub state: UpgradeState,
    /// Whether that was a rollback.
    pub rolled_back: bool,
    /// Virtual time from start to end.
    pub duration: Duration,
    /// Steps of the core.
    pub steps: usize,
    /// Commits.
    pub commits: usize,
    /// Effects handed to the driver.
    pub calls: usize,
    /// Crashes of the host.
    pub crashes: usize,
    /// Recorded versions of each instance at the end, in order.
    pub versions: Vec<Versions>,
    /// Actual versions of each instance at the end, in order.
    pub running: Vec<Versions>,
}

/// Something that will happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// The next probe of an instance, by the host of that generation.
    Probe(usize, u64),
    /// The driver has finished a call.
    Done(usize, Call),
    /// A late repeat of an answer.
    Repeat(usize, Call),
    /// A stopped host starts again.
    HostStart,
    /// Somebody restarts a host that is waiting for a driver.
    HostStop(u64),
    /// The upgrade wanted to look again.
    Wake(u64),
    /// People think of something.
    People,
}

/// One call of the driver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) number: usize,
    pub(super) generation: u64,
    pub(super) operation: OperationId,
    pub(super) change: Change,
    pub(super) how: How,
}

/// How a call will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// As asked.
    Well,
    /// Failed; the old version goes on.
    FailsBefore,
    /// Failed; nothing runs.
    FailsAfter,
    /// Says done; the old version goes on.
    Lies,
}

/// Everything.
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    pub(super) ids: Vec<InstanceId>,
    pub(super) nodes: Vec<Node>,
    /// The application of before.
    pub(super) first: Version,
    /// What was wanted before.
    pub(super) before: Goal,
    /// What the upgrade brings.
    pub(super) goal: Goal,
    pub(super) set: ScaleSetName,
    pub(super) stamp: PluginStamp,
    pub(super) disk: Disk,
    pub(super) host: Option<Host>,
    pub(super) checker: Checker,
    /// Since when the line is stopped by a person; the disk remembers it.
    pub(super) line: Option<Timestamp>,
    pub(super) violations: Vec<Violation>,
    pub(super) steps: usize,
    pub(super) commits: usize,
    pub(super) calls: usize,
    pub(super) crashes: usize,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    sequence: u64,
}

/// Runs one upgrade in the world of a seed.
#[must_use]
pub fn run(seed: u64, scenario: &Scenario) -> Outcome {
    match World::new(seed, scenario) {
        Some(world) => world.run(),
        None => Outcome {
            violations: Vec::new(),
            state: UpgradeState::RollingForward,
            rolled_back: false,
            duration: Duration::ZERO,
            steps: 0,
            commits: 0,
            calls: 0,
            crashes: 0,
            versions: Vec::new(),
            running: Vec::new(),
        },
    }
}

impl World {
    /// None only if the fixed names of the simulator were no names.
    fn new(seed: u64, scenario: &Scenario) -> Option<Self> {
        let mut rng = Rng::new(seed);
        let first = Version::parse("v1").ok()?;
        let (before, goal) = (scenario.goal(Of::Before), scenario.goal(Of::After));
        let ids: Vec<InstanceId> = (0..scenario.instances)
            .filter_map(|number| InstanceId::parse(&number.to_string()).ok())
            .collect();
        let mut made = Making { rng: &mut rng, scenario, first: &first, before: &before, goal: &goal };
        let nodes = ids.iter().map(|_| made.node()).collect();
        let mut world = Self {
            scenario: scenario.clone(),
            rng,
            now: BEGIN,
            ids,
            nodes,
            set: ScaleSetName::parse("sim").ok()?,
            stamp: stamp()?,
            disk: Disk::default(),
            host: None,
            checker: Checker::default(),
            line: None,
            violations: Vec::new(),
            steps: 0,
            commits: 0,
            calls: 0,
            crashes: 0,
            heap: BinaryHeap::new(),
            sequence: 0,
            first,
            before,
            goal,
        };
        world.disk.versions = world.nodes.iter().map(|node| node.running.clone()).collect();
        world.at(Duration::ZERO, Happening::HostStart);
        world.at(Duration::from_secs(30), Happening::People);
        Some(world)
    }

    /// Lets something happen after a while.
    pub(super) fn at(&mut self, after: Duration, what: Happening) {
        self.sequence += 1;
        self.heap.push(Reverse((self.now + after, self.sequence, what)));
    }

    /// Whether faults have stopped.
    pub(super) fn is_quiet(&self) -> bool {
        self.now.since(BEGIN) >= self.scenario.quiet_after
    }

    pub(super) fn violation(&mut self, rule: Rule, detail: String) {
        self.violations.push(Violation { rule, at: self.now, detail });
    }

    fn run(mut self) -> Outcome {
        let mut events = 0;
        while let Some(Reverse((at, _, what))) = self.heap.pop() {
            self.now = at;
            events += 1;
            if at.since(BEGIN) > self.scenario.limit || events > EVENTS_MAX {
                let upgrade = self.disk.upgrade.as_ref();
                let detail =
                    format!("no end after {} s: {:?}", at.since(BEGIN).as_secs(), upgrade.map(|u| u.stage));
                self.violation(Rule::Ending, detail);
                break;
            }
            self.happen(what);
            if self.violations.len() > 20 || self.is_over() {
                break;
            }
        }
        self.outcome()
    }

    /// The recorded upgrade has ended, nothing follows, and the driver has nothing to do.
    fn is_over(&self) -> bool {
        let idle = |host: &Host| host.known.iter().all(|known| known.busy.is_empty());
        self.host.as_ref().is_some_and(idle)
            && self.disk.upgrade.as_ref().is_some_and(|upgrade| !upgrade.is_active())
    }

    fn outcome(self) -> Outcome {
        let upgrade = self.disk.upgrade.as_ref();
        Outcome {
            state: upgrade.map_or(UpgradeState::RollingForward, |upgrade| upgrade.state),
            rolled_back: upgrade.is_some_and(|u| u.purpose != crate::rollout::Purpose::Forward),
            duration: self.now.since(BEGIN),
            steps: self.steps,
            commits: self.commits,
            calls: self.calls,
            crashes: self.crashes,
            versions: self.disk.versions,
            running: self.nodes.into_iter().map(|node| node.running).collect(),
            violations: self.violations,
        }
    }
}
