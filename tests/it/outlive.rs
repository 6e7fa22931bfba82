//! Processes that outlive their host: it is killed, told to end, exchanged under load, and its keepers are killed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::{Site, fleet, wait_for};

fn leaves(toml: &str) -> String {
    toml.replace("dataDir = \"./data\"", "dataDir = \"./data\"\nonExit = \"leave\"")
}

/// Ends what a test that fails leaves behind.
struct Swept<'a>(&'a Site);

impl Drop for Swept<'_> {
    fn drop(&mut self) {
        processes(self.0).into_values().chain(keepers(self.0)).for_each(|pid| kill(pid, Signal::KILL));
    }
}

fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn is_there(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

/// The process of each instance, as the files beside the record say.
fn processes(site: &Site) -> BTreeMap<String, i32> {
    let Ok(entries) = std::fs::read_dir(site.path("data/processes")) else { return BTreeMap::new() };
    let one = |entry: std::fs::DirEntry| {
        let text = std::fs::read(entry.path()).ok()?;
        let kept: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some((kept["instance"].as_str()?.to_owned(), i32::try_from(kept["pid"].as_i64()?).ok()?))
    };
    entries.flatten().filter_map(one).collect()
}

/// Parents of these processes that are keepers.
fn keepers(site: &Site) -> Vec<i32> {
    let parent = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let is_keeper = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("__keep"))
    };
    processes(site).into_values().filter_map(parent).filter(is_keeper).collect()
}

/// Lets a host take over that ends everything with it.
fn end_all(site: &Site, toml: String) {
    site.write("phasegate.toml", toml);
    let host = site.host();
    site.wait_until_healthy();
    host.stop();
    site.wait_until_nothing_is_left();
}

#[test]
fn processes_outlive_kill_9_and_sigterm_and_the_next_host_adopts_them() {
    let site = Site::new();
    let toml = fleet::databases(3).toml();
    site.write("phasegate.toml", leaves(&toml));
    let swept = Swept(&site);
    let host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    assert_eq!(before.len(), 3);
    host.kill();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(processes(&site), before, "adopted, and none restarted");
    host.signal(Signal::TERM);
    assert_eq!(host.wait().code, 0);
    assert!(before.values().all(|pid| is_there(*pid)));
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(processes(&site), before);
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let after = processes(&site);
    assert!(after.iter().all(|(id, pid)| before.get(id) != Some(pid)), "{before:?} {after:?}");
    assert!(!before.values().any(|pid| is_there(*pid)), "the former ones are gone");
    host.kill();
    end_all(&site, toml);
    drop(swept);
}

#[test]
fn an_exit_that_nobody_watched_is_noticed_and_said() {
    let site = Site::new();
    let toml = fleet::databases(2).toml();
    site.write("phasegate.toml", leaves(&toml));
    let swept = Swept(&site);
    let host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    host.kill();
    kill(before["1"], Signal::KILL);
    wait_for("its end", || (!is_there(before["1"])).then_some(()));
    let host = site.host();
    site.wait_until_healthy();
    let after = processes(&site);
    assert_eq!(after["0"], before["0"]);
    assert_ne!(after["1"], before["1"], "it is started again");
    let said = "of version v1 was ended by signal 9 (SIGKILL) while no host watched";
    wait_for("what is said of it", || site.log().contains(said).then_some(()));

    // Without its keeper a process goes on, and nobody can say how it ended.
    for keeper in keepers(&site) {
        kill(keeper, Signal::KILL);
    }
    host.kill();
    assert!(after.values().all(|pid| is_there(*pid)));
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(processes(&site), after, "adopted all the same");
    kill(after["0"], Signal::KILL);
    wait_for("another process", || {
        processes(&site).get("0").is_some_and(|pid| *pid != after["0"]).then_some(())
    });
    site.wait_until_healthy();
    host.kill();
    end_all(&site, toml);
    drop(swept);
}

