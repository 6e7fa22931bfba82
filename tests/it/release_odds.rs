//! Releases of what is odd: two publishers of one name, regions that nobody listed, sets that go in the middle.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Sets of one instance in three regions, of which one is not listed, and a machine that is alone in its subscription.
fn toml(answers: &Answers, api: u16, releases: &str, left_out: &str) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{api}\"\ndataDir = \"./data\"\n\n[releases]\n{releases}\n\n\
         [[extensionTypes]]\npublisher = \"contoso\"\ntype = \"agent\"\n\n\
         [[extensionTypes]]\npublisher = \"fabrikam\"\ntype = \"agent\"\n"
    );
    let all = [
        ("scaleSets", "one", "canary"),
        ("scaleSets", "two", "westeurope"),
        ("scaleSets", "three", "mars"),
        ("virtualMachines", "alone", "westeurope"),
    ];
    for ((array, name, region), port) in all.into_iter().zip(&answers.ports) {
        if name == left_out {
            continue;
        }
        let at = format!("127.0.0.1:{port}");
        let (own, instances) = match array {
            "virtualMachines" => (
                format!("address = \"{at}\"\nsubscription = \"11111111-0000-0000-0000-000000000000\"\n"),
                String::new(),
            ),
            _ => (String::new(), format!("[[scaleSets.instances]]\nid = \"{name}\"\naddress = \"{at}\"\n")),
        };
        write!(
            text,
            r#"
[[{array}]]
name = "{name}"
location = "{region}"
{own}[{array}.health]
intervalInSeconds = 0.1
gracePeriod = 2
timeoutInSeconds = 1
[{array}.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
[{array}.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{{id}}", "{{component}}", "{{version}}"]
[{array}.model]
version = "v1"
extensions = [
  {{ name = "agent", version = "1.2", publisher = "contoso", type = "agent", enableAutomaticUpgrade = true }},
  {{ name = "agent2", version = "1.2", publisher = "fabrikam", type = "agent", enableAutomaticUpgrade = true }},
]
{instances}"#
        )
        .unwrap();
    }
    text
}

const PHASES: &str = "regionPhases = [[\"canary\"], [\"westeurope\"]]";

fn prepared(releases: &str) -> (Site, Answers, u16) {
    let answers = Answers::start(&[0; 4]);
    let site = Site::new();
    let api = fleet::free_ports(1)[0];
    site.write("phasegate.toml", toml(&answers, api, releases, ""));
    let script = site.write("install.sh", "#!/bin/sh\necho \"$*\" >> calls\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (site, answers, api)
}

fn all_instances(site: &Site) -> Vec<Value> {
    let fleet = site.json(&["fleet"]);
    let sets = fleet["scaleSets"].as_array().unwrap().clone();
    sets.iter().flat_map(|set| set["instances"].as_array().unwrap().clone()).collect()
}

fn wait_until_healthy(site: &Site) {
    wait_for("a healthy estate", || {
        all_instances(site).iter().all(|one| one["health"] == "Healthy").then_some(())
    });
}

/// Sets of the latest release of a type, by name: state and code.
fn sets(site: &Site, subject: &str) -> Vec<(String, String, String)> {
    let status = site.json(&["release", "status", subject]);
    let phases = status["phases"].as_array().unwrap().clone();
    let sets = phases.iter().flat_map(|phase| phase["scaleSets"].as_array().unwrap().clone());
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    sets.map(|set| (text(&set["scaleSet"]), text(&set["state"]), text(&set["code"]))).collect()
}

fn set(site: &Site, name: &str) -> (String, String) {
    let all = sets(site, "contoso/agent");
    let (_, state, code) = all.into_iter().find(|(known, _, _)| known == name).unwrap();
    (state, code)
}

fn versions(site: &Site, extension: &str) -> Vec<String> {
    let of = |one: &Value| one["extensions"][extension].as_str().unwrap_or("none").to_owned();
    all_instances(site).iter().map(of).collect()
}

#[test]
fn two_publishers_of_one_name_are_two_types_and_a_region_that_nobody_listed_comes_last() {
    let (site, _answers, _) = prepared(&format!("bake = \"PT0S\"\n{PHASES}"));
    let host = site.host();
    wait_until_healthy(&site);
    let done = site.run(&["extension", "publish", "contoso/agent", "1.10", "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(versions(&site, "agent"), ["1.10"; 4]);
    assert_eq!(versions(&site, "agent2"), ["1.2"; 4], "of another publisher");
    let status = site.json(&["release", "status", "contoso/agent"]);
    let last = &status["phases"][2];
    assert_eq!((&last["regions"][0], &last["scaleSets"][0]["scaleSet"]), (&"mars".into(), &"three".into()));
    let calls = fs::read_to_string(site.path("calls")).unwrap();
    let order: Vec<&str> = calls.lines().filter_map(|line| line.strip_suffix(" agent 1.10")).collect();
    assert_eq!((order.first(), order.last()), (Some(&"one"), Some(&"three")), "{calls}");
    assert!(order.contains(&"alone"), "one machine is all of its group: {calls}");

    // 1.2 and 1.10 are numbers.
    let plan = site.json(&["release", "plan", "contoso/agent", "1.3"]);
    assert_eq!(plan["phases"][0]["scaleSets"][0]["code"], "newer", "{plan}");
    let lower = site.run(&["extension", "publish", "contoso/agent", "1.3"]);
    assert_eq!(lower.code, 0, "{lower:?}");
    let started = site.run(&["release", "start", "contoso/agent", "1.3"]);
    assert!(started.code == 1 && started.stderr.contains("4 newer"), "{started:?}");
    assert_eq!(site.run(&["extension", "withdraw", "contoso/agent", "1.3"]).code, 0);
    let withdrawn = site.run(&["release", "start", "contoso/agent", "1.3"]);
    assert!(withdrawn.code == 1 && withdrawn.stderr.contains("withdrawn"), "{withdrawn:?}");
    let unknown = site.run(&["release", "start", "nobody/agent", "1.3"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("fabrikam/agent"), "{unknown:?}");
    let done = site.run(&["extension", "publish", "fabrikam/agent", "1.3", "--wait"]);
    assert_eq!((done.code, versions(&site, "agent2")), (0, vec!["1.3".to_owned(); 4]), "{done:?}");
    assert_eq!(versions(&site, "agent"), ["1.10"; 4]);
    // What was withdrawn is told where it is wanted.
    assert_eq!(
        site.run(&["extension", "withdraw", "fabrikam/agent", "1.3", "--reason", "it is slow"]).code,
        0
    );
    let fleet = site.json(&["fleet"]);
    let withdrawn = &fleet["scaleSets"][0]["withdrawn"][0];
    assert_eq!(
        (&withdrawn["component"], &withdrawn["newInstances"]),
        (&"agent2".into(), &"1.2".into()),
        "{fleet}"
    );
    assert!(site.run(&["fleet"]).stdout.contains("withdrawn: agent2 1.3"));
    host.stop();
}

#[test]
fn a_release_keeps_its_strategy_and_waits_for_no_set_that_went() {
    let (site, answers, api) = prepared(&format!("bake = \"PT1H\"\n{PHASES}"));
    let host = site.host();
    wait_until_healthy(&site);
    site.json(&["extension", "publish", "contoso/agent", "1.3"]);
    wait_for("the canary", || (set(&site, "one").0 == "Done").then_some(()));
    let waits = ("Waiting".to_owned(), "region-phase".to_owned());
    assert_eq!(set(&site, "two"), waits);

    // Another strategy is for the next release.
    site.write("phasegate.toml", toml(&answers, api, "bake = \"PT0S\"\nname = \"quick\"\nversion = 2", ""));
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    let status = site.json(&["release", "status"]);
    assert_eq!(status["strategy"]["bakeSeconds"], 3600, "{status}");
    assert_eq!((set(&site, "two"), set(&site, "three")), (waits.clone(), waits));
    let plan = site.json(&["release", "plan", "contoso/agent", "1.4"]);
    assert_eq!((&plan["strategy"]["name"], plan["phases"].as_array().unwrap().len()), (&"quick".into(), 1));

    // A set leaves the configuration in the middle.
    host.stop();
    site.write("phasegate.toml", toml(&answers, api, &format!("bake = \"PT1H\"\n{PHASES}"), "two"));
    let host = site.host();
    wait_until_healthy(&site);
    wait_for("that it is known to be gone", || {
        (set(&site, "two") == ("Left".to_owned(), "gone".to_owned())).then_some(())
    });
    assert_eq!(site.run(&["release", "approve", "--region-phase", "2"]).code, 0);
    wait_for("the machine", || (set(&site, "alone").0 == "Done").then_some(()));
    let done = site.run(&["release", "approve", "--region-phase", "3", "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(set(&site, "three").0, "Done");
    host.stop();

    site.write("phasegate.toml", toml(&answers, api, &format!("unlisted = \"refuse\"\n{PHASES}"), ""));
    let checked = site.run(&["check", "--offline"]);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(checked.code == 1 && said.contains("\"mars\" is in no region phase"), "{checked:?}");
}
