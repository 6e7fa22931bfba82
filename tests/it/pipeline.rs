//! How a new component of a plugin takes over, and how it does not: every stage, the cache, the
//! gate, shadow and watch, history and the ways back.

use serde_json::Value;

use crate::http;
use crate::support::answers::Answers;
use crate::support::{Background, Site, fleet, guests, repository, wait_for};

/// Keys of `[[plugins]]` in front of the scale sets.
pub(crate) fn site(keys: &str) -> (Site, Answers) {
    let site = Site::new();
    let answers = Answers::start(&[1, 2, 1, 2]);
    let fleet = fleet::answered_by_the_test(&answers.ports, "db.wasm");
    site.write("db.wasm", azure_health());
    site.write(
        "phasegate.toml",
        fleet.toml().replace("[[scaleSets]]\n", &format!("{keys}\n[[scaleSets]]\n")),
    );
    (site, answers)
}

pub(crate) fn azure_health() -> Vec<u8> {
    std::fs::read(repository().join("plugins/azure-health/azure-health.wasm")).unwrap()
}

/// The same code under another digest.
pub(crate) fn variant(mark: u8) -> Vec<u8> {
    let mut bytes = azure_health();
    bytes.extend([0, 2, 1, mark]);
    bytes
}

pub(crate) fn guest(name: &str) -> Vec<u8> {
    guests::component(name).unwrap()
}

pub(crate) fn db(site: &Site) -> Value {
    let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
    plugins.into_iter().find(|plugin| plugin["name"] == "db").unwrap()
}

pub(crate) fn generation(site: &Site) -> u64 {
    db(site)["generation"].as_u64().unwrap()
}

/// State and note of a stage of the latest load.
pub(crate) fn stage(plugin: &Value, name: &str) -> (String, String) {
    let stages = plugin["load"]["stages"].as_array().unwrap();
    let stage = stages.iter().find(|stage| stage["name"] == name);
    let text = |key: &str| stage.and_then(|stage| stage[key].as_str()).unwrap_or("").to_owned();
    (text("state"), text("note"))
}

pub(crate) fn wait_for_error(site: &Site, text: &str) -> Value {
    wait_for(text, || {
        let plugin = db(site);
        plugin["lastError"].as_str().is_some_and(|error| error.contains(text)).then_some(plugin)
    })
}

pub(crate) fn wait_for_generation(site: &Site, wanted: u64) -> Value {
    wait_for("the generation", || {
        let plugin = db(site);
        (plugin["generation"] == wanted).then_some(plugin)
    })
}

pub(crate) fn judged_by(site: &Site, generation: u64) {
    site.wait_for_instances("decisions of the generation", |instance| {
        instance["plugin"]["generation"] == generation
    });
}

pub(crate) fn started<'a>(site: &'a Site) -> Background<'a> {
    let host = site.host();
    site.wait_until_healthy();
    host
}

