//! A component that judges beside the active one: who decides on it, and how it comes through a restart.

use serde_json::Value;

use crate::http;
use crate::support::plugin::{
    azure_health, db, generation, guest, judged_by, site, stage, started, variant, wait_for_error,
    wait_for_generation,
};
use crate::support::wait_for;

#[test]
fn a_shadow_is_promoted_or_refused_by_its_gate() {
    let (site, _answers) = site(
        "strategy = \"shadow\"\n[plugins.gate]\nmaxChangedPercent = 20\nminObservations = 12\nminTime = \"PT0S\"",
    );
    let host = started(&site);
    site.write("new.wasm", guest("good"));
    let begun = site.run(&["plugin", "swap", "db", "new.wasm"]);
    assert_eq!(begun.code, 0, "{begun:?}");
    let refused = wait_for_error(&site, "stage shadow");
    assert!(refused["lastError"].as_str().unwrap().contains("changes 4 of 4 instances"), "{refused}");
    assert_eq!(generation(&site), 1);
    let diff = site.json(&["plugin", "diff", "db"]);
    assert!(diff["observations"].as_u64().unwrap() >= 12);
    assert_eq!((diff["compared"].as_u64(), diff["missed"].as_u64()), (Some(4), Some(0)), "{diff}");
    let metrics = http::request(site.port(), "GET /metrics", "");
    assert!(metrics.contains("phasegate_plugin_shadow_missed_total{plugin=\"db\"} 0"), "{metrics}");

    site.write("same.wasm", variant(b'b'));
    assert_eq!(site.run(&["plugin", "swap", "db", "same.wasm"]).code, 0);
    let promoted = wait_for_generation(&site, 2);
    assert_eq!(stage(&promoted, "shadow").0, "passed");
    assert!(promoted["lastError"].is_null(), "{promoted}");
    judged_by(&site, 2);
    host.stop();
}

#[test]
fn without_a_gate_a_person_decides_on_a_shadow() {
    let (site, _answers) = site("");
    let host = started(&site);
    assert_eq!(site.run(&["plugin", "diff", "db"]).code, 2, "nothing was compared");
    assert_eq!(site.run(&["plugin", "promote", "db"]).code, 1, "nothing to promote");
    site.write("new.wasm", guest("good"));
    let shadow = ["plugin", "swap", "db", "new.wasm", "--strategy", "shadow"];
    assert_eq!(site.run(&shadow).code, 0);
    wait_for("what it would change", || {
        let diff = site.json(&["plugin", "diff", "db"]);
        (diff["stage"] == "shadow" && diff["changed"] == 4).then_some(())
    });
    assert_eq!(db(&site)["stage"], "shadow");
    assert_eq!(site.run(&["plugin", "discard", "db"]).code, 0);
    assert_eq!((generation(&site), db(&site)["stage"].is_null()), (1, true));
    assert_eq!(site.run(&shadow).code, 0);
    assert_eq!(site.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&site, 2);
    assert_eq!(db(&site)["stage"], "watch");
    host.stop();
}

#[test]
fn a_shadow_goes_on_after_a_restart() {
    // One that was uploaded.
    let (uploaded, _answers) = site("");
    let host = started(&uploaded);
    uploaded.write("new.wasm", guest("good"));
    let shadow = ["plugin", "swap", "db", "new.wasm", "--strategy", "shadow"];
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    let host = started(&uploaded);
    let plugin = db(&uploaded);
    assert_eq!((&plugin["stage"], &plugin["lastError"]), (&"shadow".into(), &Value::Null), "{plugin}");
    assert!(stage(&plugin, "shadow").1.contains("after a restart"), "{plugin}");
    wait_for("what it would change", || {
        let diff = uploaded.json(&["plugin", "diff", "db"]);
        (diff["stage"] == "shadow" && diff["changed"] == 4).then_some(())
    });
    assert_eq!(uploaded.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&uploaded, 2);
    let (plugin, size) = (db(&uploaded), guest("good").len() as u64);
    assert_eq!((plugin["pure"].as_bool(), plugin["size"].as_u64()), (Some(true), Some(size)), "{plugin}");

    // What has ended stays so.
    uploaded.write("new.wasm", azure_health());
    assert_eq!(uploaded.run(&shadow).code, 0);
    assert_eq!(uploaded.run(&["plugin", "discard", "db"]).code, 0);
    host.stop();
    let host = started(&uploaded);
    assert_eq!((generation(&uploaded), db(&uploaded)["stage"].is_null()), (2, true));

    // One whose bytes are gone is named; the host starts without it.
    uploaded.write("new.wasm", variant(b'z'));
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    let digest = uploaded.json(&["plugin", "inspect", "new.wasm"])["digest"].as_str().unwrap().to_owned();
    let kept = format!("data/components/{}.wasm", digest.trim_start_matches("sha256:"));
    uploaded.write(&kept, "garbage");
    let host = started(&uploaded);
    let plugin = db(&uploaded);
    assert!(plugin["lastError"].as_str().unwrap().contains("judged beside the active one when"), "{plugin}");
    assert_eq!(generation(&uploaded), 2);
    // So is one beside a component that the configuration has replaced meanwhile.
    uploaded.write("new.wasm", variant(b'y'));
    assert_eq!(uploaded.run(&shadow).code, 0);
    host.stop();
    uploaded.write("db.wasm", variant(b'x'));
    let host = started(&uploaded);
    let plugin = wait_for_generation(&uploaded, 3);
    assert_eq!(plugin["stage"], "watch", "{plugin}");
    assert!(
        uploaded.log().contains("the shadow of upload of new.wasm ended: generation 3 "),
        "{}",
        uploaded.log()
    );
    host.stop();

    // One that the configuration names.
    let (named, _answers) = site("strategy = \"shadow\"");
    let host = started(&named);
    named.write("db.wasm", guest("good"));
    let is_shadow = || (db(&named)["stage"] == "shadow").then_some(());
    wait_for("a shadow", is_shadow);
    host.stop();
    let host = started(&named);
    is_shadow().unwrap();
    assert!(db(&named)["lastError"].is_null(), "{}", db(&named));
    assert_eq!(named.run(&["plugin", "promote", "db"]).code, 0);
    judged_by(&named, 2);
    host.stop();
    let host = started(&named);
    assert_eq!((generation(&named), &db(&named)["stage"]), (2, &"watch".into()), "its watch goes on");
    host.stop();
}
