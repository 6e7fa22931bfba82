//! The world: virtual clock, everything that will happen, and what became of it.
//!
//! It owns what a site has: a kernel, its record, instances, a driver, a prober, plugins, people. The kernel
//! is told what happens as its host tells it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Component, Decided, Digest, Fence, Instance, Look, Now, OperationId, PluginName, RequestId, ScaleSetName,
    Timestamp, WallTime,
};
use crate::kernel::event::Hooked;
use crate::kernel::{Effect, Event, Kernel, Request, SetConfig, Stepped};
use crate::lifecycle::{self, Ticket};
use crate::record::Disk;
use crate::rollout::invariants::{Rule, Violation};
use crate::rollout::{Purpose, UpgradeState, Wish};

use super::code::Found;
use super::drivers::Call;
use super::fleet::{Key, Node};
use super::generations::AllTold;
use super::hands::{Plugin, Work};
use super::making::{Addresses, Making, on_failure};
use super::people::Asked;
use super::releasing::Releasing;
use super::rng::Rng;
use super::rules::{Began, Rules};
use super::scenario::Scenario;
use super::silence::Silence;
use super::turns::Doubtful;
use super::versions::Versions;
use super::wants::{self, Preparing};

/// Virtual time begins here.
pub(super) const BEGIN: Timestamp = Timestamp(1_000_000);

/// A run that needs more than this is stuck.
const HAPPENINGS_MAX: usize = 400_000;

/// Whether a world writes down what happens in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracing {
    /// It does not.
    Off,
    /// Every turn: what went in and what came out.
    On,
}

/// What became of a world.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Invariants that were broken, in order.
    pub(super) violations: Vec<Violation>,
    /// How the last upgrade of each set ended; `RollingForward` when it did not.
    pub(super) states: Vec<UpgradeState>,
    /// Whether any of those was a rollback.
    pub(super) rolled_back: bool,
    /// Virtual time from start to end.
    pub(super) duration: Duration,
    /// Instances at the start.
    pub(super) instances: usize,
    /// What was counted on the way.
    pub(super) counts: Counts,
    /// Recorded versions of each instance at the end.
    pub(super) versions: BTreeMap<(Key, Component), Option<crate::domain::Version>>,
    /// What each instance runs at the end.
    pub(super) running: BTreeMap<Key, Versions>,
    /// Which component decides in the end.
    pub(super) judges: BTreeMap<PluginName, u8>,
    /// Every turn, where that was wanted.
    pub(super) trace: Vec<String>,
}

