//! The first thing that anybody does: `phasegate demo`.

use crate::support::{Site, wait_for};

#[test]
fn the_demo_upgrades_replicas_first_the_leader_last_and_skips_the_backup() {
    let site = Site::new();
    let finished = site.run(&["demo", "--json"]);
    assert_eq!(finished.code, 0, "{finished:?}");
    let summary = finished.json();
    assert_eq!(summary["state"], "Completed");
    let order: Vec<&str> =
        summary["order"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "6", "7", "8", "10", "11", "5"]);
    assert_eq!(summary["holds"][0]["instance"], "9");
    assert!(summary["holds"][0]["reason"].as_str().unwrap().contains("backup"), "{summary}");
    for (id, version) in summary["versions"].as_object().unwrap() {
        assert_eq!(version, if id == "9" { "v1" } else { "v2" }, "instance {id}");
    }
    assert_eq!(site.processes(), Vec::<String>::new());
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let site = Site::new();
    let demo = site.spawn(&["demo"]);
    wait_for("the demo's processes", || (site.processes().len() > 12).then_some(()));
    demo.signal(rustix::process::Signal::INT);
    let finished = demo.wait();
    assert_eq!(finished.code, 1, "{finished:?}");
    site.wait_until_nothing_is_left();
}

#[test]
fn kill_9_leaves_nothing_behind() {
    let site = Site::new();
    let demo = site.spawn(&["demo"]);
    wait_for("the demo's processes", || (site.processes().len() > 12).then_some(()));
    demo.kill();
    site.wait_until_nothing_is_left();
}
