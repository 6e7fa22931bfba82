//! A record is whole wherever the program is killed that brings it up, copies it or puts a copy in its place.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::support::{Site, repository};

/// Moments at which the program is killed, over the time that it takes.
const MOMENTS: u32 = 12;

/// A record of schema 5 with a trail that takes a while to copy.
fn large(path: &Path) {
    fs::copy(repository().join("tests/fixtures/record-5/phasegate.db"), path).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE many(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM many WHERE n < 40000)
             INSERT INTO audit SELECT n, at, scale_set, upgrade, instance, kind, entry FROM many, audit
             WHERE seq = 1",
        )
        .unwrap();
}

/// A folder with nothing but this record.
fn folder(path: &Path, record: &Path) {
    let _ = fs::remove_dir_all(path);
    fs::create_dir(path).unwrap();
    fs::copy(record, path.join("phasegate.db")).unwrap();
}

/// Whether a data file that stands alone is whole; its schema.
fn schema(site: &Site, file: &Path) -> i64 {
    let alone = site.path("alone");
    folder(&alone, file);
    whole(site, "alone")
}

/// Whether the record of a data directory is whole; its schema.
fn whole(site: &Site, directory: &str) -> i64 {
    let checked = site.run(&["data", "check", "--data-dir", directory, "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    checked.json()["schema"].as_i64().unwrap()
}

/// Runs a command to its end, and then again and again, each time killed a little later.
fn kill_all_along(site: &Site, arguments: &[&str], before: impl Fn(), after: impl Fn(u32)) {
    before();
    let begun = Instant::now();
    let ended = site.run(arguments);
    assert_ne!(ended.code, -1, "{ended:?}");
    let whole = begun.elapsed();
    for moment in 0..MOMENTS {
        before();
        let child = site.spawn(arguments);
        std::thread::sleep(whole * moment / MOMENTS);
        child.kill();
        after(moment);
    }
}

#[test]
fn while_it_is_brought_up() {
    let site = Site::new();
    large(&site.path("large.db"));
    let adopt = ["data", "adopt", "--data-dir", "data"];
    let before = || folder(&site.path("data"), &site.path("large.db"));
    let after = |moment| {
        let seen = whole(&site, "data");
        let aside = site.path("data/phasegate.db.schema-5");
        if aside.exists() {
            assert_eq!(schema(&site, &aside), 5, "moment {moment}");
        }
        assert!(seen == 5 || (seen == 7 && aside.exists()), "moment {moment}: schema {seen}");
        // Nothing speaks against it, which is a no; but it is brought up.
        assert_eq!(site.run(&adopt).code, 1, "moment {moment}: and the next one goes on");
        assert_eq!(whole(&site, "data"), 7);
    };
    kill_all_along(&site, &adopt, before, after);
}

#[test]
fn while_it_is_copied() {
    let site = Site::new();
    large(&site.path("large.db"));
    folder(&site.path("data"), &site.path("large.db"));
    let before = || _ = fs::remove_file(site.path("copy.db"));
    let after = |moment| {
        let copy = site.path("copy.db");
        assert!(!copy.exists() || schema(&site, &copy) == 5, "moment {moment}");
        assert_eq!(whole(&site, "data"), 5);
    };
    kill_all_along(&site, &["data", "backup", "copy.db", "--data-dir", "data"], before, after);
}

#[test]
fn while_a_copy_is_put_in_its_place() {
    let site = Site::new();
    large(&site.path("large.db"));
    let before = || {
        folder(&site.path("data"), &repository().join("tests/fixtures/record-5/phasegate.db"));
        assert_eq!(site.run(&["data", "adopt", "--data-dir", "data"]).code, 1);
    };
    let rows = || {
        let checked = site.json(&["data", "check", "--data-dir", "data"]);
        (checked["rows"].as_u64().unwrap(), !checked["holding"].as_array().unwrap().is_empty())
    };
    let after = |moment| match rows() {
        (..1000, false) => {}
        (1000.., true) => assert!(site.path("data/phasegate.db.before-restore").exists(), "moment {moment}"),
        other => panic!("moment {moment}: neither the one nor the other: {other:?}"),
    };
    kill_all_along(&site, &["data", "restore", "large.db", "--data-dir", "data"], before, after);
}
