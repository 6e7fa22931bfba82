//! What holds an upgrade from outside, and what starts it again: freeze windows, the stopped line,
//! bypasses, retries, reasons and estimates.

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

fn toml(answers: &Answers, rules: &str) -> String {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy =
        "maxBatchInstancePercent = 5\nmaxUnhealthyInstancePercent = 100\npauseTimeBetweenBatches = \"PT1S\"";
    let rules = format!("{rules}\n[scaleSets.upgradePolicy.rollingUpgradePolicy]\n");
    set.toml().replace("[scaleSets.upgradePolicy.rollingUpgradePolicy]\n", &rules)
}

fn status(site: &Site) -> String {
    site.run(&["upgrade", "status", "orders"]).stdout
}

fn wait_for_status(site: &Site, text: &str) -> String {
    wait_for(&format!("the status {text:?}"), || {
        let status = status(site);
        status.contains(text).then_some(status)
    })
}

#[test]
fn a_stopped_line_holds_everything_until_it_goes_on_also_across_a_restart() {
    let answers = Answers::start(&[0, 0, 0]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, ""));
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["line", "status"]).code, 0);
    assert_eq!(site.run(&["line", "start"]).code, 1, "it is not stopped");
    assert_eq!(site.run(&["line", "stop", "--reason", " "]).code, 2, "a reason is needed");
    let stopped = site.run(&["line", "stop", "--reason", "the network is down", "--json"]);
    assert_eq!((stopped.code, &stopped.json()["stopped"]), (0, &true.into()), "{stopped:?}");
    assert_eq!(site.run(&["line", "status"]).code, 1);
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for_status(&site, "the line is stopped for all scale sets");

    host.kill();
    let host = site.host();
    site.wait_until_healthy();
    let held = site.json(&["upgrade", "status", "orders"]);
    assert_eq!(held["progress"]["inProgress"], 0, "{held}");
    assert_eq!(site.run(&["line", "start"]).code, 0);
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("the line was stopped for all scale sets: the network is down"), "{log}");
    host.stop();
}

#[test]
fn a_bypass_goes_on_and_is_in_the_trail() {
    let answers = Answers::start(&[0, 0]);
    let site = Site::new();
    let freeze =
        "[[scaleSets.upgradePolicy.freezeWindows]]\nlastDate = \"2099-12-30\"\nreason = \"end of the year\"";
    site.write("phasegate.toml", toml(&answers, freeze));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for_status(&site, "the end of a freeze window");
    assert_eq!(site.run(&["upgrade", "bypass", "orders"]).code, 2, "why?");
    let bypassed = site.run(&["upgrade", "bypass", "orders", "--reason", "CVE-2026-1"]);
    assert_eq!(bypassed.code, 0, "{bypassed:?}");
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    let hotfix = ["upgrade", "start", "orders", "--to", "v3", "--bypass", "CVE-2026-2", "--wait"];
    assert_eq!(site.run(&hotfix).code, 0);
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("CVE-2026-1") && log.contains("CVE-2026-2"), "{log}");
    host.stop();
}

#[test]
fn everybody_has_a_reason_and_the_rest_an_estimate() {
    let answers = Answers::start(&[0, 0, 0, 1, 1]);
    answers.set(4, 1, true);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers, ""));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let text = wait_for_status(&site, "about ");
    assert!(text.contains("phase 0 comes first"), "{text}");
    let detail = site.run(&["upgrade", "status", "orders", "--json", "--detail"]).json();
    let waiting = detail["notYet"].as_array().unwrap();
    assert!(
        waiting
            .iter()
            .any(|hold| hold["instance"] == "4" && hold["reason"].as_str().unwrap().starts_with("skip")),
        "{detail}"
    );
    assert!(detail["estimate"]["batchesLeft"].as_u64().is_some(), "{detail}");
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    let text = status(&site);
    assert!(!text.contains("about "), "{text}");
    host.stop();
}

#[test]
fn a_faulted_upgrade_is_tried_again_as_often_as_configured() {
    // The command exits at once, so every try fails; a minute is the shortest time between two,
    // so this test sees the plan of a try and not the try itself.
    let answers = Answers::start(&[0, 0]);
    let site = Site::new();
    let toml = toml(&answers, "[scaleSets.upgradePolicy]\nretryAfter = \"PT1M\"\nretryLimit = 2");
    let command = r#"command = ["sh", "-c", "case {version} in v1) exec sleep 1000;; esac; exit 3"]"#;
    site.write("phasegate.toml", toml.replace(r#"command = ["sleep", "1000"]"#, command));
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("is tried again at 20"), "{ended:?}");
    host.kill();
    let host = site.host();
    assert!(status(&site).contains("is tried again at 20"), "it survives a restart");
    assert_eq!(site.run(&["upgrade", "cancel", "orders"]).code, 0, "nobody wants it");
    assert!(!status(&site).contains("is tried again"));
    assert_eq!(site.run(&["upgrade", "cancel", "orders"]).code, 1);
    host.stop();
}
