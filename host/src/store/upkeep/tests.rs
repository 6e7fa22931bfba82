//! Checks, copies and ways back of records: whole ones, damaged ones, and beside a host that runs.

use phasegate_core::domain::{Actor, Fence, Runs};
use phasegate_core::record::{Anchor, ReadTrail as _, Store as _, TrailQuery};
use serde::de::DeserializeOwned;

use super::*;

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

fn to_version(seq: u64, version: &str) -> Commit {
    let write = Write::Runs(id("orders"), id("0"), id("application"), Runs::at(id(version)));
    Commit { version: Commit::VERSION, seq, anchor: Anchor::default(), writes: vec![write] }
}

fn ann() -> By {
    By { actor: Actor::Operator("ann".to_owned()), reason: Some("the disk is new".to_owned()), request: None }
}

/// A data directory, a copy of it at v1, and its record at v3.
fn at_v3(directory: &Path) -> (PathBuf, PathBuf) {
    let (data, old) = (directory.join("data"), directory.join("old.db"));
    let Opened { mut store, .. } = SqliteStore::open(&data).unwrap();
    store.commit(&to_version(1, "v1")).unwrap();
    backup(&data, &old, Existing::Keep).unwrap();
    store.commit(&to_version(2, "v3")).unwrap();
    (data, old)
}

fn runs(data: &Path) -> (Vec<String>, Option<String>, Fence) {
    let Stored { versions, hold, fence, .. } = SqliteStore::open(data).unwrap().stored;
    let versions = versions.into_values().map(|runs| runs.to_string()).collect();
    (versions, hold.map(|hold| hold.to_string()), fence)
}

#[test]
fn a_copy_is_whole_private_and_never_written_over_by_chance() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    assert_eq!(fs::metadata(&old).unwrap().mode() & 0o777, 0o600);
    let before = fs::read(&old).unwrap();
    let error = backup(&data, &old, Existing::Keep).unwrap_err();
    assert!(matches!(error, SqliteStoreError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&old).unwrap(), before);
    backup(&data, &old, Existing::Replace).unwrap();
    assert_ne!(fs::read(&old).unwrap(), before);
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside it: {names:?}");
    let nowhere = backup(&data, &directory.path().join("no/such/folder.db"), Existing::Keep).unwrap_err();
    assert!(nowhere.to_string().contains("cannot write"), "{nowhere}");
}

#[test]
fn a_copy_takes_the_place_of_another_copy_and_of_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    let Opened { mut store, .. } = SqliteStore::open(&data).unwrap();
    let toml = directory.path().join("phasegate.toml");
    fs::write(&toml, "[server]\n").unwrap();
    let (link, pipe) = (directory.path().join("link"), directory.path().join("pipe"));
    std::os::unix::fs::symlink(&old, &link).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let hard = directory.path().join("hard");
    fs::hard_link(data.join("phasegate.db"), &hard).unwrap();
    let own = ["phasegate.db", "phasegate.db-wal", "phasegate.db-shm", "phasegate.db-journal", "lock"];
    let own = own.iter().map(|name| data.join(name));
    // The record of another host, and a database of another program.
    let another = directory.path().join("another");
    drop(SqliteStore::open(&another).unwrap());
    let another = another.join("phasegate.db");
    let foreign = directory.path().join("grafana.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE users (name TEXT)").unwrap();
    // A copy in the place of a record is none any more.
    let restored = directory.path().join("restored");
    restore(&restored, &old).unwrap();
    let by_hand = directory.path().join("by-hand");
    fs::create_dir(&by_hand).unwrap();
    fs::copy(&old, by_hand.join("phasegate.db")).unwrap();
    drop(SqliteStore::open(&by_hand).unwrap());
    let records =
        [another.clone(), foreign.clone(), restored.join("phasegate.db"), by_hand.join("phasegate.db")];
    let before = records.clone().map(|path| fs::read(path).unwrap());
    for to in own
        .chain([toml.clone(), link.clone(), pipe, hard, directory.path().to_owned()])
        .chain(records.clone())
    {
        let error = backup(&data, &to, Existing::Replace).unwrap_err();
        assert!(matches!(error, SqliteStoreError::NotReplaced { .. }), "{}: {error}", to.display());
    }
    assert_eq!(fs::read_to_string(&toml).unwrap(), "[server]\n");
    assert_eq!(records.map(|path| fs::read(path).unwrap()), before);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(store.place().missing().is_none(), "the record is as it was");
    store.commit(&to_version(3, "v4")).unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    backup(&data, &empty, Existing::Replace).unwrap();
}

#[test]
fn without_its_log_a_record_takes_nothing_more_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (data, _) = at_v3(directory.path());
    let Opened { mut store, .. } = SqliteStore::open(&data).unwrap();
    store.commit(&to_version(3, "v4")).unwrap();
    assert!(store.place().missing().is_none());
    let log = data.join("phasegate.db-wal");
    let aside = data.join("aside");
    fs::rename(&log, &aside).unwrap();
    for replaced in [false, true] {
        if replaced {
            fs::copy(&aside, &log).unwrap();
        }
        let missing = store.place().missing().map(|error| error.to_string()).unwrap_or_default();
        assert!(missing.contains("phasegate.db-wal"), "{missing}");
        assert!(store.commit(&to_version(4, "v5")).is_err());
    }
    fs::remove_file(&log).unwrap();
    fs::rename(&aside, &log).unwrap();
    store.commit(&to_version(4, "v5")).unwrap();
}

