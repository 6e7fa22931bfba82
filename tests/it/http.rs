//! The HTTP API as a stranger would try it: wrong methods and paths, slow and foreign requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Site, fleet};

/// Sends raw bytes and gives the status line and the body.
fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

pub fn request(port: u16, line: &str, headers: &str) -> String {
    exchange(
        port,
        &format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n"),
    )
}

/// What is asked, with which headers, and the status that it gets.
const ASKED: &[(&str, &str, &str)] = &[
    ("GET /healthz", "", "200"),
    ("GET /v1/fleet", "", "200"),
    ("GET /readyz", "", "200"),
    ("GET /v1/version", "", "200"),
    ("GET /v1/scale-sets", "", "200"),
    ("GET /metrics", "", "200"),
    ("POST /metrics", "", "405"),
    ("GET /v1/scale-sets/orders/log?instance=0", "", "200"),
    ("GET /v1/scale-sets/orders/log?instance=..%2f", "", "400"),
    ("GET /v1/scale-sets/orders/instances/0", "", "200"),
    ("GET /v1/scale-sets/orders/instances/nobody", "", "404"),
    ("GET /v1/scale-sets/nope/instances/0", "", "404"),
    ("GET /v1/scale-sets/orders/log?id=0", "", "400"),
    ("GET /v1/scale-sets/%6frders/plan?to=v%32", "", "200"),
    ("DELETE /v1/fleet", "", "405"),
    ("POST /v1/fleet", "", "405"),
    ("GET /v1/scale-sets/orders/upgrade/cancel", "", "405"),
    ("GET /v1/reload", "", "405"),
    ("HEAD /v1/reload", "", "405"),
    ("HEAD /v1/fleet", "", "200"),
    ("GET /v1/openapi.json", "", "200"),
    ("GET /v1/fleet?set=orders", "", "400"),
    ("POST /v1/line/stop?reason=x", "", "400"),
    ("GET /v1/plugins/azure-health/explode", "", "404"),
    ("GET /v1/extensionTypes", "", "200"),
    ("GET /v1/extensionTypes/contoso/agent", "", "404"),
    ("GET /v1/extensionTypes/contoso/agent/plan?version=1.2", "", "404"),
    ("GET /v1/extensionTypes/contoso/agent/plan?version=v2", "", "400"),
    (
        "POST /v1/extensionTypes/contoso/agent/publish",
        "Content-Length: 17\r\n\r\n{\"version\":\"1.2\"}",
        "404",
    ),
    ("GET /v1/features", "", "200"),
    ("GET /v1/releases", "", "200"),
    ("GET /v1/releases/nope", "", "404"),
    ("POST /v1/releases/nope/explode", "", "404"),
    ("POST /v1/releases/nope/approve", "", "400"),
    ("GET /nowhere", "", "404"),
    ("GET /v1/scale-sets/nope/plan", "", "404"),
    ("GET /v1/scale-sets/orders/discovery", "", "404"),
    ("POST /v1/scale-sets/orders/discovery/accept", "", "404"),
    ("POST /v1/scale-sets/orders/upgrade/explode", "", "404"),
    ("GET /v1/scale-sets/orders/plan?to=v%zz", "", "400"),
    ("GET /v1/scale-sets/orders/plan?to=v2&to=v3", "", "400"),
    ("GET /v1/scale-sets/orders/plan?from=v1", "", "400"),
    ("GET /v1/scale-sets/..%2f..%2fetc/plan", "", "400"),
    ("GET /v1/fleet", "Origin: http://evil.example\r\n", "403"),
    ("POST /v1/scale-sets/orders/upgrade", "Content-Length: 5\r\n\r\n[1,2]", "400"),
    ("POST /v1/scale-sets/orders/upgrade", "Content-Length: 14\r\n\r\n{\"too\": \"v2\"}x", "400"),
    ("POST /v1/scale-sets/orders/upgrade", "Content-Length: 1000000000\r\n", "413"),
    ("POST /v1/scale-sets/orders/upgrade", "Content-Length: 9\r\n", "408"),
];

