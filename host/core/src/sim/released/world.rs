//! The drivers and the probes of an estate, and the clock.
//!
//! Nobody is asked while nothing is under way in a set: what is known of its instances changes nothing then. So the
//! hours of a bake cost one turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::checks::Checks;
use super::{Course, PhaseCourse, Setup};
use crate::domain::{
    Actor, Claim, Component, Decided, Decision, Digest, Evaluation, Generation, Heard, InstanceId, Now,
    Outcome, Participation, PluginStamp, RequestId, ScaleSetName, Seen, Timestamp, Touched, Version,
    WallTime,
};
use crate::kernel::command::{Begins, Command, ReleaseCommand};
use crate::kernel::effect::Ensure;
use crate::kernel::event::{Done, Observed};
use crate::kernel::{Configured, Effect, Event, Kernel, Request, Turn, released};
use crate::record::Stored;
use crate::release::{Moves, Release, Run};
use crate::sim::Rng;

/// Turns after which a simulation is given up: one that goes in a circle.
const TURNS_MAX: u64 = 5_000_000;

struct World<'a> {
    setup: &'a Setup,
    kernel: Kernel,
    now: Now,
    wake_at: Option<Timestamp>,
    /// Drivers that are at work, by when they answer.
    due: BTreeMap<(Timestamp, u64), Event>,
    /// To be told in the next turn.
    inbox: Vec<Event>,
    /// What instances have of what is released, and since when they answer with it.
    has: BTreeMap<(ScaleSetName, InstanceId), (Version, Timestamp)>,
    /// Sets with an upgrade under way.
    active: BTreeSet<ScaleSetName>,
    /// When sets are probed again.
    probe_at: Timestamp,
    interval: Duration,
    rng: Rng,
    number: u64,
    instant: bool,
    had_it: BTreeSet<(ScaleSetName, InstanceId)>,
    times: BTreeMap<ScaleSetName, (Timestamp, Option<Timestamp>)>,
    checks: Checks,
    turns: u64,
    judged: u64,
}

/// An estate in which everybody has been found as configured and is healthy, before anything is released.
pub struct Settled<'a>(World<'a>);

impl Settled<'_> {
    /// Plans the release, and gives how many sets it would move; none where nobody knows the type.
    #[must_use]
    pub fn plan(&self) -> Option<usize> {
        let World { setup, kernel, now, .. } = &self.0;
        let planned = released::plan(kernel.fleet(), &setup.subject, &setup.version, *now).ok()?;
        let sets = planned.plan.phases.iter().flat_map(|phase| &phase.sets);
        Some(sets.filter(|set| set.standing == Ok(Moves::Up)).count())
    }

    /// Goes through the release to its end, or until nothing moves any more.
    #[must_use]
    pub fn run(mut self) -> Course {
        self.0.publish();
        self.0.course_to_its_end()
    }
}

/// Goes through a release to its end, or until nothing moves any more.
#[must_use]
pub fn run(setup: &Setup) -> Course {
    settled(setup).run()
}

/// Boots an estate, and lets it settle.
#[must_use]
pub fn settled(setup: &Setup) -> Settled<'_> {
    let begin = Now { wall: WallTime(setup.begin.0), at: setup.begin };
    let configured =
        Configured { sets: setup.sets.clone(), releases: setup.rules.clone(), ..Configured::default() };
    let (kernel, turn) = Kernel::boot_with(configured, &Stored::default(), begin);
    let interval = setup.sets.iter().map(|set| set.spec.health.interval).min();
    let mut world = World {
        setup,
        kernel,
        now: begin,
        wake_at: None,
        due: BTreeMap::new(),
        inbox: Vec::new(),
        has: BTreeMap::new(),
        active: BTreeSet::new(),
        probe_at: begin.at,
        interval: interval.unwrap_or(Duration::from_secs(10)).max(Duration::from_secs(1)),
        rng: Rng::new(setup.seed),
        number: 0,
        instant: true,
        had_it: BTreeSet::new(),
        times: BTreeMap::new(),
        checks: Checks::default(),
        turns: 0,
        judged: 0,
    };
    world.take_in(turn);
    world.settle();
    Settled(world)
}

