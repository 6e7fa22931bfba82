//! The parts of a host, and the ways between them: what one has to say goes to the other by a function that it
//! was given, so that neither knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::api::Begun;
use crate::catalogue::{self, Publish, Publishing, Watches};
use crate::children;
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::{self, Behind, Discoveries, DiscoveryConfig, Telling, Told};
use crate::drivers::DriverNote;
use crate::drivers::process::{ProcessConfig, leftovers};
use crate::measure::{self, Measures};
use crate::net::shortage::Shortages;
use crate::plugins::hands::{Hands as PluginHands, HandsParts};
use crate::probe::{Ended, Prober, Target, placed};
use crate::recording::{self, Recorder, Used};
use crate::shell::{self, Door, Drivers, Forget, Ground, Remember};
use phasegate_core::domain::{
    By, DriverPace, DriverWord, ExtensionType, InstanceFacts, InstanceId, Origin, Outcome, PluginName,
    ScaleSetName,
};
use phasegate_core::kernel::command::{Begins, Discovered, ReleaseCommand};
use phasegate_core::kernel::effect::Ask;
use phasegate_core::kernel::{Command, Configured, Event, SetConfig};
use phasegate_core::record::{StillNamed, Stored};
use phasegate_wasm::Runtime;

/// The recording; a host that cannot record decides all the same.
pub(super) fn recorder(config: &Config, clock: Clock) -> Option<Recorder> {
    let recording = config.recording.as_ref()?;
    let folder = recording::folder(&config.server.data_dir);
    let started = Recorder::start(&folder, recording, clock);
    started.map_err(|error| tracing::warn!("nothing is recorded: `{}`: {error}", folder.display())).ok()
}

/// The way of decisions that an upgrade has gone by into the recording, if there is one.
pub(super) fn keep_used(recorder: Option<Recorder>) -> Arc<dyn Fn(Vec<Used>) + Send + Sync> {
    Arc::new(move |used| {
        if let Some(recorder) = &recorder {
            recorder.keep_used(used);
        }
    })
}

/// Which plugin judges each scale set, and which ones did before.
#[derive(Default)]
pub(super) struct PluginOfSet(RwLock<BTreeMap<ScaleSetName, Judges>>);

struct Judges {
    now: PluginName,
    before: BTreeSet<PluginName>,
}

impl PluginOfSet {
    pub(super) fn of(config: &Config) -> Self {
        let judges = |plugin: &PluginName| Judges { now: plugin.clone(), before: BTreeSet::new() };
        let sets = config.scale_sets.iter().map(|set| (set.name.clone(), judges(&set.plugin)));
        Self(RwLock::new(sets.collect()))
    }

    fn get(&self, set: &ScaleSetName) -> Option<PluginName> {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(set).map(|judges| judges.now.clone())
    }

    /// Goes by what a target says; gives those that have judged the set before.
    fn is_judged_by(&self, set: &ScaleSetName, plugin: &PluginName) -> Vec<PluginName> {
        {
            let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(judges) = sets.get(set).filter(|judges| judges.now == *plugin) {
                return judges.before.iter().cloned().collect();
            }
        }
        let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Judges { now: plugin.clone(), before: BTreeSet::new() };
        let judges = sets.entry(set.clone()).or_insert_with(new);
        let before = std::mem::replace(&mut judges.now, plugin.clone());
        judges.before.insert(before);
        judges.before.remove(plugin);
        judges.before.iter().cloned().collect()
    }
}

/// Gives the plugins back what they remembered.
pub(super) fn hand_out_memories(config: &Config, stored: &mut Stored, plugins: &PluginHands) {
    // What another plugin remembered would make no sense to the one of today.
    stored.memories.retain(|(set, _), memory| {
        config.scale_sets.iter().any(|known| known.name == *set && known.plugin == memory.plugin)
    });
    for ((set, instance), memory) in &stored.memories {
        plugins.remember(&memory.plugin, set.clone(), instance.clone(), memory.bytes.clone());
    }
}

