//! What a batch is admitted on, and what a host does that could not look, on real processes.

use std::time::Duration;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Three instances, one at a time, with these keys of the upgrade policy.
fn site(answers: &Answers, keys: &str) -> Site {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.health = "intervalInSeconds = 0.5\ngracePeriod = 10\ntimeoutInSeconds = 1";
    set.policy = "maxBatchInstancePercent = 34\nmaxUnhealthyInstancePercent = 34";
    let rules =
        format!("[scaleSets.upgradePolicy]\n{keys}\n[scaleSets.upgradePolicy.rollingUpgradePolicy]\n");
    let site = Site::new();
    site.write(
        "phasegate.toml",
        set.toml().replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", &rules),
    );
    site
}

fn waits_for(site: &Site) -> String {
    let status = site.json(&["upgrade", "status", "orders", "--detail"]);
    status["waitingFor"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn who_says_skip_while_the_batch_before_is_in_flight_is_left_alone() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = site(&answers, "decisions = \"live\"\nhealthGate = { stableFor = \"PT3S\" }");
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the first batch in its gate", || (waits_for(&site) == "gate").then_some(()));
    answers.set(1, 0, true);
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let status = ended.json();
    assert_eq!(status["progress"]["successful"], 2, "{status}");
    assert_eq!(status["holds"][0]["instance"], "1", "{status}");
    host.stop();
}

#[test]
fn a_bake_is_part_of_the_upgrade_and_a_bad_one_goes_back() {
    let answers = Answers::start(&[0, 0, 0]);
    let keys = "bake = { duration = \"PT2S\", probes = 2 }\nhealthGate = { stableFor = \"PT0S\" }";
    let site = site(&answers, keys);
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the bake", || (waits_for(&site) == "bake").then_some(()));
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!((ended.code, ended.json()["state"].as_str()), (0, Some("Completed")), "{ended:?}");

    site.json(&["upgrade", "start", "orders", "--to", "v3"]);
    wait_for("the second bake", || (waits_for(&site) == "bake").then_some(()));
    for instance in [0, 1] {
        answers.say(instance, r#"{"ApplicationHealthState":"Unhealthy"}"#);
    }
    wait_for("the way back", || {
        let status = site.json(&["upgrade", "status", "orders", "--detail"]);
        (!status["rollsBack"].is_null()).then_some(())
    });
    // What is brought back is well, or the brake of the way back would stop it.
    [0, 1].into_iter().for_each(|instance| answers.set(instance, 0, false));
    site.wait_for_instances("the version before", |instance| instance["version"] == "v2");
    host.stop();
}

#[test]
fn a_host_that_was_stopped_says_so_and_judges_nobody_by_it() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = site(&answers, "healthGate = { stableFor = \"PT1S\", deadline = \"PT20S\" }");
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the first batch", || (waits_for(&site) == "gate").then_some(()));
    host.signal(rustix::process::Signal::STOP);
    // The length of the stop; nothing is waited for by it.
    std::thread::sleep(Duration::from_secs(6));
    host.signal(rustix::process::Signal::CONT);
    wait_for("a word about it", || site.log().contains("this host stood still for").then_some(()));
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!((ended.code, ended.json()["state"].as_str()), (0, Some("Completed")), "{ended:?}");
    assert_eq!(ended.json()["progress"]["failed"], 0);
    host.stop();
}

#[test]
fn who_says_nothing_that_can_be_read_does_not_go_on_what_it_said_before() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = site(&answers, "healthGate = { stableFor = \"PT3S\" }");
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the first batch in its gate", || (waits_for(&site) == "gate").then_some(()));
    answers.say(1, "{}");
    let batches = wait_for("the second batch", || {
        let batches = site.json(&["upgrade", "status", "orders"])["batches"].clone();
        (!batches[1]["startedAt"].is_null()).then_some(batches)
    });
    assert_eq!(batches[1]["instances"][0], "2", "the one that nobody can read comes later: {batches}");
    answers.set(1, 0, false);
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!((ended.code, ended.json()["progress"]["successful"].as_u64()), (0, Some(3)), "{ended:?}");
    host.stop();
}
