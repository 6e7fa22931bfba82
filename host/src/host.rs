//! Puts a host together from its parts, and takes it apart again in the right order.
//!
//! Starting: data directory, plugins, drivers, loop, prober, API. Stopping: API first, so that no
//! new wish comes in; then the loop, so that no effect is asked for; then probes; drivers last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::api::{self, Guard, server};
use crate::clock::Clock;
use crate::config::{self, Config, Problems};
use crate::drivers::http::HttpDriver;
use crate::drivers::kind::Premises;
use crate::drivers::local::orphans;
use crate::drivers::{Driver, DriverNote};
use crate::net::shortage::Shortages;
use crate::plugins::check::{self, Network};
use crate::plugins::hands::{Hands as PluginHands, HandsParts};
use crate::probe::{Ended, Prober, Target};
use crate::recording::{self, Recorder, Used};
use crate::reload::Reloader;
use crate::shell::{self, Door, Forget, Hands, Shell};
use crate::store::SqliteStore;
use phasegate_core::domain::{InstanceFacts, PluginName, ScaleSetName};
use phasegate_core::kernel::{Configured, Event, SetConfig};
use phasegate_core::lifecycle::{self, RefusalReason, Stage, Standing};
use phasegate_core::record::Stored;
use phasegate_wasm::{CodeCache, Runtime, RuntimeError};

/// Notes of drivers that may wait; a driver that writes more waits.
const NOTES_MAX: usize = 1024;

/// What is not in the configuration file itself.
#[derive(Default)]
pub struct HostOptions {
    /// Token of the API.
    pub token: Option<String>,
    /// Is told how the plugins come along: one that carries a language runtime compiles for most of
    /// a minute.
    pub on_stage: Option<OnFirstStage>,
}

/// Is told of a plugin and the stage that it begins.
pub type OnFirstStage = Arc<dyn Fn(&PluginName, Stage) + Send + Sync>;