/// What happened how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Turns of kernels.
    pub(super) turns: usize,
    /// Steps of upgrades.
    pub(super) steps: usize,
    /// Commits that were tried.
    pub(super) commits: usize,
    /// Commits that were refused, or seemed so.
    pub(super) refused: usize,
    /// Effects handed to drivers.
    pub(super) calls: usize,
    /// Instances created.
    pub(super) created: usize,
    /// Ends of the host that it did not choose.
    pub(super) crashes: usize,
    /// Records that the next host finds copied.
    pub(super) copies: usize,
    /// Upgrades.
    pub(super) upgrades: usize,
    /// Generations of plugins that took over.
    pub(super) swaps: usize,
    /// Configurations that were read again.
    pub(super) reloads: usize,
    /// Upgrades that were tried again by themselves.
    pub(super) retries: usize,
    /// Generations that gave way to a former one by themselves.
    pub(super) reverts: usize,
    /// Ways back that a person wanted.
    pub(super) back: usize,
    /// Answers of hands that came too late, or twice.
    pub(super) late: usize,
    /// Extensions of new instances that a driver was asked for.
    pub(super) provisioned: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            turns,
            steps,
            commits,
            refused,
            calls,
            created,
            crashes,
            copies,
            upgrades,
            swaps,
            reloads,
            retries,
            reverts,
            back,
            late,
            provisioned,
        } = other;
        self.turns += turns;
        self.steps += steps;
        self.commits += commits;
        self.refused += refused;
        self.calls += calls;
        self.created += created;
        self.crashes += crashes;
        self.copies += copies;
        self.upgrades += upgrades;
        self.swaps += swaps;
        self.reloads += reloads;
        self.retries += retries;
        self.reverts += reverts;
        self.back += back;
        self.late += late;
        self.provisioned += provisioned;
    }
}

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// The next probe of an instance, by the host with this fence.
    Probe(Key, Fence),
    /// A probe of an instance out of turn.
    Asked(Key, Fence),
    /// A probe that took long comes back.
    Answer(Box<Round>, Fence),
    /// The driver has finished a call.
    Done(Call),
    /// A hook is over, for the host with this fence.
    Hooked(Hooked, Fence),
    /// A late repeat of an answer.
    Repeat(Call),
    /// The driver has looked at an instance in one of its lives.
    Observed(Key, Look, Fence),
    /// A process that ended by itself runs again.
    Restarted(Key, Fence),
    /// A host starts again.
    HostStart,
    /// A person restarts a host that is waiting for a driver.
    HostStop(Fence),
    /// The kernel wanted to turn.
    Wake(u64),
    /// People think of something.
    People,
    /// A person wants the upgrade of a set.
    Start(usize, u32),
    /// The configuration of a set is read again.
    Reload(usize),
    /// A person starts the plan that was shown.
    StartPlan(usize, u32, Digest),
    /// A person wants something of the upgrade of a set.
    Wish(usize, Wish),
    /// A request is sent again under its key.
    Resend(Box<Request>),
    /// A generation of a plugin judges the latest rounds again.
    JudgeAgain(PluginName, Fence),
    /// A person swaps in the component of a letter.
    Swap(u8),
    /// A hand has done its work.
    Hand(PluginName, Ticket, Box<Work>, Fence),
    /// A hand says something a second time.
    HandAgain(PluginName, Box<lifecycle::Event>, Fence),
}

/// A judged round, and what it was judged by.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) decided: Decided,
    pub(super) found: Found,
}

/// Everything.
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    /// How far the wall clock is ahead, in milliseconds.
    pub(super) wall_ahead: i64,
    /// What the configuration file says.
    pub(super) config: Vec<SetConfig>,
    /// What the running host goes by.
    pub(super) in_use: Vec<SetConfig>,
    pub(super) addresses: Addresses,
    pub(super) nodes: BTreeMap<Key, Node>,
    /// Instances that the configuration had, as they were.
    pub(super) gone: BTreeMap<Key, Arc<Instance>>,
    /// Those that nobody lists: not yet, or no longer.
    pub(super) strays: BTreeMap<Key, Node>,
    /// What is probed, and which life of it.
    pub(super) targets: BTreeMap<Key, u64>,
    /// When the latest probes of each began that the kernel was told of.
    pub(super) heard: BTreeMap<Key, Began>,
    /// When the latest look at each began of which the kernel was told.
    pub(super) looked: BTreeMap<Key, Timestamp>,
    /// When the running host started.
    pub(super) booted_at: Timestamp,
    /// The latest round of each.
    pub(super) rounds: BTreeMap<Key, Round>,
    pub(super) plugins: BTreeMap<PluginName, Plugin>,
    /// What a host does not begin with before a generation of every plugin decides.
    pub(super) held: Option<Vec<Effect>>,
    /// What the running kernel was told of each instance.
    pub(super) told: AllTold,
    /// A changed configuration on its way.
    pub(super) preparing: Option<Preparing>,
    pub(super) disk: Disk,
    pub(super) seq: u64,
    pub(super) kernel: Option<Kernel>,
    pub(super) fence: Fence,
    pub(super) inbox: Vec<Event>,
    /// Whether the latest commit was refused.
    pub(super) is_refused: bool,
    /// Until when the record refuses everything.
    pub(super) refuses_until: Timestamp,
    pub(super) doubtful: Option<Doubtful>,
    /// Steps of the first turn of a host that wait for the record.
    pub(super) carried: Vec<Stepped>,
    pub(super) rules: Rules,
    pub(super) asked: BTreeMap<RequestId, Asked>,
    pub(super) requests: u64,
    /// What was seen of releases.
    pub(super) releasing: Releasing,
    /// What was seen of the time without a network.
    pub(super) silence: Silence,
    /// What people still want to do.
    pub(super) intentions: usize,
    /// Sets in which the first instance has nothing to go back to, so that no upgrade with a round trip begins.
    pub(super) stay_at_home: BTreeSet<ScaleSetName>,
    pub(super) violations: Vec<Violation>,
    pub(super) counts: Counts,
    /// Calls of the driver that have not been answered.
    pub(super) open: BTreeMap<OperationId, Call>,
    /// Hooks that are being run, how each will end, and for which host.
    pub(super) hooks: BTreeMap<OperationId, (Hooked, Fence)>,
    /// Numbers of those that a person had ended: they do nothing any more.
    pub(super) over: BTreeSet<usize>,
    pub(super) trace: Option<Vec<String>>,
    pub(super) wake: u64,
    pub(super) ahead: BTreeMap<(Timestamp, u64), Happening>,
    sequence: u64,
}

