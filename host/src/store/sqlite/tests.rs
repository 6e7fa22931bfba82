//! The data file: written, read back, refused. It makes of commits what a record in memory makes of them.

use super::*;
use phasegate_core::domain::{By, Membership, Runs, Timestamp, WallTime};
use phasegate_core::record::audit::{Entry, What};
use phasegate_core::record::{
    Anchor, Disk, ReadTrail as _, Retry, StoppedLine, StoredMemory, StoredModel, StoredRequest, TrailQuery,
};
use phasegate_core::rollout::Wish;
use serde::de::DeserializeOwned;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

fn commit(seq: u64, writes: Vec<Write>) -> Commit {
    let anchor = Anchor { boot: "boot".to_owned(), since_boot: 5, at: Timestamp(7), date: None };
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
    let model = StoredModel { version: id("v2"), configured: id("v1"), good: Some(id("v0")) };
    let goal = phasegate_core::domain::Goal::application(id("v2"));
    let retry = Retry { at: Timestamp(7), goal, attempt: 2, why: phasegate_core::record::RetryWhy::Wanted };
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
        Write::Runs(id("orders"), id("0"), id("application"), Runs::at(id("v1"))),
        Write::Runs(id("orders"), id("1"), id("monitoring"), Runs::Unknown { before: Some(id("7")) }),
        Write::Runs(id("orders"), id("1"), id("application"), Runs::Nothing { before: None }),
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
        Write::Hold(Some([Doubt::Restored].into_iter().collect())),
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
    let query = TrailQuery { instance: Some(id("0")), ..TrailQuery::latest(id("orders"), 10) };
    let trail = store.reader(crate::clock::Clock::shared()).unwrap().trail(&query).unwrap().entries;
    assert_eq!(trail, disk.trail().cloned().collect::<Vec<_>>());
    drop(store);
    let mut expected = disk.open();
    // Something speaks against it: numbers that may have been given out are passed over.
    expected.upgrade_number = expected.seq;
    let opened = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(opened.stored, expected);
    assert_eq!((expected.seq, expected.audit_seq, expected.requests.len()), (100, 2, 1));
}

#[test]
fn a_commit_that_was_made_is_not_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let version =
        |text: &str| vec![Write::Runs(id("orders"), id("0"), id("application"), Runs::at(id(text)))];
    store.commit(&commit(2, version("v2"))).unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    store.commit(&commit(2, version("v3"))).unwrap();
    drop(store);
    let stored = SqliteStore::open(directory.path()).unwrap().stored;
    assert_eq!(
        stored.versions.values().filter_map(Runs::version).map(|v| v.as_str()).collect::<Vec<_>>(),
        ["v2"]
    );
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
fn a_member_stays_beside_those_with_which_it_was_planned() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let member = |instance: &str, attempt: u32| {
        let member = format!(
            r#"{{"batch":1,"position":0,"parts":[],"attempt":{attempt},"state":{{"state":"pending"}}}}"#
        );
        Write::Member(id("orders-1"), id(instance), Box::new(serde_json::from_str(&member).unwrap()))
    };
    store.commit(&commit(1, vec![member("10", 0), member("9", 0)])).unwrap();
    store.commit(&commit(2, vec![member("10", 1)])).unwrap();
    let sql = "SELECT instance, json_extract(member, '$.attempt') FROM members ORDER BY rowid";
    let mut statement = store.connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let rows: Vec<(String, u32)> = rows.map(Result::unwrap).collect();
    assert_eq!(rows, [("10".to_owned(), 1), ("9".to_owned(), 0)]);
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
    let write = || vec![Write::Runs(id("orders"), id("0"), id("application"), Runs::UNKNOWN)];
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
    let known = schema::SCHEMA;
    let newer = known + 1;
    connection.pragma_update(None, "user_version", newer).unwrap();
    drop(connection);
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains(&format!("has schema {newer}, this phasegate knows up to {known}")), "{error}");
    assert!(error.contains("needs phasegate"), "the file says who may read it: {error}");
}

#[test]
fn a_database_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let connection = Connection::open(directory.path().join("phasegate.db")).unwrap();
    connection.execute_batch("CREATE TABLE books (title TEXT)").unwrap();
    drop(connection);
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("not one of phasegate's"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("phasegate.db"), "hello, this is not a database at all").unwrap();
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("not a database") && error.contains("`phasegate data restore FILE`"), "{error}");
}

/// What a host that starts now would hold for.
fn held(directory: &Path) -> Option<String> {
    SqliteStore::open(directory).unwrap().stored.hold.map(|hold| hold.to_string())
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn version(text: &str) -> Vec<Write> {
    vec![Write::Runs(id("orders"), id("0"), id("application"), Runs::at(id(text)))]
}

#[test]
fn everything_is_private_and_what_was_open_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mount").join("data");
    std::fs::create_dir(directory.path().join("mount")).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&directory.path().join("mount"), 0o2775);
    let open_files = || {
        let mut open = vec![(data.clone(), std::fs::metadata(&data).unwrap().mode())];
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            open.push((path.clone(), std::fs::metadata(path).unwrap().mode()));
        }
        assert!(open.len() > 4, "{open:?}: with the log and its index");
        open.retain(|(_, mode)| mode & 0o077 != 0);
        open
    };
    let Opened { mut store, .. } = SqliteStore::open(&data).unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    assert_eq!(open_files(), []);
    drop(store);
    mode(&data, 0o755);
    mode(&data.join("phasegate.db"), 0o644);
    mode(&data.join("lock"), 0o666);
    let _store = SqliteStore::open(&data).unwrap();
    assert_eq!(open_files(), []);
}