/// A running host.
pub struct Host {
    address: SocketAddr,
    door: Door,
    reloader: Arc<Reloader>,
    loop_thread: std::thread::JoinHandle<std::io::Result<()>>,
    /// Closes when the loop ends, however it ends.
    loop_ended: tokio::sync::oneshot::Receiver<()>,
    prober: Arc<Prober>,
    drivers: Vec<Arc<dyn Driver>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Host {
    /// Starts everything. On an error nothing is left running.
    ///
    /// # Errors
    /// When the port is taken, the data directory cannot be used, a plugin does not load, or the
    /// machine gives no resources.
    pub async fn start(config: &Config, options: HostOptions) -> anyhow::Result<Self> {
        raise_file_limit();
        let listener = listen(config.server.listen).await?;
        let address = listener.local_addr()?;
        let mut opened = SqliteStore::open(&config.server.data_dir)?;
        let clock = Clock::resume(opened.stored.anchor.as_ref());
        let trail = Arc::new(opened.store.reader()?);
        let (door, inside) = Door::new();
        let runtime = plugin_runtime(&config.server.data_dir, clock)?;
        let recorder = recorder(config, clock);
        let plugins = plugin_hands(config, (&door, clock), runtime.clone(), recorder.clone());
        hand_out_memories(config, &mut opened.stored, &plugins);
        let by_set = Arc::new(plugin_of_each_set(config));
        let (notes, noted) = mpsc::channel(NOTES_MAX);
        let (sets, drivers) = sets(config, &notes)?;
        let all_drivers = drivers.values().cloned().collect();
        let shortages = Arc::new(Shortages::default());
        let sink = submit(plugins.clone(), Arc::clone(&by_set), door.clone());
        let prober = Arc::new(Prober::start(clock, Arc::clone(&shortages), sink));
        let hands = Hands {
            runtime: tokio::runtime::Handle::current(),
            door: door.clone(),
            drivers,
            plugins: plugins.clone(),
            probe: set_target(prober.clone(), plugins.clone(), Arc::clone(&by_set)),
            forget: forget(prober.clone(), plugins.clone(), by_set),
            keep: keep_used(recorder.clone()),
        };
        let specs = config.plugins.iter().map(|plugin| Arc::new(plugin.spec.clone())).collect();
        let configured = Configured { sets, plugins: specs, ..Configured::default() };
        let shell = Shell::open(configured, opened, clock, (inside, hands));
        let (loop_alive, loop_ended) = tokio::sync::oneshot::channel();
        let loop_thread = std::thread::Builder::new().name("kernel".to_owned()).spawn(move || {
            // Dropped when the loop ends, also by a panic.
            let _alive = loop_alive;
            shell::run(shell)
        })?;
        let (stop, stopped) = watch::channel(false);
        let starting = all_plugins_decide(&door, options.on_stage).await.and_then(|()| Ok(plugins.look()?));
        if let Err(error) = starting {
            // No driver has been asked for anything yet.
            door.send(Event::Ending).await;
            let _ = tokio::task::spawn_blocking(move || loop_thread.join()).await;
            return Err(error);
        }
        let reloader = Arc::new(Reloader::new(config, door.clone(), plugins.clone()));
        let asked = api::Host {
            door: door.clone(),
            trail,
            clock,
            shown: api::Shown::default(),
            hands: plugins,
            reloader: reloader.clone(),
            shortages: Arc::clone(&shortages),
            recorded: recorder.map(|recorder| api::Recorded { recorder, runtime }),
        };
        let router = api::router(Arc::new(asked), Guard::new(options.token));
        let tasks = vec![
            tokio::spawn(pass_notes(noted, door.clone())),
            tokio::spawn(server::serve(listener, router, shortages, stopped)),
            tokio::spawn(collect_orphans()),
        ];
        Ok(Self {
            address,
            door,
            reloader,
            loop_thread,
            loop_ended,
            prober,
            drivers: all_drivers,
            stop,
            tasks,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes over a changed configuration file.
    #[must_use]
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Waits until the loop has ended by itself, which it never should.
    pub async fn failed(&mut self) {
        let never: &mut tokio::sync::oneshot::Receiver<()> = &mut self.loop_ended;
        // Nothing is ever sent; the end of the loop closes the channel.
        let _ = never.await;
    }

    /// Stops everything; afterwards no process that the host started is left.
    pub async fn stop(self) {
        let Self { door, loop_thread, prober, drivers, stop, tasks, .. } = self;
        // Nobody listening any more is what is wanted.
        let _ = stop.send(true);
        door.send(Event::Ending).await;
        // The loop ends after its turn; one that panicked has said so on stderr.
        let _ = tokio::task::spawn_blocking(move || loop_thread.join()).await;
        // The loop had the other handle; it is gone with its thread.
        if let Some(prober) = Arc::into_inner(prober) {
            prober.stop().await;
        }
        for driver in drivers {
            driver.shutdown().await;
        }
        for task in tasks {
            task.abort();
        }
    }
}

/// Problems of a configuration that only show on this machine: missing files and commands, and
/// components that do not load. Fetches components only where `network` lets it; what was not fetched
/// is no problem.
#[must_use]
pub fn problems(config: &Config, network: Network) -> Problems {
    let mut problems = config::machine_problems(config, std::env::var_os("PATH").as_deref());
    for (index, set) in config.scale_sets.iter().enumerate() {
        for (key, path) in set.driver.settings().needs().certificates {
            if let (true, Err(error)) = (path.is_file(), HttpDriver::check_certificates(path)) {
                let key = format!("scaleSets[{index}].driver.{key}");
                problems.list.push(config.problem(&key, error.to_string()));
            }
        }
    }
    for (index, plugin) in config.plugins.iter().enumerate() {
        let file = plugin.fetch.ca_file.as_deref().filter(|path| path.is_file());
        if let Some(Err(error)) = file.map(HttpDriver::check_certificates) {
            let key = format!("plugins[{index}].fetch.caFile");
            problems.list.push(config.problem(&key, error.to_string()));
        }
    }
    let runtime = match Runtime::new(Clock::shared()) {
        Ok(runtime) => runtime,
        Err(error) => {
            problems.list.push(config.problem("plugins", error.to_string()));
            return problems;
        }
    };
    for (index, plugin) in config.plugins.iter().enumerate() {
        // A file that is not there is among the problems already.
        let known = format!("plugins[{index}].component");
        let files = format!("plugins[{index}].fetch.");
        if problems.list.iter().any(|problem| problem.key == known || problem.key.starts_with(&files)) {
            continue;
        }
        if let Err(error) = check::check(plugin, &runtime, &config.server.data_dir, network) {
            let key = if error.is_about_settings() { format!("plugins[{index}].settings") } else { known };
            let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": it {why}"));
            problems.list.push(config.problem(&key, format!("{error}{why}")));
        }
    }
    problems.list.sort();
    problems
}

/// Every probe and every process costs file descriptors, and many systems begin with 1,024: takes
/// what the system grants without asking anybody.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

/// The recording; a host that cannot record decides all the same.
fn recorder(config: &Config, clock: Clock) -> Option<Recorder> {
    let recording = config.recording.as_ref()?;
    let folder = recording::folder(&config.server.data_dir);
    let started = Recorder::start(&folder, recording, clock);
    started.map_err(|error| tracing::warn!("nothing is recorded: `{}`: {error}", folder.display())).ok()
}

/// How long a port that is in use is tried again: a host that was killed may have left a child between fork
/// and exec, which holds it for a moment.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(2);

/// Between two tries of a port.
const PORT_TRIED_EVERY: Duration = Duration::from_millis(50);

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let clock = Clock::start();
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        if error.kind() != std::io::ErrorKind::AddrInUse || clock.elapsed() >= PORT_FREE_WITHIN {
            return Err(error).with_context(|| {
                format!(
                    "cannot listen on {address}; is another phasegate running? choose another server.listen"
                )
            });
        }
        tokio::time::sleep(PORT_TRIED_EVERY).await;
    }
}

