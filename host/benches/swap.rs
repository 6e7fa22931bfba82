//! How soon a new component decides, and whom its compiler keeps waiting:
//! `cargo bench -p phasegate --bench swap`, with component files behind `--` to measure those too.
//!
//! Wall-clock time through the parts of a host: registry, cache, worker, a store on disk, and a loop
//! that records as the real one does; only HTTP and probes are left out. Absolute figures move with
//! the machine, its disk and whatever else runs on it. A large component is slower than the goal: all of
//! its bytes are hashed, and compared with those that are kept, before anything of them runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, its table goes to stdout, and rounds come at set times"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use phasegate::clock::Clock;
use phasegate::control::{Command, ControlEvent, ControlHandle};
use phasegate::plugins::config::{ComponentSource, PluginConfig};
use phasegate::plugins::fetch::FetchConfig;
use phasegate::plugins::registry::{Offer, PluginRegistry, RegistryParts, SwapOptions};
use phasegate::store::SqliteStore;
use phasegate_core::domain::{
    Answer, InstanceFacts, InstanceId, Isolation, Observation, OnFailure, PluginLimits, PluginName,
    PluginSpec, Response, Round, ScaleSetName, Strategy, SwapRules,
};
use phasegate_core::record::{Store, Write};
use phasegate_wasm::{CodeCache, Runtime, World, builtin, finish};

/// Instances that a rehearsal judges.
const FLEET: usize = 100;
/// Swaps of each row; the first ones are not counted.
const SWAPS: usize = 60;
const WARM_UP: usize = 10;
const SWAP_GOAL_MS: f64 = 5.0;
/// Time between two rounds while a compiler runs.
const PACE: Duration = Duration::from_millis(1);
/// How long decisions are timed without a compiler.
const QUIET: Duration = Duration::from_secs(5);
/// What a compiler may add to the p99: a tick of the scheduler.
const LATENESS_GOAL_MS: f64 = 4.0;

/// A decision as it came to the loop.
struct Came {
    at: Duration,
    generation: u64,
    epoch: u64,
}

/// The parts of a host that a swap goes through.
struct Site {
    tokio: tokio::runtime::Runtime,
    registry: Arc<PluginRegistry>,
    decided: Receiver<Came>,
    clock: Clock,
    name: PluginName,
    _directory: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let name = PluginName::parse("bench").unwrap();
        let (mut store, stored) = SqliteStore::open(directory.path()).unwrap();
        let (control, mut events) = ControlHandle::new();
        let parts = RegistryParts {
            runtime: Runtime::new(Arc::new(clock))
                .unwrap()
                .with_cache(CodeCache::open(directory.path()).unwrap()),
            data_dir: directory.path().to_owned(),
            by_scale_set: BTreeMap::from([(ScaleSetName::parse("bench").unwrap(), name.clone())]),
            control,
            recorder: None,
            clock,
            on_stage: None,
        };
        let (registry, writes) = PluginRegistry::load(&[config(&name)], &stored, parts).unwrap();
        store.commit(&writes).unwrap();
        let (came, decided) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(event) = events.blocking_recv() {
                match event {
                    ControlEvent::Decided(batch) => {
                        let at = clock.elapsed();
                        // What a new component judges again is no new round.
                        for decided in batch.into_iter().filter(|decided| !decided.again) {
                            let generation = decided.outcome.stamp.generation.0;
                            came.send(Came { at, generation, epoch: decided.epoch }).unwrap_or_default();
                        }
                    }
                    ControlEvent::Command(Command::RecordPlugin(name, stored, reply)) => {
                        store.commit(&[Write::Plugin(name, stored)]).unwrap();
                        reply.send(Ok(())).unwrap_or_default();
                    }
                    _ => {}
                }
            }
        });
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Self { tokio, registry: Arc::new(registry), decided, clock, name, _directory: directory }
    }

    /// Hands in a round of one of the instances; no two are the same.
    fn submit(&self, number: u64) {
        let now = self.clock.now();
        let observation = observation(usize::try_from(number).unwrap() % FLEET, number);
        let round = Round { observation, epoch: number, started_at: now, finished_at: now };
        let _context = self.tokio.enter();
        self.registry.submit(round);
    }

    fn judge_fleet(&self) {
        (0..FLEET as u64).for_each(|number| self.submit(number));
        assert_eq!(self.decided.iter().take(FLEET).count(), FLEET);
    }

    /// Times the way from the request to the first decision of a component whose code is cached.
    fn cached_swaps(&self, component: &[u8], strategy: Strategy) -> Vec<f64> {
        let variants = [variant(component, b'a'), variant(component, b'b')];
        for bytes in &variants {
            self.tokio.block_on(swap(self, bytes.clone(), Strategy::Immediate));
        }
        self.judge_fleet();
        let mut taken = Vec::new();
        for number in 0..SWAPS {
            let bytes = variants[number % 2].clone();
            let began = self.clock.elapsed();
            let generation = self.tokio.block_on(swap(self, bytes, strategy));
            self.submit(number as u64);
            let came = self.decided.recv().unwrap();
            assert_eq!(came.generation, generation, "the first decision after the swap");
            taken.push(millis(came.at - began));
        }
        taken.split_off(WARM_UP)
    }

    /// Hands rounds in, each at its time, until `ended`; gives how long after it each was decided.
    fn lateness(&self, ended: impl Fn(Duration) -> bool) -> Vec<f64> {
        let began = self.clock.elapsed();
        let mut due = Vec::new();
        while !ended(self.clock.elapsed() - began) {
            let at = began + PACE * u32::try_from(due.len()).unwrap();
            std::thread::sleep(at.saturating_sub(self.clock.elapsed()));
            self.submit(due.len() as u64);
            due.push(at);
        }
        let came = |_| {
            let came = self.decided.recv().unwrap();
            millis(came.at - due[usize::try_from(came.epoch).unwrap()])
        };
        (0..due.len()).map(came).collect()
    }
}

