//! The engine of one run: pops everything that happens at one instant, then lets the upgrade look
//! once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::domain::{Component, OperationId, Timestamp, UpgradeId, Version};
use crate::rollout::{Action, Event, Purpose, Stage, Upgrade, Waiting, Wish, rollback_of, step, waiting_now};

use super::chance::draw;
use super::decider::{Decider, Sight};
use super::faults::{Faults, index};
use super::setup::Span;
use super::timeline::Timeline;
use super::watch::Watcher;
use super::world::{NEVER, World, chance};

/// Something that happens; at one instant in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// A round of probes begins.
    Round(u64),
    /// An instance goes down.
    Crash(u32),
    /// An instance says that it does not work, and so many times more.
    Flap(u32, u8),
    /// A zone goes down.
    ZoneLoss(u32),
    /// The driver has finished a call.
    Done(u32, u32),
    /// A probe gets no answer.
    Lost(u32),
    /// A probe.
    Probe(u32),
    /// A person answers at a checkpoint.
    Person,
    /// The upgrade wanted to look.
    Wake,
}

/// What the driver has in hand for one instance.
struct Call {
    operation: OperationId,
    component: Component,
    version: Version,
}

/// One run of one region.
pub(super) struct Engine<'a> {
    pub(super) world: World<'a>,
    pub(super) faults: Faults,
    pub(super) timeline: Timeline,
    pub(super) watcher: Watcher,
    pub(super) upgrade: Upgrade,
    /// The upgrade that the present one rolls back.
    pub(super) rolled_back: Option<Box<Upgrade>>,
    pub(super) looks: u64,
    pub(super) happened: u64,
    decider: &'a mut dyn Decider,
    seed: u64,
    heap: BinaryHeap<Reverse<(Timestamp, Happening)>>,
    calls: BTreeMap<u32, Call>,
    answers: Vec<Event>,
    dirty: bool,
    wake_at: Option<Timestamp>,
    person: bool,
}

/// What a run starts from.
pub(super) struct Parts<'a> {
    pub(super) world: World<'a>,
    pub(super) upgrade: Upgrade,
    pub(super) decider: &'a mut dyn Decider,
    pub(super) timeline: Timeline,
    pub(super) watcher: Watcher,
    pub(super) seed: u64,
}

impl<'a> Engine<'a> {
    pub(super) fn new(parts: Parts<'a>) -> Self {
        let Parts { world, upgrade, decider, timeline, watcher, seed } = parts;
        let (instances, zones) = (world.nodes.len(), world.crowd.zones.len());
        Self {
            faults: Faults::new(seed, &world.setup.rates, instances, zones),
            world,
            timeline,
            watcher,
            upgrade,
            rolled_back: None,
            looks: 0,
            happened: 0,
            decider,
            seed,
            heap: BinaryHeap::new(),
            calls: BTreeMap::new(),
            answers: Vec::new(),
            dirty: true,
            wake_at: None,
            person: false,
        }
    }

    pub(super) fn at(&mut self, at: Timestamp, what: Happening) {
        self.heap.push(Reverse((at, what)));
    }

    /// To the end, or until nothing more can happen.
    pub(super) fn run(&mut self) {
        let begin = self.world.now;
        for index in 0..self.world.nodes.len() {
            let at = self.world.schedule(index, begin);
            self.put_probe(index, at);
        }
        self.begin_faults();
        self.look();
        while self.upgrade.is_active() {
            let Some(Reverse((at, _))) = self.heap.peek() else { return };
            self.world.now = *at;
            if self.world.is_over() {
                return;
            }
            self.instant();
        }
    }

