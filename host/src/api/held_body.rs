//! An answer that keeps something until the last of it has gone out.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

/// The same answer; what it keeps is dropped with its body.
pub(super) fn held<K: Send + Unpin + 'static>(response: Response, keeps: K) -> Response {
    response.map(|body| Body::new(HeldBody { body, _keeps: keeps }))
}

struct HeldBody<K> {
    body: Body,
    _keeps: K,
}

impl<K: Unpin> HttpBody for HeldBody<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
