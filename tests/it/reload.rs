//! What a changed configuration file does to a running host, and what it leaves alone.

use crate::support::plugin::{
    azure_health, db, edit, generation, guest, judged_by, site, started, variant, wait_for_generation,
};

#[test]
fn what_becomes_of_instances_while_their_plugin_fails_changes_at_once() {
    let (site, answers) = site("onFailure = \"azure\"");
    site.write("db.wasm", guest("poison"));
    let host = started(&site);
    (0..4).for_each(|instance| answers.say(instance, "X"));
    let all = |held: &str| {
        site.wait_for_instances(held, |instance| {
            instance["health"] == "Unknown" && instance["held"]["code"].as_str().unwrap_or("no") == held
        });
    };
    all("no");
    for (from, to, held) in [("azure", "hold", "plugin-failed"), ("hold", "azure", "no")] {
        edit(&site, &format!("onFailure = \"{from}\""), &format!("onFailure = \"{to}\""));
        assert_eq!(site.json(&["reload"])["changed"], serde_json::json!(["plugin `db`"]));
        all(held);
        assert_eq!(generation(&site), 1, "the component is the same");
        let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
        assert_eq!(plan["batches"].as_array().unwrap().is_empty(), to == "hold", "{plan}");
    }
    host.stop();
}

#[test]
fn what_is_recorded_needs_a_restart() {
    let (site, _answers) = site("[recording]\nredact = [\"/password\"]");
    let host = started(&site);
    edit(&site, "[\"/password\"]", "[\"/password\", \"/role\"]");
    let refused = site.run(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("needs a restart: recording.redact changed"), "{refused:?}");
    host.stop();
}

#[test]
fn other_limits_are_for_what_runs() {
    let (site, _answers) = site("");
    let host = started(&site);
    let digest = || db(&site)["digest"].clone();
    let first = digest();
    let reloaded = |from: &str, to: &str| {
        edit(&site, from, to);
        site.json(&["reload"])
    };

    // A way back stands, though the file names the newer one.
    site.write("db.wasm", guest("good"));
    wait_for_generation(&site, 2);
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    let outcome = reloaded("timeoutMs = 200", "timeoutMs = 201");
    assert_eq!(outcome["changed"], serde_json::json!(["plugin `db`"]));
    assert!(outcome["warnings"][0].as_str().unwrap().contains("as when it was looked at last"), "{outcome}");
    assert_eq!((generation(&site), digest()), (4, first));

    // So does an upload, also after a restart.
    site.write("upload.wasm", variant(b'u'));
    assert_eq!(site.run(&["plugin", "swap", "db", "upload.wasm"]).code, 0);
    let uploaded = digest();
    reloaded("timeoutMs = 201", "timeoutMs = 202");
    assert_eq!((generation(&site), digest()), (6, uploaded.clone()));
    host.stop();
    let host = started(&site);
    assert_eq!((generation(&site), digest()), (6, uploaded.clone()));

    // Another component is said, and is it that the file names another one.
    site.write("other.wasm", azure_health());
    let outcome = reloaded("component = \"db.wasm\"", "component = \"other.wasm\"");
    let said = outcome["changed"][0].as_str().unwrap();
    assert!(said.starts_with("plugin `db` (component ") && said.contains(" -> "), "{outcome}");
    judged_by(&site, 7);

    // A fetch of nothing new, a gate: nothing takes over.
    reloaded("component = \"other.wasm\"", "component = \"other.wasm\"\nwatchTime = \"PT2M\"");
    assert_eq!(generation(&site), 7);
    host.stop();
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
pub(crate) fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
