//! The plugins of a running host: loading them, handing rounds to them, replacing them.
//!
//! A replacement is compiled, checked and configured beside the active component and off the
//! reactor; then its generation is recorded, and only then does it take over. Whatever fails
//! before leaves the active one in place. No round is lost either way: rounds wait in the worker's
//! queue and are judged by exactly one generation.

mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{
    Counts, LoadPluginError, LoadedPlugin, PluginWorker, Runtime, Watchers, builtin, inspect, read_component,
};
use crate::api::wire;
use crate::clock::Clock;
use crate::config::{ComponentSource, PluginConfig};
use crate::control::{Command, CommandError, CommandErrorKind, ControlEvent, ControlHandle};
use crate::domain::{Digest, Generation, PluginName, Round, ScaleSetName, Timestamp};
use crate::recording::Recorder;
use crate::store::{Stored, StoredPlugin, Write};

/// Why a plugin of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its file cannot be read.
    #[error("plugin `{name}`: cannot read component `{}`", path.display())]
    Unreadable {
        /// The plugin.
        name: PluginName,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Its component does not load.
    #[error("plugin `{name}`: component `{component}` cannot be used")]
    Load {
        /// The plugin.
        name: PluginName,
        /// Where it came from.
        component: String,
        /// Why; a fragment that follows the component.
        source: Box<LoadPluginError>,
    },
    /// The machine gives no thread.
    #[error("plugin `{name}`: cannot start its worker")]
    Worker {
        /// The plugin.
        name: PluginName,
        /// The system's word.
        source: std::io::Error,
    },
}

impl RegistryError {
    /// Whether the component is fine and its settings are not.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        match self {
            Self::Load { source, .. } => matches!(**source, LoadPluginError::SettingsRefused(_)),
            Self::Unreadable { .. } | Self::Worker { .. } => false,
        }
    }
}

/// What the registry is made of.
pub struct RegistryParts {
    /// Compiles components.
    pub runtime: Runtime,
    /// Where uploaded components are kept.
    pub data_dir: PathBuf,
    /// Which plugin decides for which scale set.
    pub by_scale_set: BTreeMap<ScaleSetName, PluginName>,
    /// The way to the loop.
    pub control: ControlHandle,
    /// Keeps what plugins judge; none when nothing is recorded.
    pub recorder: Option<Recorder>,
    /// Time.
    pub clock: Clock,
}

/// All plugins of a host.
pub struct PluginRegistry {
    parts: RegistryParts,
    /// Held while uploaded components are written, taken over or removed.
    keeping: tokio::sync::Mutex<()>,
    entries: BTreeMap<PluginName, Entry>,
}

struct Entry {
    config: PluginConfig,
    worker: PluginWorker,
    active: Mutex<Active>,
    /// One replacement at a time.
    swapping: tokio::sync::Mutex<()>,
}

/// What is known of the active component.
#[derive(Debug, Clone)]
struct Active {
    source: String,
    digest: Digest,
    generation: Generation,
    /// Digest of what the configuration names: component and settings.
    configured: Digest,
    world: Option<String>,
    pure: bool,
    size: usize,
    loaded_at: Timestamp,
    last_error: Option<String>,
}

/// A component on its way in.
struct Candidate {
    bytes: Vec<u8>,
    source: String,
}

impl PluginRegistry {
    /// Loads every plugin of the configuration and starts its worker. Gives the records of the
    /// generations, to be written before anything is judged.
    ///
    /// # Errors
    /// When a component cannot be read or does not load: a host does not begin with less than it
    /// was told to.
    pub fn load(
        configs: &[PluginConfig],
        stored: &Stored,
        parts: RegistryParts,
    ) -> Result<(Self, Vec<Write>), RegistryError> {
        let mut entries = BTreeMap::new();
        let mut writes = Vec::new();
        for config in configs {
            let entry = first_load(config, stored.plugins.get(&config.name), &parts)?;
            writes.push(Write::Plugin(config.name.clone(), entry.active().stored()));
            entries.insert(config.name.clone(), entry);
        }
        Ok((Self { parts, keeping: tokio::sync::Mutex::new(()), entries }, writes))
    }

    /// Hands a round to the plugin of its scale set. Never blocks for longer than a full channel
    /// to the loop takes, and only when the plugin is overloaded.
    pub fn submit(&self, round: Round) {
        let name = self.parts.by_scale_set.get(&round.observation.instance.scale_set);
        let Some(entry) = name.and_then(|name| self.entries.get(name)) else { return };
        if let Err(round) = entry.worker.submit(round) {
            let decided = entry.worker.overloaded(&round);
            let control = self.parts.control.clone();
            tokio::spawn(async move { control.send(ControlEvent::Decided(decided)).await });
        }
    }

    /// All plugins as the API shows them.
    #[must_use]
    pub fn list(&self) -> wire::Plugins {
        wire::Plugins { plugins: self.entries.iter().map(|(name, entry)| entry.wire(name)).collect() }
    }

