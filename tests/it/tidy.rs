//! Rules of the code that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// Modules that must stay pure: values in, values out.
const PURE: [&str; 1] = ["host/core/src"];

/// The one file among them that may read its settings: how many seeds to try.
const SETTINGS: &str = "host/core/src/sim/tests.rs";

/// What a pure module may not mention.
const IMPURE: [&str; 11] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "::now(",
    "HashMap",
    "rand::",
    "tracing",
    "async ",
    "SystemTime",
];

/// Files that may be longer than 500 lines. This list may only shrink.
const LONG: [&str; 0] = [];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

pub fn all_sources() -> Vec<(String, String)> {
    let root = repository();
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 50, "the sources were not found");
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_core_is_pure() {
    for (path, text) in all_sources() {
        if path == SETTINGS || !PURE.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for word in IMPURE {
                assert!(!code.contains(word), "{path}:{}: a pure module mentions `{word}`", number + 1);
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in all_sources() {
        assert!(text.starts_with("//!"), "{path}: begin with a `//!` header");
    }
}

#[test]
fn no_file_grows_without_end() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(lines <= 500 || LONG.contains(&path.as_str()), "{path}: {lines} lines (limit 500); split it");
    }
}

#[test]
fn generated_types_stay_in_one_file() {
    for (path, text) in all_sources() {
        let adapter = path.starts_with("host/wasm/src/contract/");
        let test = path.starts_with("tests/") || path.starts_with("guest-sdk/");
        assert!(
            adapter || test || !text.contains("bindgen!("),
            "{path}: generated types belong in host/wasm/src/contract"
        );
    }
}

#[test]
fn no_driver_imports_another() {
    let kinds = ["process", "command", "http"];
    for (path, text) in all_sources() {
        for kind in kinds.iter().filter(|kind| path.starts_with(&format!("host/src/drivers/{kind}/"))) {
            for other in kinds.iter().filter(|other| *other != kind) {
                let import = format!("drivers::{other}");
                assert!(!text.contains(&import), "{path}: a driver imports the driver `{other}`");
            }
        }
    }
}
