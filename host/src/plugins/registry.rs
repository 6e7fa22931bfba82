//! The plugins of a running host: loading them, handing rounds to them, replacing them.
//!
//! A new component goes through named stages (`stage`) beside the active one and off the reactor:
//! `prepare` has no effect, `take_over` records its generation and only then lets it decide, `tend`
//! looks after those that judge side by side (`beside`, `watched`, `shadow`, `compare`), `back` and
//! `circuit` go back to former ones (`history`). Whatever fails before leaves the active one in place.
//! No round is lost either way: rounds wait in the worker's queue and are judged by exactly one
//! generation.

mod back;
mod beside;
mod check;
mod choose;
mod circuit;
mod compare;
mod entry;
mod first;
mod history;
mod prepare;
mod reload;
mod shadow;
mod source;
mod take_over;
mod tend;
mod wanted;
mod watch;
mod watched;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::body::Bytes;

use crate::clock::Clock;
use crate::net::reference::RemoteSource;
use crate::plugins::config::PluginConfig;
use crate::recording::Recorder;
use crate::shell::{CommandError, CommandErrorKind, Door};
pub use check::{Checked, Network, check, is_fetched};
use entry::Entry;
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{InstanceId, PluginName, Round, ScaleSetName};
use phasegate_core::kernel::Event;
use phasegate_core::record::{Stored, Write};
use phasegate_wasm::{LoadPluginError, LoadTrace, Runtime, Stage, one_line};
use phasegate_wire as wire;
pub use reload::Reloaded;
use source::{Candidate, Origin};
use take_over::{Afterwards, Order, WhenBusy};

/// Longest name of an uploaded file that is shown.
const FILE_BYTES_MAX: usize = 256;

/// Why a plugin of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It did not come through a stage of its load.
    #[error("plugin `{name}`: component `{component}` cannot be used (stage {stage})")]
    Refused {
        /// The plugin.
        name: PluginName,
        /// Where it came from.
        component: String,
        /// The stage.
        stage: &'static str,
        /// Why; a fragment that follows the component.
        source: Why,
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

/// A reason, as the cause of an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Why(String);

impl RegistryError {
    /// Whether the component is fine and its settings are not.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        match self {
            Self::Load { source, .. } => matches!(**source, LoadPluginError::SettingsRefused(_)),
            Self::Refused { .. } | Self::Worker { .. } => false,
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
    pub control: Door,
    /// Keeps what plugins judge; none when nothing is recorded.
    pub recorder: Option<Recorder>,
    /// Time.
    pub clock: Clock,
    /// Is told of the stages of the first load, which a person may be waiting for.
    pub on_stage: Option<OnFirstStage>,
}

/// Is told of a plugin and the stage that it begins.
pub type OnFirstStage = Arc<dyn Fn(&PluginName, Stage) + Send + Sync>;

/// All plugins of a host.
pub struct PluginRegistry {
    parts: RegistryParts,
    /// Held while uploaded components are written, taken over or removed.
    keeping: tokio::sync::Mutex<()>,
    entries: BTreeMap<PluginName, Entry>,
}

/// A component that somebody wants to have swapped in.
#[derive(Debug, Clone)]
pub enum Offer {
    /// This one.
    Bytes {
        /// The component.
        bytes: Bytes,
        /// What whoever sent it calls it.
        file: Option<String>,
    },
    /// One that the host fetches, with the plugin's settings for that; with its credentials only from
    /// the server that they are meant for.
    Reference(RemoteSource),
}

/// How a component shall be swapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwapOptions {
    /// What it must pass; by default what the configuration says.
    pub strategy: Option<Strategy>,
    /// Whatever it shows, as long as it loads; nothing brings the former one back by itself.
    pub force: bool,
    /// Only show what it would change.
    pub dry_run: bool,
}

