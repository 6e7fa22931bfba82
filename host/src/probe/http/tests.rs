//! Real servers on the loopback interface, most of them ill-behaved.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::*;
use crate::probe::testing::{
    PATIENCE, answer, closed_port, listen, listen_on, probe, read_request, serve, settings, short,
};

async fn probe_http_at(address: &Address) -> Result<Response, ProbeFailure> {
    probe(address, settings(ProbeProtocol::Http)).await
}

/// Result of a probe of a server that answers with `bytes` and closes, in short.
async fn check(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    let address = serve(move |stream| answer(stream, bytes.clone())).await;
    short(probe_http_at(&address).await)
}

#[tokio::test]
async fn whole_responses_arrive_as_they_are() {
    for (bytes, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: x\r\nX-PHASE: 3\r\n\
             Content-Length: 13\r\n\r\n{\"state\": \"a\"}",
            r#"200 [("content-type", "application/json"), ("x-phase", "3")] "{\"state\": \"a\"""#,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Phase: 9\r\n\r\n",
            r#"200 [] "abcdefg""#,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-type: text/html\r\n\r\n<p>hi",
            r#"200 [("content-type", "text/html")] "<p>hi""#,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", r#"204 [] """#),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", r#"302 [] """#),
        ("HTTP/1.1 503 Sorry\r\nContent-Length: 4\r\n\r\nbusy", r#"503 [] "busy""#),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", r#"200 [] "a""#),
        (
            "HTTP/1.1 200 OK\r\nX-Phase: 1\r\nX-Phase: 2\r\n\r\n",
            r#"200 [("x-phase", "1"), ("x-phase", "2")] """#,
        ),
    ] {
        assert_eq!(check(bytes).await, expected, "{bytes}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_invalid_response() {
    let closed = "not a valid HTTP response: the connection was closed before the response was complete";
    for (bytes, expected) in [
        ("", closed),
        ("HTTP/1.1 200 OK\r\nContent-Le", closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", closed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", closed),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "not a valid HTTP response: a chunk has no valid size",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "not a valid HTTP response: it does not begin with HTTP/1.0 or HTTP/1.1"),
        (
            "\u{0}\u{1}\u{1b}]0;owned\u{7}\r\n\r\n",
            "not a valid HTTP response: it does not begin with HTTP/1.0 or HTTP/1.1",
        ),
        ("HTTP/2 200\r\n\r\n", "not a valid HTTP response: it does not begin with HTTP/1.0 or HTTP/1.1"),
        (
            "HTTP/1.1 two OK\r\n\r\n",
            "not a valid HTTP response: its status line has no status of three digits",
        ),
        ("HTTP/1.1 099 No\r\n\r\n", "not a valid HTTP response: status 99 (100 to 599)"),
        ("HTTP/1.1 999 No\r\n\r\n", "not a valid HTTP response: status 999 (100 to 599)"),
    ] {
        assert_eq!(check(bytes).await, expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_size() {
    let limit = "not a valid HTTP response: more than 1048576 bytes of headers";
    let one = |length| format!("HTTP/1.1 200 OK\r\nX-Other: {}\r\n\r\n", "a".repeat(length));
    assert_eq!(check(one(1_100_000)).await, limit);
    assert_eq!(check(one(1_000_000)).await, r#"200 [] """#);
    let many = format!("HTTP/1.1 200 OK\r\n{}X-Phase: 7\r\n\r\n", "A: b\r\n".repeat(20_000));
    assert_eq!(check(many).await, r#"200 [("x-phase", "7")] """#);

    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Phase: 1\r\n".repeat(90));
    assert_eq!(check(many).await.matches("x-phase").count(), HEADERS_MAX);
    let long = format!("HTTP/1.1 200 OK\r\nX-Phase: {}\r\n\r\n", "a".repeat(HEADER_VALUE_MAX + 1));
    assert_eq!(check(long).await, r#"200 [] """#);
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_cap_and_no_longer() {
    for (length, whole) in [(1_000, true), (1_001, false)] {
        let body = "x".repeat(length);
        for head in [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
            "HTTP/1.0 200 OK\r\n\r\n".to_owned(),
        ] {
            let seen = check(head + &body).await;
            let expected =
                if whole { format!("200 [] {body:?}") } else { "body longer than 1000 bytes".into() };
            assert_eq!(seen, expected);
        }
    }
}

/// Sends the head, then `piece` again and again until the prober hangs up.
async fn send_without_end(mut stream: TcpStream, head: &'static str, piece: Vec<u8>) {
    read_request(&mut stream).await;
    let mut sent = stream.write_all(head.as_bytes()).await;
    while sent.is_ok() {
        sent = stream.write_all(&piece).await;
    }
}

#[tokio::test]
async fn endless_servers_cost_no_more_than_the_caps() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n",
    ] {
        let address = serve(move |stream| send_without_end(stream, head, vec![b'x'; 4_096])).await;
        assert_eq!(probe_http_at(&address).await, Err(ProbeFailure::BodyTooLarge(1_000)), "{head}");
    }
    let piece = b"A: bcdefgh\r\n".to_vec();
    let address = serve(move |stream| send_without_end(stream, "HTTP/1.1 200 OK\r\n", piece.clone())).await;
    let failure = probe_http_at(&address).await.unwrap_err();
    assert!(matches!(failure, ProbeFailure::InvalidResponse(_)), "{failure}");
}

#[tokio::test]
async fn every_way_to_hang_ends_at_the_time_limit() {
    async fn hang_after(mut stream: TcpStream, bytes: &'static str) {
        read_request(&mut stream).await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let _ = stream.read_u8().await;
    }
    async fn drip(mut stream: TcpStream) {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    }
    // The second never accepts: the system completes the connection, and nobody reads.
    let (silent, _listener) = listen().await;
    let addresses = [
        serve(|stream| hang_after(stream, "")).await,
        silent,
        serve(|stream| hang_after(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")).await,
        serve(drip).await,
    ];
    for (index, address) in addresses.iter().enumerate() {
        for protocol in [ProbeProtocol::Http, ProbeProtocol::Https] {
            let limit = Duration::from_millis(200);
            let began = Instant::now();
            let outcome = probe(address, HealthSettings { timeout: limit, ..settings(protocol) }).await;
            // The servers that answer plain HTTP fail an https probe sooner.
            let hangs = protocol == ProbeProtocol::Http || index <= 1;
            if hangs {
                assert_eq!(outcome, Err(ProbeFailure::Timeout), "{index} {protocol:?}");
                assert!(began.elapsed() >= limit, "{index}");
            }
            assert!(began.elapsed() < PATIENCE / 2, "{index}");
        }
    }
}

#[tokio::test]
async fn refused_and_reset_connections_are_unreachable() {
    let closed = closed_port().await;
    let expected = format!("unreachable: {closed}: connection refused");
    assert_eq!(short(probe_http_at(&closed).await), expected);

    let resets = serve(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    let expected = format!("unreachable: {resets}: connection reset");
    assert_eq!(short(probe_http_at(&resets).await), expected);

    let late = serve(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let failure = short(probe_http_at(&late).await);
    assert!(failure.ends_with("connection reset"), "{failure}");
}

/// The request as the server sees it.
async fn request_of(path: &str, change: impl FnOnce(&mut HealthSettings)) -> (Address, String) {
    let (address, listener) = listen().await;
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tell.send(read_request(&mut stream).await).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    let mut settings = settings(ProbeProtocol::Http);
    settings.request_path = path.to_owned();
    change(&mut settings);
    assert_eq!(probe(&address, settings).await.unwrap().status, 200);
    (address, told.await.unwrap())
}

#[tokio::test]
async fn the_request_is_short_and_fixed() {
    let (address, request) = request_of("/health?deep=1", |_| {}).await;
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /health?deep=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: phasegate/{version}\r\nAccept-Encoding: gzip\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a5_a11_to_a14_target_and_user_agent() {
    for (id, path, expected) in [
        ("A3", "/test", "/test"),
        ("A5", "test", "/test"),
        ("A11", "", "/"),
        ("A12", "/a%3Fb=1", "/a%3Fb=1"),
        ("A13", "/a%23b", "/a%23b"),
        ("A13", "/a%252Fb", "/a%252Fb"),
        ("A13", "/a%20b", "/a%20b"),
        ("-", "//other.example/x", "//other.example/x"),
    ] {
        let (_, request) = request_of(path, |settings| settings.profile = Profile::Azure).await;
        assert!(request.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{id} {request}");
        assert!(request.contains("\r\nUser-Agent: ApplicationHealthExtension/1.0\r\n"), "A14 {request}");
        assert!(request.contains("\r\nAccept-Encoding: gzip\r\n"), "{request}");
    }
}

#[test]
fn a1_to_a10_host_header() {
    for (id, protocol, port, expected) in [
        ("A1", ProbeProtocol::Http, 80, "localhost"),
        ("A2", ProbeProtocol::Https, 443, "localhost"),
        ("A3", ProbeProtocol::Http, 8080, "localhost:8080"),
        ("A4", ProbeProtocol::Https, 8080, "localhost:8080"),
        ("A9", ProbeProtocol::Http, 443, "localhost:443"),
        ("A10", ProbeProtocol::Https, 80, "localhost:80"),
    ] {
        let address = Address { host: "localhost".to_owned(), port };
        let request = String::from_utf8(request(&address, &settings(protocol)).unwrap()).unwrap();
        assert!(request.contains(&format!("\r\nHost: {expected}\r\n")), "{id}");
    }
    let v6 = Address { host: "::1".to_owned(), port: 80 };
    let request = String::from_utf8(request(&v6, &settings(ProbeProtocol::Http)).unwrap()).unwrap();
    assert!(request.contains("\r\nHost: [::1]\r\n"), "{request}");
}

#[tokio::test]
async fn headers_that_are_configured_go_in_the_place_of_the_hosts_own() {
    let said = |text: &[(&str, &str)]| {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let headers = said(&[("X-Probe", "1"), ("host", "app.example.com"), ("accept-encoding", "identity")]);
    let (_, request) = request_of("/health", |settings| settings.request_headers = headers).await;
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /health HTTP/1.1\r\nhost: app.example.com\r\nUser-Agent: phasegate/{version}\r\n\
         Connection: close\r\nX-Probe: 1\r\naccept-encoding: identity\r\n\r\n"
    );
    assert_eq!(request, expected);
}

/// How a server saw the end of a connection that it ended in order.
async fn end_of(protocol: ProbeProtocol, profile: Profile, bytes: &'static [u8]) -> &'static str {
    let (address, listener) = listen().await;
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if protocol != ProbeProtocol::Tcp {
            read_request(&mut stream).await;
            stream.write_all(bytes).await.unwrap();
        }
        let end = loop {
            match stream.read(&mut [0; 64]).await {
                Ok(0) => break "in order",
                Ok(_) => {}
                Err(_) => break "reset",
            }
        };
        tell.send(end).unwrap();
    });
    let settings = HealthSettings { profile, port: Some(address.port), ..settings(protocol) };
    _ = probe(&address, settings).await;
    told.await.unwrap()
}

#[tokio::test]
async fn a_probe_ends_in_order_unless_it_failed() {
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(end_of(ProbeProtocol::Http, Profile::Fleet, GOOD).await, "in order");
    assert_eq!(end_of(ProbeProtocol::Http, Profile::Azure, GOOD).await, "in order");
    assert_eq!(end_of(ProbeProtocol::Http, Profile::Fleet, b"SSH-2.0\r\n").await, "reset");
    assert_eq!(end_of(ProbeProtocol::Tcp, Profile::Fleet, b"").await, "in order");
    assert_eq!(end_of(ProbeProtocol::Tcp, Profile::Azure, b"").await, "reset");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_an_answer() {
    for _ in 0..50 {
        let address = serve(|mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await.unwrap();
        })
        .await;
        assert_eq!(short(probe_http_at(&address).await), r#"200 [] "a""#);
    }
}

#[tokio::test]
async fn names_ipv6_and_the_port_of_the_settings_work() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let address = serve(|stream| answer(stream, OK.to_vec())).await;
    let elsewhere = Address { host: "localhost".to_owned(), port: 1 };
    let with_port = HealthSettings { port: Some(address.port), ..settings(ProbeProtocol::Http) };
    assert_eq!(probe(&elsewhere, with_port).await.unwrap().status, 200);

    // Not every machine that builds this has IPv6.
    if let Ok((v6, listener)) = listen_on("::1").await {
        tokio::spawn(async move { answer(listener.accept().await.unwrap().0, OK.to_vec()).await });
        assert_eq!(probe_http_at(&v6).await.unwrap().status, 200);
        let refused = short(probe_http_at(&Address { port: closed_port().await.port, ..v6 }).await);
        assert!(refused.starts_with("unreachable: [::1]:"), "{refused}");
    }
}
