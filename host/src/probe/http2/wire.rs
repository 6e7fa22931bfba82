//! A connection whose bytes are counted, and which remembers how it failed: the library of the frames keeps
//! neither.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How an answer of HTTP/1 begins.
const HTTP1: &[u8] = b"HTTP/1.";

/// What was seen on a connection.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The first bytes, as many as tell HTTP/1 from frames.
    first: Vec<u8>,
    /// Bytes that may still come.
    left: usize,
    /// How many there might have been.
    pub(super) limit: usize,
    /// More came than may.
    pub(super) is_spent: bool,
    /// How it failed.
    pub(super) failed: Option<io::Error>,
}

impl Seen {
    /// Whether the peer answered in HTTP/1.
    pub(super) fn is_http1(&self) -> bool {
        self.first == HTTP1
    }

    fn take(&mut self, bytes: &[u8]) {
        let missing = HTTP1.len().saturating_sub(self.first.len());
        self.first.extend(bytes.iter().take(missing));
        self.is_spent |= bytes.len() > self.left;
        self.left = self.left.saturating_sub(bytes.len());
    }
}

/// What was seen, for two.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Seen>>);

impl Shared {
    pub(super) fn look(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the failure, and gives one of the same kind.
    fn failed(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.look().failed.get_or_insert(error);
        kind.into()
    }
}

/// The connection.
pub(super) struct Wire<S> {
    stream: S,
    seen: Shared,
}

impl<S> Wire<S> {
    /// At most so many bytes may come.
    pub(super) fn new(stream: S, limit: usize) -> (Self, Shared) {
        let seen = Shared(Arc::new(Mutex::new(Seen { left: limit, limit, ..Seen::default() })));
        (Self { stream, seen: seen.clone() }, seen)
    }

    fn told<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        polled.map(|result| result.map_err(|error| self.seen.failed(error)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.look().is_spent {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.seen.look().take(buffer.filled().get(before..).unwrap_or_default());
        self.told(polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.told(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.told(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
