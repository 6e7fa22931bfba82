//! Releases on real programs: three regions, two of them a pair, two sets each.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

const REGIONS: [&str; 3] = ["canary", "westeurope", "northeurope"];

/// Twelve processes in six sets; the agent is a file that a program writes.
pub(crate) fn toml(answers: &Answers) -> String {
    let mut text = format!(
        r#"[server]
listen = "127.0.0.1:{}"
dataDir = "./data"

[releases]
regionPhases = [["canary"], ["westeurope"]]
geoPairs = [["northeurope", "westeurope"]]
bake = "PT1S"

[[extensionTypes]]
publisher = "contoso"
type = "agent"
maxVersions = 5
"#,
        fleet::free_ports(1)[0]
    );
    let mut ports = answers.ports.iter();
    for region in REGIONS {
        for letter in ["a", "b"] {
            write!(
                text,
                r#"
[[scaleSets]]
name = "{region}-{letter}"
location = "{region}"
[scaleSets.health]
intervalInSeconds = 0.1
gracePeriod = 2
timeoutInSeconds = 1
[scaleSets.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
maxUnhealthyUpgradedInstancePercent = 50
[scaleSets.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{{id}}", "{{version}}"]
[scaleSets.model]
version = "v1"
extensions = [{{ name = "agent", version = "1.0", publisher = "contoso", type = "agent", enableAutomaticUpgrade = true }}]
"#
            )
            .unwrap();
            for (zone, number) in [("1", 0), ("2", 1)] {
                let port = ports.next().unwrap();
                write!(
                    text,
                    "[[scaleSets.instances]]\nid = \"{region}-{letter}-{number}\"\naddress = \"127.0.0.1:{port}\"\n\
                     zone = \"{zone}\"\n"
                )
                .unwrap();
            }
        }
    }
    text
}

/// Writes down when each installation begins and ends; 1.2 cannot be installed.
const INSTALL: &str = "#!/bin/sh
echo \"begin $1 $2\" >> calls
sleep 0.05
echo \"end $1 $2\" >> calls
case $2 in
1.2) echo 'no such package' >&2; exit 1;;
esac
";

fn prepared() -> (Site, Answers) {
    let answers = Answers::start(&[0; 12]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers));
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (site, answers)
}

