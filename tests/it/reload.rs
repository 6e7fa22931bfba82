//! What a changed configuration file does to a running host, and what it leaves alone.

use crate::pipeline::{edit, generation, guest, site, started};

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
