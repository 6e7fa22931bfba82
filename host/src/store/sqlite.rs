//! The store on SQLite: one file, write-ahead log, full sync.
//!
//! People may open the file with any SQLite tool; columns that they would search by are columns, the rest
//! is JSON.

mod read;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use phasegate_core::record::audit::Entry;
use phasegate_core::record::{Commit, Opened, ReadTrail, Store, StoreError, TrailQuery};

use super::SqliteStoreError;
use super::lock::{self, DirectoryLock};
use read::Reader;
use write::Writer;

/// Newest schema that this program knows, kept in `user_version`.
const SCHEMA: i64 = 5;

/// How long a commit waits for a program that holds the data file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

const CREATE: &str = "
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
PRAGMA user_version = 5;
";

/// The data directory, open and locked.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the data file as it was opened.
    identity: Option<(u64, u64)>,
    /// The fence of this host, as the data file has it until another one opens it.
    generation: i64,
    _lock: DirectoryLock,
}

impl SqliteStore {
    /// Opens the data directory, making it when it is not there, and reads what it holds. Each time that it
    /// is opened is another fence.
    ///
    /// # Errors
    /// When another host uses it, it cannot be written, or its schema is newer than ours.
    pub fn open(directory: &Path) -> Result<Opened<Self>, SqliteStoreError> {
        let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let lock = lock::acquire(directory)?;
        let path = directory.join("phasegate.db");
        let sqlite = |source| SqliteStoreError::Sqlite { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(sqlite)?;
        prepare(&connection).map_err(sqlite)?;
        migrate(&mut connection, &path)?;
        let identity = identity(&path);
        let reader = Reader { connection: &connection, path: &path };
        let mut stored = reader.stored()?;
        let next = "UPDATE host SET generation = generation + 1 RETURNING generation";
        let generation: i64 = connection.query_row(next, [], |row| row.get(0)).map_err(sqlite)?;
        stored.fence = reader.parse("the generation of the host", &generation.to_string())?;
        Ok(Opened { store: Self { connection, path, identity, generation, _lock: lock }, stored })
    }

    /// Reads the trail beside the loop, over a connection of its own.
    ///
    /// # Errors
    /// When the data file cannot be opened a second time.
    pub fn reader(&self) -> Result<TrailReader, SqliteStoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags);
        let connection =
            connection.map_err(|source| SqliteStoreError::Sqlite { path: self.path.clone(), source })?;
        Ok(TrailReader { connection: Mutex::new(connection), path: self.path.clone() })
    }

    fn write(&mut self, commit: &Commit) -> Result<(), WriteError> {
        let path = &self.path;
        // SQLite would go on writing into a file that no path leads to any more.
        if identity(path) != self.identity {
            return Err(SqliteStoreError::Gone { path: path.clone() }.into());
        }
        let sqlite = |source| SqliteStoreError::Sqlite { path: path.clone(), source };
        let transaction = self.connection.transaction().map_err(sqlite)?;
        let host = "SELECT seq, generation FROM host";
        let (recorded, generation): (i64, i64) =
            transaction.query_row(host, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sqlite)?;
        if generation != self.generation {
            return Err(WriteError::Deposed);
        }
        let seq = i64::try_from(commit.seq).unwrap_or(i64::MAX);
        if seq <= recorded {
            return Ok(());
        }
        let writer = Writer { transaction: &transaction, path };
        for write in &commit.writes {
            writer.apply(write)?;
        }
        let anchor = writer.json("the time", &commit.anchor)?;
        writer.run("UPDATE host SET seq = ?1, anchor = ?2", params![seq, anchor])?;
        transaction
            .commit()
            .map_err(|source| WriteError::Commit { known: is_known(&source), error: sqlite(source) })
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let Err(error) = self.write(commit) else { return Ok(()) };
        // Else the transaction is still open, and a later one would commit it.
        let rolled_back = self.connection.is_autocommit();
        Err(match error {
            WriteError::Deposed => StoreError::Deposed,
            WriteError::Before(error) | WriteError::Commit { error, known: Known::NotMade }
                if rolled_back =>
            {
                StoreError::Refused(Box::new(error))
            }
            WriteError::Before(error) | WriteError::Commit { error, .. } => {
                StoreError::Unsure(Box::new(error))
            }
        })
    }
}

/// How far a write came.
enum WriteError {
    /// Another host has opened the data file since.
    Deposed,
    /// The end of the transaction was not reached: SQLite marks the last page of a commit, and wrote none.
    Before(SqliteStoreError),
    /// The end failed.
    Commit { error: SqliteStoreError, known: Known },
}

impl From<SqliteStoreError> for WriteError {
    fn from(error: SqliteStoreError) -> Self {
        Self::Before(error)
    }
}

/// What the failure of a `COMMIT` says about the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It was not made.
    NotMade,
    /// It may be found by the next one who opens the file.
    Nothing,
}

/// A lock that is held leaves everything as it was, and a disk that is full has cut the log off before the page
/// that ends the commit. After another failure, above all of the sync, that page may be in the log, whole: this
/// process does not see it, and the next one that opens the file may.
fn is_known(error: &rusqlite::Error) -> Known {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => Known::NotMade,
        Some(_) | None => Known::Nothing,
    }
}

/// Reads the trail beside the loop.
#[derive(Debug)]
pub struct TrailReader {
    /// Readers take turns; the loop does not wait for them.
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl ReadTrail for TrailReader {
    fn trail(&self, query: &TrailQuery) -> Result<Vec<Entry>, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Reader { connection: &connection, path: &self.path }.trail(query)?)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), SqliteStoreError> {
    let sqlite = |source| SqliteStoreError::Sqlite { path: path.to_owned(), source };
    let seen: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if seen > SCHEMA {
        return Err(SqliteStoreError::NewerSchema { path: path.to_owned(), seen, known: SCHEMA });
    }
    if seen > 0 && seen < SCHEMA {
        return Err(SqliteStoreError::OlderSchema { path: path.to_owned(), seen, known: SCHEMA });
    }
    if seen < SCHEMA {
        let transaction = connection.transaction().map_err(sqlite)?;
        transaction.execute_batch(CREATE).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