impl SwapOptions {
    /// What a component must pass where the configuration says `configured`. One that is to take over
    /// whatever it changes does not wait as a shadow.
    fn strategy(self, configured: Strategy) -> Strategy {
        match (self.strategy, self.force, configured) {
            (Some(strategy), _, _) => strategy,
            (None, true, Strategy::Shadow) => Strategy::Rehearse,
            (None, _, configured) => configured,
        }
    }
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
        let named = first::fetch_all(configs, &parts);
        for (config, named) in configs.iter().zip(named) {
            let entry = first::load(config, named, stored.plugins.get(&config.spec.name), &parts)?;
            let stored = entry.with(|state| state.stored());
            writes.push(Write::Plugin(config.spec.name.clone(), Box::new(stored)));
            entries.insert(config.spec.name.clone(), entry);
        }
        for ((set, instance), memory) in &stored.memories {
            if let Some(entry) = entries.get(&memory.plugin) {
                entry.worker.remember(set.clone(), instance.clone(), memory.bytes.clone());
            }
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
            tokio::spawn(async move { control.send(Event::Judged(vec![decided])).await });
        }
    }

    /// Takes note of an instance that is probed from now on: a gate waits for its decision.
    pub fn expect(&self, scale_set: &ScaleSetName, instance: &InstanceId) {
        let name = self.parts.by_scale_set.get(scale_set);
        if let Some(entry) = name.and_then(|name| self.entries.get(name)) {
            entry.tap.expect((scale_set.clone(), instance.clone()));
        }
    }

    /// Drops what is known of an instance that is gone.
    pub fn forget(&self, scale_set: &ScaleSetName, instance: &InstanceId) {
        let name = self.parts.by_scale_set.get(scale_set);
        let Some(entry) = name.and_then(|name| self.entries.get(name)) else { return };
        entry.worker.forget(scale_set.clone(), instance.clone());
        entry.forget(&(scale_set.clone(), instance.clone()));
    }

    /// All plugins as the API shows them.
    #[must_use]
    pub fn list(&self) -> wire::Plugins {
        wire::Plugins { plugins: self.entries.values().map(Entry::wire).collect() }
    }

    /// Brings a component in, as far as its strategy lets it, and keeps its bytes for a restart.
    ///
    /// # Errors
    /// When there is no such plugin, it is being loaded already, the component fails at a stage, or nothing
    /// can be recorded. The active component then stays.
    pub async fn swap(
        &self,
        name: &PluginName,
        offer: Offer,
        options: SwapOptions,
    ) -> Result<wire::PluginSwap, CommandError> {
        let entry = self.entry(name)?;
        let settings = entry.config().spec.settings;
        let (source, origin) = match offer {
            Offer::Bytes { bytes, file } => (uploaded(file.as_deref()), Origin::Upload(bytes)),
            Offer::Reference(source) => (source.to_string(), Origin::Named(source)),
        };
        let candidate = Candidate { origin, source, settings };
        let (afterwards, when_busy) = (Afterwards::Watch, WhenBusy::Refuse);
        let order = Order { options, why: "swap", afterwards, when_busy };
        let diff = self.replace(entry, candidate, order).await?;
        Ok(wire::PluginSwap { plugin: entry.wire(), diff: diff.map(|diff| diff.wire(name)) })
    }

    /// What a new component changes: the comparison that is under way, or the latest one.
    ///
    /// # Errors
    /// When there is no such plugin, or nothing was compared yet.
    pub fn diff(&self, name: &PluginName) -> Result<wire::PluginDiff, CommandError> {
        self.entry(name)?.diff().ok_or_else(|| {
            let message = format!(
                "nothing was compared with plugin `{name}` yet; try `phasegate plugin swap {name} FILE --dry-run`"
            );
            CommandError::new(CommandErrorKind::NotFound, message)
        })
    }

    fn entry(&self, name: &PluginName) -> Result<&Entry, CommandError> {
        self.entries.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().map(PluginName::as_str).collect();
            let message = format!("there is no plugin `{name}`; the configuration has: {}", known.join(", "));
            CommandError::new(CommandErrorKind::NotFound, message)
        })
    }
}

/// How an upload is called: `upload of db.wasm`, where its sender named it.
fn uploaded(file: Option<&str>) -> String {
    let file = file.map(|file| one_line(file.trim(), FILE_BYTES_MAX)).filter(|file| !file.is_empty());
    file.map_or_else(|| "upload".to_owned(), |file| format!("upload of {file}"))
}

/// What is said of a candidate that does not take over.
fn refused(entry: &Entry, trace: &LoadTrace, source: &str, why: &str) -> CommandError {
    let stage = trace.failed().map_or(String::new(), |stage| format!(", stage {}", stage.name()));
    let kept = format!("{} stays active", entry.active().shown());
    CommandError::new(
        CommandErrorKind::Refused,
        format!("plugin `{}`{stage}: {source} {why}; {kept}", entry.name),
    )
}
