//! `phasegate check`.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::sources;
use crate::support::plugin::azure_health;
use crate::support::registry::{Registry, Speaks, digest};
use crate::support::{Site, fleet, wait_for};

#[test]
fn ten_mistakes_are_told_at_once_with_their_lines() {
    let site = Site::new();
    site.write(
        "phasegate.toml",
        r#"[server]
listen = "0.0.0.0:8970"
datadir = "x"
[[plugins]]
name = "db"
component = "missing.wasm"
limits = { memoryMiB = 0, timeoutMs = "x" }
[[scaleSets]]
name = "or ders"
plugin = "dbx"
[scaleSets.health]
protocol = "udp"
intervalInSeconds = 0.01
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxBatchInstancePercent = 4
pauseTimeBetweenBatches = "5s"
[scaleSets.driver]
kind = "process"
command = ["python3", "{prot}"]
[scaleSets.model]
version = "v1"
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1"
"#,
    );
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let numbers: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "7", "7", "9", "10", "12", "13", "15", "16", "19", "24"], "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("phasegate.toml:")), "{lines:#?}");
    assert!(finished.stdout.contains("did you mean \"dataDir\"?"), "{finished:?}");
}

#[test]
fn what_only_this_machine_shows_is_checked_too() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    databases.component = "missing.wasm".to_owned();
    databases.command = r#"["no-such-command-anywhere", "{port}"]"#.to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("missing.wasm"), "{finished:?}");
    assert!(finished.stdout.contains("no-such-command-anywhere"), "{finished:?}");

    let started = site.run(&["run"]);
    assert_eq!(started.code, 2, "a host does not begin with less than it was told to: {started:?}");
    assert!(started.stderr.contains("no-such-command-anywhere"), "{started:?}");
}

#[test]
fn a_component_that_does_not_load_is_a_problem_of_the_configuration() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    site.write("page.wasm", "<!doctype html><title>not found</title>");
    databases.component = "page.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("not WebAssembly"), "{finished:?}");
}

#[test]
fn settings_that_the_plugin_refuses_are_told_with_their_line() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    databases.settings = "{ maxLagByte = 1 }";
    let toml = databases.toml();
    let line = toml.lines().position(|line| line.starts_with("settings")).unwrap() + 1;
    site.write("phasegate.toml", toml);
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains(&format!("phasegate.toml:{line}:")), "{finished:?}");
    assert!(
        finished.stdout.contains("plugins[0].settings") && finished.stdout.contains("maxLagByte"),
        "{finished:?}"
    );
}

#[test]
fn a_component_that_is_too_large_is_not_read() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    std::fs::File::create(site.path("sparse.wasm")).unwrap().set_len(1 << 40).unwrap();
    databases.component = "sparse.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stdout.contains("1099511627776 bytes"), "{finished:?}");
    assert_eq!(site.run(&["plugin", "inspect", "/dev/zero"]).code, 2);
}

#[test]
fn good_and_unreadable_files() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(2).toml());
    let good = site.run(&["check"]);
    assert_eq!((good.code, good.stdout.as_str()), (0, ""), "{good:?}");
    site.write("binary.toml", b"[server]\nlisten = \"\xff\"\n");
    let binary = site.run(&["check", "-c", "binary.toml"]);
    assert_eq!(binary.code, 1, "{binary:?}");
    assert!(binary.stdout.starts_with("binary.toml:2:11: is not UTF-8"), "{binary:?}");
    let absent = site.run(&["check", "-c", "absent.toml"]);
    assert_eq!(absent.code, 2, "{absent:?}");
    assert!(absent.stderr.contains("cannot read `absent.toml`"), "{absent:?}");
}

#[test]
fn what_is_no_configuration_is_one_line_at_once() {
    let site = Site::new();
    site.write("fleet.yaml", "server:\n  listen: 127.0.0.1:1\nscaleSets:\n- name: orders\n");
    site.write("fleet.json", "{\"server\": {}}");
    for (file, expected) in [
        ("/dev/zero", "it is a device, and a configuration is a regular file"),
        (".", "it is a directory"),
        ("fleet.yaml", "this looks like YAML; phasegate reads TOML"),
        ("fleet.json", "this looks like JSON; phasegate reads TOML"),
    ] {
        let finished = site.run(&["check", "-c", file]);
        assert_ne!(finished.code, 0, "{finished:?}");
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(expected), "{file}: {finished:?}");
        assert!(said.lines().count() <= 2, "one line, and a count: {finished:?}");
    }
}

