//! Servers that hang, close, reset and stop half-way, and more of them than probes may run at once: whoever is known is
//! always asked again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::probe::testing::{PATIENCE, read_request, serve, settings, target};
use phasegate_core::domain::{Address, HealthSettings, ProbeConnection, ProbeProtocol, Round};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers each request.
    Good,
    /// The same, later than probes wait, and sometimes sooner.
    Slow,
    /// Says nothing.
    Silent,
    /// Resets it after a request.
    Resets,
    /// Answers one request and closes.
    Closes,
    /// Answers one request, says nothing more and goes on reading.
    HalfCloses,
    /// Answers a piece at a time.
    Trickles,
}

const ALL: [Manner; 7] = [
    Manner::Good,
    Manner::Slow,
    Manner::Silent,
    Manner::Resets,
    Manner::Closes,
    Manner::HalfCloses,
    Manner::Trickles,
];

async fn behave(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut answered = 0_u64;
    while !read_request(&mut stream).await.is_empty() {
        match manner {
            Manner::Good => stream.write_all(OK).await?,
            Manner::Slow => {
                answered += 1;
                sleep(Duration::from_millis(if answered.is_multiple_of(3) { 10 } else { 90 })).await;
                stream.write_all(OK).await?;
            }
            Manner::Silent => _ = stream.read_to_end(&mut Vec::new()).await?,
            Manner::Resets => return stream.set_zero_linger(),
            Manner::Closes => return stream.write_all(OK).await,
            Manner::HalfCloses => {
                // Both are there by the time that the answer is read.
                stream.write_all(OK).await?;
                stream.shutdown().await?;
                _ = stream.read_to_end(&mut Vec::new()).await?;
            }
            Manner::Trickles => {
                for piece in OK.chunks(7) {
                    stream.write_all(piece).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    Ok(())
}

async fn server(manner: Manner) -> Address {
    serve(move |stream| async move { drop(behave(stream, manner).await) }).await
}

fn prober(limits: Limits) -> (Prober, mpsc::UnboundedReceiver<Round>) {
    let (sender, rounds) = mpsc::unbounded_channel();
    let sink: RoundSink = Arc::new(move |ended| match ended {
        Ended::Round(round) => drop(sender.send(round)),
        Ended::NotAsked(missed) => panic!("{missed:?}"),
    });
    let tls = Tls::new();
    let ask: Ask = Arc::new(move |target| Box::pin(ask(target, tls.clone())));
    let prober = Prober::start_with(Clock::start(), sink, (ask, Plain::OnSockets), limits).unwrap();
    (prober, rounds)
}

fn every(interval: u64, limit: Duration, connection: ProbeConnection) -> HealthSettings {
    let interval = Duration::from_millis(interval);
    HealthSettings { interval, timeout: limit, connection, ..settings(ProbeProtocol::Http) }
}

#[tokio::test]
async fn whoever_is_known_is_always_asked_again() {
    let (prober, mut rounds) = prober(Limits { in_flight_max: 9, slow_max: 4, kept_max: 5 });
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for manner in ALL {
        let address = server(manner).await;
        for (number, connection) in
            [ProbeConnection::Keep, ProbeConnection::Close].into_iter().cycle().take(6).enumerate()
        {
            let id = format!("{manner:?}-{number}");
            prober.set(target(&id, address.clone(), every(20, Duration::from_millis(60), connection)));
            seen.insert(id, 0);
        }
    }
    // A new life in the middle of a probe, and a target that comes back, must lose nobody either.
    let again = target(
        "Silent-0",
        server(Manner::Silent).await,
        every(20, Duration::from_millis(60), ProbeConnection::Keep),
    );
    let mut taken = 0_u64;
    while seen.values().any(|count| *count < 8) {
        let round = timeout(PATIENCE, rounds.recv()).await.unwrap_or_else(|_| panic!("{seen:?}")).unwrap();
        *seen.get_mut(round.observation.instance.id.as_str()).unwrap() += 1;
        taken += 1;
        if taken.is_multiple_of(40) {
            prober.set(Target { epoch: taken, ..again.clone() });
        }
        if taken.is_multiple_of(100) {
            let facts = &again.facts;
            prober.remove(&facts.scale_set, &facts.id);
            prober.set(Target { epoch: taken, ..again.clone() });
        }
    }
    timeout(PATIENCE, prober.stop()).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_its_peer_has_ended_with_the_answer_is_not_kept() {
    let (prober, mut rounds) = prober(Limits { in_flight_max: 9, slow_max: 4, kept_max: 5 });
    let address = server(Manner::HalfCloses).await;
    prober.set(target("a", address, every(20, PATIENCE, ProbeConnection::Keep)));
    for _ in 0..10 {
        let round = timeout(PATIENCE, rounds.recv()).await.unwrap().unwrap();
        assert!(round.observation.answers[0].outcome.is_ok(), "{:?}", round.observation.answers);
    }
    timeout(PATIENCE, prober.stop()).await.unwrap();
}
