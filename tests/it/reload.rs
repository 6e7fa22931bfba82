//! What a changed configuration file does to a running host, and what it leaves alone.

use crate::pipeline::{
    azure_health, db, edit, generation, guest, judged_by, site, started, variant, wait_for_generation,
};

#[test]
fn what_becomes_of_instances_while_their_plugin_fails_changes_at_once() {
    let (site, answers) = site("onFailure = \"azure\"");
    site.write("db.wasm", guest("poison"));
    let host = started(&site);
    (0..4).for_each(|instance| answers.say(instance, "X"));
    let all = |participation: &str| {
        site.wait_for_instances(participation, |instance| {
            instance["health"] == "Unknown" && instance["participation"] == participation
        });
    };
    all("proceed");
    for (from, to, participation) in [("azure", "hold", "skip"), ("hold", "azure", "proceed")] {
        edit(&site, &format!("onFailure = \"{from}\""), &format!("onFailure = \"{to}\""));
        assert_eq!(site.json(&["reload"])["changed"], serde_json::json!(["plugin `db`"]));
        all(participation);
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
