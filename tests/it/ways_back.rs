//! Which generation comes back and which does not: the digest that the configuration asks for, a file that
//! is written again, former generations that were worse, and what is damaged at a start.

use serde_json::Value;

use crate::support::plugin::{
    azure_health, db, edit, generation, guest, site, started, variant, wait_for_error,
};
use crate::support::plugin::{judged_by, wait_for_generation};
use crate::support::{Site, wait_for};

fn swap(site: &Site, bytes: Vec<u8>, options: &[&str]) {
    site.write("new.wasm", bytes);
    let swapped = site.run(&[&["plugin", "swap", "db", "new.wasm"], options].concat());
    assert_eq!(swapped.code, 0, "{swapped:?}");
}

/// Where the bytes of the active component are kept.
fn kept(site: &Site) -> std::path::PathBuf {
    let digest = db(site)["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    site.path(&format!("data/components/{digest}.wasm"))
}

#[test]
fn a_watch_brings_nothing_back_that_the_digest_rules_out() {
    let (site, _answers) = site("strategy = \"immediate\"");
    let host = started(&site);
    site.write("x.wasm", guest("trap-evaluate"));
    let wanted = site.json(&["plugin", "inspect", "x.wasm"])["digest"].as_str().unwrap().to_owned();
    edit(&site, "component = \"db.wasm\"", &format!("component = \"x.wasm\"\ndigest = \"{wanted}\""));
    assert_eq!(site.run(&["reload"]).code, 0);
    wait_for("the end of the watch", || site.log().contains("and stays active").then_some(()));
    let log = site.log();
    assert!(log.contains("cannot come back, because its component has the digest"), "{log}");
    let plugin = wait_for_error(&site, "the configuration asks for");
    assert_eq!((generation(&site), plugin["digest"].as_str()), (2, Some(wanted.as_str())), "{plugin}");
    assert_eq!(plugin["counters"]["reverted"], 0, "{plugin}");
    host.stop();
    let host = started_failing(&site);
    assert_eq!(db(&site)["digest"].as_str(), Some(wanted.as_str()));
    host.stop();
}

fn started_failing(site: &Site) -> crate::support::Background<'_> {
    let host = site.host();
    wait_for("the list", || (site.run(&["plugin", "list"]).code == 0).then_some(()));
    host
}

#[test]
fn a_file_that_is_written_again_brings_nothing_back() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    site.write("db.wasm", variant(b'2'));
    wait_for_generation(&site, 2);
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    let stays = |when: &str| assert_eq!((generation(&site), &db(&site)["digest"]), (3, &first), "{when}");
    site.write("db.wasm", variant(b'2'));
    let said = "written again with the same bytes, which changes nothing";
    wait_for("a look at the file", || site.log().contains(said).then_some(()));
    stays("the file was written again");
    let outcome = site.json(&["reload"]);
    assert_eq!(
        (&outcome["changed"], &outcome["notInForce"]),
        (&Value::Array(Vec::new()), &Value::Array(Vec::new())),
        "{outcome}"
    );
    stays("a reload without a change");
    host.stop();
    site.write("db.wasm", variant(b'2'));
    let host = started(&site);
    stays("a restart");
    site.write("db.wasm", variant(b'4'));
    wait_for_generation(&site, 4);

    // Settings that were taken back do not return either.
    edit(&site, "settings = {}", "settings = { invalidSkip = \"hold\" }");
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    assert_eq!(site.run(&["plugin", "rollback", "db", "--to", "4"]).code, 0);
    let looks = || site.log().matches(said).count();
    let before = looks();
    site.write("db.wasm", variant(b'4'));
    wait_for("a look at the file", || (looks() > before).then_some(()));
    assert_eq!(generation(&site), 6);
    host.stop();
    let host = started(&site);
    let outcome = site.json(&["reload"]);
    assert_eq!((generation(&site), &outcome["changed"]), (6, &Value::Array(Vec::new())), "{outcome}");
    host.stop();
}

