//! Exhaustive exploration: every order in which anything can happen to a tiny fleet, its record and its host.
//!
//! Breadth first, so that the first violation has the shortest way to it. Two states are the same when
//! upgrade, fleet, open operations and the record's mood are, with times relative to now; the checker's
//! history is taken to follow from them.

mod key;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Actor, Claim, Component, Custody, Decided, Evaluation, Generation, Health, Heard, InstanceId, Now,
    OperationId, Outcome, Participation, Phase, RequestId, ScaleSetName, Sight, Timestamp, Touched, Version,
};
use crate::kernel::command::{StartOptions, Wanted};
use crate::kernel::event::Done;
use crate::kernel::state::SetState;
use crate::kernel::{
    Command, Effect, Event, Kernel, RefusedCommit, Request, SetConfig, Stepped, Turn, Watching,
};
use crate::record::{Anchor, Commit, Disk, Made};
use crate::rollout::invariants::{Checker, Rule, Seen, Violation};
use crate::rollout::{Event as RolloutEvent, Upgrade, Wish};

use super::fleet::{Says, decision, stamp};
use super::same;

/// What one instance of a tiny fleet says.
#[derive(Debug, Clone, Copy)]
pub(super) struct TinyNode {
    pub(super) phase: Option<Phase>,
    pub(super) participation: Participation,
}

/// Something that may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// The driver has done what it was asked for.
    DriverOk(usize),
    /// The driver has failed.
    DriverFails(usize),
    /// A probe finds something else than before.
    Probe(usize, Claim),
    /// Time passes to the next wake-up.
    Time,
    /// The host goes down and comes back; open answers are lost.
    Crash,
    /// The next commit will be refused.
    Refuse,
    /// The next commit will be made, and its answer be lost.
    LoseAnswer,
    /// A person wants something.
    Wish(Wish),
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Longest sequence of moves.
    pub(super) depth: usize,
    /// Most states.
    pub(super) states: usize,
    /// Whether the record refuses, too.
    pub(super) record: Record,
}

/// What the record of an exploration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// It always works.
    Works,
    /// It may refuse a commit, or lose its answer.
    Refuses,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Different states.
    pub(super) states: usize,
    /// Moves tried.
    pub(super) moves: usize,
    /// States in which the upgrade had ended.
    pub(super) ended: usize,
    /// Length of the longest sequence that was looked at whole.
    pub(super) depth: usize,
    /// The first broken invariants, and the moves to them.
    pub(super) broken: Option<(Vec<Violation>, Vec<Move>)>,
}

/// How the next commit fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Made,
    Refused,
    AnswerLost,
}

#[derive(Clone)]
struct State {
    config: Arc<SetConfig>,
    nodes: Arc<Vec<TinyNode>>,
    kernel: Kernel,
    disk: Disk,
    seq: u64,
    next: Next,
    /// Steps that were made durable and of which the host does not know.
    doubtful: Vec<Stepped>,
    open: BTreeMap<usize, (OperationId, Version)>,
    wake_at: Option<Timestamp>,
    now: Timestamp,
    checker: Checker,
    broken: Vec<Violation>,
    /// Index of the way that led here.
    way: usize,
}

/// Tries everything that may happen once an upgrade has been asked for.
pub(super) fn explore(config: SetConfig, nodes: Vec<TinyNode>, to: Version, bounds: Bounds) -> Report {
    let start = State::started(config, nodes, to);
    let mut report = Report::default();
    let mut seen = BTreeSet::from([key::of(&start)]);
    let mut ways: Vec<(usize, Option<Move>)> = vec![(0, None)];
    let mut level = vec![start];
    while report.depth < bounds.depth && !level.is_empty() {
        let mut next = Vec::new();
        for state in &level {
            for chosen in state.moves(bounds.record) {
                report.moves += 1;
                let mut after = state.clone();
                after.make(chosen);
                if !after.broken.is_empty() {
                    let mut way = way_to(&ways, state.way);
                    way.push(chosen);
                    report.broken = Some((after.broken, way));
                    return report;
                }
                if !seen.insert(key::of(&after)) {
                    continue;
                }
                ways.push((state.way, Some(chosen)));
                after.way = ways.len() - 1;
                report.ended += usize::from(!after.upgrade().is_some_and(Upgrade::is_active));
                next.push(after);
                if seen.len() >= bounds.states {
                    report.states = seen.len();
                    return report;
                }
            }
        }
        report.depth += 1;
        level = next;
    }
    report.states = seen.len();
    report
}

