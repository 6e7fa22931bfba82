//! Instances, model and driver of a scale set change while its host runs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::drivers::{calls, script, toml};
use crate::support::plugin::edit;
use crate::support::{Background, PATIENCE, Site, fleet, repository, wait_for};

/// Three processes and the ports of some more.
fn site() -> (Site, fleet::Fleet, Vec<u16>) {
    let site = Site::new();
    let fleet = fleet::databases(3);
    site.write("phasegate.toml", fleet.toml());
    (site, fleet, fleet::free_ports(4))
}

fn started(site: &Site) -> Background<'_> {
    let host = site.host();
    site.wait_until_healthy();
    host
}

fn ids(site: &Site) -> Vec<String> {
    site.instances().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// One more instance as the file lists it.
fn listed(id: &str, port: u16) -> String {
    format!(
        "\n[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"127.0.0.1:{port}\"\nzone = \"1\"\nupdateDomain = 0\n\
         labels = {{ role = \"replica\", backup = \"false\" }}\n"
    )
}

/// The part of the file that lists an instance.
fn part_of(site: &Site, id: &str) -> String {
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let from = toml.find(&format!("\n[[scaleSets.instances]]\nid = \"{id}\"")).unwrap();
    let rest = &toml[from + 1..];
    let length = rest.find("\n[[").map_or(rest.len(), |end| end);
    toml[from..=from + length].to_owned()
}

fn add(site: &Site, id: &str, port: u16) {
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    site.write("phasegate.toml", toml + &listed(id, port));
}

/// Takes an instance out of the file; gives what it said of it.
fn remove(site: &Site, id: &str) -> String {
    let part = part_of(site, id);
    edit(site, &part, "\n");
    part
}

fn hang_up(site: &Site, host: &Background<'_>) {
    if crate::reload::hangup_is_ignored() {
        println!("NOT TESTED: SIGHUP; whoever runs this test has it ignored, and so has the host then");
        assert_eq!(site.run(&["reload"]).code, 0);
    } else {
        host.signal(rustix::process::Signal::HUP);
    }
}

/// What of the processes of a site serves an instance.
fn processes_of(site: &Site, id: &str) -> Vec<String> {
    let mark = format!("--id {id} ");
    site.processes().into_iter().filter(|process| process.contains(&mark)).collect()
}

#[test]
fn one_that_is_listed_is_started_and_one_that_is_listed_no_longer_is_ended() {
    let (site, _fleet, ports) = site();
    let host = started(&site);
    add(&site, "3", ports[0]);
    remove(&site, "1");
    hang_up(&site, &host);
    wait_for("the other instances", || (ids(&site) == ["0", "2", "3"]).then_some(()));
    site.wait_until_healthy();
    wait_for("the end of instance 1", || processes_of(&site, "1").is_empty().then_some(()));
    assert_eq!([processes_of(&site, "0").len(), processes_of(&site, "3").len()], [1, 1]);
    assert!(site.log().contains("scale set `orders` (instances: 1 added, 1 removed)"), "{}", site.log());
    let lines = site.json(&["log", "orders"])["entries"].clone();
    let said = |entry: &serde_json::Value| entry["kind"] == "members";
    assert!(lines.as_array().unwrap().iter().any(said), "{lines}");
    host.stop();
}

#[test]
fn everything_of_a_set_at_once() {
    let (site, fleet, ports) = site();
    let host = started(&site);
    let before = processes_of(&site, "0");
    add(&site, "3", ports[0]);
    remove(&site, "2");
    edit(&site, &format!("127.0.0.1:{}", fleet.members[1].port), &format!("127.0.0.1:{}", ports[1]));
    edit(&site, "version = \"v1\"", "version = \"v2\"");
    edit(&site, "stopTimeoutInSeconds = 2", "stopTimeoutInSeconds = 3");
    edit(&site, "intervalInSeconds = 0.1", "intervalInSeconds = 0.2");
    let changed = site.json(&["reload"])["changed"].clone();
    let all = "driver; health; instances: 1 added, 1 removed, 1 changed; model";
    assert_eq!(changed, json!([format!("scale set `orders` ({all})")]));
    let now = site.wait_for_instances("a healthy fleet at other places", |one| one["health"] == "Healthy");
    assert_eq!(ids(&site), ["0", "1", "3"]);
    assert_eq!(now[1]["address"], format!("127.0.0.1:{}", ports[1]), "{now:?}");
    assert_eq!(now[0]["desiredVersion"], "v2");
    assert_eq!(now[0]["version"], "v1", "that something else is wanted starts nothing by itself");
    assert_eq!(processes_of(&site, "0"), before, "what runs goes on");
    // An upgrade brings them over, each from the driver before to the one of today.
    let ended = site.run(&["upgrade", "start", "orders", "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(site.instances().iter().all(|one| one["version"] == "v2"));
    assert_eq!(processes_of(&site, "0").len(), 1);
    host.stop();
    let host = started(&site);
    assert_eq!(ids(&site), ["0", "1", "3"]);
    assert!(site.instances().iter().all(|one| one["version"] == "v2"), "{:?}", site.instances());
    host.stop();
}

#[test]
fn one_that_comes_back_is_what_it_was() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script("")));
    let host = started(&site);
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    let part = remove(&site, "1");
    assert_eq!(site.run(&["reload"]).code, 0);
    assert_eq!(ids(&site), ["0", "2"]);
    host.stop();
    let host = started(&site);
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    site.write("phasegate.toml", toml + &part);
    assert_eq!(site.run(&["reload"]).code, 0);
    wait_for("all three", || (ids(&site) == ["0", "1", "2"]).then_some(()));
    assert_eq!(site.instances()[1]["version"], "v2", "nobody can be asked, and the record knows");
    assert_eq!(calls(&site).len(), 3, "and nobody was touched");
    host.stop();
}

