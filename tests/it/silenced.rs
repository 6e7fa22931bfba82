//! A host that hears nobody any more in the middle of a release over stand-alone machines: none of them could tell by
//! itself whether it is ill or the host is deaf.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

const MACHINES: usize = 6;

/// Six machines of one group; who has not answered 6 s after an upgrade is brought back.
fn toml(answers: &Answers) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\ndataDir = \"./data\"\n\n[releases]\nbake = \"PT0S\"\n\n\
         [[extensionTypes]]\npublisher = \"contoso\"\ntype = \"agent\"\n",
        fleet::free_ports(1)[0]
    );
    for (number, port) in answers.ports.iter().enumerate() {
        write!(
            text,
            r#"
[[virtualMachines]]
name = "vm-{number}"
address = "127.0.0.1:{port}"
location = "westeurope"
[virtualMachines.health]
intervalInSeconds = 0.1
gracePeriod = 2
timeoutInSeconds = 1
[virtualMachines.upgradePolicy]
healthGate = {{ wait = "PT0S", stableFor = "PT0S", deadline = "PT6S" }}
[virtualMachines.upgradePolicy.rollingUpgradePolicy]
maxUnhealthyInstancePercent = 50
[virtualMachines.driver]
kind = "process"
command = ["sleep", "1000"]
stopTimeoutInSeconds = 2
extensionCommand = ["./install.sh", "{{id}}", "{{version}}"]
[virtualMachines.model]
version = "v1"
extensions = [{{ name = "agent", version = "1.0", publisher = "contoso", type = "agent", enableAutomaticUpgrade = true }}]
"#
        )
        .unwrap();
    }
    text
}

/// The first installation of 1.1 lasts until the file `go` is there.
const INSTALL: &str = "#!/bin/sh
echo \"$1 $2\" >> calls
test \"$2\" != 1.1 || while ! test -e go; do sleep 0.05; done
";

#[test]
fn machines_that_are_all_silent_at_once_fail_no_release() {
    let answers = Answers::start(&[0; MACHINES]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers));
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let host = site.host();
    wait_for("healthy machines", || {
        let fleet = site.json(&["fleet"]);
        let sets = fleet["scaleSets"].as_array().unwrap();
        sets.iter().all(|set| set["instances"][0]["health"] == "Healthy").then_some(())
    });
    site.json(&["extension", "publish", "contoso/agent", "1.1"]);
    let first = wait_for("the first installation", || {
        let calls = fs::read_to_string(site.path("calls")).unwrap_or_default();
        calls.lines().find_map(|line| line.strip_suffix(" 1.1").map(str::to_owned))
    });
    answers.mute();
    site.write("go", "");
    let waits = wait_for("a host that doubts itself", || {
        let status = site.json(&["upgrade", "status", &first, "--detail"]);
        (status["waitingFor"]["code"] == "selfDoubt").then(|| status["waiting"].to_string())
    });
    assert!(waits.contains("instances of all scale sets"), "{waits}");
    // Longer than its time: everybody is asked ten times a second.
    let asked = answers.asked();
    wait_for("100 rounds without an answer", || (answers.asked() >= asked + 100 * MACHINES).then_some(()));
    let status = site.json(&["release", "status"]);
    assert_eq!(
        (&status["state"], &status["scaleSets"]["Failed"]),
        (&"Running".into(), &serde_json::Value::Null)
    );
    assert!(site.log().contains("of all scale sets"), "it says so in its log");

    answers.unmute();
    let ended = site.run(&["release", "watch"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let status = site.json(&["release", "status"]);
    assert_eq!(status["scaleSets"]["Done"], MACHINES, "{status}");
    host.stop();
}