fn way_to(ways: &[(usize, Option<Move>)], mut at: usize) -> Vec<Move> {
    let mut moves = Vec::new();
    while let Some((before, Some(made))) = ways.get(at) {
        moves.push(*made);
        at = *before;
    }
    moves.reverse();
    moves
}

impl State {
    fn started(mut config: SetConfig, nodes: Vec<TinyNode>, to: Version) -> Self {
        config.driver.custody = Custody::Site;
        // Nobody can be asked what runs: it is taken to be the model's version.
        config.driver.sight = Sight::NONE;
        let (mut disk, now) = (Disk::default(), Timestamp(1_000_000));
        let sets = vec![config.clone()];
        let (kernel, turn) = Kernel::boot_watched(sets, &disk.open(), Now::same(now), Watching::Steps);
        let mut state = Self {
            config: Arc::new(config),
            nodes: Arc::new(nodes),
            kernel,
            disk,
            seq: 0,
            next: Next::Made,
            doubtful: Vec::new(),
            open: BTreeMap::new(),
            wake_at: None,
            now,
            checker: Checker::default(),
            broken: Vec::new(),
            way: 0,
        };
        drop(state.close(turn));
        for index in 0..state.nodes.len() {
            state.probe(index, Claim::Healthy);
        }
        let wanted = Wanted { to: Some(to), ..Wanted::default() };
        let options = StartOptions { wanted, ..StartOptions::default() };
        state.ask(Command::Start(state.name().clone(), options));
        assert!(state.broken.is_empty() && state.upgrade().is_some(), "{:?}", state.broken);
        state
    }

    fn name(&self) -> &ScaleSetName {
        &self.config.spec.name
    }

    fn set(&self) -> Option<&SetState> {
        self.kernel.fleet().sets().next().map(Arc::as_ref)
    }

    fn upgrade(&self) -> Option<&Upgrade> {
        self.set()?.upgrade.as_deref()
    }

    fn id(&self, index: usize) -> Option<InstanceId> {
        self.config.spec.instances.keys().nth(index).cloned()
    }

    /// Everything that may happen; nothing after the end.
    fn moves(&self, record: Record) -> Vec<Move> {
        let Some(upgrade) = self.upgrade().filter(|upgrade| upgrade.is_active()) else { return Vec::new() };
        let mut moves = vec![Move::Crash];
        if self.wake_at.is_some() {
            moves.push(Move::Time);
        }
        for index in self.open.keys() {
            moves.push(Move::DriverOk(*index));
            moves.push(Move::DriverFails(*index));
        }
        let all = self.set().into_iter().flat_map(|set| set.instances().map(move |one| (set, one)));
        for (index, (set, instance)) in all.enumerate() {
            for (claim, health) in [(Claim::Healthy, Health::Healthy), (Claim::Unhealthy, Health::Unhealthy)]
            {
                if instance.fold.health() != health || set.settled_at(instance) < upgrade.evidence_from {
                    moves.push(Move::Probe(index, claim));
                }
            }
        }
        if !upgrade.cancel_requested {
            moves.push(Move::Wish(Wish::Cancel));
            moves.push(Move::Wish(Wish::CancelNow));
        }
        moves.push(Move::Wish(if upgrade.paused { Wish::Resume } else { Wish::Pause }));
        if record == Record::Refuses && self.next == Next::Made && self.kernel.fleet().refusing.is_none() {
            moves.extend([Move::Refuse, Move::LoseAnswer]);
        }
        moves
    }

    fn make(&mut self, chosen: Move) {
        // A moment of its own, so that no two are taken for one.
        self.now = self.now + Duration::from_millis(1);
        match chosen {
            Move::DriverOk(index) => self.answer(index, Ok(())),
            Move::DriverFails(index) => self.answer(index, Err("exit code 3".to_owned())),
            Move::Probe(index, claim) => self.probe(index, claim),
            Move::Time => {
                self.now = self.wake_at.map_or(self.now, |at| at.max(self.now));
                self.turn(Vec::new());
            }
            Move::Crash => self.crash(),
            Move::Refuse => self.next = Next::Refused,
            Move::LoseAnswer => self.next = Next::AnswerLost,
            Move::Wish(wish) => self.ask(Command::Wish(self.name().clone(), wish)),
        }
    }

    fn ask(&mut self, command: Command) {
        let id = RequestId(1);
        self.turn(vec![Event::Request(Request { id, actor: Actor::Host, reason: None, key: None, command })]);
    }

