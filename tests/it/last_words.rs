//! What a driver says while it has something in hand: an upgrade that waits for it says so, in its words.

use std::fs;

use serde_json::Value;

use crate::drivers::toml;
use crate::http::request;
use crate::support::agent::{Agent, answer};
use crate::support::{Site, wait_for};

/// What the upgrade waits for.
fn waits(site: &Site) -> Value {
    site.json(&["upgrade", "status", "orders", "--detail"])["waitingFor"].clone()
}

/// Waits until it waits so.
fn until(site: &Site, code: &str, detail: &str) -> Value {
    wait_for(&format!("{code}: {detail}"), || {
        let waits = waits(site);
        (waits["code"] == code && waits["detail"].as_str().is_some_and(|seen| seen.contains(detail)))
            .then_some(waits)
    })
}

fn metrics(site: &Site) -> String {
    request(site.port(), "GET /metrics", "")
}

fn retries(site: &Site) -> f64 {
    let text = metrics(site);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("phasegate_driver_retries_total{scale_set=\"orders\"} "));
    line.unwrap_or_else(|| panic!("no retries in {text}")).parse().unwrap()
}

fn trail(site: &Site) -> String {
    let log = site.json(&["upgrade", "log", "orders"]);
    let lines = log["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "waiting");
    lines.map(|entry| format!("{}\n", entry["text"].as_str().unwrap())).collect()
}

#[test]
fn of_a_program() {
    let site = Site::new();
    let script = site.write(
        "driver.sh",
        "if [ ! -e free ]; then echo looking; echo rack 7 is locked; exit 75; fi\n\
         printf 'copying \\033[2J1 of 3\\n'; while [ ! -e go ]; do sleep 0.05; done\n",
    );
    let driver = format!("kind = \"command\"\ncommand = [\"sh\", \"{}\"]", script.display());
    site.write("phasegate.toml", toml(&driver));
    let host = site.host();
    site.wait_until_healthy();
    assert!(retries(&site) < 0.5);
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let busy = until(&site, "driverBusy", "rack 7 is locked");
    assert_eq!((&busy["detail"], &busy["actor"]), (&"rack 7 is locked".into(), &"driver".into()), "{busy}");
    assert!(busy["text"].as_str().unwrap().contains("which is busy: rack 7 is locked"), "{busy}");
    assert!(retries(&site) > 0.5);
    let shown = site.run(&["upgrade", "status", "orders"]).stdout;
    assert!(shown.contains("rack 7 is locked"), "{shown}");
    wait_for("the log to say so", || {
        trail(&site)
            .contains("waits for the driver, which is busy: 0; last words: rack 7 is locked")
            .then_some(())
    });
    assert!(
        metrics(&site).contains("phasegate_upgrade_waiting{scale_set=\"orders\",reason=\"driverBusy\"} 1")
    );
    fs::write(site.path("free"), "").unwrap();
    let words = "copying \\u{1b}[2J1 of 3";
    until(&site, "driver", words);
    // It says nothing more for a while.
    let hangs = until(&site, "driverHanging", words);
    assert!(hangs["text"].as_str().unwrap().contains("nothing was heard"), "{hangs}");
    wait_for("the log to say so", || trail(&site).contains("nothing was heard for long").then_some(()));
    fs::write(site.path("go"), "").unwrap();
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    host.stop();
}

#[test]
fn of_an_agent() {
    let site = Site::new();
    let (free, go) = (site.path("free"), site.path("go"));
    let agent = Agent::start(move |_, _| match (free.exists(), go.exists()) {
        (false, _) => answer(503, "", "the vault is sealed"),
        (true, false) => answer(202, "", r#"{"message": "image 2 of 5"}"#),
        (true, true) => answer(200, "", r#"{"state": "done"}"#),
    });
    let driver = format!("kind = \"http\"\nurl = \"http://127.0.0.1:{}/{{id}}\"", agent.port);
    site.write("phasegate.toml", toml(&driver));
    let host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    until(&site, "driverBusy", "the vault is sealed");
    assert!(retries(&site) > 0.5);
    fs::write(site.path("free"), "").unwrap();
    until(&site, "driver", "image 2 of 5");
    fs::write(site.path("go"), "").unwrap();
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    host.stop();
}
