//! What tests of this room begin with.

use std::sync::Arc;
use std::time::Duration;

use super::entries::{self, Instances};
use super::targets::Group;
use super::{DiscoveryConfig, LabelNames, Sharing, Source};
use phasegate_core::domain::Percent;

/// A file that nobody reads, with names for every label.
pub(super) fn config() -> DiscoveryConfig {
    let name = |text: &str| Some(text.to_owned());
    DiscoveryConfig {
        source: Source::File("targets.json".into()),
        labels: LabelNames {
            id: name("id"),
            region: name("region"),
            zone: name("az"),
            update_domain: name("ud"),
            fault_domain: name("fd"),
            protect: name("hold"),
        },
        refresh: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        max_removed: Percent::clamped(20),
        sharing: Sharing::Refused,
        needed: Vec::new(),
    }
}

/// Instances at these addresses.
pub(super) fn some(targets: &[&str]) -> Instances {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let groups = vec![Group { targets, ..Group::default() }];
    let none = Instances::new();
    entries::instances(groups, &config(), (&none, &none)).unwrap().instances
}

/// So many.
pub(super) fn so_many(count: u16) -> Instances {
    let ids: Vec<String> = (1..=count).map(|port| format!("h:{port}")).collect();
    some(&ids.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The one of an id.
pub(super) fn one(instances: &Instances, id: &str) -> Arc<phasegate_core::domain::Instance> {
    Arc::clone(instances.values().find(|instance| instance.id.as_str() == id).unwrap())
}
