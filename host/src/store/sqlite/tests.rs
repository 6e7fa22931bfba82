//! The data file: written, read back, refused. It makes of commits what a record in memory makes of them.

use super::*;
use phasegate_core::domain::{By, Membership, Timestamp, WallTime};
use phasegate_core::record::audit::What;
use phasegate_core::record::{
    Anchor, Disk, Retry, StoppedLine, StoredMemory, StoredModel, StoredRequest, Write,
};
use phasegate_core::rollout::Wish;
use serde::de::DeserializeOwned;

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

fn commit(seq: u64, writes: Vec<Write>) -> Commit {
    let anchor = Anchor { boot: "boot".to_owned(), since_boot: 5, at: Timestamp(7) };
    Commit { version: Commit::VERSION, seq, anchor, writes }
}

fn line_of_the_trail(seq: u64) -> Write {
    Write::Audit(Box::new(Entry {
        seq,
        at: WallTime(8),
        scale_set: id("orders"),
        upgrade: None,
        instance: Some(id("0")),
        by: By { reason: Some("why not".to_owned()), ..By::host() },
        stamp: None,
        what: What::Wish { wish: Wish::Pause },
    }))
}

/// One of each that a retry, a refusal or a person may write, and their opposites.
fn writes() -> Vec<Write> {
    let model = StoredModel { version: id("v2"), configured: id("v1") };
    let goal = phasegate_core::domain::Goal::application(id("v2"));
    let retry = Retry { at: Timestamp(7), goal, attempt: 2 };
    let gone = Membership::Deleted { replaced_by: Some(id("7")) };
    let memory = StoredMemory { plugin: id("db"), bytes: vec![0, 255] };
    let line =
        StoppedLine { at: Timestamp(5), reason: "the network is down".to_owned(), by: By::host().actor };
    let request = StoredRequest {
        number: 1,
        asked: "start".to_owned(),
        scale_set: Some(id("orders")),
        upgrade: None,
        reload: None,
    };
    let change = serde_json::from_str("{\"component\":\"application\",\"to\":\"v2\"}").unwrap();
    vec![
        Write::Model(id("orders"), id("application"), model),
        Write::Version(id("orders"), id("0"), id("application"), Some(id("v1"))),
        Write::Version(id("orders"), id("1"), id("monitoring"), None),
        Write::Membership(id("orders"), id("3"), Some(Box::new(gone.clone()))),
        Write::Membership(id("orders"), id("4"), Some(Box::new(gone))),
        Write::Membership(id("orders"), id("4"), None),
        Write::Memory(id("orders"), id("0"), Some(memory.clone())),
        Write::Memory(id("orders"), id("1"), Some(memory)),
        Write::Memory(id("orders"), id("1"), None),
        Write::Quarantine(id("orders"), change, Some("it failed".to_owned())),
        Write::Retry(id("orders"), Some(retry.clone())),
        Write::Retry(id("stock"), Some(retry)),
        Write::Retry(id("stock"), None),
        Write::Line(Some(line)),
        Write::Request(id("key-1"), Some(request.clone())),
        Write::Request(id("key-2"), Some(request)),
        Write::Request(id("key-2"), None),
        line_of_the_trail(1),
        line_of_the_trail(2),
        line_of_the_trail(3),
        Write::TrailEnds(2),
    ]
}

#[test]
fn what_is_written_reads_back_as_a_record_in_memory_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Disk::default();
    disk.open();
    let Opened { mut store, stored } = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(u64::from(stored.fence), 1);
    // Each write in a commit of its own, then all again in one: twice is once.
    let mut commits: Vec<Commit> =
        writes().into_iter().map(|write| vec![write]).zip(1..).map(|(w, n)| commit(n, w)).collect();
    commits.push(commit(100, writes()));
    for commit in &commits {
        disk.apply(commit);
        store.commit(commit).unwrap();
    }
    let query = TrailQuery { scale_set: id("orders"), instance: Some(id("0")), limit: 10 };
    let trail = store.reader().unwrap().trail(&query).unwrap();
    assert_eq!(trail, disk.trail().cloned().collect::<Vec<_>>());
    drop(store);
    let expected = disk.open();
    let opened = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(opened.stored, expected);
    assert_eq!((expected.seq, expected.audit_seq, expected.requests.len()), (100, 2, 1));
}

#[test]
fn a_commit_that_was_made_is_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let version = |text: &str| vec![Write::Version(id("orders"), id("0"), id("application"), Some(id(text)))];
    store.commit(&commit(2, version("v2"))).unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    store.commit(&commit(2, version("v3"))).unwrap();
    drop(store);
    let stored = SqliteStore::open(directory.path()).unwrap().stored;
    assert_eq!(stored.versions.values().flatten().map(|v| v.as_str()).collect::<Vec<_>>(), ["v2"]);
}

#[test]
fn a_commit_that_never_came_to_its_end_was_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let other = Connection::open(directory.path().join("phasegate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.commit(&commit(1, writes())).unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    other.execute_batch("ROLLBACK").unwrap();
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let many = (0..2_000).map(line_of_the_trail).collect();
    let refused = store.commit(&commit(2, many)).unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
    store.commit(&commit(3, writes())).unwrap();
}

#[test]
fn what_the_failure_of_the_last_step_says() {
    for (code, known) in [
        (rusqlite::ffi::SQLITE_FULL, Known::NotMade),
        (rusqlite::ffi::SQLITE_BUSY, Known::NotMade),
        (rusqlite::ffi::SQLITE_IOERR_FSYNC, Known::Nothing),
        (rusqlite::ffi::SQLITE_IOERR_WRITE, Known::Nothing),
        (rusqlite::ffi::SQLITE_NOMEM, Known::Nothing),
    ] {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert_eq!(is_known(&error), known, "{error}");
    }
}

#[test]
fn a_host_is_deposed_by_the_next_one_that_opens_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    store.commit(&commit(1, writes())).unwrap();
    // A person took the lock away.
    std::fs::remove_file(directory.path().join("lock")).unwrap();
    let mut next = SqliteStore::open(directory.path()).unwrap();
    let refused = store.commit(&commit(2, writes())).unwrap_err();
    assert!(matches!(refused, StoreError::Deposed), "{refused}");
    assert_eq!(next.stored.seq, 1);
    next.store.commit(&commit(2, writes())).unwrap();
}

#[test]
fn a_second_host_is_refused_with_the_first_ones_pid() {
    let directory = tempfile::tempdir().unwrap();
    let _first = SqliteStore::open(directory.path()).unwrap();
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
}

#[test]
fn a_data_file_that_is_gone_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let write = || vec![Write::Version(id("orders"), id("0"), id("application"), None)];
    store.commit(&commit(1, write())).unwrap();
    std::fs::remove_file(directory.path().join("phasegate.db")).unwrap();
    let error = store.commit(&commit(2, write())).unwrap_err().to_string();
    assert!(error.contains("was removed or replaced"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(directory.path()).unwrap());
    let connection = Connection::open(directory.path().join("phasegate.db")).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains(&format!("has schema 7, this phasegate knows up to {SCHEMA}")), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("phasegate.db"), "hello, this is not a database at all").unwrap();
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("not a database"), "{error}");
}
