//! How upgrades end, and what a person can do then, through the command line.

use crate::drivers::{calls, script, toml};
use crate::support::Site;

#[test]
fn a_version_that_faulted_is_told_and_what_is_there_can_be_done_again() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&script("")));
    let host = site.host();
    site.wait_until_healthy();
    let faulted = site.run(&["upgrade", "start", "orders", "--to", "v2-fail", "--wait"]);
    assert_eq!(faulted.code, 1, "{faulted:?}");
    for part in ["RUNS", "what helps now:", "phasegate quarantine lift orders v2-fail"] {
        assert!(faulted.stdout.contains(part), "{part}: {}", faulted.stdout);
    }
    let listed = site.run(&["quarantine", "list"]);
    assert!(listed.stdout.contains("v2-fail"), "{listed:?}");
    assert!(site.run(&["fleet"]).stdout.contains("in quarantine: application v2-fail"));
    let planned = site.run(&["upgrade", "plan", "orders", "--to", "v2-fail"]);
    assert!(planned.stdout.contains("is in quarantine"), "{planned:?}");
    let lifted = site.run(&["quarantine", "lift", "orders", "v2-fail", "--reason", "it was the disk"]);
    assert_eq!(lifted.code, 0, "{lifted:?}");
    assert_eq!(site.run(&["quarantine", "lift", "orders", "v2-fail"]).code, 1, "it is lifted already");
    assert!(site.run(&["upgrade", "log", "orders"]).stdout.contains("it was the disk"));

    let brought = |arguments: &[&str]| {
        let before = calls(&site).len();
        let ended = site.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        calls(&site).len() - before
    };
    let to_v2 = ["upgrade", "start", "orders", "--to", "v2", "--wait"];
    assert_eq!(brought(&to_v2), 3);
    assert_eq!(brought(&to_v2), 0, "all there already");
    assert_eq!(brought(&[&to_v2[..], &["--reapply"]].concat()), 3);
    assert_eq!(brought(&["repair", "orders", "--instances", "1", "--wait"]), 1);
    assert_eq!(brought(&["repair", "orders", "--wait", "--reason", "the disk was changed"]), 3);
    host.stop();
}
