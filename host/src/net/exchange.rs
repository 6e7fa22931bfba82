//! One HTTP/1.1 request and its whole response on a connection that somebody else has opened.
//!
//! Deliberately does without redirects, compression and kept connections. The caller limits the
//! time.

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest accepted header block in bytes; also the read buffer's limit.
pub(crate) const HEADER_BLOCK_MAX: usize = 64 * 1024;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Up to 599.
    pub(crate) status: u16,
    /// As they came; at most 100.
    pub(crate) headers: HeaderMap,
    /// At most as long as asked for.
    pub(crate) body: Vec<u8>,
}

/// Why there is no whole response.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The request could not be sent, or no valid head came back.
    Head(hyper::Error),
    /// The status means nothing.
    Status(u16),
    /// The body broke off.
    Body(hyper::Error),
    /// The body is longer than this many bytes.
    BodyTooLarge(u64),
}

/// Sends the request and reads the response; a body longer than `body_max` bytes is not read on.
pub(crate) async fn exchange<S, B>(
    stream: S,
    request: Request<B>,
    body_max: usize,
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    exchange_watched(stream, request, body_max, &mut |_| ()).await
}

/// The same; `on_bytes` is told how much of the body there is, each time that there is more.
pub(crate) async fn exchange_watched<S, B>(
    stream: S,
    request: Request<B>,
    body_max: usize,
    on_bytes: &mut (dyn FnMut(usize) + Send),
) -> Result<Answer, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = http1::Builder::new();
    // Title case: small servers have been seen that look for `Host` to the letter.
    builder.max_header_size(HEADER_BLOCK_MAX).max_buf_size(HEADER_BLOCK_MAX).title_case_headers(true);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(ExchangeError::Head)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(ExchangeError::Head)?;
        let status = response.status().as_u16();
        if status > 599 {
            return Err(ExchangeError::Status(status));
        }
        let (head, body) = response.into_parts();
        Ok(Answer { status, headers: head.headers, body: read_body(body, body_max, on_bytes).await? })
    };
    // The connection moves the bytes. Its own end is no result: the answer is told of it.
    let carry = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = carry => never,
    }
}

/// Reads to the end, or up to the cap: somebody who sends without end costs no more.
async fn read_body(
    mut body: Incoming,
    body_max: usize,
    on_bytes: &mut (dyn FnMut(usize) + Send),
) -> Result<Vec<u8>, ExchangeError> {
    let limit = u64::try_from(body_max).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(ExchangeError::BodyTooLarge(limit));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // What is no data is a trailer, which nobody asked for.
        let Ok(data) = frame.map_err(ExchangeError::Body)?.into_data() else { continue };
        if data.len() > body_max.saturating_sub(bytes.len()) {
            return Err(ExchangeError::BodyTooLarge(limit));
        }
        bytes.extend_from_slice(&data);
        on_bytes(bytes.len());
    }
    Ok(bytes)
}
