//! Availability sets, machines that stand alone, and sources of versions, on real programs.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// What all sets have in common.
const COMMON: &str = r#"
location = "westeurope"
[ARRAY.health]
intervalInSeconds = 0.1
gracePeriod = 2
timeoutInSeconds = 1
[ARRAY.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
[ARRAY.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{id}", "{version}"]
[ARRAY.model]
version = "v1"
extensions = [{ name = "agent", version = "1.0", publisher = "contoso", type = "agent", enableAutomaticUpgrade = true }]
"#;

/// An availability set of four in two update domains, and three machines in one zone.
fn toml(answers: &Answers) -> String {
    let mut text = format!(
        r#"[server]
listen = "127.0.0.1:{}"
dataDir = "./data"

[releases]
bake = "PT0S"

[[extensionTypes]]
publisher = "contoso"
type = "agent"
maxVersions = 5
source = "versions.json"
interval = "PT1S"
checker = ["/bin/sh", "-c", "test {{version}} != 1.3 || {{ echo 'not this one' >&2; exit 1; }}"]

[[availabilitySets]]
name = "web"{}"#,
        fleet::free_ports(1)[0],
        COMMON.replace("ARRAY", "availabilitySets")
    );
    for (number, port) in answers.ports.iter().take(4).enumerate() {
        let domain = number % 2;
        write!(
            text,
            "[[availabilitySets.instances]]\nid = \"web-{number}\"\naddress = \"127.0.0.1:{port}\"\n\
             updateDomain = {domain}\nfaultDomain = {domain}\n"
        )
        .unwrap();
    }
    for (number, port) in answers.ports.iter().skip(4).enumerate() {
        write!(
            text,
            "\n[[virtualMachines]]\nname = \"vm-{number}\"\naddress = \"127.0.0.1:{port}\"{}",
            COMMON.replace("ARRAY", "virtualMachines")
        )
        .unwrap();
    }
    text
}

const INSTALL: &str = "#!/bin/sh
echo \"begin $1 $2\" >> calls
sleep 0.1
echo \"end $1 $2\" >> calls
";

fn prepared() -> (Site, Answers) {
    let answers = Answers::start(&[0; 7]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers));
    site.write("versions.json", "[]");
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (site, answers)
}

fn wait_until_healthy(site: &Site) {
    wait_for("a healthy estate", || {
        let fleet = site.json(&["fleet"]);
        let sets = fleet["scaleSets"].as_array().unwrap().clone();
        let mut all = sets.iter().flat_map(|set| set["instances"].as_array().unwrap().clone());
        all.all(|one| one["health"] == "Healthy").then_some(())
    });
}

/// Who had something in flight at the same time, at each begin of an installation of a version.
fn together(site: &Site, version: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    let (mut flying, mut seen): (Vec<String>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| line.ends_with(&format!(" {version}"))) {
        let mut words = line.split(' ');
        let (word, id) = (words.next().unwrap(), words.next().unwrap().to_owned());
        if word == "end" {
            flying.retain(|one| *one != id);
        } else {
            flying.push(id);
            seen.push(flying.clone());
        }
    }
    seen
}

fn versions(site: &Site) -> Vec<String> {
    let one = site.json(&["extension", "versions", "contoso/agent"]);
    one["versions"].as_array().unwrap().iter().map(|it| it["version"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_availability_set_goes_by_update_domain_and_machines_are_a_group() {
    let (site, _answers) = prepared();
    let host = site.host();
    wait_until_healthy(&site);
    let plan = site.json(&["upgrade", "plan", "web", "--to", "v2"]);
    let domains: Vec<Value> =
        plan["batches"].as_array().unwrap().iter().map(|batch| batch["updateDomain"].clone()).collect();
    assert_eq!(
        domains,
        [0, 0, 1, 1].map(Value::from),
        "one of two is 20 % of a domain, one at least: {plan}"
    );

    let done = site.run(&["extension", "publish", "contoso/agent", "1.1", "--wait"]);
    assert_eq!(done.code, 0, "{done:?}");
    let together = together(&site, "1.1");
    assert_eq!(together.len(), 7, "{together:?}");
    for flying in &together {
        let of = |what: &str| flying.iter().filter(|id| id.starts_with(what)).count();
        assert!(of("web") <= 1 && of("vm") <= 1, "{together:?}");
    }
    // By the same commands as a scale set.
    assert_eq!(site.run(&["upgrade", "start", "vm-0", "--to", "v2", "--wait"]).code, 0);
    host.stop();
}

#[test]
fn a_source_is_taken_over_and_what_it_says_wrong_changes_nothing() {
    let (site, _answers) = prepared();
    let host = site.host();
    wait_until_healthy(&site);
    site.write("versions.json", r#"["1.1", "1.10", "1.3"]"#);
    wait_for("the versions of the list", || (versions(&site) == ["1.1", "1.10"]).then_some(()));
    wait_for("a release of the newest", || {
        let list = site.json(&["release", "list"]);
        let all = list["releases"].as_array().unwrap();
        (all.len() == 1 && all[0]["version"] == "1.10" && all[0]["state"] == "Completed").then_some(())
    });
    let source = || site.json(&["extension", "versions", "contoso/agent"])["source"].clone();
    wait_for("what the checker said", || {
        source()["refused"][0]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("not this one"))
            .then_some(())
    });
    let refused = site.run(&["extension", "publish", "contoso/agent", "1.3"]);
    assert!(refused.code == 1 && refused.stderr.contains("not this one"), "{refused:?}");
    for (wrong, said) in [
        ("garbage", "no list of versions"),
        (r#"["1.1", "newest"]"#, "\"newest\""),
        (r#"["2.0", "2.1", "2.2", "2.3", "2.4", "2.5"]"#, "limit maxVersions = 5"),
    ] {
        site.write("versions.json", wrong);
        wait_for(said, || source()["failing"].as_str().is_some_and(|why| why.contains(said)).then_some(()));
        assert_eq!(versions(&site), ["1.1", "1.10"], "{wrong}");
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    site.write("versions.json", format!(r#"[{{ "version": "1.10", "digest": "{digest}" }}]"#));
    wait_for("that it is refused", || {
        source()["refused"][0]["reason"].as_str().is_some_and(|why| why.contains("one content")).then_some(())
    });
    assert!(source()["failing"].is_null(), "{}", source());
    host.stop();
}

#[test]
fn what_belongs_to_another_kind_of_set_is_refused() {
    let (site, answers) = prepared();
    let good = toml(&answers);
    assert_eq!(site.run(&["check", "--offline"]).code, 0, "{:?}", site.run(&["check", "--offline"]));
    for (from, to, said) in [
        ("name = \"web\"", "name = \"web\"\nkind = \"uniform\"", "which says it"),
        ("name = \"web\"", "name = \"web\"\nzone = \"1\"", "a key of [[virtualMachines]] alone"),
        ("name = \"vm-1\"", "name = \"vm-0\"", "must be unique"),
        ("name = \"vm-1\"", "name = \"web\"", "must be unique"),
        ("source = \"versions.json\"", "source = \"oci://registry.example/agent:1.0\"", "leave the tag out"),
        ("source = \"versions.json\"", "tokenFile = \"token\"", "goes with a source that is fetched"),
    ] {
        site.write("phasegate.toml", good.replacen(from, to, 1));
        let checked = site.run(&["check", "--offline"]);
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.code == 1 && all.contains(said), "{to}: {checked:?}");
    }
}

#[test]
fn a_release_can_be_simulated_before_it_begins() {
    let (site, _answers) = prepared();
    let good = site.json(&["simulate", "--release", "--regions", "3", "--instances", "90"]);
    assert_eq!((&good["state"], &good["violations"]), (&"Completed".into(), &Value::Array(Vec::new())));
    assert_eq!(good["instancesWithVersion"], 90, "{good}");
    let bad = site.json(&["simulate", "--release", "--regions", "4", "--bad-from-region-phase", "2"]);
    assert_eq!(
        (&bad["state"], &bad["phases"][2]["instancesWithVersion"]),
        (&"Halted".into(), &0.into()),
        "{bad}"
    );
    let own = site.json(&["simulate", "--release", "contoso/agent@1.1", "-c", "phasegate.toml"]);
    assert_eq!((&own["state"], &own["instancesWithVersion"]), (&"Completed".into(), &7.into()), "{own}");
}
