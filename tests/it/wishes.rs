//! What a person wants of an upgrade that runs or has ended, and of single instances: stop at once, go back at once,
//! go past one stop, again, later, and not this instance.

use phasegate_core::domain::Timestamp;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

const UNHEALTHY: &str = r#"{"ApplicationHealthState":"Unhealthy"}"#;

/// Batches of one, each watched for a time that no test waits for.
fn toml(answers: &Answers, rules: &str) -> String {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy = "maxBatchInstancePercent = 5\nmaxUnhealthyInstancePercent = 100";
    let rules =
        format!("[scaleSets.upgradePolicy]\n{rules}\n[scaleSets.upgradePolicy.rollingUpgradePolicy]\n");
    set.toml().replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", &rules)
}

fn versions(site: &Site) -> String {
    let all = site.instances();
    let all: Vec<&str> = all.iter().map(|one| one["version"].as_str().unwrap_or("-")).collect();
    all.join(" ")
}

fn wait_for_versions(site: &Site, wanted: &str) {
    wait_for(&format!("the versions {wanted}"), || (versions(site) == wanted).then_some(()));
}

/// Healthy, and each with what it is to go back to.
fn ready(site: &Site) {
    let all = site.wait_until_healthy();
    wait_for_versions(site, &vec!["v1"; all.len()].join(" "));
}

fn wait_for_state(site: &Site, wanted: &str) {
    wait_for(&format!("the state {wanted}"), || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == wanted).then_some(())
    });
}

fn say(site: &Site, arguments: &[&str]) {
    let said = site.run(arguments);
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
}

#[test]
fn a_cancel_at_once_and_a_rollback_leave_the_health_gate() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    site.write(
        "phasegate.toml",
        toml(&answers, "healthGate = { stableFor = \"PT1H\", deadline = \"PT2H\" }"),
    );
    let host = site.host();
    ready(&site);
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for_versions(&site, "v2 v1 v1");
    say(&site, &["upgrade", "cancel", "orders", "--now"]);
    wait_for_state(&site, "Cancelled");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert_eq!(versions(&site), "v1 v1 v1", "what was in flight is back: {log}");

    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for_versions(&site, "v2 v1 v1");
    let back = site.run(&["upgrade", "rollback", "orders", "--wait"]);
    assert_eq!((back.code, versions(&site)), (0, "v1 v1 v1".to_owned()), "{back:?}");
    host.stop();
}

#[test]
fn a_rollback_stops_where_it_does_not_help_and_a_person_may_go_on() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, "healthGate = { deadline = \"PT2S\" }"));
    let host = site.host();
    ready(&site);
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    answers.say(2, UNHEALTHY);
    let back = site.run(&["upgrade", "rollback", "orders", "--wait"]);
    assert_eq!((back.code, versions(&site)), (1, "v2 v2 v1".to_owned()), "newest first: {back:?}");
    let again = site.run(&["upgrade", "rollback", "orders"]);
    assert!(again.code == 1 && again.stderr.contains("--continue"), "{again:?}");
    assert_eq!(site.run(&["upgrade", "rollback", "orders", "--continue"]).code, 0);
    wait_for_versions(&site, "v1 v1 v1");
    host.stop();
}

#[test]
fn what_a_person_says_about_an_instance_counts_until_it_is_taken_back() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, ""));
    let host = site.host();
    ready(&site);
    let stranger = site.run(&["instance", "hold", "orders", "7", "--reason", "a disk"]);
    assert_eq!(stranger.code, 2, "{stranger:?}");
    assert_eq!(site.run(&["instance", "hold", "orders", "0"]).code, 2, "why?");
    assert_eq!(site.run(&["instance", "release", "orders", "0"]).code, 1, "nothing was said");
    say(&site, &["instance", "hold", "orders", "0", "--reason", "a disk", "--for", "PT2H"]);
    say(&site, &["instance", "skip", "orders", "1", "--reason", "a demo"]);
    answers.set(2, 0, true);
    say(&site, &["instance", "force", "orders", "2", "--reason", "CVE-2026-1"]);

    host.kill();
    let host = site.host();
    ready(&site);
    let held = &site.instances()[0]["override"];
    assert_eq!((&held["kind"], &held["reason"]), (&"hold".into(), &"a disk".into()), "{held}");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the one that is held", || {
        let status = site.json(&["upgrade", "status", "orders", "--detail"]);
        (status["waitingFor"]["code"] == "deferral").then_some(())
    });
    assert_eq!(versions(&site), "v1 v1 v2");
    say(&site, &["instance", "release", "orders", "0"]);
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    assert_eq!(versions(&site), "v2 v1 v2");

    say(&site, &["instance", "release", "orders", "1"]);
    assert_eq!(site.run(&["upgrade", "retry", "orders"]).code, 0);
    wait_for_versions(&site, "v2 v2 v2");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("a demo") && log.contains("CVE-2026-1"), "{log}");
    host.stop();
}

#[test]
fn an_upgrade_begins_at_its_time_and_a_person_goes_past_one_checkpoint() {
    let answers = Answers::start(&[0, 1]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, "pauseAfterPhase = [0]"));
    let host = site.host();
    ready(&site);
    let past = site.run(&["upgrade", "start", "orders", "--to", "v2", "--at", "2020-01-01T00:00:00Z"]);
    assert_eq!(past.code, 2, "{past:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = Timestamp(i64::try_from(now.as_millis()).unwrap() + 4000);
    let at = at.to_string();
    site.json(&["upgrade", "start", "orders", "--to", "v2", "--at", &at]);
    let status = site.json(&["upgrade", "status", "orders", "--detail"]);
    assert_eq!(status["waitingFor"]["code"], "scheduled", "{status}");
    wait_for("the checkpoint", || {
        let status = site.json(&["upgrade", "status", "orders", "--detail"]);
        (status["waitingFor"]["code"] == "paused").then_some(())
    });
    assert_eq!(versions(&site), "v2 v1");
    assert_eq!(site.run(&["upgrade", "promote", "orders"]).code, 0);
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    assert_eq!(versions(&site), "v2 v2");
    host.stop();
}
