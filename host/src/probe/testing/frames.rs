//! Servers of HTTP/2 for tests: real ones by the same library, and ones that send whatever frames a test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::serve;
use phasegate_core::domain::Address;

/// What a real server got.
#[derive(Debug)]
pub(in crate::probe) struct Asked {
    pub(in crate::probe) method: String,
    pub(in crate::probe) uri: String,
    pub(in crate::probe) headers: HeaderMap,
    pub(in crate::probe) body: Vec<u8>,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(in crate::probe) struct Given {
    pub(in crate::probe) head: Vec<(&'static str, String)>,
    pub(in crate::probe) status: u16,
    pub(in crate::probe) body: Vec<u8>,
    pub(in crate::probe) trailers: Option<Vec<(&'static str, String)>>,
}

fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Answers all requests of one connection.
pub(in crate::probe) async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Asked) -> Given,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (head, mut coming) = request.into_parts();
        // The request of a probe is one frame; it comes while the connection is looked after.
        let mut reading = std::pin::pin!(async {
            let mut body = Vec::new();
            while let Some(Ok(part)) = coming.data().await {
                body.extend_from_slice(&part);
            }
            body
        });
        let body = std::future::poll_fn(|context| match reading.as_mut().poll(context) {
            Poll::Ready(body) => Poll::Ready(body),
            Poll::Pending => connection.poll_closed(context).map(|_| Vec::new()),
        })
        .await;
        let asked =
            Asked { method: head.method.to_string(), uri: head.uri.to_string(), headers: head.headers, body };
        let given = answer(asked);
        let mut response = Response::builder().status(given.status).body(()).unwrap();
        *response.headers_mut() = headers(&given.head);
        let is_over = given.body.is_empty() && given.trailers.is_none();
        let Ok(mut sending) = respond.send_response(response, is_over) else { continue };
        if !given.body.is_empty() {
            let _ = sending.send_data(Bytes::from(given.body), given.trailers.is_none());
        }
        if let Some(trailers) = given.trailers {
            let _ = sending.send_trailers(headers(&trailers));
        }
    }
}

/// A real server without TLS.
pub(in crate::probe) async fn serve_h2c(answer: impl Fn(Asked) -> Given + Clone + Send + 'static) -> Address {
    serve(move |stream| {
        let answer = answer.clone();
        async move { speak(stream, answer).await }
    })
    .await
}

/// One frame.
pub(in crate::probe) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A server that sends its settings and `first`, and then `more` again and again until nobody listens; and how many
/// bytes it could send.
pub(in crate::probe) async fn serve_frames(first: Vec<u8>, more: Vec<u8>) -> (Address, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let address = serve(move |stream| send(stream, first.clone(), more.clone(), Arc::clone(&counter))).await;
    (address, sent)
}

async fn send(stream: TcpStream, first: Vec<u8>, more: Vec<u8>, sent: Arc<AtomicUsize>) {
    let (mut from, mut to) = stream.into_split();
    // Preface and settings: the request follows at once.
    let mut preface = [0; 24];
    if from.read_exact(&mut preface).await.is_err() {
        return;
    }
    let reading = tokio::spawn(async move {
        let mut room = [0; 4096];
        while let Ok(1..) = from.read(&mut room).await {}
    });
    let settings = frame(4, 0, 0, &[]);
    if to.write_all(&[settings, first].concat()).await.is_ok() {
        while !more.is_empty() && to.write_all(&more).await.is_ok() {
            sent.fetch_add(more.len(), Ordering::SeqCst);
        }
        let _ = reading.await;
    }
}
