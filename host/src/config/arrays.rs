//! The three arrays of tables that hold instances: `[[scaleSets]]`, `[[availabilitySets]]` and `[[virtualMachines]]`.
//!
//! All of them become scale sets of the core, with one section of keys; what differs is their kind, and of what a batch
//! is a share. Knows nothing of what is in a set: that is `scale_sets`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::instances::{self, Alone, SeenAddresses};
use super::ports::{self, SetPorts};
use super::scale_sets::{SET, Set};
use crate::discovery::DiscoveryConfig;
use crate::drivers::DriverConfig;
use crate::keys::{Form, Given, Is, Key, Source, Spot, Value};
use phasegate_core::domain::{BatchOf, InstanceId, ScaleSet, ScaleSetName, SetKind};

/// Which array a set stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Array {
    /// `[[scaleSets]]`.
    ScaleSets,
    /// `[[availabilitySets]]`.
    AvailabilitySets,
    /// `[[virtualMachines]]`.
    VirtualMachines,
}

impl Array {
    /// Its key in the file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::ScaleSets => "scaleSets",
            Self::AvailabilitySets => "availabilitySets",
            Self::VirtualMachines => "virtualMachines",
        }
    }

    /// The kind of its sets, where they do not say it themselves.
    pub(super) fn kind(self) -> Option<SetKind> {
        match self {
            Self::ScaleSets => None,
            Self::AvailabilitySets => Some(SetKind::AvailabilitySet),
            Self::VirtualMachines => Some(SetKind::VirtualMachines),
        }
    }

    /// Of what a batch of its sets is a share.
    pub(super) fn batch_of(self) -> BatchOf {
        match self {
            Self::AvailabilitySets => BatchOf::UpdateDomain,
            Self::ScaleSets | Self::VirtualMachines => BatchOf::Set,
        }
    }
}

/// The sets of a file.
#[derive(Default)]
pub(super) struct ScaleSets {
    /// In the order of the file, array by array.
    pub(super) sets: Vec<ScaleSet<DriverConfig>>,
    /// Where each of them stands, such as `scaleSets[0]`.
    pub(super) places: Vec<String>,
    /// How instances are found, where they are.
    pub(super) discoveries: BTreeMap<ScaleSetName, DiscoveryConfig>,
    names: BTreeMap<String, Spot>,
    addresses: SeenAddresses,
    ports: Vec<SetPorts>,
}

/// An array as a key of the whole file.
pub(super) fn form() -> Form {
    Form::Tables(SET.shape())
}

impl ScaleSets {
    /// Reads one array; nothing when one of its sets has a problem.
    pub(super) fn read(&mut self, array: Array, value: &Value<'_>, plugins: &BTreeSet<String>) -> Option<()> {
        let values = value.array("an array of tables, each with a name")?;
        if values.is_empty() {
            value.problem("is empty", "at least one, or leave the key out".to_owned());
            return None;
        }
        let plugins = Rc::new(plugins.clone());
        let mut is_sound = true;
        for (index, value) in values.iter().enumerate() {
            let Some(table) = value.table() else {
                is_sound = false;
                continue;
            };
            let mut set = Set::blank(array, &plugins, std::mem::take(&mut self.addresses));
            let given = SET.read(table, &mut set);
            let is_new = set.name.as_ref().zip(given.at("name")).is_none_or(|(name, spot)| {
                value.source().unique(spot, name.as_str(), name.to_string(), &mut self.names)
            });
            self.addresses = std::mem::take(&mut set.addresses);
            let place = format!("{}[{index}]", array.key());
            let hosts = set.instances.valid.values().map(|instance| &instance.address);
            let ports = set.driver.ports();
            self.ports.extend(ports.map(|(spot, range)| SetPorts::new(&place, spot, range, hosts)));
            let finished = if is_new && given.is_sound() { set.finish() } else { None };
            let Some((set, discovery)) = finished else {
                is_sound = false;
                continue;
            };
            self.discoveries.extend(discovery.map(|discovery| (set.name.clone(), discovery)));
            self.sets.push(set);
            self.places.push(place);
        }
        is_sound.then_some(())
    }

    /// Compares what stands in different sets.
    pub(super) fn check(&self, source: &Source<'_>) {
        ports::check(source, &self.ports, &self.addresses);
    }
}

pub(super) const ADDRESS: Key<Set> = Key::<Set>::optional(
    "address",
    "\"10.0.0.7:9100\"",
    Is::Own(
        || Form::Text,
        |set, value| {
            set.alone.address = Some(instances::address(value)?);
            Some(())
        },
    ),
)
.without("`instances` or `discovery`")
.bounds("only in `[[virtualMachines]]`")
.doc("`host:port` of a machine that stands alone: its id is its name");

pub(super) const ZONE: Key<Set> = Key::<Set>::optional(
    "zone",
    "\"1\"",
    Is::Own(
        || Form::Loose,
        |set, value| {
            set.alone.zone = Some(instances::filled_text(value)?);
            Some(())
        },
    ),
)
.bounds("only together with `address`")
.doc("its zone");

/// The one machine of a table in `[[virtualMachines]]` that names an address.
pub(super) fn alone(set: &mut Set, given: &mut Given<'_>) {
    if let Some(kind) = set.array.kind() {
        if given.has("kind") {
            let message = format!("is set in [[{}]], which says it", set.array.key());
            given.conflict("kind", message, "leave kind out");
        }
        set.estate.kind = kind;
    }
    let Alone { address, zone } = std::mem::take(&mut set.alone);
    if set.array != Array::VirtualMachines {
        for key in ["address", "zone"] {
            if given.has(key) {
                let message = format!(
                    "is a key of [[virtualMachines]] alone, and this is one of [[{}]]",
                    set.array.key()
                );
                given.conflict(key, message, "give it to one of the instances");
            }
        }
        return;
    }
    match address {
        Some(_) if given.has("instances") || given.has("discovery") => {
            let message = "is set beside instances or discovery: a machine that stands alone is the only one of its table";
            given.conflict("address", message, "leave the one or the other out");
        }
        Some(address) => {
            let Some(name) = &set.name else { return };
            let Ok(id) = InstanceId::parse(name.as_str()) else { return };
            let at = set.at();
            let Some(spot) = given.at("address").cloned() else { return };
            let is_new = instances::is_new(
                given.source(),
                (&spot, &address),
                at,
                &mut BTreeMap::new(),
                &mut set.addresses,
            );
            if is_new {
                set.instances.valid.insert(id.clone(), instances::machine(id, address, zone));
                set.instances.complete = true;
            } else {
                given.spoil();
            }
        }
        None if given.has("zone") => {
            given.conflict("zone", "is set without address", "give it to one of the instances");
        }
        None => {}
    }
}
