//! Sets that are enrolled while a release runs: each joins it at its place, also when the host is killed at that moment.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::releases::{agents, calls, toml, wait_until_healthy};
use crate::support::answers::Answers;
use crate::support::{Site, wait_for};

/// Not enrolled when the release begins: one in the region phase that is through by then, one in that which runs.
const LATE: [&str; 2] = ["canary-b", "westeurope-b"];

/// The file before the two are enrolled.
fn before(text: &str) -> String {
    let of = |section: &str| {
        let is_late = LATE.iter().any(|name| section.contains(&format!("name = \"{name}\"")));
        match is_late {
            true => section.replace("enableAutomaticUpgrade = true", "enableAutomaticUpgrade = false"),
            false => section.to_owned(),
        }
    };
    text.split("[[scaleSets]]").map(of).collect::<Vec<_>>().join("[[scaleSets]]")
}

/// Installations of 1.1 in `westeurope-a` last until the file `go` is there.
const INSTALL: &str = "#!/bin/sh
echo \"begin $1 $2\" >> calls
case $1.$2 in
westeurope-a-*.1.1) while ! test -e go; do sleep 0.05; done;;
esac
echo \"end $1 $2\" >> calls
";

fn of_the_release(site: &Site) -> Vec<String> {
    calls(site).into_iter().filter(|call| call.ends_with(" 1.1")).collect()
}

/// Where the first call of this kind stands among all, and the last.
fn first_and_last(calls: &[String], what: &str) -> (usize, usize) {
    let is_it = |call: &String| call.contains(what);
    (calls.iter().position(is_it).unwrap(), calls.iter().rposition(is_it).unwrap())
}

#[test]
fn a_set_that_enrols_while_a_release_runs_joins_it_at_its_place_also_over_a_kill() {
    let answers = Answers::start(&[0; 12]);
    let site = Site::new();
    let whole = toml(&answers);
    site.write("phasegate.toml", before(&whole));
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let host = site.host();
    wait_until_healthy(&site);
    site.json(&["extension", "publish", "contoso/agent", "1.1"]);
    wait_for("the second region", || {
        of_the_release(&site).iter().any(|call| call.contains("begin westeurope-a")).then_some(())
    });
    assert!(!of_the_release(&site).iter().any(|call| LATE.iter().any(|late| call.contains(late))));

    site.write("phasegate.toml", whole);
    assert_eq!(site.run(&["reload"]).code, 0);
    host.kill();
    let host = site.host();
    site.write("go", "");
    let ended = site.run(&["release", "watch"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let list = site.json(&["release", "list"]);
    assert_eq!(list["releases"].as_array().unwrap().len(), 1, "no release of their own: {list}");
    let status = site.json(&["release", "status"]);
    assert_eq!(status["scaleSets"], serde_json::json!({ "Done": 6 }), "{status}");
    assert_eq!(agents(&site), ["1.1".to_owned()].into());

    let calls = of_the_release(&site);
    let (third, _) = first_and_last(&calls, "begin northeurope");
    for earlier in ["end canary-a", "end canary-b", "end westeurope-a", "end westeurope-b"] {
        let (_, last) = first_and_last(&calls, earlier);
        assert!(last < third, "{earlier} comes before the third region phase: {calls:?}");
    }
    host.stop();
}
