//! What a person does with a record while no host turns: checks it, copies it, brings a copy back, adopts it.
//!
//! Every copy is whole or not there, wherever the program is killed. Decides nothing: a record that was brought
//! back holds the next host until a person says that it is the right one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use phasegate_core::domain::{By, Digest, PluginName, ScaleSetName, WallTime};
use phasegate_core::record::audit::{Entry, HoldState, What};
use phasegate_core::record::{Commit, Doubt, Hold, Opened, Stored, Write};

use super::sqlite::copy::{self, beside, sync_folder_of};
use super::sqlite::{NAME, Reader, SqliteStore, open_file, open_to_recover, schema};
use super::{SqliteStoreError, lock, private};

pub use copy::Existing;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The data file.
    pub path: PathBuf,
    /// Its schema.
    pub schema: i64,
    /// The least version of phasegate that may read it, and why, where it says so.
    pub reader: Option<(String, String)>,
    /// The latest generation that has written it.
    pub generation: u64,
    /// Commits so far.
    pub commits: u64,
    /// Rows that were read one by one.
    pub rows: u64,
    /// Whether it was written where it lies; none where it does not say.
    pub here: Option<bool>,
    /// What speaks against it, as it says itself.
    pub hold: Option<Hold>,
    /// How many parts do not read back.
    pub damaged: usize,
    /// The first of them.
    pub problems: Vec<String>,
}

/// What a restore has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The data file.
    pub path: PathBuf,
    /// Where the former one is; none when there was none.
    pub aside: Option<PathBuf>,
}

/// Reads everything in a data directory's file, also while a host writes it.
///
/// # Errors
/// When there is none, it is not ours, or this program cannot read it at all.
pub fn check(directory: &Path) -> Result<Checked, SqliteStoreError> {
    let path = there(directory)?;
    let connection = open_to_recover(&path)?;
    let schema = schema::known(&connection, &path)?.unwrap_or_default();
    let reader = Reader { connection: &connection, path: &path };
    let every = reader.every()?;
    // Of a damaged one as much as can be read.
    let origin = reader.origin().unwrap_or_default();
    let commits = reader.stored().map(|stored| stored.seq).unwrap_or_default();
    let beside = lock::look(directory)?.map(|(identity, _)| identity);
    let here = origin.lock.and_then(|written| Some(written.is(beside?)));
    Ok(Checked {
        reader: schema::reader(&connection),
        path,
        schema,
        generation: origin.generation,
        commits,
        rows: every.rows,
        here,
        hold: origin.hold,
        damaged: every.damaged,
        problems: every.named,
    })
}

/// The component that decided last for each plugin, as the record of a data directory has it, also while a host writes it.
///
/// # Errors
/// As [`check`], and when that part is damaged.
pub fn active_components(directory: &Path) -> Result<BTreeMap<PluginName, Digest>, SqliteStoreError> {
    let path = there(directory)?;
    let connection = open_to_recover(&path)?;
    schema::known(&connection, &path)?;
    let stored = Reader { connection: &connection, path: &path }.plugins()?;
    Ok(stored.into_iter().map(|(name, plugin)| (name, plugin.digest)).collect())
}

/// Copies the record of a data directory as it is at this moment, also while a host writes it.
///
/// # Errors
/// When it cannot be read, or the copy not be written; then there is no copy.
pub fn backup(directory: &Path, to: &Path, existing: Existing) -> Result<(), SqliteStoreError> {
    let path = there(directory)?;
    let connection = open_to_recover(&path)?;
    schema::known(&connection, &path)?;
    copy::copy(&connection, &path, to, existing)
}

/// Puts a copy in the place of the record of a data directory, and the former one aside. The next host holds until
/// a person adopts it.
///
/// # Errors
/// When a host works there, or the copy is damaged or newer than this program; then nothing was changed.
pub fn restore(directory: &Path, from: &Path) -> Result<Restored, SqliteStoreError> {
    if !from.is_file() {
        return Err(SqliteStoreError::NoRecord { path: from.to_owned() });
    }
    private::claim(directory)?;
    let _lock = lock::acquire(directory)?;
    let path = directory.join(NAME);
    let coming = beside(&path, ".restoring");
    let prepared = prepare(from, &coming).and_then(|()| {
        let aside = put_aside(&path)?;
        let not_copied = |source| SqliteStoreError::NotCopied { path: path.clone(), source };
        fs::rename(&coming, &path).and_then(|()| sync_folder_of(&path)).map_err(not_copied)?;
        Ok(Restored { path: path.clone(), aside })
    });
    if prepared.is_err() {
        remove_all(&coming).unwrap_or_default();
    }
    prepared
}

/// Lets the next host go on with the record of a data directory, whatever speaks against it. Gives what did.
///
/// # Errors
/// When a host works there, nothing speaks against it, or it cannot be written.
pub fn adopt(directory: &Path, by: &By, now: WallTime) -> Result<Hold, SqliteStoreError> {
    let path = there(directory)?;
    let Opened { mut store, stored } = SqliteStore::open(directory)?;
    let Some(hold) = stored.hold.clone() else { return Err(SqliteStoreError::NotHolding { path }) };
    let mut writes = vec![Write::Hold(None)];
    for (seq, scale_set) in (stored.audit_seq + 1..).zip(sets(&stored)) {
        let what = What::Record { state: HoldState::Adopted { was: hold.to_string() } };
        let (upgrade, instance, stamp, by) = (None, None, None, by.clone());
        let entry = Entry { seq, at: now, scale_set, upgrade, instance, by, stamp, what };
        writes.push(Write::Audit(Box::new(entry)));
    }
    let anchor = stored.anchor.clone().unwrap_or_default();
    store.write(&Commit { version: Commit::VERSION, seq: stored.seq + 1, anchor, writes })?;
    Ok(hold)
}

