//! Schedule and places in an invented world: servers that answer, hang, reset and come back, machines that stand
//! still, and fewer descriptors than everybody wants. Its time is made up, and a seed says all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::flight::{By, Flights, Limits};
use crate::probe::Target;
use crate::probe::schedule::{Group, Lane, Schedule, Slot, Ticket, first_due};
use crate::probe::testing::{settings, target};
use phasegate_core::domain::{Address, ProbeProtocol, Timestamp};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(5);
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// What became of one target.
#[derive(Debug, Default, Clone)]
struct Seen {
    worst: Duration,
    /// When its probes ended, and how long they had taken.
    ended: Vec<(Duration, Duration)>,
}

struct World {
    now: Duration,
    schedule: Schedule,
    flights: Flights,
    target: Arc<Target>,
    groups: BTreeMap<Slot, Group>,
    /// How long each answer takes now.
    latency: BTreeMap<Slot, Duration>,
    ends: BTreeSet<(Duration, Ticket, Slot)>,
    seen: BTreeMap<Slot, Seen>,
    most: usize,
}

impl World {
    fn new(in_flight_max: usize) -> Self {
        let limits = Limits { in_flight_max, slow_max: in_flight_max / 2, kept_max: 0 };
        let nowhere = Address { host: "127.0.0.1".to_owned(), port: 1 };
        Self {
            now: Duration::ZERO,
            schedule: Schedule::default(),
            flights: Flights::new(limits),
            target: Arc::new(target("0", nowhere, settings(ProbeProtocol::Http))),
            groups: BTreeMap::new(),
            latency: BTreeMap::new(),
            ends: BTreeSet::new(),
            seen: BTreeMap::new(),
            most: in_flight_max,
        }
    }

    /// A scale set whose instances answer after so long.
    fn add(&mut self, group: u32, count: usize, latency: Duration) -> Vec<Slot> {
        let name = phasegate_core::domain::ScaleSetName::parse(&format!("set{group}")).unwrap();
        let slots: Vec<Slot> = (0..count)
            .map(|number| {
                let slot = Slot(u64::try_from(self.groups.len()).unwrap());
                let id = phasegate_core::domain::InstanceId::parse(&number.to_string()).unwrap();
                let due = first_due(&name, &id, INTERVAL, self.now);
                self.schedule.insert((slot, Group(group)), INTERVAL, due);
                self.groups.insert(slot, Group(group));
                self.latency.insert(slot, latency);
                slot
            })
            .collect();
        self.count(Group(group));
        slots
    }

    fn count(&mut self, group: Group) {
        let prompt = self.schedule.members(group, Lane::Prompt);
        let slow = self.schedule.members(group, Lane::Slow);
        self.flights.wanted(group, prompt, slow);
    }

    fn answer_after(&mut self, slots: &[Slot], latency: Duration) {
        slots.iter().for_each(|slot| _ = self.latency.insert(*slot, latency));
    }

    fn land(&mut self) {
        while let Some((at, ticket, slot)) = self.ends.first().copied().filter(|(at, _, _)| *at <= self.now) {
            self.ends.remove(&(at, ticket, slot));
            let Some(landed) = self.flights.land(ticket) else { continue };
            let took = at.saturating_sub(Duration::from_millis(u64::try_from(landed.started_at.0).unwrap()));
            let lane = if took > SLOW_AFTER { Lane::Slow } else { Lane::Prompt };
            self.seen.entry(slot).or_default().ended.push((self.now, took));
            if let Some(group) = self.schedule.finish(slot, ticket, self.now, lane) {
                self.count(group);
            }
        }
    }

    fn start(&mut self) {
        while let Some(start) = self.schedule.take_due(self.now, &self.flights) {
            let late = self.now - start.due;
            let seen = self.seen.entry(start.slot).or_default();
            seen.worst = seen.worst.max(late);
            let latency = self.latency[&start.slot].min(TIMEOUT);
            self.ends.insert((self.now + latency, start.ticket, start.slot));
            let started_at = Timestamp(i64::try_from(self.now.as_millis()).unwrap());
            self.flights.add(start, Arc::clone(&self.target), started_at, By::Nobody);
            assert!(self.flights.count() <= self.most, "more places than there are");
        }
    }

    fn run(&mut self, until: Duration) {
        while self.now < until {
            self.land();
            self.start();
            let ending = self.ends.first().map(|(at, _, _)| *at);
            let due = self.schedule.next_due(&self.flights);
            let next = ending.into_iter().chain(due).min().unwrap_or(until);
            self.now = next.max(self.now + Duration::from_millis(1)).min(until);
        }
    }

