//! A stand-in for one member of a replicated database: a process that answers health probes.
//!
//! Stores nothing and replicates nothing. It exists so that `phasegate demo` upgrades real
//! processes over real sockets, with a health that takes a moment to become good.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::lag::replication_lag;
use crate::clock::Clock;
use phasegate_core::domain::Timestamp;

/// Connections at once; more wait in the backlog of the socket.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of the head of a request; the least that the server library takes.
const HEAD_LEN_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 32;
/// For one head of a request, and so also for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For requests that are under way when the end is asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Part of the member in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Takes the writes; there is one.
    Leader,
    /// Follows the leader.
    Replica,
}

/// Arguments of the hidden command that runs one member.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// Id of the member.
    #[arg(long)]
    pub id: String,
    /// Port on the loopback address.
    #[arg(long)]
    pub port: u16,
    /// Version that it says it runs.
    #[arg(long)]
    pub version: String,
    /// Part in the database.
    #[arg(long, value_enum)]
    pub role: Role,
    /// Say that a backup is running; a value and not a flag, so that it fits an argv template.
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub backup: bool,
    /// Milliseconds before it listens.
    #[arg(long, default_value_t = 0)]
    pub startup_ms: u64,
}

/// Runs a member until SIGTERM or SIGINT. Blocks.
///
/// # Errors
/// When the port cannot be had.
pub fn run(args: DatabaseArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(async {
        let mut ends =
            Ends { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        tokio::select! {
            () = ends.next() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(args.startup_ms)) => {}
        }
        let address = (Ipv4Addr::LOCALHOST, args.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("port {} of the loopback address cannot be had", args.port))?;
        serve(listener, args, ends.next()).await;
        Ok(())
    })
}

struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

struct Member {
    args: DatabaseArgs,
    clock: Clock,
    started_at: Timestamp,
}

/// Answers until `end` does, then lets requests under way finish.
async fn serve(listener: TcpListener, args: DatabaseArgs, end: impl Future<Output = ()>) {
    let clock = Clock::start();
    let member = Arc::new(Member { args, clock, started_at: clock.now() });
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut end => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = answer(stream, Arc::clone(&member), ended.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                // Out of file descriptors, most likely: trying again at once would only spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop(listener);
    ending.send_replace(true);
    _ = tokio::time::timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
}

async fn answer(stream: TcpStream, member: Arc<Member>, mut ended: watch::Receiver<bool>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = member.respond(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = connection.await;
}

impl Member {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/health" {
            return json_response(StatusCode::NOT_FOUND, &json!({ "error": "only /health is here" }));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return json_response(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "error": "only GET is answered" }),
            );
        }
        json_response(StatusCode::OK, &self.health(self.clock.now().since(self.started_at)))
    }

    fn health(&self, uptime: Duration) -> serde_json::Value {
        let DatabaseArgs { id, port: _, version, role, backup, startup_ms: _ } = &self.args;
        let (role, lag) = match role {
            Role::Leader => ("leader", 0),
            Role::Replica => ("replica", replication_lag(uptime)),
        };
        json!({
            "id": id,
            "role": role,
            "version": version,
            "replicationLagBytes": lag,
            "backup": { "running": backup },
            "uptimeSeconds": (uptime.as_secs_f64() * 10.0).round() / 10.0,
        })
    }
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    fn args(role: Role) -> DatabaseArgs {
        let (id, version) = ("3".to_owned(), "v2".to_owned());
        DatabaseArgs { id, port: 0, version, role, backup: true, startup_ms: 0 }
    }

    /// Status line and body of each request, all on one connection that the server closes.
    async fn exchange(requests: &str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, args(Role::Leader), async { _ = stopped.await }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        let mut text = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await;
        assert!(read.is_ok(), "{text}");
        stop.send(()).unwrap();
        server.await.unwrap();
        text
    }

    #[tokio::test]
    async fn health_is_answered_and_nothing_else() {
        let text = exchange("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body["uptimeSeconds"].take().as_f64().unwrap() < 20.0);
        let expected = json!({
            "id": "3", "role": "leader", "version": "v2", "replicationLagBytes": 0,
            "backup": { "running": true }, "uptimeSeconds": null,
        });
        assert_eq!(body, expected);

        for (request, status) in [
            ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "404 Not Found"),
            ("POST /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405 Method Not Allowed"),
            ("nonsense\r\n\r\n", "400 Bad Request"),
        ] {
            let text = exchange(request).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {text}");
        }
        let long = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(HEAD_LEN_MAX));
        assert!(exchange(&long).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_the_end() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, args(Role::Replica), async { _ = stopped.await }));
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // Answered and kept open.
        assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
        stop.send(()).unwrap();
        tokio::time::timeout(DRAIN_TIMEOUT / 2, server).await.unwrap().unwrap();
    }

    #[test]
    fn a_replica_catches_up() {
        let clock = Clock::start();
        let member = Member { args: args(Role::Replica), clock, started_at: clock.now() };
        let lag =
            |seconds| member.health(Duration::from_secs(seconds))["replicationLagBytes"].as_u64().unwrap();
        assert!(lag(0) > 1 << 20);
        assert!(lag(2) < 1 << 20);
        assert_eq!(member.health(Duration::ZERO)["role"], "replica");
    }
}