#[test]
fn the_schema_is_printed() {
    let site = Site::new();
    let printed = site.run(&["config", "schema"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let schema = printed.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["server"]["properties"]["listen"]["default"], "127.0.0.1:8970");
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = std::fs::read_to_string(crate::support::repository().join("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    phasegate::config::parse(example, std::path::Path::new("phasegate.toml")).unwrap();
}

#[test]
fn json_holds_problems_warnings_and_counts() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    site.write("phasegate.toml", databases.toml());
    let text = site.run(&["check"]);
    assert_eq!((text.code, text.stdout.as_str()), (0, ""), "{text:?}");
    assert!(text.stderr.contains("warning: scale set \"orders\": "), "{text:?}");
    assert!(text.stderr.contains("can never pass: "), "{text:?}");
    let small = site.json(&["check"]);
    assert_eq!((&small["ok"], &small["problems"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(small["warnings"][0]["scaleSet"], "orders");
    assert_eq!(small["warnings"][0]["code"], "unsatisfiable");
    let expected = serde_json::json!([{
        "name": "orders", "instances": 2, "protected": 0,
        "maxBatchInstancePercent": 20, "batchMax": 1,
        "maxUnhealthyInstancePercent": 20, "unhealthyMax": 0,
        "maxUnhealthyUpgradedInstancePercent": 20, "batchSizes": [1],
    }]);
    let mut sets = small["scaleSets"].clone();
    let probing = sets[0].as_object_mut().and_then(|set| set.remove("probing")).unwrap();
    assert_eq!((&probing["instances"], probing["perSecond"].is_f64()), (&2.into(), true), "{probing}");
    assert_eq!(sets, expected);

    databases = fleet::databases(5);
    site.write("phasegate.toml", databases.toml());
    let large = site.json(&["check"]);
    assert_eq!(large["warnings"][0]["code"], "ends-with-host", "{large}");
    let said = databases.toml().replace("dataDir = \"./data\"", "dataDir = \"./data\"\nonExit = \"stop\"");
    site.write("phasegate.toml", said);
    let large = site.run(&["check"]);
    assert_eq!((large.code, large.stderr.as_str()), (0, "phasegate.toml: ok\n"), "{large:?}");

    databases.component = "missing.wasm".to_owned();
    site.write("phasegate.toml", databases.toml());
    let absent = site.run(&["check", "--json"]);
    assert_eq!(absent.code, 1, "{absent:?}");
    assert_eq!(absent.json()["ok"], false);
    assert_eq!(absent.json()["problems"][0]["key"], "plugins[0].component");
    assert_eq!(absent.json()["scaleSets"][0]["batchMax"], 1, "the policy is known all the same");

    site.write("phasegate.toml", "[server]\nlisten = \"localhost:80\"\ndatadir = 1\n");
    let wrong = site.run(&["check", "--json"]).json();
    let lines: Vec<&serde_json::Value> =
        wrong["problems"].as_array().unwrap().iter().map(|problem| &problem["line"]).collect();
    assert_eq!(lines, [1, 2, 3], "{wrong}");
    let last = serde_json::json!({
        "file": "phasegate.toml", "line": 3, "column": 1, "key": "server.datadir",
        "message": "is not a known key", "hint": "did you mean \"dataDir\"?",
    });
    assert_eq!(wrong["problems"][2], last);
    assert_eq!(wrong["scaleSets"], serde_json::json!([]));
}

#[test]
fn a_plan_shows_counts_freezes_and_warnings() {
    let site = Site::new();
    let windows = "[[scaleSets.upgradePolicy.freezeWindows]]\nlastDate = \"2099-12-31\"\n\
                   reason = \"end of the quarter\"\n";
    let plain = fleet::databases(2).toml();
    let toml = plain.replace("[scaleSets.driver]", &format!("{windows}[scaleSets.driver]"));
    assert_ne!(plain, toml);
    site.write("phasegate.toml", plain);
    let host = site.host();
    site.wait_until_healthy();
    let open = site.json(&["upgrade", "plan", "orders", "--to", "v2", "--detail"]);
    assert_eq!(open["frozen"], serde_json::Value::Null);
    assert_eq!(open["limits"]["unhealthyMax"], 0);
    assert_eq!(open["warnings"].as_array().unwrap().len(), 1, "{open}");
    host.stop();

    site.write("phasegate.toml", toml);
    let host = site.host();
    site.wait_until_healthy();
    let frozen = site.json(&["upgrade", "plan", "orders", "--to", "v2", "--detail"]);
    assert_eq!(frozen["digest"], open["digest"], "a freeze is no part of the plan");
    assert_eq!(frozen["frozen"]["reason"], "end of the quarter");
    let text = site.run(&["upgrade", "plan", "orders", "--to", "v2"]).stdout;
    assert!(text.contains("of 2 instances at most 1 at once (20 %), at most 0 unhealthy (20 %)\n"), "{text}");
    assert!(text.contains("frozen until 20") && text.contains("Z: end of the quarter\n"), "{text}");
    assert!(text.contains("warning: maxUnhealthyInstancePercent = 20 can never pass: "), "{text}");
    host.stop();
}

#[test]
fn a_plan_says_that_a_start_would_end_at_once() {
    let site = Site::new();
    let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    for listener in listeners {
        std::thread::spawn(move || {
            let body = "{\"ApplicationHealthState\":\"Unhealthy\"}";
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
    }
    let mut sleepers = fleet::answered_by_the_test(&ports, "builtin:azure-health");
    sleepers.policy = "maxBatchInstancePercent = 50\nmaxUnhealthyInstancePercent = 50";
    site.write("phasegate.toml", sleepers.toml());
    let host = site.host();
    let plan = wait_for("the fleet to be unhealthy", || {
        let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2", "--detail"]);
        (!plan["warnings"].as_array().unwrap().is_empty()).then_some(plan)
    });
    let warnings = serde_json::json!([{
        "code": "fleet-unhealthy",
        "message": "2 of 2 instances are unhealthy right now, more than maxUnhealthyInstancePercent = 50 \
                    allows (1): an upgrade that starts now ends Faulted at once; the first is `0`",
    }]);
    assert_eq!(plan["warnings"], warnings);
    let started = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(started.code, 1, "{started:?}");
    assert!(started.stdout.contains("ExceededBeforeRollingUpgrade"), "{started:?}");
    host.stop();
}

#[test]
fn a_check_makes_no_request_that_it_does_not_announce() {
    let registry = Registry::start(Speaks::Http);
    let reference = registry.oci("policies/db:1");
    let (site, _answers) = sources::site(&reference, "");
    let offline = site.run(&["check", "--offline", "--json"]);
    assert_eq!((offline.code, registry.paths().len()), (0, 0), "{offline:?}");
    let codes: Vec<Value> =
        offline.json()["warnings"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert!(codes.contains(&"unpinned".into()) && codes.contains(&"not-fetched".into()), "{codes:?}");

    let away = site.run(&["check"]);
    assert_eq!((away.code, registry.paths().len()), (1, 1), "{away:?}");
    assert!(away.stdout.contains("plugins[0].component") && away.stdout.contains("status 404"), "{away:?}");

    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    for (component, message) in [
        ("http://registry.example.com/db.wasm", "in the clear"),
        ("oci://registry.example.com/db", "names no version"),
        ("s3://bucket/db.wasm", "unknown scheme"),
    ] {
        site.write("phasegate.toml", toml.replace(&reference, component));
        let checked = site.run(&["check"]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(checked.stdout.contains(message), "{component}: {checked:?}");
    }
    registry.push("policies/db", "1", &azure_health());
    let inspected = site.json(&["plugin", "inspect", &reference]);
    assert_eq!((&inspected["fits"], &inspected["digest"]), (&true.into(), &digest(&azure_health()).into()));
}

#[test]
fn what_it_means_that_nobody_is_asked_is_said() {
    let site = Site::new();
    let toml = fleet::databases(1).toml();
    site.write("phasegate.toml", &toml);
    let said = |site: &Site| {
        let all = site.json(&["check"])["warnings"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["code"] == "not-observed")
    };
    assert_eq!(said(&site), None, "the host knows what it runs");
    let driver = toml.find("[scaleSets.driver]").unwrap();
    let model = toml.find("[scaleSets.model]").unwrap();
    let command = "[scaleSets.driver]\nkind = \"command\"\ncommand = [\"true\", \"{version}\"]\n";
    site.write("phasegate.toml", format!("{}{command}{}", &toml[..driver], &toml[model..]));
    let warning = said(&site).unwrap();
    let text = warning["message"].as_str().unwrap();
    assert!(text.contains("driver.observe") && text.contains("model.version = \"v1\""), "{text}");
    let seen = format!("{command}observe = [\"cat\", \"v\"]\n");
    site.write("phasegate.toml", format!("{}{seen}{}", &toml[..driver], &toml[model..]));
    assert_eq!(said(&site), None);
}

#[test]
fn what_a_large_fleet_costs_is_said_and_that_the_recording_is_too_small_for_it() {
    let site = Site::new();
    let made = |instances: usize, recording: &str| {
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:1\"\ndataDir = \"data\"\n{recording}\n[[plugins]]\nname = \"db\"\n\
             component = \"builtin:azure-health\"\n[[scaleSets]]\nname = \"fleet\"\nplugin = \"db\"\n\
             model = {{ version = \"v1\" }}\n[scaleSets.health]\nintervalInSeconds = 10\nrequestPath = \"/\"\n\
             [scaleSets.driver]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/{{id}}\"\n"
        );
        for id in 1..=instances {
            text.push_str(&format!(
                "[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"10.0.{}.{}:80\"\n",
                id / 250,
                id % 250 + 1
            ));
        }
        text
    };
    site.write("phasegate.toml", made(40_000, ""));
    let text = site.run(&["check"]);
    assert_eq!(text.code, 0, "{text:?}");
    let line = "scale set \"fleet\": 40000 instances are 4000 probes a second: about ";
    assert!(text.stderr.contains(line), "{text:?}");
    let warning = "warning: recording.maxMiB = 64 has no room for a record of each of 40000 instances: ";
    assert!(text.stderr.contains(warning), "{text:?}");
    let large = site.json(&["check"]);
    let codes: Vec<&serde_json::Value> =
        large["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert!(codes.contains(&&"recording-small".into()), "{codes:?}");
    assert_eq!(large["scaleSets"][0]["probing"]["perSecond"], 4_000.0);

    site.write("phasegate.toml", made(40_000, "[recording]\nmaxMiB = 128"));
    let text = site.run(&["check"]);
    assert!(!text.stderr.contains("recording.maxMiB"), "{text:?}");
}