#[test]
fn wrong_requests_get_the_right_status_and_an_error_body() {
    let site = Site::new();
    let databases = fleet::databases(3);
    let port = databases.api_port;
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    for &(line, headers, status) in ASKED {
        let answer = request(port, line, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {headers}: {answer}");
        let says_why = status != "200" && !line.starts_with("HEAD ");
        assert_eq!(says_why, answer.contains("{\"error\":{\"code\":"), "{line}: {answer}");
        for header in
            ["phasegate-version: ", "x-content-type-options: nosniff\r\n", "cache-control: no-store\r\n"]
        {
            assert!(answer.contains(header), "{line}: {answer}");
        }
    }
    let other = request(port, "GET /v1/reload", "").to_ascii_lowercase();
    assert!(other.contains("\r\nallow: post\r\n") && other.contains("only post"), "{other}");
    let head = request(port, "HEAD /healthz", "");
    assert!(head.contains("content-length: 15\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let foreign = exchange(port, "GET /v1/fleet HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn tricks_with_paths_bodies_and_headers_are_refused() {
    let site = Site::new();
    let databases = fleet::databases(2);
    let port = databases.api_port;
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    for (line, headers, status) in [
        ("GET /v1/../healthz", "", "400"),
        ("GET /v1/%2e%2e/healthz", "", "400"),
        ("GET //v1/fleet", "", "400"),
        ("GET /v1/scale-sets/a%00b/plan", "", "400"),
        ("GET /v1/fleet", "Content-Length: 2\r\n\r\n{}", "400"),
        ("POST /v1/plugins/azure-health/promote", "Content-Length: 7\r\n\r\n{\"a\":1}", "400"),
        ("GET /v1/line", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "400"),
        ("POST /v1/scale-sets/orders/upgrade", "Content-Length: 18\r\n\r\n{\"to\":\"a\",\"to\":1}", "400"),
        ("GET /v1/fleet", "Sec-Fetch-Site: cross-site\r\n", "403"),
        ("GET /v1/fleet", "Host: localhost\r\n", "400"),
    ] {
        let answer = request(port, line, headers);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {headers}: {answer}");
        assert!(answer.contains("{\"error\":{\"code\":"), "{line}: {answer}");
    }
    let options = request(port, "OPTIONS /v1/reload", "").to_ascii_lowercase();
    assert!(options.starts_with("http/1.1 204 ") && options.contains("\r\nallow: post\r\n"), "{options}");
    let long = request(port, &format!("GET /v1/{}", "a".repeat(5000)), "");
    assert!(long.starts_with("HTTP/1.1 400 "), "{long}");
    host.stop();
}

#[test]
fn a_start_that_is_sent_twice_under_one_key_starts_once() {
    let site = Site::new();
    let databases = fleet::databases(3);
    let port = databases.api_port;
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    site.wait_until_healthy();
    let start = |body: &str| {
        let key = "Idempotency-Key: deploy-1\r\n";
        let headers = format!("{key}Content-Length: {}\r\n\r\n{body}", body.len());
        request(port, "POST /v1/scale-sets/orders/upgrade", &headers)
    };
    let first = start("{\"to\": \"v2\"}");
    assert!(first.starts_with("HTTP/1.1 202 ") && first.contains("\"id\":\"orders-1\""), "{first}");
    let again = start("{\"to\": \"v2\"}");
    assert!(again.starts_with("HTTP/1.1 202 ") && again.contains("\"id\":\"orders-1\""), "{again}");
    let other = start("{\"to\": \"v3\"}");
    assert!(other.starts_with("HTTP/1.1 409 ") && other.contains("deploy-1"), "{other}");
    let none = request(port, "POST /v1/line/start", "Idempotency-Key: two words\r\n");
    assert!(none.starts_with("HTTP/1.1 400 "), "{none}");
    let log = site.json(&["upgrade", "log", "orders"]);
    let starts = log["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "start");
    assert_eq!(starts.count(), 1, "{log}");
    host.stop();
}

#[test]
fn a_reload_that_is_sent_twice_under_one_key_is_done_once() {
    let site = Site::new();
    let mut databases = fleet::databases(3);
    databases.policy = "maxBatchInstancePercent = 20";
    let port = databases.api_port;
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    site.wait_until_healthy();
    let reload = |key: &str| request(port, "POST /v1/reload", &format!("Idempotency-Key: {key}\r\n"));
    let policy = |percent: u32| {
        let rule = |percent: u32| format!("maxBatchInstancePercent = {percent}");
        site.write("phasegate.toml", databases.toml().replace(&rule(20), &rule(percent)));
    };
    let changed = "\"changed\":[\"scale set `orders` (upgradePolicy)\"]";
    policy(40);
    let first = reload("reload-1");
    assert!(first.starts_with("HTTP/1.1 200 ") && first.contains(changed), "{first}");
    policy(60);
    let again = reload("reload-1");
    assert!(again.starts_with("HTTP/1.1 200 ") && again.contains(changed), "{again}");
    let in_force = || {
        site.json(&["upgrade", "plan", "orders", "--to", "v2", "--detail"])["limits"]["maxBatchInstancePercent"].clone()
    };
    assert_eq!(in_force(), 40, "it was not done again");
    let other = reload("reload-2");
    assert!(other.contains(changed), "{other}");
    assert_eq!(in_force(), 60);
    host.stop();
    // After a restart the host goes by the file, and still knows what it was asked for.
    policy(50);
    let host = site.host();
    let again = reload("reload-1");
    assert!(again.starts_with("HTTP/1.1 200 ") && again.contains(changed), "{again}");
    let taken = request(port, "POST /v1/line/start", "Idempotency-Key: reload-1\r\n");
    assert!(taken.starts_with("HTTP/1.1 409 "), "{taken}");
    host.stop();
}
