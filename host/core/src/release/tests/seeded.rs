//! Invented estates in which anything may happen at any time, and what holds in all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::domain::{Location, ScaleSetName, Timestamp};

/// Numbers that look random and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }

    fn chance(&mut self, of_100: u64) -> bool {
        self.next(100) < of_100
    }
}

const REGIONS: [&str; 5] = ["canary", "westeurope", "eastus", "northeurope", "mars"];

fn invent(dice: &mut Dice) -> World {
    let names: Vec<String> = (0..3 + dice.next(8)).map(|number| format!("set{number}")).collect();
    let sets: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), REGIONS[dice.next(5) as usize])).collect();
    let strategy = Strategy {
        max_failed_sets: dice.next(3) as u32,
        retry_limit: dice.next(3) as u32,
        geo_pairs: vec![(region("northeurope"), region("westeurope")), (region("eastus"), region("mars"))],
        ..strategy()
    };
    let mut world = World::of(strategy, &sets);
    for name in &names {
        if dice.chance(15) {
            let before = names[dice.next(names.len() as u64) as usize].clone();
            // Only earlier ones, so that there is no circle.
            if before < *name {
                world.release.parts.get_mut(&set(name)).unwrap().after = vec![set(&before)];
            }
        }
    }
    world
}

/// Something happens.
fn happen(world: &mut World, dice: &mut Dice) {
    let names: Vec<ScaleSetName> = world.sets.keys().cloned().collect();
    let name = names[dice.next(names.len() as u64) as usize].clone();
    let name = name.as_str();
    match dice.next(12) {
        0..=3 if matches!(world.run(name), Run::Runs | Run::GoesBack) => world.done(name),
        4 if world.run(name) == Run::Runs => world.faults(name),
        5 => {
            let well = [Well::Yes, Well::No, Well::NotKnown][dice.next(3) as usize];
            world.change(name, |set| set.well = well);
        }
        6 if dice.chance(30) => {
            let out = dice.chance(40);
            world.change(name, |set| set.opted_out = out);
        }
        7 => {
            let is_busy = dice.chance(40);
            world.change(name, |set| set.busy = is_busy);
        }
        8 => {
            let is_held = dice.chance(40);
            world.change(name, |set| set.held_unhealthy = is_held);
        }
        9 => {
            let there = region(REGIONS[dice.next(5) as usize]);
            // Nobody else begins where this one is in flight beside it.
            let flies = world
                .release
                .regions_in_flight()
                .any(|mine| world.release.strategy.paired(&there).any(|pair| pair == mine));
            if !flies && dice.chance(50) {
                world.elsewhere.insert(there);
            } else {
                world.elsewhere.remove(&there);
            }
            world.look();
        }
        10 if dice.chance(20) => {
            world.release.paused = !world.release.paused;
            world.look();
        }
        _ => world.pass(Duration::from_secs(10 + dice.next(90))),
    }
}

/// What holds after whatever has happened; what began is told from what was there before.
fn check(before: &World, after: &World) {
    let release = &after.release;
    let flying: BTreeSet<&Location> = release.regions_in_flight().collect();
    for (name, part) in &release.parts {
        let was = before.release.parts.get(name).map(|part| part.run.clone());
        let began = part.run == Run::Runs && was != Some(Run::Runs);
        if began {
            let pairs: Vec<&Location> = release.strategy.paired(&part.location).collect();
            assert!(!pairs.iter().any(|pair| flying.contains(pair)), "{name}: its pair is in flight");
            assert!(
                !pairs.iter().any(|pair| after.elsewhere.contains(pair)),
                "{name}: its pair is in flight elsewhere"
            );
            assert!(!after.sets[name].opted_out, "{name} was opted out");
            let earlier = release.parts.values().filter(|other| other.phase < part.phase);
            let not_through = |other: &&Part| match &other.run {
                Run::Left(_) | Run::Back | Run::NotBack { .. } | Run::Ended { how: How::Faulted, .. } => {
                    false
                }
                Run::Done => other.well_since.is_none_or(|since| since + BAKE > after.now),
                Run::Runs => !other.passed_over,
                Run::Ended { how: How::Incomplete, retry_at: None, .. } => false,
                Run::Waits | Run::Ended { .. } | Run::GoesBack => true,
            };
            assert_eq!(earlier.filter(not_through).count(), 0, "{name} began before its turn");
            assert!(!release.paused, "{name} began while it was paused");
        }
        if after.sets[name].opted_out && part.upgrade.is_none() {
            assert_eq!(after.sets[name].has.as_str(), "1.0", "{name} was opted out and touched");
        }
    }
    let failed = release.failed_units().len();
    assert_eq!(release.state == ReleaseState::Halted, release.is_active() && failed > release.allowed);
}

/// Everything that can end well does.
fn calm(world: &mut World) {
    world.elsewhere.clear();
    world.release.paused = false;
    for set in world.sets.values_mut() {
        (set.busy, set.held_unhealthy, set.well) = (false, false, Well::Yes);
    }
    world.look();
    for _ in 0..200 {
        if !world.release.is_active() {
            return;
        }
        match world.running().first().map(|name| (*name).to_owned()) {
            Some(name) => world.done(&name),
            None => match world.wake_at {
                Some(at) => world.pass(at.since(world.now) + Duration::from_millis(1)),
                None => return,
            },
        }
    }
    panic!("no end: {:?}", world.release);
}

#[test]
fn whatever_happens_no_region_phase_begins_before_its_turn_and_no_pair_together() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut world = invent(&mut dice);
        for _ in 0..120 {
            let before = world.clone();
            happen(&mut world, &mut dice);
            check(&before, &world);
        }
        calm(&mut world);
        // It has ended, or says truly why not.
        if world.release.is_active() {
            let open = world
                .release
                .parts
                .iter()
                .filter(|(_, part)| matches!(part.run, Run::Waits | Run::Ended { .. } | Run::Runs));
            let codes: Vec<&str> = open.map(|(name, _)| world.code(name.as_str())).collect();
            let is_true = |code: &&str| {
                matches!(
                    *code,
                    "failed" | "incomplete" | "cancelled" | "halted" | "after" | "region-phase" | "retry"
                )
            };
            assert!(!codes.is_empty() && codes.iter().all(is_true), "seed {seed}: {codes:?}");
        }
    }
}

#[test]
fn a_step_that_nothing_has_changed_changes_nothing() {
    for seed in 0..50 {
        let mut dice = Dice(seed);
        let mut world = invent(&mut dice);
        for _ in 0..40 {
            happen(&mut world, &mut dice);
            let mut again = world.release.clone();
            let all: BTreeSet<ScaleSetName> = world.sets.keys().cloned().collect();
            let step = step(&mut again, &world, &all, world.now);
            assert_eq!((step.actions, again), (Vec::new(), world.release.clone()), "seed {seed}");
        }
        assert!(world.now > Timestamp(0));
    }
}
