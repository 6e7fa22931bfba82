//! Extensions and manual upgrades on real programs.

use std::fs;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Three processes; extensions are files that a program writes.
fn toml(answers: &Answers) -> String {
    let mut set = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    set.policy = "maxBatchInstancePercent = 34\nmaxUnhealthyInstancePercent = 100\n\
                  maxUnhealthyUpgradedInstancePercent = 100";
    let install = r#"extensionCommand = ["./install.sh", "{id}", "{component}", "{version}"]
[scaleSets.model]
version = "v1"
extensions = [{ name = "logs", version = "1" }, { name = "metrics", version = "1" }]
"#;
    set.toml().replace("[scaleSets.model]\nversion = \"v1\"\n", install)
}

/// Writes down every call; `bad` versions fail.
const INSTALL: &str = "#!/bin/sh
echo \"$1 $2 ${PHASEGATE_PREVIOUS_VERSION:-nothing} $3\" >> calls
case $3 in
bad*) echo 'no such package' >&2; exit 1;;
slow*) while [ ! -e go ]; do sleep 0.05; done;;
esac
";

fn calls(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    let _ = fs::remove_file(site.path("calls"));
    text.lines().map(str::to_owned).collect()
}

fn prepared() -> (Site, Answers) {
    let answers = Answers::start(&[0, 0, 1]);
    let site = Site::new();
    site.write("phasegate.toml", toml(&answers));
    let script = site.write("install.sh", INSTALL);
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (site, answers)
}

#[test]
fn extensions_are_upgraded_together_one_by_one_and_fail_alone() {
    let (site, answers) = prepared();
    let host = site.host();
    site.wait_until_healthy();
    answers.set(1, 0, true);
    site.wait_for_instances("the skip", |i| (i["id"] == "1") == (i["participation"] == "skip"));
    // Everything of the model, because all of them are new.
    let mut installed = calls(&site);
    installed.sort();
    let each = |id| [format!("{id} logs nothing 1"), format!("{id} metrics nothing 1")];
    assert_eq!(installed, [0, 1, 2].map(each).concat());
    assert_eq!(site.instances()[0]["extensions"]["metrics"], "1");

    let both =
        ["upgrade", "start", "orders", "--extension", "logs=bad-2", "--extension", "metrics=2", "--wait"];
    let failed = site.run(&both);
    assert_eq!(failed.code, 1, "Completed within the limits, and instances failed: {failed:?}");
    assert!(failed.stdout.contains("extension logs: "), "{failed:?}");
    assert!(
        failed.stdout.contains("no such package") && failed.stdout.contains("1 was brought back"),
        "{failed:?}"
    );
    let done =
        ["0 logs 1 bad-2", "0 logs 1 1", "0 metrics 1 2", "2 logs 1 bad-2", "2 logs 1 1", "2 metrics 1 2"];
    assert_eq!(calls(&site), done, "one failing is brought back, and does not stop the other");
    let extensions = &site.instances()[2]["extensions"];
    assert_eq!((&extensions["logs"], &extensions["metrics"]), (&"1".into(), &"2".into()));

    let unknown = site.run(&["upgrade", "start", "orders", "--extension", "nope"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("extensions of its model: logs, metrics"), "{unknown:?}");
    host.stop();
}

#[test]
fn a_host_that_is_killed_while_an_extension_is_installed_goes_on() {
    let (site, _answers) = prepared();
    let host = site.host();
    site.wait_until_healthy();
    calls(&site);
    site.json(&["upgrade", "start", "orders", "--extension", "metrics=slow-2"]);
    wait_for("the program", || fs::read_to_string(site.path("calls")).is_ok().then_some(()));
    host.kill();
    let host = site.host();
    wait_for("the program again", || {
        let text = fs::read_to_string(site.path("calls")).unwrap();
        (text.lines().count() == 2).then_some(())
    });
    site.write("go", "");
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let calls = calls(&site);
    assert_eq!(calls[0], calls[1], "the one that was in flight, again");
    assert_eq!(calls.len(), 4, "{calls:?}");
    let versions = site.instances();
    assert!(versions.iter().all(|i| i["version"] == "v1" && i["extensions"]["metrics"] == "slow-2"));
    host.stop();
}

#[test]
fn a_manual_upgrade_names_its_instances() {
    let (site, answers) = prepared();
    let host = site.host();
    site.wait_until_healthy();
    answers.set(1, 0, true);
    site.wait_for_instances("the skip", |i| (i["id"] == "1") == (i["participation"] == "skip"));
    let named = site.run(&["upgrade", "start", "orders", "--to", "v2", "--instances", "2,1", "--wait"]);
    assert_eq!(named.code, 0, "{named:?}");
    let versions = |site: &Site| -> Vec<String> {
        site.instances().iter().map(|i| i["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(versions(&site), ["v1", "v2", "v2"], "a person overrides skip");
    for (ids, said) in [
        ("7", "has no instance 7; it has: 0, 1, 2"),
        ("1,*", "`*` stands for all instances and goes alone"),
        ("a b", "contains ' '"),
        ("", "is empty"),
    ] {
        let refused = site.run(&["upgrade", "start", "orders", "--to", "v2", "--instances", ids]);
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(said), "{ids}: {refused:?}");
    }
    let all = site.run(&["upgrade", "start", "orders", "--to", "v2", "--instances", "*", "--wait"]);
    assert_eq!((all.code, versions(&site)), (0, vec!["v2".to_owned(); 3]), "{all:?}");
    let again = site.run(&["upgrade", "start", "orders", "--to", "v2", "--instances", "*", "--wait"]);
    assert_eq!(again.code, 0, "nothing left to do: {again:?}");
    host.stop();
}
