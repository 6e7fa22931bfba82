//! How a new component of a plugin takes over, and how it does not: every stage, the cache, history and the
//! ways back. What judges beside is in `shadow`, a changed file in `reload`.

use crate::http;
use crate::support::plugin::{
    azure_health, db, edit, generation, guest, judged_by, site, stage, started, variant, wait_for_error,
    wait_for_generation,
};

#[test]
fn what_fails_at_a_stage_leaves_the_old_one() {
    let (site, _answers) = site("[plugins.gate]\nforbid = [\"phase-increase\"]");
    let host = started(&site);
    let half = azure_health();
    for (name, bytes, wanted) in [
        ("page", b"<html>".to_vec(), "shape"),
        ("half", half[..half.len() / 2].to_vec(), "shape"),
        ("refuses", guest("refuse-settings"), "configure"),
        ("traps", guest("trap-evaluate"), "rehearse"),
        ("last", guest("good"), "rehearse"),
    ] {
        site.write("new.wasm", bytes);
        let finished = site.run(&["plugin", "swap", "db", "new.wasm"]);
        assert_eq!(finished.code, 1, "{name}: {finished:?}");
        assert!(
            finished.stderr.contains(&format!("stage {wanted}: upload of new.wasm ")),
            "{name}: {finished:?}"
        );
        assert!(finished.stderr.contains("generation 1 ("), "{name}: {finished:?}");
        assert_eq!(stage(&db(&site), wanted).0, "failed", "{name}");
        assert_eq!(generation(&site), 1, "{name}");
    }
    let diff = site.json(&["plugin", "diff", "db"]);
    assert_eq!((diff["changed"].as_u64(), diff["instances"].as_u64()), (Some(4), Some(4)));
    assert!(diff["refusal"].as_str().unwrap().contains("phase-increase"), "{diff}");
    assert_eq!(diff["changes"][0]["changes"][0], "phase-increase");
    assert_eq!(diff["changes"][0]["from"]["phase"], 1);
    assert!(diff["changes"][0]["to"]["phase"].is_null());

    // A look without a swap, and a swap in spite of the gate.
    let dry = site.run(&["plugin", "swap", "db", "new.wasm", "--dry-run"]);
    assert_eq!(dry.code, 1, "the gate would refuse: {dry:?}");
    assert!(dry.stdout.contains("4 of 4 instances change"), "{dry:?}");
    assert_eq!(generation(&site), 1);
    let forced = site.run(&["plugin", "swap", "db", "new.wasm", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    judged_by(&site, 2);

    // Cases beside a file that is sent: the host never sees them.
    std::fs::create_dir_all(site.path("next/cases")).unwrap();
    site.write("next/new.wasm", variant(b'c'));
    site.write(
        "next/cases/a.json",
        r#"{"name":"never","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","response":{"status":200,"body":"{}"}}]},
            "expect":{"decision":{"health":"healthy","phase":7,"participation":"skip"}}}"#,
    );
    let untested = site.run(&["plugin", "swap", "db", "next/new.wasm"]);
    assert_eq!((untested.code, generation(&site)), (1, 2), "{untested:?}");
    let expected = "fails 1 of the 1 cases beside it, first \"never\" of a.json: it answers ";
    assert!(untested.stderr.contains(expected), "{untested:?}");
    assert!(untested.stderr.contains("nothing was sent"), "{untested:?}");

    // Cases beside the file that fail, then none; then a file whose gate refuses it.
    std::fs::create_dir(site.path("cases")).unwrap();
    site.write(
        "cases/a.json",
        r#"[{"name":"never","observation":{"instance":{"id":"0","scaleSet":"s"},"answers":[{"source":"health","status":200,"body":"{}"}]},
            "expect":{"decision":{"health":"healthy","phase":7,"participation":"skip"}}}]"#,
    );
    site.write("db.wasm", variant(b'a'));
    wait_for_error(&site, "stage self-test");
    std::fs::remove_dir_all(site.path("cases")).unwrap();
    assert_eq!(db(&site)["counters"]["refused"], 6);
    let metrics = http::request(site.port(), "GET /metrics", "Accept: application/openmetrics-text\r\n");
    for line in [
        "phasegate_plugin_loads_total{plugin=\"db\",event=\"refused\"} 6",
        "phasegate_plugin_load_stage_seconds{plugin=\"db\",stage=\"self-test\",state=\"failed\"} ",
        "phasegate_line_stopped 0.0",
        "\n# EOF",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    host.stop();
}

