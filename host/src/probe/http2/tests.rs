//! Real servers of HTTP/2, with TLS and without, and hostile ones: each of them ends within its bounds.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::probe::testing::frames::{Given, frame, serve_frames, serve_h2c};
use crate::probe::testing::{answer, probe, serve, settings, short};
use phasegate_core::domain::ProbeProtocol;

fn given(status: u16, head: &[(&'static str, &str)], body: &[u8]) -> Given {
    let head = head.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Given { head, status, body: body.to_vec(), trailers: None }
}

/// Result of a probe of a real server that answers so, in short.
async fn check(given: Given) -> String {
    let address = serve_h2c(move |_| given.clone()).await;
    short(probe(&address, settings(ProbeProtocol::H2c)).await)
}

#[tokio::test]
async fn whole_responses_arrive_as_they_are() {
    let headers = [("content-type", "application/json"), ("x-phase", "3"), ("server", "x")];
    assert_eq!(
        check(given(200, &headers, b"{}")).await,
        r#"200 [("content-type", "application/json"), ("x-phase", "3")] "{}""#
    );
    assert_eq!(check(given(503, &[], b"busy")).await, r#"503 [] "busy""#);
    assert_eq!(check(given(204, &[], b"")).await, r#"204 [] """#);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"{\"a\":1}").unwrap();
    let packed = given(200, &[("content-encoding", "gzip")], &gzip.finish().unwrap());
    assert_eq!(check(packed).await, r#"200 [] "{\"a\":1}""#);
    assert_eq!(check(given(200, &[], &[b'x'; 1_000])).await, format!("200 [] {:?}", "x".repeat(1_000)));
    assert_eq!(check(given(200, &[], &[b'x'; 1_001])).await, "body longer than 1000 bytes");
}

#[tokio::test]
async fn the_request_says_what_the_configuration_says() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let address = serve_h2c(move |asked| {
        all.lock().unwrap().push(asked);
        given(200, &[], b"")
    })
    .await;
    let asked = HealthSettings { request_path: "/health?deep=1".to_owned(), ..settings(ProbeProtocol::H2c) };
    assert_eq!(probe(&address, asked.clone()).await.unwrap().status, 200);
    let headers = [("Host", "app.example.com"), ("X-Probe", "1")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(
        probe(&address, HealthSettings { request_headers: headers, ..asked }).await.unwrap().status,
        200
    );
    let seen = seen.lock().unwrap();
    assert_eq!((seen[0].method.as_str(), seen[0].body.len()), ("GET", 0));
    assert_eq!(seen[0].uri, format!("http://{address}/health?deep=1"));
    assert_eq!(seen[0].headers["user-agent"], concat!("phasegate/", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen[0].headers["accept-encoding"], "gzip");
    assert_eq!(seen[1].uri, "http://app.example.com/health?deep=1");
    assert_eq!(seen[1].headers["x-probe"], "1");
    assert!(!seen[1].headers.contains_key("host"));
}

#[tokio::test]
async fn a_server_of_http1_is_told_apart() {
    let address =
        serve(|stream| answer(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()))
            .await;
    assert_eq!(
        short(probe(&address, settings(ProbeProtocol::H2c)).await),
        "not a valid HTTP response: the server answers in HTTP/1 and does not speak HTTP/2 here"
    );
    let silent = serve(|stream| async move { drop(stream) }).await;
    let seen = short(probe(&silent, settings(ProbeProtocol::H2c)).await);
    assert!(seen.contains("closed before the response was complete") || seen.contains("reset"), "{seen}");
}

/// Result of a probe of a server that sends these frames, and how much of it was taken.
async fn hostile(first: Vec<u8>, more: Vec<u8>) -> (String, usize) {
    let (address, sent) = serve_frames(first, more).await;
    let settings = HealthSettings { timeout: Duration::from_secs(5), ..settings(ProbeProtocol::H2c) };
    let seen = short(probe(&address, settings).await);
    (seen, sent.load(Ordering::SeqCst))
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `:status: 200` of the static table.
const OK: &[u8] = &[0x88];

#[tokio::test]
async fn endless_frames_end_the_probe() {
    // What the system holds for both sides beyond what was read.
    const HELD: usize = 8 * 1024 * 1024;
    let head = || frame(HEADERS, 4, 1, OK);
    let interim = [&[0x08, 3][..], b"100"].concat();
    for (name, first, more) in [
        ("continuation", frame(HEADERS, 0, 1, OK), frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b'])),
        ("settings", vec![], frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("ping", vec![], frame(PING, 0, 0, &[7; 8])),
        ("empty data", head(), frame(DATA, 0, 1, &[])),
        ("padding", head(), frame(DATA, 8, 1, &[&[200][..], &[0; 200]].concat())),
        ("interim answers", vec![], frame(HEADERS, 4, 1, &interim)),
        ("unknown frames", vec![], frame(0xfa, 0, 0, &[0; 1000])),
    ] {
        let (seen, sent) = hostile(first, more.repeat(100)).await;
        assert!(seen.starts_with("not a valid HTTP response: "), "{name}: {seen}");
        assert!(sent < HELD, "{name}: {sent} bytes");
    }
}

#[tokio::test]
async fn what_a_server_breaks_off_is_named() {
    for (first, expected) in [
        (frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]), "the server reset the request: RST_STREAM REFUSED_STREAM"),
        (
            frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]),
            "the server ended the connection: GOAWAY ENHANCE_YOUR_CALM",
        ),
        (frame(DATA, 1, 1, b"x"), "what came is no valid HTTP/2: PROTOCOL_ERROR"),
        (frame(HEADERS, 5, 1, &[0xff; 20]), "what came is no valid HTTP/2: PROTOCOL_ERROR"),
    ] {
        let (seen, _) = hostile(first, vec![]).await;
        assert_eq!(seen, format!("not a valid HTTP response: {expected}"));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout() {
    let (address, _) = serve_frames(vec![], vec![]).await;
    let settings = HealthSettings { timeout: Duration::from_millis(300), ..settings(ProbeProtocol::H2c) };
    assert_eq!(probe(&address, settings).await, Err(ProbeFailure::Timeout));
}