/// The prober, and what the host is short of while it asks.
pub(super) fn prober(
    clock: Clock,
    plugins: &PluginHands,
    plugin_of: &Arc<PluginOfSet>,
    door: &Door,
) -> anyhow::Result<(Arc<Prober>, Arc<Shortages>)> {
    let shortages = Arc::new(Shortages::default());
    let sink = submit(plugins.clone(), Arc::clone(plugin_of), door.clone());
    let prober = Prober::start(clock, Arc::clone(&shortages), sink);
    Ok((Arc::new(prober.context("cannot start to probe")?), shortages))
}

/// Everything that does things for the loop.
pub(super) fn hands(
    (door, drivers, plugins, measures): (Door, Drivers, PluginHands, Arc<Measures>),
    (prober, by_set): (&Arc<Prober>, Arc<PluginOfSet>),
    recorder: Option<Recorder>,
) -> shell::Hands {
    shell::Hands {
        runtime: tokio::runtime::Handle::current(),
        door,
        drivers,
        plugins: plugins.clone(),
        probe: set_target(prober.clone(), plugins.clone(), Arc::clone(&by_set)),
        ask: ask(prober.clone()),
        remember: remember(plugins.clone(), Arc::clone(&by_set)),
        forget: forget(prober.clone(), plugins, by_set),
        measures,
        keep: keep_used(recorder),
        under_way: shell::UnderWay::default(),
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
            plugins.submit(&name, round);
        }
    })
}

/// Tells the prober and the plugin that an instance is gone.
pub(super) fn forget(prober: Arc<Prober>, plugins: PluginHands, plugin_of: Arc<PluginOfSet>) -> Forget {
    Arc::new(move |scale_set, instance| {
        prober.remove(scale_set, instance);
        if let Some(name) = plugin_of.get(scale_set) {
            plugins.forget(&name, scale_set, instance);
        }
    })
}

/// Tells the plugin of a set what it had asked to remember of an instance that is back.
pub(super) fn remember(plugins: PluginHands, plugin_of: Arc<PluginOfSet>) -> Remember {
    Arc::new(move |scale_set, instance, memory| {
        if let Some(name) = plugin_of.get(scale_set) {
            plugins.remember(&name, scale_set.clone(), instance.clone(), memory.to_vec());
        }
    })
}

/// Tells the prober whom to ask out of turn.
pub(super) fn ask(prober: Arc<Prober>) -> Arc<dyn Fn(Ask) + Send + Sync> {
    Arc::new(move |Ask { scale_set, instances, after }: Ask| {
        instances.iter().for_each(|instance| prober.ask(&scale_set, instance, after));
    })
}

/// Tells the prober whom to ask, and the plugins whose answer to expect.
pub(super) fn set_target(
    prober: Arc<Prober>,
    plugins: PluginHands,
    plugin_of: Arc<PluginOfSet>,
) -> Arc<dyn Fn(Target) + Send + Sync> {
    Arc::new(move |target: Target| {
        let InstanceFacts { scale_set, id, .. } = &*target.facts;
        for before in plugin_of.is_judged_by(scale_set, &target.plugin) {
            plugins.forget(&before, scale_set, id);
        }
        plugins.expect(&target.plugin, scale_set, id);
        prober.set(placed(target));
    })
}

/// The hands of the plugins' lives; what they have to say comes through the door.
pub(super) fn plugin_hands(
    config: &Config,
    (door, clock, measures): (&Door, Clock, &Arc<Measures>),
    runtime: Runtime,
    recorder: Option<Recorder>,
) -> PluginHands {
    let measures = Arc::clone(measures);
    let (events, decisions, failing) = (door.clone(), door.clone(), door.clone());
    let parts = HandsParts {
        runtime,
        data_dir: config.server.data_dir.clone(),
        clock,
        recorder,
        on_event: Arc::new(move |name, event| say(&events, Event::Plugin(name.clone(), event))),
        on_decisions: Arc::new(move |batch| {
            batch.iter().for_each(|decided| measure(&measures, &decided.outcome));
            say(&decisions, Event::Judged(batch));
        }),
        on_failing: Arc::new(move |trouble| say(&failing, Event::PluginTrouble(trouble))),
    };
    PluginHands::new(&config.plugins, parts)
}

