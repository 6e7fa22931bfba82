//! The simulated host: the loop of `control`, with a disk that keeps what was committed and a
//! crash between any two moves.

use std::time::Duration;

use crate::domain::{Change, Component, InstanceId, OperationId, UpgradeId, UpgradePolicy, freshness};
use crate::rollout::invariants::{Rule, Seen};
use crate::rollout::{
    Action, Event, FleetView, MemberState, Members, StartUpgrade, Stop, Upgrade, Wish, manual, rollback_of,
    step,
};

use super::disk::Record;
use super::faults::is_rollback;
use super::fleet::{Known, View, index_of};
use super::scenario::{CrashAt, Kind};
use super::world::{BEGIN, Happening, World};

/// Longer than any deadline of a scenario.
const AWAY_LONG: Duration = Duration::from_secs(600);

/// What does not survive a crash.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) generation: u64,
    pub(super) known: Vec<Known>,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) writes: Vec<Record>,
    pub(super) effects: Vec<Effect>,
    pub(super) dirty: bool,
    pub(super) wake: u64,
    /// A wish whose answer waits for the disk.
    pub(super) wish: Option<(Wish, Box<Upgrade>)>,
}

/// One effect.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) instance: InstanceId,
    pub(super) change: Change,
    pub(super) operation: OperationId,
    pub(super) origin: Origin,
}

/// Who wants an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Upgrade,
    Start,
}

/// Whether the host is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    Well,
    Crashed,
}

impl World {
    /// A host starts from the disk.
    pub(super) fn boot(&mut self) {
        self.disk.generation += 1;
        let settings = self.scenario.health;
        let known = self
            .disk
            .versions
            .iter()
            .map(|versions| Known::new(versions.clone(), settings, self.now))
            .collect();
        let mut host = Host {
            generation: self.disk.generation,
            known,
            upgrade: self.disk.upgrade.clone(),
            writes: Vec::new(),
            effects: Vec::new(),
            dirty: true,
            wake: self.disk.generation << 32,
            wish: None,
        };
        if host.upgrade.is_some() {
            self.step(&mut host, &Event::Resumed);
        } else if let Some(upgrade) = self.new_upgrade(&host) {
            host.writes.push(Record::Install(Box::new(upgrade.clone())));
            host.upgrade = Some(upgrade);
        }
        self.start_instances(&mut host);
        for index in 0..self.ids.len() {
            let spread = u64::try_from(self.scenario.interval.as_millis()).unwrap_or(1);
            let after = Duration::from_millis(self.rng.between(0, spread));
            self.at(after, Happening::Probe(index, host.generation));
        }
        self.finish(host);
    }

    fn new_upgrade(&self, host: &Host) -> Option<Upgrade> {
        let start = StartUpgrade {
            id: UpgradeId::parse(&format!("sim-{}", self.now.0)).ok()?,
            number: 0,
            scale_set: self.set.clone(),
            goal: self.goal.clone(),
            policy: UpgradePolicy {
                rolling: self.scenario.policy.clone(),
                gate: self.scenario.gate,
                failure: self.scenario.failure,
                checkpoints: self.scenario.checkpoints.clone(),
                decisions: self.scenario.decisions,
                defer_max: Duration::from_secs(600),
                prepare_max: self.scenario.prepare_max(),
            },
            before: self.before.clone(),
            bypass: self.scenario.bypass,
        };
        Some(match self.scenario.kind {
            Kind::Rolling => Upgrade::new(start, self.now),
            Kind::Manual => manual(start, &self.view(&host.known).candidates(), self.now),
        })
    }

    /// Brings every instance up whose application no upgrade is busy with.
    fn start_instances(&mut self, host: &mut Host) {
        let component = Component::Application;
        for (index, id) in self.ids.iter().enumerate() {
            let asked = |effect: &Effect| effect.instance == *id && effect.change.component == component;
            if host.effects.iter().any(asked) {
                continue;
            }
            let Some(known) = host.known.get(index) else { continue };
            let goal = host.upgrade.as_ref().and_then(|upgrade| upgrade.goal.of(&component));
            let version = known.versions.application.as_ref().or(goal).unwrap_or(&self.first);
            host.effects.push(Effect {
                instance: id.clone(),
                change: Change { component: component.clone(), to: version.clone() },
                operation: OperationId(format!("start/{}/{id}", host.generation)),
                origin: Origin::Start,
            });
        }
    }

    fn view<'a>(&'a self, known: &'a [Known]) -> View<'a> {
        View {
            ids: &self.ids,
            nodes: &self.nodes,
            known,
            prioritize_unhealthy: self.scenario.policy.prioritize_unhealthy_instances,
            freshness: freshness(self.scenario.interval),
            now: self.now,
            stop: self.stop(),
        }
    }

    fn stop(&self) -> Option<Stop> {
        if let Some(since) = self.line {
            return Some(Stop::Line { since });
        }
        let (from, to) = self.scenario.freeze?;
        let since = self.now.since(BEGIN);
        (from <= since && since < to).then_some(Stop::Freeze { until: BEGIN + to })
    }

