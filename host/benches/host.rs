//! What a whole host costs with a large fleet beside one with a small fleet:
//! `cargo bench -p phasegate --bench host`.
//!
//! Both hosts are `phasegate run`, each in a process of its own, with real probes, the plugin, the data file
//! and an agent. They run side by side, with as many probes per second, and are measured over the same time,
//! so that whatever else the machine does concerns both. CPU time is the system's account of each process,
//! all its threads. Quote the ratios; absolute figures move with the machine.
//!
//! A batch is what an upgrade takes beyond the probes that go on meanwhile, which are fewer then. Its start,
//! which plans the whole fleet, is not part of it, nor is what the host does about it afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, its table goes to stdout, and it waits for a time"
)]

mod support;

use std::time::Duration;

use phasegate::clock::Clock;
use support::Made;
use support::answers::Answers;
use support::running::{Running, wait_for};

/// Instances of the two fleets.
const FLEETS: [usize; 2] = [1_000, 50_000];
/// Probes per second of each host.
const RATE: f64 = 1_000.0;
/// Share of them without which a host counts as overloaded.
const KEPT_UP: f64 = 0.95;
/// How long both are measured at rest.
const WINDOW: Duration = Duration::from_secs(20);
/// How many times slower probes are while upgrades are measured, so that these stand out.
const SLOWER: u32 = 20;
/// How long what follows from a start, which concerns the whole fleet, is waited for.
const SETTLE: Duration = Duration::from_secs(10);
/// Instances of a batch; the same in each fleet.
const BATCH: u64 = 10;
/// Batches before the pause in which the start settles, and the last one that is measured.
const BATCHES: [u64; 2] = [3, 95];
/// What the ratios may be.
const GOALS: [f64; 2] = [1.2, 1.5];

/// A host and its fleet.
struct Site {
    answers: Answers,
    host: Running,
    made: Made,
}

/// What was seen at one moment.
#[derive(Clone, Copy)]
struct Seen {
    at: Duration,
    cpu: Duration,
    probes: u64,
}

/// What went on between two moments.
#[derive(Clone, Copy)]
struct Rates {
    /// CPU time per time.
    cpu: f64,
    /// CPU time per probe, in microseconds.
    per_probe: f64,
    probes_per_second: f64,
}

impl Site {
    fn start(instances: usize) -> Self {
        let answers = Answers::start(1);
        let interval = Duration::from_secs_f64(instances as f64 / RATE);
        let made =
            Made { instances, interval, batch: BATCH as usize, ports: answers.ports.clone(), health: "" };
        let host = Running::start(&made);
        Self { answers, host, made }
    }

    fn see(&self, clock: Clock) -> Seen {
        Seen { at: clock.elapsed(), cpu: self.host.cpu(), probes: self.answers.probes() }
    }

    /// Probes more slowly from now on.
    fn slow_down(&mut self) {
        self.made.interval *= SLOWER;
        self.host.reload(&self.made);
    }

    /// Starts an upgrade, and holds it after a few batches.
    fn start_upgrade(&self) {
        self.host.upgrade("v2");
        wait_for(Duration::from_millis(1), "batches", || self.answers.changes() >= BATCHES[0] * BATCH);
        self.host.wish("pause");
    }

    /// CPU time of one batch in microseconds, beyond what the host takes at rest, and how long one lasts.
    fn go_on(&self, clock: Clock, rest: Rates) -> [f64; 2] {
        // The answer shows the whole upgrade, and is no batch.
        self.host.wish("resume");
        let (begun, changed) = (self.see(clock), self.answers.changes());
        wait_for(Duration::from_millis(1), "batches", || self.answers.changes() >= BATCHES[1] * BATCH);
        let ended = self.see(clock);
        let batches = (BATCHES[1] * BATCH - changed) as f64 / BATCH as f64;
        let (time, cpu) = ((ended.at - begun.at).as_secs_f64(), (ended.cpu - begun.cpu).as_secs_f64());
        [cpu - rest.cpu * time, time].map(|value| value * 1e6 / batches)
    }
}

/// What goes on in both while nothing happens.
fn rest(sites: &[Site; 2], clock: Clock, window: Duration) -> [Rates; 2] {
    let before = [0, 1].map(|index: usize| sites[index].see(clock));
    std::thread::sleep(window);
    [0, 1].map(|index| before[index].until(sites[index].see(clock)))
}

impl Seen {
    fn until(self, later: Self) -> Rates {
        let (time, cpu) = ((later.at - self.at).as_secs_f64(), (later.cpu - self.cpu).as_secs_f64());
        let probes = (later.probes - self.probes) as f64;
        Rates { cpu: cpu / time, per_probe: cpu * 1e6 / probes, probes_per_second: probes / time }
    }
}

fn row(name: &str, [small, large]: [f64; 2], goal: Option<f64>) {
    let ratio = goal.map(|goal| format!("{:>9.2}×{:>9}", large / small, format!("{goal}×")));
    println!("{name:<44}{small:>12.0}{large:>12.0}{}", ratio.unwrap_or_default());
}

fn main() {
    let clock = Clock::start();
    let mut sites = FLEETS.map(Site::start);
    for site in &mut sites {
        site.host.wait_until_healthy(site.made.instances);
    }
    let at_rest = rest(&sites, clock, WINDOW);
    // An instance that waits for a probe gets it when it was due.
    let before = sites[1].made.interval;
    sites.iter_mut().for_each(Site::slow_down);
    std::thread::sleep(before + SETTLE);
    sites.iter().for_each(Site::start_upgrade);
    std::thread::sleep(SETTLE);
    let slow = rest(&sites, clock, SETTLE);
    let batches: Vec<[f64; 2]> = std::thread::scope(|scope| {
        let upgrades = [0, 1].map(|index| {
            let site = &sites[index];
            scope.spawn(move || site.go_on(clock, slow[index]))
        });
        upgrades.into_iter().map(|upgrade| upgrade.join().unwrap()).collect()
    });
    println!("{:<44}{:>12}{:>12}{:>10}{:>9}", "INSTANCES", FLEETS[0], FLEETS[1], "RATIO", "GOAL");
    row("probes per second", at_rest.map(|rest| rest.probes_per_second), None);
    row("CPU per probe, µs", at_rest.map(|rest| rest.per_probe), Some(GOALS[0]));
    row(
        &format!("CPU per batch of {BATCH}, beyond probes, µs"),
        [batches[0][0], batches[1][0]],
        Some(GOALS[1]),
    );
    row("time per batch, µs", [batches[0][1], batches[1][1]], None);
    if at_rest.iter().any(|rest| rest.probes_per_second < RATE * KEPT_UP) {
        println!(
            "The machine did not keep up with the probes, which then go in batches: these figures say little."
        );
    }
}
