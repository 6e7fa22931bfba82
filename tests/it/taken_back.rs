//! What a gate and a watch rest on, what outlives a restart, and which generation comes back by itself.

use crate::http;
use crate::support::plugin::{
    azure_health, db, edit, generation, guest, judged_by, site, stage, started, variant, wait_for_error,
    wait_for_generation,
};
use crate::support::{Site, wait_for};

fn upload(site: &Site, bytes: Vec<u8>, options: &[&str]) -> i32 {
    site.write("new.wasm", bytes);
    site.run(&[&["plugin", "swap", "db", "new.wasm"], options].concat()).code
}

#[test]
fn a_generation_in_trouble_gives_way_to_one_that_does_better() {
    let (site, answers) = site("watchTime = \"PT0S\"\nstrategy = \"immediate\"");
    site.write("db.wasm", guest("good"));
    let host = started(&site);
    let good = db(&site)["digest"].clone();
    assert_eq!(upload(&site, guest("poison"), &[]), 0);
    judged_by(&site, 2);
    (0..4).for_each(|instance| answers.say(instance, "X"));
    let back = wait_for_generation(&site, 3);
    assert_eq!(back["digest"], good);
    let error = wait_for_error(&site, "going back to generation 1");
    assert_eq!(error["counters"]["reverted"], 1, "{error}");
    let history = site.json(&["plugin", "history", "db"]);
    assert!(history["generations"][2]["why"].as_str().unwrap().contains("generation 2 failed for 4 of 4"));
    let trail = site.run(&["upgrade", "log", "orders"]);
    assert!(trail.stdout.contains("plugin-reverted"), "{trail:?}");
    assert!(site.log().contains("going back to generation 1"));

    // However it came in, by hand or by file.
    let bad = [guest("poison"), vec![0, 2, 1, b'p']].concat();
    assert_eq!(upload(&site, bad, &[]), 0);
    wait_for_generation(&site, 5);
    assert_eq!(db(&site)["digest"], good, "generation 4 has left, too");
    site.write("db.wasm", guest("trap-evaluate"));
    wait_for_generation(&site, 7);

    // What somebody insisted on is left alone.
    assert_eq!(upload(&site, guest("poison"), &["--force"]), 0);
    wait_for_error(&site, "swapped in with --force, so nothing takes it back by itself");
    assert_eq!(generation(&site), 8);
    host.stop();
}

#[test]
fn trouble_that_no_generation_helps_against_is_in_the_list() {
    let (site, answers) = site("watchTime = \"PT0S\"\nstrategy = \"immediate\"");
    site.write("db.wasm", guest("poison"));
    let host = started(&site);
    assert_eq!(upload(&site, [guest("poison"), vec![0, 2, 1, b'p']].concat(), &[]), 0);
    judged_by(&site, 2);
    (0..4).for_each(|instance| answers.say(instance, "X"));
    wait_for_error(&site, "no former generation that it could go back to does better");
    assert_eq!(generation(&site), 2);
    let list = site.run(&["plugin", "list"]).stdout;
    assert!(list.contains("db fails for 4 of 4 instances: trapped"), "{list}");
    (0..4).for_each(|instance| answers.set(instance, 1, false));
    wait_for("the end of the trouble", || db(&site)["lastError"].is_null().then_some(()));
    // The trouble ends with the first instances that are judged again; the last comes after.
    wait_for("the last that is judged", || db(&site)["failing"].is_null().then_some(()));
    host.stop();
}

#[test]
fn a_watch_goes_on_after_a_restart_and_its_end_is_said() {
    let (site, answers) = site("watchTime = \"PT1H\"\nstrategy = \"immediate\"");
    site.write("db.wasm", guest("good"));
    let host = started(&site);
    assert_eq!(upload(&site, guest("poison"), &[]), 0);
    host.kill();
    let host = started(&site);
    let plugin = db(&site);
    assert_eq!((&plugin["stage"], generation(&site)), (&"watch".into(), 2), "{plugin}");
    assert!(stage(&plugin, "watch").1.contains("anew after a restart"), "{plugin}");
    (0..3).for_each(|instance| answers.say(instance, "X"));
    wait_for_generation(&site, 3);
    wait_for_error(&site, "than the one before");
    host.stop();

    // What was taken back is not watched any more; one that stays is said.
    edit(&site, "PT1H", "PT1S");
    let host = started(&site);
    assert!(db(&site)["stage"].is_null());
    assert_eq!(upload(&site, variant(b'w'), &[]), 0);
    wait_for("the end of the watch", || site.log().contains("its watch ended well").then_some(()));
    host.stop();
}

