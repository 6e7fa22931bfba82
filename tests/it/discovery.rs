//! Instances that no configuration lists: found in files and behind servers, kept when a source is gone, held when too
//! many of them go at once.

use serde_json::{Value, json};

use crate::support::answers::Answers;
use crate::support::fleet::{databases, free_ports};
use crate::support::{Background, Site, wait_for};

/// A fleet whose instances are found in a file; nobody starts them, the test answers for them.
fn site(answers: &Answers, source: &str, more: &str) -> Site {
    let site = Site::new();
    let port = free_ports(1)[0];
    site.write(
        "phasegate.toml",
        format!(
            r#"[server]
listen = "127.0.0.1:{port}"
dataDir = "./data"

[[scaleSets]]
name = "orders"
{more}
[scaleSets.health]
intervalInSeconds = 0.1
gracePeriod = 2
requestPath = "/{{id}}"
[scaleSets.discovery]
{source}
idLabel = "name"
zoneLabel = "zone"
protectLabel = "protected"
refreshInterval = "PT1S"
[scaleSets.driver]
kind = "command"
command = ["true"]
[scaleSets.model]
version = "v1"
"#
        ),
    );
    write(&site, &(0..answers.ports.len()).collect::<Vec<_>>(), answers);
    site
}

fn entry(index: usize, answers: &Answers) -> Value {
    let labels = json!({"name": format!("db-{index}"), "zone": format!("{}", index % 2), "shard": "7"});
    json!({"targets": [format!("127.0.0.1:{}", answers.ports[index])], "labels": labels})
}

/// Puts a list of some of them in the place of the one that is there.
fn write(site: &Site, which: &[usize], answers: &Answers) {
    let entries: Vec<Value> = which.iter().map(|index| entry(*index, answers)).collect();
    let new = site.write("targets.new", serde_json::to_vec(&entries).unwrap());
    std::fs::rename(new, site.path("targets.json")).unwrap();
}

fn ids(site: &Site) -> Vec<String> {
    site.instances().iter().map(|instance| instance["id"].as_str().unwrap().to_owned()).collect()
}

fn until(site: &Site, wanted: &[usize]) {
    let wanted: Vec<String> = wanted.iter().map(|index| format!("db-{index}")).collect();
    wait_for(&format!("{wanted:?}"), || (ids(site) == wanted).then_some(()));
}

fn source(site: &Site) -> Value {
    site.json(&["fleet"])["scaleSets"][0]["discovery"].clone()
}

fn until_source(site: &Site, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || Some(source(site)).filter(&holds))
}

