//! Hooks through the command line, with all three drivers: their order, a gate that says not yet, and kill -9 at any
//! moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::drivers::{script, toml};
use crate::support::agent::{Agent, answer};
use crate::support::{Site, fleet, wait_for};

/// A program that writes down when it begins and ends, and waits while a file says so.
const HOOK: &str = r#"#!/bin/sh
echo "begin $1 $2 $3 $PHASEGATE_OPERATION" >> hooks.log
if [ -f "$1.not-yet" ]; then cat "$1.not-yet"; exit 75; fi
if [ -f "$1.fails" ]; then cat "$1.fails"; exit 1; fi
echo "end $1 $2 $3 $PHASEGATE_OPERATION" >> hooks.log
"#;

fn hooks() -> String {
    let one = |kind: &str, who: &str| {
        format!("{kind} = {{ command = [\"./hook.sh\", \"{kind}\", \"{{{who}}}\", \"{{direction}}\"] }}\n")
    };
    let all = [
        ("beforeInstance", "id"),
        ("afterInstance", "id"),
        ("beforeBatch", "batch"),
        ("afterBatch", "batch"),
    ];
    let all: String = all.into_iter().map(|(kind, who)| one(kind, who)).collect();
    format!("[scaleSets.driver.hooks]\n{all}")
}

fn site(toml: String) -> Site {
    let site = Site::new();
    site.write("phasegate.toml", toml);
    let script = site.write("hook.sh", HOOK);
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    site
}

/// The lines of the log that begin so, without the operations.
fn lines(site: &Site, word: &str) -> Vec<String> {
    let text = fs::read_to_string(site.path("hooks.log")).unwrap_or_default();
    let line = |line: &str| {
        line.strip_prefix(word)
            .map(|rest| rest.rsplit_once(' ').map_or("", |(rest, _)| rest).trim().to_owned())
    };
    text.lines().filter_map(line).collect()
}

fn waits_for(site: &Site) -> (String, String) {
    let status = site.json(&["upgrade", "status", "orders", "--detail"]);
    let word = |key: &str| status["waitingFor"][key].as_str().unwrap_or_default().to_owned();
    (word("code"), word("detail"))
}

#[test]
fn a_gate_holds_a_batch_until_it_is_open_and_a_failed_one_fails_it() {
    let site = site(toml(&script("")) + &hooks());
    let host = site.host();
    site.wait_until_healthy();
    let named = "beforeBatch, beforeInstance, afterInstance, afterBatch";
    for words in [&["upgrade", "plan", "orders", "--to", "v2"][..], &["simulate", "-c", "phasegate.toml"][..]]
    {
        let shown = site.run(words);
        assert!(shown.code == 0 && shown.stdout.contains(named), "{shown:?}");
    }
    site.write("beforeBatch.not-yet", "error rate 2 %\n");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("what the gate says", || {
        (waits_for(&site) == ("hook".to_owned(), "error rate 2 %".to_owned())).then_some(())
    });
    assert!(!site.path("calls").exists(), "nothing was touched");
    fs::remove_file(site.path("beforeBatch.not-yet")).unwrap();
    let watched = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(watched.code, 0, "{watched:?}");
    let first: Vec<String> = lines(&site, "end").into_iter().take(4).collect();
    let expected = [
        "beforeBatch 1 forward",
        "beforeInstance 0 forward",
        "afterInstance 0 forward",
        "afterBatch 1 forward",
    ];
    assert_eq!(first, expected);

    site.write("beforeInstance.fails", "cannot drain\n");
    let failed = site.run(&["upgrade", "start", "orders", "--to", "v3", "--wait"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stdout.contains("cannot drain"), "{failed:?}");
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("hook beforeInstance failed") && log.contains("nothing was touched"), "{log}");
    host.stop();
}

#[test]
fn a_rollback_ends_a_gate_and_brings_nothing_about() {
    let site = site(toml(&script("")) + &hooks());
    let host = site.host();
    site.wait_until_healthy();
    site.write("beforeBatch.not-yet", "error rate 2 %\n");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    wait_for("the gate", || (waits_for(&site).0 == "hook").then_some(()));
    let cancelled = site.run(&["upgrade", "cancel", "orders", "--now"]);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    wait_for("the end", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["state"] == "Cancelled").then_some(())
    });
    assert!(!site.path("calls").exists(), "nothing was touched");
    assert_eq!(lines(&site, "end"), ["afterBatch 1 forward"], "what was begun is closed");
    host.stop();
}

/// What was written down of each operation of a hook: how often it began, and how often it ended.
fn operations(site: &Site) -> BTreeMap<String, (usize, usize)> {
    let text = fs::read_to_string(site.path("hooks.log")).unwrap_or_default();
    let mut all: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in text.lines() {
        let Some((rest, operation)) = line.rsplit_once(' ') else { continue };
        let counts = all.entry(operation.to_owned()).or_default();
        if rest.starts_with("begin") { counts.0 += 1 } else { counts.1 += 1 }
    }
    all
}

/// Kills the host each time that some more lines were written by hooks, and lets it go on.
fn goes_on_when_killed(config: String, every: usize) {
    let site = site(config);
    let mut host = site.host();
    site.wait_until_healthy();
    let from = fs::read_to_string(site.path("hooks.log")).unwrap_or_default().lines().count();
    assert_eq!(from, 0, "no hook is run when a host starts");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    for round in 1..=(24 / every) {
        wait_for("more hooks", || {
            let seen = fs::read_to_string(site.path("hooks.log")).unwrap_or_default().lines().count();
            (seen >= round * every).then_some(())
        });
        host.kill();
        site.wait_until_nothing_is_left();
        host = site.host();
    }
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let all = operations(&site);
    assert!(
        all.values().all(|(began, ended)| *began >= 1 && *ended >= 1),
        "each has come to its end: {all:?}"
    );
    let rounds: BTreeSet<&str> =
        all.keys().filter_map(|one| one.rsplit_once('/')).map(|(round, _)| round).collect();
    assert_eq!((rounds.len(), all.len()), (12, 12), "each under one name: {all:?}");
    host.stop();
}

#[test]
fn kill_9_between_hooks_of_a_command_driver() {
    goes_on_when_killed(toml(&script("")) + &hooks(), 5);
}

#[test]
fn kill_9_between_hooks_of_an_http_driver() {
    let agent = Agent::start(|_, _| answer(200, "", "{\"state\":\"done\"}"));
    let driver = format!("kind = \"http\"\nurl = \"http://127.0.0.1:{}/up/{{id}}\"", agent.port);
    goes_on_when_killed(toml(&driver) + &hooks(), 7);
    let keys: BTreeSet<String> =
        agent.seen().iter().filter_map(|one| one.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(keys.len(), 3, "each instance was brought to v2 under one name: {keys:?}");
}

#[test]
fn kill_9_between_hooks_of_processes() {
    let mut set = fleet::databases(3);
    set.policy = "maxBatchInstancePercent = 34\nmaxUnhealthyInstancePercent = 100";
    goes_on_when_killed(format!("{}\n{}", set.toml(), hooks()), 8);
}
