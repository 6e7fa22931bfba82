//! Why there is no whole response. What a peer sent is shown only where it names the fault, and harmlessly.

use std::io;

use super::HEAD_MAX;

/// Why there is no whole response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection failed.
    #[error(transparent)]
    Io(io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Response(#[from] ResponseError),
}

/// What is wrong with a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    /// Not a byte came.
    #[error("the connection was closed before the response was complete")]
    Nothing,
    /// It ended in its middle.
    #[error("the connection was closed before the response was complete")]
    Closed,
    /// The first line is something else.
    #[error("it does not begin with HTTP/1.0 or HTTP/1.1")]
    NotHttp,
    /// No three digits.
    #[error("its status line has no status of three digits")]
    StatusLine,
    /// The status means nothing.
    #[error("status {0} (100 to 599)")]
    Status(u16),
    /// By its name, or by its line where it has none.
    #[error("header {0} is not valid")]
    Header(String),
    /// Too many bytes, or too many headers for a table.
    #[error("more than {HEAD_MAX} bytes of headers")]
    HeadTooLarge,
    /// Answers that come before the answer.
    #[error("more than {0} interim answers")]
    Interim(u32),
    /// Its value.
    #[error("Content-Length `{0}` is no length")]
    ContentLength(String),
    /// Its value.
    #[error("Transfer-Encoding `{0}` is not understood")]
    TransferEncoding(String),
    /// A chunk does not begin with its size.
    #[error("a chunk has no valid size")]
    ChunkSize,
    /// A chunk does not end where its size says.
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    /// Sizes and their extensions, or trailers.
    #[error("more than {0} bytes that are not the body")]
    Overhead(usize),
    /// More bytes than were asked for.
    #[error("body longer than {0} bytes")]
    BodyTooLarge(u64),
    /// The coding.
    #[error("the body is encoded as `{0}`, which is not decoded (gzip and deflate are)")]
    Coding(String),
    /// The coding.
    #[error("the body is not valid {0}")]
    Encoded(&'static str),
}
