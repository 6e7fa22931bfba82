//! Bad input that is more than a wrong word: crowds, floods, halves and full disks. What must hold is that the host
//! answers its owner, grows by little, and loses nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::http::request;
use crate::support::{Site, fleet, program, repository, wait_for};

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn site() -> (Site, u16) {
    let site = Site::new();
    let databases = fleet::databases(2);
    site.write("phasegate.toml", databases.toml());
    (site, databases.api_port)
}

#[test]
fn ten_thousand_connections_leave_room_for_one_more() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    let before = resident_kib(host.pid());
    // As many at a time as this process may hold open; the host closes the oldest of those who say nothing.
    let limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limits.maximum.unwrap_or(20_000).saturating_sub(300);
    let held = usize::try_from(most.min(10_000)).unwrap();
    let raised = rustix::process::Rlimit { current: limits.maximum, maximum: limits.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let mut open = std::collections::VecDeque::new();
    let (mut made, mut slowest) = (0, Duration::ZERO);
    while made < 10_000 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            made += 1;
            open.push_back(stream);
        }
        if open.len() > held {
            open.pop_front();
        }
        if made % 1_000 == 0 {
            let begun = Instant::now();
            assert!(request(port, "GET /healthz", "").starts_with("HTTP/1.1 200 "));
            slowest = slowest.max(begun.elapsed());
        }
    }
    println!("{} of them held open at the end", open.len());
    for words in [&["fleet"][..], &["line", "stop", "--reason", "crowd"], &["line", "start"]] {
        let ended = site.run(words);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let grown = resident_kib(host.pid()).saturating_sub(before);
    println!("10,000 connections: healthz {slowest:?} at most, {grown} KiB more");
    assert!(grown < 64 * 1024, "the host grew by {grown} KiB");
    drop(open);
    host.stop();
}

/// Sends JSON until the host has had enough; what it answered, and how much it was sent.
fn flood(port: u16, head: &str, piece: &[u8]) -> (String, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(piece).is_ok() {
        sent += piece.len() as u64;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), sent)
}