#[test]
fn a_gate_that_has_seen_nothing_lets_nothing_pass() {
    let gate = "[plugins.gate]\nmaxChangedPercent = 0\nminObservations = 4\nminTime = \"PT0S\"";
    let (site, answers) = site(gate);
    // One that keeps the prober waiting.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    edit(&site, &format!("127.0.0.1:{}", answers.ports[3]), &address);
    edit(&site, "timeoutInSeconds = 1", "timeoutInSeconds = 300");
    let host = site.host();
    assert_eq!(upload(&site, variant(b'g'), &[]), 0);
    let plugin = db(&site);
    assert_eq!((&plugin["stage"], generation(&site)), (&"shadow".into(), 1), "{plugin}");
    assert!(stage(&plugin, "rehearse").1.contains("cannot be held against its gate yet"), "{plugin}");
    // A reload cannot wait.
    edit(&site, "timeoutMs = 200", "timeoutMs = 201");
    let refused = site.run(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("reload again when"), "{refused:?}");
    drop(silent);
    wait_for_generation(&site, 2);
    host.stop();
}

#[test]
fn what_changed_while_the_host_was_off_goes_through_the_pipeline() {
    let gate = "[plugins.gate]\nforbid = [\"phase-increase\"]\nminObservations = 4\nminTime = \"PT0S\"";
    let (site, _answers) = site(gate);
    started(&site).stop();
    site.write("db.wasm", guest("good"));
    let host = started(&site);
    let refused = wait_for_error(&site, "phase-increase, which gate.forbid names");
    assert_eq!((generation(&site), &refused["counters"]["refused"]), (1, &1.into()), "{refused}");
    host.stop();
    let host = started(&site);
    let error = db(&site)["lastError"].as_str().unwrap().to_owned();
    assert!(error.contains("plugin `db`, stage ") && error.contains("phase-increase"), "{error}");
    host.stop();

    site.write("db.wasm", variant(b'o'));
    let host = started(&site);
    let plugin = wait_for_generation(&site, 2);
    assert_eq!(plugin["stage"], "watch", "{plugin}");
    host.stop();

    // Other settings are for what runs.
    edit(&site, "timeoutMs = 200", "timeoutMs = 250");
    std::fs::remove_file(site.path("db.wasm")).unwrap();
    assert_eq!(site.run(&["check"]).code, 1);
    let host = started(&site);
    let plugin = db(&site);
    assert_eq!((generation(&site), &plugin["counters"]["refused"]), (2, &1.into()), "{plugin}");
    assert_eq!(stage(&plugin, "fetch").0, "failed", "{plugin}");
    wait_for_error(&site, "generation 2 stays active");
    host.stop();
    std::fs::remove_dir_all(site.path("data")).unwrap();
    let refused = site.run(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("plugins[0].component: cannot read"), "{refused:?}");
}

#[test]
fn what_is_only_tried_hides_nothing() {
    let (site, _answers) = site("");
    let host = started(&site);
    assert_eq!(upload(&site, variant(b's'), &["--strategy", "shadow"]), 0);
    for (bytes, options, code) in
        [(guest("good"), vec!["--dry-run"], 0), (guest("trap-configure"), vec![], 1)]
    {
        assert_eq!(upload(&site, bytes, &options), code);
        let plugin = db(&site);
        assert_eq!(plugin["stage"], "shadow", "{plugin}");
        let metrics = http::request(site.port(), "GET /metrics", "");
        assert!(metrics.contains("stage=\"shadow\",state=\"running\""), "{metrics}");
    }
    assert_eq!(site.run(&["plugin", "promote", "db"]).code, 0);
    assert_eq!(stage(&db(&site), "shadow").0, "passed", "the load that took over is the one that is shown");
    assert_eq!(stage(&db(&site), "watch").0, "running");
    // What ends it is said.
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    assert!(site.log().contains("the watch of generation 2"), "{}", site.log());
    assert_eq!(upload(&site, variant(b't'), &["--strategy", "shadow"]), 0);
    assert_eq!(upload(&site, variant(b's'), &[]), 0);
    assert!(site.log().contains("the shadow of upload of new.wasm ended: generation 4 "), "{}", site.log());
    let both = site.run(&["plugin", "swap", "db", "new.wasm", "--force", "--strategy", "shadow"]);
    assert_eq!(both.code, 2, "{both:?}");
    assert!(both.stderr.contains("exclude each other"), "{both:?}");
    let api = http::request(site.port(), "POST /v1/plugins/db/swap?force=true&strategy=shadow", "");
    assert!(api.contains("400") && api.contains("exclude each other"), "{api}");
    host.stop();
}

