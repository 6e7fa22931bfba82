//! Fleets that the site keeps running: upgrades by a program and by an agent, through the command
//! line.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::agent::{Agent, answer};
use crate::support::{Site, fleet, repository, wait_for};

const HEALTHY: &str = r#"{"ApplicationHealthState":"Healthy"}"#;
const IDS: [&str; 3] = ["0", "1", "2"];

/// A configuration of three instances that are always healthy, one batch each.
pub(crate) fn toml(driver: &str) -> String {
    toml_answering(driver, HEALTHY)
}

/// The same of three that always answer this.
pub(crate) fn toml_answering(driver: &str, body: &'static str) -> String {
    let api_port = fleet::free_ports(1)[0];
    let instance = |id: &str| {
        let port = Agent::start(move |_, _| answer(200, "", body)).port;
        format!("[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"127.0.0.1:{port}\"\n")
    };
    let instances: String = IDS.into_iter().map(instance).collect();
    format!(
        r#"
[server]
listen = "127.0.0.1:{api_port}"
dataDir = "data"
[[scaleSets]]
name = "orders"
model = {{ version = "v1" }}
[scaleSets.health]
intervalInSeconds = 0.1
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 34
[scaleSets.driver]
{driver}
{instances}"#
    )
}

pub(crate) fn script(more: &str) -> String {
    let script = repository().join("tests/stubs/driver.sh");
    let script = script.display();
    format!("kind = \"command\"\ncommand = [\"{script}\", \"upgrade\", \".\"]\n{more}")
}

fn observing() -> String {
    let script = repository().join("tests/stubs/driver.sh");
    format!("observe = [\"{}\", \"observe\", \".\"]", script.display())
}

/// What each instance runs: its version, or the word that stands in its place.
fn versions(site: &Site) -> Vec<Value> {
    let word = |instance: &Value| match &instance["version"] {
        Value::Null => instance["versionState"].clone(),
        version => version.clone(),
    };
    site.instances().iter().map(word).collect()
}

fn wait_for_versions(site: &Site, expected: [&str; 3]) {
    wait_for(&format!("versions {expected:?}"), || (versions(site) == expected).then_some(()));
}

/// Instance and operation of every call of the script.
pub(crate) fn calls(site: &Site) -> Vec<(String, String)> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    let call = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[2].to_owned())
    };
    text.lines().map(call).collect()
}

#[test]
fn a_starting_host_looks_and_touches_nothing() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script(&observing())));
    site.write("0.version", "v0\n");
    site.write("2.version", "v2\n");
    let host = site.host();
    // Nobody can tell what instance 1 runs, so that it is a candidate like others.
    wait_for_versions(&site, ["v0", "unknown", "v2"]);
    assert_eq!(calls(&site), []);
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(versions(&site), ["v2"; 3]);
    let upgraded: Vec<String> = calls(&site).into_iter().map(|(instance, _)| instance).collect();
    assert_eq!(upgraded, ["orders/0", "orders/1"], "instance 2 was there already");
    host.stop();

    // Somebody has been at it in the meantime.
    site.write("1.version", "v9\n");
    let host = site.host();
    wait_for_versions(&site, ["v2", "v9", "v2"]);
    assert_eq!(calls(&site).len(), 2);
    host.stop();
}

#[test]
fn without_a_way_to_look_the_record_counts() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script("")));
    let host = site.host();
    wait_for_versions(&site, ["v1"; 3]);
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    assert_eq!(calls(&site).len(), 3);
    host.stop();
    let host = site.host();
    wait_for_versions(&site, ["v2"; 3]);
    assert_eq!(calls(&site).len(), 3);
    host.stop();
}