pub(crate) fn calls(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn all_instances(site: &Site) -> Vec<Value> {
    let fleet = site.json(&["fleet"]);
    let sets = fleet["scaleSets"].as_array().unwrap().clone();
    sets.iter().flat_map(|set| set["instances"].as_array().unwrap().clone()).collect()
}

pub(crate) fn wait_until_healthy(site: &Site) {
    wait_for("a healthy estate", || {
        all_instances(site).iter().all(|one| one["health"] == "Healthy").then_some(())
    });
}

/// The agents of all instances.
pub(crate) fn agents(site: &Site) -> BTreeSet<String> {
    all_instances(site)
        .iter()
        .map(|one| one["extensions"]["agent"].as_str().unwrap_or("none").to_owned())
        .collect()
}

/// No two zones of a region and no pair were ever in flight together, and canary came first.
fn check_order(calls: &[String], version: &str) {
    let mut flying: Vec<(String, String)> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for call in calls.iter().filter(|call| call.ends_with(&format!(" {version}"))) {
        let mut words = call.split(' ');
        let (word, id) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let region = id.split('-').next().unwrap().to_owned();
        let zone = id.rsplit('-').next().unwrap().to_owned();
        if word == "end" {
            flying.retain(|one| *one != (region.clone(), zone.clone()));
            continue;
        }
        for (other, beside) in &flying {
            assert!(*other != region || *beside == zone, "two zones of {region} in flight: {calls:?}");
            assert!(*other == region, "{other} and {region} in flight together: {calls:?}");
        }
        flying.push((region.clone(), zone));
        order.push(region);
    }
    order.dedup();
    assert_eq!(order, REGIONS, "{calls:?}");
}

#[test]
fn a_version_goes_through_the_regions_and_a_bad_one_stops_at_the_first() {
    let (site, _answers) = prepared();
    let host = site.host();
    wait_until_healthy(&site);
    let plan = site.json(&["release", "plan", "contoso/agent", "1.1"]);
    assert_eq!((plan["published"].as_bool(), plan["phases"].as_array().unwrap().len()), (Some(false), 3));
    assert_eq!(plan["durationFrom"], "simulation", "{plan}");
    assert!(
        plan["durationSeconds"].as_u64().unwrap() > 60,
        "twelve installations, one after the other: {plan}"
    );
    let first = &plan["phases"][0]["scaleSets"][0];
    assert_eq!((&first["runs"], &first["from"]), (&serde_json::json!({ "1.0": 2 }), &"1.0".into()));
    let early = site.run(&["release", "start", "contoso/agent", "1.1"]);
    assert!(early.code != 0 && early.stderr.contains("was not published"), "{early:?}");
    let unknown = site.run(&["extension", "publish", "contoso/agnet", "1.1"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("contoso/agent"), "{unknown:?}");

    let done = site.run(&["extension", "publish", "contoso/agent", "1.1", "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(agents(&site), ["1.1".to_owned()].into());
    check_order(&calls(&site), "1.1");
    let again = site.run(&[
        "extension",
        "publish",
        "contoso/agent",
        "1.1",
        "--digest",
        &format!("sha256:{}", "0".repeat(64)),
    ]);
    assert!(again.code == 1 && again.stderr.contains("one version has one content"), "{again:?}");

    let bad = site.run(&["extension", "publish", "contoso/agent", "1.2", "--wait"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    let status = site.json(&["release", "status"]);
    assert_eq!((&status["state"], &status["version"]), (&"Halted".into(), &"1.2".into()), "{status}");
    for set in status["phases"][1]["scaleSets"].as_array().unwrap() {
        assert_eq!((&set["state"], &set["code"]), (&"Waiting".into(), &"halted".into()), "{set}");
    }
    let touched = calls(&site).iter().filter(|call| call.ends_with(" 1.2")).cloned().collect::<Vec<_>>();
    assert!(touched.iter().all(|call| call.contains("canary")), "{touched:?}");
    wait_for("the canaries to go back", || (agents(&site) == ["1.1".to_owned()].into()).then_some(()));

    let good = site.run(&["extension", "publish", "contoso/agent", "1.3", "--wait"]);
    assert_eq!(good.code, 0, "a newer version takes its place: {good:?}");
    assert_eq!(agents(&site), ["1.3".to_owned()].into());
    let list = site.json(&["release", "list"]);
    let states: Vec<&str> =
        list["releases"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["Completed", "Superseded", "Completed"]);
    host.stop();
}

#[test]
fn a_release_goes_on_after_a_kill_and_an_opted_out_set_stays() {
    let (site, _answers) = prepared();
    let host = site.host();
    wait_until_healthy(&site);
    site.json(&["extension", "opt-out", "westeurope-b", "contoso/agent"]);
    site.json(&["extension", "publish", "contoso/agent", "1.1"]);
    let upgraded = || calls(&site).into_iter().filter(|call| call.ends_with(" 1.1")).collect::<Vec<_>>();
    wait_for("the first installation", || (!upgraded().is_empty()).then_some(()));
    host.kill();
    let host = site.host();
    wait_for("the second region", || upgraded().iter().any(|call| call.contains("westeurope")).then_some(()));
    host.kill();
    let host = site.host();
    let ended = site.run(&["release", "watch"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let status = site.json(&["release", "status"]);
    let sets: Vec<Value> = status["phases"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|phase| phase["scaleSets"].as_array().unwrap().clone())
        .collect();
    let out = sets.iter().find(|set| set["scaleSet"] == "westeurope-b").unwrap();
    assert_eq!((&out["state"], &out["code"]), (&"Left".into(), &"opted-out".into()));
    assert_eq!(sets.iter().filter(|set| set["state"] == "Done").count(), 5, "{status}");
    assert!(!upgraded().iter().any(|call| call.contains("westeurope-b")));
    let back = site.run(&["release", "rollback", "--wait", "--reason", "it is slow"]);
    assert_eq!(back.code, 0, "{back:?}");
    let status = site.json(&["release", "status"]);
    assert_eq!(status["state"], "RolledBack", "{status}");
    host.stop();
}

#[test]
fn a_wrong_strategy_is_refused_with_what_is_wrong() {
    let (site, answers) = prepared();
    for (from, to, said) in [
        (
            "[[\"canary\"], [\"westeurope\"]]",
            "[[\"canary\"], [\"westeurope\", \"northeurope\"]]",
            "which are a pair",
        ),
        ("[[\"canary\"], [\"westeurope\"]]", "[[\"canary\"], []]", "region phase 2 is empty"),
        (
            "[[\"canary\"], [\"westeurope\"]]",
            "[[\"canary\"], [\"canary\"]]",
            "in region phase 1 and in region phase 2",
        ),
        ("[[\"canary\"], [\"westeurope\"]]", "[[\"mars\"]]", "in which no scale set is"),
        (
            "location = \"canary\"",
            "location = \"canary\"\nkind = \"serviceFabric\"",
            "currently not supported",
        ),
        ("version = \"1.0\"", "version = \"stable\"", "something else than a number"),
        ("name = \"canary-a\"", "name = \"canary-a\"\nafter = [\"nobody\"]", "there is no such set"),
        ("name = \"canary-a\"", "name = \"canary-a\"\nafter = [\"westeurope-a\"]", "in a later region phase"),
    ] {
        site.write("phasegate.toml", toml(&answers).replacen(from, to, 1));
        let checked = site.run(&["check", "--offline"]);
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.code == 1 && all.contains(said), "{to}: {checked:?}");
    }
}
