//! The data file: written, read back, refused.

use super::*;

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

#[test]
fn what_is_written_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, stored) = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(u64::from(stored.fence), 1);
    let model = StoredModel { version: id("v2"), configured: id("v1") };
    let goal = phasegate_core::domain::Goal::application(id("v2"));
    let retry = Retry { at: Timestamp(7), goal, attempt: 2 };
    let gone = Membership::Deleted { replaced_by: Some(id("7")) };
    let memory = StoredMemory { plugin: id("db"), bytes: vec![0, 255] };
    let line = StoppedLine { at: Timestamp(5), reason: "the network is down".to_owned() };
    store
        .commit(&[
            Write::Model(id("orders"), id("application"), model.clone()),
            Write::Version(id("orders"), id("0"), id("application"), Some(id("v1"))),
            Write::Version(id("orders"), id("1"), id("monitoring"), None),
            Write::Membership(id("orders"), id("3"), gone.clone()),
            Write::Memory(id("orders"), id("0"), Some(memory.clone())),
            Write::Memory(id("orders"), id("1"), Some(memory.clone())),
            Write::Memory(id("orders"), id("1"), None),
            Write::Retry(id("orders"), Some(retry.clone())),
            Write::Line(Some(line.clone())),
        ])
        .unwrap();
    drop(store);
    let (_store, stored) = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(u64::from(stored.fence), 2);
    assert_eq!(stored.models, [((id("orders"), id("application")), model)].into());
    assert_eq!(
        stored.versions,
        [
            ((id("orders"), id("0"), id("application")), Some(id("v1"))),
            ((id("orders"), id("1"), id("monitoring")), None)
        ]
        .into()
    );
    assert_eq!(stored.memberships, [((id("orders"), id("3")), gone)].into());
    assert_eq!(stored.memories, [((id("orders"), id("0")), memory)].into());
    assert_eq!((stored.retries, stored.line), ([(id("orders"), retry)].into(), Some(line)));
}

#[test]
fn a_second_host_is_refused_with_the_first_ones_pid() {
    let directory = tempfile::tempdir().unwrap();
    let _first = SqliteStore::open(directory.path()).unwrap();
    let error = SqliteStore::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
}

#[test]
fn a_data_file_that_is_gone_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = SqliteStore::open(directory.path()).unwrap();
    let write = [Write::Version(id("orders"), id("0"), id("application"), None)];
    store.commit(&write).unwrap();
    std::fs::remove_file(directory.path().join("phasegate.db")).unwrap();
    let error = store.commit(&write).unwrap_err().to_string();
    assert!(error.contains("was removed or replaced"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(directory.path()).unwrap());
    let connection = Connection::open(directory.path().join("phasegate.db")).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let error = SqliteStore::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("has schema 7, this phasegate knows up to {SCHEMA}")), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("phasegate.db"), "hello, this is not a database at all").unwrap();
    let error = SqliteStore::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("not a database"), "{error}");
}
