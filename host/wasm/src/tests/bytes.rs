//! Bytes that are not a plugin: messages, reports, componentize.

use super::{contracts, guests};
use crate::{ComponentizeError, ImportVerdict, Isolation, Kind, LoadPluginError, World, inspect};

fn componentize(core: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    crate::componentize(core, World::Policy, &|_, _| None)
}

fn refusal(bytes: &[u8]) -> String {
    let runtime = super::runtime();
    runtime.load(bytes, "{}", super::LIMITS, Isolation::PerBatch).err().unwrap().to_string()
}

#[test]
fn files_that_are_not_wasm_are_named() {
    for (bytes, expected) in [
        (&b""[..], "is empty; check that its build or download finished"),
        (
            b"<!DOCTYPE html><html>",
            "is not WebAssembly: it looks like HTML or XML; did the download bring an error page?",
        ),
        (
            b"  (component)",
            "is not WebAssembly: it is WebAssembly text; convert it with `wasm-tools parse FILE -o OUT`",
        ),
        (
            b"hello there",
            "is not WebAssembly: it looks like text, starting with \"hello there\"; give the `.wasm` file",
        ),
        (
            b"\x89PNG\r\n\x1a\n12345",
            "is not WebAssembly: it starts with the bytes 89 50 4e 47 0d 0a 1a 0a instead of 00 61 73 6d; \
             give the `.wasm` file",
        ),
        (
            b"\0asm",
            "is damaged or incomplete: the file ends within its first eight bytes at byte 4; build or copy \
             it again",
        ),
        (
            b"\0asm\x07\0\x01\0",
            "has an unknown WebAssembly format [07, 00, 01, 00]; build it with current tools",
        ),
    ] {
        assert_eq!(refusal(bytes), expected);
        let report = inspect(bytes);
        assert_eq!((report.kind, report.pure), (Kind::Other, false));
        assert_eq!(report.fits.unwrap_err().to_string(), expected);
    }
    let large = vec![0; (64 << 20) + 1];
    assert_eq!(refusal(&large), "is 67108865 bytes (limit 67108864); strip debug information from it");
}

#[test]
fn a_component_cut_anywhere_is_refused() {
    let bytes = guests::component("poison").unwrap();
    let runtime = super::runtime();
    for length in 0..bytes.len() {
        let (cut, missing) = bytes.split_at(length);
        let fits = inspect(cut).fits.is_ok();
        // Only a custom section, which means nothing, may be missing.
        assert!(!fits || missing[0] == 0, "{length}");
        assert_eq!(runtime.load(cut, "{}", super::LIMITS, Isolation::PerBatch).is_ok(), fits, "{length}");
    }
}

#[test]
fn a_component_with_any_byte_changed_does_not_panic() {
    let bytes = guests::component("poison").unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        let _ = inspect(&changed);
        let _ = componentize(&changed);
    }
}

#[test]
fn core_modules_are_sent_to_componentize() {
    let core = guests::core_module("good").unwrap();
    assert_eq!(
        refusal(&core),
        "is a core module, not a component; run `phasegate plugin componentize FILE -o OUT`"
    );
    assert_eq!(inspect(&core).kind, Kind::CoreModule);
    let bare = wat::parse_str("(module (import \"env\" \"f\" (func)))").unwrap();
    assert_eq!(
        refusal(&bare),
        "is a core module, not a component; run `phasegate plugin componentize FILE -o OUT`"
    );
    assert_eq!(inspect(&bare).imports[0].name, "env.f");
    let said = componentize(&bare).unwrap_err().to_string();
    assert!(said.contains("cannot become a component") && said.contains("env"), "{said}");
}

#[test]
fn componentize_makes_what_loads() {
    let component = componentize(&guests::core_module("good").unwrap()).unwrap();
    let runtime = super::runtime();
    runtime.load(&component, "{}", super::LIMITS, Isolation::PerBatch).map(drop).unwrap();
    assert_eq!(componentize(&component).unwrap_err(), ComponentizeError::AlreadyComponent);
    assert_eq!(componentize(b"").unwrap_err(), ComponentizeError::Unreadable(LoadPluginError::Empty));
}

#[test]
fn components_of_other_worlds_are_told_what_is_missing() {
    let nothing = wat::parse_str("(component)").unwrap();
    assert_eq!(
        refusal(&nothing),
        "is a component of another world: it does not export `phasegate:policy/evaluator@1.x` but nothing; \
         build it for the world `phasegate:policy/policy@1.0.0`"
    );
    let other = wat::parse_str(
        "(component (instance $i) (export \"wasi:http/incoming-handler@0.2.0\" (instance $i)))",
    )
    .unwrap();
    assert!(refusal(&other).contains("but `wasi:http/incoming-handler@0.2.0`;"), "{}", refusal(&other));
    let next =
        contracts::component_of_other_contract("good", |text| text.replace("@1.0.0", "@2.0.0")).unwrap();
    assert_eq!(
        refusal(&next),
        "is built for another version of the contract: it exports `phasegate:policy/evaluator@2.0.0`, this \
         host runs `phasegate:policy/evaluator@1.x`; rebuild it with wit/v1"
    );
}

