//! The hands of the plugins' lives: they do what `lifecycle::step` wants and say what came of it.
//!
//! Reading order: `job` (the stages of one load), `disk` (kept bytes), `tap` and `beside` (what comes by the
//! active component, and who judges it too), `look` (the one place that looks again and again), `view` (what
//! lists show besides the life).
//!
//! Nothing here decides which component runs: effects come in, events go out, under the ticket of their job.
//! Nothing here waits where it is called: what lasts has a thread of its own.

mod beside;
mod disk;
mod job;
mod look;
mod tap;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;

use super::config::PluginConfig;
use super::{PluginTrouble, PluginWorker, Watchers};
use crate::clock::Clock;
use crate::recording::Recorder;
use beside::Shadow;
pub(crate) use disk::kept_path;
use disk::{Disk, Held, Holding};
use job::Job;
use phasegate_core::domain::{
    Decided, Digest, Generation, InstanceId, Observation, PluginName, Round, ScaleSetName,
};
use phasegate_core::lifecycle::{Comparison, Effect, Event, Failing, HandError, Key, Ticket};
use phasegate_wasm::{LoadedPlugin, Runtime};
use tap::Tap;
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
    fetches: job::Turnstile,
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
            fetches: job::Turnstile::default(),
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

    /// Does what a step wants, in order. What lasts goes on when this has returned.
    pub fn perform(&self, name: &PluginName, effects: Vec<Effect>) {
        for effect in effects {
            if self.shared.plugins.contains_key(name) {
                self.perform_one(name, effect);
            }
        }
    }

    fn perform_one(&self, name: &PluginName, effect: Effect) {
        let Some(plugin) = self.shared.plugins.get(name) else { return };
        match effect {
            Effect::Fetch(ticket, from) => {
                lock(&plugin.jobs).insert(ticket, Job::new(from));
                self.aside(name, ticket, job::fetch);
            }
            Effect::Compile(ticket) => self.aside(name, ticket, job::compile),
            Effect::Configure(ticket, setting) => {
                self.aside(name, ticket, move |at| job::configure(at, &setting));
            }
            Effect::SelfTest(ticket, limits) => {
                self.aside(name, ticket, move |at| job::self_test(at, limits));
            }
            Effect::Rehearse { ticket, gate, only } => {
                self.aside(name, ticket, move |at| job::rehearse(at, gate.as_ref(), only));
            }
            Effect::Keep(ticket) => self.aside(name, ticket, job::keep),
            Effect::BeginShadow(ticket, order) => {
                lock(&plugin.jobs).entry(ticket).or_insert_with(Job::beside);
                self.aside(name, ticket, move |at| beside::begin(at, &order));
            }
            Effect::EndShadow(ticket) => plugin.end_shadow(ticket),
            Effect::Activate { ticket, generation } => self.activate(plugin, ticket, generation),
            Effect::Cancel(ticket) => plugin.cancel(ticket),
            Effect::DropComparison(ticket) => {
                lock(&plugin.comparisons).remove(&ticket);
            }
            Effect::Retain(used) => {
                let held = plugin.kept_by_jobs();
                self.shared.disk.needs(name, used.into_iter().chain(held).collect());
                let shared = Arc::clone(&self.shared);
                let thread = std::thread::Builder::new().name("plugin-prune".to_owned());
                // Without a thread the next one tidies up.
                let _ = thread.spawn(move || shared.disk.prune());
            }
        }
    }

    /// Runs one stage on a thread of its own, and says how it went. A job that is over says nothing.
    fn aside(
        &self,
        name: &PluginName,
        ticket: Ticket,
        stage: impl FnOnce(&job::At<'_>) -> Result<phasegate_core::lifecycle::Answer, HandError> + Send + 'static,
    ) {
        let (shared, owned) = (Arc::clone(&self.shared), name.clone());
        let run = move || {
            let Some(plugin) = shared.plugins.get(&owned) else { return };
            let at = job::At { shared: &shared, plugin, ticket };
            let answer = phasegate_wasm::guarded("a hand of the plugin", || stage(&at));
            let answer = answer.unwrap_or_else(|said| Err(HandError::Broken(said)));
            at.say(answer.unwrap_or_else(phasegate_core::lifecycle::Answer::Failed));
        };
        let thread = std::thread::Builder::new().name(format!("hand-{name}")).stack_size(job::STACK_BYTES);
        if let Err(error) = thread.spawn(run) {
            let said = HandError::Broken(format!("no thread for it: {error}"));
            let answer = phasegate_core::lifecycle::Answer::Failed(said);
            (self.shared.on_event)(name, Event::Hand(ticket, answer));
        }
    }

    /// Lets a component decide from now on. It is configured, so nothing but a missing thread is in the way.
    fn activate(&self, plugin: &Plugin, ticket: Ticket, generation: Generation) {
        plugin.end_shadow(ticket);
        let job = lock(&plugin.jobs).remove(&ticket);
        let spare =
            lock(&plugin.shadow).take_if(|(of, _)| *of == ticket).and_then(|(_, shadow)| shadow.spare());
        let Some(loaded) = spare.or_else(|| job.as_ref().and_then(Job::take_plugin)) else {
            tracing::error!(plugin = %plugin.name, "{ticket:?} is to decide and is not here; please report it");
            return;
        };
        let mut running = lock(&plugin.running);
        match &running.worker {
            Some(worker) => worker.swap(loaded, generation),
            None => match self.spawn(plugin, loaded, generation) {
                Ok(worker) => {
                    for (set, instance, memory) in std::mem::take(&mut running.memories) {
                        worker.remember(set, instance, memory);
                    }
                    running.worker = Some(worker);
                }
                Err(error) => {
                    tracing::error!(plugin = %plugin.name, "its worker cannot be started: {error}");
                }
            },
        }
    }

    fn spawn(
        &self,
        plugin: &Plugin,
        loaded: LoadedPlugin,
        generation: Generation,
    ) -> std::io::Result<PluginWorker> {
        let (taking, on_decisions) = (Arc::clone(&plugin.tap), Arc::clone(&self.shared.on_decisions));
        let on_decided = Box::new(move |batch: Vec<(Arc<Observation>, Decided)>| {
            let tapped = |(observation, decided)| {
                taking.take(observation, &decided);
                decided
            };
            on_decisions(batch.into_iter().map(tapped).collect());
        });
        let (troubled, on_failing) = (Arc::clone(&plugin.tap), Arc::clone(&self.shared.on_failing));
        let (on_event, name) = (Arc::clone(&self.shared.on_event), plugin.name.clone());
        let on_trouble = Box::new(move |trouble: PluginTrouble| {
            troubled.trouble(trouble.generation);
            let PluginTrouble { generation, failed, judged, cause, .. } = &trouble;
            let seen = Failing { failed: *failed, instances: *judged, cause: cause.clone() };
            let failing = troubled.failing().unwrap_or(seen);
            let event = Event::Trouble(*generation, failing);
            on_failing(trouble);
            on_event(&name, event);
        });
        let watchers = Watchers { on_decided, on_trouble, recorder: self.shared.recorder.clone() };
        let (name, clock) = (plugin.name.clone(), self.shared.clock);
        PluginWorker::spawn_watched(name, loaded, generation, watchers, clock)
    }

    /// Holds uploaded bytes for as long as what is given back lives: the offer of a swap names their digest.
    #[must_use]
    pub fn hold(&self, bytes: Bytes) -> Held {
        disk::hold(&self.shared.holding, bytes)
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

impl Plugin {
    /// Ends a job: what its hand still says is not passed on.
    fn cancel(&self, ticket: Ticket) {
        if let Some(job) = lock(&self.jobs).remove(&ticket) {
            job.stop();
        }
        lock(&self.shadow).take_if(|(of, _)| *of == ticket);
    }

    /// Ends what judges beside the active component; the instance that is to take over goes to its job.
    fn end_shadow(&self, ticket: Ticket) {
        let ended = lock(&self.shadow).take_if(|(of, _)| *of == ticket);
        let spare = ended.and_then(|(_, shadow)| shadow.spare());
        if let (Some(spare), Some(job)) = (spare, lock(&self.jobs).get(&ticket)) {
            job.give_plugin(spare);
        }
    }

    /// What jobs have put on the disk and no record names yet.
    fn kept_by_jobs(&self) -> Vec<Digest> {
        lock(&self.jobs).values().filter_map(Job::digest).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