#[test]
fn another_program_is_run_from_then_on_and_one_that_works_ends_its_work() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script("")));
    let host = started(&site);
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2-wait"]).code, 0);
    wait_for("the first program", || (calls(&site).len() == 1).then_some(()));
    let driver = repository().join("tests/stubs/driver.sh").display().to_string();
    let other = site.write("other.sh", format!("#!/bin/sh\necho other >> others\nexec {driver} \"$@\"\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&other, mode).unwrap();
    edit(&site, &driver, "./other.sh");
    let changed = site.json(&["reload"])["changed"].clone();
    assert_eq!(changed, json!(["scale set `orders` (driver)"]));
    site.write("go", "");
    site.wait_for_instances("the end of the upgrade", |one| one["version"] == "v2-wait");
    assert_eq!(calls(&site).len(), 3);
    let others = std::fs::read_to_string(site.path("others")).unwrap();
    assert_eq!(others.lines().count(), 2, "the first one was in the former program's hands");
    host.stop();
}

#[test]
fn a_file_with_a_problem_changes_nothing() {
    let (site, _fleet, ports) = site();
    let host = started(&site);
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let server = toml.split('"').nth(1).unwrap().to_owned();
    add(&site, "3", ports[0]);
    remove(&site, "1");
    edit(&site, "kind = \"process\"\ncommand = [\"", "kind = \"process\"\ncommand = [\"/nowhere/");
    let refused = site.run(&["reload", "--server", &server]);
    assert_eq!(refused.code, 1, "{refused:?}");
    site.write("phasegate.toml", toml);
    assert_eq!(ids(&site), ["0", "1", "2"]);
    assert_eq!(site.json(&["reload"])["changed"], json!([]));
    host.stop();
}

/// Twice a second for some seconds instances come, go and move; the host is killed in between, and an upgrade runs.
#[test]
fn a_fleet_that_does_not_rest_ends_as_its_file_says() {
    let (site, _fleet, ports) = site();
    let mut host = started(&site);
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2"]).code, 0);
    for round in 0..12_usize {
        let begun = Instant::now();
        let id = ["3", "4", "5"][round % 3];
        let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
        if toml.contains(&format!("id = \"{id}\"")) {
            remove(&site, id);
        } else {
            add(&site, id, ports[round % 3]);
        }
        hang_up(&site, &host);
        if round == 5 {
            host.kill();
            host = site.host();
        }
        while begun.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(site.run(&["reload"]).code, 0);
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let listed: BTreeSet<String> =
        toml.lines().filter_map(|line| line.strip_prefix("id = ")).map(|id| id.replace('"', "")).collect();
    let there = || ids(&site).into_iter().collect::<BTreeSet<String>>();
    assert_eq!(there(), listed);
    site.wait_until_healthy();
    for id in ["0", "1", "2", "3", "4", "5"] {
        let expected = usize::from(listed.contains(id));
        wait_for(&format!("{expected} processes of {id}"), || {
            (processes_of(&site, id).len() == expected).then_some(())
        });
    }
    let begun = Instant::now();
    while site.json(&["upgrade", "status", "orders"])["state"] == "RollingForward" {
        assert!(begun.elapsed() < PATIENCE, "the upgrade has no end");
        std::thread::sleep(Duration::from_millis(50));
    }
    host.stop();
}

/// A fleet without a way to look, whose upgrades begin by themselves or not.
fn in_mode(mode: &str) -> Site {
    let site = Site::new();
    let toml = toml(&script(""));
    let policy = "[scaleSets.upgradePolicy.rollingUpgradePolicy]";
    site.write(
        "phasegate.toml",
        toml.replace(policy, &format!("[scaleSets.upgradePolicy]\nmode = \"{mode}\"\n{policy}")),
    );
    site
}

fn says(site: &Site, from: &str, to: &str) {
    edit(site, &format!("model = {{ version = \"{from}\" }}"), &format!("model = {{ version = \"{to}\" }}"));
}

fn run_by_all(site: &Site, version: &str) {
    site.wait_for_instances(version, |one| one["version"] == version);
}

#[test]
fn an_upgrade_begins_by_itself_when_the_file_says_so() {
    let site = in_mode("Rolling");
    let host = started(&site);
    says(&site, "v1", "v2");
    hang_up(&site, &host);
    run_by_all(&site, "v2");
    wait_for("its end", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == "Completed").then_some(())
    });
    let log = site.run(&["log", "orders"]).stdout;
    assert!(log.contains("upgrade to v2 begins by itself"), "{log}");
    host.stop();

    // At a start with a changed file, too.
    says(&site, "v2", "v3");
    let host = started(&site);
    run_by_all(&site, "v3");
    wait_for("its end", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == "Completed").then_some(())
    });

    // What was said last counts, until the file says something else.
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v4", "--wait"]).code, 0);
    let reloaded = site.json(&["reload"]);
    let differs = json!([{ "scaleSet": "orders", "key": "model.version", "file": "v3", "recorded": "v4" }]);
    assert_eq!((&reloaded["changed"], &reloaded["fileDiffers"]), (&json!([]), &differs));
    assert_eq!(site.json(&["fleet"])["scaleSets"][0]["fileDiffers"], differs);
    assert_eq!(site.json(&["upgrade", "plan", "orders"])["fileDiffers"], differs);
    assert!(site.run(&["fleet"]).stdout.contains("the file says v3, and v4"));
    run_by_all(&site, "v4");
    says(&site, "v3", "v5");
    let reloaded = site.json(&["reload"]);
    assert_eq!(reloaded.get("fileDiffers"), None);
    assert!(reloaded["changed"].to_string().contains("has begun"), "{reloaded}");
    run_by_all(&site, "v5");
    wait_for("its end", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == "Completed").then_some(())
    });

    // What was stopped begins again with a file that says the same, and the reload says so.
    assert_eq!(site.run(&["line", "stop", "--reason", "test"]).code, 0);
    site.json(&["upgrade", "start", "orders", "--to", "v6"]);
    assert_eq!(site.run(&["upgrade", "cancel", "orders"]).code, 0);
    assert_eq!(site.run(&["line", "start"]).code, 0);
    let reloaded = site.run(&["reload"]).stdout;
    assert!(reloaded.contains("upgrade `orders-") && reloaded.contains("has begun"), "{reloaded}");
    run_by_all(&site, "v6");
    host.stop();
}

