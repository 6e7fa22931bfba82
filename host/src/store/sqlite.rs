//! The store on SQLite: one file, write-ahead log, full sync.
//!
//! People may open the file with any SQLite tool; columns that they would search by are columns, the rest
//! is JSON.

pub(in crate::store) mod copy;
mod every;
mod past;
mod read;
mod reader;
mod releases;
pub(in crate::store) mod schema;
mod tend;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use phasegate_core::domain::{Fence, ReadClock};
use phasegate_core::record::{Commit, Doubt, Hold, Opened, Store, StoreError, Stored, Write};

use super::lock::{self, DirectoryLock, Durable, LockIdentity, LockPlace, Seen};
use super::{SqliteStoreError, private};
pub(in crate::store) use read::Reader;
use reader::TrailReader;
pub use tend::{Left, Tender};
use write::Writer;

/// Name of the data file in its directory.
pub(in crate::store) const NAME: &str = "phasegate.db";

/// Pages that are kept in memory, in KiB and negated as SQLite wants it: those of an upgrade of a large fleet,
/// so that a commit does not read what it changes. What is not used is not taken.
const CACHE_KIB: i64 = -32 * 1024;

/// How long anything waits for a program that holds the data file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);

/// The data directory, open and locked.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    place: RecordPlace,
    lock: DirectoryLock,
    /// Which host writes here; another one takes a higher generation before it does anything.
    fence: Fence,
    /// To what it may have risen: the word of the commit was lost.
    rising: Option<Fence>,
    /// The fence, for whoever writes beside this.
    fence_now: Arc<AtomicU64>,
    /// Who writes, of those in this process: none is refused because of another one.
    turns: Arc<Mutex<()>>,
}

/// Where the record lies that a host has opened. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RecordPlace {
    path: PathBuf,
    /// Device and inode of the data file as it was opened.
    identity: Option<(u64, u64)>,
    /// The write-ahead log, in which is what was not yet taken into the data file, and that as it was opened.
    log: (PathBuf, Option<(u64, u64)>),
    lock: LockPlace,
}

impl RecordPlace {
    /// What is not there any more of what was opened; then nothing can be recorded.
    #[must_use]
    pub fn missing(&self) -> Option<SqliteStoreError> {
        self.gone().or_else(|| (!self.lock.is_there()).then(|| self.lock.gone()))
    }

    /// Which of the files is another one by now: SQLite would go on writing into one that no path leads to any more.
    fn gone(&self) -> Option<SqliteStoreError> {
        let (log, log_then) = &self.log;
        let files = [(&self.path, self.identity), (log, *log_then)];
        let other = files.into_iter().find(|(path, then)| identity(path) != *then);
        other.map(|(path, _)| SqliteStoreError::Gone { path: path.clone() })
    }
}

impl SqliteStore {
    /// Opens the data directory, making it when it is not there, and reads what it holds. Each time that it
    /// is opened is another fence, above every one that the record and the lock know of.
    ///
    /// # Errors
    /// When another host uses it, it is not ours or cannot be written, or the file in it is damaged or newer than
    /// this program.
    pub fn open(directory: &Path) -> Result<Opened<Self>, SqliteStoreError> {
        private::claim(directory)?;
        let lock = lock::acquire(directory)?;
        Self::open_locked(directory, lock)
    }