/// Gives the generation that decides then.
fn swap(site: &Site, bytes: Vec<u8>, strategy: Strategy) -> impl Future<Output = u64> + use<> {
    let (registry, name) = (Arc::clone(&site.registry), site.name.clone());
    let options = SwapOptions { strategy: Some(strategy), ..SwapOptions::default() };
    async move {
        registry
            .swap(&name, Offer::Bytes { bytes: bytes.into(), file: None }, options)
            .await
            .unwrap()
            .plugin
            .generation
    }
}

fn config(name: &PluginName) -> PluginConfig {
    let component = ComponentSource::Builtin("azure-health".to_owned());
    let spec = PluginSpec {
        name: name.clone(),
        source: component.to_string(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        swap: SwapRules::default(),
    };
    PluginConfig { spec, component, fetch: FetchConfig::default() }
}

fn observation(id: usize, number: u64) -> Observation {
    let body = format!(r#"{{"ApplicationHealthState":"Healthy","Number":{number}}}"#).into_bytes();
    Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse(&id.to_string()).unwrap(),
            scale_set: ScaleSetName::parse("bench").unwrap(),
            region: None,
            zone: None,
            fault_domain: None,
            update_domain: None,
            version: None,
            desired_version: None,
            labels: BTreeMap::new(),
        }),
        answers: vec![Answer {
            source: "health".to_owned(),
            outcome: Ok(Response { status: 200, headers: Vec::new(), body }),
        }],
        memory: None,
        attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
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
    finish(&wat::parse_str(text).unwrap(), World::Policy).unwrap()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// P50, p99 and maximum.
fn spread(mut taken: Vec<f64>) -> [f64; 3] {
    taken.sort_by(f64::total_cmp);
    [taken[taken.len() / 2], taken[taken.len() * 99 / 100], taken[taken.len() - 1]]
}

fn row(name: &str, [p50, p99, max]: [f64; 3], goal: &str) {
    println!("{name:<54}{p50:>9.2}{p99:>9.2}{max:>9.2}{goal:>12}");
}

fn main() {
    let synthetic = synthetic();
    // Cargo adds `--bench`.
    let files: Vec<String> = std::env::args().skip(1).filter(|file| !file.starts_with("--")).collect();
    let of_files = files.iter().map(|file| (file.as_str(), std::fs::read(file).unwrap()));
    let large: Vec<(&str, Vec<u8>)> = std::iter::once(("synthetic", synthetic)).chain(of_files).collect();

    println!("{:<54}{:>9}{:>9}{:>9}{:>12}", "MILLISECONDS", "P50", "P99", "MAX", "GOAL");
    let goal = format!("p50 {SWAP_GOAL_MS}");
    for strategy in [Strategy::Immediate, Strategy::Rehearse] {
        let taken = Site::start().cached_swaps(builtin::AZURE_HEALTH, strategy);
        row(&format!("swap, cached, azure-health, {}", strategy.name()), spread(taken), &goal);
    }
    for (name, bytes) in &large {
        let taken = Site::start().cached_swaps(bytes, Strategy::Immediate);
        row(&format!("swap, cached, {}", sized(name, bytes)), spread(taken), &goal);
    }
    for (name, bytes) in &large {
        let site = Site::start();
        site.judge_fleet();
        let quiet = spread(site.lateness(|time| time >= QUIET));
        row("decisions", quiet, "");
        let began = site.clock.elapsed();
        let loading = site.tokio.spawn(swap(&site, bytes.clone(), Strategy::Immediate));
        let busy = spread(site.lateness(|_| loading.is_finished()));
        let compile = site.clock.elapsed() - began;
        let goal = format!("p99 {:.1}", quiet[1] + LATENESS_GOAL_MS);
        row(&format!("decisions, {} compiles", sized(name, bytes)), busy, &goal);
        println!("    it took {:.1} s to compile", compile.as_secs_f64());
    }
}

/// The file's name without its folder, and its size.
fn sized(name: &str, bytes: &[u8]) -> String {
    let file = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
    format!("{file} ({:.1} MB)", bytes.len() as f64 / 1e6)
}
