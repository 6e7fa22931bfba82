//! The HTTP server: connections, limits, shutdown. Routes are in `v1`; what a body may be is in `body`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::spare::Spares;
use crate::net::shortage::{Missed, Shortages, shortage};

/// Connections at the same time; more wait in the listen queue.
const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest life of a connection: long enough for an upload over a slow line.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);

/// Largest head of a request in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// Serves until `stop` turns true.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shortages: Arc<Shortages>,
    mut stop: watch::Receiver<bool>,
) {
    let mut spares = Spares::default();
    spares.fill();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => {
                spares.fill();
                stream
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
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away in the middle is its own affair.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(slot);
        });
    }
}
