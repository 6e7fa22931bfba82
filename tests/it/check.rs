//! `phasegate check`.

use crate::support::{Site, fleet};

#[test]
fn ten_mistakes_are_told_at_once_with_their_lines() {
    let site = Site::new();
    site.write(
        "phasegate.toml",
        r#"[server]
listen = "0.0.0.0:8970"
datadir = "x"
[[plugins]]
name = "db"
component = "missing.wasm"
limits = { memoryMiB = 0, timeoutMs = "x" }
[[scaleSets]]
name = "or ders"
plugin = "dbx"
[scaleSets.health]
protocol = "udp"
intervalInSeconds = 0.01
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 4
pauseTimeBetweenBatches = "5s"
[scaleSets.driver]
kind = "process"
command = ["python3", "{prot}"]
[scaleSets.model]
version = "v1"
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1"
"#,
    );
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let numbers: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "7", "7", "9", "10", "12", "13", "15", "16", "19", "24"], "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("phasegate.toml:")), "{lines:#?}");
    assert!(finished.stdout.contains("did you mean \"dataDir\"?"), "{finished:?}");
}

#[test]
fn what_only_this_machine_shows_is_checked_too() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    databases.component = "missing.wasm".to_owned();
    databases.command = r#"["no-such-command-anywhere", "{port}"]"#.to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("missing.wasm"), "{finished:?}");
    assert!(finished.stdout.contains("no-such-command-anywhere"), "{finished:?}");

    let started = site.run(&["run"]);
    assert_eq!(started.code, 2, "a host does not begin with less than it was told to: {started:?}");
    assert!(started.stderr.contains("no-such-command-anywhere"), "{started:?}");
}

#[test]
fn a_component_that_does_not_load_is_a_problem_of_the_configuration() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    site.write("page.wasm", "<!doctype html><title>not found</title>");
    databases.component = "page.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("not WebAssembly"), "{finished:?}");
}

#[test]
fn settings_that_the_plugin_refuses_are_told_with_their_line() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    databases.settings = "{ maxLagByte = 1 }";
    let toml = databases.toml();
    let line = toml.lines().position(|line| line.starts_with("settings")).unwrap() + 1;
    site.write("phasegate.toml", toml);
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains(&format!("phasegate.toml:{line}:")), "{finished:?}");
    assert!(
        finished.stdout.contains("plugins[0].settings") && finished.stdout.contains("maxLagByte"),
        "{finished:?}"
    );
}

#[test]
fn a_component_that_is_too_large_is_not_read() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    std::fs::File::create(site.path("sparse.wasm")).unwrap().set_len(1 << 40).unwrap();
    databases.component = "sparse.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("1099511627776 bytes"), "{finished:?}");
    assert_eq!(site.run(&["plugin", "inspect", "/dev/zero"]).code, 2);
}

#[test]
fn good_and_unreadable_files() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(2).toml());
    let good = site.run(&["check"]);
    assert_eq!((good.code, good.stdout.as_str()), (0, ""), "{good:?}");
    site.write("binary.toml", b"[server]\nlisten = \"\xff\"\n");
    let binary = site.run(&["check", "-c", "binary.toml"]);
    assert_eq!(binary.code, 1, "{binary:?}");
    assert!(binary.stdout.starts_with("binary.toml:2:11: is not UTF-8"), "{binary:?}");
    let absent = site.run(&["check", "-c", "absent.toml"]);
    assert_eq!(absent.code, 2, "{absent:?}");
    assert!(absent.stderr.contains("cannot read `absent.toml`"), "{absent:?}");
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = std::fs::read_to_string(crate::support::repository().join("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    phasegate::config::parse(example, std::path::Path::new("phasegate.toml")).unwrap();
}
