//! Live decisions on real processes: the application changes its mind while its fleet is upgraded.

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Four instances, one at a time, a person between the phases.
fn toml(answers: &Answers, decisions: &str) -> String {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy = "maxBatchInstancePercent = 25\nmaxUnhealthyInstancePercent = 100";
    let rules = format!(
        "[scaleSets.upgradePolicy]\ndecisions = \"{decisions}\"\npauseAfterPhase = [0]\n\
         [scaleSets.upgradePolicy.rollingUpgradePolicy]\n"
    );
    set.toml().replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", &rules)
}

fn order(site: &Site) -> Vec<String> {
    let status = site.json(&["upgrade", "status", "orders"]);
    let batches = status["batches"].as_array().unwrap().iter();
    let ids = batches.flat_map(|batch| batch["instances"].as_array().unwrap().clone());
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// Upgrades phase 0, which is instance 0, then lets instance 1 say skip and the leader move from 3
/// to 2, then goes on.
fn upgrade_with_changed_minds(decisions: &str) -> (Vec<String>, Value, String, Value) {
    let answers = Answers::start(&[0, 1, 1, 2]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, decisions));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the end of phase 0", || {
        let status = site.run(&["upgrade", "status", "orders"]).stdout;
        status.contains("phase 0 is done").then_some(())
    });
    answers.set(1, 1, true);
    answers.set(2, 2, false);
    answers.set(3, 1, false);
    site.wait_for_instances("the new answers", |instance| {
        let wanted = [("0", 0, "proceed"), ("1", 1, "skip"), ("2", 2, "proceed"), ("3", 1, "proceed")];
        wanted.iter().any(|(id, phase, says)| {
            instance["id"] == *id && instance["phase"] == *phase && instance["participation"] == *says
        })
    });
    assert_eq!(site.run(&["upgrade", "resume", "orders"]).code, 0);
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (order, log) = (order(&site), site.run(&["upgrade", "log", "orders"]).stdout);
    let leader = site.json(&["upgrade", "explain", "orders", "2"]);
    host.stop();
    (order, ended.json(), log, leader)
}

#[test]
fn live_decisions_leave_out_who_says_skip_and_upgrade_the_new_leader_last() {
    let (order, status, log, leader) = upgrade_with_changed_minds("live");
    assert_eq!(order, ["0", "3", "2"]);
    assert_eq!(status["holds"][0]["instance"], "1", "{status}");
    assert_eq!(status["progress"]["successful"], 3);
    assert!(log.contains("(was: proceed in phase 1)"), "{log}");
    let admission = &leader["admission"];
    assert_eq!(
        (&admission["phase"], &admission["participation"]),
        (&2.into(), &"proceed".into()),
        "{leader}"
    );
    assert_eq!((&admission["batch"], &admission["health"]), (&3.into(), &"Healthy".into()), "{leader}");
    assert_eq!(
        leader["outcome"]["decision"]["phase"], 2,
        "the word on which it went, not that of the plan: {leader}"
    );
}

/// One says something that nobody understands, and all the same when its turn is.
#[test]
fn a_phase_is_one_whatever_the_health_is() {
    let answers = Answers::start(&[0, 0, 5]);
    let hello =
        r#"{"ApplicationHealthState":"Hello!","CustomMetrics":{"rollingUpgrade":{"PhaseOrderingNumber":3}}}"#;
    answers.say(1, hello);
    let site = Site::new();
    let configuration = toml(&answers, "snapshot").replace("pauseAfterPhase = [0]\n", "");
    site.write("phasegate.toml", &configuration);
    let host = site.host();
    let instances = site.wait_for_instances("a verdict on each", |it| it["health"] != "Initializing");
    let hello = &instances[1];
    let said = (&hello["health"], &hello["phase"], &hello["participation"], &hello["held"]["code"]);
    assert_eq!(said, (&"Unknown".into(), &3.into(), &"proceed".into(), &"unknown".into()), "{hello}");
    let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
    let held = &plan["holds"][0];
    assert_eq!(
        (&held["instance"], &held["phase"], &held["participation"]),
        (&"1".into(), &3.into(), &"proceed".into())
    );
    host.stop();

    let first = "maxBatchInstancePercent = 25\nprioritizeUnhealthyInstances = true";
    site.write("phasegate.toml", configuration.replace("maxBatchInstancePercent = 25", first));
    let host = site.host();
    site.wait_for_instances("a verdict on each", |it| it["health"] != "Initializing");
    let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
    let order: Vec<&Value> =
        plan["batches"].as_array().unwrap().iter().map(|it| &it["instances"][0]).collect();
    assert_eq!(order, ["0", "1", "2"], "in phase 3: {plan}");
    host.stop();
}

#[test]
fn a_snapshot_is_what_was_said_at_the_start() {
    let (order, status, _, _) = upgrade_with_changed_minds("snapshot");
    assert_eq!(order, ["0", "1", "2", "3"]);
    assert_eq!(status["progress"]["successful"], 4);
}