/// Runs the world of a seed to its end.
#[must_use]
pub(super) fn run(seed: u64, scenario: &Scenario) -> Outcome {
    run_traced(seed, scenario, Tracing::Off)
}

/// As [`run`], and writes down every turn.
#[must_use]
pub(super) fn run_traced(seed: u64, scenario: &Scenario, traced: Tracing) -> Outcome {
    World::new(seed, scenario, traced).run()
}

impl World {
    fn new(seed: u64, scenario: &Scenario, traced: Tracing) -> Self {
        let mut rng = Rng::new(seed);
        let mut addresses = Addresses::default();
        let mut made = Making { rng: &mut rng, scenario, addresses: &mut addresses };
        let (mut config, mut nodes) = (Vec::new(), BTreeMap::new());
        for number in 0..scenario.sets {
            let (set, instances) = made.set(number);
            let name = set.spec.name.clone();
            nodes.extend(instances.into_iter().map(|(id, node)| ((name.clone(), id), node)));
            config.push(set);
        }
        let failing = on_failure(scenario.on_failure);
        let names = config.iter().map(|set| set.spec.plugin.clone()).collect::<BTreeSet<PluginName>>();
        let spec = |name: PluginName| (name.clone(), Plugin::new(wants::spec(&mut rng, name, failing)));
        let plugins = names.into_iter().map(spec).collect();
        let mut world = Self {
            scenario: scenario.clone(),
            rng,
            now: BEGIN,
            wall_ahead: 0,
            in_use: config.clone(),
            config,
            addresses,
            nodes,
            gone: BTreeMap::new(),
            strays: BTreeMap::new(),
            targets: BTreeMap::new(),
            rounds: BTreeMap::new(),
            heard: BTreeMap::new(),
            looked: BTreeMap::new(),
            booted_at: BEGIN,
            plugins,
            held: None,
            told: AllTold::new(),
            preparing: None,
            disk: Disk::default(),
            seq: 0,
            kernel: None,
            fence: Fence::NONE,
            inbox: Vec::new(),
            is_refused: false,
            refuses_until: BEGIN,
            doubtful: None,
            carried: Vec::new(),
            rules: Rules::default(),
            asked: BTreeMap::new(),
            requests: 0,
            releasing: Releasing::default(),
            silence: Silence::default(),
            intentions: 0,
            stay_at_home: BTreeSet::new(),
            violations: Vec::new(),
            counts: Counts::default(),
            open: BTreeMap::new(),
            hooks: BTreeMap::new(),
            over: BTreeSet::new(),
            trace: (traced == Tracing::On).then(Vec::new),
            wake: 0,
            ahead: BTreeMap::new(),
            sequence: 0,
        };
        world.remember_what_ran();
        world.begin();
        world
    }

    /// What happens in every world.
    fn begin(&mut self) {
        self.at(Duration::ZERO, Happening::HostStart);
        self.at(Duration::from_secs(30), Happening::People);
        if let Some(after) = self.scenario.swap_at {
            self.intend(after, Happening::Swap(b'c'));
        }
        for set in 0..self.scenario.sets {
            let after = self.seconds(1, 30);
            self.intend(after, Happening::Start(set, 2));
        }
    }

    /// Both clocks.
    pub(super) fn moment(&self) -> Now {
        Now { wall: WallTime(self.now.0 + self.wall_ahead), at: self.now }
    }

