//! `phasegate simulate`: the same seed the same output, bad input, exit codes, the timeline, recorded
//! fleets and real plugins.

use serde_json::{Value, json};

use crate::support::{Finished, Site, fleet, repository};

fn simulate(arguments: &[&str]) -> Finished {
    let mut all = vec!["simulate"];
    all.extend(arguments);
    Site::new().run(&all)
}

fn well(arguments: &[&str]) -> Finished {
    let finished = simulate(arguments);
    assert_eq!(finished.code, 0, "{arguments:?}: {finished:?}");
    finished
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let arguments =
        ["--instances", "40", "--phases", "60,30", "--skip", "5", "--faults", "all", "--runs", "50"];
    let (a, b) = (well(&arguments), well(&arguments));
    assert_eq!(a.stdout, b.stdout);
    assert!(a.stdout.contains("50 runs") && a.stdout.contains("budget passed         never"), "{a:?}");
    assert!(a.stderr.contains("50 runs in "), "what it cost belongs to stderr: {a:?}");
    let mut other = arguments.to_vec();
    other.extend(["--seed", "1000"]);
    assert_ne!(well(&other).stdout, a.stdout);
}

#[test]
fn bad_input_is_told_with_value_and_limit() {
    for (arguments, told) in [
        (vec!["--instances", "0"], "`--instances` is 0 (allowed: 1 to 2000000)"),
        (vec!["--faults", "crush"], "has `crush`; known: crash"),
        (vec!["--faults", "crash=99/h"], "is `99/h` (allowed: 0/h to 60/h"),
        (vec!["--faults", "slow=101%"], "is `101%` (allowed: 0% to 100%"),
        (vec!["--faults", "zone-loss", "--zones", "0"], "needs a fleet with zones"),
        (vec!["--phases", "60,50"], "are 110 percent together (limit 100)"),
        (vec!["--runs", "0"], "`--runs` is 0 (allowed: 1 to 1000000)"),
        (vec!["--regions", "200"], "more than the 100 instances"),
        (vec!["--apply", "9..1"], "whose end is before its beginning"),
        (vec!["--at", "noon"], "`--at` is `noon`"),
        (
            vec!["--policy", "maxBatchInstancePercent=4"],
            "maxBatchInstancePercent=4` is 4 (allowed: 5 to 100)",
        ),
        (vec!["--policy", "batch=4"], "no setting `batch`; known: maxBatchInstancePercent"),
        (vec!["--fleet", "missing.json"], "cannot read `missing.json`"),
        (vec!["--plugin", "builtin:azure-health", "--settings", "{"], "not JSON"),
    ] {
        let finished = simulate(&arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (2, ""), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(told), "{arguments:?}: {finished:?}");
    }
}

#[test]
fn a_timeline_tells_one_run_from_the_plan_to_the_end() {
    let told = well(&[
        "--instances",
        "8",
        "--zones",
        "2",
        "--phases",
        "1",
        "--faults",
        "bad-version=100%",
        "--timeline",
        "7",
    ]);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert!(lines[1].contains("the plan is made: "), "{told:?}");
    assert!(lines[2].contains("(phase 0, zone 1): 0"), "{told:?}");
    assert!(
        told.stdout.contains("failed: was still Unhealthy 300 s after its upgrade; before was brought back"),
        "{told:?}"
    );
    assert!(told.stdout.contains("Faulted: 0 upgraded, 1 failed, 7 not begun"), "{told:?}");

    let json = well(&["--instances", "8", "--timeline", "--json"]).json();
    let kinds: Vec<&str> =
        json["timeline"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"plan"), Some(&"end")));
    assert_eq!(json["endings"][0]["state"], "Completed");
    assert!(well(&["--instances", "8", "--runs", "2", "--json"]).json().get("timeline").is_none());
}

#[test]
fn regions_follow_each_other_and_limits_hold_for_each() {
    let json = well(&["--instances", "90", "--regions", "3", "--runs", "5", "--json"]).json();
    let regions = json["perRegion"].as_array().unwrap();
    assert_eq!(regions.len(), 3);
    assert!(regions.iter().all(|region| region["completed"] == 5), "{json}");
    assert_eq!(json["mostUnavailable"]["of"], 30);
}

