//! Sources of every kind against servers and programs of the tests' own, and against Redis where there is one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::probe::testing::{PATIENCE, answer, listen, read_request, serve, settings, short, target};
use phasegate_core::domain::source::{ExecSource, HttpSource, SourceCredentials, SourceTls, TcpSource};
use phasegate_core::domain::{HealthSettings, ProbeProtocol};

/// An authority of these tests' own, and a server that it vouches for, as `localhost`.
const CA: &[u8] = include_bytes!("../../drivers/http/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../../drivers/http/testdata/agent.pem");
const KEY: &[u8] = include_bytes!("../../drivers/http/testdata/agent-key.pem");

fn source(ask: SourceKind) -> Source {
    Source { name: "more".to_owned(), timeout: Duration::from_secs(10), body_max: 1_000, ask }
}

fn tcp(send: &[&str], expect: &[&str]) -> TcpSource {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    TcpSource { at: SourcePlace::default(), send: owned(send), expect: owned(expect), credentials: None }
}

fn http(tls: Option<SourceTls>) -> HttpSource {
    HttpSource {
        tls,
        at: SourcePlace::default(),
        method: "POST".to_owned(),
        path: "/api/{id}".to_owned(),
        request_headers: vec![("Host".to_owned(), "db.example".to_owned())],
        body: "{\"id\":\"{id}\"}".to_owned(),
        credentials: None,
        headers: vec!["x-role".to_owned()],
    }
}

fn sh(script: &str) -> SourceKind {
    let command = ["sh", "-c", script, "{id}", "{host}:{port}"].map(str::to_owned).to_vec();
    let environment = BTreeMap::from([("OWN".to_owned(), "{id}".to_owned())]);
    SourceKind::Exec(Box::new(ExecSource { command, environment }))
}

fn asked(address: &Address, sources: Vec<Source>) -> Arc<Target> {
    Arc::new(target("db-1", address.clone(), HealthSettings { sources, ..settings(ProbeProtocol::Http) }))
}

/// What comes of one source, on one line.
async fn of(address: &Address, one: Source) -> String {
    let answers = timeout(PATIENCE, ask_all(&asked(address, vec![one]))).await.unwrap().unwrap();
    let [Answer { source, outcome }] = <[Answer; 1]>::try_from(answers).unwrap();
    assert_eq!(source, "more");
    short(outcome)
}

fn nowhere() -> Address {
    Address { host: "127.0.0.1".to_owned(), port: 1 }
}

/// Answers with what it was sent.
async fn echo(mut stream: TcpStream) {
    let mut request = vec![0; 4096];
    let count = stream.read(&mut request).await.unwrap();
    let said = String::from_utf8_lossy(&request[..count]).replace("\r\n", "|");
    let answer = format!(
        "HTTP/1.1 201 Made\r\nX-Role: primary\r\nX-Other: 1\r\nContent-Length: {}\r\n\r\n{said}",
        said.len()
    );
    _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_request_is_what_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let address = serve(echo).await;
    let credentials = SourceCredentials::Password {
        username: Some(path("user", "me\n")),
        password: path("password", "s3cret\n"),
    };
    let request = HttpSource { credentials: Some(credentials), ..http(None) };
    let got = of(&address, source(SourceKind::Http(Box::new(request)))).await;
    for part in [
        r#"201 [("x-role", "primary")]"#,
        "POST /api/db-1 HTTP/1.1|Host: db.example|",
        "Authorization: Basic bWU6czNjcmV0|",
        r#"||{\"id\":\"db-1\"}""#,
    ] {
        assert!(got.contains(part), "{part} in {got}");
    }
    // A file that is not there is no answer, and is named.
    let credentials = Some(SourceCredentials::Token(folder.path().join("none")));
    let request = HttpSource { credentials, ..http(None) };
    let got = of(&address, source(SourceKind::Http(Box::new(request)))).await;
    assert!(got.starts_with("unreachable: not asked: `") && got.contains("none`"), "{got}");
}

