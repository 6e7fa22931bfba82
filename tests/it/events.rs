//! `GET /v1/events` as its followers see it: each line of the trail once and in order, over cut connections and
//! in both formats; what is asked for wrongly; and the commands that follow it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::http::request;
use crate::support::{Site, fleet};

/// One who follows.
pub(crate) struct Follower {
    lines: BufReader<TcpStream>,
}

impl Follower {
    /// Begins, and reads up to the body.
    pub(crate) fn new(port: u16, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // Of the old version, so that the body comes without chunks.
        let head = format!("GET /v1/events?{query} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut follower = Self { lines: BufReader::new(stream) };
        let status = follower.line().unwrap();
        assert!(status.contains(" 200 "), "{query}: {status}");
        while !follower.line().unwrap().is_empty() {}
        follower
    }

    /// None at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event of NDJSON.
    pub(crate) fn event(&mut self) -> Option<Value> {
        self.line().map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The next event of SSE, with its id.
    pub(crate) fn sse(&mut self) -> (Option<u64>, Value) {
        let mut id = None;
        loop {
            let line = self.line().unwrap();
            if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).unwrap());
            }
            if let Some(seq) = line.strip_prefix("id: ") {
                id = Some(seq.parse().unwrap());
            }
        }
    }

    /// Up to the end of an upgrade.
    fn until_the_end(&mut self, to: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().unwrap();
            let over = ended(&event, to);
            events.push(event);
            if over {
                return events;
            }
        }
    }
}

fn ended(event: &Value, to: &str) -> bool {
    event["type"] == "progress" && event["to"] == to && event["state"] != "RollingForward"
}

fn recorded<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<(u64, String)> {
    let lines = events.into_iter().filter(|event| event["type"] == "recorded");
    lines.map(|line| (line["seq"].as_u64().unwrap(), line["text"].as_str().unwrap().to_owned())).collect()
}

fn site() -> (Site, u16) {
    let site = Site::new();
    let databases = fleet::databases(3);
    site.write("phasegate.toml", databases.toml());
    (site, databases.api_port)
}

#[test]
fn who_comes_back_has_missed_nothing_and_hears_nothing_twice() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    let mut whole = Follower::new(port, "since=0&scaleSet=orders", "");
    let mut cut = Follower::new(port, "since=0&scaleSet=orders", "");
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);

    // One that is cut off after each few lines, and goes on in the other format.
    let mut pieces = Vec::new();
    let mut over = false;
    while !over {
        while recorded(&pieces).len() % 4 != 3 && !over {
            let event = cut.event().unwrap();
            over = ended(&event, "v2");
            pieces.push(event);
        }
        let (last, _) = recorded(&pieces).last().unwrap().clone();
        let mut sse = Follower::new(
            port,
            "since=0&scaleSet=orders",
            &format!("Accept: text/event-stream\r\nLast-Event-ID: {last}\r\n"),
        );
        while recorded(&pieces).len() % 4 == 3 && !over {
            let (id, event) = sse.sse();
            assert_eq!(id, event["seq"].as_u64(), "{event}");
            over = ended(&event, "v2");
            pieces.push(event);
        }
        drop(sse);
        let (last, _) = recorded(&pieces).last().unwrap().clone();
        cut = Follower::new(port, &format!("since={last}&scaleSet=orders"), "");
    }
    let whole = whole.until_the_end("v2");
    assert_eq!(whole[0]["type"], "following", "{}", whole[0]);
    assert_eq!(whole[0]["truncated"], Value::Null);
    let lines = recorded(&whole);
    assert!(lines.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once: {lines:?}");
    assert_eq!(recorded(&pieces), lines);
    let log = site.json(&["upgrade", "log", "orders"]);
    let log: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    let told: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(told, log);
    let last = whole.last().unwrap();
    assert_eq!((&last["state"], &last["progress"]["successful"]), (&"Completed".into(), &3.into()), "{last}");

    // The host's end is the end of the answer, after everything that was recorded.
    host.stop();
    let mut rest = Vec::new();
    while let Some(event) = cut.event() {
        rest.push(event);
    }
    assert_eq!(rest.last().map(|event| event["type"].clone()), Some("ending".into()), "{rest:?}");
}

