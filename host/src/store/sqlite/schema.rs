//! The tables, and how a data file of an earlier build comes to have them: one transaction, after a copy was put
//! aside. Values inside the tables are read by `read`, whatever build has written them.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::SqliteStoreError;
use super::copy::{self, Existing};

/// The schema that this program writes, kept in `user_version`.
pub(in crate::store) const SCHEMA: i64 = 7;

/// The oldest one that it brings up.
const OLDEST: i64 = 5;

/// Words of the column `versions.state`.
pub(super) const VERSION: &str = "version";
/// Nothing runs.
pub(super) const ABSENT: &str = "absent";
/// Nobody can tell.
pub(super) const UNKNOWN: &str = "unknown";

/// What a file of schema 5 has.
const FIVE: &str = "
CREATE TABLE host (generation INTEGER NOT NULL, seq INTEGER NOT NULL, anchor TEXT, line TEXT NOT NULL);
INSERT INTO host VALUES (0, 0, NULL, 'null');
CREATE TABLE retries (scale_set TEXT PRIMARY KEY, retry TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
  scale_set TEXT, component TEXT, version TEXT NOT NULL, configured TEXT NOT NULL,
  PRIMARY KEY (scale_set, component)) WITHOUT ROWID;
CREATE TABLE versions (
  scale_set TEXT, instance TEXT, component TEXT, version TEXT,
  PRIMARY KEY (scale_set, instance, component)) WITHOUT ROWID;