#[test]
fn in_mode_manual_a_person_begins_and_what_is_in_quarantine_waits_for_one() {
    let site = in_mode("manual");
    let host = started(&site);
    says(&site, "v1", "v2");
    assert_eq!(site.json(&["reload"])["changed"], json!(["scale set `orders` (model)"]));
    assert_eq!(site.instances()[0]["desiredVersion"], "v2");
    assert_ne!(site.run(&["upgrade", "status", "orders"]).code, 0, "nothing has begun");
    assert_eq!(site.run(&["upgrade", "start", "orders", "--wait"]).code, 0);

    edit(&site, "mode = \"manual\"", "mode = \"Rolling\"");
    says(&site, "v2", "v3-fail");
    assert_eq!(site.run(&["reload"]).code, 0);
    wait_for("its end", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == "Faulted").then_some(())
    });
    let is_quarantined = |site: &Site| site.json(&["fleet"])["scaleSets"][0].get("quarantined").is_some();
    if is_quarantined(&site) {
        says(&site, "v3-fail", "v2");
        assert_eq!(site.run(&["reload"]).code, 0);
        says(&site, "v2", "v3-fail");
        assert_eq!(site.run(&["reload"]).code, 0);
        wait_for("a line about the quarantine", || {
            site.run(&["log", "orders"]).stdout.contains("does not begin by itself").then_some(())
        });
        assert!(is_quarantined(&site));
    }
    host.stop();
}
