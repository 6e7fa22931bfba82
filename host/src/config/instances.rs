//! Declares `[[scaleSets.instances]]`.

use std::collections::BTreeMap;

use crate::keys::{Form, Given, Is, Key, Section, Source, Spot, Value};
use crate::net::address::parse_address;
use phasegate_core::domain::{Address, Instance, InstanceId, Protection};

/// Most instances of one scale set; the planner's tables are sized for it.
const INSTANCES_MAX: usize = 100_000;

/// Largest number of an update or fault domain.
const DOMAIN_MAX: u32 = 1_000_000;

/// A host in lower case, and a port.
pub(super) type Place = (String, u16);

/// Where each address was first used.
#[derive(Default)]
pub(super) struct SeenAddresses {
    /// By anybody.
    pub(super) all: BTreeMap<Place, Spot>,
    /// By a set whose processes the host starts: there no other one can.
    started: BTreeMap<Place, Spot>,
}

/// What may be at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// One process, which the host starts.
    OneProcess,
    /// One instance of a set.
    One,
    /// Several: what is asked there names the instance.
    Several,
}

/// The instances of one scale set that have no problem.
#[derive(Default)]
pub(super) struct Instances {
    pub(super) valid: BTreeMap<InstanceId, Instance>,
    /// Whether these are all that the file has.
    pub(super) complete: bool,
}

/// A machine that stands alone, as it is written.
#[derive(Default)]
pub(super) struct Alone {
    pub(super) address: Option<Address>,
    pub(super) zone: Option<String>,
}

/// The keys of one instance as they are written.
#[derive(Default)]
struct Keys {
    id: Option<InstanceId>,
    address: Option<Address>,
    region: Option<String>,
    zone: Option<String>,
    update_domain: Option<u32>,
    fault_domain: Option<u32>,
    labels: BTreeMap<String, String>,
    from_scale_in: Option<bool>,
    from_actions: bool,
}

const INSTANCE: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::required(
            "id",
            "\"0\"",
            Is::Own(
                || Form::Text,
                |instance, value| {
                    instance.id = Some(value.id(InstanceId::parse)?);
                    Some(())
                },
            ),
        )
        .doc("unique in the set; ordered as people count"),
        Key::<Keys>::required(
            "address",
            "\"127.0.0.1:9100\"",
            Is::Own(
                || Form::Text,
                |instance, value| {
                    instance.address = Some(address(value)?);
                    Some(())
                },
            ),
        )
        .doc("`host:port`"),
        Key::<Keys>::optional(
            "region",
            "\"eu-1\"",
            Is::Own(
                || Form::Loose,
                |instance, value| {
                    instance.region = Some(filled_text(value)?);
                    Some(())
                },
            ),
        )
        .bounds("text")
        .doc("the plugin gets to see it"),
        Key::<Keys>::optional(
            "zone",
            "\"1\"",
            Is::Own(
                || Form::Loose,
                |instance, value| {
                    instance.zone = Some(filled_text(value)?);
                    Some(())
                },
            ),
        )
        .bounds("text")
        .doc("batches never cross zones, unless `enableCrossZoneUpgrade` says so"),
        Key::<Keys>::optional(
            "updateDomain",
            "0",
            Is::Whole(0, DOMAIN_MAX, |instance, domain| instance.update_domain = Some(domain)),
        )
        .doc("batches never cross update domains"),
        Key::<Keys>::optional(
            "faultDomain",
            "0",
            Is::Whole(0, DOMAIN_MAX, |instance, domain| instance.fault_domain = Some(domain)),
        )
        .doc("only orders"),
        Key::<Keys>::optional(
            "labels",
            "{ role = \"replica\" }",
            Is::Own(|| Form::Named(Box::new(Form::Loose)), labels),
        )
        .doc("table of texts"),
        Key::<Keys>::table(
            "protectionPolicy",
            "{ protectFromScaleSetActions = true }",
            Is::Table(|| PROTECTION.shape(), |instance, table| PROTECTION.read(table, instance)),
        )
        .doc("Azure's protection policy"),
    ],
    check: crate::keys::no_check,
};

const PROTECTION: Section<Keys> = Section {
    keys: &[
        Key::<Keys>::preset(
            "protectFromScaleSetActions",
            "false",
            Is::Flag(|instance, yes| instance.from_actions = yes),
        )
        .example("true")
        .doc("never upgraded by a rolling upgrade"),
        Key::<Keys>::optional(
            "protectFromScaleIn",
            "true",
            Is::Flag(|instance, yes| instance.from_scale_in = Some(yes)),
        )
        .without("as the other")
        .doc("Azure's other protection; no effect on upgrades"),
    ],
    check: check_protection,
};

