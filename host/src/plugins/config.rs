//! One plugin as it is configured: what is wanted of it, where its component is, and how that is fetched.
//!
//! Reads and fetches nothing.

use std::path::PathBuf;

use super::fetch::FetchConfig;
use super::signature::SignatureRule;
use crate::net::reference::RemoteSource;
use phasegate_core::domain::PluginSpec;

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// What is wanted of it.
    pub spec: PluginSpec,
    /// Its code.
    pub component: ComponentSource,
    /// How it is fetched, when it is, and whatever else is swapped in by reference.
    pub fetch: FetchConfig,
    /// By whom it must be signed; none where anybody's will do.
    pub signature: Option<SignatureRule>,
    /// Whether it must carry cases.
    pub cases: Cases,
}

/// Whether a component must carry cases of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cases {
    /// Those that it carries must pass.
    Optional,
    /// It must carry some, and they must pass.
    Required,
}

/// Where a plugin's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// Part of the host; only `azure-health` exists.
    Builtin(String),
    /// A WebAssembly component.
    File(PathBuf),
    /// One that is fetched.
    Remote(RemoteSource),
}

impl std::fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Remote(source) => write!(f, "{source}"),
        }
    }
}

impl PluginConfig {
    /// How `source` is fetched for this plugin: with its credentials only where they are meant for.
    #[must_use]
    pub fn fetch_of(&self, source: &RemoteSource) -> FetchConfig {
        let knows = matches!(&self.component, ComponentSource::Remote(own) if own.is_same_server(source));
        let credentials = self.fetch.credentials.clone().filter(|_| knows);
        FetchConfig { credentials, ..self.fetch.clone() }
    }

    /// Whether what the configuration names may be other bytes tomorrow: a file, or a fetched component, that no
    /// digest pins.
    #[must_use]
    pub fn may_move(&self) -> bool {
        let is_fixed = match &self.component {
            ComponentSource::File(_) => false,
            ComponentSource::Remote(source) => source.is_fixed(),
            ComponentSource::Builtin(_) => true,
        };
        !is_fixed && self.spec.digest.is_none()
    }
}
