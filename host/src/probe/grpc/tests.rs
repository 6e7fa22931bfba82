//! The health service as real servers answer it, and as broken ones do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::probe::testing::frames::{Given, frame, serve_frames, serve_h2c};
use crate::probe::testing::{probe, settings, short};
use phasegate_core::domain::{ProbeFailure, ProbeProtocol};

fn asking(service: &str) -> HealthSettings {
    HealthSettings { grpc_service: service.to_owned(), ..settings(ProbeProtocol::Grpc) }
}

fn pairs(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn given(body: Vec<u8>, trailers: Option<&[(&'static str, &str)]>) -> Given {
    let head = pairs(&[("content-type", "application/grpc+proto")]);
    Given { head, status: 200, body, trailers: trailers.map(pairs) }
}

const DONE: Option<&[(&str, &str)]> = Some(&[("grpc-status", "0")]);

async fn check(given: Given) -> String {
    let address = serve_h2c(move |_| given.clone()).await;
    short(probe(&address, asking("")).await)
}

#[tokio::test]
async fn what_the_service_says_is_a_body() {
    for (number, name) in
        [(0, "UNKNOWN"), (1, "SERVING"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN"), (9, "9")]
    {
        let seen = check(given(message(&[0x08, number]), DONE)).await;
        assert_eq!(
            seen,
            format!(r#"200 [("content-type", "application/grpc+proto")] "{{\"status\":\"{name}\"}}""#)
        );
    }
    let seen = check(given(message(&[]), DONE)).await;
    assert!(seen.contains("UNKNOWN"), "{seen}");
}

#[tokio::test]
async fn the_call_is_what_grpc_servers_expect() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let address = serve_h2c(move |asked| {
        all.lock().unwrap().push(asked);
        given(message(&[0x08, 1]), DONE)
    })
    .await;
    let headers = vec![("Authorization".to_owned(), "Bearer x".to_owned())];
    let asked = HealthSettings { request_headers: headers, ..asking("orders.v1.Orders") };
    assert!(probe(&address, asked).await.is_ok());
    let seen = seen.lock().unwrap();
    let [asked] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((asked.method.as_str(), &*asked.uri), ("POST", &*format!("http://{address}{METHOD}")));
    assert_eq!(asked.body, [&[0, 0, 0, 0, 18, 0x0a, 16][..], b"orders.v1.Orders"].concat());
    for (name, value) in [
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "10000m"),
        ("authorization", "Bearer x"),
    ] {
        assert_eq!(asked.headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn an_error_of_grpc_is_what_the_service_says() {
    // In trailers, and in an answer that is trailers alone.
    let error = [("grpc-status", "5"), ("grpc-message", "no%20such%20service%3a %22x%22")];
    let alone = Given {
        head: pairs(&[&[("content-type", "application/grpc")][..], &error].concat()),
        ..given(vec![], None)
    };
    for given in [given(vec![], Some(&error)), alone] {
        let address = serve_h2c(move |_| given.clone()).await;
        let body = probe(&address, asking("x")).await.unwrap().body;
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"grpcStatus":"NOT_FOUND","grpcMessage":"no such service: \"x\""}"#
        );
    }
    let seen = check(given(vec![], Some(&[("grpc-status", "12")]))).await;
    assert!(seen.contains("UNIMPLEMENTED"), "{seen}");
    let seen = check(given(vec![], Some(&[("grpc-status", "4000000000")]))).await;
    assert!(seen.contains("4000000000"), "{seen}");
}

#[tokio::test]
async fn what_is_no_answer_in_grpc_names_the_thing() {
    let of_type =
        |name: &str| Given { head: pairs(&[("content-type", name)]), ..given(message(&[0x08, 1]), DONE) };
    let compressed = Given {
        head: pairs(&[("content-type", "application/grpc"), ("grpc-encoding", "gzip")]),
        ..given(vec![1, 0, 0, 0, 2, 8, 1], DONE)
    };
    for (given, expected) in [
        (
            Given { status: 503, ..given(vec![], None) },
            "HTTP status 503, where a gRPC server answers with 200",
        ),
        (of_type("text/html"), "content-type `text/html`, where a gRPC server says application/grpc"),
        (of_type("application/grpcx"), "content-type `application/grpcx`"),
        (Given { head: vec![], ..given(message(&[0x08, 1]), DONE) }, "no content-type"),
        (given(message(&[0x08, 1]), None), "no grpc-status: the server did not end its answer"),
        (given(message(&[0x08, 1]), Some(&[("grpc-status", "zero")])), "grpc-status `zero` is no code"),
        (given(vec![], DONE), "no message although grpc-status is 0"),
        (compressed, "a compressed message (grpc-encoding `gzip`), which was not asked for"),
        (given(message(&[0x08, 1]).repeat(2), DONE), "7 bytes behind the one message"),
        (given(vec![0, 0, 0, 1, 0, 8], DONE), "a message of 256 bytes of which 1 came"),
    ] {
        let seen = check(given).await;
        assert!(seen.starts_with("not a valid HTTP response: ") && seen.contains(expected), "{seen}");
    }
    let long = given(vec![0; MESSAGE_MAX + 1], DONE);
    assert_eq!(check(long).await, "body longer than 4096 bytes");
}

#[tokio::test]
async fn a_window_that_is_never_opened_is_a_timeout() {
    // SETTINGS_INITIAL_WINDOW_SIZE 0: nothing of the call's message may be sent.
    let (address, _) = serve_frames(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), vec![]).await;
    let asked = HealthSettings { timeout: Duration::from_millis(300), ..asking("a") };
    assert_eq!(probe(&address, asked).await, Err(ProbeFailure::Timeout));
}
