//! The HTTP server: connections, their limits, TLS, shutdown. Routes are in `v1`; what a body may be is in `body`,
//! who may have how many connections in `connections`, who is let in `guard` says.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::connections::{Connections, Seat};
use super::guard::Peer;
use super::listener::{Accepted, Listener};
use super::patient::Patient;
use super::spare::Spares;
use crate::access::{InForce, people};
use crate::net::shortage::{Missed, Shortages, shortage};

/// From a connection to its first request that is let in: the TLS handshake and the whole head.
const STRANGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a known connection may rest between two requests, and take for the head of the next one.
const REST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a reader of an answer may read nothing.
const READER_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest head of a request in bytes; also what a connection may buffer.
const HEAD_MAX: usize = 16 * 1024;

/// What is still read of a request that was refused, so that its sender can read why.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// How long that may take.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `stop` turns true.
pub async fn serve(
    listener: Listener,
    router: Router,
    (in_force, shortages): (Arc<InForce>, Arc<Shortages>),
    mut stop: watch::Receiver<bool>,
) {
    let mut spares = Spares::default();
    spares.fill();
    let connections = Arc::new(Connections::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let accepted = match accepted {
            Ok(accepted) => {
                spares.fill();
                accepted
            }
            Err(error) => {
                match shortage(&error) {
                    Some(short_of) => shortages.met(Missed::Connection, short_of),
                    None => tracing::warn!("cannot accept a connection: {error}"),
                }
                if spares.give_up_one() {
                    continue;
                }
                // Give the others a moment to end.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let seat = Arc::new(connections.enter());
        let (router, tls) = (router.clone(), in_force.tls());
        tokio::spawn(async move {
            let serving = serve_one(accepted, Arc::clone(&seat), router, tls);
            tokio::select! {
                () = serving => {}
                () = seat.given_away() => {}
                () = too_long_a_stranger(&seat) => {}
            }
        });
    }
}

/// Ends when a connection has not become a known one in time.
async fn too_long_a_stranger(seat: &Seat) {
    tokio::time::sleep(STRANGER_TIMEOUT).await;
    if seat.is_known() {
        std::future::pending().await
    }
}

async fn serve_one(
    accepted: Accepted,
    seat: Arc<Seat>,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    match (accepted, tls) {
        (Accepted::Unix(stream, uid), _) => {
            serve_http(stream, seat, Peer::User(uid.map(people::user)), router).await;
        }
        (Accepted::Tcp(stream), None) => serve_http(stream, seat, Peer::Network, router).await,
        (Accepted::Tcp(stream), Some(tls)) => {
            // A client that cannot shake hands hears of it from the library.
            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                serve_http(stream, seat, Peer::Network, router).await;
            }
        }
    }
}

async fn serve_http<S>(stream: S, seat: Arc<Seat>, peer: Peer, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&seat));
        request.extensions_mut().insert(peer.clone());
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REST_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, READER_TIMEOUT)), service);
    // A client that goes away in the middle is its own affair.
    let Ok(parts) = connection.without_shutdown().await else { return };
    let mut stream = parts.io.into_inner();
    // One that was refused while it was still sending would find its connection broken before it has read why.
    let rest = async {
        _ = stream.shutdown().await;
        let mut read = 0;
        let mut buffer = [0; 8192];
        while let Ok(more) = stream.read(&mut buffer).await {
            read += more;
            if more == 0 || read > LINGER_BYTES_MAX {
                return;
            }
        }
    };
    _ = tokio::time::timeout(LINGER_TIMEOUT, rest).await;
}
