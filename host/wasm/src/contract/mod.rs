//! The contract between host and plugin: its text, its worlds, and the adapter of each version.
//!
//! A second version is one file beside `v1` that implements [`Contract`], and a line in [`of`].

mod v1;

use wasmtime::component::Component;
use wasmtime::{Engine, Store};

use crate::capability::HostState;
use phasegate_core::domain::{Observation, Verdict};

/// One version of the contract: generated types to domain types and back.
pub(crate) trait Contract: Send + Sync {
    /// Links the host's interfaces to a component.
    ///
    /// # Errors
    /// When imports or exports have other types than the contract.
    fn link(&self, engine: &Engine, component: &Component) -> wasmtime::Result<Box<dyn Linked>>;
}

/// A component whose imports are linked and whose exports are found.
pub(crate) trait Linked: Send + Sync {
    /// Makes an instance.
    ///
    /// # Errors
    /// When it does not come up.
    fn start(&self, store: &mut Store<HostState>) -> Result<Box<dyn Guest>, StartError>;
}

/// One live instance.
pub(crate) trait Guest: Send + Sync {
    /// Hands over the settings; the inner error is the guest's refusal.
    ///
    /// # Errors
    /// When the call traps or breaks a limit.
    fn configure(
        &self,
        store: &mut Store<HostState>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), SettingsRefused>>;

    /// Judges a batch; the number of results is not checked yet.
    ///
    /// # Errors
    /// When the call traps or breaks a limit.
    fn evaluate(&self, store: &mut Store<HostState>, batch: &[Observation])
    -> wasmtime::Result<Vec<Verdict>>;
}

/// What a guest says that refuses its settings, in its own words and at any length.
pub(crate) struct SettingsRefused(pub(crate) String);

/// Why there is no instance.
pub(crate) enum StartError {
    /// The exports have other types than the contract.
    Types(wasmtime::Error),
    /// It trapped or broke a limit.
    Failed(wasmtime::Error),
}

/// The contract of a component with these exports, which `world` has checked. There is one version so far.
pub(crate) fn of(_exports: &[String]) -> &'static dyn Contract {
    &v1::V1
}

/// `wit/v1/policy.wit` of this host.
pub const CONTRACT: &str = include_str!("../../../../wit/v1/policy.wit");

/// Which world of the contract a component implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// The pure one.
    Policy,
    /// With the clock.
    TimedPolicy,
}

impl World {
    /// As the contract names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::TimedPolicy => "timed-policy",
        }
    }

    /// The world of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Policy, Self::TimedPolicy].into_iter().find(|world| world.name() == name)
    }
}
