//! Exhaustive exploration: every order in which anything can happen to a tiny fleet.
//!
//! Breadth first, so that the first violation has the shortest way to it. Two states are the same
//! when upgrade, fleet and open operations are, with times relative to now; the checker's history
//! is taken to follow from them. A commit is atomic here: a crash before it is a crash before the
//! event, and a crash after it loses the actions.

mod key;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Health, InstanceId, OperationId, Participation, Phase, Protection, Timestamp, Version};
use crate::plan::{Candidate, Standing};
use crate::rollout::invariants::{Checker, Seen, Violation};
use crate::rollout::{Action, Event, FleetView, Upgrade, Wish, step};

/// One instance of a tiny fleet.
#[derive(Debug, Clone)]
pub struct TinyNode {
    /// Its id.
    pub id: InstanceId,
    /// Its zone.
    pub zone: Option<String>,
    /// Its phase.
    pub phase: Option<Phase>,
    /// What it says.
    pub participation: Participation,
    /// Committed health.
    pub health: Health,
    /// What it runs.
    pub version: Version,
}

/// Something that may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The driver has done what it was asked for.
    DriverOk(usize),
    /// The driver has failed.
    DriverFails(usize),
    /// An instance changes its health.
    Health(usize, Health),
    /// Time passes to the next wake-up.
    Time,
    /// The host goes down and comes back; the fleet is Initializing and open answers are lost.
    Crash,
    /// A person wants something.
    Wish(Wish),
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Longest sequence of moves.
    pub depth: usize,
    /// Most states.
    pub states: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// Moves tried.
    pub moves: usize,
    /// States in which the upgrade had ended.
    pub ended: usize,
    /// Length of the longest sequence that was looked at whole.
    pub depth: usize,
    /// The first broken invariants, and the moves to them.
    pub broken: Option<(Vec<Violation>, Vec<Move>)>,
}

#[derive(Clone)]
struct State {
    upgrade: Upgrade,
    nodes: Vec<TinyNode>,
    open: BTreeMap<usize, (OperationId, Version)>,
    wake_at: Option<Timestamp>,
    now: Timestamp,
    checker: Checker,
    /// Index of the way that led here.
    way: usize,
}