    /// One step of the core, checked, its writes and effects collected.
    pub(super) fn step(&mut self, host: &mut Host, event: &Event) {
        let Some(mut upgrade) = host.upgrade.take() else { return };
        host.dirty = false;
        self.steps += 1;
        let before = upgrade.clone();
        let mut checker = std::mem::take(&mut self.checker);
        let view = self.view(&host.known);
        let events = std::slice::from_ref(event);
        let out = step(&mut upgrade, &view, events, self.now);
        let seen = Seen { before: &before, after: &upgrade, events, step: &out, fleet: &view, now: self.now };
        let found = checker.observe(&seen);
        self.checker = checker;
        self.violations.extend(found);
        self.runs_what_it_says(&before, &upgrade);
        for id in &out.changed {
            host.writes.push(Record::Member(id.clone(), upgrade.members.get(id).cloned()));
        }
        if out.head_changed || out.order_changed || out.left_out_changed || !out.batches_changed.is_empty() {
            host.writes
                .push(Record::Head(Box::new(Upgrade { members: Members::default(), ..upgrade.clone() })));
        }
        let ended = before.is_active() && !upgrade.is_active();
        let effect = |action| match action {
            Action::Apply { instance, component, version: to, operation } => {
                let change = Change { component, to };
                Some(Effect { instance, change, operation, origin: Origin::Upgrade })
            }
            // No invented policy wants maxSurge.
            Action::Create { .. } | Action::Delete { .. } => None,
        };
        host.effects.extend(out.actions.into_iter().filter_map(effect));
        host.wake += 1;
        if let Some(at) = out.wake_at {
            self.at(at.since(self.now), Happening::Wake(host.wake));
        }
        let follow = ended && (upgrade.then_roll_back || self.wants_it_back());
        host.upgrade = Some(upgrade);
        if follow {
            self.roll_back(host);
        }
    }

    /// Who has just passed the health gate really runs the version.
    fn runs_what_it_says(&mut self, before: &Upgrade, after: &Upgrade) {
        let succeeded = |state: &MemberState| matches!(state, MemberState::Succeeded { .. });
        for (id, member) in after.members.iter().filter(|(_, member)| succeeded(&member.state)) {
            let already = before.members.get(id).is_some_and(|member| succeeded(&member.state));
            let Some(running) = self.nodes.get(index_of(id)).map(|node| &node.running) else { continue };
            if !already && !member.parts.iter().all(|part| running.of(&part.component) == Some(&part.target))
            {
                let running = running.clone();
                self.violation(Rule::Health, format!("`{id}` succeeded and runs {running:?}"));
            }
        }
    }

    /// Puts the rollback of an ended upgrade in its place.
    fn roll_back(&mut self, host: &mut Host) {
        let Some(ended) = host.upgrade.as_ref() else { return };
        if is_rollback(ended) {
            return;
        }
        let Ok(id) = UpgradeId::parse(&format!("sim-back-{}", self.now.0)) else { return };
        let Some(rollback) = rollback_of(ended, id, self.now) else { return };
        host.writes.push(Record::Install(Box::new(rollback.clone())));
        host.upgrade = Some(rollback);
        self.step(host, &Event::Look);
    }

    /// The end of a turn: look if there is a reason to, record, act.
    pub(super) fn finish(&mut self, mut host: Host) {
        if host.dirty && host.upgrade.as_ref().is_some_and(Upgrade::is_active) {
            self.step(&mut host, &Event::Look);
        }
        match self.flush(&mut host) {
            Flushed::Well => self.host = Some(host),
            Flushed::Crashed => self.crash(),
        }
    }

    fn flush(&mut self, host: &mut Host) -> Flushed {
        if !host.writes.is_empty() {
            if self.crashes_here(CrashAt::BeforeCommit, self.commits) {
                return Flushed::Crashed;
            }
            self.disk.commit(std::mem::take(&mut host.writes));
            self.commits += 1;
            self.checker.committed();
            if self.disk.upgrade != host.upgrade {
                let places = self.disk.differences(host.upgrade.as_ref());
                self.violation(Rule::Replay, format!("the record is not the state: {places}"));
            }
            if let Some((wish, before)) = host.wish.take() {
                self.checker.acknowledged(&before, wish);
            }
            if self.crashes_here(CrashAt::AfterCommit, self.commits - 1) {
                return Flushed::Crashed;
            }
        }
        for effect in std::mem::take(&mut host.effects) {
            self.perform(host, effect);
            if self.crashes_here(CrashAt::AfterAct, self.calls - 1) {
                return Flushed::Crashed;
            }
        }
        Flushed::Well
    }

    /// What was not committed is gone; somebody starts the host again.
    pub(super) fn crash(&mut self) {
        self.host = None;
        self.crashes += 1;
        self.checker.crashed();
        if self.scenario.dies_with_host {
            for node in &mut self.nodes {
                node.running.application = None;
                node.calls.clear();
            }
        }
        // A planned crash is a long one: every deadline passes meanwhile.
        let away = match self.scenario.crash {
            Some(_) => AWAY_LONG,
            None => Duration::from_millis(self.rng.between(500, 60_000)),
        };
        self.at(away, Happening::HostStart);
    }

    fn crashes_here(&mut self, place: CrashAt, number: usize) -> bool {
        match self.scenario.crash {
            Some(crash) => self.crashes == 0 && crash.at == place && crash.number == number,
            None if self.is_quiet() => false,
            None => self.rng.chance(self.scenario.faults.host_crash),
        }
    }
}