#[test]
fn a_configuration_gives_policy_and_instances() {
    let site = Site::new();
    let mut databases = fleet::databases(6);
    databases.component = repository().join("plugins/replicated-db/replicated-db.wasm").display().to_string();
    site.write("phasegate.toml", databases.toml());
    let finished = site.run(&[
        "simulate",
        "-c",
        "phasegate.toml",
        "--runs",
        "3",
        "--policy",
        "stableFor=PT30S",
        "--json",
    ]);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(finished.json()["instances"], 6, "{finished:?}");
    let other = site.run(&["simulate", "-c", "phasegate.toml", "--scale-set", "missing"]);
    assert!(other.code == 2 && other.stderr.contains("has no scale set `missing`"), "{other:?}");
    let zones = site.run(&["simulate", "-c", "phasegate.toml", "--zones", "2"]);
    assert!(zones.code == 2 && zones.stderr.contains("`--zones` is for made-up fleets"), "{zones:?}");
}

fn instance(id: u32, phase: Option<u32>, participation: &str, health: &str) -> Value {
    json!({
        "id": id.to_string(), "address": "127.0.0.1:1", "zone": "1", "updateDomain": null,
        "faultDomain": null, "labels": {}, "health": health, "phase": phase,
        "participation": participation, "reason": null, "version": "v1", "desiredVersion": "v2",
        "plugin": null
    })
}

#[test]
fn a_recorded_fleet_is_simulated_as_it_was_seen() {
    let site = Site::new();
    let mut protected = instance(3, Some(0), "proceed", "Healthy");
    protected["protected"] = true.into();
    let instances = [
        instance(0, Some(1), "proceed", "Healthy"),
        instance(1, Some(0), "proceed", "Healthy"),
        instance(2, Some(0), "skip", "Healthy"),
        protected,
        instance(4, None, "proceed", "Healthy"),
    ];
    site.write("fleet.json", json!({"scaleSets": [{"name": "orders", "instances": instances}]}).to_string());
    let told = site.run(&["simulate", "--fleet", "fleet.json", "--timeline"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stdout.contains("3 batches of 3 instances; left alone: 2 3"), "{told:?}");
    let order: Vec<&str> = told.stdout.lines().filter(|line| line.contains("begins")).collect();
    for (line, place) in
        order.iter().zip(["(phase 0, zone 1): 1", "(phase 1, zone 1): 0", "(last phase, zone 1): 4"])
    {
        assert!(line.ends_with(place), "{line}");
    }
    assert!(told.stdout.contains("to v2;"), "{told:?}");

    site.write(
        "bad.json",
        json!({"scaleSets": [{"name": "x", "instances": [instance(0, None, "maybe", "Healthy")]}]})
            .to_string(),
    );
    let bad = site.run(&["simulate", "--fleet", "bad.json"]);
    assert!(bad.code == 2 && bad.stderr.contains("`participation` is `maybe`"), "{bad:?}");
}

#[test]
fn a_real_plugin_judges_as_the_instances_mean_it() {
    let common = [
        "--instances",
        "30",
        "--phases",
        "50,30",
        "--skip",
        "20",
        "--faults",
        "all",
        "--runs",
        "10",
        "--json",
    ];
    let mut judged = common.to_vec();
    judged.extend(["--plugin", "builtin:azure-health"]);
    let (word, plugin) = (well(&common).json(), well(&judged).json());
    assert_eq!(word["endings"], plugin["endings"]);
    assert_eq!(word["seconds"], plugin["seconds"]);
    assert!(word["heldInstances"]["median"].as_u64().unwrap() > 0, "{word}");

    let replicated = repository().join("plugins/replicated-db/replicated-db.wasm").display().to_string();
    let bodies = [
        "--plugin",
        &replicated,
        "--phases",
        "80,20",
        "--instances",
        "10",
        "--timeline",
        "--body",
        r#"0={"role":"replica","replicationLagBytes":1,"backup":{"running":{skip}}}"#,
        "--body",
        r#"1={"role":"leader"}"#,
    ];
    let told = well(&bodies);
    assert!(told.stdout.contains("Completed: 10 upgraded"), "{told:?}");
    let nonsense = well(&["--plugin", &replicated, "--body", "nonsense", "--instances", "5", "--timeline"]);
    assert!(nonsense.stdout.contains("0 batches of 0 instances; left alone: 0 1 2 3 4"), "{nonsense:?}");
}
