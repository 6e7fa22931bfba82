//! Reads `[[scaleSets.instances]]`.

use std::collections::BTreeMap;

use super::problem::Place;
use super::table::Table;
use super::value::Value;
use crate::net::address::parse_address;
use phasegate_core::domain::{Address, Instance, InstanceId, Protection};

/// Most instances of one scale set; the planner's tables are sized for it.
const INSTANCES_MAX: usize = 100_000;

/// Largest number of an update or fault domain.
const DOMAIN_MAX: u32 = 1_000_000;

/// Where each address was first used, by host in lower case and port.
pub(super) type SeenAddresses = BTreeMap<(String, u16), (String, Place)>;

/// The instances of one scale set that have no problem.
#[derive(Default)]
pub(super) struct Instances {
    pub(super) valid: BTreeMap<InstanceId, Instance>,
    /// Whether these are all that the file has.
    pub(super) complete: bool,
}

pub(super) fn read_all(value: &Value<'_>, addresses: &mut SeenAddresses) -> Instances {
    let Some(values) = value.array("tables [[scaleSets.instances]]") else { return Instances::default() };
    if values.is_empty() || values.len() > INSTANCES_MAX {
        value.problem(format!("has {} instances", values.len()), format!("allowed: 1 to {INSTANCES_MAX}"));
        return Instances::default();
    }
    let mut seen: BTreeMap<String, (String, Place)> = BTreeMap::new();
    let read_one = |value: &Value<'_>| {
        let instance = read(value.table()?, &mut seen, addresses)?;
        Some((instance.id.clone(), instance))
    };
    let valid: BTreeMap<InstanceId, Instance> = values.iter().filter_map(read_one).collect();
    let complete = valid.len() == values.len();
    Instances { valid, complete }
}

fn read(
    mut table: Table<'_>,
    seen: &mut BTreeMap<String, (String, Place)>,
    addresses: &mut SeenAddresses,
) -> Option<Instance> {
    let id = table.required("id", "\"0\"");
    let address = table.required("address", "\"127.0.0.1:9100\"");
    let region = table.optional("region", "\"eu-1\"");
    let zone = table.optional("zone", "\"1\"");
    let update_domain = table.optional("updateDomain", "0");
    let fault_domain = table.optional("faultDomain", "0");
    let labels = table.section("labels", "{ role = \"replica\" }");
    let protection = table.section("protectionPolicy", "{ protectFromScaleSetActions = true }");
    table.finish();

    let id = id.and_then(|value| {
        let id = value.id(InstanceId::parse)?;
        value.unique(id.as_str(), id.to_string(), seen).then_some(id)
    });
    let address = address.and_then(|value| read_address(&value, addresses));
    let region = optional_text(region.as_ref());
    let zone = optional_text(zone.as_ref());
    let update_domain = update_domain.map_or(Some(None), |value| value.integer(0, DOMAIN_MAX).map(Some));
    let fault_domain = fault_domain.map_or(Some(None), |value| value.integer(0, DOMAIN_MAX).map(Some));
    let labels = read_labels(labels);
    let protection = read_protection(protection);
    Some(Instance {
        id: id?,
        address: address?,
        region: region?,
        zone: zone?,
        update_domain: update_domain?,
        fault_domain: fault_domain?,
        labels: labels?,
        protection: protection?,
    })
}

fn read_address(value: &Value<'_>, addresses: &mut SeenAddresses) -> Option<Address> {
    let text = value.filled()?;
    let address = value.parsed(text, parse_address(text))?;
    let identity = (address.host.to_ascii_lowercase(), address.port);
    value.unique(&address.to_string(), identity, addresses).then_some(address)
}

/// Text that may be left out but not empty.
fn optional_text(value: Option<&Value<'_>>) -> Option<Option<String>> {
    let Some(value) = value else { return Some(None) };
    let text = value.text()?;
    if text.is_empty() {
        value.problem("is empty", "leave it out".to_owned());
        return None;
    }
    Some(Some(text))
}

fn read_labels(table: Table<'_>) -> Option<BTreeMap<String, String>> {
    let read_one = |value: Value<'_>| {
        if value.name.is_empty() || value.name.chars().any(|c| c.is_control() || "{}".contains(c)) {
            value.problem("is not a name of a label", "no braces and no control characters".to_owned());
            return None;
        }
        Some((value.name.to_owned(), value.text()?))
    };
    let labels: Vec<Option<(String, String)>> = table.into_entries().into_iter().map(read_one).collect();
    labels.into_iter().collect()
}

fn read_protection(mut table: Table<'_>) -> Option<Protection> {
    let scale_in = table.optional("protectFromScaleIn", "true");
    let actions = table.optional("protectFromScaleSetActions", "true");
    table.finish();

    let from_scale_set_actions = actions.map_or(Some(false), |value| value.boolean());
    let from_scale_in = scale_in.as_ref().map_or(Some(None), |value| value.boolean().map(Some));
    let (from_scale_set_actions, from_scale_in) = (from_scale_set_actions?, from_scale_in?);
    // Azure: protection from all actions includes that from scale-in, and refuses the opposite.
    if let (true, Some(false), Some(value)) = (from_scale_set_actions, from_scale_in, scale_in) {
        value.conflict(
            "is false although protectFromScaleSetActions is true and includes it",
            "write true, or leave it out",
        );
        return None;
    }
    let from_scale_in = from_scale_in.unwrap_or(from_scale_set_actions);
    Some(Protection { from_scale_set_actions, from_scale_in })
}
