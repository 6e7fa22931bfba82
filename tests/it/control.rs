//! What a person may tell an upgrade: exact plans, pauses, checkpoints, rollback, the audit trail.

use crate::support::{Site, fleet, wait_for};

fn versions(site: &Site) -> Vec<String> {
    site.instances().iter().map(|instance| instance["version"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn exactly_the_plan_that_was_shown_or_nothing() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
    let digest = plan["digest"].as_str().unwrap();
    let other = site.run(&["upgrade", "start", "orders", "--to", "v3", "--plan", digest]);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.stderr.contains("nothing was started"), "{other:?}");
    assert_eq!(site.run(&["upgrade", "start", "orders", "--plan", "sha256:zz"]).code, 2);
    let exact = site.run(&["upgrade", "start", "orders", "--to", "v2", "--plan", digest, "--wait"]);
    assert_eq!(exact.code, 0, "{exact:?}");
    let late = site.run(&["upgrade", "start", "orders", "--to", "v2", "--plan", digest]);
    assert_eq!(late.code, 1, "everybody is there now: {late:?}");
    host.stop();
}

#[test]
fn a_checkpoint_waits_and_a_rollback_brings_everybody_back() {
    let site = Site::new();
    let policy = "[scaleSets.upgradePolicy]\napprovalBeforePhase = [1]\n";
    let toml = fleet::databases(3).toml();
    let toml = toml.replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", policy);
    site.write("phasegate.toml", toml.replace("maxBatchInstancePercent = 20\n", ""));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the checkpoint before the leader", || {
        let status = site.run(&["upgrade", "status", "orders"]);
        status.stdout.contains("phase 1 needs `phasegate upgrade approve orders`").then_some(())
    });
    assert_eq!(versions(&site), ["v1", "v2", "v2"], "the leader is the first instance");
    assert_eq!(site.run(&["upgrade", "approve", "orders"]).code, 0);
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    assert_eq!(versions(&site), ["v2", "v2", "v2"]);

    let back = site.run(&["upgrade", "rollback", "orders", "--wait", "--json"]);
    assert_eq!(back.code, 0, "{back:?}");
    let status = back.json();
    let batches = status["batches"].as_array().unwrap().iter();
    let order: Vec<&str> = batches
        .flat_map(|batch| batch["instances"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_eq!(order, ["0", "2", "1"], "newest first");
    assert_eq!(versions(&site), ["v1", "v1", "v1"]);
    assert_eq!(site.run(&["upgrade", "rollback", "orders"]).code, 1, "a rollback is not rolled back");

    let log = site.json(&["upgrade", "log", "orders"]);
    let entries = log["entries"].as_array().unwrap();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    for kind in ["start", "plan", "decision", "apply", "applied", "succeeded", "batch", "approve", "end"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
    let decision = entries.iter().find(|entry| entry["kind"] == "decision").unwrap();
    let text = decision["text"].as_str().unwrap();
    assert!(text.contains("plugin db sha256:") && text.contains("generation 1"), "{text}");
    host.stop();
}

#[test]
fn a_rollback_in_the_middle_stops_first_and_then_goes_back() {
    let site = Site::new();
    let mut databases = fleet::databases(5);
    databases.policy = "maxBatchInstancePercent = 20\npauseTimeBetweenBatches = \"PT1S\"";
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    // It plans when everybody has been asked.
    wait_for("the first batch", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["progress"]["inProgress"] == 1).then_some(())
    });
    assert_eq!(site.run(&["upgrade", "pause", "orders"]).code, 0);
    wait_for("the pause", || {
        site.run(&["upgrade", "status", "orders"]).stdout.contains("a person: paused").then_some(())
    });
    let status = site.json(&["upgrade", "status", "orders"]);
    assert_eq!((&status["progress"]["successful"], &status["progress"]["pending"]), (&1.into(), &4.into()));
    let back = site.run(&["upgrade", "rollback", "orders", "--wait"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert!(versions(&site).iter().all(|version| version == "v1"), "{back:?}");
    for verb in ["pause", "resume", "approve", "cancel"] {
        assert_eq!(site.run(&["upgrade", verb, "orders"]).code, 1, "{verb} without a running upgrade");
    }
    host.stop();
}
