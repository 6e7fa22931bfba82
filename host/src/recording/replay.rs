//! Judges records again.
//!
//! Each alone, on a new instance, with the memory and the time of the record. A pure plugin then says
//! the same again, to the byte; of others nothing is promised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::blobs::{self, Kind};
use super::{Record, RecordedOutcome};
use phasegate_core::domain::{CompileLimits, Cost, Digest, PluginFailure};
use phasegate_wasm::{
    CompiledPlugin, Isolation, Limits, LoadPluginError, LoadedPlugin, Runtime, settings_digest,
};

/// Time for one record: a busy machine shall not look like another decision.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a record cannot be judged again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The component or its settings are not there any more.
    #[error("`{}` is not there any more, or is not what it was", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The component does not load.
    #[error("the component {0}")]
    Load(Box<LoadPluginError>),
}

/// What came out this time.
#[derive(Debug, Clone)]
pub struct Again {
    /// The outcome.
    pub outcome: RecordedOutcome,
    /// What it took.
    pub cost: Cost,
    /// Whether the plugin promises the same answer to the same question.
    pub pure: bool,
}

/// Loads plugins once and judges records with them.
pub struct Replay {
    runtime: Runtime,
    compiled: BTreeMap<Digest, CompiledPlugin>,
    loaded: BTreeMap<(Digest, String, u32, u64), LoadedPlugin>,
}

/// Where the components of a recording are.
#[must_use]
pub fn blob_dir(recording: &Path) -> PathBuf {
    if recording.is_dir() {
        recording.to_owned()
    } else {
        recording.parent().map(Path::to_owned).unwrap_or_default()
    }
}

impl Replay {
    /// Nothing loaded yet.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime, compiled: BTreeMap::new(), loaded: BTreeMap::new() }
    }

    /// Judges a record with the component and the settings of that time.
    ///
    /// # Errors
    /// When they are not kept any more.
    pub fn as_recorded(&mut self, record: &Record, folder: &Path) -> Result<Again, ReplayError> {
        let settings = settings(record, folder)?;
        if !self.compiled.contains_key(&record.digest) {
            let path = blobs::path(folder, record.digest, Kind::Component);
            let bytes = std::fs::read(&path).map_err(|_| ReplayError::Missing { path: path.clone() })?;
            let compiled = self.compile(&bytes)?;
            if compiled != record.digest {
                return Err(ReplayError::Missing { path });
            }
        }
        self.judge(record, record.digest, &settings)
    }

    /// Judges a record with some component.
    ///
    /// # Errors
    /// When the component does not take the settings, or these are not kept any more.
    pub fn with(
        &mut self,
        record: &Record,
        component: Digest,
        settings: Option<&str>,
        folder: &Path,
    ) -> Result<Again, ReplayError> {
        let settings = settings.map_or_else(|| self::settings(record, folder), |text| Ok(text.to_owned()))?;
        self.judge(record, component, &settings)
    }

    /// Compiles a component, to be used by its digest.
    ///
    /// # Errors
    /// When it is none.
    pub fn compile(&mut self, bytes: &[u8]) -> Result<Digest, ReplayError> {
        let compiled = self.runtime.compile(bytes).map_err(|error| ReplayError::Load(Box::new(error)))?;
        let digest = compiled.digest();
        self.compiled.insert(digest, compiled);
        Ok(digest)
    }

    fn judge(&mut self, record: &Record, digest: Digest, settings: &str) -> Result<Again, ReplayError> {
        let Some(compiled) = self.compiled.get(&digest) else {
            return Err(ReplayError::Missing { path: PathBuf::from(digest.to_string()) });
        };
        let key = (digest, settings.to_owned(), record.memory_mib, record.fuel_max);
        if !self.loaded.contains_key(&key) {
            let limits = Limits {
                memory_mib: record.memory_mib,
                fuel: record.fuel_max,
                timeout: TIMEOUT,
                log_lines_per_minute: 0,
                compile: CompileLimits::DEFAULT,
            };
            let plugin = compiled
                .configure(settings, limits, Isolation::PerBatch)
                .map_err(|error| ReplayError::Load(Box::new(error)))?;
            self.loaded.insert(key.clone(), plugin);
        }
        let Some(plugin) = self.loaded.get_mut(&key) else {
            return Err(ReplayError::Missing { path: PathBuf::from(digest.to_string()) });
        };
        let now_ms = u64::try_from(record.at.0).unwrap_or(0);
        let mut judged = plugin.judge(std::slice::from_ref(&record.observation()), now_ms);
        let result = judged.results.pop().unwrap_or(Err(PluginFailure::Overloaded));
        let cost = judged.costs.pop().unwrap_or_default();
        Ok(Again { outcome: RecordedOutcome::of(&result), cost, pure: plugin.was_pure() })
    }
}

/// The settings of that time.
fn settings(record: &Record, folder: &Path) -> Result<String, ReplayError> {
    let path = blobs::path(folder, record.settings, Kind::Settings);
    let text = std::fs::read_to_string(&path).ok();
    text.filter(|text| settings_digest(text) == record.settings).ok_or(ReplayError::Missing { path })
}
