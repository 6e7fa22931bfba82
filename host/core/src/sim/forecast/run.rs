//! One run of a simulation: its regions one after the other, and what became of each.

use std::time::Duration;

use crate::domain::{Goal, UpgradeId};
use crate::plan::{Plan, PlanInput, There, plan};
use crate::rollout::invariants::Violation;
use crate::rollout::{FleetView, StartUpgrade, Upgrade, UpgradeState};

use super::chance::draw;
use super::decider::Decider;
use super::engine::{Engine, Parts};
use super::setup::{Crowd, Fleet, Setup, Watch};
use super::timeline::{Entry, Timeline};
use super::watch::Watcher;
use super::world::World;

/// How an upgrade ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Every planned instance was dealt with.
    Completed,
    /// A limit stopped it.
    Faulted,
    /// A person stopped it.
    Cancelled,
    /// It had not ended when the simulation gave up.
    Unfinished,
}

impl End {
    /// As tables and JSON write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Faulted => "Faulted",
            Self::Cancelled => "Cancelled",
            Self::Unfinished => "Unfinished",
        }
    }
}

/// One region of one run.
#[derive(Debug, Clone)]
pub struct RegionRun {
    /// How it ended.
    pub end: End,
    /// Azure's error code, if it ended with one.
    pub code: Option<&'static str>,
    /// Whether everything went back.
    pub rolled_back: bool,
    /// From the wish to the end, a way back included.
    pub duration: Duration,
    /// Instances.
    pub total: usize,
    /// Batches that began.
    pub batches: usize,
    /// Instances upgraded.
    pub upgraded: usize,
    /// Instances that failed.
    pub failed: usize,
    /// Instances left alone.
    pub held: usize,
    /// Most instances that were not Healthy at once.
    pub unavailable: usize,
    /// When that was, from the wish.
    pub unavailable_after: Duration,
    /// How many may be unhealthy at once.
    pub budget: usize,
    /// The first broken invariants.
    pub violations: Vec<Violation>,
    /// How many were broken.
    pub violated: usize,
    /// Steps of the core.
    pub looks: u64,
    /// Everything that happened.
    pub happened: u64,
    /// Lines, if they were wanted.
    pub timeline: Vec<Entry>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// How closely it was watched.
    pub watch: Watch,
    /// Regions in order; those behind one that did not complete did not begin.
    pub regions: Vec<RegionRun>,
}

impl Run {
    /// How it ended as a whole.
    #[must_use]
    pub fn end(&self) -> End {
        self.regions.last().map_or(End::Completed, |region| region.end)
    }

    /// From the wish to the end of the last region.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.regions.iter().map(|region| region.duration).sum()
    }
}

/// What is told of a run beside its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// Nothing.
    Figures,
    /// Everything, in lines.
    Timeline,
}

/// Runs one simulation.
#[must_use]
pub fn run(setup: &Setup, seed: u64, watch: Watch, tell: Tell, decider: &mut dyn Decider) -> Run {
    let mut run = Run { seed, watch, regions: Vec::new() };
    for region in 0..setup.regions.max(1) {
        let seed = draw(seed, 0, u64::from(region)).next_u64();
        let done =
            with_crowd(setup, region, seed, |crowd| region_run(setup, crowd, seed, watch, tell, decider));
        let Some(done) = done else { break };
        let goes_on = done.end == End::Completed;
        run.regions.push(done);
        if !goes_on {
            break;
        }
    }
    run
}

/// The plan of the first region of a run, as if all had answered, and the size of its fleet: to see
/// what planning costs.
#[must_use]
pub fn plan_of<T>(
    setup: &Setup,
    seed: u64,
    decider: &mut dyn Decider,
    measure: impl FnOnce(&dyn Fn() -> Plan) -> T,
) -> Option<T> {
    let seed = draw(seed, 0, 0).next_u64();
    with_crowd(setup, 0, seed, |crowd| {
        let goal = Goal::application(setup.to.clone());
        let mut world = World::new(setup, crowd, seed);
        world.ask_all(decider);
        let candidates = world.candidates();
        drop(world);
        let input = PlanInput {
            there: There::Stays,
            scale_set: &setup.name,
            goal: &goal,
            policy: &setup.rules,
            candidates: &candidates,
            total: candidates.len(),
            batches_before: 0,
        };
        Some(measure(&|| plan(&input)))
    })
}

fn with_crowd<T>(setup: &Setup, region: u32, seed: u64, with: impl FnOnce(&Crowd) -> Option<T>) -> Option<T> {
    match &setup.fleet {
        Fleet::Invented(invented) => with(&Crowd::invent(setup, invented, region, seed)),
        Fleet::Recorded(crowd) => with(crowd),
    }
}

fn region_run(
    setup: &Setup,
    crowd: &Crowd,
    seed: u64,
    watch: Watch,
    tell: Tell,
    decider: &mut dyn Decider,
) -> Option<RegionRun> {
    let start = StartUpgrade {
        id: UpgradeId::parse("simulated").ok()?,
        number: 0,
        scale_set: setup.name.clone(),
        goal: Goal::application(setup.to.clone()),
        policy: setup.rules.clone(),
        before: Goal::application(setup.to.clone()),
        bypass: false,
    };
    let mut engine = Engine::new(Parts {
        world: World::new(setup, crowd, seed),
        upgrade: Upgrade::new(start, setup.begin),
        decider,
        timeline: match tell {
            Tell::Timeline => Timeline::from(setup.begin),
            Tell::Figures => Timeline::default(),
        },
        watcher: Watcher::new(watch),
        seed,
    });
    engine.run();
    Some(outcome(engine))
}

fn outcome(engine: Engine<'_>) -> RegionRun {
    let Engine { world, upgrade, rolled_back, watcher, timeline, looks, happened, .. } = engine;
    let unfinished = upgrade.is_active();
    let is_back = rolled_back.is_some();
    // A way back does not change how the way there ended.
    let there = rolled_back.map_or(upgrade, |there| *there);
    let end = match there.state {
        _ if unfinished => End::Unfinished,
        UpgradeState::Completed => End::Completed,
        UpgradeState::Faulted => End::Faulted,
        UpgradeState::Cancelled => End::Cancelled,
        UpgradeState::RollingForward => End::Unfinished,
    };
    let progress = there.progress();
    let begin = world.setup.begin;
    let budget = world.setup.rules.rolling.max_unhealthy_instance_percent.of(world.total());
    RegionRun {
        end,
        code: there.error.as_ref().map(|error| error.code.name()),
        rolled_back: is_back,
        duration: world.now.since(begin),
        total: world.total(),
        batches: there.batches.iter().filter(|batch| batch.started_at.is_some()).count(),
        upgraded: progress.successful,
        failed: progress.failed,
        held: there.holds.len(),
        unavailable: watcher.unavailable,
        unavailable_after: watcher.unavailable_at.since(begin),
        budget,
        violations: watcher.violations,
        violated: watcher.violated,
        looks,
        happened,
        timeline: timeline.entries,
    }
}
