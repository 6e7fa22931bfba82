//! Scale sets and their instances, as the validated configuration describes them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{Change, Component, Goal};
use super::estate::Estate;
use super::health::HealthSettings;
use super::ids::{ExtensionName, PluginName, ScaleSetName, Version};
use super::instance_id::InstanceId;
use super::provision::Provisioning;
use super::rules::{RetryRule, UpgradeMode};
use super::upgrade_policy::UpgradePolicy;
use super::window::FreezeWindows;

/// Where an instance listens: a host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Host name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl Address {
    /// Host part as a URL or `Host` header writes it: IPv6 in brackets.
    #[must_use]
    pub fn url_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.url_host(), self.port)
    }
}

/// Azure's protection policy of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Protection {
    /// Never touched by a rolling upgrade.
    pub from_scale_set_actions: bool,
    /// Never removed when the set shrinks; no effect on upgrades.
    pub from_scale_in: bool,
}

/// One member of a scale set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique within the set.
    pub id: InstanceId,
    /// Where it listens.
    pub address: Address,
    /// Region, free text.
    pub region: Option<String>,
    /// Availability zone, free text; ordered as people count.
    pub zone: Option<String>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Fault domain.
    pub fault_domain: Option<u32>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// What upgrades may do to it.
    pub protection: Protection,
}

/// What a scale set should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Version of the application.
    pub version: Version,
    /// Versions of its extensions, in the order in which an instance gets them.
    pub extensions: Vec<(ExtensionName, Version)>,
}

impl Model {
    /// All of it.
    #[must_use]
    pub fn goal(&self) -> Goal {
        let application = Change { component: Component::Application, to: self.version.clone() };
        let extension = |(name, to): &(ExtensionName, Version)| Change {
            component: Component::Extension(name.clone()),
            to: to.clone(),
        };
        Goal::new(std::iter::once(application).chain(self.extensions.iter().map(extension)))
    }
}

/// A named set of instances that share a model, a probe and a rolling-upgrade policy.
///
/// `D` is the driver's own settings, which the core never looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleSet<D = ()> {
    /// Unique among the scale sets.
    pub name: ScaleSetName,
    /// Which plugin decides.
    pub plugin: PluginName,
    /// How instances are probed.
    pub health: HealthSettings,
    /// What an upgrade that starts now goes by.
    pub policy: UpgradePolicy,
    /// What begins an upgrade when the model changes.
    pub mode: UpgradeMode,
    /// Whether an upgrade that failed is tried again by itself; none: never.
    pub retry: Option<RetryRule>,
    /// When nothing may begin.
    pub freeze: FreezeWindows,
    /// Wanted version.
    pub model: Model,
    /// How a new instance gets the extensions of the model.
    pub provisioning: Provisioning,
    /// Where it stands in the estate, and what of it is released by itself.
    pub estate: Estate,
    /// Members by id.
    pub instances: BTreeMap<InstanceId, Arc<Instance>>,
    /// How long what is recorded of an instance is kept after it was removed.
    pub forget_after: Duration,
    /// How one instance is made to run one version.
    pub driver: D,
}

impl<D> ScaleSet<D> {
    /// The scale set as the core sees it, and the driver's own settings.
    #[must_use]
    pub fn split(self) -> (ScaleSet, D) {
        let Self {
            name,
            plugin,
            health,
            policy,
            mode,
            retry,
            freeze,
            model,
            provisioning,
            estate,
            instances,
            forget_after,
            driver,
        } = self;
        let driverless = ();
        let set = ScaleSet {
            name,
            plugin,
            health,
            policy,
            mode,
            retry,
            freeze,
            model,
            provisioning,
            estate,
            instances,
            forget_after,
            driver: driverless,
        };
        (set, driver)
    }
}