/// Takes note of how long a plugin took, and whether it has failed.
fn measure(measures: &Measures, outcome: &Outcome) {
    let Outcome { stamp, evaluation, result } = outcome;
    if evaluation.origin == Origin::Evaluated {
        measures.plugins.record(stamp.name.clone(), Duration::from_nanos(evaluation.cost.time_ns));
    }
    if let Err(failure) = result {
        measures.failures.add((stamp.name.clone(), measure::failure(failure)));
    }
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

/// As the first process of a container the host is the parent of every orphan.
pub(super) async fn collect_orphans() {
    if let Err(error) = children::collect().await {
        tracing::warn!("orphans that have ended are not collected: {error}");
    }
}

/// Ends what a host before this one has left running for instances that no process driver has any more.
pub(super) fn end_leftovers(config: &Config, door: &Door) {
    let folder = config.server.data_dir.join("processes");
    let kinds = config.scale_sets.iter().filter(|set| set.driver.of::<ProcessConfig>().is_some());
    let sets: BTreeSet<ScaleSetName> = kinds.map(|set| set.name.clone()).collect();
    let door = door.clone();
    tokio::spawn(async move {
        let is_ours = |name: &ScaleSetName, id: &InstanceId| {
            let fleet = door.view();
            sets.contains(name) && fleet.set(name).is_ok_and(|set| set.instance(id).is_some())
        };
        leftovers::end(&folder, is_ours).await;
    });
}

pub(super) async fn pass_notes(mut notes: mpsc::Receiver<DriverNote>, door: Door) {
    while let Some(note) = notes.recv().await {
        door.send(Event::Note(note)).await;
    }
}

/// What drivers say of what they have in hand. What is asked again because it was busy is counted.
pub(super) async fn pass_words(mut heard: mpsc::Receiver<DriverWord>, door: Door, measures: Arc<Measures>) {
    while let Some(word) = heard.recv().await {
        if word.pace == DriverPace::Busy {
            measures.retries.add(word.scale_set.clone());
        }
        door.send(Event::DriverSays(word)).await;
    }
}

/// Longest wait for the record to take what a source says.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

/// Instances that sources have found before, of the sets that have one.
pub(super) type FoundBefore = Vec<(ScaleSetName, DiscoveryConfig, discovery::Before)>;

/// What is recorded of those that sources have found. A set without a source has none.
pub(super) fn found_before(config: &Config, stored: &mut Stored) -> FoundBefore {
    stored.discovered.retain(|(set, _), _| config.discoveries.contains_key(set));
    let of = |(name, discovery): (&ScaleSetName, &DiscoveryConfig)| {
        let mine = stored.discovered.iter().filter(|((set, _), _)| set == name);
        let mut before = discovery::Before::default();
        for ((_, id), found) in mine {
            if found.named == StillNamed::Held {
                before.held.insert(id.clone());
            }
            before.instances.insert(id.clone(), Arc::new(found.instance.clone()));
        }
        (name.clone(), discovery.clone(), before)
    };
    config.discoveries.iter().map(of).collect()
}

/// Starts to look at the sources; what they say goes to the kernel, as one of its members or as one that has gone.
pub(super) fn discoveries(before: FoundBefore, clock: Clock, door: &Door) -> std::io::Result<Discoveries> {
    let (views, tells) = (door.clone(), door.clone());
    let listed = move |name: &ScaleSetName| {
        let view = views.view();
        view.set(name).map(|set| Arc::clone(&set.listed)).unwrap_or_default()
    };
    let tell = move |told: Told| -> Telling {
        let door = tells.clone();
        Box::pin(async move {
            let Told { scale_set, delta, held, by, source } = told;
            let reason = Some(format!("discovery: {source}"));
            let by = by.unwrap_or(By { reason, ..By::host() });
            let found = delta.added.into_iter().chain(delta.changed).collect();
            let change = Discovered { found, gone: delta.removed, held };
            let command = Command::Discovered(scale_set, Box::new(change));
            let answer = door.ask_within(FOUND_WITHIN, by, command).await;
            answer.map(drop).map_err(|refusal| refusal.to_string())
        })
    };
    Discoveries::start(before, clock, &Behind { listed: Arc::new(listed), tell: Arc::new(tell) })
}

/// The sources of versions; what is new there is published.
/// Before everything decides nothing is published: it might begin an upgrade.
pub(super) fn catalogue(config: &Config, clock: Clock, (door, begun): (&Door, &Begun)) -> Arc<Watches> {
    let (views, publishes) = (door.clone(), door.clone());
    let known = move |subject: &ExtensionType| {
        let view = views.view();
        let published = view.releases.catalogue.get(subject);
        let versions = published.into_iter().flat_map(|published| &published.versions);
        versions.map(|(version, entry)| (version.clone(), entry.digest)).collect()
    };
    let begun = begun.clone();
    let publish = move |publish: Publish| -> Publishing {
        let (door, begun) = (publishes.clone(), begun.clone());
        Box::pin(async move {
            begun.wait().await;
            let Publish { subject, version, digest, source } = publish;
            let by = By { reason: Some(format!("listed by {source}")), ..By::host() };
            let begins = Begins::ByItself;
            let wanted = ReleaseCommand::Publish { subject, version, digest, begins };
            let answer = door.ask_within(FOUND_WITHIN, by, Command::Releases(Box::new(wanted))).await;
            answer.map(drop).map_err(|refusal| refusal.to_string())
        })
    };
    let behind = catalogue::Behind { known: Arc::new(known), publish: Arc::new(publish) };
    Arc::new(Watches::start(&config.catalogue, clock, behind))
}

/// What the kernel is made of, beside its record.
pub(super) fn configured(config: &Config, drivers: &Drivers) -> anyhow::Result<Configured> {
    let plugins = config.plugins.iter().map(|plugin| Arc::new(plugin.spec.clone())).collect();
    let releases = config.releases.clone();
    Ok(Configured { sets: sets(config, drivers)?, plugins, releases, ..Configured::default() })
}

/// The file that guards hold while they live.
pub(super) fn guards(config: &Config) -> PathBuf {
    let path = config.server.data_dir.join("guards");
    // A guard works in no folder of ours.
    std::path::absolute(&path).unwrap_or(path)
}

/// What all drivers are given.
pub(super) fn ground(config: &Config) -> Ground {
    let data_dir = &config.server.data_dir;
    let settings = data_dir.join("settings");
    crate::drivers::settings::sweep(&settings);
    Ground {
        settings,
        logs: data_dir.join("logs"),
        kept: data_dir.join("processes"),
        guards: guards(config),
        on_exit: config.server.on_exit.unwrap_or_default(),
        stop_timeout: config.server.stop_timeout,
    }
}

/// Scale sets for the kernel; their drivers are at work.
fn sets(config: &Config, drivers: &Drivers) -> anyhow::Result<Vec<SetConfig>> {
    let mut sets = Vec::new();
    for set in &config.scale_sets {
        let driver = drivers
            .start(&set.name, &set.driver)
            .with_context(|| format!("cannot start the driver of scale set `{}`", set.name))?;
        let (spec, _) = set.clone().split();
        let plugin = config.plugins.iter().find(|plugin| plugin.spec.name == spec.plugin);
        let on_failure = plugin.map(|plugin| plugin.spec.on_failure).unwrap_or_default();
        sets.push(SetConfig { spec, driver, on_failure });
    }
    Ok(sets)
}
