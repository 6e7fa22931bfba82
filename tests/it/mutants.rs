//! `plugin test --mutants`: what cases are worth.

use serde_json::Value;

use crate::support::{Site, repository};

fn gauge() -> String {
    repository().join("plugins/prometheus-gauge").display().to_string()
}

fn tried(site: &Site, more: &[&str]) -> (i32, Value) {
    let plugin = gauge();
    let args = [&["plugin", "test", plugin.as_str(), "--mutants", "--json"][..], more].concat();
    let finished = site.run(&args);
    let report = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    (finished.code, report)
}

#[test]
fn the_same_seed_makes_the_same_mutants_and_too_few_noticed_is_a_no() {
    let site = Site::new();
    let wanted = ["--count", "3", "--seed", "5", "--for", "3000", "--at-least", "0"];
    let (code, first) = tried(&site, &wanted);
    assert_eq!(code, 0, "{first}");
    let mutants = &first["mutants"];
    assert_eq!(mutants["reached"], 3, "{first}");
    let missed = mutants["missed"].as_array().unwrap().len() as u64;
    assert_eq!(mutants["noticed"].as_u64().unwrap() + missed, 3, "{first}");
    let unreached = mutants["unreached"].as_u64().unwrap();
    assert_eq!(mutants["coverage"], 300 / (3 + unreached), "{first}");
    let (_, again) = tried(&site, &wanted);
    assert_eq!(again["mutants"], first["mutants"]);
    let (code, report) = tried(&site, &["--count", "1", "--for", "3000", "--at-least", "101"]);
    assert_eq!((code, &report["good"]), (1, &Value::Bool(false)), "{report}");
}

#[test]
fn what_is_too_large_and_what_is_interpreted_is_not_tried() {
    let site = Site::new();
    let mut large =
        std::fs::read(repository().join("plugins/prometheus-gauge/prometheus-gauge.wasm")).unwrap();
    // A section of nine million bytes, which means nothing.
    large.extend([0x00, 0xc2, 0xa8, 0xa5, 0x04, 0x01, b'x']);
    large.resize(large.len() + 9_000_000, 0);
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("large.wasm", large);
    let cases = format!("{}/cases", gauge());
    let finished = site.run(&["plugin", "test", "large.wasm", "--cases", &cases, "--mutants"]);
    assert!(finished.code == 2 && finished.stderr.contains("takes too long"), "{finished:?}");
    let alone = site.run(&["plugin", "test", "large.wasm", "--cases", &cases, "--seed", "1"]);
    assert_eq!(alone.code, 2, "a seed of what? {alone:?}");
    let mut engine =
        std::fs::read(repository().join("plugins/prometheus-gauge/prometheus-gauge.wasm")).unwrap();
    engine.extend(b"\x00\x18\x05rusty rquickjs-core-0.1");
    site.write("engine.wasm", engine);
    let finished = site.run(&["plugin", "test", "engine.wasm", "--cases", &cases, "--mutants"]);
    assert!(finished.code == 2 && finished.stderr.contains("carries the JavaScript engine"), "{finished:?}");
}

/// Every second case of a plugin, in a folder of the site.
fn half(site: &Site, plugin: &str) -> String {
    std::fs::create_dir(site.path("half")).unwrap();
    let folder = repository().join("plugins").join(plugin).join("cases");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let kept: Vec<&Value> = cases.as_array().unwrap().iter().step_by(2).collect();
        count += kept.len();
        let name = path.file_name().unwrap().to_str().unwrap();
        site.write(&format!("half/{name}"), serde_json::to_string(&kept).unwrap());
    }
    assert!(count > 5, "{count}");
    site.path("half").display().to_string()
}

#[test]
fn half_of_the_cases_are_worth_clearly_less_than_all() {
    let site = Site::new();
    let plugin = repository().join("plugins/patroni").display().to_string();
    let share = |cases: &str| {
        let args = [
            "plugin",
            "test",
            &plugin,
            "--cases",
            cases,
            "--mutants",
            "--json",
            "--count",
            "60",
            "--seed",
            "1",
        ];
        let finished = site.run(&[&args[..], &["--at-least", "0", "--for", "3000"]].concat());
        let report: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
        assert_eq!(report["mutants"]["scope"], "lines", "{report}");
        // What no case comes to any more is worth nothing either.
        let of = |key: &str| report["mutants"][key].as_u64().unwrap();
        (of("percent"), of("noticed") * 100 / (of("reached") + of("unreached")))
    };
    let all = share(&repository().join("plugins/patroni/cases").display().to_string());
    let less = share(&half(&site, "patroni"));
    assert!(all.0 >= 90, "{all:?}");
    assert!(less.1 + 10 <= all.1, "all {all:?}, half {less:?}");
}
