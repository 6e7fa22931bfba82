//! Data files of earlier builds: brought up, put aside, and then as new ones are.

use std::os::unix::fs::MetadataExt as _;

use phasegate_core::domain::Timestamp;
use phasegate_core::record::{Opened, ReadTrail as _, TrailQuery};
use serde::de::DeserializeOwned;

use super::*;
use crate::store::sqlite::{SqliteStore, open_file};

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

/// What a host that starts now would hold for.
fn held(directory: &Path) -> Option<String> {
    SqliteStore::open(directory).unwrap().stored.hold.map(|hold| hold.to_string())
}

/// The record that the build before schema 6 has left.
fn of_schema_5(directory: &Path) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/record-5/phasegate.db");
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("lock"), "4711\n").unwrap();
    let path = directory.join("phasegate.db");
    std::fs::copy(fixture, &path).unwrap();
    path
}

#[test]
fn a_record_of_schema_5_is_brought_up_and_kept_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    of_schema_5(directory.path());
    let Opened { store, stored } = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(stored.hold, None, "it does not say where it was written");
    let upgrade = &stored.upgrades[&id("orders")];
    assert_eq!((upgrade.id.as_str(), upgrade.is_active()), ("orders-2", true), "in flight, as it was left");
    assert_eq!(stored.touched[&id("orders")].id.as_str(), "orders-2");
    assert_eq!((stored.upgrade_number, stored.audit_seq, stored.seq), (2, 24, 14));
    assert_eq!(stored.plugins[&id("health")].history.len(), 2);
    let query = TrailQuery::latest(id("orders"), 100);
    assert_eq!(store.reader(crate::clock::Clock::shared()).unwrap().trail(&query).unwrap().entries.len(), 24);
    drop(store);
    assert_eq!(held(directory.path()), None);
    let aside = directory.path().join("phasegate.db.schema-5");
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(&aside, other.path().join("phasegate.db")).unwrap();
    let checked = crate::store::check(other.path()).unwrap();
    assert_eq!((checked.schema, checked.damaged, checked.rows), (5, 0, 2 + 2 + 6 + 6 + 24));
    assert_eq!(std::fs::metadata(&aside).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_record_that_cannot_be_put_aside_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = of_schema_5(directory.path());
    // Where the copy is to be written there is something that cannot be removed as a file is.
    let partial = format!("phasegate.db.schema-5.partial-{}", std::process::id());
    std::fs::create_dir(directory.path().join(partial)).unwrap();
    let error = SqliteStore::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("nothing in it was changed"), "{error}");
    let connection = Connection::open(&path).unwrap();
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(schema, 5);
}

#[test]
fn a_new_record_and_one_that_was_brought_up_have_the_same_tables() {
    let (new, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    of_schema_5(old.path());
    let tables = |directory: &Path| {
        drop(SqliteStore::open(directory).unwrap());
        let connection = Connection::open(directory.join("phasegate.db")).unwrap();
        let sql = "SELECT name, sql FROM sqlite_schema ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<Vec<(String, Option<String>)>>>().unwrap()
    };
    assert_eq!(tables(new.path()), tables(old.path()));
}

#[test]
fn the_latest_upgrade_is_the_one_with_the_highest_number_whatever_the_dates_say() {
    let directory = tempfile::tempdir().unwrap();
    let path = of_schema_5(directory.path());
    let connection = Connection::open(path).unwrap();
    // A clock that was set back before the second one started.
    let set_back =
        "UPDATE upgrades SET started_at = 5, head = json_set(head, '$.startedAt', 5) WHERE number = 2";
    connection.execute(set_back, []).unwrap();
    drop(connection);
    let stored = SqliteStore::open(directory.path()).unwrap().stored;
    let latest = &stored.upgrades[&id("orders")];
    assert_eq!((latest.id.as_str(), latest.started_at), ("orders-2", Timestamp(5)));
    assert!(latest.is_active(), "and it goes on");
    assert_eq!(stored.upgrade_number, 2);
}

#[test]
fn a_record_of_schema_6_is_brought_up_to_the_same_tables() {
    let (new, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = of_schema_5(old.path());
    let mut connection = open_file(&path).unwrap();
    bring_up_to_6(&mut connection, &path);
    drop(connection);
    drop(SqliteStore::open(new.path()).unwrap());
    drop(SqliteStore::open(old.path()).unwrap());
    assert!(old.path().join("phasegate.db.schema-6").exists(), "put aside");
    let tables = |directory: &Path| {
        let connection = Connection::open(directory.join("phasegate.db")).unwrap();
        let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<rusqlite::Result<Vec<(String, Option<String>)>>>().unwrap()
    };
    assert_eq!(tables(new.path()), tables(old.path()));
    let reader = Connection::open(old.path().join("phasegate.db")).unwrap();
    let readers: i64 = reader.query_row("SELECT COUNT(*) FROM reader", [], |row| row.get(0)).unwrap();
    assert_eq!(readers, 1);
}
