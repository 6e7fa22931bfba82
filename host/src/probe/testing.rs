//! What the tests of this module share: small servers that send given bytes, and targets.

pub(super) mod frames;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Ended, Prober, RoundSink, Target};
use crate::clock::Clock;
use phasegate_core::domain::{
    Address, HealthSettings, InstanceFacts, InstanceId, ProbeConnection, ProbeFailure, ProbeProtocol,
    Profile, Response, ScaleSetName,
};

/// No test waits longer than this for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn settings(protocol: ProbeProtocol) -> HealthSettings {
    HealthSettings {
        profile: Profile::Fleet,
        protocol,
        port: None,
        request_path: "/health".to_owned(),
        grpc_service: String::new(),
        identity: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        number_of_probes: 1,
        grace_period: Duration::from_secs(5),
        body_max: 1_000,
        headers: vec!["content-type".to_owned(), "x-phase".to_owned()],
        connection: ProbeConnection::Close,
        request_headers: Vec::new(),
        sources: Vec::new(),
    }
}

pub(super) fn target(id: &str, address: Address, settings: HealthSettings) -> Target {
    let facts = InstanceFacts {
        id: InstanceId::parse(id).unwrap(),
        scale_set: ScaleSetName::parse("web").unwrap(),
        region: None,
        zone: None,
        fault_domain: None,
        update_domain: None,
        version: None,
        desired_version: None,
        labels: BTreeMap::new(),
    };
    let plugin = phasegate_core::domain::PluginName::parse("db").unwrap();
    Target { plugin, facts: Arc::new(facts), address, settings: Arc::new(settings), epoch: 1 }
}

/// Probes once, as a host does: plain probes on the sockets of the prober's thread, others by a task.
pub(super) async fn probe(address: &Address, settings: HealthSettings) -> Result<Response, ProbeFailure> {
    let (sender, mut rounds) = mpsc::unbounded_channel();
    let sink: RoundSink = Arc::new(move |ended| match ended {
        Ended::Round(round) => drop(sender.send(round)),
        Ended::NotAsked(missed) => panic!("the host is short of {}", missed.short_of),
    });
    let prober = Prober::start(Clock::start(), Arc::default(), sink).unwrap();
    // A new life is probed at once, and in this interval not again.
    let settings = HealthSettings { interval: Duration::from_secs(3_600), ..settings };
    let target = target("0", address.clone(), settings);
    prober.set(target.clone());
    prober.set(Target { epoch: 2, ..target });
    let round = timeout(PATIENCE, rounds.recv()).await.unwrap().unwrap();
    timeout(PATIENCE, prober.stop()).await.unwrap();
    round.observation.answers[0].outcome.clone()
}

/// A result on one line.
pub(super) fn short(outcome: Result<Response, ProbeFailure>) -> String {
    match outcome {
        Ok(Response { status, headers, body }) => {
            format!("{status} {headers:?} {:?}", String::from_utf8_lossy(&body))
        }
        Err(failure) => failure.to_string(),
    }
}

/// A listener on a free port of the loopback interface.
pub(super) async fn listen() -> (Address, TcpListener) {
    listen_on("127.0.0.1").await.unwrap()
}

pub(super) async fn listen_on(host: &str) -> std::io::Result<(Address, TcpListener)> {
    let listener = TcpListener::bind((host, 0)).await?;
    let address = Address { host: host.to_owned(), port: listener.local_addr()?.port() };
    Ok((address, listener))
}

/// A port where nobody listens: it was free a moment ago.
pub(super) async fn closed_port() -> Address {
    listen().await.0
}

/// Reads a request up to the empty line.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        request.push(byte);
    }
    String::from_utf8(request).unwrap()
}

/// Serves every connection with `serve`, until the test ends.
pub(super) async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Address
where
    F: Future<Output = ()> + Send + 'static,
{
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Answers a request with `bytes` and closes.
pub(super) async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: Vec<u8>) {
    read_request(&mut stream).await;
    // The prober may have hung up already.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}
