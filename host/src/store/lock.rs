//! One host per data directory: an advisory lock that the system drops when the process ends, however it ends.
//!
//! The lock file says more than that it is held: which process holds it, the highest generation that has been at
//! work here, and the latest commit. A record that is put in place of another one does not bring them along.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, flock};

use super::{SqliteStoreError, private};

/// Longest lock file that is read.
const BYTES_MAX: u64 = 4096;

/// Name of the lock in its directory.
pub(super) const NAME: &str = "lock";

/// What tells one lock file from another, as long as its file system is mounted or comes back. A copy has others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LockIdentity {
    pub(super) inode: u64,
    /// Nanoseconds since 1970; none where the file system does not say.
    pub(super) born: Option<i64>,
}

impl LockIdentity {
    /// Whether they are the same file. Nobody can choose a time of birth, and some file systems give inodes anew
    /// with each mount: so the one goes before the other.
    pub(super) fn is(self, other: Self) -> bool {
        match (self.born, other.born) {
            (Some(one), Some(other)) => one == other,
            (Some(_) | None, _) => self.inode == other.inode,
        }
    }
}

/// What has been at work in the directory, as far as the lock says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The highest generation.
    pub(super) generation: Option<u64>,
    /// The latest commit that was made.
    pub(super) commit: Option<u64>,
}

/// Whether a note must outlive the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// It is on the disk when this returns.
    Yes,
    /// The end of the process does not lose it.
    No,
}

/// Holds the lock while it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    file: File,
    at: LockPlace,
    pub(super) identity: LockIdentity,
    pub(super) seen: Seen,
}

/// Takes the lock and writes down our process id for the host that comes second.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, SqliteStoreError> {
    let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
    let path = directory.join(NAME);
    let file = private::open(&path)?;
    let text = text(&file).map_err(unusable)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(unusable(error.into()));
        }
        // The id is only for the message; a reader without it still learns the main thing.
        let pid = text.lines().next().map(str::trim).filter(|pid| !pid.is_empty()).unwrap_or("unknown");
        return Err(SqliteStoreError::InUse { path: directory.to_owned(), pid: pid.to_owned() });
    }
    let found = file.metadata().map_err(unusable)?;
    let at = LockPlace { path, place: (found.dev(), found.ino()) };
    let lock = DirectoryLock { file, at, identity: identity(&found), seen: seen(&text) };
    if !lock.at.is_there() {
        return Err(lock.at.gone());
    }
    lock.note(lock.seen, Durable::No)?;
    Ok(lock)
}

/// Which lock a directory has, and what it has seen; none without one. Takes nothing.
pub(super) fn look(directory: &Path) -> Result<Option<(LockIdentity, Seen)>, SqliteStoreError> {
    let path = directory.join(NAME);
    if std::fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    let file = private::read(&path)?;
    let unusable = |source| SqliteStoreError::Unusable { path: path.clone(), source };
    let found = file.metadata().map_err(unusable)?;
    Ok(Some((identity(&found), seen(&text(&file).map_err(unusable)?))))
}

/// Where a lock lies.
#[derive(Debug, Clone)]
pub(super) struct LockPlace {
    path: PathBuf,
    /// Device and inode.
    place: (u64, u64),
}

impl LockPlace {
    /// Whether the path still leads to it: else another host may have taken another one.
    pub(super) fn is_there(&self) -> bool {
        let found = std::fs::symlink_metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.place)
    }

    /// That it is not there any more.
    pub(super) fn gone(&self) -> SqliteStoreError {
        SqliteStoreError::LockGone { path: self.path.clone() }
    }
}

impl DirectoryLock {
    /// Where it lies.
    pub(super) fn place(&self) -> &LockPlace {
        &self.at
    }

    /// Writes down what has been at work here.
    pub(super) fn note(&self, seen: Seen, durable: Durable) -> Result<(), SqliteStoreError> {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let (generation, commit) = (number(seen.generation), number(seen.commit));
        // Always as long: one write replaces all of it, wherever the process is killed.
        let text = format!("{:<10}\ngeneration {generation:>16}\ncommit {commit:>20}\n", std::process::id());
        let written = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| match durable {
            Durable::Yes => self.file.sync_all(),
            Durable::No => Ok(()),
        });
        written.map_err(|source| SqliteStoreError::Unusable { path: self.at.path.clone(), source })
    }
}

fn text(file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What earlier builds wrote is a process id alone.
fn seen(text: &str) -> Seen {
    let number = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value.and_then(|value| value.trim().parse().ok())
    };
    Seen { generation: number("generation "), commit: number("commit ") }
}

fn identity(found: &std::fs::Metadata) -> LockIdentity {
    let born = found.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    LockIdentity { inode: found.ino(), born: born.and_then(|span| i64::try_from(span.as_nanos()).ok()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_has_seen_reads_back_beside_the_process() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME), "4711\n").unwrap();
        let lock = acquire(directory.path()).unwrap();
        assert_eq!(lock.seen, Seen::default(), "an earlier build");
        let noted = Seen { generation: Some(7), commit: Some(u64::MAX) };
        lock.note(noted, Durable::Yes).unwrap();
        let (identity, found) = look(directory.path()).unwrap().unwrap();
        assert!(identity.is(lock.identity) && found == noted);
        drop(lock);
        assert_eq!(acquire(directory.path()).unwrap().seen, noted);
        let text = std::fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(text.lines().next().map(str::trim), Some(std::process::id().to_string().as_str()));
    }

    #[test]
    fn a_lock_that_was_replaced_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let lock = acquire(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join(NAME)).unwrap();
        assert!(!lock.place().is_there());
        std::fs::write(directory.path().join(NAME), "1\n").unwrap();
        assert!(!lock.place().is_there());
    }

    #[test]
    fn a_birth_goes_before_an_inode() {
        let one = LockIdentity { inode: 1, born: Some(5) };
        assert!(one.is(LockIdentity { inode: 2, born: Some(5) }), "mounted anew");
        assert!(!one.is(LockIdentity { inode: 1, born: Some(6) }), "the inode is used again");
        let unborn = LockIdentity { inode: 1, born: None };
        assert!(unborn.is(one) && !unborn.is(LockIdentity { inode: 2, born: None }));
    }
}
