//! `configure`, and components that do not come up.

use std::time::Duration;

use super::{guests, refusal};
use crate::{Isolation, Limits};

#[test]
fn plugins_that_fail_in_configure_are_refused() {
    for (name, expected) in [
        (
            "loop-configure",
            "failed in `configure`: ran longer than 300 ms; raise limits.timeoutMs or make the plugin faster",
        ),
        (
            "loop-start",
            "does not start: ran longer than 300 ms; raise limits.timeoutMs or make the plugin faster",
        ),
        (
            "memory-bomb-configure",
            "failed in `configure`: needed more than 8 MiB of memory; raise limits.memoryMiB or make the \
             plugin leaner",
        ),
        (
            "memory-huge",
            "does not start: needed more than 8 MiB of memory; raise limits.memoryMiB or make the plugin \
             leaner",
        ),
        (
            "trap-configure",
            "failed in `configure`: trapped: wasm `unreachable` instruction executed in configure",
        ),
    ] {
        assert_eq!(refusal(name), expected, "{name}");
    }
}

#[test]
fn the_limit_of_the_start_is_named_as_it_is() {
    let bytes = guests::component("loop-configure").unwrap();
    let limits = Limits { fuel: 100_000, timeout: Duration::from_secs(60), ..super::LIMITS };
    let error = super::runtime().load(&bytes, "{}", limits, Isolation::PerBatch).err();
    let said = error.unwrap().to_string();
    assert!(said.starts_with("failed in `configure`: used more than 1000000 fuel"), "{said}");
}

#[test]
fn a_refusal_of_settings_is_shown_bounded_and_harmless() {
    let message = refusal("refuse-settings");
    assert!(message.starts_with("refuses its settings: \\u{1b}[2J\\nxxx"), "{message}");
    assert!(message.ends_with("xxx… (100000 bytes in all)"), "{message}");
    assert!(message.len() < 2200, "{}", message.len());
}

#[test]
fn settings_reach_the_plugin() {
    let bytes = guests::component("echo-settings").unwrap();
    let settings = "{\"path\":\"/é\"}";
    let error = super::runtime().load(&bytes, settings, super::LIMITS, Isolation::PerBatch).err();
    assert_eq!(error.unwrap().to_string(), format!("refuses its settings: {settings}"));
}

#[test]
fn a_loaded_plugin_says_what_it_is() {
    let bytes = guests::component("good").unwrap();
    let runtime = super::runtime();
    let limits = Limits { memory_mib: 1, timeout: Duration::from_millis(50), ..super::LIMITS };
    let plugin = runtime.load(&bytes, "{}", limits, Isolation::Reused).unwrap();
    assert_eq!(plugin.digest(), crate::inspect(&bytes).digest);
    assert!(plugin.is_pure());
    assert_eq!(plugin.world(), Some("phasegate:policy/policy@1.0.0"));
    assert!(!super::load("clock").is_pure());
}
