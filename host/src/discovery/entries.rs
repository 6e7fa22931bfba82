//! From targets with labels to instances: ids, addresses, domains, protection. An entry that makes no instance is
//! refused by itself and told; the others stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::targets::Group;
use super::{DiscoveryConfig, INSTANCES_MAX, LabelNames, Sharing};
use crate::net::address::parse_address;
use phasegate_core::domain::shown::visible;
use phasegate_core::domain::{Address, Instance, InstanceId, Protection};

/// Longest value of a label in bytes, as in the configuration.
const VALUE_MAX: usize = 256;

/// Most labels of one instance.
const LABELS_MAX: usize = 100;

/// Largest number of an update or fault domain, as in the configuration.
const DOMAIN_MAX: u32 = 1_000_000;

/// Refused entries that are told in full.
const TOLD_MAX: usize = 10;

/// Instances by id.
pub(super) type Instances = BTreeMap<InstanceId, Arc<Instance>>;

/// What a source named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Those that can be members.
    pub(super) instances: Instances,
    /// Entries that were refused, and why.
    pub(super) refused: Refused,
}

/// Entries that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Refused {
    /// How many.
    pub(super) count: usize,
    /// Of how many of them it is not known whom they mean: one of those that are there may be among them.
    pub(super) unknown: usize,
    /// The first of them, a line each.
    pub(super) told: Vec<String>,
}

impl Refused {
    fn take(&mut self, why: &RefusedEntryError) {
        self.count += 1;
        if why.may_mean_anybody() {
            self.unknown += 1;
        }
        if self.told.len() < TOLD_MAX {
            self.told.push(visible(&why.to_string()).into_owned());
        }
    }
}

/// Why an entry makes no instance.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum RefusedEntryError {
    #[error("target {target:?} {why}")]
    Address { target: String, why: String },
    #[error("target {target:?} has the id {id:?}, which {why}")]
    Id { target: String, id: String, why: String },
    #[error("instance `{id}` is at {address}, as is instance `{other}`: give each an address of its own")]
    AddressTwice { id: InstanceId, address: Address, other: InstanceId },
    #[error("instance `{id}` is named twice, at {address} and {second}: the first one counts")]
    Twice { id: InstanceId, address: Address, second: Address },
    #[error("instance `{0}` is one of the file's `instances`, which says what it is like")]
    Listed(InstanceId),
    #[error("instance `{id}`: label {name} is {value:?} (allowed: {allowed})")]
    Value { id: InstanceId, name: String, value: String, allowed: &'static str },
    #[error("instance `{id}`: label {name} is {bytes} bytes long (limit {VALUE_MAX})")]
    Long { id: InstanceId, name: String, bytes: usize },
    #[error("instance `{id}` has {count} labels (limit {LABELS_MAX})")]
    Labels { id: InstanceId, count: usize },
    #[error(
        "instance `{id}`: {name:?} is no name of a label: no braces, no control characters, at most {VALUE_MAX} bytes"
    )]
    Name { id: InstanceId, name: String },
    #[error("instance `{id}` has no label {name}, which `health` asks for")]
    Needed { id: InstanceId, name: String },
}

impl RefusedEntryError {
    /// Whether it is not known which instance is meant.
    fn may_mean_anybody(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Id { .. } => true,
            Self::AddressTwice { .. }
            | Self::Twice { .. }
            | Self::Listed(_)
            | Self::Value { .. }
            | Self::Long { .. }
            | Self::Labels { .. }
            | Self::Name { .. }
            | Self::Needed { .. } => false,
        }
    }
}

/// A source names more than a set may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names {0} targets (limit {INSTANCES_MAX}); nothing of it is taken over")]
pub struct TooManyError(usize);

