//! Runs the case files of a plugin natively, in the author's own `cargo test`.
//!
//! ```no_run
//! # use phasegate_sdk::{Decision, Failure, NoSettings, Observation, Policy};
//! # struct MyPolicy;
//! # impl Policy for MyPolicy {
//! #     type Settings = NoSettings;
//! #     fn new(_: NoSettings) -> Result<Self, String> { Ok(Self) }
//! #     fn decide(&self, _: &Observation) -> Result<Decision, Failure> { Ok(Decision::healthy()) }
//! # }
//! phasegate_sdk::testkit::run_cases::<MyPolicy>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
//! ```
//!
//! The format is described in `plugins/README.md`; the host runs the same files on the component.
//! Deliberately native only: what the sandbox adds (limits, traps) is the host's to test.

mod base64;
mod case;
mod check;

use std::path::Path;

use crate::Policy;
use case::Case;

/// Runs every case of every `*.json` file of a folder, in the order of their names.
///
/// # Panics
/// When a case fails, with the name, the expected and the actual outcome of each one that does;
/// when a file is not a case file; and when there is no case at all.
#[expect(clippy::panic, reason = "it is an assertion, called from the author's test")]
pub fn run_cases<P: Policy>(folder: impl AsRef<Path>) {
    match run::<P>(folder.as_ref()) {
        Ok((_, failed)) if failed.is_empty() => {}
        Ok((count, failed)) => {
            panic!("{} of {count} cases failed\n\n{}", failed.len(), failed.join("\n\n"))
        }
        Err(why) => panic!("{why}"),
    }
}

/// How many cases there are and the descriptions of those that failed, or why they could not be
/// run.
fn run<P: Policy>(folder: &Path) -> Result<(usize, Vec<String>), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut count, mut failed) = (0_usize, Vec::new());
    for path in paths {
        let file = path.display();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
        for case in Case::parse_file(&text).map_err(|why| format!("{file}: {why}"))? {
            count = count.saturating_add(1);
            if let Err(why) = check::check::<P>(&case) {
                failed.push(format!("{file}: case `{}`\n{why}", case.name));
            }
        }
    }
    match count {
        0 => Err(format!("{}: no case found", folder.display())),
        _ => Ok((count, failed)),
    }
}

#[cfg(test)]
mod tests;
