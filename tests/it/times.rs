//! Upgrades that take too long, through the command line: what ends them, and what is left.

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Instances in these phases, one at a time, with more of a policy.
fn toml(answers: &Answers, policy: &str) -> String {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy = "maxBatchInstancePercent = 34\nmaxUnhealthyInstancePercent = 100";
    let rules =
        format!("[scaleSets.upgradePolicy]\n{policy}\n[scaleSets.upgradePolicy.rollingUpgradePolicy]\n");
    set.toml().replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", &rules)
}

fn versions(site: &Site) -> Vec<Value> {
    site.instances().iter().map(|instance| instance["version"].clone()).collect()
}

#[test]
fn a_batch_that_takes_too_long_is_brought_back_also_over_a_kill() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    // Nobody can pass the gate before the time of the batch is over.
    let policy = "batchTimeout = \"PT4S\"\nhealthGate = { wait = \"PT10M\", deadline = \"PT20M\" }";
    site.write("phasegate.toml", toml(&answers, policy));
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stderr.contains("batchTimeout (4 s) is less than"), "{checked:?}");
    let host = site.host();
    site.wait_until_healthy();
    // What answers is the test; a version without a process before it has no way back.
    wait_for("the first starts", || (versions(&site) == ["v1", "v1", "v1"]).then_some(()));
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let waiting = wait_for("a batch in flight", || {
        let detail = site.json(&["upgrade", "status", "orders", "--detail"]);
        let waiting = detail["waitingFor"].clone();
        (detail["status"]["batches"][0]["state"] == "InProgress").then_some(waiting)
    });
    assert!(waiting["text"].as_str().unwrap().contains("batchTimeout ends the upgrade in"), "{waiting}");
    assert!(waiting["until"].is_string(), "{waiting}");
    host.kill();
    site.wait_until_nothing_is_left();
    let host = site.host();
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let status = ended.json();
    assert_eq!(status["state"], "Faulted");
    assert_eq!(status["error"]["code"], "RollingUpgradeTimeoutError", "{status}");
    assert_eq!(status["progress"]["failed"], 1);
    wait_for("the version before", || (versions(&site) == ["v1", "v1", "v1"]).then_some(()));
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("batchTimeout = 4 s is over"), "{log}");
    host.stop();
}

#[test]
fn an_approval_that_nobody_gives_ends_it_and_takes_all_of_it_back() {
    let answers = Answers::start(&[0, 1, 1]);
    let site = Site::new();
    let policy = "approvalBeforePhase = [1]\napprovalTimeout = \"PT1S\"\nonTimeout = \"rollback\"";
    site.write("phasegate.toml", toml(&answers, policy));
    let host = site.host();
    site.wait_until_healthy();
    wait_for("the first starts", || (versions(&site) == ["v1", "v1", "v1"]).then_some(()));
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("approvalTimeout = 1 s is over"), "{log}");
    let status = wait_for("the rollback", || {
        let detail = site.json(&["upgrade", "status", "orders", "--detail"]);
        (!detail["rollsBack"].is_null() && detail["status"]["state"] == "Completed").then_some(detail)
    });
    assert_eq!(status["status"]["progress"]["successful"], 1, "the one of phase 0");
    assert_eq!(versions(&site), ["v1", "v1", "v1"]);
    host.stop();
}

#[test]
fn a_canary_that_says_skip_keeps_its_checkpoint() {
    let answers = Answers::start(&[0, 1, 1]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, "pauseAfterPhase = [0]"));
    let host = site.host();
    site.wait_until_healthy();
    wait_for("the first starts", || (versions(&site) == ["v1", "v1", "v1"]).then_some(()));
    answers.set(0, 0, true);
    site.wait_for_instances("the skip", |instance| {
        instance["id"] != "0" || instance["participation"] == "skip"
    });
    let planned = site.run(&["upgrade", "plan", "orders", "--to", "v2"]);
    assert!(planned.stdout.contains("all its instances are left out"), "{planned:?}");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the checkpoint", || {
        let status = site.run(&["upgrade", "status", "orders"]).stdout;
        status.contains("nobody of phase 0 was upgraded").then_some(())
    });
    assert_eq!(versions(&site), ["v1", "v1", "v1"]);
    assert_eq!(site.run(&["upgrade", "resume", "orders"]).code, 0);
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(versions(&site), ["v1", "v2", "v2"]);
    host.stop();
}