/// Makes instances of the groups. `listed` are those of the configuration, which win. One that is refused and was
/// there `before` stays as it was: that it is named says that it is there.
pub(super) fn instances(
    groups: Vec<Group>,
    config: &DiscoveryConfig,
    (listed, before): (&Instances, &Instances),
) -> Result<Found, TooManyError> {
    let count = groups.iter().map(|group| group.targets.len()).sum();
    if count > INSTANCES_MAX {
        return Err(TooManyError(count));
    }
    let place = |address: &Address| (address.host.to_ascii_lowercase(), address.port);
    let mut found = Found::default();
    let mut places: BTreeMap<(String, u16), InstanceId> = match config.sharing {
        Sharing::Refused => listed.values().map(|one| (place(&one.address), one.id.clone())).collect(),
        Sharing::Allowed => BTreeMap::new(),
    };
    let mut stay: BTreeSet<InstanceId> = BTreeSet::new();
    for Group { targets, labels } in groups {
        for target in targets {
            let (id, address) = match named(&target, &labels, &config.labels) {
                Ok(named) => named,
                Err(why) => {
                    found.refused.take(&why);
                    continue;
                }
            };
            let at = place(&address);
            if listed.contains_key(&id) {
                // It counts when the file lists it no longer.
                found.refused.take(&RefusedEntryError::Listed(id.clone()));
            }
            let taken = || {
                if let Some(first) = found.instances.get(&id) {
                    let first = first.address.clone();
                    Err(RefusedEntryError::Twice { id: id.clone(), address: first, second: address.clone() })
                } else if let Some(other) = places.get(&at).filter(|other| **other != id) {
                    Err(RefusedEntryError::AddressTwice {
                        id: id.clone(),
                        address: address.clone(),
                        other: other.clone(),
                    })
                } else {
                    Ok(())
                }
            };
            let made = taken().and_then(|()| one(&id, &address, &labels, config));
            match made {
                Ok(instance) => {
                    if config.sharing == Sharing::Refused {
                        places.insert(at, id.clone());
                    }
                    // The one that is known is shared, and needs no comparison later.
                    let same = before.get(&id).filter(|known| ***known == instance).cloned();
                    found.instances.insert(id, same.unwrap_or_else(|| Arc::new(instance)));
                }
                Err(why) => {
                    stay.insert(id);
                    found.refused.take(&why);
                }
            }
        }
    }
    for id in stay {
        if let Some(known) = before.get(&id).filter(|_| !found.instances.contains_key(&id)) {
            found.instances.insert(id, Arc::clone(known));
        }
    }
    Ok(found)
}

/// The id and the address of a target.
fn named(
    target: &str,
    labels: &BTreeMap<String, String>,
    names: &LabelNames,
) -> Result<(InstanceId, Address), RefusedEntryError> {
    let cut = |text: &str| text.chars().take(VALUE_MAX).collect::<String>();
    let address = parse_address(target);
    let address = address
        .map_err(|error| RefusedEntryError::Address { target: cut(target), why: error.to_string() })?;
    let id = value(labels, names.id.as_ref()).map_or_else(|| id_of(&address), |(_, id)| id.to_owned());
    let parsed = InstanceId::parse(&id).map_err(|error| RefusedEntryError::Id {
        target: cut(target),
        id: cut(&id),
        why: error.to_string(),
    })?;
    Ok((parsed, address))
}

/// An address as an id: what an id cannot have is a dash.
fn id_of(address: &Address) -> String {
    let is_of_ids = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let host: String = address.host.chars().map(|c| if is_of_ids(c) { c } else { '-' }).collect();
    // An id begins with a letter or a digit; `::1` is `0::1`.
    let zero = if host.starts_with(|c: char| c.is_ascii_alphanumeric()) { "" } else { "0" };
    format!("{zero}{host}-{}", address.port)
}

/// The value of a label that says something; an empty one is none, as everywhere in that form.
fn value<'l>(
    labels: &'l BTreeMap<String, String>,
    name: Option<&'l String>,
) -> Option<(&'l String, &'l str)> {
    let name = name?;
    let value = labels.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.map(|value| (name, value))
}

