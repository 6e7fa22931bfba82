//! The round trip through the command line: its order, a version whose way back fails, kill -9 on each way, and where
//! it is refused.

use std::fs;

use crate::drivers::{calls, script, toml};
use crate::support::{Site, repository, wait_for};

fn with_trip(driver: &str) -> String {
    toml(driver).replace(
        "[scaleSets.driver]",
        "[scaleSets.upgradePolicy.canary]\nroundTrip = true\n[scaleSets.driver]",
    )
}

/// Instance and versions of every call of the script.
fn ways(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    let way = |line: &str| {
        let mut words = line.split_whitespace();
        let instance = words.next().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        let to = words.next().and_then(|word| word.rsplit('>').next()).unwrap_or_default();
        format!("{instance}={to}")
    };
    text.lines().map(way).collect()
}

#[test]
fn the_first_one_goes_up_back_and_up_again_before_anybody_else() {
    let site = Site::new();
    site.write("phasegate.toml", with_trip(&script("")));
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ways(&site), ["0=v2", "0=v1", "0=v2", "1=v2", "2=v2"]);
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("round trip"), "{log}");
    host.stop();
}

#[test]
fn a_version_whose_way_back_fails_touches_one_instance_which_is_held() {
    let site = Site::new();
    // Going back to what was there hangs up: the version before answers with a failure.
    let driver = script("").replace("\"upgrade\"", "\"one-way\"");
    let stub = repository().join("tests/stubs/driver.sh");
    let own = site.write(
        "one-way.sh",
        format!(
            "#!/bin/sh\nif [ \"$PHASEGATE_VERSION\" = v1 ]; then echo 'the schema cannot go back' >&2; exit 1; fi\nexec {} upgrade \"$2\"\n",
            stub.display()
        ),
    );
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    site.write("phasegate.toml", with_trip(&driver.replace(&stub.display().to_string(), "./one-way.sh")));
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("the schema cannot go back"), "{ended:?}");
    assert_eq!(ways(&site), ["0=v2"], "nobody else is touched");
    let status = site.json(&["upgrade", "status", "orders"]);
    assert_eq!(status["error"]["code"], "RollingUpgradeRoundTripFailed", "{status}");
    let fleet = site.run(&["fleet"]).stdout;
    assert!(fleet.contains("held") && fleet.contains("its way back from v2 failed"), "{fleet}");
    let again = site.run(&["upgrade", "start", "orders", "--to", "v2"]);
    assert_eq!(again.code, 1, "in quarantine: {again:?}");
    host.stop();
}

#[test]
fn kill_9_on_each_way_goes_on_with_it() {
    let site = Site::new();
    site.write("phasegate.toml", with_trip(&script("")));
    let mut host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    for way in 1..=4 {
        wait_for("another way", || (calls(&site).len() >= way).then_some(()));
        host.kill();
        host = site.host();
    }
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    // What was repeated was repeated under its id.
    let mut all =
        ways(&site).into_iter().zip(calls(&site)).map(|(way, (_, id))| (way, id)).collect::<Vec<_>>();
    all.dedup();
    let in_order: Vec<&str> = all.iter().map(|(way, _)| way.as_str()).collect();
    assert_eq!(in_order, ["0=v2", "0=v1", "0=v2", "1=v2", "2=v2"], "{all:?}");
    host.stop();
}

#[test]
fn it_is_refused_where_there_is_nothing_to_go_back_to() {
    let site = Site::new();
    let driver = repository().join("tests/stubs/driver.sh");
    let observe = format!(
        "observe = [\"sh\", \"-c\", \"[ -e {{id}}.version ] || exit 69; exec {} observe .\"]",
        driver.display()
    );
    site.write("phasegate.toml", with_trip(&script(&observe)));
    let host = site.host();
    site.wait_until_healthy();
    let plan = site.run(&["upgrade", "plan", "orders", "--to", "v2"]);
    assert!(plan.stdout.contains("roundTrip") && plan.stdout.contains("go back to"), "{plan:?}");
    let start = site.run(&["upgrade", "start", "orders", "--to", "v2"]);
    assert_eq!(start.code, 1, "{start:?}");
    assert!(start.stderr.contains("round trip") && start.stderr.contains("`0`"), "{start:?}");
    assert!(!site.path("calls").exists(), "nothing was touched");
    host.stop();

    let surge = with_trip(&script("create = [\"true\"]\ndelete = [\"true\"]"))
        .replace("maxBatchInstancePercent = 34", "maxBatchInstancePercent = 34\nmaxSurge = true");
    site.write("phasegate.toml", surge);
    let check = site.run(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(check.stdout.contains("roundTrip") || check.stderr.contains("roundTrip"), "{check:?}");
}