#[test]
fn filters_leave_out_and_what_is_asked_for_wrongly_is_refused() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    let whole = Follower::new(port, "since=0", "").until_the_end("v2");
    let of = |key: &str, value: &str| {
        let of = whole.iter().filter(|event| event["type"] == "recorded" && event[key] == value);
        recorded(of)
    };
    let until = |query: &str, count: usize| {
        let mut follower = Follower::new(port, query, "");
        let mut events = Vec::new();
        while recorded(&events).len() < count {
            events.push(follower.event().unwrap());
        }
        recorded(&events)
    };
    let (instance, kind) = (of("instance", "1"), of("kind", "apply"));
    assert!(instance.len() > 2 && kind.len() == 3, "{instance:?} {kind:?}");
    assert_eq!(until("since=0&scaleSet=orders&instance=1", instance.len()), instance);
    assert_eq!(until("since=0&kind=apply&kind=progress", 3), kind);
    for (query, status) in [
        ("since=1000000", "409"),
        ("since=18446744073709551615", "409"),
        ("since=18446744073709551616", "400"),
        ("since=-1", "400"),
        ("since=2025-01-01T00:00:00Z", "400"),
        ("since=1&since=2", "400"),
        ("scaleSet=nope", "404"),
        ("scaleSet=..%2f", "400"),
        ("kind=fun", "400"),
        ("page=1", "400"),
    ] {
        let answer = request(port, &format!("GET /v1/events?{query}"), "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{query}: {answer}");
    }
    let answer = request(port, "GET /v1/events", "Last-Event-ID: x\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    host.stop();
}

#[test]
fn where_lines_are_gone_it_says_from_where_it_has_them() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    host.stop();
    let record = rusqlite::Connection::open(site.path("data/phasegate.db")).unwrap();
    assert!(record.execute("DELETE FROM audit WHERE seq < 4", []).unwrap() > 0);
    drop(record);
    let host = site.host();
    for (since, truncated) in [(0, Value::from(4)), (2, 4.into()), (3, Value::Null), (5, Value::Null)] {
        let mut follower = Follower::new(port, &format!("since={since}"), "");
        let following = follower.event().unwrap();
        assert_eq!(following["truncated"], truncated, "{since}: {following}");
        let next = follower.event().unwrap();
        assert_eq!(next["seq"], since.max(3) + 1, "{next}");
    }
    host.stop();
}

#[test]
fn in_a_pipe_each_change_is_a_line() {
    let (site, _) = site();
    let host = site.host();
    site.wait_until_healthy();
    let waited = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(waited.code, 0, "{waited:?}");
    for (kind, count) in [(" apply ", 3), (" end: ", 1), (" start: ", 1)] {
        assert_eq!(waited.stderr.matches(kind).count(), count, "{kind}: {waited:?}");
    }
    assert!(waited.stderr.contains("orders -> v2: Completed, 3 of 3 done"), "{waited:?}");
    assert!(waited.stdout.starts_with("orders -> v2: Completed (3 successful"), "{waited:?}");

    let mut watching = {
        site.json(&["upgrade", "start", "orders", "--to", "v3"]);
        let mut watch = site.command(&["upgrade", "watch", "orders", "--json"]);
        watch.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let mut text = String::new();
    watching.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["type"], "following", "{text}");
    assert!(lines.iter().any(|line| line["type"] == "recorded"), "{text}");
    let last = lines.last().unwrap();
    assert_eq!((&last["state"], &last["scaleSet"]), (&"Completed".into(), &"orders".into()), "{last}");
    host.stop();
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_hundred_followers_hear_the_same() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    let before = resident_kib(host.pid());
    let followers: Vec<_> = (0..100)
        .map(|number| {
            let mut follower = Follower::new(port, "scaleSet=orders", "");
            assert_eq!(follower.event().unwrap()["type"], "following", "{number}");
            std::thread::spawn(move || recorded(&follower.until_the_end("v2")))
        })
        .collect();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = std::time::Instant::now();
        assert!(request(port, "GET /healthz", "").starts_with("HTTP/1.1 200 "));
        slowest = slowest.max(begun.elapsed());
    }
    let heard: Vec<_> = followers.into_iter().map(|follower| follower.join().unwrap()).collect();
    let log = site.json(&["upgrade", "log", "orders"]);
    let log: Vec<u64> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    for lines in &heard {
        let of_the_upgrade: Vec<u64> =
            lines.iter().map(|(seq, _)| *seq).filter(|seq| log.contains(seq)).collect();
        assert_eq!(of_the_upgrade, log);
        assert!(lines.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once: {lines:?}");
    }
    let grown = resident_kib(host.pid()).saturating_sub(before);
    println!("100 followers: healthz {slowest:?} at most, {grown} KiB more");
    assert!(grown < 64 * 1024, "the host grew by {grown} KiB");
    host.stop();
}

