//! What a host before this one has left to its guards.
//!
//! A guard holds a lock on a file beside the record for as long as it lives, so that the next host does not work on an
//! instance beside a program that is being ended. Ends nothing itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Longest wait: what a guard cannot end in that time hangs in the kernel, or may take its time by its configuration.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// After how long it is said that somebody is waited for.
const SAID_AFTER: Duration = Duration::from_millis(500);

/// Holds the file until the answer is dropped: a guard lives.
pub(super) fn hold(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    flock(&file, FlockOperation::LockShared)?;
    Ok(file)
}

/// Ends when no guard of a former host lives. One that cannot be waited for is not.
pub async fn gone(path: &Path) {
    let began = tokio::time::Instant::now();
    let mut said = false;
    loop {
        match open(path).and_then(|file| is_free(&file)) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                return tracing::warn!(file = %path.display(), %error, "nobody knows what a former host has left");
            }
        }
        let waited = began.elapsed();
        if waited > WAIT_MAX {
            return tracing::warn!(
                "programs of the host that was killed still run, and are waited for no longer"
            );
        }
        if waited > SAID_AFTER && !said {
            said = true;
            tracing::info!("waiting until what the host that was killed has left running has ended");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Whether nobody holds it; it is let go again at once.
fn is_free(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_waits_for_the_guards_of_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("guards");
        gone(&path).await;
        let (one, other) = (hold(&path).unwrap(), hold(&path).unwrap());
        let mut waits = std::pin::pin!(gone(&path));
        drop(one);
        assert!(tokio::time::timeout(LOOK * 3, &mut waits).await.is_err(), "the other one lives");
        drop(other);
        waits.await;
    }
}