/// Every scale set that a record knows of.
fn sets(stored: &Stored) -> Vec<ScaleSetName> {
    let models = stored.models.keys().map(|(set, _)| set);
    let versions = stored.versions.keys().map(|(set, _, _)| set);
    let all = models.chain(versions).chain(stored.upgrades.keys());
    all.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// The data file of a directory of ours.
fn there(directory: &Path) -> Result<PathBuf, SqliteStoreError> {
    let path = directory.join(NAME);
    if fs::symlink_metadata(&path).is_err() {
        return Err(SqliteStoreError::NoRecord { path });
    }
    private::look(directory)?;
    drop(private::read(&path)?);
    Ok(path)
}

/// A copy in the directory, checked, brought up and marked: all but its name.
fn prepare(from: &Path, coming: &Path) -> Result<(), SqliteStoreError> {
    let not_copied = |source| SqliteStoreError::NotCopied { path: coming.to_owned(), source };
    remove_all(coming).map_err(not_copied)?;
    for part in ["", "-wal"] {
        // A copy that was made by hand may have its latest commits beside it.
        let (from, to) = (beside(from, part), beside(coming, part));
        if from.is_file() {
            copy_bytes(&from, &to).map_err(not_copied)?;
        }
    }
    let damaged = |parts, first: &str| SqliteStoreError::BadCopy {
        path: from.to_owned(),
        parts,
        first: first.to_owned(),
    };
    let mut connection = open_file(coming).map_err(|error| about(error, from))?;
    let Some(_) = schema::known(&connection, from)? else { return Err(damaged(1, "it is empty")) };
    let every = Reader { connection: &connection, path: from }.every()?;
    if let Some(first) = every.named.first() {
        return Err(damaged(every.damaged, first));
    }
    schema::bring_up_copy(&mut connection, coming)?;
    let reader = Reader { connection: &connection, path: coming };
    let mut hold = reader.origin()?.hold.unwrap_or_default();
    hold.add(Doubt::Restored);
    let json = reader.json("what speaks against it", &hold)?;
    let sqlite = |source| SqliteStoreError::sqlite(coming, source);
    connection.execute("UPDATE host SET hold = ?1", [json]).map_err(sqlite)?;
    copy::unmark(&connection).map_err(sqlite)?;
    into_one_file(connection, coming)?;
    fs::File::open(coming).and_then(|file| file.sync_all()).map_err(not_copied)
}

/// What is said of the copy in the directory is about the file that it was made of.
fn about(error: SqliteStoreError, from: &Path) -> SqliteStoreError {
    match error {
        SqliteStoreError::NotWhole { source, .. } => {
            SqliteStoreError::BadCopy { path: from.to_owned(), parts: 1, first: source.to_string() }
        }
        other => other,
    }
}

/// Gives the record that is there a second name, and makes it one file: what is beside it would be taken for a part
/// of the one that takes its place.
fn put_aside(path: &Path) -> Result<Option<PathBuf>, SqliteStoreError> {
    if fs::symlink_metadata(path).is_err() {
        remove_all_beside(path).unwrap_or_default();
        return Ok(None);
    }
    let mut asides = (0..).map(|number| match number {
        0 => beside(path, ".before-restore"),
        more => beside(path, &format!(".before-restore-{more}")),
    });
    let free = asides.find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = free.unwrap_or_else(|| beside(path, ".before-restore"));
    let not_copied = |source| SqliteStoreError::NotCopied { path: aside.clone(), source };
    let whole = open_file(path).and_then(|connection| into_one_file(connection, path));
    if let Err(error) = whole {
        // It is damaged, and kept as it is with all that belongs to it.
        tracing::warn!("the record that is put aside is not whole: {error}");
        let wal = beside(path, "-wal");
        if wal.exists() {
            fs::rename(&wal, beside(&aside, "-wal")).map_err(not_copied)?;
        }
    }
    match fs::hard_link(path, &aside) {
        Ok(()) => {}
        // Some file systems have no second names.
        Err(_) => copy_bytes(path, &aside).map_err(not_copied)?,
    }
    remove_all_beside(path).map_err(not_copied)?;
    sync_folder_of(path).map_err(not_copied)?;
    Ok(Some(aside))
}

/// Takes the write-ahead log into the file, and closes it.
fn into_one_file(connection: Connection, path: &Path) -> Result<(), SqliteStoreError> {
    let sqlite = |source| SqliteStoreError::sqlite(path, source);
    connection.pragma_update(None, "journal_mode", "DELETE").map_err(sqlite)?;
    connection.close().map_err(|(_, source)| sqlite(source))
}

fn copy_bytes(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

/// Removes a data file and what SQLite keeps beside it.
fn remove_all(path: &Path) -> io::Result<()> {
    remove(path)?;
    remove_all_beside(path)
}

fn remove_all_beside(path: &Path) -> io::Result<()> {
    ["-wal", "-shm", "-journal"].iter().try_for_each(|part| remove(&beside(path, part)))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
