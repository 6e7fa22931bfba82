//! What all who probe ask in a bench: the same short answer each time, counted by port.
//!
//! Keeps a connection as long as its client does. Runs in the bench's own process, so that nothing of it is counted
//! as anybody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// 124 bytes, as an application with custom metrics says it.
pub(crate) const BODY: &str = r#"{"ApplicationHealthState":"Healthy","CustomMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":1,\"SkipUpgrade\":false}}"}"#;

/// A server for one of those who ask.
pub(crate) struct Target {
    pub(crate) port: u16,
    answered: Arc<AtomicU64>,
}

impl Target {
    /// Listens until the bench ends. `fill` blanks stand behind the body.
    pub(crate) fn start(fill: usize) -> Self {
        let answered = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let body = format!("{BODY}{}", " ".repeat(fill));
        let answer: Arc<[u8]> = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
        .into();
        let counter = Arc::clone(&answered);
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&counter)));
                }
            });
        });
        Self { port, answered }
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<[u8]>, answered: Arc<AtomicU64>) {
    let mut room = [0; 2048];
    let mut length = 0;
    loop {
        let Ok(count @ 1..) = stream.read(&mut room[length..]).await else { return };
        length += count;
        if room[..length].ends_with(b"\r\n\r\n") {
            length = 0;
            answered.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
