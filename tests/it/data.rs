//! The record as its owner and as a stranger would try it: private, one host's, copied, restored, adopted.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::drivers::toml;
use crate::http::request;
use crate::support::agent::{Agent, answer};
use crate::support::{Background, Finished, Site, fleet, repository, wait_for};

/// A driver that keeps versions in files of the site.
fn by_script() -> String {
    let script = repository().join("tests/stubs/driver.sh");
    let script = script.display();
    toml(&format!(
        "kind = \"command\"\ncommand = [\"{script}\", \"upgrade\", \".\"]\nobserve = [\"{script}\", \"observe\", \".\"]"
    ))
}

fn versions(site: &Site) -> Vec<String> {
    site.instances().iter().map(|one| one["version"].as_str().unwrap_or("none").to_owned()).collect()
}

/// Every call of the driver that changes something.
fn calls(site: &Site) -> Vec<String> {
    let text = fs::read_to_string(site.path("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn upgraded(site: &Site, to: &str) {
    let ended = site.run(&["upgrade", "start", "orders", "--to", to, "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// What is open to others in a data directory.
fn open_to_others(directory: &Path) -> Vec<PathBuf> {
    let mut open = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        if found.mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    open
}

#[test]
fn nothing_in_the_data_directory_is_open_to_other_users() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    upgraded(&site, "v2");
    let data = site.path("data");
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new(), "while it runs, logs of processes included");
    host.stop();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(data.join("compiled/key"), fs::Permissions::from_mode(0o644)).unwrap();
    let host = site.host();
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new());
    assert!(site.log().contains("was open to other users: 2 folders and files"), "{}", site.log());
    host.stop();
}

#[test]
fn a_directory_of_another_user_and_links_are_refused() {
    let refused = |site: &Site, expected: &str| {
        let ended = site.run(&["run"]);
        assert!(ended.code == 2 && ended.stderr.contains(expected), "{ended:?}");
    };
    let site = Site::new();
    site.write("phasegate.toml", by_script());
    fs::create_dir(site.path("data")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", site.path("data/lock")).unwrap();
    refused(&site, "is a symbolic link");
    fs::remove_file(site.path("data/lock")).unwrap();
    if rustix::process::geteuid().as_raw() == 0 {
        std::os::unix::fs::chown(site.path("data"), Some(12_345), None).unwrap();
        refused(&site, "belongs to user 12345");
    }
}

#[test]
fn two_hosts_on_one_directory_never_both_write() {
    let site = Site::new();
    site.write("phasegate.toml", by_script());
    let first = site.host();
    site.wait_until_healthy();
    let second = site.run(&["run", "-c", &second_port(&site)]);
    assert!(second.code == 2 && second.stderr.contains("is in use by another phasegate"), "{second:?}");
    // A person in a hurry.
    fs::remove_file(site.path("data/lock")).unwrap();
    let refused = site.run(&["upgrade", "start", "orders", "--to", "v2"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("lock") && refused.stderr.contains("removed or replaced"), "{refused:?}");
    assert_eq!(calls(&site), Vec::<String>::new());
    first.kill();
}

/// The same site at another port.
fn second_port(site: &Site) -> String {
    let text = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let other = format!("127.0.0.1:{}", fleet::free_ports(1)[0]);
    let path = site.write("second.toml", text.replace(&format!("127.0.0.1:{}", site.port()), &other));
    path.display().to_string()
}

/// A site at v3, and a copy of its record from the middle of the upgrade to v2.
fn at_v3_with_a_copy_of_v2(site: &Site) -> Background<'_> {
    site.write("phasegate.toml", by_script());
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2-wait"]).code, 0);
    wait_for("the driver to work", || (!calls(site).is_empty()).then_some(()));
    let copied = site.run(&["data", "backup", "old.db"]);
    assert_eq!(copied.code, 0, "beside a host that runs: {copied:?}");
    site.write("go", "");
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    upgraded(site, "v3");
    host
}

/// Whether the host says everywhere that it holds, and touches nothing.
fn holds(site: &Site) -> Value {
    let before = calls(site);
    site.wait_until_healthy();
    wait_for("it to look", || (versions(site) == ["v3"; 3]).then_some(()));
    let shown = site.run(&["fleet"]);
    assert!(shown.stdout.starts_with("the host holds, and touches no instance: "), "{shown:?}");
    let status = site.json(&["upgrade", "status", "orders", "--detail"]);
    assert!(status["waiting"].to_string().contains("phasegate data adopt"), "{status}");
    let refused = site.run(&["upgrade", "start", "orders", "--to", "v4"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("the host holds: ") && refused.stderr.contains("`phasegate data adopt`"),
        "{refused:?}"
    );
    assert_eq!(site.run(&["upgrade", "cancel", "orders"]).code, 1);
    assert!(request(site.port(), "GET /healthz", "").starts_with("HTTP/1.1 200"));
    assert!(request(site.port(), "GET /metrics", "").contains("\nphasegate_holding 1.0\n"));
    assert!(site.log().contains("held: the host holds: "), "{}", site.log());
    assert_eq!(calls(site), before);
    site.json(&["fleet"])["holding"].clone()
}

fn goes_on_once_adopted(site: &Site) {
    let before = calls(site);
    let adopted = site.run(&["data", "adopt", "--reason", "the disk is new"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    assert_eq!(site.run(&["data", "adopt"]).code, 1, "there is nothing to adopt any more");
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0, "what was in flight goes on");
    assert!(calls(site).len() > before.len());
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    assert!(log.contains("the record was adopted") && log.contains("the disk is new"), "{log}");
    assert!(request(site.port(), "GET /metrics", "").contains("\nphasegate_holding 0.0\n"));
}

#[test]
fn an_old_copy_that_was_put_back_by_hand_takes_nothing_back() {
    let site = Site::new();
    at_v3_with_a_copy_of_v2(&site).stop();
    fs::copy(site.path("old.db"), site.path("data/phasegate.db")).unwrap();
    for _ in 0..2 {
        let host = site.host();
        let why = holds(&site);
        assert!(why.as_str().unwrap().contains("the record is an older state"), "{why}");
        host.kill();
    }
    let host = site.host();
    goes_on_once_adopted(&site);
    host.stop();
}

#[test]
fn a_restored_record_takes_nothing_back() {
    let site = Site::new();
    let host = at_v3_with_a_copy_of_v2(&site);
    let refused = site.run(&["data", "restore", "old.db"]);
    assert!(refused.code == 1 && refused.stderr.contains("in use by another phasegate"), "{refused:?}");
    host.stop();
    let restored = site.run(&["data", "restore", "old.db"]);
    assert!(restored.code == 0 && restored.stdout.contains("phasegate.db.before-restore"), "{restored:?}");
    let host = site.host();
    holds(&site);
    host.stop();
    // Nobody runs: the next host goes on.
    let adopted = site.run(&["data", "adopt"]);
    assert!(adopted.code == 0 && adopted.stdout.contains("data restore"), "{adopted:?}");
    let host = site.host();
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0);
    assert_eq!(site.json(&["fleet"])["holding"], Value::Null);
    // An agent or a program that remembers an operation has never heard of these.
    let id = |upgrade: &Value| upgrade["id"].as_str().unwrap_or_default().to_owned();
    let before: Vec<String> = calls(&site);
    upgraded(&site, "v4");
    let new = id(&site.json(&["upgrade", "status", "orders"]));
    assert!(!before.iter().any(|call| call.contains(&format!("{new}/"))), "{new}: {before:?}");
    host.stop();
}

#[test]
fn a_copy_of_the_whole_directory_starts_no_process() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(3).toml());
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    let status =
        std::process::Command::new("cp").arg("-a").args([site.path("data"), site.path("copy")]).status();
    assert!(status.unwrap().success());
    fs::rename(site.path("data"), site.path("first")).unwrap();
    fs::rename(site.path("copy"), site.path("data")).unwrap();
    let host = site.host();
    site.wait_for_instances("a health of each", |one| one["health"] != "Initializing");
    assert!(
        site.processes().iter().all(|process| !process.contains("demo-database")),
        "{:?}",
        site.processes()
    );
    let why = site.json(&["fleet"])["holding"].clone();
    assert!(why.as_str().unwrap().contains("copied or restored"), "{why}");
    assert_eq!(site.run(&["data", "adopt"]).code, 0);
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn an_agent_that_has_seen_a_higher_generation_says_so() {
    let site = Site::new();
    let told = Arc::new(Mutex::new(Vec::<u64>::new()));
    let highest = Arc::clone(&told);
    // Another host has told it something under 41.
    let agent = Agent::start(move |seen, _| {
        if seen.method == "GET" {
            return answer(200, "", r#"{"version":null}"#);
        }
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let generation = body["generation"].as_u64().unwrap();
        highest.lock().unwrap().push(generation);
        match generation {
            ..41 => answer(409, "", r#"{"generation":41,"message":"another host"}"#),
            41.. => answer(200, "", ""),
        }
    });
    site.write(
        "phasegate.toml",
        toml(&format!("kind = \"http\"\nurl = \"http://127.0.0.1:{}/up\"", agent.port)),
    );
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2"]).code, 0);
    let why = wait_for("the host to hold", || site.json(&["fleet"])["holding"].as_str().map(str::to_owned));
    assert!(why.contains("generation 41"), "{why}");
    assert_eq!(*told.lock().unwrap(), [1]);
    host.stop();
    let host = site.host();
    assert!(site.json(&["fleet"])["holding"].is_string(), "it holds on");
    assert_eq!(site.run(&["data", "adopt"]).code, 0);
    assert_eq!(site.run(&["upgrade", "watch", "orders"]).code, 0, "nothing has failed");
    assert_eq!(told.lock().unwrap().iter().filter(|generation| **generation > 41).count(), 3);
    host.stop();
}

#[test]
fn a_check_says_what_a_record_is_and_what_is_wrong_with_it() {
    let site = Site::new();
    let data =
        |arguments: &[&str]| -> Finished { site.run(&[&["data", "--data-dir", "data"], arguments].concat()) };
    assert_eq!(data(&["check"]).code, 2, "there is none");
    site.write("phasegate.toml", by_script());
    site.host().stop();
    let checked = data(&["check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let checked = checked.json();
    let shown = [&checked["whole"], &checked["schema"], &checked["generation"], &checked["writtenHere"]];
    assert_eq!(shown, [&Value::from(true), &Value::from(7), &Value::from(1), &Value::from(true)]);
    assert_eq!(data(&["backup", "copy.db"]).code, 0);
    assert_eq!(data(&["backup", "copy.db"]).code, 1, "it is there");
    assert_eq!(data(&["backup", "copy.db", "--force"]).code, 0);
    assert_eq!(fs::metadata(site.path("copy.db")).unwrap().mode() & 0o777, 0o600);
    let connection = rusqlite::Connection::open(site.path("data/phasegate.db")).unwrap();
    connection.execute_batch("INSERT INTO audit VALUES (99, 0, 'orders', NULL, NULL, 'start', '{')").unwrap();
    let damaged = data(&["check"]);
    assert!(damaged.code == 1 && damaged.stdout.contains("audit `99`"), "{damaged:?}");
    connection.execute_batch("PRAGMA user_version = 8").unwrap();
    drop(connection);
    for arguments in [["check"].as_slice(), &["backup", "other.db"], &["adopt"]] {
        let newer = data(arguments);
        assert!(newer.code == 1 && newer.stderr.contains("has schema 8"), "{arguments:?}: {newer:?}");
    }
    let started = site.run(&["run"]);
    assert!(started.code == 2 && started.stderr.contains("`phasegate data restore FILE`"), "{started:?}");
    assert_eq!(data(&["restore", "copy.db"]).code, 0, "the newer one is put aside");
    assert_eq!(data(&["check"]).code, 0);
}

#[test]
fn a_look_into_the_record_of_a_running_host_takes_nothing_of_it_away() {
    let site = Site::new();
    site.write("phasegate.toml", by_script());
    let host = site.host();
    let visited = rusqlite::Connection::open(site.path("data/phasegate.db")).unwrap();
    let tables: i64 = visited.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
    assert!(tables > 0);
    drop(visited);
    assert!(site.path("data/phasegate.db-wal").exists(), "it is the host's log, and holds what comes");
    assert_eq!(site.run(&["line", "stop", "--reason", "a test"]).code, 0);
    host.kill();
    let _host = site.host();
    let line = site.run(&["line", "status", "--json"]).json();
    assert_eq!(line["stopped"], true, "what was acknowledged is there after kill -9");
}

/// A host of the build before schema 6 was killed in the middle of an upgrade.
#[test]
fn a_record_of_the_build_before_goes_on_where_it_was() {
    let site = Site::new();
    site.write("phasegate.toml", by_script());
    fs::create_dir(site.path("data")).unwrap();
    fs::copy(repository().join("tests/fixtures/record-5/phasegate.db"), site.path("data/phasegate.db"))
        .unwrap();
    for instance in 0..3 {
        site.write(&format!("{instance}.version"), "v2\n");
    }
    let host = site.host();
    assert_eq!(site.json(&["upgrade", "status", "orders"])["id"], "orders-2");
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(versions(&site), ["v3"; 3]);
    let calls = calls(&site);
    assert!(calls.len() == 3 && calls.iter().all(|call| call.contains("orders-2/")), "{calls:?}");
    assert!(site.path("data/phasegate.db.schema-5").exists());
    host.stop();
}
