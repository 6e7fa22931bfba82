//! One host per data directory: an advisory lock that the system drops when the process ends,
//! however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::SqliteStoreError;

/// Holds the lock while it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// Takes the lock and writes down our process id for whoever comes second.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(directory.join("lock"))
        .map_err(unusable)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(unusable(error.into()));
        }
        let mut pid = String::new();
        // The id is only for the message; a reader without it still learns the main thing.
        let _ = file.read_to_string(&mut pid);
        let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
        return Err(SqliteStoreError::InUse { path: directory.to_owned(), pid });
    }
    file.set_len(0).map_err(unusable)?;
    file.rewind().map_err(unusable)?;
    writeln!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(DirectoryLock { _file: file })
}