#[test]
fn compiled_code_is_kept_and_never_trusted_blindly() {
    let (site, _answers) = site("");
    let compiled = |folder: &str| -> Vec<_> {
        let files = std::fs::read_dir(site.path(folder)).unwrap().flatten().map(|file| file.path());
        files.filter(|path| !path.ends_with("key")).collect()
    };
    // What comes with the program is kept for all hosts of the user, too.
    let both = ["data/compiled", "cache/phasegate/compiled"];
    started(&site).stop();
    for folder in both {
        assert_eq!(compiled(folder).len(), 1, "the built-in component is the same one");
    }
    // Where two plugins have it, the second one finds it in memory or waits for it, whichever that is.
    let notes = || -> Vec<String> {
        let plugins = site.json(&["plugin", "list"])["plugins"].as_array().unwrap().clone();
        let stages = plugins.iter().map(|plugin| stage(plugin, "compile"));
        stages.inspect(|(state, _)| assert_eq!(state, "passed")).map(|(_, note)| note).collect()
    };
    let all_are = |expected: &str| {
        let notes = notes();
        assert!(notes.iter().any(|note| note == expected), "{notes:?}");
        let found = [expected, "in memory", "cached"];
        assert!(notes.iter().all(|note| found.contains(&note.as_str())), "{notes:?}");
    };
    let host = started(&site);
    all_are("cached");
    host.stop();
    for path in compiled(both[0]) {
        std::fs::remove_file(path).unwrap();
    }
    let host = started(&site);
    all_are("cached");
    host.stop();
    for harm in ["cut", "changed"] {
        for path in both.into_iter().flat_map(compiled) {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if harm == "cut" {
                bytes.truncate(middle)
            } else {
                bytes[middle] ^= 0xff
            }
            std::fs::write(path, bytes).unwrap();
        }
        let host = started(&site);
        all_are("");
        assert!(site.log().contains("damaged or not ours"), "{harm}: {}", site.log());
        host.stop();
    }
}

#[test]
fn generations_come_back_under_new_numbers() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    site.write("new.wasm", guest("good"));
    assert_eq!(site.run(&["plugin", "swap", "db", "new.wasm"]).code, 0);
    judged_by(&site, 2);
    let back = site.run(&["plugin", "rollback", "db"]);
    assert_eq!(back.code, 0, "{back:?}");
    judged_by(&site, 3);
    assert_eq!(db(&site)["digest"], first);
    host.stop();

    let host = started(&site);
    assert_eq!(generation(&site), 3);
    let history = site.json(&["plugin", "history", "db"]);
    let numbers: Vec<u64> = history["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let settings = history["generations"][0]["settings"].as_str().unwrap();
    assert!(
        settings.starts_with("sha256:") && history["generations"][1]["settings"] == settings,
        "{history}"
    );
    let shown = site.run(&["plugin", "history", "db"]).stdout;
    assert!(shown.contains("SETTINGS") && shown.contains(&settings[7..19]), "{shown}");
    let missing = site.run(&["plugin", "rollback", "db", "--to", "9"]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("has no generation 9 to go back to; it keeps 1, 2, 3"), "{missing:?}");
    assert_eq!(site.run(&["plugin", "rollback", "db", "--to", "2"]).code, 0);
    judged_by(&site, 4);
    host.stop();

    // A way back outlives a restart; a file that is broken at the start does not stop the host.
    site.write("db.wasm", "garbage");
    let host = started(&site);
    assert_eq!(generation(&site), 4);
    wait_for_error(&site, "stays active");
    host.stop();
}

#[test]
fn a_generation_that_fails_more_is_taken_back() {
    let (site, _answers) = site("");
    let host = started(&site);
    let first = db(&site)["digest"].clone();
    site.write("bad.wasm", guest("trap-evaluate"));
    let swapped = site.run(&["plugin", "swap", "db", "bad.wasm", "--strategy", "immediate"]);
    assert_eq!(swapped.code, 0, "{swapped:?}");
    let back = wait_for_generation(&site, 3);
    assert_eq!(back["digest"], first);
    assert!(back["lastError"].as_str().unwrap().contains("going back to generation 1"), "{back}");
    assert_eq!(back["counters"]["reverted"], 1);
    judged_by(&site, 3);
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn nothing_with_another_digest_runs() {
    let (site, _answers) = site("digest = \"DIGEST\"");
    let digest = site.json(&["plugin", "inspect", "db.wasm"])["digest"].as_str().unwrap().to_owned();
    let toml = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    site.write("phasegate.toml", toml.replace("DIGEST", &digest));
    let host = started(&site);
    site.write("new.wasm", variant(b'c'));
    let finished = site.run(&["plugin", "swap", "db", "new.wasm", "--force"]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr.contains("stage digest"), "{finished:?}");
    site.write("db.wasm", variant(b'c'));
    wait_for_error(&site, "the configuration asks for");
    assert_eq!(generation(&site), 1);
    host.stop();
    // Not at a start either; the generation that was right goes on.
    assert_eq!(site.run(&["check"]).code, 1);
    let host = started(&site);
    assert_eq!((generation(&site), db(&site)["digest"].as_str()), (1, Some(digest.as_str())));
    host.stop();
    // What ran under another digest does not run under this one.
    let other = format!("sha256:{}", "0".repeat(64));
    edit(&site, &digest, &other);
    let refused = site.run(&["run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains(&other), "{refused:?}");
}
