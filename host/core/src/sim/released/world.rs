//! The drivers and the probes of an estate, and the clock.
//!
//! While nothing is under way in a set only those of it are asked who are not well, or not yet: what is known of the
//! others changes nothing then. So the hours of a bake cost one turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::checks::Checks;
use super::trouble::Trouble;
use super::{Course, PhaseCourse, Setup};
use crate::domain::{
    Actor, Component, InstanceId, Now, RequestId, ScaleSetName, Seen, Timestamp, Touched, Version, WallTime,
};
use crate::kernel::command::{Begins, Command, ReleaseCommand};
use crate::kernel::effect::{Ensure, Observe};
use crate::kernel::event::{Done, Observed};
use crate::kernel::{Configured, Effect, Event, Kernel, Request, SetConfig, Turn, released};
use crate::record::Stored;
use crate::release::{Moves, Release, Run};
use crate::sim::Rng;

/// Turns after which a simulation is given up: one that goes in a circle.
const TURNS_MAX: u64 = 5_000_000;

/// An instance of an estate.
pub(super) type Key = (ScaleSetName, InstanceId);

pub(super) struct World<'a> {
    pub(super) setup: &'a Setup,
    pub(super) kernel: Kernel,
    pub(super) now: Now,
    wake_at: Option<Timestamp>,
    /// Drivers that are at work, by when they answer.
    due: BTreeMap<(Timestamp, u64), Event>,
    /// To be told in the next turn.
    pub(super) inbox: Vec<Event>,
    /// What instances have of what is released, and since when they answer with it.
    pub(super) has: BTreeMap<Key, (Version, Timestamp)>,
    /// What instances of each set have of it before.
    first: BTreeMap<ScaleSetName, Version>,
    /// Sets with an upgrade under way.
    pub(super) active: BTreeSet<ScaleSetName>,
    /// Instances of the others that are not yet, or no longer, what they will be: they are asked, too.
    pub(super) restless: BTreeSet<Key>,
    /// What goes wrong by itself.
    pub(super) trouble: Trouble,
    /// When sets are probed again.
    pub(super) probe_at: Timestamp,
    pub(super) interval: Duration,
    rng: Rng,
    number: u64,
    instant: bool,
    had_it: BTreeSet<Key>,
    times: BTreeMap<ScaleSetName, (Timestamp, Option<Timestamp>)>,
    checks: Checks,
    turns: u64,
    pub(super) judged: u64,
}

/// An estate in which everybody has been found as configured and is healthy, before anything is released.
pub struct Settled<'a>(pub(super) World<'a>);

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
        let (course, _) = self.0.course_to_its_end(&mut || true);
        course
    }

    /// The same, asking now and then whether to go on. None when the answer was no.
    #[must_use]
    pub fn run_while(mut self, goes_on: &mut dyn FnMut() -> bool) -> Option<Course> {
        self.0.publish();
        let (course, cut) = self.0.course_to_its_end(goes_on);
        (cut == Cut::No).then_some(course)
    }
}

/// Whether a course was given up before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Short,
    No,
}

/// Turns between two questions whether to go on.
const ASKED_EVERY: u64 = 16;

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
        first: setup.sets.iter().filter_map(|set| first(set, setup)).collect(),
        active: BTreeSet::new(),
        restless: BTreeSet::new(),
        trouble: Trouble::default(),
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

