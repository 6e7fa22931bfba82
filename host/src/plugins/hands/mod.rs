//! The hands of the plugins' lives: they do what `lifecycle::step` wants and say what came of it.
//!
//! Reading order: `perform` (what each effect comes to), `job` (the stages of one load), `disk` (kept bytes),
//! `tap` and `beside` (what comes by the active component, and who judges it too), `today` (whether what runs would be taken up today), `look` (the one place that
//! looks again and again), `view` (what lists show besides the life).
//!
//! Nothing here decides which component runs: effects come in, events go out, under the ticket of their job.
//! Nothing here waits where it is called: what lasts has a thread of its own.

mod beside;
mod disk;
mod job;
mod look;
mod perform;
mod tap;
#[cfg(test)]
mod tests;
mod today;
mod turnstile;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;

use super::config::PluginConfig;
use super::{PluginTrouble, PluginWorker};
use crate::clock::Clock;
use crate::plugins::signature::Signed;
use crate::recording::Recorder;
use beside::Shadow;
pub(crate) use disk::kept_path;
use disk::{Disk, Held, Holding};
use job::Job;
pub(in crate::plugins) use job::signature_place;
use phasegate_core::domain::{Decided, Digest, InstanceId, PluginName, Round, ScaleSetName};
use phasegate_core::lifecycle::{Comparison, Event, Key, Ticket};
use phasegate_wasm::Runtime;
use tap::Tap;
pub use today::{Lost, lost_of};
use turnstile::Turnstile;
pub use view::HandsView;

/// Is told what the hands have to say of a plugin. Called on their threads; must not block for long.
pub type OnEvent = Arc<dyn Fn(&PluginName, Event) + Send + Sync>;
/// Gets the decisions of a batch.
pub type OnDecisions = Arc<dyn Fn(Vec<Decided>) + Send + Sync>;
/// Hears of a plugin that fails for most of its instances, for the trail.
pub type OnFailing = Arc<dyn Fn(PluginTrouble) + Send + Sync>;

/// What the hands are made of.
pub struct HandsParts {
    /// Compiles components.
    pub runtime: Runtime,
    /// Where bytes are kept.
    pub data_dir: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Keeps what plugins judge; none when nothing is recorded.
    pub recorder: Option<Recorder>,
    /// Is told what follows from effects.
    pub on_event: OnEvent,
    /// Gets the decisions.
    pub on_decisions: OnDecisions,
    /// Hears of trouble.
    pub on_failing: OnFailing,
}

/// The hands of all plugins of a host. Clones are the same hands.
#[derive(Clone)]
pub struct Hands {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    clock: Clock,
    recorder: Option<Recorder>,
    on_event: OnEvent,
    on_decisions: OnDecisions,
    on_failing: OnFailing,
    disk: Disk,
    holding: Arc<Holding>,
    /// Fetches that are under way at a time.
    fetches: Turnstile,
    plugins: BTreeMap<PluginName, Plugin>,
}

/// What the hands have of one plugin.
struct Plugin {
    name: PluginName,
    configs: Mutex<Configs>,
    tap: Arc<Tap>,
    jobs: Mutex<BTreeMap<Ticket, Job>>,
    shadow: Mutex<Option<(Ticket, Shadow)>>,
    /// Comparisons that are shown, or may be.
    comparisons: Mutex<BTreeMap<Ticket, Arc<Mutex<Comparison>>>>,
    running: Mutex<Running>,
    /// The component that was looked at last by what is asked for, and why it would not be taken up today.
    lost: Mutex<Option<(Digest, Lost)>>,
}

/// What is configured, and what a reload proposes.
struct Configs {
    now: PluginConfig,
    next: Option<PluginConfig>,
}

/// The worker, and what waits for it.
#[derive(Default)]
struct Running {
    worker: Option<PluginWorker>,
    memories: Vec<(ScaleSetName, InstanceId, Vec<u8>)>,
}

