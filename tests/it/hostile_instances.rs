//! Instances that misbehave, one of each kind, beside good ones: each gets its reason, nobody else
//! notices.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{Site, fleet, wait_for};

const HEALTHY: &str = r#"{"ApplicationHealthState":"Healthy","CustomMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":0}}"}"#;

/// How a server treats a connection.
type Manner = fn(TcpStream);

fn read_request(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer);
}

fn answer(mut stream: TcpStream, status: &str, headers: &str, body: &str) {
    read_request(&mut stream);
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
}

fn good(stream: TcpStream) {
    answer(stream, "200 OK", "", HEALTHY);
}

fn hangs(stream: TcpStream) {
    // Kept until the client gives up.
    let mut stream = stream;
    let mut buffer = [0; 64];
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

fn gigabyte(mut stream: TcpStream) {
    read_request(&mut stream);
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    let chunk = vec![b'x'; 1 << 16];
    for _ in 0..16_384 {
        if stream.write_all(&chunk).is_err() {
            return;
        }
    }
}

fn html(stream: TcpStream) {
    answer(stream, "200 OK", "Content-Type: text/html\r\n", "<!doctype html><h1>It works!</h1>");
}

fn redirects(stream: TcpStream) {
    answer(stream, "302 Found", "Location: http://127.0.0.1:1/health\r\n", HEALTHY);
}

fn resets(stream: TcpStream) {
    drop(stream);
}

fn garbage(mut stream: TcpStream) {
    read_request(&mut stream);
    let _ = stream.write_all(b"\x00\xff\x00\xff not HTTP at all\r\n\r\n");
}

fn unavailable(stream: TcpStream) {
    answer(stream, "503 Service Unavailable", "", HEALTHY);
}

fn serve(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || manner(stream));
        }
    });
    port
}

#[test]
fn a_dead_fleet_is_no_success() {
    let site = Site::new();
    let mut dead = fleet::answered_by_the_test(&fleet::free_ports(5), "builtin:azure-health");
    dead.policy = "maxBatchInstancePercent = 20";
    site.write("phasegate.toml", dead.toml());
    let host = site.host();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let status = ended.json();
    assert_eq!(status["error"]["code"], "MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade");
    assert_eq!(status["progress"]["pending"], 0);
    assert!(site.log().contains("Faulted"), "the log tells it too");
    host.stop();
}

#[test]
fn each_kind_gets_its_reason_and_harms_nobody() {
    let refused = fleet::free_ports(1)[0];
    let kinds: [(&str, Manner, &str); 8] = [
        ("hangs", hangs, "time limit"),
        ("gigabyte", gigabyte, "65536 bytes"),
        ("html", html, "JSON"),
        ("redirects", redirects, "302"),
        ("resets", resets, ""),
        ("garbage", garbage, ""),
        ("unavailable", unavailable, "503"),
        ("good", good, ""),
    ];
    let mut ports: Vec<u16> = kinds.iter().map(|(_, manner, _)| serve(*manner)).collect();
    ports.push(refused);
    ports.push(serve(good));
    let site = Site::new();
    site.write("phasegate.toml", fleet::answered_by_the_test(&ports, "builtin:azure-health").toml());
    let host = site.host();
    let instances = wait_for("the verdict on every instance", || {
        let instances = site.instances();
        instances.iter().all(|i| i["health"] != "Initializing").then_some(instances)
    });
    for (index, (kind, _, reason)) in kinds.iter().enumerate() {
        let instance = &instances[index];
        let good = *kind == "good";
        assert_eq!(instance["health"], if good { "Healthy" } else { "Unknown" }, "{kind}: {instance}");
        let held = instance["held"]["code"].as_str().unwrap_or("no");
        assert_eq!(held, if good { "no" } else { "unknown" }, "{kind}: {instance}");
        assert_eq!(
            instance["participation"], "proceed",
            "the host's doubt is no word of the plugin: {instance}"
        );
        assert!(instance["reason"].as_str().unwrap().contains(reason), "{kind}: {instance}");
    }
    assert_eq!(instances[8]["health"], "Unknown", "refused");
    assert_eq!(instances[9]["health"], "Healthy");

    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "eight were left out because nobody could judge them: {ended:?}");
    let status = ended.json();
    assert_eq!((&status["state"], &status["progress"]["successful"]), (&"Completed".into(), &2.into()));
    assert_eq!(status["holds"].as_array().unwrap().len(), 8, "unknown is no permission: {status}");
    let touched = site.instances().iter().filter(|instance| instance["version"] == "v2").count();
    assert_eq!(touched, 2);
    host.stop();
}

#[test]
fn a_stranger_on_the_port_is_not_the_instance() {
    let site = Site::new();
    // The process of the instance cannot stay, and something else answers at its address.
    let mut taken = fleet::answered_by_the_test(&[serve(good)], "builtin:azure-health");
    taken.command = r#"["sh", "-c", "sleep 0.3; echo address in use >&2; exit 1"]"#.to_owned();
    site.write("phasegate.toml", taken.toml());
    let host = site.host();
    wait_for("a health that is not the stranger's", || {
        let instance = site.instances().remove(0);
        let held = instance["held"]["code"] == "unknown" && instance["health"] == "Unknown";
        (held && instance["reason"].as_str().unwrap().contains("exited with code 1")).then_some(())
    });
    host.stop();
}
