//! The doors as somebody outside would try them: who keeps whom out, tokens and their roles, a socket, TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Finished, Site, fleet, wait_for};

const CA: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/agent.pem");
const KEY: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/agent-key.pem");
const EXPIRED_CERT: &[u8] = include_bytes!("../../host/src/probe/testdata/expired-cert.pem");
const EXPIRED_KEY: &[u8] = include_bytes!("../../host/src/probe/testdata/expired-key.pem");

/// A configuration with these lines in its `[server]`; gives the port.
fn configure(site: &Site, lines: &str) -> u16 {
    let databases = fleet::databases(2);
    site.write("phasegate.toml", databases.toml().replacen("dataDir", &format!("{lines}\ndataDir"), 1));
    databases.api_port
}

/// The host, once it answers without a token.
fn ready(port: u16) {
    wait_for("the host to be ready", || {
        answers(port, "GET /readyz", "").starts_with("HTTP/1.1 200 ").then_some(())
    });
}

/// Like any client: what comes back to a request, empty when nothing does.
fn answers(port: u16, line: &str, headers: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _ = write!(stream, "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Follows the events until the host ends that.
fn following(port: u16, token: &str) -> std::thread::JoinHandle<String> {
    let bearer = format!("Authorization: Bearer {token}\r\n");
    std::thread::spawn(move || answers(port, "GET /v1/events", &bearer))
}

/// What a command took.
fn timed(site: &Site, arguments: &[&str]) -> (Finished, Duration) {
    let begun = Instant::now();
    let finished = site.run(arguments);
    assert_eq!(finished.code, 0, "{arguments:?}: {finished:?}");
    (finished, begun.elapsed())
}

/// Sends the head of an upload and then bytes until the host has had enough.
fn upload(port: u16, enough: &AtomicBool) {
    let head = format!(
        "POST /v1/plugins/db/swap HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 67108864\r\n\r\n"
    );
    while !enough.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(&[0; 65536]).is_ok() {
            if enough.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Sends the head of a request byte by byte and never comes to its end.
fn dribble(port: u16, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let _ = stream.write_all(b"GET /v1/fleet HTTP/1.1\r\nX-Slow: ");
        while !enough.load(Ordering::Relaxed) && stream.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_host_whose_record_is_gone_is_not_ready_before_anybody_asks_it_to_record() {
    for name in ["lock", "phasegate.db"] {
        let site = Site::new();
        let port = configure(&site, "");
        let host = site.host();
        ready(port);
        let path = site.path("data").join(name);
        let aside = site.path("aside");
        std::fs::rename(&path, &aside).unwrap();
        let answer = answers(port, "GET /readyz", "");
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("nothing can be recorded"),
            "{answer}"
        );
        assert!(answers(port, "GET /healthz", "").starts_with("HTTP/1.1 200 "), "the host itself works");
        std::fs::rename(&aside, &path).unwrap();
        ready(port);
        host.stop();
    }
}

#[test]
fn nobody_keeps_the_owner_of_the_token_out() {
    let site = Site::new();
    site.write("token", "a-long-random-word-of-the-owner");
    let port = configure(&site, "tokenFile = \"token\"");
    let host = site.host();
    site.wait_until_healthy();
    let before = resident_kib(host.pid());
    let limit = rustix::process::Rlimit { current: Some(4096), maximum: Some(4096) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    let enough = AtomicBool::new(false);
    let (fleet, stop, health, most) = std::thread::scope(|scope| {
        let silent: Vec<_> = (0..1000).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        for _ in 0..24 {
            scope.spawn(|| upload(port, &enough));
            scope.spawn(|| dribble(port, &enough));
        }
        let mut most = 0;
        let mut measured = |arguments: &[&str]| {
            let (_, took) = timed(&site, arguments);
            most = most.max(resident_kib(host.pid()));
            took
        };
        let fleet = (0..5).map(|_| measured(&["fleet"])).max().unwrap();
        let stop = measured(&["line", "stop", "--reason", "a test"]);
        let begun = Instant::now();
        let healthy = answers(port, "GET /healthz", "");
        let health = begun.elapsed();
        enough.store(true, Ordering::Relaxed);
        assert!(healthy.starts_with("HTTP/1.1 200 "), "{healthy}");
        drop(silent);
        (fleet, stop, health, most)
    });
    let grown = most.saturating_sub(before);
    println!(
        "beside 1,000 silent connections, 24 slow ones and 24 uploads: fleet {fleet:?} (slowest of 5), line stop \
         {stop:?}, healthz {health:?}; memory {before} KiB, at most {grown} KiB more"
    );
    // Generous: what is wanted is less than a second; today's machine may be busy.
    let slowest = fleet.max(stop).max(health);
    assert!(slowest < Duration::from_secs(5), "the owner waited {slowest:?}");
    assert!(grown < 64 * 1024, "the host grew by {grown} KiB");
    host.stop();
}

#[test]
fn tokens_have_names_roles_and_an_end() {
    let site = Site::new();
    let port = configure(&site, "tokens = \"tokens\"");
    let missing = site.run(&["check"]);
    assert!(missing.code == 1 && missing.stdout.contains("phasegate token new"), "{missing:?}");
    let new = |name: &str, role: &str, more: &[&str]| {
        let finished = site.run(&[&["token", "new", name, "--role", role], more].concat());
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.stdout.trim().to_owned()
    };
    let reader = new("reader", "read", &[]);
    let approver = new("ann@ops", "approve", &["--expires", "P30D"]);
    let operator = new("ci", "operate", &[]);
    let old = new("old", "admin", &["--expires", "PT0S"]);
    let again = site.run(&["token", "new", "ci", "--role", "read"]);
    assert!(again.code == 1 && again.stderr.contains("there is a token `ci` already"), "{again:?}");
    let file = site.path("tokens");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(!kept.contains(&reader) && kept.contains("\"ann@ops\""), "{kept}");
    let listed = site.json(&["token", "list"]);
    let expired: Vec<_> =
        listed["tokens"].as_array().unwrap().iter().map(|one| one["expired"].clone()).collect();
    assert_eq!(expired, [false, false, false, true]);

    let host = site.spawn(&["run"]);
    ready(port);
    let ask = |token: &str, line: &str| answers(port, line, &format!("Authorization: Bearer {token}\r\n"));
    for (token, line, status, part) in [
        (&reader, "GET /v1/fleet", 200, ""),
        (&reader, "GET /nowhere", 404, ""),
        (&reader, "POST /v1/line/start", 403, "needs the role `operate`, and `reader` has `read`"),
        (&approver, "POST /v1/scale-sets/orders/upgrade/approve", 409, ""),
        (&approver, "POST /v1/scale-sets/orders/upgrade/cancel", 403, "needs the role `operate`"),
        (&operator, "POST /v1/line/start", 409, ""),
        (&operator, "POST /v1/reload", 403, "needs the role `admin`"),
        (&old, "GET /v1/fleet", 401, "the token `old` has expired"),
        (&"guess".to_owned(), "GET /v1/fleet", 401, "wrong token"),
    ] {
        let answer = ask(token, line);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part),
            "{line}: {answer}"
        );
    }
    let none = answers(port, "GET /v1/fleet", "");
    assert!(none.starts_with("HTTP/1.1 401 ") && none.contains("no token"), "{none}");
    assert!(none.to_ascii_lowercase().contains("www-authenticate: bearer"), "{none}");
    assert!(answers(port, "GET /healthz", "").starts_with("HTTP/1.1 200 "));
    let metrics = ask(&reader, "GET /metrics");
    for sample in ["{reason=\"noToken\"} 1", "{reason=\"wrongToken\"} 1", "{reason=\"expired\"} 1"] {
        assert!(metrics.contains(&format!("phasegate_api_denied_total{sample}")), "{metrics}");
    }

    // The trail names the bearer; a token that was revoked counts no more, while the host runs.
    let start = ["upgrade", "start", "orders", "--to", "v2", "--token", &operator];
    wait_for("the fleet to be fit for a start", || (site.run(&start).code == 0).then_some(()));
    let log = site.json(&["upgrade", "log", "orders", "--token", &reader]);
    assert!(log.to_string().contains("\"ci\""), "{log}");
    let follower = following(port, &operator);
    let followed = || ask(&reader, "GET /metrics").contains("phasegate_event_followers 1").then_some(());
    wait_for("the follower", followed);
    assert_eq!(site.run(&["token", "revoke", "ci"]).code, 0);
    wait_for("the token to count no more", || {
        ask(&operator, "GET /v1/fleet").starts_with("HTTP/1.1 401 ").then_some(())
    });
    let heard = follower.join().unwrap();
    assert!(heard.contains("\"following\"") && heard.contains("counts no more"), "{heard}");
    // A file that was cut off takes nothing away and is told of.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    wait_for("the damage to be told", || site.log().contains("stay in force").then_some(()));
    assert!(ask(&reader, "GET /v1/fleet").starts_with("HTTP/1.1 200 "));
    assert!(!site.log().contains(&reader), "no secrets in logs");
    host.stop();
}

#[test]
fn a_socket_lets_in_who_may_open_it() {
    let site = Site::new();
    configure(&site, "");
    let text = std::fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let listen = text.lines().find(|line| line.starts_with("listen")).unwrap();
    let socket = "listen = \"unix:phasegate.sock\"\nsocket = { mode = \"0660\" }";
    site.write("phasegate.toml", text.replace(listen, socket));
    let path = site.path("phasegate.sock");
    site.write("phasegate.sock", "not a socket");
    let refused = site.run(&["run"]);
    assert!(refused.code == 2 && refused.stderr.contains("is there and is no socket"), "{refused:?}");
    std::fs::remove_file(&path).unwrap();
    // A host that was killed leaves its socket.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let host = site.host();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let second = site.run(&["run"]);
    assert!(second.code == 2 && second.stderr.contains("listens on"), "{second:?}");
    let server = format!("unix:{}", path.display());
    assert_eq!(site.run(&["fleet", "--server", &server]).code, 0);
    let mut raw = UnixStream::connect(&path).unwrap();
    raw.write_all(b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2"]).code, 0);
    let log = site.json(&["upgrade", "log", "orders"]).to_string();
    let user =
        String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    assert!(log.contains(&format!("\"{}\"", user.trim())), "the user is named: {log}");
    host.stop();
    assert!(!path.exists(), "the socket goes with its host");
}

#[test]
fn connections_are_encrypted_and_the_pair_is_read_again() {
    let site = Site::new();
    site.write("ca.pem", CA);
    site.write("server.pem", CERT);
    site.write("server.key", EXPIRED_KEY);
    let port = configure(&site, "tls = { certificate = \"server.pem\", key = \"server.key\" }");
    for (key, part) in [
        (EXPIRED_KEY, "does not fit the certificate"),
        (&b"no key"[..], "holds no private key in PEM"),
        (&KEY[..KEY.len() / 2], "holds no private key in PEM"),
    ] {
        site.write("server.key", key);
        let checked = site.run(&["check"]);
        assert!(checked.code == 1 && checked.stdout.contains(part), "{checked:?}");
    }
    std::fs::remove_file(site.path("server.key")).unwrap();
    let checked = site.run(&["check"]);
    assert!(checked.code == 1 && checked.stdout.contains("server.key"), "{checked:?}");
    site.write("server.key", KEY);
    let server = format!("https://localhost:{port}");
    let https = || site.run(&["fleet", "--server", &server, "--ca-file", "ca.pem"]);
    let host = site.spawn(&["run"]);
    wait_for("the host to answer", || (https().code == 0).then_some(()));
    let untrusted = site.run(&["fleet", "--server", &server]);
    assert!(untrusted.code == 2 && untrusted.stderr.contains("certificate"), "{untrusted:?}");
    let clear = site.run(&["fleet", "--server", &format!("localhost:{port}")]);
    assert_eq!(clear.code, 2, "{clear:?}");
    // A key without its certificate changes nothing, the whole pair takes over.
    site.write("server.key", EXPIRED_KEY);
    wait_for("the misfit to be told", || {
        site.log().contains("the certificate before stays in force").then_some(())
    });
    assert_eq!(https().code, 0);
    site.write("server.pem", EXPIRED_CERT);
    wait_for("the other pair to take over", || https().stderr.contains("certificate").then_some(()));
    site.write("server.pem", CERT);
    site.write("server.key", KEY);
    wait_for("the first pair to come back", || (https().code == 0).then_some(()));
    host.stop();
}

#[test]
fn no_route_takes_keys_that_it_does_not_know() {
    let site = Site::new();
    let port = configure(&site, "");
    let host = site.host();
    let document: serde_json::Value = {
        let answer = answers(port, "GET /v1/openapi.json", "");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let wish = if path.starts_with("/v1/releases") { "pause" } else { "cancel" };
        let path = path
            .replace("{wish}", wish)
            .replace("{publisher}", "contoso")
            .replace("{type}", "agent")
            .replace("{subscription}", "ours")
            .replace("{word}", "hold")
            .replace("{instance}", "0")
            .replace("{id}", "orders-1");
        let name = if path.starts_with("/v1/plugins") { "db" } else { "orders" };
        let path = path.replace("{name}", name);
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            let query = answers(port, &format!("{method} {path}?nonsense=1"), "");
            assert!(
                query.starts_with("HTTP/1.1 400 ") && query.contains("nonsense"),
                "{method} {path}: {query}"
            );
            let body = "{\"nonsense\": 1}";
            let sent = format!("Content-Length: {}\r\n\r\n{body}", body.len());
            let answer = answers(port, &format!("{method} {path}"), &sent);
            // A component is no JSON: it is refused as what it is.
            let refused = if path.ends_with("/swap") { "HTTP/1.1 422 " } else { "HTTP/1.1 400 " };
            assert!(answer.starts_with(refused), "{method} {path}: {answer}");
            assert!(operation["x-phasegate-role"].is_string(), "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    host.stop();
}
