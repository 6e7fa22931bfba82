//! MaxSurge with real processes: the fleet is never smaller than it was, what is bad goes again, and
//! a host that is killed half-way leaves neither too much nor too little.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::answers::Answers;
use crate::support::{Site, fleet, wait_for};

/// Ports below those that the system hands out, and another range for each test.
fn range() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 60).unwrap();
    20_000 + process * 200 + NEXT.fetch_add(1, Ordering::Relaxed) * 40
}

/// Four databases that are replaced two by two.
fn surging(first: u16) -> fleet::Fleet {
    let mut databases = fleet::databases(4);
    databases.members.iter_mut().for_each(|member| (member.zone, member.role) = ("1", "replica"));
    databases.policy = "maxBatchInstancePercent = 50\nmaxSurge = true";
    // Everything after the command belongs to the driver, too.
    databases.command += &format!("\nsurge = {{ ports = \"{first}-{}\" }}", first + 30);
    databases
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.starts_with("HTTP/1.1 200").then_some(())
    };
    ask().is_some()
}

fn databases(site: &Site) -> Vec<String> {
    let mut all = site.processes();
    all.retain(|command| command.contains("__demo-database"));
    all
}

fn ids(site: &Site) -> Vec<String> {
    site.instances().iter().map(|i| format!("{}:{}", text(&i["id"]), text(&i["version"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[test]
fn capacity_never_falls_and_the_new_ones_stay() {
    let site = Site::new();
    let first = range();
    let fleet = surging(first);
    let old: Vec<u16> = fleet.members.iter().map(|member| member.port).collect();
    site.write("phasegate.toml", fleet.toml());
    let host = site.host();
    site.wait_until_healthy();

    let stop = Arc::new(AtomicBool::new(false));
    let over = stop.clone();
    let client = std::thread::spawn(move || {
        let (mut rounds, mut least) = (0, usize::MAX);
        while !over.load(Ordering::Relaxed) {
            // The old ones first: one that is gone by then has been replaced already.
            let ports = old.iter().copied().chain(first..first + 8);
            least = least.min(ports.filter(|port| answers(*port)).count());
            rounds += 1;
        }
        (rounds, least)
    });
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    stop.store(true, Ordering::Relaxed);
    let (rounds, least) = client.join().unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(least >= 4 && rounds > 5, "only {least} of 4 answered, in {rounds} rounds");
    assert_eq!(ended.json()["progress"]["successful"], 4);
    assert_eq!(ids(&site), ["4:v2", "5:v2", "6:v2", "7:v2"]);
    assert_eq!(databases(&site).len(), 4);
    let log = site.run(&["upgrade", "log", "orders"]).stdout;
    for line in ["0 -> 4: creating (attempt 1)", "4 replaces 0, which is deleted", "4 replaced 0 with v2"] {
        assert!(log.contains(line), "{line}: {log}");
    }

    // The configuration still lists the old ones.
    host.stop();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(ids(&site), ["4:v2", "5:v2", "6:v2", "7:v2"]);
    let told = "the configuration lists it, but it was replaced by `4` and stays deleted";
    assert!(site.log().contains(told), "{}", site.log());

    assert_eq!(site.run(&["upgrade", "rollback", "orders", "--wait"]).code, 0);
    assert_eq!(ids(&site), ["8:v1", "9:v1", "10:v1", "11:v1"], "no id is used twice");
    assert_eq!(databases(&site).len(), 4);
    host.stop();
}

#[test]
fn a_bad_version_leaves_the_old_fleet_as_it_was() {
    let site = Site::new();
    let mut fleet = surging(range());
    fleet.command = fleet.command.replacen(
        '[',
        r#"["sh", "-c", "case \"$*\" in *v-bad*) echo cannot start v-bad >&2; exit 7;; esac; exec \"$0\" \"$@\"", "#,
        1,
    );
    site.write("phasegate.toml", fleet.toml());
    let host = site.host();
    site.wait_until_healthy();
    let before = site.instances();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v-bad", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let status = ended.json();
    assert_eq!(status["error"]["code"], "MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade");
    let detail = text(&status["error"]["details"][0]["message"]);
    assert!(detail.starts_with("its replacement 4 could not be created: process "), "{detail}");
    assert!(detail.ends_with("nothing is left of that one, and this one stays"), "{detail}");
    wait_for("the end of what was created", || (databases(&site).len() == 4).then_some(()));
    assert_eq!(ids(&site), ["0:v1", "1:v1", "2:v1", "3:v1"]);
    let same = |i: &Value| (i["id"].clone(), i["address"].clone(), i["health"].clone());
    let same = |all: &[Value]| all.iter().map(same).collect::<Vec<_>>();
    assert_eq!(same(&site.instances()), same(&before));
    assert!(!site.log().contains("instance=0 process"), "an old one was touched: {}", site.log());
    host.stop();
}

#[test]
fn no_room_is_told_and_nothing_changes_in_place() {
    let site = Site::new();
    let first = range();
    let fleet = surging(first);
    // Room for one; a batch has two.
    let toml = fleet.toml().replace(&format!("{first}-{}", first + 30), &format!("{first}-{first}"));
    site.write("phasegate.toml", toml);
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let detail = text(&ended.json()["error"]["details"][0]["message"]).to_owned();
    assert!(detail.contains("no more room: none of the ports"), "{detail}");
    let versions: Vec<String> = ids(&site);
    assert_eq!(versions.iter().filter(|id| id.ends_with(":v2")).count(), 1, "{versions:?}");
    assert_eq!(versions.iter().filter(|id| id.ends_with(":v1")).count(), 3, "{versions:?}");
    host.stop();
}

#[test]
fn whoever_stands_there_already_is_no_new_instance() {
    let site = Site::new();
    let answers = Answers::start(&[0; 4]);
    let mut fleet = fleet::answered_by_the_test(&answers.ports, "builtin:azure-health");
    fleet.policy = "maxBatchInstancePercent = 50\nmaxSurge = true";
    let lying = format!(
        "kind = \"command\"\ncommand = [\"true\"]\ncreate = [\"echo\", \"127.0.0.1:{}\"]\ndelete = [\"true\"]\n",
        answers.ports[0]
    );
    let process = "kind = \"process\"\ncommand = [\"sleep\", \"1000\"]\nstopTimeoutInSeconds = 2\n";
    assert!(fleet.toml().contains(process));
    site.write("phasegate.toml", fleet.toml().replace(process, &lying));
    let host = site.host();
    site.wait_until_healthy();
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let detail = text(&ended.json()["error"]["details"][0]["message"]).to_owned();
    assert!(detail.contains("where instance `0` of scale set `orders` is"), "{detail}");
    assert_eq!(ids(&site), ["0:v1", "1:v1", "2:v1", "3:v1"]);
    host.stop();
}

#[test]
fn kill_9_in_mid_batch_leaves_neither_too_much_nor_too_little() {
    let site = Site::new();
    site.write("phasegate.toml", surging(range()).toml());
    let mut host = site.host();
    site.wait_until_healthy();
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    // Once while a new one is there beside the old one, once in the second batch.
    for (batch, sign) in [(0, "is to replace"), (1, "")] {
        wait_for("a batch in flight", || {
            let status = site.json(&["upgrade", "status", "orders"]);
            let fleet = site.run(&["fleet"]).stdout;
            (status["batches"][batch]["state"] == "InProgress" && fleet.contains(sign)).then_some(())
        });
        host.kill();
        site.wait_until_nothing_is_left();
        host = site.host();
    }
    let ended = site.run(&["upgrade", "watch", "orders", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()["progress"]["successful"], 4);
    site.wait_until_healthy();
    assert_eq!(ids(&site), ["4:v2", "5:v2", "6:v2", "7:v2"]);
    assert_eq!(databases(&site).len(), 4, "{:?}", databases(&site));
    host.stop();
}

#[test]
fn check_refuses_what_cannot_be() {
    let site = Site::new();
    let first = range();
    let good = surging(first).toml();
    let ports = format!("surge = {{ ports = \"{first}-{}\" }}", first + 30);
    for (toml, message) in [
        (good.clone(), ""),
        (
            good.replace(&ports, ""),
            "maxSurge: is true, and the driver has not been told how to create instances (add a table [scaleSets.driver.surge]",
        ),
        (good.replace(&ports, "surge = { ports = \"9\" }"), "driver.surge.ports: is \"9\" (write the lowest"),
    ] {
        site.write("phasegate.toml", toml);
        let checked = site.run(&["check"]);
        assert_eq!(checked.code == 0, message.is_empty(), "{checked:?}");
        assert!(format!("{}{}", checked.stdout, checked.stderr).contains(message), "{message}: {checked:?}");
    }
}