impl World<'_> {
    /// Everybody is found as configured, has been asked, and is healthy.
    fn settle(&mut self) {
        let all: BTreeSet<ScaleSetName> =
            self.kernel.fleet().sets().map(|set| set.spec.name.clone()).collect();
        // The extensions of a new instance come one after the other.
        for _ in 0..50 {
            self.active.clone_from(&all);
            self.probe();
            self.turn();
            self.pass(self.now.at + self.interval);
            while !self.inbox.is_empty() || self.next_due().is_some_and(|at| at <= self.now.at) {
                self.turn();
            }
            let is_new =
                |set: &Arc<crate::kernel::SetState>| set.members().any(|one| one.is_provisioned_first());
            // It may take several probes until one counts as healthy.
            let is_calm = |set: &Arc<crate::kernel::SetState>| {
                set.census().initializing().is_empty() && set.census().unhealthy().is_empty()
            };
            let mut sets = self.kernel.fleet().sets();
            if sets.all(|set| is_calm(set) && !is_new(set)) {
                break;
            }
        }
        self.instant = false;
        self.had_it.clear();
        self.active.clear();
    }

    fn publish(&mut self) {
        let publish = ReleaseCommand::Publish {
            subject: self.setup.subject.clone(),
            version: self.setup.version.clone(),
            digest: None,
            begins: Begins::ByItself,
        };
        self.inbox.push(Event::Request(Request {
            id: RequestId(1),
            actor: Actor::Host,
            reason: None,
            key: None,
            command: Command::Releases(Box::new(publish)),
        }));
        self.turn();
    }

    fn course_to_its_end(mut self) -> Course {
        let began = self.now.at;
        let mut halted: Option<(Timestamp, usize)> = None;
        while let Some(release) = self.release() {
            if !release.is_active() || self.turns > TURNS_MAX || self.now.at.since(began) > self.setup.limit {
                break;
            }
            if release.state_name() == "Halted" {
                let (at, _) = *halted.get_or_insert_with(|| (self.now.at, self.have_it()));
                // What is in flight ends, and goes back; what comes after that is a retry of days later.
                if self.active.is_empty() && self.due.is_empty() && self.now.at > at {
                    break;
                }
            }
            let next = self.next_due().into_iter().chain(self.wake_at);
            let next = next.chain((!self.active.is_empty()).then_some(self.probe_at)).min();
            let Some(next) = next else { break };
            self.pass(next);
            if !self.active.is_empty() && self.probe_at <= self.now.at {
                self.probe();
            }
            self.turn();
        }
        self.course(began, halted)
    }

    fn release(&self) -> Option<Arc<Release>> {
        self.kernel.fleet().releases.all.get_max().map(|(_, release)| Arc::clone(release))
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Time never stands still: a wake-up that is over is looked at a moment later.
    fn pass(&mut self, to: Timestamp) {
        let to = to.max(self.now.at + Duration::from_millis(1));
        let span = to.since(self.now.at);
        let ahead = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.now = Now { wall: WallTime(self.now.wall.date().0.saturating_add(ahead)), at: to };
    }

    fn turn(&mut self) {
        let mut events = std::mem::take(&mut self.inbox);
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now.at) {
            events.push(entry.remove());
        }
        self.turns += 1;
        let turn = self.kernel.turn(events, self.now);
        let changed: Vec<ScaleSetName> = turn.changed.sets.iter().cloned().collect();
        self.take_in(turn);
        let fleet = self.kernel.fleet().clone();
        self.checks.look(&fleet, &changed);
    }

    fn take_in(&mut self, turn: Turn) {
        self.wake_at = turn.wake_at;
        for effect in turn.effects {
            match effect {
                Effect::Ensure(asked) => self.ensure(*asked),
                Effect::Observe(asked) => {
                    let recorded =
                        asked.expected.clone().or_else(|| self.model(&asked.scale_set, &asked.component));
                    let seen = recorded.map_or(Seen::Nothing, Seen::Version);
                    self.inbox.push(Event::Observed(Observed {
                        scale_set: asked.scale_set,
                        instance: asked.instance.id.clone(),
                        component: asked.component,
                        epoch: asked.epoch,
                        seen,
                    }));
                }
                // None of these comes of a site that keeps its instances running by itself, has no hooks and no plugins;
                // and who is asked out of turn is asked in the next round.
                Effect::Create(_)
                | Effect::Delete(_)
                | Effect::Dismiss(_)
                | Effect::Drive(_)
                | Effect::Hook(_)
                | Effect::End(..)
                | Effect::Probe(_)
                | Effect::Forget(..)
                | Effect::Remember(..)
                | Effect::Ask(_)
                | Effect::Keep(_)
                | Effect::Plugin(..) => {}
            }
        }
        let now = self.now.at;
        for name in turn.changed.sets {
            let Ok(set) = self.kernel.fleet().set(&name) else { continue };
            if set.active().is_some() {
                if self.active.is_empty() {
                    self.probe_at = now;
                }
                self.times.entry(name.clone()).or_insert((now, None));
                self.active.insert(name);
            } else if self.active.remove(&name)
                && let Some((_, end)) = self.times.get_mut(&name)
            {
                *end = Some(now);
            }
        }
        if !self.inbox.is_empty() {
            self.wake_at = Some(now);
        }
    }

    fn model(&self, set: &ScaleSetName, component: &Component) -> Option<Version> {
        self.kernel.fleet().set(set).ok().and_then(|set| set.model.of(component).cloned())
    }

    /// A driver begins; it does what it was asked for.
    fn ensure(&mut self, asked: Ensure) {
        let (low, high) = self.setup.apply;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let takes =
            if self.instant { 0 } else { self.rng.between(millis(low), millis(high).max(millis(low))) };
        let at = self.now.at + Duration::from_millis(takes);
        let key = (asked.scale_set.clone(), asked.instance.id.clone());
        if self.is_released(&asked) {
            if asked.version == *self.setup.version.version() {
                self.had_it.insert(key.clone());
            }
            self.has.insert(key, (asked.version.clone(), at + self.setup.start));
        }
        self.number += 1;
        let done = Event::Done(Done {
            scale_set: asked.scale_set,
            instance: asked.instance.id,
            component: asked.component,
            operation: asked.operation,
            answer: Ok(()),
            touched: Touched::Perhaps,
            seen: Seen::Version(asked.version),
        });
        if self.instant {
            self.inbox.push(done);
        } else {
            self.due.insert((at, self.number), done);
        }
    }

    fn is_released(&self, asked: &Ensure) -> bool {
        let set = self.kernel.fleet().set(&asked.scale_set);
        set.is_ok_and(|set| {
            let enrolment = set.spec.estate.enrolment(&self.setup.subject);
            enrolment.is_some_and(|enrolment| enrolment.component == asked.component)
        })
    }

    /// One round of everybody in the sets with an upgrade under way.
    fn probe(&mut self) {
        self.probe_at = self.now.at + self.interval;
        let mut batch = Vec::new();
        let release = self.release();
        for set in self.active.iter().filter_map(|name| self.kernel.fleet().set(name).ok()) {
            let is_bad_there = self.is_bad(release.as_deref(), &set.spec.name);
            for instance in set.members().filter(|instance| instance.busy.is_empty()) {
                let key = (set.spec.name.clone(), instance.spec.id.clone());
                let is_ill = self.has.get(&key).is_some_and(|(version, from)| {
                    *from > self.now.at || (is_bad_there && version == self.setup.version.version())
                });
                let claim = if is_ill { Claim::Unhealthy } else { Claim::Healthy };
                batch.push(judged(key, instance.epoch, &set.spec.plugin, claim, self.now.at));
            }
        }
        self.judged += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.inbox.push(Event::Judged(batch));
    }

    fn is_bad(&self, release: Option<&Release>, set: &ScaleSetName) -> bool {
        let Some(from) = self.setup.bad_from else { return false };
        let part = release.and_then(|release| release.parts.get(set));
        part.is_some_and(|part| part.phase + 1 >= from)
    }

    /// How many have the version now.
    fn have_it(&self) -> usize {
        self.has.values().filter(|(version, _)| version == self.setup.version.version()).count()
    }

    fn course(self, began: Timestamp, halted: Option<(Timestamp, usize)>) -> Course {
        let fleet = self.kernel.fleet();
        let release = self.release();
        let mut sets: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut phases: Vec<PhaseCourse> = Vec::new();
        if let Some(release) = &release {
            let regions =
                |phase: &Vec<crate::domain::Location>| phase.iter().map(ToString::to_string).collect();
            phases.extend(
                release
                    .phases
                    .iter()
                    .map(|phase| PhaseCourse { regions: regions(phase), ..PhaseCourse::default() }),
            );
            for (name, standing) in released::sets(fleet, release, self.now) {
                *sets.entry(standing.part.run.name()).or_default() += 1;
                if let Some(why) = &standing.why {
                    *reasons.entry(why.code()).or_default() += 1;
                }
                if let Run::Left(left) = &standing.part.run {
                    *reasons.entry(left.code()).or_default() += 1;
                }
                let Some(phase) = phases.get_mut(standing.part.phase) else { continue };
                phase.sets += 1;
                phase.done += usize::from(standing.part.run == Run::Done);
                if let Some((begun, ended)) = self.times.get(&name) {
                    let begun = begun.since(began);
                    phase.began = Some(phase.began.map_or(begun, |before| before.min(begun)));
                    let ended = ended.map(|ended| ended.since(began));
                    phase.ended = phase.ended.max(ended);
                }
            }
            for (name, _) in &self.had_it {
                let phase = release.parts.get(name).and_then(|part| phases.get_mut(part.phase));
                phase.into_iter().for_each(|phase| phase.had_it += 1);
            }
        }
        let ended = release.as_ref().and_then(|release| release.ended_at());
        let end = ended.or(halted.map(|(at, _)| at)).unwrap_or(self.now.at);
        Course {
            state: release.as_ref().map(|release| release.state_name()),
            duration: end.since(began),
            phases,
            had_it: self.had_it.len(),
            have_it: halted.map_or_else(|| self.have_it(), |(_, have)| have),
            instances: fleet.sets().map(|set| set.census().total()).sum(),
            sets,
            reasons,
            turns: self.turns,
            judged: self.judged,
            violations: self.checks.violations,
        }
    }
}

fn judged(
    (scale_set, instance): (ScaleSetName, InstanceId),
    epoch: u64,
    plugin: &crate::domain::PluginName,
    claim: Claim,
    now: Timestamp,
) -> Decided {
    let decision = Decision {
        claim,
        phase: None,
        participation: Participation::Proceed,
        reason: None,
        memory: None,
        attributes: Vec::new(),
    };
    let stamp = PluginStamp { name: plugin.clone(), digest: Digest([0; 32]), generation: Generation(1) };
    let evaluation = Evaluation { at: now, ..Evaluation::default() };
    Decided {
        scale_set,
        instance,
        epoch,
        started_at: now,
        finished_at: now,
        again: false,
        heard: Heard::Answer,
        outcome: Arc::new(Outcome { stamp, evaluation, result: Ok(Arc::new(decision)) }),
    }
}