#[test]
fn a_gigabyte_of_json_is_refused_long_before_its_end() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    let before = resident_kib(host.pid());
    let route = format!("POST /v1/line/stop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    let text = [b'x'; 65_536];
    let chunk = [b"10000\r\n".as_slice(), &text, b"\r\n"].concat();
    for (head, piece) in [
        (
            format!(
                "{route}Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{{\"reason\":\""
            ),
            text.to_vec(),
        ),
        (format!("{route}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"), chunk),
    ] {
        let (answer, sent) = flood(port, &head, &piece);
        println!("refused after {} KiB: {}", sent / 1024, answer.lines().next().unwrap_or_default());
        assert!(sent < 64 << 20, "{sent} bytes were taken");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    let deep = format!("{{\"reason\":{}", "[".repeat(20_000));
    let head = format!(
        "{route}Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        deep.len()
    );
    let (answer, _) = flood(port, &head, deep.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(site.run(&["line", "status"]).code, 0, "nobody stopped it");
    let grown = resident_kib(host.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "the host grew by {grown} KiB");
    host.stop();
}

#[test]
fn half_a_file_of_tokens_lets_nobody_else_in_and_nobody_out() {
    let site = Site::new();
    let databases = fleet::databases(2);
    let toml = databases.toml().replacen("dataDir", "tokens = \"tokens\"\ndataDir", 1);
    site.write("phasegate.toml", toml);
    let made = site.run(&["token", "new", "ann", "--role", "admin", "-c", "phasegate.toml"]);
    assert_eq!(made.code, 0, "{made:?}");
    let token = made
        .stdout
        .lines()
        .map(str::trim)
        .find(|line| line.len() >= 20 && !line.contains(' '))
        .unwrap()
        .to_owned();
    let fleet = || site.run(&["fleet", "--token", &token]);
    let host = site.spawn(&["run"]);
    wait_for("the host to answer", || (fleet().code == 0).then_some(()));
    let whole = fs::read(site.path("tokens")).unwrap();
    let half = &whole[..whole.len() / 2];
    site.write("tokens", half);
    wait_for("the half to be told", || site.log().contains("stay in force").then_some(()));
    assert_eq!(fleet().code, 0, "those before stay in force");
    assert_ne!(site.run(&["fleet", "--token", "a-long-word-that-nobody-has-made"]).code, 0);
    host.stop();
    let refused = site.run(&["run"]);
    assert!(refused.code == 2 && refused.stderr.contains("tokens"), "{refused:?}");
    site.write("tokens", whole);
    let host = site.spawn(&["run"]);
    wait_for("the host to answer", || (fleet().code == 0).then_some(()));
    host.stop();
}

/// A record of schema 5 whose trail takes some megabytes.
fn large(site: &Site) {
    fs::create_dir(site.path("data")).unwrap();
    let path = site.path("data/phasegate.db");
    fs::copy(repository().join("tests/fixtures/record-5/phasegate.db"), &path).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    let many = "WITH RECURSIVE many(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM many WHERE n < 20000)
        INSERT INTO audit SELECT n, at, scale_set, upgrade, instance, kind, entry FROM many, audit WHERE seq = 1";
    connection.execute_batch(many).unwrap();
}

#[test]
fn a_disk_that_is_full_while_a_record_is_brought_up_leaves_it_as_it_was() {
    let (site, _) = site();
    large(&site);
    let whole = fs::metadata(site.path("data/phasegate.db")).unwrap().len();
    let schema = || -> i64 {
        let connection = rusqlite::Connection::open(site.path("data/phasegate.db")).unwrap();
        let lines: i64 = connection.query_row("SELECT COUNT(*) FROM audit", [], |row| row.get(0)).unwrap();
        assert!(lines > 19_000, "{lines}");
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    // From where not even the copy has room up to where it has and the tables have not.
    for percent in [10, 60, 99, 101] {
        let blocks = whole * percent / 100 / 512;
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" data adopt --data-dir data");
        let mut command = Command::new("sh");
        command.args(["-c", &script, program()]).current_dir(site.directory.path());
        command.stdin(Stdio::null()).process_group(0);
        let ended: crate::support::Finished = command.output().unwrap().into();
        assert!(ended.code == 1 || ended.code == 2, "{percent} %: {ended:?}");
        if schema() == 5 {
            assert!(ended.code != 0 && ended.stderr.contains("phasegate.db"), "{percent} %: {ended:?}");
        }
    }
    // With room it goes on.
    assert_eq!(site.run(&["data", "adopt", "--data-dir", "data"]).code, 1, "nothing speaks against it");
    assert_eq!(schema(), 7);
    assert_eq!(site.run(&["data", "check", "--data-dir", "data"]).code, 0);
}

#[test]
fn a_backup_of_a_newer_version_is_refused_and_changes_nothing() {
    let (site, _) = site();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    assert_eq!(site.run(&["data", "backup", "copy.db"]).code, 0);
    host.stop();
    let connection = rusqlite::Connection::open(site.path("copy.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA user_version = 99; UPDATE reader SET least_version = '9.9.9', why = 'it is from later'",
        )
        .unwrap();
    drop(connection);
    let before = fs::read(site.path("data/phasegate.db")).unwrap();
    let refused = site.run(&["data", "restore", "copy.db"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for part in ["schema 99", "9.9.9", "it is from later"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    assert_eq!(fs::read(site.path("data/phasegate.db")).unwrap(), before);
    site.host().stop();
}

#[test]
fn since_last_year_is_a_place_in_the_trail_and_none_in_the_stream() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    let all = site.json(&["log", "orders"]);
    assert_eq!(site.json(&["log", "orders", "--since", "2019-01-01T00:00:00Z"])["entries"], all["entries"]);
    assert_eq!(site.json(&["log", "orders", "--since", "P365D"])["entries"], all["entries"]);
    for since in ["2019-01-01T00:00:00Z", "P365D", "-5", "1e9"] {
        let answer = request(port, &format!("GET /v1/events?since={since}"), "");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{since}: {answer}");
    }
    let answer = request(port, "GET /v1/events?since=999999999", "");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    host.stop();
}