    fn instant(&mut self) {
        let now = self.world.now;
        while let Some(Reverse((at, what))) = self.heap.peek().copied() {
            if at > now {
                break;
            }
            self.heap.pop();
            self.happened += 1;
            self.happen(what);
        }
        if self.dirty || !self.answers.is_empty() || self.wake_at.is_some_and(|at| at <= now) {
            self.look();
        }
        self.watcher.instant(&self.world, &self.upgrade);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Round(number) => self.round(number),
            Happening::Crash(whom) => self.crash(whom),
            Happening::Flap(whom, left) => self.flap(whom, left),
            Happening::ZoneLoss(zone) => self.lose_zone(zone),
            Happening::Done(whom, call) => self.done(whom, call),
            Happening::Lost(whom) => self.probe(index(whom), Answered::No),
            Happening::Probe(whom) => {
                let due =
                    self.world.nodes.get(index(whom)).is_some_and(|node| node.probe_at == self.world.now);
                if due {
                    self.probe(index(whom), Answered::AsItIs);
                }
            }
            Happening::Person => self.person(),
            Happening::Wake => {}
        }
    }

    fn put_probe(&mut self, index: usize, at: Option<Timestamp>) {
        if let (Some(at), Ok(whom)) = (at, u32::try_from(index)) {
            self.at(at, Happening::Probe(whom));
        }
    }

    /// Changes an instance from outside, before the probes of this instant.
    pub(super) fn change(&mut self, index: usize, change: impl FnOnce(&mut super::world::Node)) {
        let before = self.world.nodes.get(index).map(|node| node.probe_at);
        let at = self.world.change(index, self.world.now, change);
        if at != before {
            self.put_probe(index, at);
        }
    }

    fn probe(&mut self, index: usize, answered: Answered) {
        let (now, crowd) = (self.world.now, self.world.crowd);
        self.world.catch_up(index);
        let Some((facts, node)) = crowd.facts.get(index).zip(self.world.nodes.get(index)) else { return };
        let version = node.running.and_then(|version| crowd.versions.get(usize::from(version)));
        let answer = match answered {
            Answered::AsItIs => self.world.answer(index, now),
            Answered::No => None,
        };
        let seen = Sight { crowd, facts, version, answer, now };
        if let Some(outcome) = self.decider.decide(&seen) {
            self.dirty |= self.world.judged(index, answer, outcome);
        }
        let at = self.world.schedule(index, Timestamp(now.0 + 1));
        self.put_probe(index, at);
    }

    /// The driver has finished: the instance runs the version, or what it ran before.
    fn done(&mut self, whom: u32, number: u32) {
        let place = index(whom);
        let (pace, rates) = (self.world.setup.pace, self.world.setup.rates);
        let thing = u64::from(whom) << 32 | u64::from(number);
        let mut start = within(pace.start, self.seed, 5, thing);
        if chance(draw(self.seed, 6, thing).next_u64(), 6, 0, rates.slow) {
            start += Duration::from_millis(draw(self.seed, 7, thing).between(30_000, 180_000));
        }
        let up_at = self.world.after(start);
        let Some(call) = self.calls.remove(&whom) else { return };
        let failed = chance(draw(self.seed, 8, thing).next_u64(), 8, 0, rates.driver);
        let version = self.world.crowd.versions.iter().position(|version| *version == call.version);
        let version = version.and_then(|version| u16::try_from(version).ok());
        let is_application = call.component == Component::Application;
        if !failed {
            self.world.begin_life(place);
        }
        self.change(place, |node| {
            node.up_at = up_at;
            if !failed && is_application {
                node.running = version;
                node.known = version;
            }
        });
        let Some(facts) = self.world.crowd.facts.get(place) else { return };
        let result = if failed { Err("the driver failed: exit code 3".to_owned()) } else { Ok(()) };
        let instance = facts.id.clone();
        self.answers.push(Event::EffectDone { operation: call.operation, instance, result });
    }

    fn person(&mut self) {
        self.person = false;
        let wish = match waiting_now(&self.upgrade, &self.world, self.world.now) {
            Some(Waiting::Resume { .. }) => Wish::Resume,
            Some(Waiting::Approval { .. }) => Wish::Approve,
            _ => return,
        };
        self.timeline.note(self.world.now, "person", || format!("a person answers: {wish:?}"));
        self.answers.push(Event::Wish(wish));
    }

    /// One step of the core, and what follows from it.
    fn look(&mut self) {
        self.looks += 1;
        self.dirty = false;
        let mut events = std::mem::take(&mut self.answers);
        if events.is_empty() {
            events.push(Event::Look);
        }
        let before = self.watcher.before(&self.upgrade);
        let out = step(&mut self.upgrade, &self.world, &events, self.world.now);
        self.watcher.after(before, &self.upgrade, &events, &out, &self.world);
        self.timeline.after(&self.upgrade, &out, &self.world);
        self.wake_at = out.wake_at;
        if let Some(at) = out.wake_at {
            let at = self.world.on_tick(at.max(self.world.now));
            self.wake_at = Some(at);
            self.at(at, Happening::Wake);
        }
        events.clear();
        self.answers = events;
        for action in out.actions {
            self.perform(action);
        }
        self.wait_for_a_person();
        if !self.upgrade.is_active() {
            self.follow();
        }
    }

    fn wait_for_a_person(&mut self) {
        let between = matches!(self.upgrade.stage, Stage::Between { .. });
        if self.person || !between {
            return;
        }
        let waiting = waiting_now(&self.upgrade, &self.world, self.world.now);
        if matches!(waiting, Some(Waiting::Resume { .. } | Waiting::Approval { .. })) {
            self.person = true;
            let at = self.world.after(self.world.setup.pace.person);
            self.at(at, Happening::Person);
        }
    }

    fn perform(&mut self, action: Action) {
        // Nobody forecasts maxSurge: whoever sets a forecast up refuses it.
        let Action::Apply { instance, component, version, operation } = action else { return };
        let Some(place) = self.world.crowd.index(&instance) else { return };
        let Ok(whom) = u32::try_from(place) else { return };
        self.world.begin_life(place);
        let now = self.world.now;
        let next = Timestamp(now.0 + 1);
        let at = self.world.change(place, next, |node| {
            node.call += 1;
            node.up_at = NEVER;
        });
        self.put_probe(place, at);
        let number = self.world.nodes.get(place).map_or(0, |node| node.call);
        let takes =
            within(self.world.setup.pace.apply, self.seed, 4, u64::from(whom) << 32 | u64::from(number));
        self.calls.insert(whom, Call { operation, component, version });
        let done_at = self.world.after(takes);
        self.at(done_at, Happening::Done(whom, number));
    }

    /// The way back of an upgrade that ended so.
    fn follow(&mut self) {
        if !self.upgrade.then_roll_back || self.upgrade.purpose != Purpose::Forward {
            return;
        }
        let Ok(id) = UpgradeId::parse("back") else { return };
        if let Some(rollback) = rollback_of(&self.upgrade, id, self.world.now) {
            self.timeline
                .note(self.world.now, "rollback", || "everything goes back, newest first".to_owned());
            self.rolled_back = Some(Box::new(std::mem::replace(&mut self.upgrade, rollback)));
            self.look();
        }
    }
}

/// Whether a probe gets its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    AsItIs,
    No,
}

fn within(span: Span, seed: u64, purpose: u64, thing: u64) -> Duration {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(draw(seed, purpose, thing).between(millis(span.low), millis(span.high)))
}
