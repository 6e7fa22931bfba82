//! A data file as it is at one moment, in another file: whole or not at all. Others may go on writing meanwhile.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::SqliteStoreError;
use crate::store::lock;

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is copied.
    Keep,
    /// The copy takes its place, once it is whole.
    Replace,
}

/// Copies what a connection to the data file `from` sees.
pub(in crate::store) fn copy(
    connection: &Connection,
    from: &Path,
    to: &Path,
    existing: Existing,
) -> Result<(), SqliteStoreError> {
    match (fs::symlink_metadata(to), existing) {
        (Err(_), _) if is_own_name(from, to) => {
            let why = "is a name of the record that is copied";
            return Err(SqliteStoreError::NotReplaced { path: to.to_owned(), why });
        }
        (Err(_), _) => {}
        (Ok(_), Existing::Keep) => return Err(SqliteStoreError::Exists { path: to.to_owned() }),
        (Ok(there), Existing::Replace) => may_replace(&there, from, to)?,
    }
    let partial = beside(to, ".partial");
    let copied = write(connection, from, &partial).and_then(|()| publish(&partial, to, existing));
    if copied.is_err() {
        // What was left of it is of no use; the word of the failure is.
        let _ = fs::remove_file(&partial);
    }
    copied
}

/// What a copy may take the place of: a copy from before, or an empty file. Never a part of the record itself, a link, a
/// pipe or a device, or what is something else.
fn may_replace(there: &fs::Metadata, from: &Path, to: &Path) -> Result<(), SqliteStoreError> {
    let refused = |why| SqliteStoreError::NotReplaced { path: to.to_owned(), why };
    if !there.is_file() {
        return Err(refused("is no regular file"));
    }
    let own = own_files(from);
    let is_it = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
    };
    if own.iter().any(is_it) {
        return Err(refused("belongs to the record that is copied"));
    }
    let mut head = Vec::new();
    let read = File::open(to).and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    read.map_err(|source| SqliteStoreError::NotCopied { path: to.to_owned(), source })?;
    if head.is_empty() || head == HEAD { Ok(()) } else { Err(refused("is no copy of a record")) }
}

/// The files of which a record consists, whether they are there or not.
fn own_files(record: &Path) -> [PathBuf; 5] {
    let parts = ["-wal", "-shm", "-journal"].map(|part| beside(record, part));
    let [log, index, journal] = parts;
    [record.to_owned(), log, index, journal, record.with_file_name(lock::NAME)]
}

/// Whether SQLite would take what comes to be there for a part of the record.
fn is_own_name(record: &Path, to: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or_else(|| Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let to = place(to);
    to.is_some() && own_files(record).iter().any(|own| place(own) == to)
}

/// With what a file of SQLite begins.
const HEAD: &[u8] = b"SQLite format 3\0";

/// A path with something added to its name.
pub(in crate::store) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the entries of a folder durable.
pub(in crate::store) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn write(connection: &Connection, from: &Path, partial: &Path) -> Result<(), SqliteStoreError> {
    let not_copied = |source| SqliteStoreError::NotCopied { path: partial.to_owned(), source };
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(not_copied(error)),
        Ok(()) | Err(_) => {}
    }
    // Made before SQLite makes it, which would let everybody read it.
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial).map_err(not_copied)?;
    let target = partial.to_string_lossy();
    connection.execute("VACUUM INTO ?1", [target.as_ref()]).map_err(|source| {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::CannotOpen) => {
                not_copied(io::Error::other(source))
            }
            Some(_) | None => SqliteStoreError::sqlite(from, source),
        }
    })?;
    file.sync_all().map_err(not_copied)
}

/// Gives a whole copy its name.
fn publish(partial: &Path, to: &Path, existing: Existing) -> Result<(), SqliteStoreError> {
    let not_copied = |source| SqliteStoreError::NotCopied { path: to.to_owned(), source };
    match existing {
        Existing::Replace => fs::rename(partial, to).map_err(not_copied)?,
        Existing::Keep => match fs::hard_link(partial, to) {
            Ok(()) => fs::remove_file(partial).map_err(not_copied)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(SqliteStoreError::Exists { path: to.to_owned() });
            }
            // Some file systems have no second names.
            Err(_) => fs::rename(partial, to).map_err(not_copied)?,
        },
    }
    sync_folder_of(to).map_err(not_copied)
}