impl Hands {
    /// Hands for these plugins; nothing runs yet.
    #[must_use]
    pub fn new(configs: &[PluginConfig], parts: HandsParts) -> Self {
        let plugin = |config: &PluginConfig| {
            let plugin = Plugin {
                name: config.spec.name.clone(),
                configs: Mutex::new(Configs { now: config.clone(), next: None }),
                tap: Arc::default(),
                jobs: Mutex::default(),
                shadow: Mutex::default(),
                comparisons: Mutex::default(),
                running: Mutex::default(),
                lost: Mutex::default(),
            };
            (config.spec.name.clone(), plugin)
        };
        let HandsParts { runtime, data_dir, clock, recorder, on_event, on_decisions, on_failing } = parts;
        let plugins: BTreeMap<PluginName, Plugin> = configs.iter().map(plugin).collect();
        let disk = Disk::new(data_dir, plugins.keys().cloned().collect());
        let shared = Shared {
            runtime,
            clock,
            recorder,
            on_event,
            on_decisions,
            on_failing,
            disk,
            holding: Arc::default(),
            fetches: Turnstile::default(),
            plugins,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Begins to look at files, shadows and failures, until the hands are gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn look(&self) -> std::io::Result<()> {
        look::start(&Arc::downgrade(&self.shared))
    }

    /// Holds uploaded bytes for as long as what is given back lives: the offer of a swap names their digest.
    #[must_use]
    pub fn hold(&self, bytes: Bytes, signed: Vec<Signed>) -> Held {
        disk::hold(&self.shared.holding, bytes, signed)
    }

    /// What a reload proposes: what `Command::Prepare` fetches.
    pub fn propose(&self, configs: &[PluginConfig]) {
        for config in configs {
            if let Some(plugin) = self.shared.plugins.get(&config.spec.name) {
                lock(&plugin.configs).next = Some(config.clone());
            }
        }
    }

    /// The reload was taken up: what it proposed is in force.
    pub fn adopt(&self) {
        for plugin in self.shared.plugins.values() {
            let mut configs = lock(&plugin.configs);
            if let Some(next) = configs.next.take() {
                configs.now = next;
            }
        }
    }

    /// Hands a round to a plugin. Never blocks.
    pub fn submit(&self, name: &PluginName, round: Round) {
        let Some(plugin) = self.shared.plugins.get(name) else { return };
        let running = lock(&plugin.running);
        let Some(worker) = &running.worker else { return };
        if let Err(round) = worker.submit(round) {
            let decided = worker.overloaded(&round);
            drop(running);
            (self.shared.on_decisions)(vec![decided]);
        }
    }

    /// Takes note of an instance that is probed from now on: a gate waits for its decision.
    pub fn expect(&self, name: &PluginName, scale_set: &ScaleSetName, instance: &InstanceId) {
        if let Some(plugin) = self.shared.plugins.get(name) {
            plugin.tap.expect((scale_set.clone(), instance.clone()));
        }
    }

    /// Drops what is known of an instance that is gone.
    pub fn forget(&self, name: &PluginName, scale_set: &ScaleSetName, instance: &InstanceId) {
        let Some(plugin) = self.shared.plugins.get(name) else { return };
        if let Some(worker) = &lock(&plugin.running).worker {
            worker.forget(scale_set.clone(), instance.clone());
        }
        let key: Key = (scale_set.clone(), instance.clone());
        plugin.tap.forget(&key);
        for comparison in lock(&plugin.comparisons).values() {
            lock(comparison).forget(&key);
        }
    }

    /// Puts back a memory from before a restart; before the worker runs it waits for it.
    pub fn remember(
        &self,
        name: &PluginName,
        scale_set: ScaleSetName,
        instance: InstanceId,
        memory: Vec<u8>,
    ) {
        let Some(plugin) = self.shared.plugins.get(name) else { return };
        let mut running = lock(&plugin.running);
        match &running.worker {
            Some(worker) => worker.remember(scale_set, instance, memory),
            None => running.memories.push((scale_set, instance, memory)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
