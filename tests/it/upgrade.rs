//! Upgrades of real processes through the command line.

use serde_json::{Value, json};

use crate::support::{Site, fleet, wait_for};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn plan_start_status_and_their_exact_shapes() {
    let site = Site::new();
    let mut databases = fleet::databases(6);
    databases.members[4].backup = true;
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    let fleet = site.wait_until_healthy();
    assert_eq!(
        keys(&fleet[0]),
        [
            "id",
            "address",
            "zone",
            "updateDomain",
            "faultDomain",
            "labels",
            "health",
            "phase",
            "participation",
            "reason",
            "reasonCode",
            "version",
            "versionState",
            "desiredVersion",
            "plugin"
        ]
    );
    assert_eq!(keys(&fleet[0]["plugin"]), ["name", "digest", "generation"]);
    assert_eq!(fleet[0]["faultDomain"], Value::Null);

    let missing = site.run(&["upgrade", "status", "orders"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("has had no upgrade yet"), "{missing:?}");

    let plan = site.json(&["upgrade", "plan", "orders", "--to", "v2"]);
    assert_eq!(keys(&plan), ["scaleSet", "to", "digest", "batches", "holds"]);
    assert_eq!(keys(&plan["batches"][0]), ["phase", "zone", "updateDomain", "instances"]);
    let members: Vec<&Value> = plan["batches"].as_array().unwrap().iter().map(|b| &b["instances"]).collect();
    assert_eq!(json!(members), json!([["3"], ["1"], ["2"], ["5"], ["0"]]), "zone by zone, the leader last");
    assert_eq!(plan["holds"][0]["instance"], "4");
    assert_eq!(plan["digest"], site.json(&["upgrade", "plan", "orders", "--to", "v2"])["digest"]);

    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr, "", "quiet in a pipe");
    let status = site.json(&["upgrade", "status", "orders"]);
    assert_eq!(keys(&status), ["scaleSet", "id", "state", "progress", "batches", "holds", "error"]);
    assert_eq!(status["progress"], json!({"successful": 5, "failed": 0, "inProgress": 0, "pending": 0}));
    assert_eq!(keys(&status["batches"][0]), ["phase", "instances", "state", "startedAt", "endedAt"]);
    assert_eq!(status["error"], Value::Null);
    let batches = status["batches"].as_array().unwrap();
    for pair in batches.windows(2) {
        assert!(
            pair[0]["endedAt"].as_str() <= pair[1]["startedAt"].as_str(),
            "no batch before the last one's end"
        );
    }
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    host.stop();
}

#[test]
fn a_second_start_is_refused_and_cancel_finishes_the_batch() {
    let site = Site::new();
    let mut databases = fleet::databases(5);
    databases.policy = "maxBatchInstancePercent = 20\npauseTimeBetweenBatches = \"PT1S\"";
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    site.wait_until_healthy();
    let refused = site.run(&["upgrade", "cancel", "orders"]);
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (1, "error: There is no ongoing Rolling Upgrade to cancel.\n")
    );

    let first = site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let second = site.run(&["upgrade", "start", "orders", "--to", "v3"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains(first["id"].as_str().unwrap()), "{second:?}");

    // It plans when everybody has been asked.
    wait_for("the first batch", || {
        let status = site.json(&["upgrade", "status", "orders"]);
        (status["progress"]["inProgress"] == 1).then_some(())
    });
    site.json(&["upgrade", "cancel", "orders"]);
    let watched = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(watched.code, 1, "{watched:?}");
    let status = watched.json();
    assert_eq!(status["state"], "Cancelled");
    let count = |name: &str| status["progress"][name].as_u64().unwrap();
    assert_eq!(count("inProgress"), 0);
    assert!(count("pending") > 0, "{status}");
    let upgraded = site.instances().iter().filter(|i| i["version"] == "v2").count();
    assert_eq!(upgraded as u64, count("successful"), "nothing was put back and nothing was hurried");
    host.stop();
}

#[test]
fn a_version_that_does_not_start_faults_the_upgrade_and_spares_the_rest() {
    let site = Site::new();
    let mut databases = fleet::databases(5);
    // `version v-bad` makes the shell refuse; every other version runs the database.
    databases.command = databases.command.replacen(
        '[',
        r#"["sh", "-c", "case \"$*\" in *v-bad*) echo cannot start v-bad >&2; exit 7;; esac; exec \"$0\" \"$@\"", "#,
        1,
    );
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v-bad", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let status = ended.json();
    assert_eq!(status["state"], "Faulted");
    assert_eq!(status["error"]["code"], "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade");
    let detail = &status["error"]["details"][0];
    assert_eq!(detail["code"], "RollingUpgradeInstanceUnhealthyError");
    let text = detail["message"].as_str().unwrap();
    assert!(text.contains("code 7") && text.contains("cannot start v-bad"), "{text}");
    assert!(text.contains("v1 was brought back"), "{text}");
    site.wait_for_instances("a fleet that is whole again", |instance| {
        instance["health"] == "Healthy" && instance["version"] == "v1"
    });
    let again = site.run(&["upgrade", "start", "orders", "--to", "v-bad"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("quarantine"), "{again:?}");
    let forced = site.run(&["upgrade", "start", "orders", "--to", "v-bad", "--force", "--wait"]);
    assert_eq!(forced.code, 1, "it is tried again, and faults again: {forced:?}");
    host.stop();
}

#[test]
fn a_process_that_dies_is_restarted_and_said_so() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    let victim = wait_for("the process of instance 1", || {
        let output = std::process::Command::new("pgrep")
            .args(["-P", &host.pid().to_string(), "-f", "--", "--id 1 "])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<i32>().ok()
    });
    let pid = rustix::process::Pid::from_raw(victim).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait_for("word of it", || site.log().contains("signal 9").then_some(()));
    wait_for("a new process", || site.log().contains("runs version v1 again").then_some(()));
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn unknown_names_and_versions_are_said() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    for (arguments, code, message) in [
        (vec!["upgrade", "plan", "nope"], 2, "there is no scale set `nope`; the configuration has: orders"),
        (vec!["upgrade", "start", "nope"], 2, "there is no scale set `nope`"),
        (vec!["upgrade", "plan", "orders", "--to", "v 2"], 2, "version `v 2` contains ' '"),
        (vec!["upgrade", "start", "orders", "--to", "--json"], 2, ""),
        (vec!["plugin", "swap", "nope", "phasegate.toml"], 2, "there is no plugin `nope`"),
        (vec!["plugin", "swap", "db", "missing.wasm"], 2, "cannot read `missing.wasm`"),
        (vec!["fleet", "--server", "127.0.0.1:1"], 2, "cannot reach a phasegate at 127.0.0.1:1"),
        (vec!["fleet", "--server", "http://x/y"], 2, "is not `HOST:PORT`"),
        (vec!["nonsense"], 2, "unrecognized subcommand"),
    ] {
        let finished = site.run(&arguments);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(message), "{arguments:?}: {finished:?}");
        assert_eq!(finished.stdout, "", "{arguments:?}");
    }
    host.stop();
}
