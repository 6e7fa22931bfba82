//! A read ends: when it takes too long, and when others read.

use phasegate_core::record::Opened;

use super::*;
use crate::store::sqlite::SqliteStore;

fn reader(directory: &Path) -> (SqliteStore, TrailReader) {
    let Opened { store, .. } = SqliteStore::open(directory).unwrap();
    let reader = store.reader(crate::clock::Clock::shared()).unwrap();
    (store, TrailReader { within: Duration::ZERO, ..reader })
}

#[test]
fn a_read_that_takes_too_long_is_ended_and_the_next_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, reader) = reader(directory.path());
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT CAST(MAX(i) AS TEXT) FROM n";
    let ended = reader.read(|reader| reader.rows(endless, &[])).unwrap_err();
    assert!(matches!(ended, SqliteStoreError::ReadTooSlow { .. }), "{ended}");
    let short = reader.read(|reader| reader.rows("SELECT '1'", &[])).unwrap();
    assert_eq!(short, [[Some("1".to_owned())]]);
}

#[test]
fn so_many_read_at_once_and_one_more_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, reader) = reader(directory.path());
    let all: Vec<Connection> = (0..READERS_MAX).map(|_| reader.take().unwrap()).collect();
    let refused = reader.take().unwrap_err();
    assert!(matches!(refused, SqliteStoreError::ReadersBusy { .. }), "{refused}");
    for connection in all {
        reader.give_back(connection);
    }
    assert!(reader.take().is_ok());
    assert_eq!(reader.free.lock().unwrap().unopened, 0, "none is opened anew");
}