    fn answer(&mut self, index: usize, answer: Result<(), String>) {
        let (Some((operation, _)), Some(instance)) = (self.open.remove(&index), self.id(index)) else {
            return;
        };
        let (scale_set, component) = (self.name().clone(), Component::Application);
        let (touched, seen) = (Touched::Perhaps, crate::domain::Seen::Unknown);
        let done = Done { scale_set, instance, component, operation, answer, touched, seen };
        self.turn(vec![Event::Done(done)]);
    }

    fn probe(&mut self, index: usize, claim: Claim) {
        let (Some(instance), Some(node)) = (self.id(index), self.nodes.get(index)) else { return };
        let Some(epoch) = self.set().and_then(|set| set.instance(&instance)).map(|known| known.epoch) else {
            return;
        };
        let says = Says { phase: node.phase, participation: node.participation };
        let stamp = stamp(&self.config.spec.plugin, Generation(1));
        let result = Ok(Arc::new(decision(&says, Some(claim), None)));
        let outcome = Arc::new(Outcome { stamp, evaluation: Evaluation::default(), result });
        let (started_at, finished_at) = (self.now, self.now);
        let scale_set = self.name().clone();
        let (again, heard) = (false, Heard::Answer);
        let decided = Decided { scale_set, instance, epoch, started_at, finished_at, again, heard, outcome };
        self.turn(vec![Event::Judged(vec![decided])]);
    }

    fn crash(&mut self) {
        self.open.clear();
        self.next = Next::Made;
        self.checker.crashed();
        let doubtful = std::mem::take(&mut self.doubtful);
        self.observe(&doubtful);
        self.checker.committed();
        let stored = self.disk.open();
        self.seq = stored.seq;
        let sets = vec![(*self.config).clone()];
        let (kernel, turn) = Kernel::boot_watched(sets, &stored, Now::same(self.now), Watching::Steps);
        self.kernel = kernel;
        drop(self.close(turn));
        self.turn(Vec::new());
    }

    fn turn(&mut self, events: Vec<Event>) {
        let turn = self.kernel.turn(events, Now::same(self.now));
        if let Some(refused) = self.close(turn) {
            let turn = self.kernel.turn(vec![refused], Now::same(self.now));
            drop(self.close(turn));
        }
    }

    /// Records and does what a turn wants; a refusal comes back.
    fn close(&mut self, mut turn: Turn) -> Option<Event> {
        self.wake_at = turn.wake_at;
        if !turn.writes.is_empty() {
            self.seq += 1;
            let writes = turn.writes.clone();
            let commit =
                Commit { version: Commit::VERSION, seq: self.seq, anchor: Anchor::default(), writes };
            let fate = std::mem::replace(&mut self.next, Next::Made);
            if fate != Next::Refused {
                self.disk.apply(&commit);
                self.doubtful.clear();
            }
            if fate == Next::AnswerLost {
                self.doubtful.clone_from(&turn.stepped);
            }
            if fate != Next::Made {
                turn.stepped.clear();
                let why = "disk full".to_owned();
                let made = if fate == Next::Refused { Made::No } else { Made::NotKnown };
                return Some(Event::CommitRefused(Box::new(RefusedCommit { turn, why, made })));
            }
        } else if self.kernel.fleet().refusing.is_some() && !turn.effects.is_empty() {
            let detail = format!("{:?} while the record refuses", turn.effects);
            self.broken.push(Violation { rule: Rule::Record, at: self.now, detail });
        }
        self.observe(&turn.stepped);
        if !turn.writes.is_empty() {
            self.checker.committed();
            let config = std::slice::from_ref(&*self.config);
            if let Some(detail) = same::differs(&self.kernel, &self.disk, config, Now::same(self.now)) {
                self.broken.push(Violation { rule: Rule::Replay, at: self.now, detail });
            }
        }
        for effect in turn.effects {
            let Effect::Ensure(ensure) = effect else { continue };
            let index = self.config.spec.instances.keys().position(|id| *id == ensure.instance.id);
            index.map(|index| self.open.insert(index, (ensure.operation, ensure.version)));
        }
        None
    }

    fn observe(&mut self, steps: &[Stepped]) {
        for stepped in steps {
            let Stepped { before, after, events, step, now, .. } = stepped;
            let view = stepped.view();
            let seen = Seen { before, after, events, step, fleet: &view, now: now.at };
            self.broken.extend(self.checker.observe(&seen));
            for event in events {
                if let RolloutEvent::Wish(wish) = event {
                    self.checker.acknowledged(before, *wish);
                }
            }
        }
    }
}
