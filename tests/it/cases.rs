//! The cases of every plugin, on its prebuilt component, and on a fresh build when CI made one.
//!
//! The same files run natively in the tests of the Rust plugins; here they prove that the component
//! that stands beside the source does what the source says, so a stale one fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use phasegate_wasm::{CONTRACT, cases, trial};
use phasegate_wasm::{Limits, Runtime};

use crate::support::repository;

/// Components that are not committed: they carry a language runtime.
const LARGE: [&str; 4] = ["json-rules", "game-sessions", "elasticsearch-node", "maintenance-window"];

/// Runs all cases of one plugin on one component; nothing may fail, and it may keep no state.
fn run(name: &str, component: &Path) {
    let shown = component.display();
    let bytes = std::fs::read(component).unwrap_or_else(|error| panic!("{shown}: {error}"));
    // Time enough for a machine that does much else.
    let limits = Limits { memory_mib: 32, timeout: Duration::from_secs(5), ..Limits::DEFAULT };
    let plugin = Runtime::new(phasegate::clock::Clock::shared())
        .unwrap()
        .compile(&bytes)
        .unwrap_or_else(|error| panic!("{shown} {error}"));
    let cases = cases::read(&repository().join("plugins").join(name).join("cases")).unwrap();
    assert!(cases.len() >= 15, "{name} has only {} cases", cases.len());
    let trial = trial::run(&plugin, &cases, limits).unwrap_or_else(|error| panic!("{shown} {error}"));
    let failed: Vec<_> = trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).collect();
    assert!(failed.is_empty(), "{shown}: {failed:#?}");
    assert!(trial.states.is_empty(), "{shown}: {:#?}", trial.states);
}

fn plugins() -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(repository().join("plugins")).unwrap().flatten();
    let plugins: Vec<_> = folders
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(_, path)| path.join("cases").is_dir())
        .collect();
    assert!(plugins.len() >= 8, "the plugins were not found");
    plugins
}

#[test]
fn prebuilt_components_answer_as_their_cases_say() {
    for (name, path) in plugins() {
        if !LARGE.contains(&name.as_str()) {
            run(&name, &path.join(format!("{name}.wasm")));
        }
    }
}

/// CI builds every plugin from source and names the folder; what it could not build, it names too.
#[test]
fn fresh_components_answer_as_their_cases_say() {
    let Some(fresh) = std::env::var_os("PHASEGATE_FRESH_PLUGINS").map(PathBuf::from) else {
        eprintln!("no fresh components; build them with plugins/build.sh --out DIR");
        return;
    };
    let skipped = std::fs::read_to_string(fresh.join("skipped")).unwrap_or_default();
    for (name, _) in plugins() {
        match skipped.lines().find(|line| line.starts_with(&format!("{name}: "))) {
            Some(line) => eprintln!("NOT TESTED {line}"),
            None => run(&name, &fresh.join(format!("{name}.wasm"))),
        }
    }
}

#[test]
fn prebuilt_components_import_nothing_but_the_contract() {
    for (name, path) in plugins() {
        if LARGE.contains(&name.as_str()) {
            continue;
        }
        let report = phasegate_wasm::inspect(&std::fs::read(path.join(format!("{name}.wasm"))).unwrap());
        assert_eq!(report.fits, Ok(()), "{name}");
        assert!(report.pure, "{name}");
        // The names of functions and the lines of the source are 20 kB of them.
        assert!(report.size < 220_000, "{name}: {} bytes", report.size);
    }
}

/// What `plugin new` copied into a plugin is still what it would write today.
#[test]
fn copies_in_the_plugins_are_those_of_the_templates() {
    let read =
        |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut copies = 0;
    for (name, path) in plugins() {
        if path.join("wit").exists() {
            assert_eq!(read(path.join("wit/policy.wit")), CONTRACT, "{name}");
            copies += 1;
        }
    }
    assert_eq!(copies, 6);
    for (plugin, language, files) in [
        ("prometheus-gauge", "c", &["bindings/policy.c", "bindings/policy.h"][..]),
        ("edge-battery", "zig", &["src/contract.zig"]),
        (
            "elasticsearch-node",
            "typescript",
            &["src/contract.ts", "src/types.ts", "src/engine.d.ts", "src/json.ts"],
        ),
        ("game-sessions", "javascript", &["src/contract.js", "src/json.js"]),
        ("json-rules", "python", &["guard.py"]),
        (
            "maintenance-window",
            "go",
            &["contract/abi.go", "contract/contract.go", "contract/native.go", "clock/clock.go"],
        ),
    ] {
        for file in files {
            let copy = read(repository().join("plugins").join(plugin).join(file));
            let template = read(repository().join("host/templates").join(language).join(file));
            assert_eq!(copy, template.replace("@NAME@", plugin), "{plugin}: {file}");
        }
    }
}
