//! What a plugin gets to see of an instance: several sources in one observation, and what of that people get to see.

use serde_json::{Value, json};

use crate::support::answers::Answers;
use crate::support::{Site, fleet, repository, wait_for};

const METRICS: &str = r#"{"ApplicationHealthState":"Healthy","customMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":2,\"SkipUpgrade\":false},\"note\":\"\u202e\u0085\"}"}"#;

/// A fleet of one that azure-health judges.
fn site(health: &str) -> (Site, Answers) {
    let answers = Answers::start(&[0]);
    answers.say(0, METRICS);
    let set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    let site = Site::new();
    let toml = set.toml();
    let head = "[scaleSets.health]\n";
    let at = toml.find(head).unwrap() + head.len();
    let end = at + toml[at..].find("\n[").unwrap();
    site.write("phasegate.toml", format!("{}{health}{}", &toml[..at], &toml[end..]));
    (site, answers)
}

fn only(site: &Site) -> Value {
    site.json(&["fleet", "--detail"])["scaleSets"][0]["instances"][0].clone()
}

#[test]
fn what_an_application_sends_is_seen() {
    let (site, answers) = site("intervalInSeconds = 0.1\ngracePeriod = 20\n");
    let _host = site.host();
    site.wait_until_healthy();
    let seen = only(&site);
    assert_eq!(seen["customMetrics"]["status"], "success", "{seen}");
    let text = seen["customMetrics"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("PhaseOrderingNumber"), "{seen}");
    assert_eq!(seen["reasonCode"], "phase", "{seen}");
    let raw = site.run(&["fleet", "--json", "--detail"]).stdout;
    assert!(!raw.contains(['\u{202e}', '\u{85}']), "what steers a terminal is escaped: {raw}");
    let plain = site.json(&["fleet"])["scaleSets"][0]["instances"][0].clone();
    assert_eq!(plain["customMetrics"], Value::Null, "with --detail alone: {plain}");

    let one = site.json(&["instance", "show", "orders", "0"]);
    assert_eq!(one["customMetrics"], json!({ "text": text, "status": "success" }), "{one}");
    let shown = site.run(&["instance", "show", "orders", "0"]);
    assert!(shown.stdout.contains("custom metrics  (success) {"), "{shown:?}");
    let nobody = site.run(&["instance", "show", "orders", "9"]);
    assert!(
        nobody.code == 2 && nobody.stderr.contains("scale set `orders` has no instance `9`"),
        "{nobody:?}"
    );

    // More than fits the fleet is cut there, and whole at the instance.
    let metrics =
        json!({ "rollingUpgrade": { "PhaseOrderingNumber": 1 }, "x": "y".repeat(3000) }).to_string();
    answers.say(0, &json!({ "ApplicationHealthState": "Healthy", "customMetrics": metrics }).to_string());
    let cut = wait_for("the longer metrics", || only(&site)["customMetrics"]["cut"].as_u64());
    let seen = only(&site)["customMetrics"].clone();
    assert_eq!(seen["text"].as_str().unwrap().len(), 1024, "{seen}");
    let whole = site.json(&["instance", "show", "orders", "0"])["customMetrics"].clone();
    assert_eq!(whole["text"].as_str().unwrap().len() as u64, 1024 + cut, "{whole}");
}

#[test]
fn custom_metrics_that_nobody_can_read_are_seen_and_explained() {
    let (site, answers) = site("intervalInSeconds = 0.1\ngracePeriod = 20\n");
    answers.say(0, r#"{"ApplicationHealthState":"Healthy","customMetrics":"{no json"}"#);
    let _host = site.host();
    site.wait_until_healthy();
    let seen = only(&site);
    assert_eq!(seen["customMetrics"], json!({ "text": "{no json", "status": "error" }), "{seen}");
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert!(ended.code < 2, "{ended:?}");
    let explained = wait_for("the records that the upgrade has gone by", || {
        let explained = site.run(&["upgrade", "explain", "orders", "0", "--json"]).json();
        (!explained["outcome"].is_null()).then_some(explained)
    });
    assert_eq!(explained["customMetrics"], json!({ "text": "{no json", "status": "error" }), "{explained}");
    let shown = site.run(&["upgrade", "explain", "orders", "0"]);
    assert!(shown.stdout.contains("custom metrics (error) {no json"), "{shown:?}");
}

#[test]
fn all_sources_are_judged_recorded_and_explained_together() {
    let sources = r#"intervalInSeconds = 0.2
gracePeriod = 20
sources = [
  { protocol = "exec", command = ["sh", "-c", '''
    printf '%s' '{"ApplicationHealthState":"Healthy","customMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":4}}"}'
    '''] },
  { name = "page", requestPath = "/{id}" },
  { name = "line", protocol = "tcp", send = "GET / HTTP/1.0\r\n\r\n", expect = "Connection" },
  { name = "nowhere", port = 1 },
  { name = "open", protocol = "exec", command = ["ls", "-l", "/proc/self/fd"] },
]
"#;
    let (site, _answers) = site(sources);
    let _host = site.host();
    site.wait_until_healthy();
    let seen = only(&site);
    assert_eq!(seen["phase"], 4, "the program was asked in the place of the probe: {seen}");
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let explained = wait_for("the records that the upgrade has gone by", || {
        let explained = site.run(&["upgrade", "explain", "orders", "0", "--json"]).json();
        (!explained["observation"].is_null()).then_some(explained)
    });
    assert_eq!(explained["same"], true, "judged again from all of them: {explained}");
    let observation = &explained["observation"];
    let answers = observation["answers"].as_array().unwrap();
    let names: Vec<&str> = answers.iter().map(|answer| answer["source"].as_str().unwrap()).collect();
    assert_eq!(names, ["health", "page", "line", "nowhere", "open"], "{explained}");
    let text = observation.to_string();
    for part in [
        "exit-code",
        "PhaseOrderingNumber",
        "HTTP/1.1 200 OK",
        "connection refused",
        "probe-protocol",
        "exec",
    ] {
        assert!(text.contains(part), "{part}: {explained}");
    }
    assert!(text.contains("/dev/null") && !text.contains("pagemap"), "it inherits nothing: {explained}");
    let address = seen["address"].as_str().unwrap();
    assert!(text.contains(&format!("\"{address}\"")), "{explained}");
    let component = repository().join("plugins/azure-health/azure-health.wasm").display().to_string();
    let recording = site.path("data/recording").display().to_string();
    let replayed = site.run(&["plugin", "replay", &recording, "--plugin", &component]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
}

#[test]
fn a_plugin_that_needs_more_than_an_open_port_is_a_problem_and_one_without_phases_a_warning() {
    let tcp = "protocol = \"tcp\"\nintervalInSeconds = 1\n";
    let (site, _answers) = site(tcp);
    let checked = site.run(&["check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let codes = checked.json()["warnings"].to_string();
    assert!(codes.contains("port-alone"), "{codes}");
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let toml = toml.replace("builtin:azure-health", &fleet::replicated_db());
    site.write("phasegate.toml", &toml);
    let checked = site.run(&["check", "--json"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let problems = checked.json()["problems"].clone();
    assert_eq!(problems[0]["key"], "scaleSets[0].health.protocol", "{problems}");
    // A dialogue brings more than a port: what of it is enough, the plugin alone knows.
    let dialogue = "sources = [{ protocol = \"tcp\", send = \"x\" }]\nintervalInSeconds = 1\n";
    site.write("phasegate.toml", toml.replace(tcp, dialogue));
    let checked = site.run(&["check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}