/// A trail of some megabytes.
fn lengthen(site: &Site) -> u64 {
    let record = rusqlite::Connection::open(site.path("data/phasegate.db")).unwrap();
    let last: i64 = record.query_row("SELECT MAX(seq) FROM audit", [], |row| row.get(0)).unwrap();
    let columns: Vec<String> = record
        .prepare("SELECT name FROM pragma_table_info('audit')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let given: Vec<&str> = columns
        .iter()
        .map(|column| match column.as_str() {
            "seq" => "seq + ?1 * n",
            "entry" => "json_set(entry, '$.seq', seq + ?1 * n)",
            other => other,
        })
        .collect();
    let sql = format!(
        "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 40000 / ?1)
         INSERT INTO audit ({}) SELECT {} FROM more, audit WHERE audit.seq <= ?1",
        columns.join(", "),
        given.join(", ")
    );
    record.execute(&sql, [last]).unwrap();
    let lines: i64 = record.query_row("SELECT COUNT(*) FROM audit", [], |row| row.get(0)).unwrap();
    u64::try_from(lines).unwrap()
}

#[test]
fn a_reader_that_takes_nothing_is_let_go_and_harms_nobody() {
    let (site, port) = site();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    host.stop();
    let lines = lengthen(&site);
    let host = site.host();
    let before = resident_kib(host.pid());
    let mut stalled: Vec<Follower> = (0..20).map(|_| Follower::new(port, "since=0", "")).collect();
    // Another one hears everything meanwhile.
    let mut reads = Follower::new(port, "since=0", "");
    let mut heard = 0;
    while heard < lines {
        heard += u64::from(reads.event().unwrap()["type"] == "recorded");
    }
    let followers = || {
        let metrics = request(port, "GET /metrics", "");
        let line = metrics.lines().find_map(|line| line.strip_prefix("phasegate_event_followers "));
        line.unwrap().trim().parse::<f64>().unwrap() as u64
    };
    crate::support::wait_for("those who take nothing to be let go", || (followers() == 1).then_some(()));
    let grown = resident_kib(host.pid()).saturating_sub(before);
    println!("20 stalled readers of {lines} lines: {grown} KiB more");
    assert!(grown < 64 * 1024, "the host grew by {grown} KiB");
    // What it reads then ends with the reason, unless its connection was ended meanwhile.
    let mut rest = String::new();
    if stalled[0].lines.read_to_string(&mut rest).is_ok() && rest.ends_with('\n') {
        let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
        assert_eq!(last["type"], "ending", "{last}");
        assert!(last["text"].as_str().unwrap().contains("took nothing"), "{last}");
    }
    assert!(site.log().contains("is let go: it took nothing"), "{}", site.log());
    drop(reads);
    host.stop();
}
