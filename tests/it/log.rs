//! The trail and the upgrades of the past, as they are asked for from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::http::request;
use crate::support::{Site, fleet, wait_for};

/// A command that follows, and its output.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn new(site: &Site, arguments: &[&str]) -> Self {
        let mut child = site.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "it has ended");
        line.trim_end().to_owned()
    }

    /// Up to the end of an upgrade: numbers and texts.
    fn until_the_end_of(&mut self, upgrade: &str) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        loop {
            let line: Value = serde_json::from_str(&self.line()).unwrap();
            let (seq, text) = (line["seq"].as_u64().unwrap(), line["text"].as_str().unwrap().to_owned());
            lines.push((seq, text));
            if line["kind"] == "end" && line["upgrade"] == upgrade {
                return lines;
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn seqs(log: &Value) -> Vec<u64> {
    log["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

#[test]
fn the_past_is_listed_shown_and_explained() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    let none = site.run(&["status"]);
    assert!(none.code == 0 && none.stdout.contains("orders     -"), "{none:?}");
    for version in ["v2", "v3"] {
        let done = site.run(&["upgrade", "start", "orders", "--to", version, "--wait"]);
        assert_eq!(done.code, 0, "{done:?}");
    }

    let list = site.json(&["upgrade", "list", "orders"]);
    let upgrades = list["upgrades"].as_array().unwrap();
    let of =
        |key: &str| -> Vec<&str> { upgrades.iter().map(|upgrade| upgrade[key].as_str().unwrap()).collect() };
    assert_eq!(of("id"), ["orders-2", "orders-1"]);
    assert_eq!((of("from"), of("to")), (vec!["v2", "v1"], vec!["v3", "v2"]));
    assert_eq!((of("state"), of("kind")), (vec!["Completed", "Completed"], vec!["forward", "forward"]));
    assert!(upgrades.iter().all(|upgrade| upgrade["progress"]["successful"] == 3), "{list}");
    let first = site.run(&["upgrade", "list", "orders", "--limit", "1"]);
    assert!(first.stdout.contains("orders-2") && !first.stdout.contains("orders-1"), "{first:?}");
    assert!(first.stderr.contains("there are older ones"), "{first:?}");

    for past in [
        site.json(&["upgrade", "status", "orders", "--upgrade", "orders-1", "--detail"]),
        site.json(&["status", "orders", "--upgrade", "orders-1", "--detail"]),
    ] {
        assert_eq!((&past["to"], &past["waiting"]), (&Value::from("v2"), &Value::Null), "{past}");
        assert_eq!(past["status"]["batches"][0]["state"], "Completed", "{past}");
    }
    let all = site.json(&["status"]);
    let upgrade = &all["scaleSets"][0]["upgrade"];
    assert_eq!(
        (&upgrade["id"], &upgrade["from"], &upgrade["to"]),
        (&"orders-2".into(), &"v2".into(), &"v3".into())
    );

    let before = site.run(&["upgrade", "explain", "orders", "1", "--upgrade", "orders-1", "--json"]);
    let latest = site.run(&["upgrade", "explain", "orders", "1", "--json"]);
    assert_eq!(
        (&before.json()["upgrade"], &latest.json()["upgrade"]),
        (&"orders-1".into(), &"orders-2".into())
    );
    host.stop();
}

#[test]
fn a_part_of_the_trail_says_that_it_is_a_part() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    for version in ["v2", "v3"] {
        assert_eq!(site.run(&["upgrade", "start", "orders", "--to", version, "--wait"]).code, 0);
    }
    let all = site.json(&["upgrade", "log", "orders"]);
    assert_eq!((&all["truncated"], &all["next"]), (&Value::Bool(false), &Value::Null));
    let every = seqs(&all);
    let newest = site.run(&["upgrade", "log", "orders", "--limit", "3", "--json"]);
    assert!(newest.stderr.contains("the newest 3 lines, and there are older ones"), "{newest:?}");
    assert_eq!(seqs(&newest.json()), every[every.len() - 3..]);
    let until = (newest.json()["next"].as_u64().unwrap() - 1).to_string();
    let older = site.json(&["upgrade", "log", "orders", "--until", &until]);
    assert_eq!(seqs(&older), every[..every.len() - 3], "no line is lost between them");
    let since = every[4].to_string();
    assert_eq!(seqs(&site.json(&["upgrade", "log", "orders", "--since", &since])), every[5..]);
    assert_eq!(seqs(&site.json(&["upgrade", "log", "orders", "--since", "PT1H"])), every);
    assert!(seqs(&site.json(&["upgrade", "log", "orders", "--until", "PT1H"])).is_empty());
    let first = site.json(&["upgrade", "log", "orders", "--upgrade", "orders-1", "--instance", "1"]);
    assert!(!seqs(&first).is_empty());
    for entry in first["entries"].as_array().unwrap() {
        assert_eq!((&entry["upgrade"], &entry["instance"]), (&"orders-1".into(), &"1".into()), "{entry}");
    }

    for (arguments, expected) in [
        (
            &["upgrade", "log", "orders", "--instance", "99"][..],
            "has no instance `99`, and its trail has no line",
        ),
        (
            &["upgrade", "log", "orders", "--upgrade", "orders-9"],
            "no upgrade `orders-9`; known: orders-2, orders-1",
        ),
        (&["upgrade", "status", "orders", "--upgrade", "orders-9"], "known: orders-2, orders-1"),
        (&["upgrade", "explain", "orders", "1", "--upgrade", "orders-9"], "known: orders-2, orders-1"),
        (&["upgrade", "list", "stock"], "there is no scale set `stock`; the configuration has: orders"),
        (&["upgrade", "log", "stock"], "there is no scale set `stock`; the configuration has: orders"),
        (
            &["upgrade", "log", "orders", "--since", "yesterday"],
            "since is \"yesterday\"; write a time such as",
        ),
        (&["upgrade", "log", "orders", "--limit", "0"], "'0'"),
        (&["upgrade", "log", "orders", "--upgrade", "a b"], "upgrade id `a b`"),
        (&["status", "--upgrade", "orders-1"], "<NAME>"),
    ] {
        let refused = site.run(arguments);
        assert!(refused.code != 0 && refused.stderr.contains(expected), "{arguments:?}: {refused:?}");
    }
    host.stop();
}

#[test]
fn who_follows_the_trail_reads_each_line_once_over_the_end_of_a_host() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    let mut all = Following::new(&site, &["log", "orders", "--follow", "--json"]);
    let mut one = Following::new(&site, &["upgrade", "log", "orders", "-f", "--json", "--instance", "1"]);
    let mut text = Following::new(&site, &["log", "orders", "--follow", "--limit", "1"]);
    let mut heard = all.until_the_end_of("orders-1");
    let before = text.line();
    assert!(before.contains("orders-1") && before.contains(" end "), "{before}");
    wait_for("all of them to follow", || {
        let metrics = request(site.port(), "GET /metrics", "");
        metrics.contains("\nphasegate_event_followers 3.0\n").then_some(())
    });
    host.kill();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v3", "--wait"]).code, 0);
    heard.extend(all.until_the_end_of("orders-2"));

    let kept = |arguments: &[&str]| -> Vec<(u64, String)> {
        let log = site.json(arguments);
        let entries = log["entries"].as_array().unwrap();
        let line =
            |entry: &Value| (entry["seq"].as_u64().unwrap(), entry["text"].as_str().unwrap().to_owned());
        entries.iter().map(line).collect()
    };
    assert_eq!(heard, kept(&["log", "orders"]));
    for (seq, text) in kept(&["log", "orders", "--instance", "1"]) {
        let line: Value = serde_json::from_str(&one.line()).unwrap();
        assert_eq!((&line["seq"], &line["text"]), (&seq.into(), &text.into()), "{line}");
        assert_eq!((&line["instance"], &line["scaleSet"]), (&"1".into(), &"orders".into()), "{line}");
    }
    while !text.line().contains("orders-2") {}
    drop((all, one, text));
    for (arguments, expected) in [
        (&["log", "orders", "--follow", "--instance", "99"][..], "has no instance `99`"),
        (&["log", "stock", "--follow"], "there is no scale set `stock`"),
        (&["log", "orders", "--follow", "--until", "PT1H"], "cannot be used with"),
    ] {
        let refused = site.run(arguments);
        assert!(refused.code != 0 && refused.stderr.contains(expected), "{arguments:?}: {refused:?}");
    }
    host.stop();
}

#[test]
fn little_of_the_record_is_kept_and_what_is_needed_always() {
    let site = Site::new();
    let least = "\n[retention]\nupgrades = 4\nmembers = 3\naudit = \"PT1M\"\nauditLines = 100\n";
    site.write("phasegate.toml", format!("{}{least}", fleet::databases(3).toml()));
    let host = site.host();
    site.wait_until_healthy();
    for number in 2..8 {
        let to = format!("v{number}");
        assert_eq!(site.run(&["upgrade", "start", "orders", "--to", &to, "--wait"]).code, 0);
    }
    let ids = |list: &Value| -> Vec<String> {
        let upgrades = list["upgrades"].as_array().unwrap().iter();
        upgrades.map(|upgrade| upgrade["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = wait_for("old upgrades to go", || {
        let list = site.json(&["upgrade", "list", "orders"]);
        (ids(&list).len() == 4).then_some(list)
    });
    assert_eq!(ids(&list), ["orders-6", "orders-5", "orders-4", "orders-3"]);
    assert!(list["upgrades"][3]["progress"]["successful"] == 3, "counts stay: {list}");
    let old = wait_for("members to go", || {
        let old = site.json(&["upgrade", "status", "orders", "--upgrade", "orders-3", "--detail"]);
        (old["membersKept"] == false).then_some(old)
    });
    assert_eq!(
        (&old["status"]["progress"]["successful"], &old["status"]["batches"]),
        (&3.into(), &Value::from(Vec::<Value>::new()))
    );
    let text = site.run(&["upgrade", "status", "orders", "--upgrade", "orders-3"]);
    assert!(text.stdout.contains("no longer kept (retention.members)"), "{text:?}");
    for id in ["orders-4", "orders-5", "orders-6"] {
        let kept = site.json(&["upgrade", "status", "orders", "--upgrade", id, "--detail"]);
        assert_eq!(
            (&kept["membersKept"], &kept["status"]["batches"][0]["state"]),
            (&true.into(), &"Completed".into())
        );
        let why = site.run(&["upgrade", "explain", "orders", "1", "--upgrade", id, "--json"]);
        assert_eq!(why.json()["upgrade"], id, "{why:?}");
    }
    assert!(!seqs(&site.json(&["log", "orders", "--upgrade", "orders-4"])).is_empty());
    // Back by one: what stands before the latest is needed.
    assert_eq!(site.run(&["upgrade", "rollback", "orders", "--wait"]).code, 0);
    assert!(site.instances().iter().all(|instance| instance["version"] == "v6"));
    host.stop();
}
