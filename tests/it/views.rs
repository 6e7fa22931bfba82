//! Every view of an upgrade against its members: what is counted is what is named, and nobody is named twice or
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::http::request;
use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// One of each kind: 0 and 4 are well, 1 says skip, nobody understands 2, the driver fails on 3, a person skips 5,
/// and 6 is protected.
fn prepared() -> (Site, Answers) {
    let answers = Answers::start(&[0; 7]);
    answers.set(1, 0, true);
    answers.say(2, r#"{"ApplicationHealthState":"Hello!"}"#);
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy = "maxBatchInstancePercent = 15\nmaxUnhealthyInstancePercent = 100\n\
                  maxUnhealthyUpgradedInstancePercent = 100";
    let toml = set.toml();
    let (driver, model) = (toml.find("[scaleSets.driver]").unwrap(), toml.find("[scaleSets.model]").unwrap());
    let command = r#"[scaleSets.driver]
kind = "command"
command = ["sh", "-c", "case {id} in 3) echo no disk >&2; exit 65;; esac", "{version}"]
"#;
    let protected = "id = \"6\"\nprotectionPolicy = { protectFromScaleSetActions = true }\n";
    let toml = format!("{}{command}{}", &toml[..driver], &toml[model..]).replace("id = \"6\"\n", protected);
    let site = Site::new();
    site.write("phasegate.toml", toml);
    (site, answers)
}

fn ids<'a>(list: &'a Value) -> Vec<&'a str> {
    let id = |one: &'a Value| one.as_str().or_else(|| one["instance"].as_str()).unwrap();
    list.as_array().unwrap().iter().map(id).collect()
}

