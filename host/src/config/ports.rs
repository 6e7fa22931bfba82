//! Ports that new instances of one scale set may get, and those of the others.

use super::instances::SeenAddresses;
use crate::drivers::kind::PortRange;
use crate::keys::{Source, Spot};
use phasegate_core::domain::Address;

/// The ports of one set with their place in the file.
pub(super) struct SetPorts {
    /// Path of the set, for example `scaleSets[0].`.
    set: String,
    spot: Spot,
    range: PortRange,
    /// Where instances of the set are; new ones are where the ones are that they replace.
    hosts: Vec<String>,
}

impl SetPorts {
    pub(super) fn new<'i>(
        place: &str,
        spot: &Spot,
        range: PortRange,
        addresses: impl Iterator<Item = &'i Address>,
    ) -> Self {
        let mut hosts: Vec<String> = addresses.map(|address| address.host.to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        Self { set: format!("{place}."), spot: spot.clone(), range, hosts }
    }
}

/// Reports ports that instances of other sets have, or may get.
pub(super) fn check(source: &Source<'_>, all: &[SetPorts], addresses: &SeenAddresses) {
    for (position, ports) in all.iter().enumerate() {
        let SetPorts { set, spot, range, hosts } = ports;
        let taken = addresses.all.iter().find(|((host, port), used)| {
            (range.first..=range.last).contains(port) && hosts.contains(host) && !used.key.starts_with(set)
        });
        if let Some(((_, port), used)) = taken {
            let line = source.line(used);
            let message = format!("holds port {port}, which is that of {} in line {line}", used.key);
            source.conflict(spot, message, "leave the ports of other scale sets out");
            continue;
        }
        let earlier = all.iter().take(position).find(|other| {
            let apart = other.range.last < range.first || range.last < other.range.first;
            !apart && other.hosts.iter().any(|host| hosts.contains(host))
        });
        if let Some(other) = earlier {
            let line = source.line(&other.spot);
            let message = format!("has ports in common with {} in line {line}", other.spot.key);
            source.conflict(spot, message, "give each scale set ports of its own");
        }
    }
}
