//! Killed without a word in the middle of an upgrade, started again: it goes on where it was.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, guests, wait_for};

fn order(status: &Value) -> Vec<String> {
    let batches = status["batches"].as_array().unwrap().iter();
    batches
        .flat_map(|b| b["instances"].as_array().unwrap())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn kill_9_in_mid_batch_and_on() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(6).toml());
    let host = site.host();
    site.wait_until_healthy();
    let started = site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let planned = wait_for("the plan, once everybody has answered since the start", || {
        let planned = order(&site.json(&["upgrade", "status", "orders"]));
        (planned.len() == 6).then_some(planned)
    });

    // Kill it twice, each time inside a batch.
    let mut host = host;
    for batch in [0, 2] {
        wait_for("a batch in flight", || {
            let status = site.json(&["upgrade", "status", "orders"]);
            (status["batches"][batch]["state"] == "InProgress").then_some(())
        });
        host.kill();
        site.wait_until_nothing_is_left();
        host = site.host();
        assert_eq!(
            site.json(&["upgrade", "status", "orders"])["id"],
            started["id"],
            "the same upgrade goes on"
        );
    }
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let status = ended.json();
    assert_eq!(order(&status), planned, "the plan of the start is the plan of the end");
    assert_eq!(status["progress"]["successful"], 6);
    assert!(site.instances().iter().all(|instance| instance["version"] == "v2"));
    host.stop();
    assert_eq!(
        attempts(&site),
        planned.iter().map(|id| (id.clone(), 1)).collect(),
        "nothing was asked for twice"
    );
}

/// Effects that the upgrade asked for, from the audit trail in the data file.
fn attempts(site: &Site) -> BTreeMap<String, usize> {
    let phasegate_core::record::Opened { store, stored } =
        phasegate::store::SqliteStore::open(&site.path("data")).unwrap();
    drop(store);
    let upgrade = stored.upgrades.into_values().next().unwrap();
    upgrade.members.iter().map(|(id, member)| (id.to_string(), member.attempt as usize)).collect()
}

#[test]
fn a_restart_brings_every_instance_up_at_the_version_that_it_ran() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    host.stop();
    let host = site.host();
    let instances = site.wait_until_healthy();
    assert!(instances.iter().all(|i| i["version"] == "v2" && i["desiredVersion"] == "v2"), "{instances:?}");
    host.stop();
}

/// A plugin that counts its rounds in its memory goes on counting, however the host ends.
#[test]
fn what_a_plugin_remembers_outlives_the_host() {
    let site = Site::new();
    let answers = Answers::start(&[1, 1]);
    site.write("db.wasm", guests::component("counter").unwrap());
    site.write("phasegate.toml", fleet::answered_by_the_test(&answers.ports, "db.wasm").toml());
    let count = |site: &Site| {
        wait_for("a decision of each instance", || {
            site.instances().iter().map(|instance| instance["phase"].as_u64()).min().flatten()
        })
    };
    let host = site.host();
    wait_for("thirty rounds", || (count(&site) >= 30).then_some(()));
    host.kill();
    let host = site.host();
    let after_kill = count(&site);
    assert!((12..80).contains(&after_kill), "{after_kill}");
    let before_stop = count(&site);
    host.stop();
    let host = site.host();
    let after_stop = count(&site);
    assert!((before_stop..before_stop + 20).contains(&after_stop), "{before_stop}, then {after_stop}");
    host.stop();
}

/// A program that does not end when it is asked to, and takes its time.
const STUBBORN: &str = r#"#!/bin/sh
trap '' TERM
echo "begins" >> calls
count=0
while [ $count -lt 30 ]; do
    sleep 0.1
    count=$((count + 1))
done
echo "$PHASEGATE_VERSION" > version
echo "ends" >> calls
"#;

/// One instance behind that program, in the middle of its upgrade.
fn at_work(site: &Site, answers: &Answers, keys: &str) -> String {
    site.write("stubborn.sh", STUBBORN);
    let toml = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health").toml();
    let process = "kind = \"process\"\ncommand = [\"sleep\", \"1000\"]\nstopTimeoutInSeconds = 2";
    let stubborn = format!("kind = \"command\"\ncommand = [\"/bin/sh\", \"stubborn.sh\"]\n{keys}");
    assert!(toml.contains(process));
    toml.replace(process, &stubborn)
}

fn calls(site: &Site) -> String {
    std::fs::read_to_string(site.path("calls")).unwrap_or_default()
}

#[test]
fn the_next_host_does_not_work_beside_a_program_of_the_one_that_was_killed() {
    let (site, answers) = (Site::new(), Answers::start(&[0]));
    site.write("phasegate.toml", at_work(&site, &answers, ""));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the program", || calls(&site).contains("begins").then_some(()));
    host.kill();
    let host = site.host();
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(calls(&site), "begins\nends\nbegins\nends\n", "one after the other");
    host.stop();
}

/// The host waits for it, the look afterwards included, and so the next one has nothing to do again.
fn waited_for(keys: &str) {
    let (site, answers) = (Site::new(), Answers::start(&[0]));
    site.write("version", "v1\n");
    site.write("phasegate.toml", at_work(&site, &answers, keys));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the program", || calls(&site).contains("begins").then_some(()));
    let ended = host.stop();
    assert_eq!((calls(&site).as_str(), ended.code), ("begins\nends\n", 0), "{ended:?}");
    let host = site.host();
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(calls(&site), "begins\nends\n", "once");
    host.stop();
}

#[test]
fn the_next_host_does_not_repeat_a_program_that_this_one_waited_for() {
    waited_for("");
}

#[test]
fn nor_one_that_it_looked_after() {
    waited_for("observe = [\"cat\", \"version\"]");
}

#[test]
fn time_in_which_the_host_stood_still_is_not_that_of_a_program() {
    let (site, answers) = (Site::new(), Answers::start(&[0]));
    site.write("phasegate.toml", at_work(&site, &answers, "timeoutInSeconds = 10"));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the program", || calls(&site).contains("begins").then_some(()));
    host.signal(rustix::process::Signal::STOP);
    // The length of the stop; nothing is waited for by it.
    std::thread::sleep(std::time::Duration::from_secs(12));
    host.signal(rustix::process::Signal::CONT);
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!((ended.code, ended.json()["progress"]["failed"].as_u64()), (0, Some(0)), "{ended:?}");
    assert_eq!(calls(&site), "begins\nends\n");
    host.stop();
}