    /// Replaces the component of a plugin by uploaded bytes, and keeps them for a restart.
    ///
    /// # Errors
    /// When there is no such plugin, the bytes do not load or fit, or nothing can be recorded. The
    /// active component then stays.
    pub async fn swap(&self, name: &PluginName, bytes: Vec<u8>) -> Result<wire::Plugin, CommandError> {
        let entry = self.entries.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().map(PluginName::as_str).collect();
            let message = format!("there is no plugin `{name}`; the configuration has: {}", known.join(", "));
            CommandError::new(CommandErrorKind::NotFound, message)
        })?;
        self.replace(name, entry, Candidate { bytes, source: "upload".to_owned() }).await?;
        Ok(entry.wire(name))
    }

    /// Removes uploads that no plugin uses any more; best effort.
    fn prune(&self) {
        let used: Vec<PathBuf> = self
            .entries
            .values()
            .map(|entry| kept_path(&self.parts.data_dir, entry.active().digest))
            .collect();
        let Ok(files) = std::fs::read_dir(self.parts.data_dir.join("components")) else { return };
        for path in files.flatten().map(|file| file.path()).filter(|path| !used.contains(path)) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!("`{}` stays: {error}", path.display());
            }
        }
    }

    /// Loads, records, takes over. Whatever fails is shown in the list too.
    async fn replace(
        &self,
        name: &PluginName,
        entry: &Entry,
        candidate: Candidate,
    ) -> Result<(), CommandError> {
        let _one_at_a_time = entry.swapping.lock().await;
        let before = entry.active();
        if inspect::digest(&candidate.bytes) == before.digest {
            entry.change(|active| active.last_error = None);
            return Ok(());
        }
        let source = candidate.source.clone();
        let result = self.try_replace(name, entry, candidate, &before).await;
        match &result {
            Ok(()) => {
                let now = entry.active();
                tracing::info!(plugin = %name, "{source}: generation {} ({}) is active", now.generation.0, now.digest.short());
            }
            Err(error) => {
                tracing::warn!(plugin = %name, "{error}");
                entry.change(|active| active.last_error = Some(error.message.clone()));
            }
        }
        result
    }

    async fn try_replace(
        &self,
        name: &PluginName,
        entry: &Entry,
        candidate: Candidate,
        before: &Active,
    ) -> Result<(), CommandError> {
        let Candidate { bytes, source } = candidate;
        let kept = format!("generation {} ({}) stays active", before.generation.0, before.digest.short());
        let refused = |what: String| {
            CommandError::new(CommandErrorKind::Refused, format!("plugin `{name}`: {source} {what}; {kept}"))
        };
        let (runtime, settings, limits, isolation) = (
            self.parts.runtime.clone(),
            entry.config.settings.clone(),
            entry.config.limits,
            entry.config.isolation,
        );
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = runtime.load(&bytes, &settings, limits, isolation);
            (bytes, loaded)
        });
        let (bytes, loaded) =
            loading.await.map_err(|error| refused(format!("could not be loaded: {error}")))?;
        let plugin = loaded.map_err(|error| refused(error.to_string()))?;
        let from_file = source != "upload";
        // From keeping the bytes to using them nobody else may tidy up.
        let _kept = self.keeping.lock().await;
        if !from_file {
            keep(&self.parts.data_dir, plugin.digest(), &bytes)
                .map_err(|error| refused(format!("cannot be kept in the data directory: {error}")))?;
        }
        let mut next = Active::new(&plugin, Generation(before.generation.0 + 1), source.clone(), bytes.len());
        next.loaded_at = self.parts.clock.now();
        next.configured =
            if from_file { configured(plugin.digest(), &entry.config.settings) } else { before.configured };
        let stored = next.stored();
        self.parts
            .control
            .ask(|reply| Command::RecordPlugin(name.clone(), stored, reply))
            .await
            .map_err(|error| CommandError::new(error.kind, format!("plugin `{name}`: {error}; {kept}")))?;
        if let Some(recorder) = &self.parts.recorder {
            recorder.keep(name, (plugin.digest(), &bytes), &entry.config.settings);
        }
        entry.worker.swap(plugin, next.generation);
        entry.change(|active| *active = next);
        self.prune();
        Ok(())
    }
}