#[test]
fn a_link_in_the_place_of_the_lock_or_the_data_file_is_refused() {
    for name in ["lock", "phasegate.db"] {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join(name)).unwrap();
        let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("is a symbolic link") && error.contains(name), "{error}");
    }
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if rustix::process::geteuid().as_raw() != 0 {
        // Only root can give anything away.
        return;
    }
    for name in ["", "lock", "phasegate.db", "compiled", "compiled/key"] {
        let directory = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(directory.path()).unwrap());
        std::fs::create_dir(directory.path().join("compiled")).unwrap();
        std::fs::write(directory.path().join("compiled/key"), [7; 32]).unwrap();
        std::os::unix::fs::chown(directory.path().join(name), Some(12_345), None).unwrap();
        let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("belongs to user 12345"), "{name}: {error}");
    }
}

#[test]
fn a_lock_that_is_gone_ends_what_can_be_recorded() {
    for replaced in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
        store.commit(&commit(1, version("v1"))).unwrap();
        std::fs::remove_file(directory.path().join("lock")).unwrap();
        if replaced {
            drop(SqliteStore::open(directory.path()).unwrap());
        }
        let error = store.commit(&commit(2, version("v2"))).unwrap_err();
        match replaced {
            true => assert!(matches!(error, StoreError::Deposed), "{error}"),
            false => assert!(error.to_string().contains("was removed or replaced"), "{error}"),
        }
    }
}

#[test]
fn a_host_whose_record_another_one_has_opened_is_deposed() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let other = Connection::open(directory.path().join("phasegate.db")).unwrap();
    other.execute("UPDATE host SET generation = generation + 1", []).unwrap();
    let error = store.commit(&commit(1, version("v2"))).unwrap_err();
    assert!(matches!(error, StoreError::Deposed), "{error}");
}

#[test]
fn a_copy_of_the_directory_holds_until_it_is_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    let Opened { mut store, .. } = SqliteStore::open(&first).unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    drop(store);
    assert_eq!(held(&first), None);
    copy_all(&first, &second);
    for _ in 0..2 {
        assert!(held(&second).unwrap().contains("written beside another lock"), "and so after a restart");
    }
    assert_eq!(held(&first), None, "it is the one that was copied");
    let Opened { mut store, .. } = SqliteStore::open(&second).unwrap();
    store.commit(&commit(2, vec![Write::Hold(None)])).unwrap();
    drop(store);
    assert_eq!(held(&second), None);
}

#[test]
fn an_older_state_in_the_same_directory_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = (directory.path().join("data"), directory.path().join("old.db"));
    let Opened { mut store, .. } = SqliteStore::open(&data).unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    super::super::backup(&data, &old, super::super::Existing::Keep).unwrap();
    store.commit(&commit(2, version("v2"))).unwrap();
    drop(store);
    std::fs::copy(&old, data.join("phasegate.db")).unwrap();
    let Opened { mut store, stored } = SqliteStore::open(&data).unwrap();
    let why = stored.hold.unwrap().to_string();
    assert!(
        why.contains("it ends with commit 1, and commit 2 was made here"),
        "of the same generation: {why}"
    );
    assert_eq!(u64::from(stored.fence), 2);
    store.commit(&commit(2, vec![Write::Hold(None)])).unwrap();
    drop(store);
    let Opened { store, stored } = SqliteStore::open(&data).unwrap();
    assert_eq!((u64::from(stored.fence), stored.hold), (3, None), "adopted");
    drop(store);
    std::fs::copy(&old, data.join("phasegate.db")).unwrap();
    let stored = SqliteStore::open(&data).unwrap().stored;
    let why = stored.hold.unwrap().to_string();
    assert!(why.contains("is of generation 1, and generation 3 has been at work here"), "{why}");
    assert_eq!(u64::from(stored.fence), 4, "above every one that was here");
}

#[test]
fn a_generation_that_rises_while_the_host_runs_is_kept_in_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let risen = Fence::try_from(42).unwrap();
    store.commit(&commit(1, vec![Write::Fence(risen)])).unwrap();
    store.commit(&commit(2, version("v2"))).unwrap();
    let lock = std::fs::read_to_string(directory.path().join("lock")).unwrap();
    assert!(
        lock.split_whitespace().collect::<Vec<_>>().ends_with(&["generation", "42", "commit", "2"]),
        "{lock}"
    );
    drop(store);
    let stored = SqliteStore::open(directory.path()).unwrap().stored;
    assert_eq!((u64::from(stored.fence), stored.hold), (43, None));
}

#[test]
fn a_transaction_of_another_program_holds_nothing_up_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, .. } = SqliteStore::open(directory.path()).unwrap();
    let reader = store.reader(crate::clock::Clock::shared()).unwrap();
    let other = Connection::open(directory.path().join("phasegate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // As SQLite waits: the handler gives up once its naps add up to the time that it was given.
    let refused = store.commit(&commit(1, version("v1"))).unwrap_err().to_string();
    assert!(refused.contains("locked"), "{refused}");
    let query = TrailQuery::latest(id("orders"), 1);
    assert_eq!(reader.trail(&query).unwrap().entries, [], "readers do not wait at all");
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&commit(1, version("v1"))).unwrap();
    let waits = |connection: &Connection| -> i64 {
        connection.pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap()
    };
    let reading = reader.read(|reading| Ok(waits(reading.connection))).unwrap();
    assert_eq!((waits(&store.connection), reading), (100, 100), "milliseconds");
}