/// Compares whatever tells of the latest upgrade, and gives its counts.
fn compare(site: &Site) -> [u64; 4] {
    let detail = site.json(&["upgrade", "status", "orders", "--detail"]);
    let status = &detail["status"];
    let progress = &status["progress"];
    let counts = ["successful", "failed", "inProgress", "pending"].map(|one| progress[one].as_u64().unwrap());
    let planned: Vec<&str> =
        status["batches"].as_array().unwrap().iter().flat_map(|batch| ids(&batch["instances"])).collect();
    // One that was refused at the door has counted nothing, and has touched nobody.
    let refused = status["error"]["code"].as_str().is_some_and(|code| code.contains("BeforeRollingUpgrade"));
    assert!(refused || planned.len() as u64 == counts.iter().sum::<u64>(), "members and counts: {detail}");
    let held = ids(&status["holds"]);
    let all: BTreeSet<&str> = planned.iter().chain(&held).copied().collect();
    assert_eq!(all.len(), planned.len() + held.len(), "each once: {detail}");
    let not_yet = ids(&detail["notYet"]);
    let waits = if refused { planned.len() as u64 } else { counts[1] + counts[2] + counts[3] };
    let left = held.len() as u64 + waits;
    assert_eq!(not_yet.len() as u64, left, "a reason for each that has not succeeded: {detail}");

    let instances = site.instances();
    let rolls_back = !detail["rollsBack"].is_null();
    assert!(rolls_back || all.len() as u64 + detail["alreadyLatest"].as_u64().unwrap() == 7, "{detail}");
    for instance in &instances {
        let id = instance["id"].as_str().unwrap();
        let has = instance["version"] == detail["to"];
        let is_done = planned.contains(&id) && !not_yet.contains(&id);
        assert!(has == is_done || !all.contains(id), "{id}: {instance} and {detail}");
    }
    let mut runs: BTreeMap<String, u64> = BTreeMap::new();
    for instance in &instances {
        *runs.entry(instance["version"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for told in detail["runs"].as_array().into_iter().flatten() {
        assert_eq!(runs[told["runs"].as_str().unwrap()], told["count"].as_u64().unwrap(), "{detail}");
    }

    let id = status["id"].as_str().unwrap();
    let list = site.json(&["upgrade", "list", "orders"]);
    let listed = list["upgrades"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    assert_eq!((&listed["progress"], &listed["state"]), (progress, &status["state"]), "{list}");
    let brief = site.json(&["status"]);
    let brief = &brief["scaleSets"][0]["upgrade"];
    assert_eq!((&brief["progress"], &brief["state"]), (progress, &status["state"]), "{brief}");
    let metrics = request(site.port(), "GET /metrics", "");
    for (name, count) in ["successful", "failed", "inProgress", "pending"].into_iter().zip(counts) {
        let line = format!("phasegate_upgrade_instances{{scale_set=\"orders\",progress=\"{name}\"}} {count}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let state = status["state"].as_str().unwrap();
    let line = format!("phasegate_upgrade_state{{scale_set=\"orders\",state=\"{state}\"}} 1");
    assert!(metrics.contains(&line), "{line}: {metrics}");
    for hold in status["holds"].as_array().unwrap() {
        let code = hold["code"].as_str().unwrap();
        let same = status["holds"].as_array().unwrap().iter().filter(|one| one["code"] == code).count();
        let line = format!("phasegate_upgrade_held{{scale_set=\"orders\",reason=\"{code}\"}} {same}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let told = site.run(&["upgrade", "status", "orders"]).stdout;
    let [successful, failed, in_progress, pending] = counts;
    let head = format!(
        "{state} ({successful} successful, {failed} failed, {in_progress} in progress, {pending} pending)"
    );
    assert!(told.contains(&head), "{head}: {told}");
    counts
}

#[test]
fn whoever_tells_of_an_upgrade_tells_the_same() {
    let (site, answers) = prepared();
    let host = site.host();
    site.wait_for_instances("a verdict on each", |one| one["health"] != "Initializing");
    let skip = ["instance", "skip", "orders", "5", "--reason", "the customer is on it"];
    assert_eq!(site.run(&skip).code, 0);
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--reason", "CHG-7"]);
    assert_eq!(ended.code, 1, "one failed, and one could not be judged: {ended:?}");
    assert_eq!(compare(&site), [2, 1, 0, 0]);
    let log = site.json(&["upgrade", "log", "orders"]);
    let start = log["entries"].as_array().unwrap().iter().find(|line| line["kind"] == "start");
    assert_eq!(start.unwrap()["reason"], "CHG-7", "{log}");
    assert_in_the_order_of_causes(&log);

    // What could not be judged can be now, and nothing is told of it that was so before.
    answers.set(2, 0, false);
    site.wait_for_instances("everybody's health", |one| one["health"] == "Healthy");
    let ended = site.run(&["upgrade", "retry", "orders", "--reason", "it answers"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(compare(&site), [1, 1, 0, 0]);

    let back = site.run(&["upgrade", "rollback", "orders", "--wait", "--reason", "it was enough"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(compare(&site)[1..], [0, 0, 0]);
    host.stop();
}

/// A batch begins after the one before has ended, and an instance is let go before the driver is asked for it.
fn assert_in_the_order_of_causes(log: &Value) {
    let mut in_hand: BTreeSet<&str> = BTreeSet::new();
    for line in log["entries"].as_array().unwrap() {
        let instance = line["instance"].as_str().unwrap_or_default();
        match line["kind"].as_str().unwrap() {
            "admitted" => {
                assert!(in_hand.is_empty(), "{in_hand:?} is not done: {line}");
                in_hand.insert(instance);
            }
            "apply" => assert!(in_hand.contains(instance), "{line}"),
            "succeeded" | "failed" => assert!(in_hand.contains(instance), "{line}"),
            "batch" => in_hand.clear(),
            "end" => assert!(in_hand.is_empty(), "{line}"),
            _ => {}
        }
    }
}

/// The commands that are said to help, without the program's name.
fn helps(site: &Site) -> Vec<Vec<String>> {
    let detail = site.json(&["upgrade", "status", "orders", "--detail"]);
    let command = |help: &Value| {
        let words = help["command"].as_str().unwrap().split(' ').skip(1);
        words.map(str::to_owned).collect::<Vec<String>>()
    };
    detail["helps"].as_array().unwrap().iter().map(command).collect()
}

#[test]
fn what_is_said_to_help_can_be_said() {
    let (site, answers) = prepared();
    for instance in 0..7 {
        answers.say(instance, r#"{"ApplicationHealthState":"Unhealthy"}"#);
    }
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let strict = toml.replace("maxUnhealthyInstancePercent = 100", "maxUnhealthyInstancePercent = 50");
    site.write("phasegate.toml", strict);
    let host = site.host();
    site.wait_for_instances("everybody's trouble", |one| one["health"] == "Unhealthy");
    let refused = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(compare(&site), [0, 0, 0, 0]);
    let all = helps(&site);
    assert_eq!(all.len(), 3, "{all:?}");
    for command in &all {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        // A start asks everybody before it is refused.
        wait_for("the end of the one before", || {
            let latest = site.json(&["upgrade", "list", "orders"])["upgrades"][0].clone();
            (latest["state"] != "RollingForward").then_some(())
        });
        let said = site.run(&words);
        assert_ne!(said.code, 2, "{command:?}: {said:?}");
    }
    let latest = site.json(&["upgrade", "list", "orders"])["upgrades"][0].clone();
    assert_eq!((&latest["kind"], &latest["to"]), (&"manual".into(), &"v2".into()), "{latest}");
    host.stop();
}