    pub(in crate::store) fn open_locked(
        directory: &Path,
        lock: DirectoryLock,
    ) -> Result<Opened<Self>, SqliteStoreError> {
        let path = directory.join(NAME);
        let mut connection = open_file(&path)?;
        schema::bring_up(&mut connection, &path)?;
        // Somebody may have put a copy here by hand.
        copy::unmark(&connection).map_err(|source| SqliteStoreError::sqlite(&path, source))?;
        let identity = identity(&path);
        let reader = Reader { connection: &connection, path: &path };
        let mut stored = reader.stored()?;
        let origin = reader.origin()?;
        let hold = doubts(&origin, &stored, &lock);
        stored.fence = above(origin.generation, lock.seen.generation);
        stored.upgrade_number = number_above(&stored, &hold, &lock);
        // Also where nobody starts an upgrade before the next host opens it.
        let passed_over = if hold.is_empty() { 0 } else { as_integer(stored.upgrade_number) };
        let written_beside = if hold.is_empty() { Some(lock.identity) } else { origin.lock };
        stored.hold = Some(hold).filter(|hold| !hold.is_empty());
        let json =
            stored.hold.as_ref().map(|hold| reader.json("what speaks against it", hold)).transpose()?;
        let next = "UPDATE host SET generation = ?1, hold = ?2, lock_inode = ?3, lock_born = ?4, \
                    numbers_to = MAX(numbers_to, ?5)";
        let (inode, born) = numbers(written_beside);
        connection
            .execute(next, params![as_integer(stored.fence.packed()), json, inode, born, passed_over])
            .map_err(|source| SqliteStoreError::sqlite(&path, source))?;
        // Only now: a lock that was ahead of its record would speak against it.
        lock.note(Seen { generation: Some(stored.fence.packed()), commit: Some(stored.seq) }, Durable::Yes)?;
        copy::sync_folder_of(&path)
            .map_err(|source| SqliteStoreError::Unusable { path: directory.to_owned(), source })?;
        let fence = stored.fence;
        let (fence_now, turns) = (Arc::new(AtomicU64::new(fence.packed())), Arc::default());
        // What was just written has made it, and it stays for as long as this connection is open.
        let log = copy::beside(&path, "-wal");
        let log_now = self::identity(&log);
        let place =
            RecordPlace { path: path.clone(), identity, log: (log, log_now), lock: lock.place().clone() };
        let store = Self { connection, path, place, lock, fence, rising: None, fence_now, turns };
        Ok(Opened { store, stored })
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> RecordPlace {
        self.place.clone()
    }

    /// Reads the record beside the loop, over connections of its own.
    ///
    /// # Errors
    /// When the data file cannot be opened a second time.
    pub fn reader(&self, clock: Arc<dyn ReadClock>) -> Result<TrailReader, SqliteStoreError> {
        TrailReader::open(&self.path, clock)
    }

    pub(in crate::store) fn write(&mut self, commit: &Commit) -> Result<(), WriteError> {
        let path = &self.path;
        if let Some(gone) = self.place.gone() {
            return Err(gone.into());
        }
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let sqlite = |source| SqliteStoreError::sqlite(path, source);
        // Immediate: what is read here is what is written on.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let (generation, recorded): (i64, i64) = transaction
            .query_row("SELECT generation, seq FROM host", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(sqlite)?;
        if let Some(risen) = self.rising.take_if(|risen| as_integer(risen.packed()) == generation) {
            self.fence = risen;
            self.fence_now.store(risen.packed(), Ordering::Release);
        }
        let ours = self.fence.packed();
        if generation != as_integer(ours) {
            let seen = u64::try_from(generation).unwrap_or_default();
            return Err(SqliteStoreError::Deposed { path: path.clone(), seen, ours }.into());
        }
        // Another host that comes now finds what is written here, and deposes this one.
        if !self.place.lock.is_there() {
            return Err(self.place.lock.gone().into());
        }
        if as_integer(commit.seq) <= recorded {
            return Ok(());
        }
        let writer = Writer { transaction: &transaction, path, lock: self.lock.identity };
        for write in &commit.writes {
            writer.apply(write)?;
        }
        let anchor = writer.json("the time", &commit.anchor)?;
        writer.run("UPDATE host SET seq = ?1, anchor = ?2", params![as_integer(commit.seq), anchor])?;
        let risen = commit.writes.iter().rev().find_map(|write| match write {
            Write::Fence(fence) => Some(*fence),
            _ => None,
        });
        self.rising = risen;
        transaction
            .commit()
            .map_err(|source| WriteError::Commit { known: is_known(&source), error: sqlite(source) })?;
        self.fence = risen.unwrap_or(self.fence);
        self.fence_now.store(self.fence.packed(), Ordering::Release);
        let durable = if risen.is_some() { Durable::Yes } else { Durable::No };
        let seen = Seen { generation: Some(self.fence.packed()), commit: Some(commit.seq) };
        match (self.lock.note(seen, durable), durable) {
            // A generation must not be used that the lock does not have.
            (Err(error), Durable::Yes) => Err(WriteError::Commit { known: Known::Nothing, error }),
            // A lock that is behind its record only knows less.
            (Ok(()) | Err(_), Durable::Yes | Durable::No) => Ok(()),
        }
    }
}

/// Where a record was written, and by whom last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Origin {
    pub(in crate::store) generation: u64,
    /// None in a record of schema 5.
    pub(in crate::store) lock: Option<LockIdentity>,
    pub(in crate::store) hold: Option<Hold>,
}

/// What speaks against a record that lies beside this lock.
fn doubts(origin: &Origin, stored: &Stored, lock: &DirectoryLock) -> Hold {
    let mut hold = origin.hold.clone().unwrap_or_default();
    if origin.lock.is_some_and(|lock_then| !lock_then.is(lock.identity)) {
        hold.add(Doubt::Copied);
    }
    let fence = |number: u64| Fence::try_from(number).unwrap_or_default();
    if let Some(seen) = lock.seen.generation.filter(|seen| *seen > origin.generation) {
        hold.add(Doubt::Older { recorded: fence(origin.generation), seen: fence(seen) });
    }
    if let Some(made) = lock.seen.commit.filter(|made| *made > stored.seq) {
        hold.add(Doubt::Shorter { recorded: stored.seq, made });
    }
    hold
}

/// The generation above both.
fn above(recorded: u64, seen: Option<u64>) -> Fence {
    let highest =
        [Some(recorded), seen].into_iter().flatten().filter_map(|one| Fence::try_from(one).ok()).max();
    let highest = highest.unwrap_or_default();
    // One that has no next stays: it takes sixteen million starts.
    Fence::new(highest.incarnation() + 1, highest.term()).unwrap_or(highest)
}

/// The number of the latest upgrade. What went on beside another record may have begun more of them, each with a commit
/// of its own at least: their numbers are passed over, so that no agent and no program takes a new operation for one
/// that it knows.
fn number_above(stored: &Stored, hold: &Hold, lock: &DirectoryLock) -> u64 {
    if hold.is_empty() {
        return stored.upgrade_number;
    }
    stored.upgrade_number.max(stored.seq).max(lock.seen.commit.unwrap_or_default())
}

/// A lock as two columns.
fn numbers(lock: Option<LockIdentity>) -> (Option<i64>, Option<i64>) {
    // Bits are kept, whatever sign they give.
    (lock.map(|lock| lock.inode.cast_signed()), lock.and_then(|lock| lock.born))
}

/// As SQLite keeps numbers; above its highest, that.
fn as_integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Opens a data file of ours for writing; makes it when it is not there.
pub(in crate::store) fn open_file(path: &Path) -> Result<Connection, SqliteStoreError> {
    // SQLite gives the files beside it the same mode.
    private::make(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        prepare(&connection)?;
        Ok(connection)
    });
    opened.map_err(|source| SqliteStoreError::sqlite(path, source))
}