/// Tries everything.
#[must_use]
pub fn explore(upgrade: Upgrade, nodes: Vec<TinyNode>, bounds: Bounds) -> Report {
    let now = upgrade.started_at;
    let start = State {
        upgrade,
        nodes,
        open: BTreeMap::new(),
        wake_at: Some(now),
        now,
        checker: Checker::default(),
        way: 0,
    };
    let mut report = Report::default();
    let mut seen = BTreeSet::from([key::of(&start)]);
    let mut ways: Vec<(usize, Option<Move>)> = vec![(0, None)];
    let mut level = vec![start];
    while report.depth < bounds.depth && !level.is_empty() {
        let mut next = Vec::new();
        for state in &level {
            for chosen in moves(state) {
                report.moves += 1;
                let mut after = state.clone();
                let broken = after.make(chosen);
                if !broken.is_empty() {
                    let mut way = way_to(&ways, state.way);
                    way.push(chosen);
                    report.broken = Some((broken, way));
                    return report;
                }
                if !seen.insert(key::of(&after)) {
                    continue;
                }
                ways.push((state.way, Some(chosen)));
                after.way = ways.len() - 1;
                report.ended += usize::from(!after.upgrade.is_active());
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

/// Everything that may happen in a state; nothing after the end.
fn moves(state: &State) -> Vec<Move> {
    if !state.upgrade.is_active() {
        return Vec::new();
    }
    let mut moves = vec![Move::Crash];
    if state.wake_at.is_some() {
        moves.push(Move::Time);
    }
    for index in state.open.keys() {
        moves.push(Move::DriverOk(*index));
        moves.push(Move::DriverFails(*index));
    }
    for (index, node) in state.nodes.iter().enumerate() {
        let healths = [Health::Healthy, Health::Unhealthy].into_iter();
        moves.extend(healths.filter(|health| *health != node.health).map(|h| Move::Health(index, h)));
    }
    if !state.upgrade.cancel_requested {
        moves.push(Move::Wish(Wish::Cancel));
    }
    moves.push(Move::Wish(if state.upgrade.paused { Wish::Resume } else { Wish::Pause }));
    moves
}

impl State {
    /// Makes a move and gives what it broke.
    fn make(&mut self, chosen: Move) -> Vec<Violation> {
        let event = match chosen {
            Move::DriverOk(index) => match self.answer(index, Ok(())) {
                Some(event) => event,
                None => return Vec::new(),
            },
            Move::DriverFails(index) => match self.answer(index, Err("exit code 3".to_owned())) {
                Some(event) => event,
                None => return Vec::new(),
            },
            Move::Health(index, health) => {
                if let Some(node) = self.nodes.get_mut(index) {
                    node.health = health;
                }
                Event::Look
            }
            Move::Time => {
                self.now = self.wake_at.map_or(self.now, |at| at.max(self.now));
                Event::Look
            }
            Move::Crash => {
                self.nodes.iter_mut().for_each(|node| node.health = Health::Initializing);
                self.open.clear();
                self.checker.crashed();
                Event::Resumed
            }
            Move::Wish(wish) => Event::Wish(wish),
        };
        self.step(&event)
    }

    fn answer(&mut self, index: usize, result: Result<(), String>) -> Option<Event> {
        let (operation, version) = self.open.remove(&index)?;
        let node = self.nodes.get_mut(index)?;
        if result.is_ok() {
            node.version = version;
            node.health = Health::Initializing;
        }
        Some(Event::EffectDone { operation, instance: node.id.clone(), result })
    }

    fn step(&mut self, event: &Event) -> Vec<Violation> {
        let before = self.upgrade.clone();
        let view = Tiny(&self.nodes);
        let events = std::slice::from_ref(event);
        let out = step(&mut self.upgrade, &view, events, self.now);
        let seen =
            Seen { before: &before, after: &self.upgrade, events, step: &out, fleet: &view, now: self.now };
        let broken = self.checker.observe(&seen);
        self.checker.committed();
        if let Event::Wish(wish) = event {
            self.checker.acknowledged(&before, *wish);
        }
        self.wake_at = out.wake_at;
        for action in out.actions {
            // No tiny policy wants maxSurge.
            let Action::Apply { instance, version, operation, .. } = action else { continue };
            if let Some(index) = self.nodes.iter().position(|node| node.id == instance) {
                self.open.insert(index, (operation, version));
            }
        }
        broken
    }
}

impl TinyNode {
    fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id.clone(),
            zone: self.zone.clone(),
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            version: Some(self.version.clone()),
            extensions: BTreeMap::new(),
            health: self.health,
            standing: Standing::Decided {
                phase: self.phase,
                participation: self.participation,
                detail: String::new(),
            },
        }
    }
}

struct Tiny<'a>(&'a [TinyNode]);

impl FleetView for Tiny<'_> {
    fn candidates(&self) -> Vec<Candidate> {
        self.0.iter().map(TinyNode::candidate).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        self.0.iter().find(|node| node.id == *instance).map(TinyNode::candidate)
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.0.iter().find(|node| node.id == *instance).map_or(Health::Unknown, |node| node.health)
    }

    fn total(&self) -> usize {
        self.0.len()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.0.iter().filter(|node| node.health.is_unhealthy()).map(|node| node.id.clone()).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.0.iter().filter(|node| node.health.is_unhealthy()).count()
    }

    fn initializing(&self) -> Vec<InstanceId> {
        let starting = |node: &&TinyNode| node.health == Health::Initializing;
        self.0.iter().filter(starting).map(|node| node.id.clone()).collect()
    }

    fn initializing_count(&self) -> usize {
        self.0.iter().filter(|node| node.health == Health::Initializing).count()
    }

    fn any_undecided(&self) -> bool {
        false
    }
}