#[tokio::test]
async fn a_redirect_and_a_binary_answer_arrive_as_they_are_and_endless_ones_end() {
    let redirect = serve(|stream| {
        answer(stream, b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
    .await;
    assert_eq!(of(&redirect, source(SourceKind::Http(Box::new(http(None))))).await, r#"302 [] """#);
    let binary =
        serve(|stream| answer(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x00\xff\x01".to_vec()))
            .await;
    let got = of(&binary, source(SourceKind::Http(Box::new(http(None))))).await;
    assert!(got.starts_with("200 "), "{got}");
    let endless = serve(|mut stream| async move {
        read_request(&mut stream).await;
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 100]).await.is_ok() {}
    })
    .await;
    assert_eq!(
        of(&endless, source(SourceKind::Http(Box::new(http(None))))).await,
        "body longer than 1000 bytes"
    );
    let silent = serve(|mut stream| async move {
        _ = stream.read_u8().await;
        std::future::pending().await
    })
    .await;
    let short =
        Source { timeout: Duration::from_millis(200), ..source(SourceKind::Http(Box::new(http(None)))) };
    assert_eq!(of(&silent, short).await, "no complete answer in time");
}

async fn serve_tls() -> Address {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let asked_for = stream.get_ref().1.server_name().unwrap_or("nothing").to_owned();
            read_request(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{asked_for}", asked_for.len());
            _ = stream.write_all(head.as_bytes()).await;
            _ = stream.shutdown().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, CA).unwrap();
    let address = serve_tls().await;
    let tls = |ca_file: Option<&PathBuf>, server_name: Option<&str>| {
        let tls = SourceTls { ca_file: ca_file.cloned(), server_name: server_name.map(str::to_owned) };
        source(SourceKind::Http(Box::new(http(Some(tls)))))
    };
    assert_eq!(of(&address, tls(Some(&ca), Some("localhost"))).await, r#"200 [] "localhost""#);
    // The name of the Host header is not that of the certificate.
    let wrong = of(&address, tls(Some(&ca), None)).await;
    assert!(wrong.starts_with("TLS handshake failed: "), "{wrong}");
    // Nobody of the web vouches for it.
    let unknown = of(&address, tls(None, Some("localhost"))).await;
    assert!(unknown.starts_with("TLS handshake failed: "), "{unknown}");
    let missing = of(&address, tls(Some(&folder.path().join("none.pem")), Some("localhost"))).await;
    assert!(missing.starts_with("TLS handshake failed: not asked: "), "{missing}");
}

#[tokio::test]
async fn a_dialogue_goes_by_turns() {
    let address = serve(|mut stream| async move {
        let mut line = vec![0; 64];
        let count = stream.read(&mut line).await.unwrap();
        assert_eq!(&line[..count], b"HELLO db-1\r\n");
        stream.write_all(b"+OK wel").await.unwrap();
        stream.write_all(b"come\r\nextra").await.unwrap();
        let count = stream.read(&mut line).await.unwrap();
        assert_eq!(&line[..count], b"STATS\r\n");
        stream.write_all(b" a 1\r\ndb-1 END\r\nmore").await.unwrap();
    })
    .await;
    let dialogue = tcp(&["HELLO {id}\r\n", "STATS\r\n"], &["come\r\n", "{id} END\r\n"]);
    let got = of(&address, source(SourceKind::Tcp(Box::new(dialogue)))).await;
    assert_eq!(got, r#"200 [] "extra a 1\r\ndb-1 END\r\n""#);

    let closes = serve(|mut stream| async move { _ = stream.write_all(b"-ERR no s3cret\r\n").await }).await;
    let dialogue = tcp(&["X"], &["+OK"]);
    let got = of(&closes, source(SourceKind::Tcp(Box::new(dialogue)))).await;
    assert!(got.contains("expected") || got.contains("connection"), "what was not said is no answer: {got}");
    let dialogue = tcp(&[], &[]);
    let (open, _listener) = listen().await;
    assert_eq!(of(&open, source(SourceKind::Tcp(Box::new(dialogue)))).await, r#"0 [] """#);
}

#[tokio::test]
async fn a_secret_that_comes_back_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret").unwrap();
    let address = serve(|mut stream| async move {
        let mut line = vec![0; 64];
        let count = stream.read(&mut line).await.unwrap();
        _ = stream.write_all(&line[..count]).await;
        _ = stream.shutdown().await;
    })
    .await;
    let credentials = Some(SourceCredentials::Password { username: None, password });
    let dialogue = TcpSource { credentials, ..tcp(&["AUTH {password}\r\n"], &["+OK"]) };
    let got = of(&address, source(SourceKind::Tcp(Box::new(dialogue)))).await;
    assert!(got.contains("AUTH …") && !got.contains("s3cret"), "{got}");
}

#[tokio::test]
async fn what_a_program_prints_is_the_answer() {
    let address = Address { host: "10.0.0.1".to_owned(), port: 7 };
    let got =
        of(&address, source(sh("echo \"$0 $1 $OWN\"; pwd; cat; env | sort | cut -d= -f1 | tr '\\n' ' '")))
            .await;
    assert!(got.starts_with(r#"200 [("exit-code", "0")] "db-1 10.0.0.1:7 db-1\n/\n"#), "{got}");
    let names: Vec<&str> = got.trim_end_matches(" \"").rsplit("\\n").next().unwrap().split(' ').collect();
    let known = ["OLDPWD", "OWN", "PATH", "PHASEGATE_SOURCE", "PWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| known.contains(name)), "nothing of the host's own: {names:?}");
    let failed = of(&nowhere(), source(sh("echo no; echo why >&2; exit 3"))).await;
    assert_eq!(failed, r#"500 [("exit-code", "3"), ("stderr", "why")] "no\n""#);
    let killed = of(&nowhere(), source(sh("kill -9 $$"))).await;
    assert!(killed.contains("`sh` was ended: signal: 9"), "{killed}");
    let command = vec!["/no/such/program".to_owned()];
    let none = SourceKind::Exec(Box::new(ExecSource { command, environment: BTreeMap::new() }));
    let none = of(&nowhere(), source(none)).await;
    assert!(none.starts_with("unreachable: `/no/such/program` cannot be started: "), "{none}");
}

/// Whether a process of this number still does anything.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until none of the processes whose numbers are in the file runs any more.
async fn all_are_gone(path: &std::path::Path) {
    let gone = async {
        loop {
            let pids = std::fs::read_to_string(path).unwrap_or_default();
            if !pids.is_empty() && !pids.lines().any(runs) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_program_that_floods_hangs_forks_or_leaves_children_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let note = |name: &str| folder.path().join(name);
    let script = |name: &str, rest: &str| {
        let path = note(name);
        sh(&format!("echo $$ >> {0}; {rest}", path.display()).replace("NOTE", &path.display().to_string()))
    };
    let flood =
        of(&nowhere(), source(script("flood", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"))).await;
    assert_eq!(flood, "body longer than 1000 bytes");
    all_are_gone(&note("flood")).await;

    let hang = Source {
        timeout: Duration::from_millis(500),
        ..source(script("hang", "sleep 1000 & echo $! >> NOTE; wait"))
    };
    assert_eq!(of(&nowhere(), hang).await, "no complete answer in time");
    all_are_gone(&note("hang")).await;

    let children = of(&nowhere(), source(script("left", "sleep 1000 & echo $! >> NOTE; echo done"))).await;
    assert_eq!(children, r#"200 [("exit-code", "0")] "done\n""#);
    all_are_gone(&note("left")).await;

    // Out of the group, and with the output in hand.
    let script = script("stray", "setsid sh -c 'echo $$ >> NOTE; exec sleep 1000' & sleep 0.2; echo done");
    assert_eq!(of(&nowhere(), source(script)).await, r#"200 [("exit-code", "0")] "done\n""#);
    all_are_gone(&note("stray")).await;
}

#[tokio::test]
async fn a_source_that_is_dropped_ends_its_program() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pids");
    let script = sh(&format!("echo $$ >> {0}; sleep 1000 & echo $! >> {0}; wait", note.display()));
    let target = asked(&nowhere(), vec![source(script)]);
    let asking = tokio::spawn(async move { ask_all(&target).await });
    let begun = async {
        while std::fs::read_to_string(&note).unwrap_or_default().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    asking.abort();
    all_are_gone(&note).await;
}

/// Redis, where this machine has it.
struct Redis {
    address: Address,
    _process: tokio::process::Child,
    folder: tempfile::TempDir,
}

async fn redis() -> Option<Redis> {
    let folder = tempfile::tempdir().unwrap();
    let (address, listener) = listen().await;
    drop(listener);
    let started = tokio::process::Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &address.port.to_string(),
            "--save",
            "",
            "--requirepass",
            "s3cret",
        ])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(process) = started else {
        assert!(
            std::env::var_os("PHASEGATE_REQUIRE_SERVICES").is_none(),
            "redis-server is not installed, and PHASEGATE_REQUIRE_SERVICES wants it"
        );
        eprintln!("left out: redis-server is not installed");
        return None;
    };
    let up = async { while TcpStream::connect((address.host.as_str(), address.port)).await.is_err() {} };
    timeout(PATIENCE, up).await.unwrap();
    Some(Redis { address, _process: process, folder })
}

#[tokio::test]
async fn redis_says_its_role_to_who_has_the_password() {
    let Some(redis) = redis().await else { return };
    let password = redis.folder.path().join("password");
    let ask = async |said: &str| {
        std::fs::write(&password, said).unwrap();
        let credentials = Some(SourceCredentials::Password { username: None, password: password.clone() });
        let dialogue = tcp(&["AUTH {password}\r\n", "INFO replication\r\nQUIT\r\n"], &["+OK\r\n"]);
        let dialogue = TcpSource { credentials, ..dialogue };
        let source = Source { body_max: 16 * 1024, ..source(SourceKind::Tcp(Box::new(dialogue))) };
        of(&redis.address, Source { timeout: Duration::from_secs(3), ..source }).await
    };
    let got = ask("s3cret\n").await;
    assert!(got.starts_with("200 ") && got.contains("role:master"), "{got}");
    // It says no, and keeps the connection: what was expected never comes.
    assert_eq!(ask("wrong\n").await, "no complete answer in time");
}
