//! Components of toolchains that know nothing of components, by the recipes of `plugins/README.md`.

use std::process::Command;

use crate::support::{Site, repository};

/// Componentizes a core module and runs the cases that all recipes share.
fn tested(core: &[u8]) {
    let site = Site::new();
    site.write("core.wasm", core);
    let made = site.run(&["plugin", "componentize", "core.wasm", "-o", "policy.wasm"]);
    assert_eq!(made.code, 0, "{made:?}");
    let cases = repository().join("tests/authors/cases").display().to_string();
    let tested = site.run(&["plugin", "test", "policy.wasm", "--cases", &cases]);
    assert!(tested.code == 0 && tested.stdout.contains("8 of 8 passed"), "{tested:?}");
    let inspected = site.run(&["plugin", "inspect", "policy.wasm"]);
    assert!(
        inspected.code == 0 && inspected.stdout.contains("phasegate:policy/policy@1.0.0"),
        "{inspected:?}"
    );
}

#[test]
fn text_by_hand() {
    let text = std::fs::read_to_string(repository().join("tests/authors/wat/policy.wat")).unwrap();
    tested(&wat::parse_str(text).unwrap());
}

#[test]
fn assemblyscript() {
    let folder = repository().join("tests/authors/assemblyscript");
    tested(&std::fs::read(folder.join("core.wasm")).unwrap());
    // Where its compiler is at hand, from the source.
    let out = Site::new();
    let compiled = Command::new("asc")
        .args(["policy.ts", "-O", "--runtime", "stub", "--use", "abort=policy/stop", "-o"])
        .arg(out.path("core.wasm"))
        .current_dir(&folder)
        .status();
    match compiled {
        Ok(status) => {
            assert!(status.success());
            tested(&std::fs::read(out.path("core.wasm")).unwrap());
        }
        Err(_) => eprintln!("no asc: the module that is kept was tested alone"),
    }
}

#[test]
fn what_exports_something_else_is_told_what_is_missing() {
    let site = Site::new();
    site.write("core.wasm", wat::parse_str("(module (memory (export \"memory\") 1))").unwrap());
    let refused = site.run(&["plugin", "componentize", "core.wasm", "-o", "policy.wasm"]);
    assert!(refused.code == 1 && refused.stderr.contains("evaluator"), "{refused:?}");
    let other = site.run(&["plugin", "componentize", "core.wasm", "-o", "policy.wasm", "--world", "door"]);
    assert!(other.code == 2 && other.stderr.contains("it can be policy or timed-policy"), "{other:?}");
}
