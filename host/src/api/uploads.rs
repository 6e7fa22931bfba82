//! Uploaded components on their way in: they go to disk as they come, few at a time.
//!
//! The file has no name: it was removed as soon as it was open, so that nothing is left of it, however the host
//! ends. What has arrived whole is read back for the plugins' hands, and is then what was hashed on the way.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// Uploads at once.
const UPLOADS_MAX: usize = 2;

/// Largest uploaded component in bytes; the loader has the same limit.
const COMPONENT_MAX: usize = 64 * 1024 * 1024;

/// How long a component may take to arrive: 64 MiB over a slow line.
const ARRIVES_WITHIN: Duration = Duration::from_secs(300);

/// How long nothing may arrive of it.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// When another upload may be tried.
const AGAIN_IN: Duration = Duration::from_secs(5);

/// Bytes that are kept in memory before they are written.
const BLOCK: usize = 256 * 1024;

/// Where uploads go.
#[derive(Debug)]
pub struct Uploads {
    folder: PathBuf,
    slots: Arc<Semaphore>,
    next: AtomicU64,
}

/// A component that has arrived; its slot is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub(super) bytes: Bytes,
    _slot: Option<OwnedSemaphorePermit>,
}

/// What has been written so far.
struct Writing {
    file: File,
    hash: Sha256,
    len: usize,
}

impl Uploads {
    /// In this folder, which is made when the first one comes.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, slots: Arc::new(Semaphore::new(UPLOADS_MAX)), next: AtomicU64::new(0) }
    }

    /// Takes in a body. An empty one takes no slot.
    pub(super) async fn take(&self, mut body: Body) -> Result<Uploaded, Refusal> {
        let announced = body.size_hint().lower();
        if body.is_end_stream() {
            return Ok(Uploaded { bytes: Bytes::new(), _slot: None });
        }
        if announced > COMPONENT_MAX as u64 {
            let message = format!("the component has {announced} bytes (limit {COMPONENT_MAX})");
            return Err(Refusal::too_large(message));
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let message =
                format!("{UPLOADS_MAX} components are being uploaded already; try again in a moment");
            Refusal::unavailable(message).again_in(AGAIN_IN)
        })?;
        let arriving = tokio::time::timeout(ARRIVES_WITHIN, self.arrive(&mut body)).await;
        let writing = arriving.map_err(|_| too_slow(ARRIVES_WITHIN))??;
        let bytes = blocking(move || writing.finish()).await?;
        Ok(Uploaded { bytes, _slot: Some(slot) })
    }

    async fn arrive(&self, body: &mut Body) -> Result<Writing, Refusal> {
        let path = self.folder.join(format!("{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let folder = self.folder.clone();
        let mut writing = blocking(move || Writing::begin(&folder, &path)).await?;
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
            let Some(frame) = frame.map_err(|_| too_slow(SILENCE_MAX))? else { break };
            let frame =
                frame.map_err(|error| Refusal::invalid(format!("the component broke off: {error}")))?;
            // What is no data is a trailer, which nothing asks for.
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > COMPONENT_MAX.saturating_sub(writing.len + block.len()) {
                return Err(Refusal::too_large(format!(
                    "the component is too large (limit {COMPONENT_MAX} bytes)"
                )));
            }
            block.extend_from_slice(&data);
            if block.len() >= BLOCK {
                (writing, block) = blocking(move || writing.write(block)).await?;
            }
        }
        Ok(blocking(move || writing.write(block)).await?.0)
    }
}

impl Writing {
    fn begin(folder: &std::path::Path, path: &std::path::Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        fs::remove_file(path)?;
        Ok(Self { file, hash: Sha256::new(), len: 0 })
    }

    fn write(mut self, mut block: Vec<u8>) -> io::Result<(Self, Vec<u8>)> {
        self.file.write_all(&block)?;
        self.hash.update(&block);
        self.len += block.len();
        block.clear();
        Ok((self, block))
    }

    /// Reads it back.
    fn finish(mut self) -> io::Result<Bytes> {
        self.file.rewind()?;
        let mut bytes = Vec::with_capacity(self.len);
        self.file.read_to_end(&mut bytes)?;
        if Sha256::digest(&bytes) != self.hash.finalize() {
            return Err(io::Error::other("what is read is not what was written"));
        }
        Ok(bytes.into())
    }
}

fn too_slow(limit: Duration) -> Refusal {
    Refusal::too_slow(format!("the component did not arrive within {} s", limit.as_secs()))
}

/// Works with the disk away from the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|error| {
        Refusal::unavailable(format!("the component cannot be kept in the data directory: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn uploads_leave_nothing_and_are_few() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().join("uploads"));
        let large: Vec<u8> = (0..3 * BLOCK + 7).map(|at| at.to_le_bytes()[0]).collect();
        let first = uploads.take(Body::from(large.clone())).await.unwrap();
        assert_eq!(first.bytes, large);
        assert_eq!(fs::read_dir(folder.path().join("uploads")).unwrap().count(), 0);
        let second = uploads.take(Body::from("b")).await.unwrap();
        let third = uploads.take(Body::from("c")).await.unwrap_err();
        assert!(third.message.contains("2 components are being uploaded already"), "{third:?}");
        assert!(uploads.take(Body::empty()).await.unwrap().bytes.is_empty(), "nothing takes no slot");
        drop(first);
        assert_eq!(uploads.take(Body::from("c")).await.unwrap().bytes, "c");
        drop(second);
    }

    #[tokio::test]
    async fn what_is_too_large_or_cannot_be_kept_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path().to_owned());
        let large = uploads.take(Body::from(vec![0; COMPONENT_MAX + 1])).await.unwrap_err();
        assert!(large.message.contains("limit 67108864"), "{large:?}");
        fs::write(folder.path().join("file"), "").unwrap();
        let nowhere = Uploads::new(folder.path().join("file"));
        let refused = nowhere.take(Body::from("x")).await.unwrap_err();
        assert!(refused.message.starts_with("the component cannot be kept"), "{refused:?}");
    }
}
