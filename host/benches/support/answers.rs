//! Stands in for the instances of a fleet and for the agent that changes them: always healthy, each time in
//! other words, and done at once.
//!
//! Runs in the bench's own process, so that nothing of it is counted as the host's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phasegate::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers until the bench ends.
pub(crate) struct Answers {
    /// Where it listens.
    pub(crate) ports: Vec<u16>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    probes: AtomicU64,
    changes: AtomicU64,
    steps: Mutex<Steps>,
}

/// How an upgrade with batches of one goes on, as seen from outside.
#[derive(Default)]
struct Steps {
    /// The number of the instance that was changed last, as long as it has not been probed since.
    changed: Option<usize>,
    /// When that one said that it is healthy.
    answered: Option<Duration>,
    /// From each such answer to the next change.
    taken: Vec<Duration>,
}

impl Answers {
    /// Listens at so many ports.
    pub(crate) fn start(ports: usize) -> Self {
        let shared = Arc::new(Shared {
            clock: Clock::start(),
            probes: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            steps: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bind = |_| runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let listeners: Vec<TcpListener> = (0..ports).map(bind).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            runtime.block_on(async {
                for (number, listener) in listeners.into_iter().enumerate() {
                    tokio::spawn(accept(listener, number, Arc::clone(&all)));
                }
                std::future::pending::<()>().await;
            });
        });
        Self { ports, shared }
    }

    /// Probes that were answered.
    pub(crate) fn probes(&self) -> u64 {
        self.shared.probes.load(Ordering::Relaxed)
    }

    /// Instances that were changed.
    pub(crate) fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Relaxed)
    }

    /// The steps of upgrades since the last time: from an instance's healthy answer to the change of the next
    /// one. Each instance has its own port, and a batch is one instance.
    pub(crate) fn take_steps(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.shared.steps()).taken
    }
}

impl Shared {
    fn steps(&self) -> std::sync::MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a request, and what it tells about the upgrade.
    fn answer(&self, head: &str, port: usize) -> String {
        let body = match head.strip_prefix("POST /make/") {
            Some(rest) => {
                self.changes.fetch_add(1, Ordering::Relaxed);
                let now = self.clock.elapsed();
                let mut steps = self.steps();
                if let Some(answered) = steps.answered.take() {
                    steps.taken.push(now - answered);
                }
                steps.changed = rest.split(' ').next().and_then(|id| id.parse().ok());
                r#"{"state":"done"}"#.to_owned()
            }
            None => {
                let number = self.probes.fetch_add(1, Ordering::Relaxed);
                let mut steps = self.steps();
                if steps.changed == Some(port) {
                    *steps = Steps {
                        answered: Some(self.clock.elapsed()),
                        changed: None,
                        ..std::mem::take(&mut *steps)
                    };
                }
                format!(r#"{{"ApplicationHealthState":"Healthy","Number":{number}}}"#)
            }
        };
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

async fn accept(listener: TcpListener, port: usize, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, port, Arc::clone(&shared)));
    }
}

/// One request for each connection. The host closes it, so that no port is left in `TIME_WAIT`.
async fn serve(mut stream: TcpStream, port: usize, shared: Arc<Shared>) {
    let mut seen = Vec::new();
    loop {
        let mut part = [0; 2048];
        // A host that ends hangs up.
        let Ok(count @ 1..) = stream.read(&mut part).await else { return };
        seen.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.lines().next().and_then(|length| length.trim().parse().ok()).unwrap_or(0)
        });
        if body.len() < length {
            continue;
        }
        let answer = shared.answer(head, port);
        seen.clear();
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