    /// The worst lateness of some since this was asked before.
    fn worst(&mut self, slots: &[Slot]) -> Duration {
        let mut worst = Duration::ZERO;
        for slot in slots {
            worst = worst
                .max(self.seen.get_mut(slot).map(|seen| std::mem::take(&mut seen.worst)).unwrap_or_default());
        }
        worst
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const HANGS: Duration = Duration::from_secs(3_600);

#[test]
fn a_set_that_hangs_delays_no_other() {
    // A hundred places, and four hundred that hold one for five seconds each.
    let mut world = World::new(100);
    let good = world.add(1, 40, ms(2));
    let lost = world.add(2, 400, ms(2));
    world.run(ms(20_000));
    world.answer_after(&lost, HANGS);
    world.worst(&good);
    world.run(ms(60_000));
    assert!(world.worst(&good) <= INTERVAL / 10);
    assert!(world.worst(&lost) > INTERVAL, "there are not enough places for them");
    // They come back, and are asked in time again.
    world.answer_after(&lost, ms(2));
    world.run(ms(120_000));
    world.worst(&lost);
    world.run(ms(180_000));
    assert!(world.worst(&lost) <= INTERVAL / 10);
}

#[test]
fn the_loss_of_two_thirds_is_known_within_two_intervals_and_delays_nobody() {
    let mut world = World::new(1_000);
    let good = world.add(1, 200, ms(2));
    let lost = world.add(1, 400, ms(2));
    let others = world.add(2, 300, ms(700));
    world.run(ms(22_000));
    world.answer_after(&lost, HANGS);
    let since = world.now;
    world.worst(&good);
    world.worst(&others);
    world.run(since + 2 * INTERVAL + ms(10));
    for slot in &lost {
        let ended = &world.seen[slot].ended;
        assert!(ended.iter().any(|(at, took)| *at > since && *took >= TIMEOUT), "{slot:?}: {ended:?}");
    }
    world.run(since + 20 * INTERVAL);
    assert!(world.worst(&good) <= INTERVAL / 10 && world.worst(&others) <= INTERVAL / 10);
}

#[test]
fn slow_ones_of_one_set_do_not_take_the_places_of_slow_ones_of_another() {
    let mut world = World::new(200);
    let slow = world.add(1, 30, ms(800));
    world.add(2, 1_000, HANGS);
    world.run(ms(60_000));
    world.worst(&slow);
    world.run(ms(120_000));
    assert!(world.worst(&slow) <= INTERVAL / 10);
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// One world: what hangs, resets and comes back changes all the time, and now and then the machine stands still.
fn history(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let most = 20 + dice.below(100);
    let mut world = World::new(usize::try_from(most).unwrap());
    let sets = 2 + u32::try_from(dice.below(4)).unwrap();
    // The first one answers at once all the time.
    let steady = world.add(0, usize::try_from(1 + dice.below(40)).unwrap(), ms(2));
    let mut all = vec![steady.clone()];
    for set in 1..sets {
        let count = usize::try_from(1 + dice.below(200)).unwrap();
        all.push(world.add(set, count, ms(2)));
    }
    world.run(3 * INTERVAL);
    world.worst(&steady);
    for _ in 0..60 {
        let slots = all[usize::try_from(1 + dice.below(u64::from(sets) - 1)).unwrap()].clone();
        let from = usize::try_from(dice.below(u64::try_from(slots.len()).unwrap())).unwrap();
        let latency = [ms(0), ms(2), ms(300), ms(900), HANGS][usize::try_from(dice.below(5)).unwrap()];
        world.answer_after(&slots[from..], latency);
        world.run(world.now + ms(dice.below(15_000)));
        let worst = world.worst(&steady);
        assert!(worst <= INTERVAL / 10, "seed {seed}: late by {worst:?}");
        if dice.below(8) == 0 {
            world.now += ms(dice.below(20_000));
            // What the stall brought together is spread again, a tenth of the interval with each probe.
            world.run(world.now + 12 * INTERVAL);
            world.worst(&steady);
        }
    }
    // Nobody is forgotten.
    let counts: BTreeMap<Slot, usize> =
        world.seen.iter().map(|(slot, seen)| (*slot, seen.ended.len())).collect();
    all.iter().for_each(|slots| world.answer_after(slots, ms(0)));
    world.run(world.now + 40 * INTERVAL);
    for slot in all.iter().flatten() {
        let before = counts.get(slot).copied().unwrap_or(0);
        assert!(world.seen[slot].ended.len() > before, "seed {seed}: {slot:?} is not asked any more");
    }
}

#[test]
fn a_set_that_answers_is_asked_in_time_whatever_the_others_do() {
    (1..=25).for_each(history);
}
