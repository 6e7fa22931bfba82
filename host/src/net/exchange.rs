//! One HTTP/1.1 request and its whole response on a connection that the caller has opened.
//!
//! Deliberately does without redirects, and keeps no connection. The caller limits the time. The reader is our own
//! (over `httparse`): what real servers send and browsers read, a client library refuses, and an answer that
//! is not read is an instance that is not healthy.

mod blame;
mod chunks;
mod coding;
mod error;
mod head;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use coding::{Coding, decode_if_so};
pub(crate) use error::{ExchangeError, ResponseError};
pub(crate) use response::{Keep, Reader, Reading, Rules};

/// Largest accepted header block in bytes, interim answers included.
pub(crate) const HEAD_MAX: usize = 1024 * 1024;

/// How much is read at once at least.
const READ_AT_ONCE: usize = 4 * 1024;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 100 to 599.
    pub(crate) status: u16,
    /// Those that were to be kept, as they came.
    pub(crate) headers: HeaderMap,
    /// At most as long as asked for; decoded.
    pub(crate) body: Vec<u8>,
    /// Whether another request may follow on the same connection.
    pub(crate) keeps: bool,
}

/// Sends the request and reads the response; a body longer than `body_max` bytes is not read on.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Bytes>,
    body_max: usize,
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    exchange_watched(stream, request, body_max, &mut |_| ()).await
}

/// The same; `on_bytes` is told how much of the body there is, each time that there is more.
pub(crate) async fn exchange_watched<S>(
    mut stream: S,
    request: Request<Bytes>,
    body_max: usize,
    on_bytes: &mut (dyn FnMut(usize) + Send),
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reading = Reading { rules: Rules::Readable, body_max, keep: Keep::All };
    let (head, body) = (request::head(&request), request.into_body());
    talk(&mut stream, &[&head, &body], reading, on_bytes).await
}

/// Sends bytes that are a request and reads the response.
pub(crate) async fn ask<S>(
    stream: &mut S,
    request: &[u8],
    reading: Reading<'_>,
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    talk(stream, &[request], reading, &mut |_| ()).await
}

/// Undoes what `Content-Encoding` names, where the body bears it out.
pub(crate) fn decoded(
    headers: &HeaderMap,
    mut body: Vec<u8>,
    body_max: usize,
) -> Result<Vec<u8>, ResponseError> {
    let named: Vec<&str> =
        headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    for name in named.iter().flat_map(|value| value.split(',')).rev() {
        if let Some(coding) = Coding::of(name.trim()) {
            body = decode_if_so(&coding, body, body_max)?;
        }
    }
    Ok(body)
}

/// Writes and reads side by side: an answer may be there before the request was written.
async fn talk<S>(
    stream: &mut S,
    request: &[&[u8]],
    reading: Reading<'_>,
    on_bytes: &mut (dyn FnMut(usize) + Send),
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from, mut to) = tokio::io::split(stream);
    let mut write = pin!(async {
        for part in request {
            to.write_all(part).await?;
        }
        to.flush().await
    });
    let mut read = pin!(read(&mut from, reading, on_bytes));
    let unsent = tokio::select! {
        biased;
        sent = &mut write => sent.err(),
        answer = &mut read => return answer,
    };
    let answer = read.await;
    match (answer, unsent) {
        // It was closed at once: why, the write knows better.
        (Err(ExchangeError::Response(ResponseError::Nothing)), Some(error)) => Err(ExchangeError::Io(error)),
        (answer, _) => answer,
    }
}

async fn read(
    from: &mut (impl AsyncRead + Unpin),
    reading: Reading<'_>,
    on_bytes: &mut (dyn FnMut(usize) + Send),
) -> Result<Answer, ExchangeError> {
    let mut reader = Reader::new();
    loop {
        let buffer = reader.buffer();
        buffer.reserve(READ_AT_ONCE);
        match from.read_buf(buffer).await {
            Ok(0) => return Ok(reader.closed(reading)?),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ExchangeError::Io(error)),
        }
        let is_whole = reader.take(reading)?;
        on_bytes(reader.body_len());
        if is_whole {
            return Ok(reader.whole(reading)?);
        }
    }
}