#[test]
fn what_is_restored_holds_until_it_is_adopted_and_the_former_one_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    let Restored { aside, .. } = restore(&data, &old).unwrap();
    let (versions, hold, fence) = runs(&data);
    assert_eq!((versions, u64::from(fence)), (vec!["v1".to_owned()], 2), "above what was here");
    assert!(hold.unwrap().starts_with("the record was put here by `phasegate data restore`"));
    let adopted = adopt(&data, &ann(), WallTime(9)).unwrap();
    assert!(adopted.doubts().contains(&Doubt::Restored));
    let Opened { store, stored } = SqliteStore::open(&data).unwrap();
    assert_eq!(stored.hold, None);
    let query = TrailQuery::latest(id("orders"), 9);
    let trail = store.reader(crate::clock::Clock::shared()).unwrap().trail(&query).unwrap().entries;
    assert!(trail[0].to_string().contains("was adopted") && trail[0].by == ann(), "{trail:?}");
    drop(store);
    let error = adopt(&data, &ann(), WallTime(9)).unwrap_err();
    assert!(matches!(error, SqliteStoreError::NotHolding { .. }), "{error}");
    // And the way back of the way back.
    restore(&data, &aside.unwrap()).unwrap();
    assert_eq!(runs(&data).0, ["v3"]);
}

#[test]
fn beside_a_host_that_runs_everything_can_be_read_and_nothing_changed() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    let store = SqliteStore::open(&data).unwrap().store;
    let checked = check(&data).unwrap();
    assert_eq!((checked.damaged, checked.generation, checked.commits, checked.here), (0, 2, 2, Some(true)));
    backup(&data, &old, Existing::Replace).unwrap();
    for error in [restore(&data, &old).map(drop), adopt(&data, &ann(), WallTime(9)).map(drop)] {
        assert!(matches!(error, Err(SqliteStoreError::InUse { .. })), "{error:?}");
    }
    drop(store);
    assert_eq!(runs(&data).0, ["v3"]);
}

#[test]
fn a_damaged_or_newer_copy_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    let bad = directory.path().join("bad.db");
    let changed = |change: &str| {
        fs::copy(&old, &bad).unwrap();
        Connection::open(&bad).unwrap().execute_batch(change).unwrap();
    };
    let refused = |expected: &str| {
        let error = restore(&data, &bad).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("bad.db"), "{error}");
        let (versions, hold, _) = runs(&data);
        assert_eq!((versions, hold), (vec!["v3".to_owned()], None), "{expected}");
        assert!(!beside(&data.join(NAME), ".restoring").exists());
    };
    changed("INSERT INTO upgrades VALUES ('orders-1', 'orders', 1, 0, 'Completed', '{')");
    refused("do not read back, first upgrades");
    changed("INSERT INTO audit VALUES (1, 0, 'orders', NULL, NULL, 'start', 'nothing')");
    refused("audit `1`");
    changed("PRAGMA user_version = 9; UPDATE reader SET least_version = '9.9', why = 'regions'");
    refused("needs phasegate 9.9 or later (regions)");
    fs::write(&bad, "").unwrap();
    refused("it is empty");
    fs::write(&bad, "no database at all, but long enough to be taken for one".repeat(20)).unwrap();
    refused("not a database");
    let mut cut = fs::read(&old).unwrap();
    cut.truncate(cut.len() / 2);
    fs::write(&bad, cut).unwrap();
    refused("");
}

#[test]
fn a_damaged_record_is_checked_refused_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = at_v3(directory.path());
    let file = data.join(NAME);
    let mut bytes = fs::read(&file).unwrap();
    let page = 4096;
    bytes.iter_mut().skip(page).step_by(7).for_each(|byte| *byte = 0xff);
    fs::write(&file, &bytes).unwrap();
    let error = SqliteStore::open(&data).err().unwrap().to_string();
    assert!(error.contains("`phasegate data restore FILE`"), "{error}");
    // It may be too damaged for a check to say more than that.
    assert!(check(&data).map_or(true, |checked| checked.damaged > 0));
    let Restored { aside, .. } = restore(&data, &old).unwrap();
    let kept = fs::read(aside.unwrap()).unwrap();
    // The first page says how the file is written, and it stands alone now.
    assert_eq!(kept.get(page..), bytes.get(page..), "kept as it was");
    assert_eq!(runs(&data).0, ["v1"]);
}

#[test]
fn a_row_that_does_not_read_back_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (data, _) = at_v3(directory.path());
    let connection = Connection::open(data.join(NAME)).unwrap();
    connection.execute_batch("INSERT INTO members VALUES ('orders-1', '0', '{\"batch\":true}')").unwrap();
    let checked = check(&data).unwrap();
    assert_eq!(checked.damaged, 1);
    assert!(checked.problems[0].starts_with("members `orders-1/0`: "), "{:?}", checked.problems);
}

#[test]
fn an_older_copy_is_brought_up_on_its_way() {
    let directory = tempfile::tempdir().unwrap();
    let (data, _) = at_v3(directory.path());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/record-5/phasegate.db");
    let before = fs::read(&fixture).unwrap();
    restore(&data, &fixture).unwrap();
    assert_eq!(fs::read(&fixture).unwrap(), before, "the copy itself stays as it is");
    let (versions, hold, fence) = runs(&data);
    assert_eq!((versions, u64::from(fence)), (vec!["v2".to_owned(); 3], 2));
    assert!(hold.unwrap().contains("data restore"));
}

#[test]
fn there_may_be_no_record_yet() {
    let directory = tempfile::tempdir().unwrap();
    let (_, old) = at_v3(directory.path());
    let new = directory.path().join("new");
    let error = check(&new).unwrap_err();
    assert!(matches!(error, SqliteStoreError::NoRecord { .. }), "{error}");
    assert_eq!(restore(&new, &old).unwrap().aside, None);
    let hold = runs(&new).1.unwrap();
    assert!(hold.contains("data restore") && hold.contains("another lock file"), "{hold}");
}