#[test]
fn a_later_minor_version_runs() {
    let minor =
        contracts::component_of_other_contract("clock", |text| text.replace("@1.0.0", "@1.3.0")).unwrap();
    let runtime = super::runtime();
    let mut plugin = runtime.load(&minor, "{}", super::LIMITS, Isolation::PerBatch).unwrap();
    assert_eq!(plugin.world(), Some("phasegate:policy/timed-policy@1.3.0"));
    super::one(&mut plugin).unwrap();
}

/// The refusal of a guest built against a changed contract.
fn changed(from: &str, to: &str) -> String {
    let change = |text: String| text.replacen(from, to, 1);
    let message = refusal(&contracts::component_of_other_contract("good", change).unwrap());
    let message = message.strip_prefix("has types that differ from wit/v1: ").unwrap_or(&message);
    message.strip_suffix("; rebuild it with the contract of this host").unwrap_or(message).to_owned()
}

#[test]
fn types_that_differ_are_named() {
    for (from, to, expected) in [
        (
            "    memory: option<list<u8>>,\n    /// Facts that later",
            "    /// Facts that later",
            "record `observation` lacks `memory`",
        ),
        (
            "    status: u16,",
            "    status: u16,\n    length: u32,",
            "record `response` has `length`, which the contract does not know",
        ),
        ("    status: u16,", "    status: u32,", "`status` of record `response` is u32 instead of u16"),
        (
            "    region: option<string>,",
            "    region: string,",
            "`region` of record `instance` is string instead of an option of string",
        ),
        (
            "    participation: participation,",
            "    participation: string,",
            "`participation` of record `decision` is string instead of enum `participation`",
        ),
        (
            "    unknown,\n  }",
            "    unknown,\n    starting,\n  }",
            "enum `health` has `starting`, which the contract does not know",
        ),
        ("    internal(string),", "", "variant `failure` lacks `internal`"),
        (
            "    unreachable(string),",
            "    unreachable,",
            "`unreachable` of variant `probe-failure` is nothing instead of string",
        ),
        (
            "    fault-domain: option<u32>,\n    /// Update domain: instances that may be taken down together.\n    update-domain: option<u32>,",
            "    update-domain: option<u32>,\n    fault-domain: option<u32>,",
            "record `instance` has its members in another order",
        ),
    ] {
        assert_eq!(changed(from, to), expected, "{to}");
    }
}

#[test]
fn inspection_names_types_that_differ_too() {
    let change = |text: String| text.replace("    status: u16,", "    status: u32,");
    let report = inspect(&contracts::component_of_other_contract("good", change).unwrap());
    let said = report.fits.unwrap_err().to_string();
    assert!(said.contains("`status` of record `response` is u32 instead of u16"), "{said}");
}

#[test]
fn other_imports_are_refused_with_a_recipe() {
    let text = "(component
        (import \"wasi:http/types@0.2.6\" (instance))
        (import \"phasegate:policy/log@1.0.0\" (instance))
        (instance $i)
        (export \"phasegate:policy/evaluator@1.0.0\" (instance $i)))";
    let bytes = wat::parse_str(text).unwrap();
    let message = refusal(&bytes);
    assert!(message.starts_with("imports `wasi:http/types@0.2.6`, which"), "{message}");
    for recipe in ["wasm32-unknown-unknown", "--stub-wasi", "--disable all"] {
        assert!(message.contains(recipe), "{message}");
    }
    let report = inspect(&bytes);
    assert_eq!(report.kind, Kind::Component);
    assert_eq!(report.world.as_deref(), Some("phasegate:policy/policy@1.0.0"));
    assert!(!report.pure);
    let refused = ImportVerdict::Refused("a plugin gets no HTTP: the host asks the instances");
    assert_eq!(report.imports[0].verdict, refused);
    assert!(report.imports[1].is_allowed());
}

#[test]
fn inspection_reports_a_policy() {
    let report = inspect(&guests::component("clock").unwrap());
    assert_eq!(report.kind, Kind::Component);
    assert_eq!(report.world.as_deref(), Some("phasegate:policy/timed-policy@1.0.0"));
    assert_eq!(report.exports, ["phasegate:policy/evaluator@1.0.0"]);
    assert_eq!((report.pure, report.fits), (false, Ok(())));
    let report = inspect(&guests::component("good").unwrap());
    assert_eq!((report.pure, report.fits), (true, Ok(())));
}

#[test]
fn a_proposal_that_is_not_run_is_named() {
    for (text, expected) in [
        ("(component (core module (tag)))", "uses exception handling, a proposal of WebAssembly"),
        ("(component (core module (type (struct))))", "uses garbage collection, a proposal"),
        ("(component (core module (memory 1 1 shared)))", "uses threads, a proposal"),
        ("(component (core func (canon task.cancel)))", "uses async components, a proposal"),
        ("(component (core module (tag) (memory 1 1 shared)))", "uses several proposals, a proposal"),
    ] {
        let said = refusal(&wat::parse_str(text).unwrap());
        assert!(said.starts_with(expected) && said.ends_with("build it without"), "{text}: {said}");
    }
    // What is not valid at all stays damaged.
    let mut bytes = wat::parse_str("(component (core module (tag)))").unwrap();
    bytes.extend([1, 1, 1]);
    assert!(refusal(&bytes).starts_with("is damaged or incomplete"));
}
