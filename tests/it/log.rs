//! The trail and the upgrades of the past, as they are asked for from outside.

use serde_json::Value;

use crate::support::{Site, fleet};

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