fn one(
    id: &InstanceId,
    address: &Address,
    labels: &BTreeMap<String, String>,
    config: &DiscoveryConfig,
) -> Result<Instance, RefusedEntryError> {
    let id = || id.clone();
    if labels.len() > LABELS_MAX {
        return Err(RefusedEntryError::Labels { id: id(), count: labels.len() });
    }
    for (name, value) in labels {
        let odd = name.is_empty()
            || name.len() > VALUE_MAX
            || name.chars().any(|c| c.is_control() || "{}".contains(c));
        if odd {
            let name = name.chars().take(VALUE_MAX).collect();
            return Err(RefusedEntryError::Name { id: id(), name });
        }
        if value.len() > VALUE_MAX {
            return Err(RefusedEntryError::Long { id: id(), name: name.clone(), bytes: value.len() });
        }
        if value.chars().any(char::is_control) {
            let (name, value) = (name.clone(), value.clone());
            return Err(RefusedEntryError::Value { id: id(), name, value, allowed: "no control characters" });
        }
    }
    if let Some(name) = config.needed.iter().find(|name| !labels.contains_key(*name)) {
        return Err(RefusedEntryError::Needed { id: id(), name: name.clone() });
    }
    let LabelNames { id: of_id, region, zone, update_domain, fault_domain, protect } = &config.labels;
    let wrong = |(name, value): (&String, &str), allowed| RefusedEntryError::Value {
        id: id(),
        name: name.clone(),
        value: value.to_owned(),
        allowed,
    };
    let number = |of: &Option<String>| {
        let Some(seen) = value(labels, of.as_ref()) else { return Ok(None) };
        let number = seen.1.parse::<u32>().ok().filter(|number| *number <= DOMAIN_MAX);
        number.map(Some).ok_or_else(|| wrong(seen, "0 to 1000000"))
    };
    let is_protected = match value(labels, protect.as_ref()) {
        None | Some((_, "false")) => false,
        Some((_, "true")) => true,
        Some(seen) => return Err(wrong(seen, "true, false")),
    };
    let text = |of: &Option<String>| value(labels, of.as_ref()).map(|(_, value)| value.to_owned());
    let mapped = [of_id, region, zone, update_domain, fault_domain, protect];
    let is_mapped = |name: &String| mapped.iter().any(|of| of.as_ref() == Some(name));
    let others = labels.iter().filter(|(name, _)| !is_mapped(name));
    Ok(Instance {
        id: id(),
        address: address.clone(),
        region: text(region),
        zone: text(zone),
        update_domain: number(update_domain)?,
        fault_domain: number(fault_domain)?,
        labels: others.map(|(name, value)| (name.clone(), value.clone())).collect(),
        protection: Protection { from_scale_set_actions: is_protected, from_scale_in: is_protected },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn group(targets: &[&str], labels: &[(&str, &str)]) -> Group {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Group {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            labels: labels.collect(),
        }
    }

    fn found(groups: Vec<Group>, listed: &Instances, before: &Instances) -> Found {
        instances(groups, &config(), (listed, before)).unwrap()
    }

    fn ids(found: &Found) -> Vec<&str> {
        found.instances.keys().map(InstanceId::as_str).collect()
    }

    #[test]
    fn labels_say_what_an_instance_is_like_and_the_rest_are_its_labels() {
        let labels = [
            ("id", "db-1"),
            ("az", "2"),
            ("ud", "3"),
            ("fd", "4"),
            ("region", "eu"),
            ("hold", "true"),
            ("role", "r"),
        ];
        let found = found(vec![group(&["h:1"], &labels)], &Instances::new(), &Instances::new());
        let only = found.instances.values().next().unwrap();
        assert_eq!((only.id.as_str(), only.address.to_string()), ("db-1", "h:1".to_owned()));
        assert_eq!((only.zone.as_deref(), only.region.as_deref()), (Some("2"), Some("eu")));
        assert_eq!((only.update_domain, only.fault_domain), (Some(3), Some(4)));
        assert!(only.protection.from_scale_set_actions && only.protection.from_scale_in);
        assert_eq!(only.labels.iter().collect::<Vec<_>>(), [(&"role".to_owned(), &"r".to_owned())]);
    }

    #[test]
    fn without_a_label_the_address_is_the_id() {
        let groups = vec![group(&["10.0.0.1:80", "[::1]:81", "db.example:82"], &[("id", "")])];
        let found = found(groups, &Instances::new(), &Instances::new());
        assert_eq!(ids(&found), ["0--1-81", "10.0.0.1-80", "db.example-82"]);
    }

    #[test]
    fn wrong_entries_are_refused_one_by_one() {
        let long = "x".repeat(10 << 20);
        for (labels, expected) in [
            (("ud", "one"), "instance `h-1`: label ud is \"one\" (allowed: 0 to 1000000)"),
            (("ud", "1000001"), "allowed: 0 to 1000000"),
            (("hold", "yes"), "label hold is \"yes\" (allowed: true, false)"),
            (("a{b}", ""), "is no name of a label"),
            (("a", "b\n"), "no control characters"),
            (("a", long.as_str()), "label a is 10485760 bytes long (limit 256)"),
            (("id", "a b"), "has the id \"a b\", which"),
        ] {
            let groups = vec![group(&["h:1"], &[labels]), group(&["h:2"], &[])];
            let found = found(groups, &Instances::new(), &Instances::new());
            assert_eq!(ids(&found), ["h-2"], "{labels:?}");
            let told = &found.refused.told;
            assert!(found.refused.count == 1 && told[0].contains(expected), "{told:?}");
            assert!(told[0].len() < 1_000);
        }
    }

    #[test]
    fn an_address_and_an_id_belong_to_the_first_and_the_file_comes_before_all() {
        let listed = some(&["a:1"]);
        let groups = vec![
            group(&["b:1", "B:1"], &[]),
            group(&["c:1", "d:1"], &[("id", "x")]),
            group(&["a:1"], &[]),
            group(&["a:1"], &[("id", "other")]),
        ];
        let found = found(groups, &listed, &Instances::new());
        assert_eq!(ids(&found), ["a-1", "b-1", "x"]);
        assert_eq!(
            found.refused.told,
            [
                "instance `B-1` is at B:1, as is instance `b-1`: give each an address of its own",
                "instance `x` is named twice, at c:1 and d:1: the first one counts",
                "instance `a-1` is one of the file's `instances`, which says what it is like",
                "instance `other` is at a:1, as is instance `a-1`: give each an address of its own",
            ]
        );
        assert_eq!(found.refused.unknown, 0);
        let shared = DiscoveryConfig { sharing: Sharing::Allowed, ..config() };
        let groups = vec![group(&["e:1"], &[("id", "1")]), group(&["e:1"], &[("id", "2")])];
        let found = instances(groups, &shared, (&listed, &Instances::new())).unwrap();
        assert_eq!(ids(&found), ["1", "2"], "one exporter speaks for many");
    }

    #[test]
    fn who_is_refused_and_was_there_stays_as_it_was() {
        let before = some(&["a:1", "b:1"]);
        let groups = vec![group(&["a:1"], &[("ud", "?")]), group(&["nonsense"], &[])];
        let found = found(groups, &Instances::new(), &before);
        assert_eq!(ids(&found), ["a-1"]);
        assert_eq!((found.refused.count, found.refused.unknown), (2, 1), "nobody knows whom the other means");
    }

    #[test]
    fn too_many_are_refused_as_a_whole() {
        let many = Group { targets: vec!["a:1".to_owned(); INSTANCES_MAX + 1], labels: BTreeMap::new() };
        let error = instances(vec![many], &config(), (&Instances::new(), &Instances::new())).unwrap_err();
        assert_eq!(error.to_string(), "names 100001 targets (limit 100000); nothing of it is taken over");
    }

    #[test]
    fn a_label_that_is_asked_for_must_be_there() {
        let config = DiscoveryConfig { needed: vec!["shard".to_owned()], ..config() };
        let groups = vec![group(&["a:1"], &[]), group(&["b:1"], &[("shard", "7")])];
        let found = instances(groups, &config, (&Instances::new(), &Instances::new())).unwrap();
        assert_eq!(ids(&found), ["b-1"]);
        assert_eq!(found.refused.told, ["instance `a-1` has no label shard, which `health` asks for"]);
    }
}