#[test]
fn bad_programs_fault_the_upgrade_and_spare_the_rest() {
    for (version, expected) in [
        ("v2-fail", "exited with code 1, its output: starting | disk is full"),
        ("v2-hang", "did not end within 1 s and was ended by force"),
        ("v2-lie", "it was said to be done, and the instance still runs v1"),
        ("v2-always-busy", "still busy after 1 s"),
    ] {
        let site = Site::new();
        let limits = format!("timeoutInSeconds = 1\nretryForInSeconds = 1\n{}", observing());
        site.write("phasegate.toml", toml(&script(&limits)));
        for id in IDS {
            site.write(&format!("{id}.version"), "v1\n");
        }
        let host = site.host();
        wait_for_versions(&site, ["v1"; 3]);
        site.wait_until_healthy();
        let ended = site.run(&["upgrade", "start", "orders", "--to", version, "--wait", "--json"]);
        assert_eq!(ended.code, 1, "{version}: {ended:?}");
        let status = ended.json();
        assert_eq!(status["state"], "Faulted", "{version}");
        let text = status["error"]["details"][0]["message"].as_str().unwrap();
        assert!(text.contains(expected), "{version}: {text}");
        assert_eq!(versions(&site), ["v1"; 3], "{version}");
        let touched: BTreeMap<String, String> = calls(&site).into_iter().collect();
        assert_eq!(touched.len(), 1, "{version}: {touched:?}");
        host.stop();
    }
}

#[test]
fn a_killed_host_leaves_no_program_and_repeats_the_same_operation() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script("")));
    let host = site.host();
    wait_for_versions(&site, ["v1"; 3]);
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2-wait"]);
    wait_for("a program", || (calls(&site).len() == 1).then_some(()));
    host.kill();
    site.wait_until_nothing_is_left();
    let host = site.host();
    wait_for("the program again", || (calls(&site).len() == 2).then_some(()));
    let begun = calls(&site);
    assert_eq!(begun[0], begun[1], "the same instance, the same operation");
    site.write("go", "");
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    assert_eq!(versions(&site), ["v2-wait"; 3]);
    assert_eq!(calls(&site).len(), 4);
    host.stop();
}

#[test]
fn an_agent_upgrades_and_is_asked_what_runs() {
    let running: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let shared = Arc::clone(&running);
    let agent = Agent::start(move |seen, _| {
        let mut running = shared.lock().unwrap();
        let id = seen.target.rsplit('/').next().unwrap().to_owned();
        if seen.method == "POST" {
            // Done at once, although it only says that it has begun.
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            assert_eq!(seen.header("idempotency-key"), body["operation"].as_str());
            running.insert(id, body["version"].as_str().unwrap().to_owned());
            return answer(202, "Location: /state\r\nRetry-After: 1\r\n", "");
        }
        if seen.target == "/state" {
            return answer(200, "", r#"{"state":"done"}"#);
        }
        let version = running.get(&id).map_or("v1", String::as_str);
        answer(200, "", &serde_json::json!({ "version": version }).to_string())
    });
    let port = agent.port;
    let site = Site::new();
    let urls = format!(
        "kind = \"http\"\nurl = \"http://127.0.0.1:{port}/up/{{id}}\"\n\
         observeUrl = \"http://127.0.0.1:{port}/version/{{id}}\""
    );
    site.write("phasegate.toml", toml(&urls));
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let host = site.host();
    wait_for_versions(&site, ["v1"; 3]);
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    assert_eq!(versions(&site), ["v2"; 3]);
    assert_eq!(running.lock().unwrap().len(), 3);
    assert_eq!(agent.seen().iter().filter(|seen| seen.method == "POST").count(), 3);
    host.stop();
}

#[test]
fn the_end_of_the_host_waits_for_programs_that_are_under_way() {
    let site = Site::new();
    let program = "echo begin >> under-way; sleep 2; echo end >> under-way";
    site.write(
        "phasegate.toml",
        toml(&format!("kind = \"command\"\ncommand = [\"sh\", \"-c\", \"{program}\"]")),
    );
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2"]).code, 0);
    let said = || std::fs::read_to_string(site.path("under-way")).unwrap_or_default();
    wait_for("a program under way", || said().contains("begin").then_some(()));
    assert!(!said().contains("end"));
    let ended = host.stop();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(said(), "begin\nend\n", "it was let end, and no other was begun");
}
