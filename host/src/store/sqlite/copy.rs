//! A data file as it is at one moment, in another file: whole or not at all. Others may go on writing meanwhile.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
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
    // Of its own: a file of somebody else's may have any fixed name.
    let partial = beside(to, &format!(".partial-{}", std::process::id()));
    // Made before SQLite makes it, which would let everybody read it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    let file = file.map_err(|source| not_copied(&partial, source))?;
    let copied = write(connection, from, (&partial, &file)).and_then(|()| publish(&partial, to, existing));
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
    if ["-wal", "-shm", "-journal"].iter().any(|part| beside(to, part).exists()) {
        return Err(refused("is a data file in use: it has a log beside it"));
    }
    if there.len() == 0 || is_copy(to).map_err(|source| not_copied(to, source))? {
        return Ok(());
    }
    Err(refused("is no copy that this program made"))
}

/// Whether a file is a copy: it begins as a file of SQLite, and carries the mark that a record does not have.
fn is_copy(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(MARK_AT + MARK.len() as u64).read_to_end(&mut head)?;
    Ok(head.starts_with(HEAD) && head.get(MARK_AT as usize..) == Some(&MARK))
}

/// Makes a record out of a copy: nothing takes its place any more.
pub(in crate::store) fn unmark(connection: &Connection) -> rusqlite::Result<()> {
    let seen: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if seen == 0 { Ok(()) } else { connection.pragma_update(None, "application_id", 0) }
}

fn not_copied(path: &Path, source: io::Error) -> SqliteStoreError {
    SqliteStoreError::NotCopied { path: path.to_owned(), source }
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

/// The application id of a copy, and where SQLite keeps it (<https://www.sqlite.org/fileformat.html>, 1.3). Without it a
/// copy looks like the record of another host, or the database of another program.
const MARK: [u8; 4] = *b"PGcp";
const MARK_AT: u64 = 68;

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

fn write(
    connection: &Connection,
    from: &Path,
    (partial, file): (&Path, &File),
) -> Result<(), SqliteStoreError> {
    let not_copied = |source| not_copied(partial, source);
    let target = partial.to_string_lossy();
    connection.execute("VACUUM INTO ?1", [target.as_ref()]).map_err(|source| {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::CannotOpen) => {
                not_copied(io::Error::other(source))
            }
            Some(_) | None => SqliteStoreError::sqlite(from, source),
        }
    })?;
    file.write_all_at(&MARK, MARK_AT).and_then(|()| file.sync_all()).map_err(not_copied)
}

/// Gives a whole copy its name.
fn publish(partial: &Path, to: &Path, existing: Existing) -> Result<(), SqliteStoreError> {
    let not_copied = |source| not_copied(to, source);
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