#[test]
fn a_number_that_somebody_else_has_by_now_is_left_alone() {
    let site = Site::new();
    let toml = fleet::databases(2).toml();
    site.write("phasegate.toml", leaves(&toml));
    let swept = Swept(&site);
    let host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    host.kill();
    kill(before["1"], Signal::KILL);
    wait_for("its end", || (!is_there(before["1"])).then_some(()));
    // Its number comes round again: as the file says it, only the moment of its beginning is another one.
    let mut stranger = std::process::Command::new("sleep");
    let stranger = std::os::unix::process::CommandExt::process_group(&mut stranger, 0).arg("1000").spawn();
    let mut stranger = stranger.unwrap();
    let file = site.path("data/processes/orders-1.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    kept["pid"] = stranger.id().into();
    // A keeper that saw its end has said so; here nobody was there any more.
    kept["exit"] = serde_json::Value::Null;
    std::fs::write(&file, kept.to_string()).unwrap();
    let host = site.host();
    site.wait_until_healthy();
    let after = processes(&site);
    assert_eq!(after["0"], before["0"]);
    assert_ne!(after["1"], i32::try_from(stranger.id()).unwrap(), "it has a process of its own");
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    host.kill();
    end_all(&site, toml);
    assert!(stranger.try_wait().unwrap().is_none(), "nobody has touched it");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    drop(swept);
}

#[test]
fn one_that_was_adopted_and_replaced_by_hand_is_told_apart_and_not_ended() {
    let site = Site::new();
    let fleet = fleet::databases(2);
    site.write("phasegate.toml", leaves(&fleet.toml()));
    let swept = Swept(&site);
    let host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    host.kill();
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(processes(&site), before, "adopted");
    // A person ends it and starts another one in its place, before the host does.
    let port = fleet.members[1].port.to_string();
    let by_hand = || {
        if let Some(pid) = processes(&site).get("1") {
            kill(*pid, Signal::KILL);
        }
        let words = ["__demo-database", "--id", "1", "--port", &port, "--version", "v1", "--role", "replica"];
        let mut command = site.command(&[&words[..], &["--backup", "false"]].concat());
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        child.try_wait().unwrap().is_none().then_some(child)
    };
    let mut by_hand = wait_for("one by hand on the port", by_hand);
    let own = || processes(&site).get("1").copied().filter(|pid| is_there(*pid));
    // It answers, so nobody is without a database; the host's own cannot have the port, and tries again.
    site.wait_until_healthy();
    std::thread::sleep(Duration::from_secs(3));
    assert!(by_hand.try_wait().unwrap().is_none(), "it is a person's, and goes on");
    by_hand.kill().unwrap();
    by_hand.wait().unwrap();
    site.wait_until_healthy();
    wait_for("the host's own to serve again", own);
    let ended = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    host.kill();
    end_all(&site, fleet.toml());
    drop(swept);
}

#[test]
fn what_the_configuration_no_longer_has_is_ended() {
    let site = Site::new();
    let mut fleet = fleet::databases(3);
    site.write("phasegate.toml", leaves(&fleet.toml()));
    let swept = Swept(&site);
    let host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    host.kill();
    fleet.members.pop();
    site.write("phasegate.toml", leaves(&fleet.toml()));
    let host = site.host();
    wait_for("the end of the third", || (!is_there(before["2"])).then_some(()));
    site.wait_until_healthy();
    assert!(is_there(before["0"]) && is_there(before["1"]));
    host.kill();
    end_all(&site, fleet.toml());
    drop(swept);
}

#[test]
fn a_host_that_is_killed_in_an_upgrade_again_and_again_does_nothing_twice() {
    let site = Site::new();
    let mut fleet = fleet::databases(3);
    fleet.policy = "maxBatchInstancePercent = 34\nmaxUnhealthyInstancePercent = 100";
    site.write("phasegate.toml", leaves(&fleet.toml()));
    let swept = Swept(&site);
    let mut host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    site.json(&["upgrade", "start", "orders", "--to", "v2"]);
    let mut seen: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for _ in 0..4 {
        host.kill();
        host = site.host();
        for (id, pid) in processes(&site) {
            let pids = seen.entry(id).or_default();
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
    }
    let ended = site.run(&["upgrade", "watch", "orders"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let after = processes(&site);
    for (id, pid) in &after {
        assert_ne!(before[id], *pid);
        let others = seen.get(id).into_iter().flatten().filter(|seen| **seen != before[id] && *seen != pid);
        assert_eq!(others.count(), 0, "`{id}` was brought to v2 once: {before:?} {seen:?} {after:?}");
    }
    host.kill();
    end_all(&site, fleet.toml());
    drop(swept);
}

/// Asks all of them in turns until it is told to stop; gives how many answered and how many did not.
fn load(ports: Vec<u16>, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>, lost: Arc<AtomicU64>) {
    let ask = |port: u16| -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.starts_with("HTTP/1.1 200"))
    };
    for port in ports.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let counter = if ask(*port).unwrap_or(false) { &answered } else { &lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_host_is_exchanged_under_load_and_no_request_is_lost() {
    let site = Site::new();
    let fleet = fleet::databases(3);
    site.write("phasegate.toml", leaves(&fleet.toml()));
    let swept = Swept(&site);
    let mut host = site.host();
    site.wait_until_healthy();
    let before = processes(&site);
    let ports: Vec<u16> = fleet.members.iter().map(|member| member.port).collect();
    let (stop, answered, lost) = (Arc::default(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let loader = {
        let (stop, answered, lost) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&lost));
        std::thread::spawn(move || load(ports, stop, answered, lost))
    };
    for signal in [Signal::TERM, Signal::KILL] {
        host.signal(signal);
        host.wait();
        host = site.host();
        site.wait_until_healthy();
    }
    stop.store(true, Ordering::Relaxed);
    loader.join().unwrap();
    assert!(answered.load(Ordering::Relaxed) > 100, "{answered:?}");
    assert_eq!(lost.load(Ordering::Relaxed), 0, "of {answered:?}");
    assert_eq!(processes(&site), before);
    host.kill();
    end_all(&site, fleet.toml());
    drop(swept);
}
