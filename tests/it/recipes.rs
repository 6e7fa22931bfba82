//! Components of toolchains that know nothing of components, by the recipes of `plugins/README.md`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Finished, Site, repository};

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

/// Whether the toolchain has a target; says so where it does not.
fn has_target(target: &str) -> bool {
    let asked =
        Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output().unwrap();
    let has = Path::new(String::from_utf8(asked.stdout).unwrap().trim()).is_dir();
    if !has {
        eprintln!("NOT TESTED: the toolchain has no {target}");
    }
    has
}

/// The project of `plugin new --lang rust`, built by cargo alone for a target; none where that cannot be.
fn rust(site: &Site, target: &str) -> Option<PathBuf> {
    if !has_target(target) {
        return None;
    }
    assert_eq!(site.run(&["plugin", "new", "game", "--lang", "rust"]).code, 0);
    let built: Finished = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--offline", "--target", target, "--target-dir", "target"])
        .current_dir(site.path("game"))
        .output()
        .unwrap()
        .into();
    if built.code != 0 && built.stderr.contains("offline") {
        eprintln!("NOT TESTED: the crates are not on this machine");
        return None;
    }
    assert_eq!(built.code, 0, "{built:?}");
    Some(site.path(&format!("game/target/{target}/release/game.wasm")))
}

/// The cases of a new project pass, and `inspect` sees what a host would take.
fn passes(site: &Site, component: &Path) -> String {
    let component = component.display().to_string();
    let cases = site.path("game/cases").display().to_string();
    let tested = site.run(&["plugin", "test", &component, "--cases", &cases]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let inspected = site.run(&["plugin", "inspect", &component]);
    assert_eq!(inspected.code, 0, "{inspected:?}");
    inspected.stdout
}

#[test]
fn rust_for_wasi_0_2_runs_as_cargo_writes_it() {
    let site = Site::new();
    let Some(component) = rust(&site, "wasm32-wasip2") else { return };
    let inspected = passes(&site, &component);
    assert!(inspected.contains("wasi:"), "it brings WASI, which a host stands in for: {inspected}");
}

#[test]
fn rust_for_wasi_preview_1_gets_a_stand_in() {
    let site = Site::new();
    let Some(core) = rust(&site, "wasm32-wasip1") else { return };
    let core = core.display().to_string();
    let made = site.run(&["plugin", "componentize", &core, "-o", "policy.wasm"]);
    assert_eq!(made.code, 0, "{made:?}");
    let inspected = passes(&site, &site.path("policy.wasm"));
    assert!(!inspected.contains("wasi:"), "nothing is left of it: {inspected}");
}

/// `zig`, or the one of a wheel that `plugins/build.sh` has installed.
fn zig() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_phasegate")).parent()?.parent()?;
    let places = [PathBuf::from("zig"), target.join("plugins/python/bin/python-zig")];
    let works =
        |zig: &PathBuf| Command::new(zig).arg("version").output().is_ok_and(|said| said.status.success());
    places.into_iter().find(works)
}

#[test]
fn cpp_for_wasi_preview_1_with_its_own_commands() {
    let Some(zig) = zig() else {
        eprintln!("NOT TESTED: there is no zig");
        return;
    };
    let site = Site::new();
    assert_eq!(site.run(&["plugin", "new", "game", "--lang", "cpp"]).code, 0);
    let path = site.path("game/policy.cpp");
    let source = std::fs::read_to_string(&path).unwrap();
    // Output by the library, which is WASI's `fd_write`.
    let judge = "void judge_response(const Response &seen, Result &out) {\n";
    let says = format!("{judge}  std::printf(\"status %u\\n\", unsigned{{seen.status}});\n");
    let source =
        source.replace(judge, &says).replace("#include <cstdint>", "#include <cstdint>\n#include <cstdio>");
    std::fs::write(&path, source).unwrap();
    let compile = |language: &str, args: &[&str]| {
        let target = [language, "-target", "wasm32-wasi", "-O2"];
        let done = Command::new(&zig).args(target).args(args).current_dir(site.path("game")).output();
        let done: Finished = done.unwrap().into();
        assert_eq!(done.code, 0, "{done:?}");
    };
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(site.path("game/bindings")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "c") {
            let object = file.with_extension("o").display().to_string();
            compile("cc", &["-c", &file.display().to_string(), "-o", &object]);
            objects.push(object);
        }
    }
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let own = [
        "-mexec-model=reactor",
        "-std=c++20",
        "-fno-exceptions",
        "-fno-rtti",
        "policy.cpp",
        "-o",
        "core.wasm",
    ];
    compile("c++", &[&own[..], &objects].concat());
    let core = site.path("game/core.wasm").display().to_string();
    let made = site.run(&["plugin", "componentize", &core, "-o", "policy.wasm"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(!passes(&site, &site.path("policy.wasm")).contains("wasi:"), "nothing is left of it");
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