#[test]
fn a_rollback_goes_to_what_was_not_worse() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    swap(&site, variant(b'2'), &[]);
    let second = db(&site)["digest"].clone();
    swap(&site, guest("trap-evaluate"), &["--strategy", "immediate"]);
    assert_eq!(wait_for_generation(&site, 4)["digest"], second);
    let back = site.run(&["plugin", "rollback", "db"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!((generation(&site), &db(&site)["digest"]), (5, &first), "not the one that was just left");

    // One whose bytes are gone is passed over, and named where there is no other one.
    let gone = kept(&site);
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    assert_eq!(db(&site)["digest"], second);
    swap(&site, variant(b'7'), &[]);
    judged_by(&site, 7);
    let both = [
        gone.clone(),
        site.path(&format!(
            "data/components/{}.wasm",
            second.as_str().unwrap().trim_start_matches("sha256:")
        )),
    ];
    std::fs::write(&both[1], "garbage").unwrap();
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    assert_eq!((generation(&site), &db(&site)["digest"]), (8, &first));
    assert!(site.log().contains("generation 6 cannot come back"), "{}", site.log());
    std::fs::remove_file(kept_of(&site, 7)).unwrap();
    for to in [vec![], vec!["--to", "7"]] {
        let refused = site.run(&[&["plugin", "rollback", "db"], &to[..]].concat());
        assert_eq!(refused.code, 1, "{refused:?}");
        for said in ["generation 7 cannot come back: `", "is missing or does not hold", "--to N"] {
            assert!(refused.stderr.contains(said), "{said}: {refused:?}");
        }
    }
    host.stop();
}

/// Where the bytes of a former generation are kept.
fn kept_of(site: &Site, wanted: u64) -> std::path::PathBuf {
    let history = site.json(&["plugin", "history", "db"]);
    let rows = history["generations"].as_array().unwrap().clone();
    let row = rows.into_iter().find(|row| row["generation"] == wanted).unwrap();
    site.path(&format!(
        "data/components/{}.wasm",
        row["digest"].as_str().unwrap().trim_start_matches("sha256:")
    ))
}

#[test]
fn a_rollback_without_a_good_way_says_so() {
    let (site, _answers) = site("");
    let host = started(&site);
    swap(&site, guest("trap-evaluate"), &["--strategy", "immediate"]);
    wait_for_generation(&site, 3);
    let refused = site.run(&["plugin", "rollback", "db"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for said in ["was not left for being worse", "it keeps 1, 2, 3", "phasegate plugin rollback db --to N"] {
        assert!(refused.stderr.contains(said), "{said}: {refused:?}");
    }
    assert_eq!(generation(&site), 3);
    // A person may insist.
    assert_eq!(site.run(&["plugin", "rollback", "db", "--to", "2"]).code, 0);
    host.stop();
}

#[test]
fn a_watch_counts_the_instances_that_it_has_not_seen() {
    let gate = "strategy = \"immediate\"\nwatchTime = \"PT1H\"\n[plugins.gate]\nmaxChangedPercent = 30";
    let (site, answers) = site(gate);
    site.write("db.wasm", guest("good"));
    // Two of four keep the prober waiting.
    let silent = [2, 3].map(|instance| {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        edit(&site, &format!("127.0.0.1:{}", answers.ports[instance]), &address);
        silent
    });
    edit(&site, "timeoutInSeconds = 1", "timeoutInSeconds = 300");
    answers.say(0, "u");
    let host = site.host();
    swap(&site, guest("body-health"), &[]);
    host.kill();
    let host = site.host();
    let diff = wait_for("both that answer", || {
        let diff = site.json(&["plugin", "diff", "db"]);
        (diff["stage"] != "watch" || diff["compared"] == 2 && diff["observations"].as_u64() > Some(8))
            .then_some(diff)
    });
    assert_eq!((&diff["stage"], &diff["changed"]), (&"watch".into(), &1.into()), "{diff}");
    assert!(diff["instances"] == 4 && diff["refusal"].is_null(), "{diff}");
    assert_eq!(generation(&site), 2);
    host.stop();
    drop(silent);
}

#[test]
fn a_watch_heeds_what_the_gate_forbids() {
    let gate = "[plugins.gate]\nforbid = [\"healthy->unhealthy\"]";
    let (site, answers) = site(gate);
    site.write("db.wasm", guest("good"));
    let host = started(&site);
    // A person who has seen what it changes is not overruled.
    swap(&site, guest("body-health"), &["--force"]);
    answers.say(0, "u");
    site.wait_for_instances("the new answer", |instance| {
        instance["id"] != "0" || instance["health"] == "Unhealthy"
    });
    assert_eq!(generation(&site), 2);
    answers.set(0, 1, false);
    site.wait_until_healthy();
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    judged_by(&site, 3);

    swap(&site, guest("body-health"), &[]);
    judged_by(&site, 4);
    answers.say(0, "u");
    let back = wait_for_generation(&site, 5);
    let error = back["lastError"].as_str().unwrap();
    assert!(error.contains("`orders/0` healthy->unhealthy, which gate.forbid names"), "{error}");
    host.stop();
}

#[test]
fn what_decides_in_place_of_a_damaged_component_is_said() {
    let (site, _answers) = site("");
    let host = started(&site);
    swap(&site, variant(b'2'), &[]);
    let file = kept(&site);
    host.stop();
    std::fs::write(file, "garbage").unwrap();
    let host = started(&site);
    let plugin = wait_for_error(&site, "generation 2 (");
    let error = plugin["lastError"].as_str().unwrap();
    assert!(
        error.contains("missing from the data directory or damaged") && error.contains("db.wasm"),
        "{error}"
    );
    let history = site.json(&["plugin", "history", "db"]);
    let why = history["generations"][2]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("start of the host: generation 2 cannot go on"), "{why}");
    host.stop();
}

#[test]
fn a_reload_says_what_is_not_in_force() {
    let (site, _answers) = site("");
    let host = started(&site);
    host.stop();
    edit(&site, "settings = {}", "settings = { odd = 1 }");
    let host = started(&site);
    wait_for_error(&site, "unknown field `odd`");
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    assert!(reloaded.stderr.contains("what the file says of plugin `db` is not in force"), "{reloaded:?}");

    // What the settings do not fit is named, and that is not the file where something else runs.
    edit(&site, "settings = { odd = 1 }", "settings = {}");
    assert_eq!(site.run(&["reload"]).code, 0);
    swap(&site, variant(b'u'), &[]);
    edit(&site, "settings = {}", "settings = { odd = 1 }");
    let refused = site.run(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("stage configure: upload of new.wasm "), "{refused:?}");
    assert_eq!(db(&site)["load"]["source"], "upload of new.wasm");
    edit(&site, "settings = { odd = 1 }", "settings = {}");

    // The component of the host is swapped in by its name.
    let swapped = site.run(&["plugin", "swap", "db", "builtin:azure-health"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    assert_eq!(azure_health(), std::fs::read(kept(&site)).unwrap());

    // A file that is wrong is explained as `check` does.
    edit(&site, "settings = {}", "setings = {}");
    let wrong = site.run(&["plugin", "list"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("setings") && wrong.stderr.contains("--server"), "{wrong:?}");
    edit(&site, "setings = {}", "settings = {}");
    host.stop();
    let nobody = site.run(&["plugin", "list"]);
    assert!(nobody.stderr.contains("listens at its old address"), "{nobody:?}");
}