/// The way of decisions that an upgrade has gone by into the recording, if there is one.
fn keep_used(recorder: Option<Recorder>) -> Arc<dyn Fn(Vec<Used>) + Send + Sync> {
    Arc::new(move |used| {
        if let Some(recorder) = &recorder {
            recorder.keep_used(used);
        }
    })
}

/// The plugin runtime with its cache. Without one a start takes longer, nothing worse.
fn plugin_runtime(data_dir: &std::path::Path, clock: Clock) -> Result<Runtime, RuntimeError> {
    let runtime = Runtime::new(Arc::new(clock))?;
    tracing::info!("memory of plugin instances comes from {}", runtime.allocation());
    Ok(match CodeCache::open(data_dir) {
        Ok(cache) => runtime.with_cache(cache),
        Err(error) => {
            tracing::warn!("compiled code cannot be kept in the data directory: {error}");
            runtime
        }
    })
}

/// Which plugin judges each scale set.
type PluginOfSet = BTreeMap<ScaleSetName, PluginName>;

fn plugin_of_each_set(config: &Config) -> PluginOfSet {
    config.scale_sets.iter().map(|set| (set.name.clone(), set.plugin.clone())).collect()
}

/// Gives the plugins back what they remembered.
fn hand_out_memories(config: &Config, stored: &mut Stored, plugins: &PluginHands) {
    // What another plugin remembered would make no sense to the one of today.
    stored.memories.retain(|(set, _), memory| {
        config.scale_sets.iter().any(|known| known.name == *set && known.plugin == memory.plugin)
    });
    for ((set, instance), memory) in &stored.memories {
        plugins.remember(&memory.plugin, set.clone(), instance.clone(), memory.bytes.clone());
    }
}

/// What was seen goes to the plugin that judges the set; that nothing could be seen is no plugin's business.
fn submit(plugins: PluginHands, plugin_of: Arc<PluginOfSet>, door: Door) -> Arc<dyn Fn(Ended) + Send + Sync> {
    Arc::new(move |ended| {
        let round = match ended {
            Ended::Round(round) => round,
            Ended::NotAsked(missed) => return say(&door, Event::NotAsked(missed)),
        };
        if let Some(name) = plugin_of.get(&round.observation.instance.scale_set) {
            plugins.submit(name, round);
        }
    })
}

/// Tells the prober and the plugin that an instance is gone.
fn forget(prober: Arc<Prober>, plugins: PluginHands, plugin_of: Arc<PluginOfSet>) -> Forget {
    Arc::new(move |scale_set, instance| {
        prober.remove(scale_set, instance);
        if let Some(name) = plugin_of.get(scale_set) {
            plugins.forget(name, scale_set, instance);
        }
    })
}

