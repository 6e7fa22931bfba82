//! What a driver must be told before it can create instances, and what of it can be at odds.

use super::super::instances::SeenAddresses;
use super::super::value::Value;
use super::Templates;
use crate::drivers::process::PortRange;
use phasegate_core::domain::Address;

/// The ports of one set with their place in the file.
pub(in crate::config) struct SurgePorts<'a> {
    value: Value<'a>,
    range: PortRange,
    /// Where instances of the set are.
    hosts: Vec<String>,
}

impl<'a> SurgePorts<'a> {
    /// New instances are where the ones are that they replace.
    pub(in crate::config) fn on<'i>(self, addresses: impl Iterator<Item = &'i Address>) -> SurgePorts<'a> {
        let mut hosts: Vec<String> = addresses.map(|address| address.host.to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        SurgePorts { hosts, ..self }
    }
}

/// Reads `[scaleSets.driver.surge]`.
pub(super) fn read<'a>(value: &Value<'a>, templates: &mut Templates<'a>) -> Option<PortRange> {
    let mut table = value.table()?;
    let ports = table.required("ports", "\"9100-9199\"");
    table.finish();
    let ports = ports?;
    let text = ports.filled()?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let ends = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    let Some((first, last)) = ends.filter(|(first, last)| first <= last) else {
        let hint = "write the lowest and the highest port, each 1 to 65535, for example \"9100-9199\"";
        ports.problem(format!("is \"{text}\""), hint.to_owned());
        return None;
    };
    let range = PortRange { first, last };
    templates.ports = Some(SurgePorts { value: ports, range, hosts: Vec::new() });
    Some(range)
}

/// Reports ports that instances of other sets have, or may get.
pub(in crate::config) fn check_ports(all: &[(usize, SurgePorts<'_>)], addresses: &SeenAddresses) {
    for (position, (index, ports)) in all.iter().enumerate() {
        let SurgePorts { value, range, hosts } = ports;
        let mine = format!("scaleSets[{index}].");
        let taken = addresses.iter().find(|((host, port), (key, _))| {
            (range.first..=range.last).contains(port) && hosts.contains(host) && !key.starts_with(&mine)
        });
        if let Some(((_, port), (key, place))) = taken {
            let line = place.line;
            value.conflict(
                format!("holds port {port}, which is that of {key} in line {line}"),
                "leave the ports of other scale sets out",
            );
            continue;
        }
        let earlier = all.iter().take(position).find(|(_, other)| {
            let apart = other.range.last < range.first || range.last < other.range.first;
            !apart && other.hosts.iter().any(|host| hosts.contains(host))
        });
        if let Some((_, other)) = earlier {
            let (key, line) = (&other.value.key, other.value.place().line);
            value.conflict(
                format!("has ports in common with {key} in line {line}"),
                "give each scale set ports of its own",
            );
        }
    }
}

/// Of two keys that belong together, both or none.
pub(super) fn both_or_none(create: Option<&Value<'_>>, delete: Option<&Value<'_>>) -> bool {
    let (alone, other) = match (create, delete) {
        (Some(create), None) => (create, if create.name == "create" { "delete" } else { "deleteUrl" }),
        (None, Some(delete)) => (delete, if delete.name == "delete" { "create" } else { "createUrl" }),
        (Some(_), Some(_)) | (None, None) => return true,
    };
    alone.conflict(
        format!("is given without {other}"),
        format!("add {other}, or leave both out: what is created must be deleted some day"),
    );
    false
}