    /// Lets something happen after a while.
    pub(super) fn at(&mut self, after: Duration, what: Happening) {
        self.sequence += 1;
        self.ahead.insert((self.now + after, self.sequence), what);
    }

    /// As [`Self::at`], of what the world must not end before.
    pub(super) fn intend(&mut self, after: Duration, what: Happening) {
        self.intentions += 1;
        self.at(after, what);
    }

    /// Whether a host runs that lets people in.
    pub(super) fn is_open(&self) -> bool {
        self.kernel.is_some() && self.held.is_none()
    }

    /// Whether faults have stopped.
    pub(super) fn is_quiet(&self) -> bool {
        self.now.since(BEGIN) >= self.scenario.quiet_after
    }

    pub(super) fn seconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.rng.between(low * 1000, high * 1000))
    }

    /// A short while, as an answer takes.
    pub(super) fn moments(&mut self) -> Duration {
        Duration::from_millis(self.rng.between(1, 200))
    }

    pub(super) fn violation(&mut self, rule: Rule, detail: String) {
        self.violations.push(Violation { rule, at: self.now, detail });
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.now.since(BEGIN).as_millis();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:>9} {}", line()));
        }
    }

    fn run(mut self) -> Outcome {
        let mut happenings = 0;
        let instances = self.nodes.len();
        while let Some(((at, _), what)) = self.ahead.pop_first() {
            self.now = at;
            happenings += 1;
            if at.since(BEGIN) > self.scenario.limit || happenings > HAPPENINGS_MAX {
                let detail = self.why_not_over();
                self.violation(Rule::Ending, detail);
                break;
            }
            self.happen(what);
            // Events that come together are taken in by one turn.
            let next_is_near =
                self.ahead.first_key_value().is_some_and(|((next, _), _)| next.since(at).as_millis() < 500);
            let waits = next_is_near && self.rng.chance(200);
            if !self.inbox.is_empty() && !waits {
                let events = std::mem::take(&mut self.inbox);
                self.turn(events);
            }
            if self.violations.len() > 20 || self.is_over() {
                break;
            }
        }
        self.look_back();
        self.outcome(instances)
    }

    /// All upgrades have ended, nothing follows, drivers have nothing to do, plugins rest, and people want
    /// nothing.
    fn is_over(&self) -> bool {
        let Some(kernel) = &self.kernel else { return false };
        self.intentions == 0
            && self.asked.is_empty()
            && self.inbox.is_empty()
            && !self.is_refused
            && kernel.fleet().sets().all(|set| {
                (set.upgrade.is_some() || self.stay_at_home.contains(&set.spec.name))
                    && set.active().is_none()
                    && set.retry.is_none()
                    && set.instances().all(|instance| instance.busy.is_empty() && instance.is_member())
            })
            && self.lives_rest()
            && kernel.fleet().releases.active().next().is_none()
    }

    fn outcome(self, instances: usize) -> Outcome {
        let stored = self.disk.clone().open();
        let latest = self.config.iter().map(|set| stored.upgrades.get(&set.spec.name));
        let state = |upgrade: Option<&crate::rollout::Upgrade>| {
            upgrade.map_or(UpgradeState::RollingForward, |upgrade| upgrade.state)
        };
        let back = |upgrade: &crate::rollout::Upgrade| matches!(upgrade.purpose, Purpose::Rollback { .. });
        let versions = stored.versions.iter();
        let live: BTreeSet<&Key> = self.nodes.keys().collect();
        Outcome {
            states: latest.clone().map(state).collect(),
            rolled_back: latest.flatten().any(back),
            duration: self.now.since(BEGIN),
            instances,
            counts: self.counts,
            judges: stored.plugins.iter().map(|(name, plugin)| (name.clone(), plugin.digest.0[0])).collect(),
            versions: versions
                .map(|((set, id, part), runs)| {
                    (((set.clone(), id.clone()), part.clone()), runs.version().cloned())
                })
                .filter(|((key, _), _)| live.contains(key))
                .collect(),
            running: self.nodes.iter().map(|(key, node)| (key.clone(), node.running.clone())).collect(),
            violations: self.violations,
            trace: self.trace.unwrap_or_default(),
        }
    }
}