fn first(set: &SetConfig, setup: &Setup) -> Option<(ScaleSetName, Version)> {
    let component = &set.spec.estate.enrolment(&setup.subject)?.component;
    Some((set.spec.name.clone(), set.spec.model.goal().of(component)?.clone()))
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
        self.restless.clear();
        self.trouble = Trouble::of(self.setup, self.kernel.fleet(), self.now.at);
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

    fn course_to_its_end(mut self, goes_on: &mut dyn FnMut() -> bool) -> (Course, Cut) {
        let began = self.now.at;
        let mut cut = Cut::No;
        let mut halted: Option<(Timestamp, usize)> = None;
        while let Some(release) = self.release() {
            if !release.is_active() || self.turns > TURNS_MAX || self.now.at.since(began) > self.setup.limit {
                break;
            }
            if self.turns.is_multiple_of(ASKED_EVERY) && !goes_on() {
                cut = Cut::Short;
                break;
            }
            if release.state_name() == "Halted" {
                let (at, _) = *halted.get_or_insert_with(|| (self.now.at, self.have_it()));
                // What is in flight ends, and goes back; what comes after that is a retry of days later.
                let is_calm = self.active.is_empty() && self.restless.is_empty() && self.due.is_empty();
                if is_calm && self.now.at > at {
                    break;
                }
            }
            let next = self.next_due().into_iter().chain(self.wake_at);
            let next = next.chain(self.asks_somebody().then_some(self.probe_at)).chain(self.trouble.next());
            let Some(next) = next.min() else { break };
            self.pass(next);
            self.misfortunes();
            if self.asks_somebody() && self.probe_at <= self.now.at {
                self.probe();
            }
            self.turn();
        }
        (self.course(began, halted), cut)
    }

    pub(super) fn release(&self) -> Option<Arc<Release>> {
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
                    let seen = self.seen(&asked).map_or(Seen::Nothing, Seen::Version);
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
                if !self.asks_somebody() {
                    self.probe_at = now;
                }
                self.times.entry(name.clone()).or_insert((now, None));
                self.active.insert(name);
            } else if self.active.remove(&name) {
                if let Some((_, end)) = self.times.get_mut(&name) {
                    *end = Some(now);
                }
                // Who was brought back last has said nothing yet.
                self.stay_with(&name);
            }
        }
        if !self.inbox.is_empty() {
            self.wake_at = Some(now);
        }
    }

    /// What an instance has: of what is released what drivers have brought it to, of everything else what is recorded.
    fn seen(&self, asked: &Observe) -> Option<Version> {
        let key = (asked.scale_set.clone(), asked.instance.id.clone());
        if self.is_released(&asked.scale_set, &asked.component) {
            let first = || self.first.get(&asked.scale_set).cloned();
            return self.has.get(&key).map(|(version, _)| version.clone()).or_else(first);
        }
        let model = || {
            let set = self.kernel.fleet().set(&asked.scale_set).ok()?;
            set.model.of(&asked.component).cloned()
        };
        asked.expected.clone().or_else(model)
    }

    /// A driver begins; it does what it was asked for, or fails.
    fn ensure(&mut self, asked: Ensure) {
        let (low, high) = self.setup.apply;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let takes =
            if self.instant { 0 } else { self.rng.between(millis(low), millis(high).max(millis(low))) };
        let at = self.now.at + Duration::from_millis(takes);
        let key = (asked.scale_set.clone(), asked.instance.id.clone());
        let luck = self.trouble.of_an_effect();
        if luck.is_done && self.is_released(&asked.scale_set, &asked.component) {
            if asked.version == *self.setup.version.version() {
                self.had_it.insert(key.clone());
            }
            self.has.insert(key, (asked.version.clone(), at + self.setup.start + luck.slow));
        }
        self.number += 1;
        let (answer, seen) = match luck.is_done {
            true => (Ok(()), Seen::Version(asked.version)),
            false => (Err("the driver failed: exit code 3".to_owned()), Seen::Unknown),
        };
        let done = Event::Done(Done {
            scale_set: asked.scale_set,
            instance: asked.instance.id,
            component: asked.component,
            operation: asked.operation,
            answer,
            touched: Touched::Perhaps,
            seen,
        });
        if self.instant {
            self.inbox.push(done);
        } else {
            self.due.insert((at, self.number), done);
        }
    }

    fn is_released(&self, name: &ScaleSetName, component: &Component) -> bool {
        let set = self.kernel.fleet().set(name);
        set.is_ok_and(|set| {
            let enrolment = set.spec.estate.enrolment(&self.setup.subject);
            enrolment.is_some_and(|enrolment| enrolment.component == *component)
        })
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
