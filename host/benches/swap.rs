//! How soon a new component decides, and whom its compiler keeps waiting:
//! `cargo bench -p phasegate --bench swap`, with component files behind `--` to measure those too.
//!
//! Wall-clock time, all of it seen from outside a running host: a swap from the request, with its bytes, to
//! the answer that it is recorded; a decision from the instance's answer to what an upgrade does next, with
//! the two commits in between. Absolute figures move with the machine, its disk and whatever else runs on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, its table goes to stdout, and it waits for a host"
)]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use phasegate::clock::Clock;
use phasegate_wasm::{World, builtin, componentize};
use support::Made;
use support::answers::Answers;
use support::running::{Running, wait_for};

/// Instances; each has a port of its own, and an upgrade changes one after the other.
const FLEET: usize = 200;
/// From one probe of an instance to the next, when nothing happens.
const INTERVAL: Duration = Duration::from_secs(2);
/// Swaps of each row; the first ones are not counted.
const SWAPS: usize = 60;
const WARM_UP: usize = 10;
const SWAP_GOAL_MS: f64 = 5.0;
/// What a compiler may add to the p99 of decisions: a tick of the scheduler.
const LATENESS_GOAL_MS: f64 = 4.0;

struct Site {
    answers: Answers,
    host: Running,
    clock: Clock,
}

impl Site {
    fn start() -> Self {
        let answers = Answers::start(FLEET);
        let made =
            Made { instances: FLEET, interval: INTERVAL, batch: 1, ports: answers.ports.clone(), health: "" };
        let mut host = Running::start(&made);
        host.wait_until_healthy(FLEET);
        Self { answers, host, clock: Clock::start() }
    }

    /// Swaps, and gives how long it took.
    fn swap(&self, component: &[u8], strategy: &str) -> Duration {
        let target = format!("/v1/plugins/bench/swap?strategy={strategy}");
        let began = self.clock.elapsed();
        let (status, text) = self.host.ask("POST", &target, component).unwrap();
        let taken = self.clock.elapsed() - began;
        assert_eq!(status, 200, "{text}");
        taken
    }

    /// Swaps of two components whose code is cached.
    fn cached_swaps(&self, component: &[u8], strategy: &str) -> Vec<f64> {
        let variants = [variant(component, b'a'), variant(component, b'b')];
        for bytes in &variants {
            self.swap(bytes, "immediate");
        }
        let taken = (0..SWAPS).map(|number| millis(self.swap(&variants[number % 2], strategy)));
        taken.collect::<Vec<f64>>().split_off(WARM_UP)
    }

    /// Upgrades the fleet again and again until `ended`, once at least; gives how late each step was.
    fn lateness(&self, name: &str, ended: impl Fn() -> bool) -> Vec<f64> {
        drop(self.answers.take_steps());
        for round in 0.. {
            let before = self.answers.changes();
            self.host.upgrade(&format!("{name}-{round}"));
            let all_changed = || self.answers.changes() >= before + FLEET as u64;
            wait_for(Duration::from_millis(5), "an upgrade", || all_changed() || (round > 0 && ended()));
            if ended() {
                break;
            }
        }
        self.answers.take_steps().into_iter().map(millis).collect()
    }
}

/// The same code under another digest: a custom section more.
fn variant(component: &[u8], mark: u8) -> Vec<u8> {
    [component, &[0, 2, 1, mark]].concat()
}

/// As large as a component that carries a language runtime, and of the same kind: many functions, and
/// many megabytes of data. It decides nothing but "healthy".
fn synthetic() -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/guests"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let guest = read("good.wat").replace("  ;; @include abi.wat\n", &read("abi.wat"));
    let mut more = String::new();
    for function in 0..6000_u32 {
        write!(more, "(func $f{function} (param $a i64) (param $b i64) (result i64)").unwrap();
        for step in 0..40_u32 {
            let (constant, offset) = (function * 41 + step * 7 + 1, step * 8);
            write!(
                more,
                "(local.set $a (i64.add (i64.mul (local.get $a) (i64.const {constant})) (i64.load offset={offset} (i32.and (i32.wrap_i64 (local.get $b)) (i32.const 65528)))))\
                 (if (i64.lt_u (local.get $a) (local.get $b)) (then (local.set $b (i64.xor (local.get $a) (i64.shr_u (local.get $b) (i64.const 7))))))"
            )
            .unwrap();
        }
        match function {
            0 => more.push_str("(local.get $b))\n"),
            _ => writeln!(more, "(call $f{} (local.get $b) (local.get $a)))", function - 1).unwrap(),
        }
    }
    writeln!(more, "(data \"{}\"))", "x".repeat(6 << 20)).unwrap();
    let text = format!("{}{more}", guest.trim_end().strip_suffix(')').unwrap());
    componentize(&wat::parse_str(text).unwrap(), World::Policy, &|_, _| None).unwrap()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// P50, p99 and maximum.
fn spread(mut taken: Vec<f64>) -> [f64; 3] {
    taken.sort_by(f64::total_cmp);
    [taken[taken.len() / 2], taken[taken.len() * 99 / 100], taken[taken.len() - 1]]
}

fn row(name: &str, taken: Vec<f64>, goal: &str) -> [f64; 3] {
    let count = taken.len();
    let [p50, p99, max] = spread(taken);
    println!("{name:<54}{count:>7}{p50:>9.2}{p99:>9.2}{max:>9.2}{goal:>12}");
    [p50, p99, max]
}

fn main() {
    let synthetic = synthetic();
    // Cargo adds `--bench`.
    let files: Vec<String> = std::env::args().skip(1).filter(|file| !file.starts_with("--")).collect();
    let of_files = files.iter().map(|file| (file.as_str(), std::fs::read(file).unwrap()));
    let large: Vec<(&str, Vec<u8>)> = std::iter::once(("synthetic", synthetic)).chain(of_files).collect();

    println!("{:<54}{:>7}{:>9}{:>9}{:>9}{:>12}", "MILLISECONDS", "COUNT", "P50", "P99", "MAX", "GOAL");
    let site = Site::start();
    let goal = format!("p50 {SWAP_GOAL_MS}");
    for strategy in ["immediate", "rehearse"] {
        let taken = site.cached_swaps(builtin::AZURE_HEALTH, strategy);
        row(&format!("swap, cached, azure-health, {strategy}"), taken, &goal);
    }
    for (name, bytes) in &large {
        // Its code is not known yet: the decisions of the one before go on meanwhile.
        let [_, quiet, _] = row("decisions", site.lateness(&format!("{}-quiet", bytes.len()), || true), "");
        let (busy, compile) = std::thread::scope(|scope| {
            let loading = scope.spawn(|| site.swap(bytes, "immediate"));
            let busy = site.lateness(&format!("{}-busy", bytes.len()), || loading.is_finished());
            (busy, loading.join().unwrap())
        });
        let goal = format!("p99 {:.1}", quiet + LATENESS_GOAL_MS);
        row(&format!("decisions, {} compiles", sized(name, bytes)), busy, &goal);
        println!("    it took {:.1} s to compile", compile.as_secs_f64());
        let goal = format!("p50 {SWAP_GOAL_MS}");
        row(&format!("swap, cached, {}", sized(name, bytes)), site.cached_swaps(bytes, "immediate"), &goal);
    }
}

/// The file's name without its folder, and its size.
fn sized(name: &str, bytes: &[u8]) -> String {
    let file = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
    format!("{file} ({:.1} MB)", bytes.len() as f64 / 1e6)
}
