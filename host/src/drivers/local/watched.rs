//! The end of a process that is no child of this host: noticed by a descriptor of it, told by its keeper.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::unix::AsyncFd;

use super::kept::Kept;

/// How long the keeper may take to write down how the process ended.
const KEEPER_WRITES_WITHIN: Duration = Duration::from_secs(1);

/// Between two looks at what it has written.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Such a process.
#[derive(Debug)]
pub(super) struct Watched {
    kept: Kept,
    record: PathBuf,
    /// Readable when it has ended; none when it had ended before.
    descriptor: Option<AsyncFd<OwnedFd>>,
    ended: bool,
}

impl Watched {
    /// # Errors
    /// When the system gives no descriptor.
    pub(super) fn new(kept: &Kept, record: &Path) -> io::Result<Self> {
        let descriptor = descriptor_of(kept.pid)?;
        // Another one may have got the number before there was a descriptor.
        let descriptor = descriptor.filter(|_| kept.is_alive());
        let descriptor = descriptor.map(followed).transpose()?;
        let ended = descriptor.is_none();
        Ok(Self { kept: kept.clone(), record: record.to_owned(), descriptor, ended })
    }

    /// Ends when the process does. Can be dropped and called again.
    ///
    /// # Errors
    /// When nobody saw how it ended.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        if !self.ended {
            if let Some(descriptor) = &self.descriptor {
                let _ready = descriptor.readable().await?;
            }
            self.ended = true;
        }
        let told = tokio::time::timeout(KEEPER_WRITES_WITHIN, self.told()).await;
        told.unwrap_or_else(|_| Err(io::Error::other("its keeper was ended, and nobody saw how it ended")))
    }

    async fn told(&self) -> io::Result<ExitStatus> {
        loop {
            let found = Kept::read(&self.record)?;
            match found.exit().filter(|_| found.pid == self.kept.pid) {
                Some(status) => return Ok(status),
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Whether it was seen to have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing of it is left.
    pub(super) fn forget(&self) {
        if let Err(error) = std::fs::remove_file(&self.record)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.record.display(), %error, "could not be removed");
        }
    }
}

#[expect(unsafe_code, reason = "what is followed must stay open, and it is owned by what follows it")]
fn followed(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor is closed by its owner alone, which drops it after its registration.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// A descriptor of a process; none when it has ended.
#[cfg(target_os = "linux")]
fn descriptor_of(pid: i32) -> io::Result<Option<OwnedFd>> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn descriptor_of(_: i32) -> io::Result<Option<OwnedFd>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux tells of processes that are no children"))
}
