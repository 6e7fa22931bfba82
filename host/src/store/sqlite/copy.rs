//! A data file as it is at one moment, in another file: whole or not at all. Others may go on writing meanwhile.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::SqliteStoreError;

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
    if existing == Existing::Keep && fs::symlink_metadata(to).is_ok() {
        return Err(SqliteStoreError::Exists { path: to.to_owned() });
    }
    let partial = beside(to, ".partial");
    let copied = write(connection, from, &partial).and_then(|()| publish(&partial, to, existing));
    if copied.is_err() {
        // What was left of it is of no use; the word of the failure is.
        let _ = fs::remove_file(&partial);
    }
    copied
}

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