impl Entry {
    fn active(&self) -> Active {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wire(&self, name: &PluginName) -> wire::Plugin {
        let Counts { evaluated, unchanged, failed } = self.worker.counts();
        wire::Plugin {
            counts: wire::PluginCounts { evaluated, unchanged, failed },
            ..self.active().wire(name)
        }
    }

    fn change(&self, change: impl FnOnce(&mut Active)) {
        change(&mut self.active.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Active {
    fn new(plugin: &LoadedPlugin, generation: Generation, source: String, size: usize) -> Self {
        Self {
            source,
            digest: plugin.digest(),
            generation,
            configured: plugin.digest(),
            world: plugin.world().map(str::to_owned),
            pure: plugin.is_pure(),
            size,
            loaded_at: Timestamp(0),
            last_error: None,
        }
    }

    fn stored(&self) -> StoredPlugin {
        StoredPlugin { generation: self.generation, digest: self.digest, configured: self.configured }
    }

    fn wire(&self, name: &PluginName) -> wire::Plugin {
        wire::Plugin {
            name: name.to_string(),
            source: self.source.clone(),
            digest: self.digest.to_string(),
            generation: self.generation.0,
            world: self.world.clone(),
            pure: self.pure,
            size: self.size,
            loaded_at: crate::control::rfc3339(self.loaded_at),
            last_error: self.last_error.clone(),
            counts: wire::PluginCounts::default(),
        }
    }
}

/// Checks that the component of a plugin loads, as a start of the host would, and throws it away.
///
/// # Errors
/// When it does not.
pub fn check(config: &PluginConfig, runtime: &Runtime) -> Result<(), RegistryError> {
    let candidate = read(config)?;
    load(config, &candidate, runtime).map(drop)
}

fn first_load(
    config: &PluginConfig,
    stored: Option<&StoredPlugin>,
    parts: &RegistryParts,
) -> Result<Entry, RegistryError> {
    let mut candidate = read(config)?;
    let configured = configured(inspect::digest(&candidate.bytes), &config.settings);
    let unchanged = stored.filter(|stored| stored.configured == configured);
    if let Some(stored) = unchanged
        && stored.digest != inspect::digest(&candidate.bytes)
    {
        match kept(&parts.data_dir, stored.digest) {
            Some(bytes) => candidate = Candidate { bytes, source: "upload".to_owned() },
            None => tracing::warn!(
                plugin = %config.name,
                "the uploaded component {} is missing from the data directory or damaged; using the configured one",
                stored.digest.short()
            ),
        }
    }
    let plugin = load(config, &candidate, &parts.runtime)?;
    let generation = match (stored, unchanged) {
        (_, Some(same)) if same.digest == plugin.digest() => same.generation,
        (Some(before), _) => Generation(before.generation.0 + 1),
        (None, _) => Generation(1),
    };
    let mut active = Active::new(&plugin, generation, candidate.source, candidate.bytes.len());
    active.configured = configured;
    active.loaded_at = parts.clock.now();
    let control = parts.control.clone();
    let on_decided = Box::new(move |decided| control.send_blocking(ControlEvent::Decided(decided)));
    let control = parts.control.clone();
    let on_trouble = Box::new(move |trouble| control.send_blocking(ControlEvent::PluginTrouble(trouble)));
    if let Some(recorder) = &parts.recorder {
        recorder.keep(&config.name, (plugin.digest(), &candidate.bytes), &config.settings);
    }
    let watchers = Watchers { on_decided, on_trouble, recorder: parts.recorder.clone() };
    let worker = PluginWorker::spawn_watched(config.name.clone(), plugin, generation, watchers, parts.clock)
        .map_err(|source| RegistryError::Worker { name: config.name.clone(), source })?;
    Ok(Entry {
        config: config.clone(),
        worker,
        active: Mutex::new(active),
        swapping: tokio::sync::Mutex::new(()),
    })
}

fn load(
    config: &PluginConfig,
    candidate: &Candidate,
    runtime: &Runtime,
) -> Result<LoadedPlugin, RegistryError> {
    runtime.load(&candidate.bytes, &config.settings, config.limits, config.isolation).map_err(|source| {
        RegistryError::Load {
            name: config.name.clone(),
            component: candidate.source.clone(),
            source: Box::new(source),
        }
    })
}

fn read(config: &PluginConfig) -> Result<Candidate, RegistryError> {
    match &config.component {
        ComponentSource::Builtin(name) => {
            Ok(Candidate { bytes: builtin::AZURE_HEALTH.to_vec(), source: format!("builtin:{name}") })
        }
        ComponentSource::File(path) => {
            let bytes = read_component(path).map_err(|source| RegistryError::Unreadable {
                name: config.name.clone(),
                path: path.clone(),
                source,
            })?;
            Ok(Candidate { bytes, source: path.display().to_string() })
        }
    }
}

/// Digest of what the configuration says: when it changes, the configuration wins over an upload.
fn configured(component: Digest, settings: &str) -> Digest {
    let mut hash = Sha256::new();
    hash.update(component.0);
    hash.update(settings.as_bytes());
    Digest(hash.finalize().into())
}

fn kept_path(data_dir: &Path, digest: Digest) -> PathBuf {
    data_dir.join("components").join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
}

/// Keeps uploaded bytes under their digest; written beside and renamed, so never half.
fn keep(data_dir: &Path, digest: Digest, bytes: &[u8]) -> std::io::Result<()> {
    let path = kept_path(data_dir, digest);
    std::fs::create_dir_all(data_dir.join("components"))?;
    let beside = path.with_extension("part");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(beside, path)
}

/// Reads kept bytes back; what no longer has its digest is not there.
fn kept(data_dir: &Path, digest: Digest) -> Option<Vec<u8>> {
    read_component(&kept_path(data_dir, digest)).ok().filter(|bytes| inspect::digest(bytes) == digest)
}
