//! The data directory and all that is in it belong to the user that the host runs as, and to no other.
//!
//! What another user could have put there is refused: a key, a lock or a data file of theirs, or a link to one.
//! What is ours and was open to others is closed, and that is said. Directories above are none of our business.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::SqliteStoreError;

/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// Makes the directory, or sees that it is ours, and closes whatever in it is open to others.
pub(super) fn claim(directory: &Path) -> Result<(), SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
    is_ours(directory, &fs::metadata(directory).map_err(unusable)?)?;
    for part in ["compiled", "compiled/key"].map(|name| directory.join(name)) {
        if let Ok(found) = fs::symlink_metadata(&part) {
            is_ours(&part, &found)?;
        }
    }
    let closed = close(directory).map_err(unusable)?;
    if closed > 0 {
        tracing::warn!(
            "data directory `{}` was open to other users: {closed} folders and files in it are private now",
            directory.display()
        );
    }
    Ok(())
}

/// Sees that a directory is there and ours; changes nothing.
pub(super) fn look(directory: &Path) -> Result<(), SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
    is_ours(directory, &fs::metadata(directory).map_err(unusable)?)
}

/// Opens a file of ours for reading and writing; makes it when it is not there.
pub(super) fn open(path: &Path) -> Result<File, SqliteStoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    checked(path, &options)
}

/// Sees that a file is there and ours; makes it when it is not there. One that is there is not opened: whoever closes
/// a file gives up all locks that its process holds on it (POSIX), those of SQLite too, and the next program that
/// only looks into a data file then takes its log ahead away.
pub(super) fn make(path: &Path) -> Result<(), SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            return checked(path, &options).map(drop);
        }
        Err(source) => return Err(unusable(source)),
    };
    is_ours(path, &found)?;
    if !found.is_file() {
        return Err(unusable(io::Error::other("it is no regular file")));
    }
    Ok(())
}

/// Opens a file of ours for reading.
pub(super) fn read(path: &Path) -> Result<File, SqliteStoreError> {
    checked(path, OpenOptions::new().read(true))
}

fn checked(path: &Path, options: &OpenOptions) -> Result<File, SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: path.to_owned(), source };
    // Not waiting, so that a pipe in its place holds nothing up.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = options.clone().custom_flags(i32::try_from(flags).unwrap_or_default()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(_) if is_link(path) => return Err(SqliteStoreError::Link { path: path.to_owned() }),
        Err(source) => return Err(unusable(source)),
    };
    let found = file.metadata().map_err(unusable)?;
    is_ours(path, &found)?;
    if !found.is_file() {
        return Err(unusable(io::Error::other("it is no regular file")));
    }
    Ok(file)
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

fn is_ours(path: &Path, found: &Metadata) -> Result<(), SqliteStoreError> {
    let us = rustix::process::geteuid().as_raw();
    if found.is_symlink() {
        return Err(SqliteStoreError::Link { path: path.to_owned() });
    }
    match found.uid() == us {
        true => Ok(()),
        false => Err(SqliteStoreError::Foreign { path: path.to_owned(), owner: found.uid(), us }),
    }
}

/// Closes a directory and all that is in it; says how many were open. What is not ours cannot be closed, and is
/// behind a closed door from now on.
fn close(directory: &Path) -> io::Result<u64> {
    let mut closed = close_one(directory, &fs::metadata(directory)?)?;
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            // Of a link this is the link.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            }
            if found.is_dir() || found.is_file() {
                closed += close_one(&entry.path(), &found).unwrap_or_default();
            }
        }
    }
    Ok(closed)
}

fn close_one(path: &Path, found: &Metadata) -> io::Result<u64> {
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(0);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    Ok(1)
}