/// The instances as a key of a scale set.
pub(super) fn form() -> Form {
    Form::Tables(INSTANCE.shape())
}

pub(super) fn read_all(value: &Value<'_>, at: At, addresses: &mut SeenAddresses) -> Instances {
    let Some(values) = value.array("tables [[scaleSets.instances]]") else { return Instances::default() };
    if values.is_empty() || values.len() > INSTANCES_MAX {
        value.problem(format!("has {} instances", values.len()), format!("allowed: 1 to {INSTANCES_MAX}"));
        return Instances::default();
    }
    let (mut seen, mut own) = (BTreeMap::new(), BTreeMap::new());
    // They are compared as a whole.
    let valid: BTreeMap<InstanceId, Instance> = value.source().without_notes(|| {
        let read_one = |value: &Value<'_>| {
            let instance = read(value, &mut seen, (at, &mut own, addresses))?;
            Some((instance.id.clone(), instance))
        };
        values.iter().filter_map(read_one).collect()
    });
    let complete = valid.len() == values.len();
    Instances { valid, complete }
}

fn read(
    value: &Value<'_>,
    seen: &mut BTreeMap<String, Spot>,
    (at, own, addresses): (At, &mut BTreeMap<Place, Spot>, &mut SeenAddresses),
) -> Option<Instance> {
    let mut keys = Keys::default();
    let given = INSTANCE.read(value.table()?, &mut keys);
    let source = value.source();
    let is_new_id = keys
        .id
        .as_ref()
        .zip(given.at("id"))
        .is_none_or(|(id, spot)| source.unique(spot, id.as_str(), id.to_string(), seen));
    let is_new_address = keys
        .address
        .as_ref()
        .zip(given.at("address"))
        .is_none_or(|(address, spot)| is_new(source, (spot, address), at, own, addresses));
    if !(is_new_id && is_new_address && given.is_sound()) {
        return None;
    }
    Some(Instance {
        id: keys.id?,
        address: keys.address?,
        region: keys.region,
        zone: keys.zone,
        update_domain: keys.update_domain,
        fault_domain: keys.fault_domain,
        labels: keys.labels,
        protection: Protection {
            from_scale_set_actions: keys.from_actions,
            from_scale_in: keys.from_scale_in.unwrap_or(keys.from_actions),
        },
    })
}

/// Whether an address is one that may be used here; else that is reported.
pub(super) fn is_new(
    source: &Source<'_>,
    (spot, address): (&Spot, &Address),
    at: At,
    own: &mut BTreeMap<Place, Spot>,
    addresses: &mut SeenAddresses,
) -> bool {
    let identity = (address.host.to_ascii_lowercase(), address.port);
    addresses.all.entry(identity.clone()).or_insert_with(|| spot.clone());
    match at {
        At::OneProcess => source.unique(spot, &address.to_string(), identity, &mut addresses.started),
        At::One => source.unique(spot, &address.to_string(), identity, own),
        At::Several => true,
    }
}

/// Where an instance listens.
pub(super) fn address(value: &Value<'_>) -> Option<Address> {
    let text = value.filled()?;
    value.parsed(text, parse_address(text))
}

/// A machine that stands alone.
pub(super) fn machine(id: InstanceId, address: Address, zone: Option<String>) -> Instance {
    Instance {
        id,
        address,
        region: None,
        zone,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection { from_scale_set_actions: false, from_scale_in: false },
    }
}

/// Text that may be left out but not empty.
pub(super) fn filled_text(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.is_empty() {
        value.problem("is empty", "leave it out".to_owned());
        return None;
    }
    Some(text)
}

fn labels(instance: &mut Keys, value: &Value<'_>) -> Option<()> {
    let read_one = |value: Value<'_>| {
        if value.name.is_empty() || value.name.chars().any(|c| c.is_control() || "{}".contains(c)) {
            value.problem("is not a name of a label", "no braces and no control characters".to_owned());
            return None;
        }
        Some((value.name.to_owned(), value.text()?))
    };
    let labels: Vec<_> = value.table()?.into_entries().into_iter().map(read_one).collect();
    instance.labels = labels.into_iter().collect::<Option<_>>()?;
    Some(())
}

/// Azure: protection from all actions includes that from scale-in, and refuses the opposite.
fn check_protection(instance: &mut Keys, given: &mut Given<'_>) {
    if let (true, Some(false)) = (instance.from_actions, instance.from_scale_in) {
        given.conflict(
            "protectFromScaleIn",
            "is false although protectFromScaleSetActions is true and includes it",
            "write true, or leave it out",
        );
    }
}