#[test]
fn a_watch_gives_its_own_reason() {
    let gate = "[plugins.gate]\nmaxChangedPercent = 60";
    let (site, answers) = site(gate);
    site.write("db.wasm", guest("good"));
    let host = started(&site);
    assert_eq!(upload(&site, guest("body-health"), &[]), 0);
    answers.say(0, "u");
    wait_for("one that changes", || {
        let diff = site.json(&["plugin", "diff", "db"]);
        (diff["stage"] == "watch" && diff["changed"] == 1)
            .then(|| assert!(diff["refusal"].is_null(), "{diff}"))
    });
    (1..4).for_each(|instance| answers.say(instance, "u"));
    let back = wait_for_generation(&site, 3);
    let refusal = site.json(&["plugin", "diff", "db"])["refusal"].as_str().unwrap().to_owned();
    assert!(refusal.contains("(gate.maxChangedPercent is 60)"), "{refusal}");
    let why = refusal.trim_start_matches("it ");
    assert!(back["lastError"].as_str().unwrap().contains(why), "{refusal}: {back}");
    assert!(site.run(&["plugin", "diff", "db"]).stdout.contains("taken back: "));
    host.stop();
}

#[test]
fn a_load_is_discarded_while_it_rehearses() {
    let (site, _answers) = site("");
    edit(&site, "timeoutMs = 200", "timeoutMs = 2000, fuel = 4294967295");
    let host = started(&site);
    site.write("new.wasm", guest("loop-evaluate"));
    let swap = site.spawn(&["plugin", "swap", "db", "new.wasm", "--strategy", "shadow"]);
    wait_for("the rehearsal", || (db(&site)["stage"] == "rehearse").then_some(()));
    assert_eq!(site.run(&["plugin", "discard", "db"]).code, 0);
    let swap = swap.wait();
    assert_eq!(swap.code, 1, "{swap:?}");
    assert!(swap.stderr.contains("was discarded by hand"), "{swap:?}");
    assert!(db(&site)["stage"].is_null() && generation(&site) == 1);
    let digest = db(&site)["digest"].clone();
    assert_eq!(upload(&site, azure_health(), &[]), 0);
    assert_eq!(db(&site)["digest"], digest);
    host.stop();
}

#[test]
fn what_was_refused_for_the_settings_is_tried_with_others() {
    let (site, _answers) = site("");
    site.write("db.wasm", guest("good"));
    edit(&site, "settings = {}", "settings = { a = 1 }");
    let host = started(&site);
    site.write("db.wasm", azure_health());
    wait_for_error(&site, "unknown field `a`");
    // Other limits do not help it, and what runs gets them all the same.
    let runs = db(&site)["digest"].clone();
    edit(&site, "timeoutMs = 200", "timeoutMs = 199");
    assert_eq!(site.run(&["reload"]).code, 0);
    assert_eq!(wait_for_generation(&site, 2)["digest"], runs);
    edit(&site, "settings = { a = 1 }", "settings = {}");
    assert_eq!(site.run(&["reload"]).code, 0);
    let plugin = wait_for_generation(&site, 3);
    assert_ne!(plugin["digest"], runs);
    assert!(plugin["lastError"].is_null(), "{plugin}");

    // What has run and was left does not come back by itself.
    assert_eq!(site.run(&["plugin", "rollback", "db"]).code, 0);
    assert_eq!(wait_for_generation(&site, 4)["digest"], runs);
    edit(&site, "timeoutMs = 199", "timeoutMs = 198");
    assert_eq!(site.run(&["reload"]).code, 0);
    assert_eq!(wait_for_generation(&site, 5)["digest"], runs);
    host.stop();
}
