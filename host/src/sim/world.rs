//! The world: virtual clock, event heap, and what really happens to instances.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::domain::{
    InstanceId, OperationId, Participation, Phase, PluginStamp, Protection, ScaleSetName, Timestamp, Version,
};
use crate::rollout::UpgradeState;
use crate::rollout::invariants::{Checker, Rule, Violation};

use super::fleet::{Facts, Node, stamp};
use super::host::{Disk, Host};
use super::rng::Rng;
use super::scenario::Scenario;

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
    /// Recorded version of each instance at the end, in order.
    pub versions: Vec<Option<Version>>,
    /// Actual version of each instance at the end, in order.
    pub running: Vec<Option<Version>>,
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
    pub(super) number: u64,
    pub(super) generation: u64,
    pub(super) operation: OperationId,
    pub(super) version: Version,
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
    pub(super) old: Version,
    pub(super) new: Version,
    pub(super) set: ScaleSetName,
    pub(super) stamp: PluginStamp,
    pub(super) disk: Disk,
    pub(super) host: Option<Host>,
    pub(super) checker: Checker,
    /// A person stopped the line; the disk remembers it.
    pub(super) line: bool,
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
        let old = Version::parse("v1").ok()?;
        let ids: Vec<InstanceId> = (0..scenario.instances)
            .filter_map(|number| InstanceId::parse(&number.to_string()).ok())
            .collect();
        let nodes = ids.iter().map(|_| node(&mut rng, scenario, &old)).collect();
        let mut world = Self {
            scenario: scenario.clone(),
            rng,
            now: BEGIN,
            ids,
            nodes,
            new: Version::parse("v2").ok()?,
            set: ScaleSetName::parse("sim").ok()?,
            stamp: stamp()?,
            disk: Disk::default(),
            host: None,
            checker: Checker::default(),
            line: false,
            violations: Vec::new(),
            steps: 0,
            commits: 0,
            calls: 0,
            crashes: 0,
            heap: BinaryHeap::new(),
            sequence: 0,
            old,
        };
        world.disk.versions = vec![Some(world.old.clone()); world.ids.len()];
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
        let idle = |host: &Host| host.known.iter().all(|known| known.busy.is_none());
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

fn node(rng: &mut Rng, scenario: &Scenario, old: &Version) -> Node {
    let mut below = |count: u32| {
        let last = u64::from(count.checked_sub(1)?);
        u32::try_from(rng.between(0, last)).ok()
    };
    let zone = below(scenario.zones).map(|zone| (zone + 1).to_string());
    let update_domain = below(scenario.update_domains);
    let phase = below(scenario.phases).and_then(Phase::new);
    let last_phase = rng.chance(150);
    let facts = Facts {
        zone,
        update_domain,
        protection: Protection {
            from_scale_set_actions: rng.chance(scenario.protected),
            from_scale_in: false,
        },
        phase: if last_phase { None } else { phase },
        participation: if rng.chance(scenario.skip) { Participation::Skip } else { Participation::Proceed },
        bad_version: rng.chance(scenario.faults.bad_version),
    };
    Node {
        facts,
        running: Some(old.clone()),
        up_at: BEGIN,
        call: 0,
        generation: 0,
        asked: std::collections::BTreeMap::new(),
    }
}