#[test]
fn what_fails_at_a_stage_leaves_the_old_one() {
    let (site, _answers) = site("[plugins.gate]\nforbid = [\"phase-increase\"]");
    let host = started(&site);
    let half = azure_health();
    for (name, bytes, wanted) in [
        ("page", b"<html>".to_vec(), "shape"),
        ("half", half[..half.len() / 2].to_vec(), "shape"),
        ("refuses", guest("refuse-settings"), "configure"),
        ("traps", guest("trap-evaluate"), "rehearse"),
        ("last", guest("good"), "rehearse"),
    ] {
        site.write("new.wasm", bytes);
        let finished = site.run(&["plugin", "swap", "db", "new.wasm"]);
        assert_eq!(finished.code, 1, "{name}: {finished:?}");
        assert!(
            finished.stderr.contains(&format!("stage {wanted}: upload of new.wasm ")),
            "{name}: {finished:?}"
        );
        assert!(finished.stderr.contains("generation 1 ("), "{name}: {finished:?}");
        assert_eq!(stage(&db(&site), wanted).0, "failed", "{name}");
        assert_eq!(generation(&site), 1, "{name}");
    }
    let diff = site.json(&["plugin", "diff", "db"]);
    assert_eq!((diff["changed"].as_u64(), diff["instances"].as_u64()), (Some(4), Some(4)));
    assert!(diff["refusal"].as_str().unwrap().contains("phase-increase"), "{diff}");
    assert_eq!(diff["changes"][0]["changes"][0], "phase-increase");
    assert_eq!(diff["changes"][0]["from"]["phase"], 1);
    assert!(diff["changes"][0]["to"]["phase"].is_null());

    // A look without a swap, and a swap in spite of the gate.
    let dry = site.run(&["plugin", "swap", "db", "new.wasm", "--dry-run"]);
    assert_eq!(dry.code, 1, "the gate would refuse: {dry:?}");
    assert!(dry.stdout.contains("4 of 4 instances change"), "{dry:?}");
    assert_eq!(generation(&site), 1);
    let forced = site.run(&["plugin", "swap", "db", "new.wasm", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    judged_by(&site, 2);

    // Cases beside a file that is sent: the host never sees them.
    std::fs::create_dir_all(site.path("next/cases")).unwrap();
    site.write("next/new.wasm", variant(b'c'));
    site.write(
        "next/cases/a.json",
        r#"{"name":"never","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","response":{"status":200,"body":"{}"}}]},
            "expect":{"decision":{"health":"healthy","phase":7,"participation":"skip"}}}"#,
    );
    let untested = site.run(&["plugin", "swap", "db", "next/new.wasm"]);
    assert_eq!((untested.code, generation(&site)), (1, 2), "{untested:?}");
    let expected = "fails 1 of the 1 cases beside it, first \"never\" of a.json: it answers ";
    assert!(untested.stderr.contains(expected), "{untested:?}");
    assert!(untested.stderr.contains("nothing was sent"), "{untested:?}");

    // Cases beside the file that fail, then none; then a file whose gate refuses it.
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write(
        "cases/a.json",
        r#"[{"name":"never","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","status":200,"body":"{}"}]},
            "expect":{"decision":{"health":"healthy","phase":7,"participation":"skip"}}}]"#,
    );
    site.write("db.wasm", variant(b'a'));
    wait_for_error(&site, "stage self-test");
    std::fs::remove_dir_all(site.path("cases")).unwrap();
    assert_eq!(db(&site)["counters"]["refused"], 6);
    let metrics = http::request(site.port(), "GET /metrics", "");
    for line in [
        "phasegate_plugin_loads_total{plugin=\"db\",event=\"refused\"} 6",
        "phasegate_plugin_load_stage_seconds{plugin=\"db\",stage=\"self-test\",state=\"failed\"} ",
        "phasegate_line_stopped 0.0",
        "\n# EOF",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    host.stop();
}

#[test]
fn compiled_code_is_kept_and_never_trusted_blindly() {
    let (site, _answers) = site("");
    let compiled = || -> Vec<_> {
        let files = std::fs::read_dir(site.path("data/compiled")).unwrap().flatten().map(|file| file.path());
        files.filter(|path| !path.ends_with("key")).collect()
    };
    started(&site).stop();
    assert_eq!(compiled().len(), 1, "the built-in component is the same one");
    let host = started(&site);
    assert_eq!(stage(&db(&site), "compile"), ("passed".to_owned(), "cached".to_owned()));
    host.stop();
    for harm in ["cut", "changed"] {
        for path in compiled() {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if harm == "cut" {
                bytes.truncate(middle)
            } else {
                bytes[middle] ^= 0xff
            }
            std::fs::write(path, bytes).unwrap();
        }
        let host = started(&site);
        assert_eq!(stage(&db(&site), "compile"), ("passed".to_owned(), String::new()), "{harm}");
        assert!(site.log().contains("damaged or not ours"), "{harm}: {}", site.log());
        host.stop();
    }
}