/// Tells the prober whom to ask, and the plugins whose answer to expect.
fn set_target(
    prober: Arc<Prober>,
    plugins: PluginHands,
    plugin_of: Arc<PluginOfSet>,
) -> Arc<dyn Fn(Target) + Send + Sync> {
    Arc::new(move |target: Target| {
        let InstanceFacts { scale_set, id, .. } = &*target.facts;
        if let Some(name) = plugin_of.get(scale_set) {
            plugins.expect(name, scale_set, id);
        }
        prober.set(target);
    })
}

/// The hands of the plugins' lives; what they have to say comes through the door.
fn plugin_hands(
    config: &Config,
    (door, clock): (&Door, Clock),
    runtime: Runtime,
    recorder: Option<Recorder>,
) -> PluginHands {
    let (events, decisions, failing) = (door.clone(), door.clone(), door.clone());
    let parts = HandsParts {
        runtime,
        data_dir: config.server.data_dir.clone(),
        clock,
        recorder,
        on_event: Arc::new(move |name, event| say(&events, Event::Plugin(name.clone(), event))),
        on_decisions: Arc::new(move |batch| say(&decisions, Event::Judged(batch))),
        on_failing: Arc::new(move |trouble| say(&failing, Event::PluginTrouble(trouble))),
    };
    PluginHands::new(&config.plugins, parts)
}

/// Hands an event over from any thread: from those of a runtime without holding them up.
fn say(door: &Door, event: Event) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let door = door.clone();
            runtime.spawn(async move { door.send(event).await });
        }
        Err(_) => door.send_blocking(event),
    }
}

/// Why a plugin cannot start.
fn why_not(refusal: &lifecycle::Refusal) -> String {
    match &refusal.reason {
        RefusalReason::Unfit { stage: Some(stage), source, unfit, active: None } => format!(
            "plugin `{}`: component `{source}` cannot be used (stage {}): it {unfit}",
            refusal.plugin,
            stage.name()
        ),
        _ => refusal.to_string(),
    }
}

/// Waits until every plugin has a component that decides, and tells how they come along.
///
/// # Errors
/// When one of them cannot have one, or the loop ends.
async fn all_plugins_decide(door: &Door, on_stage: Option<OnFirstStage>) -> anyhow::Result<()> {
    let mut views = door.views();
    let mut told: BTreeMap<PluginName, Stage> = BTreeMap::new();
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        let mut all_decide = true;
        for life in view.plugins() {
            match life.standing() {
                Standing::Running => {}
                Standing::Failed(refusal) => anyhow::bail!(why_not(refusal)),
                Standing::Starting => all_decide = false,
            }
            let stage = life.report().stage;
            if let (Some(on_stage), Some(stage)) = (&on_stage, stage)
                && told.insert(life.name().clone(), stage) != Some(stage)
            {
                on_stage(life.name(), stage);
            }
        }
        if all_decide {
            return Ok(());
        }
        views.changed().await.context("the kernel ended before its plugins had started")?;
    }
}

/// As the first process of a container the host is the parent of every orphan.
async fn collect_orphans() {
    if let Err(error) = orphans::collect().await {
        tracing::warn!("orphans that have ended are not collected: {error}");
    }
}

async fn pass_notes(mut notes: mpsc::Receiver<DriverNote>, door: Door) {
    while let Some(note) = notes.recv().await {
        door.send(Event::Note(note)).await;
    }
}

/// The driver of each scale set.
type Drivers = BTreeMap<ScaleSetName, Arc<dyn Driver>>;

/// Scale sets for the kernel, and their drivers.
fn sets(config: &Config, notes: &mpsc::Sender<DriverNote>) -> anyhow::Result<(Vec<SetConfig>, Drivers)> {
    let (mut sets, mut drivers) = (Vec::new(), Drivers::new());
    for set in &config.scale_sets {
        let log_dir = config.server.data_dir.join("logs").join(set.name.as_str());
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let premises = Premises { log_dir, search_path, notes: notes.clone() };
        let driver = set
            .driver
            .start(&premises)
            .with_context(|| format!("cannot start the driver of scale set `{}`", set.name))?;
        let (spec, _) = set.clone().split();
        let plugin = config.plugins.iter().find(|plugin| plugin.spec.name == spec.plugin);
        let on_failure = plugin.map(|plugin| plugin.spec.on_failure).unwrap_or_default();
        drivers.insert(spec.name.clone(), driver.clone());
        sets.push(SetConfig { spec, driver: driver.traits(), on_failure });
    }
    Ok((sets, drivers))
}
