//! WASI by denial: what a Python, JavaScript or Go guest imports because its language does, with
//! nothing behind it.
//!
//! No files, no sockets, no arguments, an empty environment. What is written to stdout and stderr
//! becomes log lines; clocks show the time of the evaluation and stand still; random numbers follow
//! from what is evaluated. Nothing waits: whatever is asked to be ready is ready.
//!
//! Linked from what the component itself says that it imports, so that every 0.2.x fits. A function
//! that has no answer here refuses: with `access-denied` where its type can say so, else with a trap.

mod answer;
mod language;
mod state;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

pub(super) use language::{Language, language};
pub(super) use state::{State, Stream, seed};

use super::capability::HostState;

/// Interfaces whose answers never differ, and why they may be imported.
const CONSTANT: [(&str, &str); 14] = [
    ("cli/environment", "empty"),
    ("cli/exit", "ends the evaluation as failed"),
    ("cli/stdin", "empty"),
    ("cli/stdout", "becomes log lines"),
    ("cli/stderr", "becomes log lines"),
    ("cli/terminal-input", "there is none"),
    ("cli/terminal-output", "there is none"),
    ("cli/terminal-stdin", "there is none"),
    ("cli/terminal-stdout", "there is none"),
    ("cli/terminal-stderr", "there is none"),
    ("io/error", "a stub"),
    ("io/poll", "nothing waits"),
    ("io/streams", "stdin is empty, the others become log lines"),
    ("filesystem/preopens", "no folders"),
];
const FILES: (&str, &str) = ("filesystem/types", "no files");
/// Interfaces that make a component impure.
const VARYING: [(&str, &str); 5] = [
    ("clocks/monotonic-clock", "the time of the evaluation, standing still"),
    ("clocks/wall-clock", "the time of the evaluation, standing still"),
    ("random/random", "follows from the input"),
    ("random/insecure", "follows from the input"),
    ("random/insecure-seed", "follows from the input"),
];

/// Resources of all these interfaces; the place in the list is their type here.
const RESOURCES: [&str; 14] = [
    "error",
    "pollable",
    "input-stream",
    "output-stream",
    "terminal-input",
    "terminal-output",
    "descriptor",
    "directory-entry-stream",
    "network",
    "udp-socket",
    "incoming-datagram-stream",
    "outgoing-datagram-stream",
    "tcp-socket",
    "resolve-address-stream",
];

/// What a plugin gets of a WASI interface.
pub(super) struct Offer {
    /// One phrase about what is behind it.
    pub(super) what: &'static str,
    /// Whether it may make equal input bring different answers.
    pub(super) varies: bool,
}

/// What is offered of an import; nothing for what a plugin may not import.
pub(super) fn offer(name: &str) -> Option<Offer> {
    let interface = interface(name)?;
    let find = |list: &[(&str, &'static str)]| {
        list.iter().find(|(known, _)| *known == interface).map(|(_, what)| *what)
    };
    if let Some(what) = find(&CONSTANT).or_else(|| find(&[FILES])) {
        return Some(Offer { what, varies: false });
    }
    find(&VARYING).map(|what| Offer { what, varies: true })
}

/// Whether an import is one of the socket interfaces of 0.2.
pub(super) fn is_socket(name: &str) -> bool {
    interface(name).is_some_and(|interface| interface.starts_with("sockets/"))
}

/// Whether an import brings random numbers.
pub(super) fn is_random(name: &str) -> bool {
    interface(name).is_some_and(|interface| interface.starts_with("random/"))
}

/// `cli/stdout` of `wasi:cli/stdout@0.2.9`; nothing for other packages and versions.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix("wasi:")?.split_once('@')?;
    let patch = version.strip_prefix("0.2.")?;
    (!patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit())).then_some(interface)
}

/// Links every WASI import of a component.
///
/// # Errors
/// When one is no interface, or has a type that no WASI has.
pub(super) fn link(
    linker: &mut Linker<HostState>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        let Some(interface) = interface(name) else { continue };
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(wasmtime::Error::msg(format!("import `{name}` is no interface")));
        };
        let mut target = linker.instance(name)?;
        for (member, item) in instance.exports(engine) {
            define(&mut target, interface, member, &item.ty)?;
        }
    }
    Ok(())
}

fn define(
    target: &mut LinkerInstance<'_, HostState>,
    interface: &str,
    member: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::Resource(_) => {
            let Some(kind) = resource(member) else {
                return Err(wasmtime::Error::msg(format!("`wasi:{interface}` has no resource `{member}`")));
            };
            target.resource(member, ResourceType::host_dynamic(kind), |mut store, _| {
                store.data_mut().wasi.closed();
                Ok(())
            })
        }
        ComponentItem::ComponentFunc(_) => {
            let what = answer::Answer::of(interface, member);
            let name = format!("wasi:{interface}#{member}");
            target.func_new(member, move |store, ty, params, results| {
                answer::give(what, &name, store, &ty, params, results)
            })
        }
        _ => Ok(()),
    }
}

fn resource(name: &str) -> Option<u32> {
    RESOURCES.iter().position(|known| *known == name).and_then(|place| u32::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_closed() {
        for (name, varies) in [
            ("wasi:cli/environment@0.2.0", Some(false)),
            ("wasi:io/streams@0.2.12", Some(false)),
            ("wasi:clocks/wall-clock@0.2.9", Some(true)),
            ("wasi:random/insecure-seed@0.2.3", Some(true)),
            ("wasi:cli/environment@0.3.0", None),
            ("wasi:cli/environment@0.2.0-rc.1", None),
            ("wasi:cli/environment@0.2.", None),
            ("wasi:cli/environment", None),
            ("wasi:http/types@0.2.9", None),
            ("wasi:sockets/tcp@0.2.9", None),
        ] {
            assert_eq!(offer(name).map(|offer| offer.varies), varies, "{name}");
        }
        assert!(is_socket("wasi:sockets/tcp@0.2.9"));
        assert!(!is_socket("wasi:http/types@0.2.9"));
    }
}
