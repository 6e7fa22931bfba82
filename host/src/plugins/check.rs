//! Checks the component of a plugin without a host: what `phasegate check` says of it.

use std::path::{Path, PathBuf};

use phasegate_core::domain::{Digest, PluginLimits, PluginName};
use phasegate_wasm::{
    CompiledPlugin, LoadPluginError, Runtime, builtin, cases, component_digest, read_component, trial,
};

use super::config::{ComponentSource, PluginConfig};
use super::hands::kept_path;
use super::{Fetch, FetchError};

/// Whether a check may make requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It fetches what a start would fetch.
    Allowed,
    /// What would have to be fetched is not checked.
    Forbidden,
}

/// What a check found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The component loads.
    Loads,
    /// It would have had to be fetched.
    NotFetched,
}

/// Why a plugin of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
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
}

/// A reason, as the cause of an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Why(String);

impl CheckError {
    /// Whether the component is fine and its settings are not.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        match self {
            Self::Load { source, .. } => matches!(**source, LoadPluginError::SettingsRefused(_)),
            Self::Refused { .. } => false,
        }
    }
}

/// Whether the component has to be fetched: it is on another machine, and not pinned and kept.
#[must_use]
pub fn is_fetched(config: &PluginConfig, data_dir: &Path) -> bool {
    let is_here = |digest| kept(data_dir, digest).is_some();
    matches!(config.component, ComponentSource::Remote(_)) && !config.spec.digest.is_some_and(is_here)
}

/// Checks that the component of a plugin loads, as a start of the host would, and throws it away. Writes
/// nothing into the data directory; reads from it what is pinned and kept there.
///
/// # Errors
/// When it does not.
pub fn check(
    config: &PluginConfig,
    runtime: &Runtime,
    data_dir: &Path,
    network: Network,
) -> Result<Checked, CheckError> {
    if network == Network::Forbidden && is_fetched(config, data_dir) {
        return Ok(Checked::NotFetched);
    }
    let component = || config.component.to_string();
    let refused = |stage, why| CheckError::Refused {
        name: config.spec.name.clone(),
        component: component(),
        stage,
        source: Why(why),
    };
    let bytes = read(config, data_dir).map_err(|error| match &error {
        FetchError::Digest(_) => refused("digest", error.to_string()),
        FetchError::Transfer(_) | FetchError::Unreadable(_) => refused("fetch", error.to_string()),
    })?;
    let digest = component_digest(&bytes);
    if let Some(wanted) = config.spec.digest.filter(|wanted| *wanted != digest) {
        let why = format!("has the digest {digest}, and the configuration asks for {wanted}");
        return Err(refused("digest", why));
    }
    let load = |source| CheckError::Load {
        name: config.spec.name.clone(),
        component: component(),
        source: Box::new(source),
    };
    let compiled = runtime.compile(&bytes).map_err(load)?;
    compiled.configure(&config.spec.settings, config.spec.limits, config.spec.isolation).map_err(load)?;
    if let Some(folder) = cases_beside(&config.component) {
        self_test(&compiled, &folder, config.spec.limits).map_err(|why| refused("self-test", why))?;
    }
    Ok(Checked::Loads)
}

fn read(config: &PluginConfig, data_dir: &Path) -> Result<Vec<u8>, FetchError> {
    let source = match &config.component {
        ComponentSource::Builtin(_) => return Ok(builtin::AZURE_HEALTH.to_vec()),
        ComponentSource::File(path) => {
            let read = read_component(path);
            return read.map_err(|error| FetchError::Unreadable(format!("cannot be read: {error}")));
        }
        ComponentSource::Remote(source) => source,
    };
    if let Some(bytes) = config.spec.digest.and_then(|wanted| kept(data_dir, wanted)) {
        return Ok(bytes);
    }
    let fetch = Fetch {
        source,
        settings: &config.fetch_of(source),
        wanted: config.spec.digest,
        kept: &|digest| kept(data_dir, digest),
        on_bytes: &|_| (),
    };
    fetch.run().map(|fetched| fetched.bytes)
}

/// Reads kept bytes back; what no longer has its digest is not there.
fn kept(data_dir: &Path, digest: Digest) -> Option<Vec<u8>> {
    read_component(&kept_path(data_dir, digest)).ok().filter(|bytes| component_digest(bytes) == digest)
}

/// Folder of the cases beside a file.
pub(super) fn cases_beside(component: &ComponentSource) -> Option<PathBuf> {
    let ComponentSource::File(path) = component else { return None };
    let folder = path.parent()?.join("cases");
    folder.is_dir().then_some(folder)
}

/// Runs the cases of a folder; gives how many they are.
///
/// # Errors
/// When one of them fails, or they cannot be run; a fragment that follows the component.
pub(super) fn self_test(
    compiled: &CompiledPlugin,
    folder: &Path,
    limits: PluginLimits,
) -> Result<usize, String> {
    let cases = match cases::read(folder) {
        Ok(cases) => cases,
        Err(cases::CasesError::None(_)) => return Ok(0),
        Err(error) => return Err(format!("has cases that cannot be run: {error}")),
    };
    let trial =
        trial::run(compiled, &cases, limits).map_err(|error| format!("cannot run its cases: it {error}"))?;
    let mut failed = trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty());
    let count = failed.clone().count();
    let Some(first) = failed.next() else { return Ok(cases.len()) };
    Err(format!(
        "fails {count} of its {} cases, the first being {:?} in {}: it answered {}",
        cases.len(),
        first.name,
        first.file,
        first.got
    ))
}