CREATE TABLE memberships (
  scale_set TEXT, instance TEXT, membership TEXT NOT NULL, PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE memories (
  scale_set TEXT, instance TEXT, plugin TEXT NOT NULL, memory BLOB NOT NULL,
  PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE upgrades (
  id TEXT PRIMARY KEY, scale_set TEXT NOT NULL, number INTEGER NOT NULL, started_at INTEGER NOT NULL,
  state TEXT NOT NULL, head TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX upgrades_by_scale_set ON upgrades (scale_set, number);
CREATE TABLE courses (upgrade TEXT PRIMARY KEY, batch_order TEXT NOT NULL, left_out TEXT) WITHOUT ROWID;
CREATE TABLE batches (
  upgrade TEXT, number INTEGER, batch TEXT NOT NULL, PRIMARY KEY (upgrade, number)) WITHOUT ROWID;
CREATE TABLE members (
  upgrade TEXT, instance TEXT, member TEXT NOT NULL, PRIMARY KEY (upgrade, instance)) WITHOUT ROWID;
CREATE TABLE quarantine (
  scale_set TEXT, component TEXT, version TEXT, reason TEXT NOT NULL,
  PRIMARY KEY (scale_set, component, version)) WITHOUT ROWID;
CREATE TABLE plugins (name TEXT PRIMARY KEY, stored TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (key TEXT PRIMARY KEY, request TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, scale_set TEXT NOT NULL, upgrade TEXT, instance TEXT,
  kind TEXT NOT NULL, entry TEXT NOT NULL);
CREATE INDEX audit_by_scale_set ON audit (scale_set, seq);
CREATE INDEX audit_by_instance ON audit (scale_set, instance, seq) WHERE instance IS NOT NULL;
";

/// From 5 to 6: whose record it is and what speaks against it; who may read it; and the trail by upgrade and date.
/// `members` alone gets row ids: its rows lie in the order in which the plan put them in, so that those of a batch
/// share pages, whatever their ids are. A commit then writes about as much in a large fleet as in a small one.
///
/// `reader` keeps its name and its columns for ever: it is what a program reads that is too old for the rest.
const SIX: &str = "
ALTER TABLE host ADD COLUMN lock_inode INTEGER;
ALTER TABLE host ADD COLUMN lock_born INTEGER;
ALTER TABLE host ADD COLUMN hold TEXT;
CREATE TABLE reader (least_version TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX audit_by_upgrade ON audit (upgrade, seq) WHERE upgrade IS NOT NULL;
CREATE INDEX audit_by_date ON audit (scale_set, at);
ALTER TABLE members RENAME TO members_by_id;
CREATE TABLE members (
  upgrade TEXT, instance TEXT, member TEXT NOT NULL, PRIMARY KEY (upgrade, instance));
INSERT INTO members SELECT upgrade, instance, member FROM members_by_id
  ORDER BY upgrade, json_extract(member, '$.batch'), json_extract(member, '$.position');
DROP TABLE members_by_id;
";

/// From 6 to 7: what an instance has is a version, nothing, or unknown, and `version` is then the one that was recorded
/// last; what persons have said about single instances; whom sources of instances have found; the trail by instance and
/// upgrade together; the counts of upgrades whose members are no longer kept; which version new instances start with; from
/// which line on the trail is whole; first deployments that go on; and the catalogue, releases with their sets, and who was opted out or registered.
const SEVEN: &str = "
ALTER TABLE versions ADD COLUMN state TEXT NOT NULL DEFAULT 'version';
UPDATE versions SET state = 'unknown' WHERE version IS NULL;
CREATE TABLE words (
  scale_set TEXT, instance TEXT, word TEXT NOT NULL, PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE discovered (
  scale_set TEXT, instance TEXT, found TEXT NOT NULL, PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE INDEX audit_by_both ON audit (upgrade, instance, seq) WHERE upgrade IS NOT NULL AND instance IS NOT NULL;
CREATE TABLE summaries (
  upgrade TEXT PRIMARY KEY, successful INTEGER NOT NULL, failed INTEGER NOT NULL, in_progress INTEGER NOT NULL,
  pending INTEGER NOT NULL) WITHOUT ROWID;
ALTER TABLE host ADD COLUMN whole_from INTEGER;
ALTER TABLE models ADD COLUMN good TEXT;
CREATE TABLE catalogue (subject TEXT PRIMARY KEY, published TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE releases (number INTEGER PRIMARY KEY, release TEXT NOT NULL);
CREATE TABLE release_sets (
  release INTEGER, scale_set TEXT, part TEXT NOT NULL, PRIMARY KEY (release, scale_set)) WITHOUT ROWID;
CREATE TABLE opt_outs (
  scale_set TEXT, subject TEXT, said TEXT NOT NULL, PRIMARY KEY (scale_set, subject)) WITHOUT ROWID;
CREATE TABLE provisions (
  scale_set TEXT, instance TEXT, provision TEXT NOT NULL, PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE features (subscription TEXT PRIMARY KEY, registered TEXT NOT NULL) WITHOUT ROWID;
";

/// The least version of phasegate that may read what this one writes, and why.
const READER: (&str, &str) =
    (env!("CARGO_PKG_VERSION"), "what is unknown must not be taken for what is there");

/// Gives a data file the tables of this program.
pub(in crate::store) fn bring_up(connection: &mut Connection, path: &Path) -> Result<(), SqliteStoreError> {
    let seen = known(connection, path)?;
    match seen {
        None => commit(connection, path, &[FIVE, SIX, SEVEN]),
        Some(SCHEMA) => Ok(()),
        Some(seen) => {
            put_aside(connection, path)?;
            commit(connection, path, steps(seen))?;
            tracing::info!("data file `{}` was brought to schema {SCHEMA}", path.display());
            Ok(())
        }
    }
}

/// As [`bring_up`], of a copy: nothing has to be put aside.
pub(in crate::store) fn bring_up_copy(
    connection: &mut Connection,
    path: &Path,
) -> Result<(), SqliteStoreError> {
    match known(connection, path)? {
        Some(SCHEMA) | None => Ok(()),
        Some(seen) => commit(connection, path, steps(seen)),
    }
}

/// What brings a file up.
fn steps(from: i64) -> &'static [&'static str] {
    if from < 6 { &[SIX, SEVEN] } else { &[SEVEN] }
}

/// The schema of a data file; none of an empty one.
///
/// # Errors
/// When this program cannot read it.
pub(in crate::store) fn known(connection: &Connection, path: &Path) -> Result<Option<i64>, SqliteStoreError> {
    let sqlite = |source| SqliteStoreError::sqlite(path, source);
    let seen: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let count = "SELECT COUNT(*) FROM sqlite_schema";
    let tables: i64 = connection.query_row(count, [], |row| row.get(0)).map_err(sqlite)?;
    let path = path.to_owned();
    match seen {
        0 if tables == 0 => Ok(None),
        0 => Err(SqliteStoreError::NotOurs { path }),
        OLDEST..=SCHEMA => Ok(Some(seen)),
        newer if newer > SCHEMA => {
            Err(SqliteStoreError::NewerSchema { path, seen, known: SCHEMA, least: reader(connection) })
        }
        _ => Err(SqliteStoreError::OlderSchema { path, seen, oldest: OLDEST, known: SCHEMA }),
    }
}

/// The least version that may read a record, and why, where it says so.
pub(in crate::store) fn reader(connection: &Connection) -> Option<(String, String)> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    connection.query_row("SELECT least_version, why FROM reader", [], row).ok()
}

/// The file as it was, whole and beside it, in case that the newer program does not please.
fn put_aside(connection: &Connection, path: &Path) -> Result<(), SqliteStoreError> {
    let seen: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| SqliteStoreError::sqlite(path, source))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema-{seen}"));
    let copy = PathBuf::from(name);
    copy::copy(connection, path, &copy, Existing::Replace).map_err(|source| {
        SqliteStoreError::NotPutAside {
            path: path.to_owned(),
            copy: copy.clone(),
            schema: SCHEMA,
            source: Box::new(source),
        }
    })?;
    tracing::info!("data file `{}` of schema {seen} was copied to `{}`", path.display(), copy.display());
    Ok(())
}

fn commit(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), SqliteStoreError> {
    let mut all = || {
        let transaction = connection.transaction()?;
        for step in steps {
            transaction.execute_batch(step)?;
        }
        transaction.execute("DELETE FROM reader", [])?;
        transaction.execute("INSERT INTO reader VALUES (?1, ?2)", READER)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()
    };
    all().map_err(|source| SqliteStoreError::sqlite(path, source))
}

/// What the build before schema 7 has left.
#[cfg(test)]
pub(in crate::store) fn bring_up_to_6(connection: &mut Connection, path: &Path) {
    commit(connection, path, &[SIX]).unwrap();
    connection.pragma_update(None, "user_version", 6).unwrap();
}

#[cfg(test)]
mod tests;