#[test]
fn generations_come_back_under_new_numbers() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    site.write("new.wasm", guest("good"));
    assert_eq!(site.run(&["plugin", "swap", "db", "new.wasm"]).code, 0);
    judged_by(&site, 2);
    let back = site.run(&["plugin", "rollback", "db"]);
    assert_eq!(back.code, 0, "{back:?}");
    judged_by(&site, 3);
    assert_eq!(db(&site)["digest"], first);
    host.stop();

    let host = started(&site);
    assert_eq!(generation(&site), 3);
    let history = site.json(&["plugin", "history", "db"]);
    let numbers: Vec<u64> = history["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let settings = history["generations"][0]["settings"].as_str().unwrap();
    assert!(
        settings.starts_with("sha256:") && history["generations"][1]["settings"] == settings,
        "{history}"
    );
    let shown = site.run(&["plugin", "history", "db"]).stdout;
    assert!(shown.contains("SETTINGS") && shown.contains(&settings[7..19]), "{shown}");
    let missing = site.run(&["plugin", "rollback", "db", "--to", "9"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("has no generation 9 to go back to; it keeps 1, 2, 3"), "{missing:?}");
    assert_eq!(site.run(&["plugin", "rollback", "db", "--to", "2"]).code, 0);
    judged_by(&site, 4);
    host.stop();

    // A way back outlives a restart; a file that is broken at the start does not stop the host.
    site.write("db.wasm", "garbage");
    let host = started(&site);
    assert_eq!(generation(&site), 4);
    wait_for_error(&site, "stays active");
    host.stop();
}

#[test]
fn a_shadow_is_promoted_or_refused_by_its_gate() {
    let (site, _answers) = site(
        "strategy = \"shadow\"\n[plugins.gate]\nmaxChangedPercent = 20\nminObservations = 12\nminTime = \"PT0S\"",
    );
    let host = started(&site);
    site.write("new.wasm", guest("good"));
    let begun = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert_eq!(begun.code, 0, "{begun:?}");
    let refused = wait_for_error(&site, "stage shadow");
    assert!(refused["lastError"].as_str().unwrap().contains("changes 4 of 4 instances"), "{refused}");
    assert_eq!(generation(&site), 1);
    let diff = site.json(&["plugin", "diff", "db"]);
    assert!(diff["observations"].as_u64().unwrap() >= 12);
    assert_eq!((diff["compared"].as_u64(), diff["missed"].as_u64()), (Some(4), Some(0)), "{diff}");
    let metrics = http::request(site.port(), "GET /metrics", "");
    assert!(metrics.contains("phasegate_plugin_shadow_missed_total{plugin=\"db\"} 0"), "{metrics}");

    site.write("same.wasm", variant(b'b'));
    assert_eq!(site.run(&["plugin", "swap", "db", "same.wasm"]).code, 0);
    let promoted = wait_for_generation(&site, 2);
    assert_eq!(stage(&promoted, "shadow").0, "passed");
    assert!(promoted["lastError"].is_null(), "{promoted}");
    judged_by(&site, 2);
    host.stop();
}

#[test]
fn without_a_gate_a_person_decides_on_a_shadow() {
    let (site, _answers) = site("");
    let host = started(&site);
    assert_eq!(site.run(&["plugin", "diff", "db"]).code, 2, "nothing was compared");
    assert_eq!(site.run(&["plugin", "promote", "db"]).code, 1, "nothing to promote");
    site.write("new.wasm", guest("good"));
    let shadow = ["plugin", "swap", "db", "new.wasm", "--strategy", "shadow"];
    assert_eq!(site.run(&shadow).code, 0);
    wait_for("what it would change", || {
        let diff = site.json(&["plugin", "diff", "db"]);
        (diff["stage"] == "shadow" && diff["changed"] == 4).then_some(())
    });
    assert_eq!(db(&site)["stage"], "shadow");
    assert_eq!(site.run(&["plugin", "discard", "db"]).code, 0);
    assert_eq!((generation(&site), db(&site)["stage"].is_null()), (1, true));
    assert_eq!(site.run(&shadow).code, 0);
    assert_eq!(site.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&site, 2);
    assert_eq!(db(&site)["stage"], "watch");
    host.stop();
}

#[test]
fn a_shadow_goes_on_after_a_restart() {
    // One that was uploaded.
    let (uploaded, _answers) = site("");
    let host = started(&uploaded);
    uploaded.write("new.wasm", guest("good"));
    let shadow = ["plugin", "swap", "db", "new.wasm", "--strategy", "shadow"];
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    let host = started(&uploaded);
    let plugin = db(&uploaded);
    assert_eq!((&plugin["stage"], &plugin["lastError"]), (&"shadow".into(), &Value::Null), "{plugin}");
    assert!(stage(&plugin, "shadow").1.contains("after a restart"), "{plugin}");
    wait_for("what it would change", || {
        let diff = uploaded.json(&["plugin", "diff", "db"]);
        (diff["stage"] == "shadow" && diff["changed"] == 4).then_some(())
    });
    assert_eq!(uploaded.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&uploaded, 2);

    // What has ended stays so.
    uploaded.write("new.wasm", azure_health());
    assert_eq!(uploaded.run(&shadow).code, 0);
    assert_eq!(uploaded.run(&["plugin", "discard", "db"]).code, 0);
    host.stop();
    let host = started(&uploaded);
    assert_eq!((generation(&uploaded), db(&uploaded)["stage"].is_null()), (2, true));

    // One whose bytes are gone is named; the host starts without it.
    uploaded.write("new.wasm", variant(b'z'));
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    let digest = uploaded.json(&["plugin", "inspect", "new.wasm"])["digest"].as_str().unwrap().to_owned();
    let kept = format!("data/components/{}.wasm", digest.trim_start_matches("sha256:"));
    uploaded.write(&kept, "garbage");
    let host = started(&uploaded);
    let plugin = db(&uploaded);
    assert!(plugin["lastError"].as_str().unwrap().contains("judged beside the active one when"), "{plugin}");
    assert_eq!(generation(&uploaded), 2);
    // So is one beside a component that the configuration has replaced meanwhile.
    uploaded.write("new.wasm", variant(b'y'));
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    uploaded.write("db.wasm", variant(b'x'));
    let host = started(&uploaded);
    let plugin = wait_for_generation(&uploaded, 3);
    assert_eq!(plugin["stage"], "watch", "{plugin}");
    assert!(
        uploaded.log().contains("the shadow of upload of new.wasm ended: generation 3 "),
        "{}",
        uploaded.log()
    );
    host.stop();

    // One that the configuration names.
    let (named, _answers) = site("strategy = \"shadow\"");
    let host = started(&named);
    named.write("db.wasm", guest("good"));
    let is_shadow = || (db(&named)["stage"] == "shadow").then_some(());
    wait_for("a shadow", is_shadow);
    host.stop();
    let host = started(&named);
    is_shadow().unwrap();
    assert!(db(&named)["lastError"].is_null(), "{}", db(&named));
    assert_eq!(named.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&named, 2);
    host.stop();
    let host = started(&named);
    assert_eq!((generation(&named), &db(&named)["stage"]), (2, &"watch".into()), "its watch goes on");
    host.stop();
}

#[test]
fn a_generation_that_fails_more_is_taken_back() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    site.write("bad.wasm", guest("trap-evaluate"));
    let swapped = site.run(&["plugin", "swap", "db", "bad.wasm", "--strategy", "immediate"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    let back = wait_for_generation(&site, 3);
    assert_eq!(back["digest"], first);
    assert!(back["lastError"].as_str().unwrap().contains("going back to generation 1"), "{back}");
    assert_eq!(back["counters"]["reverted"], 1);
    judged_by(&site, 3);
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn nothing_with_another_digest_runs() {
    let (site, _answers) = site("digest = \"DIGEST\"");
    let digest = site.json(&["plugin", "inspect", "db.wasm"])["digest"].as_str().unwrap().to_owned();
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    site.write("phasegate.toml", toml.replace("DIGEST", &digest));
    let host = started(&site);
    site.write("new.wasm", variant(b'c'));
    let finished = site.run(&["plugin", "swap", "db", "new.wasm", "--force"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("stage digest"), "{finished:?}");
    site.write("db.wasm", variant(b'c'));
    wait_for_error(&site, "the configuration asks for");
    assert_eq!(generation(&site), 1);
    host.stop();
    // Not at a start either; the generation that was right goes on.
    assert_eq!(site.run(&["check"]).code, 1);
    let host = started(&site);
    assert_eq!((generation(&site), db(&site)["digest"].as_str()), (1, Some(digest.as_str())));
    host.stop();
    // What ran under another digest does not run under this one.
    let other = format!("sha256:{}", "0".repeat(64));
    edit(&site, &digest, &other);
    let refused = site.run(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains(&other), "{refused:?}");
}

pub(crate) fn edit(site: &Site, from: &str, to: &str) {
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    assert!(toml.contains(from), "{from}");
    site.write("phasegate.toml", toml.replacen(from, to, 1));
}

#[test]
fn a_reload_takes_over_all_or_nothing() {
    let (site, _answers) = site("");
    let host = started(&site);
    assert_eq!(site.json(&["reload"])["changed"], serde_json::json!([]));

    // A policy, a probe and a plugin at once.
    edit(&site, "maxBatchInstancePercent = 100", "maxBatchInstancePercent = 25");
    edit(&site, "intervalInSeconds = 0.1", "intervalInSeconds = 0.2");
    edit(&site, "timeoutMs = 200", "timeoutMs = 300");
    let changed = site.json(&["reload"])["changed"].clone();
    assert_eq!(changed, serde_json::json!(["scale set `orders` (health, upgradePolicy)", "plugin `db`"]));
    judged_by(&site, 2);
    let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
    assert_eq!(plan["batches"][0]["instances"].as_array().unwrap().len(), 1, "phase 1: one of two at a time");

    // A command that reads the same file cannot ask it for the address while it is wrong.
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let server = toml.split('"').nth(1).unwrap().to_owned();
    let plan_digest =
        || site.json(&["upgrade", "plan", "orders", "--to", "v2", "--server", &server])["digest"].clone();

    // What needs a restart or is wrong takes the rest down with it.
    for (from, to, message) in [
        (
            "stopTimeoutInSeconds = 2",
            "stopTimeoutInSeconds = 3",
            "driver.stopTimeoutInSeconds of scale set `orders` changed",
        ),
        ("dataDir = \"./data\"", "dataDir = \"./other\"", "server.dataDir changed"),
        ("settings = {}", "settings = {}\nsetings = 1", "setings"),
        ("component = \"db.wasm\"", "component = \"new.wasm\"", "stage rehearse"),
    ] {
        site.write("new.wasm", guest("trap-evaluate"));
        edit(&site, "maxBatchInstancePercent = 25", "maxBatchInstancePercent = 100");
        edit(&site, from, to);
        let refused = site.run(&["reload", "--server", &server]);
        assert_eq!(refused.code, 1, "{to}: {refused:?}");
        assert!(refused.stderr.contains(message), "{to}: {refused:?}");
        assert_eq!(plan_digest(), plan["digest"], "{to}");
        edit(&site, to, from);
        edit(&site, "maxBatchInstancePercent = 100", "maxBatchInstancePercent = 25");
    }
    assert_eq!(generation(&site), 2);

    // By signal.
    edit(&site, "component = \"db.wasm\"", "component = \"good.wasm\"");
    site.write("good.wasm", guest("good"));
    if hangup_is_ignored() {
        println!("NOT TESTED: SIGHUP; whoever runs this test has it ignored, and so has the host then");
        assert_eq!(site.run(&["reload"]).code, 0);
    } else {
        host.signal(rustix::process::Signal::HUP);
    }
    judged_by(&site, 3);
    host.stop();
}

/// Under `nohup` every program that is started has SIGHUP ignored, and the host respects that.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