#[test]
fn instances_are_found_and_followed_and_too_many_that_go_are_held_also_over_a_crash() {
    let answers = Answers::start(&[0; 6]);
    let site = site(&answers, "file = \"targets.json\"", "");
    let host = site.host();
    let found = site.wait_until_healthy();
    assert_eq!(found.len(), 6);
    assert_eq!((&found[1]["zone"], &found[1]["labels"]), (&json!("1"), &json!({"shard": "7"})));
    let one = source(&site);
    assert_eq!((&one["source"], &one["instances"]), (&json!("file targets.json"), &json!(6)), "{one}");
    assert!(one["refreshedAt"].is_string() && one["held"].is_null() && one["failing"].is_null(), "{one}");
    // One of six may go at once, and half of a file says nothing.
    write(&site, &[0, 1, 2, 3, 4], &answers);
    until(&site, &[0, 1, 2, 3, 4]);
    site.write("targets.json", "[{\"targets\": [\"127.0.0.1:1");
    until_source(&site, "half a file", |one| one["failing"]["reason"].is_string());
    until(&site, &[0, 1, 2, 3, 4]);
    // Three of five may not; who is new comes all the same.
    write(&site, &[0, 1, 5], &answers);
    let held = until_source(&site, "three are held", |one| one["held"]["removed"] == 3);
    let reason = held["held"]["reason"].as_str().unwrap();
    assert!(reason.contains("phasegate discovery accept orders"), "{reason}");
    until(&site, &[0, 1, 2, 3, 4, 5]);
    host.kill();
    let host = site.host();
    until_source(&site, "three are held after a crash", |one| one["held"]["removed"] == 3);
    assert_eq!(ids(&site).len(), 6);
    let metrics = scrape(&site);
    for line in [
        "phasegate_discovery_instances{scale_set=\"orders\"} 6",
        "phasegate_discovery_held_instances{scale_set=\"orders\"} 3",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let shown = site.run(&["fleet"]).stdout;
    assert!(
        shown.contains("discovery: file targets.json, read at ") && shown.contains("held since"),
        "{shown}"
    );
    let listed = site.run(&["discovery", "list"]);
    assert!(listed.stdout.starts_with("orders: file targets.json"), "{listed:?}");
    let now = site.json(&["discovery", "accept", "orders", "--reason", "they were sold"]);
    assert_eq!((&now["instances"], &now["held"]), (&json!(3), &Value::Null), "{now}");
    until(&site, &[0, 1, 5]);
    let again = site.run(&["discovery", "accept", "orders"]);
    assert!(again.code != 0 && again.stderr.contains("nothing is held"), "{again:?}");
    let log = site.run(&["log", "orders"]).stdout;
    assert!(log.contains("they were sold") && log.contains("discovery: file targets.json"), "{log}");
    host.stop();
}

fn scrape(site: &Site) -> String {
    super::http::request(site.port(), "GET /metrics", "")
}

#[test]
fn a_start_whose_source_is_gone_has_its_members_and_an_empty_one_removes_nobody() {
    let answers = Answers::start(&[0; 3]);
    let site = site(&answers, "file = \"targets.json\"", "");
    let host = site.host();
    until(&site, &[0, 1, 2]);
    host.kill();
    std::fs::remove_file(site.path("targets.json")).unwrap();
    let host = site.host();
    until(&site, &[0, 1, 2]);
    let one = until_source(&site, "it cannot be read", |one| one["failing"]["reason"].is_string());
    assert!(one["failing"]["reason"].as_str().unwrap().starts_with("cannot be read"), "{one}");
    site.write("targets.json", "[]");
    until_source(&site, "it names nobody", |one| one["held"]["removed"] == 3);
    let refused = site.run(&["discovery", "accept", "orders"]);
    assert!(refused.stderr.contains("names nobody any more"), "{refused:?}");
    until(&site, &[0, 1, 2]);
    write(&site, &[0, 1, 2], &answers);
    until_source(&site, "it is back", |one| one["held"].is_null() && one["failing"].is_null());
    host.stop();
}

#[test]
fn a_server_is_a_source_and_two_sets_may_look_at_one_address() {
    let answers = Answers::start(&[0; 2]);
    let list = Answers::start(&[0]);
    let body = |which: &[usize]| {
        serde_json::to_string(&which.iter().map(|one| entry(*one, &answers)).collect::<Vec<_>>()).unwrap()
    };
    list.say(0, &body(&[0]));
    let url = format!("http = {{ url = \"http://127.0.0.1:{}/targets\" }}", list.ports[0]);
    // The same address in the file of another set.
    let site = site(&answers, &url, "");
    let other = format!(
        "\n[[scaleSets]]\nname = \"others\"\n[scaleSets.health]\nintervalInSeconds = 0.1\n[scaleSets.driver]\nkind = \
         \"command\"\ncommand = [\"true\"]\n[scaleSets.model]\nversion = \"v1\"\n[[scaleSets.instances]]\nid = \"0\"\n\
         address = \"127.0.0.1:{}\"\n",
        answers.ports[0]
    );
    let text = std::fs::read_to_string(site.path("phasegate.toml")).unwrap() + &other;
    site.write("phasegate.toml", text);
    let checked = site.json(&["check"]);
    assert_eq!(
        (&checked["ok"], &checked["scaleSets"][0]["discovery"]["instances"]),
        (&json!(true), &json!(1))
    );
    let host = site.host();
    until(&site, &[0]);
    list.say(0, &body(&[0, 1]));
    until(&site, &[0, 1]);
    list.say(0, "<html>not a list</html>");
    until_source(&site, "it is no list", |one| one["failing"]["reason"].is_string());
    until(&site, &[0, 1]);
    assert_ne!(site.run(&["discovery", "list", "others"]).code, 0, "the file lists its instances");
    host.stop();
}

#[test]
fn processes_are_started_for_those_who_are_found_and_ended_with_them() {
    let fleet = databases(2);
    let site = Site::new();
    let text = fleet.toml();
    let (head, _) = text.split_once("[[scaleSets.instances]]").unwrap();
    let discovery = "[scaleSets.discovery]\nfile = \"targets.yaml\"\nidLabel = \"id\"\nrefreshInterval = \
                     \"PT1S\"\nmaxRemovedPercent = 50\n";
    site.write("phasegate.toml", format!("{head}\n{discovery}"));
    let list = |which: &[usize]| {
        let entry = |index: &usize| {
            format!(
                "- targets: ['127.0.0.1:{}']\n  labels: {{id: {index}, role: replica, backup: 'false'}}\n",
                fleet.members[*index].port
            )
        };
        site.write("targets.yaml", which.iter().map(entry).collect::<String>());
    };
    list(&[0]);
    let host: Background<'_> = site.host();
    let healthy = |count: usize| {
        wait_for(&format!("{count} healthy"), || {
            let all = site.instances();
            (all.len() == count && all.iter().all(|one| one["health"] == "Healthy")).then_some(())
        });
    };
    let running = || site.processes().iter().filter(|one| one.contains("__demo-database")).count();
    healthy(1);
    list(&[0, 1]);
    healthy(2);
    assert_eq!(running(), 2);
    list(&[1]);
    healthy(1);
    wait_for("the process of the one that has gone ends", || (running() == 1).then_some(()));
    host.stop();
}

#[test]
fn what_a_configuration_says_of_a_source_is_checked() {
    let answers = Answers::start(&[0]);
    for (source, expected) in [
        ("", "discovery.file: is missing, and so are http and dns"),
        ("file = \"a\"\ndns = { srv = \"_a._tcp.b\" }", "discovery.dns: is there besides file"),
        ("dns = { host = \"a\" }", "discovery.dns.port: is missing"),
        ("dns = { srv = \"a b\" }", "discovery.dns.srv: "),
        ("http = { }", "discovery.http.url: is missing"),
        ("http = { url = \"ftp://a\" }", "does not begin with http:// or https://"),
        (
            "http = { url = \"http://a:1/\", headers = { Authorization = \"x\" } }",
            "sets Authorization (write tokenFile",
        ),
        ("http = { url = \"http://a:1/\", usernameFile = \"u\" }", "is there without passwordFile"),
        ("file = \"a\"\nmaxRemovedPercent = 101", "maxRemovedPercent: is 101 (allowed: 0 to 100)"),
        ("file = \"a\"\nregionLabel = \"{a}\"", "regionLabel: is not a name of a label"),
    ] {
        let site = site(&answers, source, "");
        let checked = site.run(&["check"]);
        assert!(checked.code == 1 && checked.stdout.contains(expected), "{source}: {checked:?}");
    }
    let site = site(&answers, "file = \"none.json\"", "");
    let checked = site.json(&["check"]);
    assert_eq!(checked["warnings"][0]["code"], "discovery-failed", "{checked}");
}