/// Opens a data file that no host may have closed in good order, to read it. Not for reading alone: what a program
/// that was killed has left half done must be undone first, as every reader would.
pub(in crate::store) fn open_to_recover(path: &Path) -> Result<Connection, SqliteStoreError> {
    open_with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens a data file for reading, beside the host that has opened it.
fn open_to_read(path: &Path) -> Result<Connection, SqliteStoreError> {
    open_with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open_with(path: &Path, access: OpenFlags) -> Result<Connection, SqliteStoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    });
    opened.map_err(|source| SqliteStoreError::sqlite(path, source))
}

/// The log ahead is folded into the data file, also while readers have it open: a copy of the file of a host that has
/// ended is whole, and another file that is put in its place does not get the end of this one on top.
impl Drop for SqliteStore {
    fn drop(&mut self) {
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = folded {
            tracing::debug!("data file `{}`: the log ahead stays: {error}", self.path.display());
        }
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let Err(error) = self.write(commit) else { return Ok(()) };
        // Else the transaction is still open, and a later one would commit it.
        let rolled_back = self.connection.is_autocommit();
        Err(match error {
            WriteError::Before(SqliteStoreError::Deposed { .. }) => StoreError::Deposed,
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
pub(in crate::store) enum WriteError {
    /// The end of the transaction was not reached: SQLite marks the last page of a commit, and wrote none.
    Before(SqliteStoreError),
    /// The end failed.
    Commit { error: SqliteStoreError, known: Known },
}

impl From<WriteError> for SqliteStoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Before(error) | WriteError::Commit { error, .. } => error,
        }
    }
}

impl From<SqliteStoreError> for WriteError {
    fn from(error: SqliteStoreError) -> Self {
        Self::Before(error)
    }
}

/// What the failure of a `COMMIT` says about the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Known {
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

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first page of a new file: what is free can then be given back. Of another file it changes nothing.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "foreign_keys", "ON")
}

#[cfg(test)]
mod tests;
