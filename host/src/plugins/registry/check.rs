//! Checks the component of a plugin without a host: what `phasegate check` says of it.

use std::path::Path;

use super::prepare::{pinned, self_test};
use super::source::{Candidate, Reading, kept};
use super::{RegistryError, Why};
use crate::plugins::FetchError;
use crate::plugins::config::{ComponentSource, PluginConfig};
use phasegate_wasm::{Runtime, component_digest};

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

/// Whether the component has to be fetched: it is on another machine, and not pinned and kept.
#[must_use]
pub fn is_fetched(config: &PluginConfig, data_dir: &Path) -> bool {
    let is_here = |digest| kept(data_dir, digest).is_some();
    matches!(config.component, ComponentSource::Remote(_)) && !config.spec.digest.is_some_and(is_here)
}

/// Checks that the component of a plugin loads, as a start of the host would, and throws it away.
/// Writes nothing into the data directory; reads from it what is pinned and kept there.
///
/// # Errors
/// When it does not.
pub fn check(
    config: &PluginConfig,
    runtime: &Runtime,
    data_dir: &Path,
    network: Network,
) -> Result<Checked, RegistryError> {
    let candidate = Candidate::configured(config);
    let refused = |stage, why| RegistryError::Refused {
        name: config.spec.name.clone(),
        component: candidate.source.clone(),
        stage,
        source: Why(why),
    };
    if network == Network::Forbidden && is_fetched(config, data_dir) {
        return Ok(Checked::NotFetched);
    }
    let read = candidate.read(&Reading { data_dir, config, on_bytes: &|_| () });
    let bytes = read.map_err(|error| match &error {
        FetchError::Digest(_) => refused("digest", error.to_string()),
        FetchError::Transfer(_) | FetchError::Unreadable(_) => refused("fetch", error.to_string()),
    })?;
    let bytes = bytes.bytes;
    pinned(component_digest(&bytes), config.spec.digest).map_err(|why| refused("digest", why))?;
    let load = |source| RegistryError::Load {
        name: config.spec.name.clone(),
        component: candidate.source.clone(),
        source: Box::new(source),
    };
    let compiled = runtime.compile(&bytes).map_err(load)?;
    compiled.configure(&config.spec.settings, config.spec.limits, config.spec.isolation).map_err(load)?;
    if let Some(folder) = candidate.cases() {
        self_test(&compiled, &folder, config.spec.limits).map_err(|why| refused("self-test", why))?;
    }
    Ok(Checked::Loads)
}
