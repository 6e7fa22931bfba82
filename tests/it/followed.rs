//! Releases on the event stream, and the commands that follow them there.

use serde_json::Value;

use crate::catalogue::site;
use crate::events::Follower;
use crate::http::request;
use crate::support::{Site, wait_for};

/// What is told of releases up to the end of the one of a version.
fn until_the_end(follower: &mut Follower, version: &str) -> Vec<Value> {
    let mut told = Vec::new();
    loop {
        let event = follower.event().unwrap();
        if event["type"] != "release" {
            assert!(["following", "heartbeat"].contains(&event["type"].as_str().unwrap()), "{event}");
            continue;
        }
        let over = event["release"]["version"] == version && event["release"]["state"] == "Completed";
        told.push(event);
        if over {
            return told;
        }
    }
}

/// The lines of a release's log that were told of it.
fn entries(told: &[Value], version: &str) -> Vec<Value> {
    let mine = told.iter().filter(|event| event["release"]["version"] == version);
    mine.flat_map(|event| event["entries"].as_array().unwrap().clone()).collect()
}

fn log(site: &Site, id: &str) -> Vec<Value> {
    site.json(&["release", "log", id])["entries"].as_array().unwrap().clone()
}

fn publish(site: &Site, version: &str) -> Vec<Value> {
    let done = site.run(&["extension", "publish", "contoso/agent", version, "--wait", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_releases_tell_of_themselves_is_heard_once_and_again_by_who_comes_back() {
    let (site, _answers) = site("versions.json", "");
    let host = site.host();
    site.wait_until_healthy();
    let port = site.port();
    let mut follower = Follower::new(port, "kind=release", "");
    let lines = publish(&site, "1.1");
    let told = until_the_end(&mut follower, "1.1");
    let whole = log(&site, "agent-1.1-1");
    assert_eq!(entries(&told, "1.1"), whole, "each line once, in order");
    assert_eq!(whole[0]["code"], "start");
    assert_eq!(whole[whole.len() - 1]["code"], "end");
    let ended = lines.last().unwrap();
    assert_eq!(
        (&ended["state"], lines[lines.len() - 2]["code"].as_str()),
        (&"Completed".into(), Some("end"))
    );

    // Who was away: what ended meanwhile is told, too.
    let mut between = Follower::new(port, "", "");
    let since = between.event().unwrap()["since"].as_u64().unwrap();
    publish(&site, "1.2");
    assert_eq!(entries(&until_the_end(&mut follower, "1.2"), "1.2"), log(&site, "agent-1.2-2"));
    let mut back = Follower::new(port, &format!("kind=release&since={since}"), "");
    let told = until_the_end(&mut back, "1.2");
    assert_eq!(entries(&told, "1.2"), log(&site, "agent-1.2-2"));
    assert!(
        entries(&told, "1.1").iter().all(|line| line["code"] != "start"),
        "that was long before: {told:?}"
    );
    let mut all = Follower::new(port, "kind=release&since=0", "");
    let told = until_the_end(&mut all, "1.2");
    assert_eq!(entries(&told, "1.1"), whole);

    let mut sse = Follower::new(port, "kind=release&since=0", "Accept: text/event-stream\r\n");
    let first = sse.sse().1;
    assert_eq!((&first["type"], &sse.sse().1["release"]["id"]), (&"following".into(), &"agent-1.1-1".into()));
    host.stop();
}

#[test]
fn a_watch_goes_on_over_a_restart_of_the_host() {
    let (site, _answers) = site("versions.json", "");
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["line", "stop", "--reason", "not now"]).code, 0);
    site.json(&["extension", "publish", "contoso/agent", "1.1", "--no-release"]);
    site.json(&["release", "start", "contoso/agent", "1.1"]);
    let mut watch = site.command(&["release", "watch", "agent-1.1-1", "--json"]);
    let watch = std::thread::spawn(move || watch.output().unwrap());
    wait_for("one who follows", || {
        let metrics = request(site.port(), "GET /metrics", "");
        metrics.contains("phasegate_event_followers 1").then_some(())
    });
    host.kill();
    let host = site.host();
    assert_eq!(site.run(&["line", "start"]).code, 0);
    let ended = watch.join().unwrap();
    let out = String::from_utf8(ended.stdout).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ended.status.code(), Some(0), "{out}");
    let codes = |code: &str| lines.iter().filter(|line| line["code"] == code).count();
    assert_eq!((codes("start"), codes("end")), (1, 1), "each line once: {out}");
    host.stop();
}
