//! The examples of the documentation are accepted, and those with real programs run: nginx, Redis and PostgreSQL.
//!
//! Where a program is not there a test says so and ends well, unless `PHASEGATE_REQUIRE_SERVICES=1` insists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::fleet::free_ports;
use crate::support::{Finished, Site, repository, wait_for};

/// Whether all of these programs are there.
pub(crate) fn are_there(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &&&str| {
        let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        !folders.any(|folder| folder.join(name).is_file())
    };
    let Some(missing) = programs.iter().find(found) else { return true };
    let insists = std::env::var_os("PHASEGATE_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(!insists, "PHASEGATE_REQUIRE_SERVICES=1, and there is no `{missing}`");
    eprintln!("left out: there is no `{missing}`");
    false
}

/// A site with a folder of the examples, in which ports are others.
fn example(name: &str, ports: &[(u16, u16)]) -> Site {
    let site = Site::new();
    for entry in fs::read_dir(repository().join("tests/examples").join(name)).unwrap().flatten() {
        let to = site.path(entry.file_name().to_str().unwrap());
        fs::copy(entry.path(), &to).unwrap();
        if to.extension().is_some_and(|extension| extension == "toml") {
            let mut text = fs::read_to_string(&to).unwrap();
            // In two steps: a port that was put in may look like one that is yet to be replaced.
            for (index, (from, _)) in ports.iter().enumerate() {
                text = text.replace(&from.to_string(), &format!("<port {index}>"));
            }
            for (index, (_, to)) in ports.iter().enumerate() {
                text = text.replace(&format!("<port {index}>"), &to.to_string());
            }
            fs::write(&to, text).unwrap();
        }
    }
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    site
}

/// Ends what the scripts of an example have left running, also when the test fails.
struct Services<'a>(&'a Site);

impl Services<'_> {
    fn pid(path: &Path) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(fs::read_to_string(path).ok()?.trim().parse().ok()?)
    }

    /// Ends one by hand, and waits until it is gone.
    fn end(path: &Path) {
        let Some(pid) = Self::pid(path) else { return };
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        wait_for("a service to end", || rustix::process::test_kill_process(pid).is_err().then_some(()));
    }

    fn end_all(&self) {
        let Ok(entries) = fs::read_dir(self.0.path("run")) else { return };
        for folder in entries.flatten().map(|entry| entry.path()) {
            for file in ["nginx.pid", "redis.pid"] {
                Self::end(&folder.join(file));
            }
        }
    }
}

impl Drop for Services<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return self.end_all();
        }
        // No second panic.
        let Ok(entries) = fs::read_dir(self.0.path("run")) else { return };
        let folders = entries.flatten().map(|entry| entry.path());
        let files = folders.flat_map(|folder| ["nginx.pid", "redis.pid"].map(|file| folder.join(file)));
        for pid in files.filter_map(|file| Self::pid(&file)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

fn upgraded(site: &Site, set: &str, to: &str) -> Finished {
    let done = site.run(&["upgrade", "start", set, "--to", to, "--wait"]);
    assert_eq!(done.code, 0, "{to}: {done:?}");
    let status = site.json(&["status", set]);
    assert_eq!(status["progress"]["failed"], 0, "{status}");
    assert!(site.instances().iter().all(|one| one["version"] == to), "{status}");
    done
}

#[test]
fn every_block_of_the_examples_is_accepted() {
    let text = fs::read_to_string(repository().join("host/examples.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(blocks.len(), text.matches("\n## ").count(), "one for each system");
    for block in blocks {
        let site = Site::new();
        site.write("phasegate.toml", block);
        let checked = site.run(&["check"]);
        assert_eq!(checked.code, 0, "{block}\n{checked:?}");
    }
}

#[test]
fn the_program_for_ansible_and_ssh_takes_unreachable_for_busy() {
    let text = fs::read_to_string(repository().join("host/examples.md")).unwrap();
    for (section, program, code, expected) in [
        ("ansible", "ansible-playbook", 4, 75),
        ("ansible", "ansible-playbook", 2, 2),
        ("ssh", "ssh", 255, 75),
        ("ssh", "ssh", 1, 1),
        ("ssh", "ssh", 0, 0),
    ] {
        let block = text.split(&format!("## {section}\n")).nth(1).unwrap();
        let script =
            block.split("command = [\"sh\", \"-c\", '''").nth(1).unwrap().split("'''").next().unwrap();
        let site = Site::new();
        let stub = site.write(program, format!("#!/bin/sh\nexit {code}\n"));
        fs::set_permissions(stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", site.path("").display());
        let mut sh = Command::new("sh");
        sh.args(["-c", script]).env("PATH", path).stderr(Stdio::null());
        assert_eq!(sh.status().unwrap().code(), Some(expected), "{section}: {code}");
    }
}

#[test]
fn three_nginx_are_deployed_upgraded_thirty_times_and_repaired() {
    if !are_there(&["nginx"]) {
        return;
    }
    let ports = free_ports(4);
    let site = example("nginx", &[(8970, ports[3]), (8081, ports[0]), (8082, ports[1]), (8083, ports[2])]);
    // Thirty upgrades with two batches each: every answer is asked for as often, and sooner.
    let toml = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let observe = "observe = [\"./observe.sh\"]";
    assert!(toml.contains(observe));
    site.write(
        "phasegate.toml",
        toml.replace(observe, &format!("{observe}\nconfirm = {{ over = \"PT0.2S\" }}")),
    );
    let services = Services(&site);
    let host = site.host();
    site.wait_for_instances("nothing to run", |one| one["versionState"] == "absent");
    let first = site.run(&["upgrade", "start", "web", "--to", "v1", "--wait"]);
    assert_eq!(first.code, 0, "{first:?}");
    site.wait_until_healthy();
    for number in 2..=31 {
        upgraded(&site, "web", &format!("v{number}"));
    }
    // One is stopped by hand: nothing runs there, and a repair brings back what ran.
    Services::end(&site.path("run/web-2/nginx.pid"));
    wait_for("the stopped one to be seen", || (site.instances()[1]["health"] == "Unknown").then_some(()));
    let repaired = site.run(&["repair", "web", "--instances", "web-2", "--wait"]);
    assert_eq!(repaired.code, 0, "{repaired:?}");
    let all = site.wait_until_healthy();
    assert!(all.iter().all(|one| one["version"] == "v31"), "{all:?}");
    services.end_all();
    host.stop();
}

pub(crate) fn redis(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The one that leads.
fn leader(ports: &[u16], leads: impl Fn(u16) -> bool) -> u16 {
    wait_for("one leader", || {
        let all: Vec<u16> = ports.iter().copied().filter(|port| leads(*port)).collect();
        (all.len() == 1).then(|| all[0])
    })
}

/// Two upgrades of three with a leader, which goes last each time; gives who leads in the end.
fn the_leader_goes_last(site: &Site, (set, ports): (&str, &[u16]), leads: impl Fn(u16) -> bool) -> u16 {
    for to in ["v2", "v3"] {
        let before = leader(ports, &leads);
        site.wait_until_healthy();
        let phase = |index: usize| Value::from(u8::from(ports[index] == before));
        wait_for("the phases", || {
            let instances = site.instances();
            instances.iter().enumerate().all(|(index, one)| one["phase"] == phase(index)).then_some(())
        });
        upgraded(site, set, to);
        let log = site.json(&["log", set]);
        let lines = log["entries"].as_array().unwrap();
        let applied = lines.iter().filter(|line| line["kind"] == "apply");
        let applied: Vec<&str> = applied.filter_map(|line| line["instance"].as_str()).collect();
        let index = ports.iter().position(|port| *port == before).unwrap();
        let last = applied[applied.len() - 1];
        assert!(last.ends_with(&format!("-{}", index + 1)), "the leader went last: {applied:?}");
        assert_ne!(leader(ports, &leads), before, "another one leads since");
    }
    site.wait_until_healthy();
    leader(ports, leads)
}

#[test]
fn three_redis_are_upgraded_replicas_first_and_the_leader_last_after_a_failover() {
    if !are_there(&["redis-server", "redis-cli", "python3"]) {
        return;
    }
    let ports = free_ports(5);
    let (api, exporter, ports) = (ports[4], ports[3], &ports[..3]);
    let others = [(6381, ports[0]), (6382, ports[1]), (6383, ports[2])];
    let site = example("redis", &[&[(8970, api), (9121, exporter)], &others[..]].concat());
    let services = Services(&site);
    for (port, of) in
        [(ports[0], String::new()), (ports[1], ports[0].to_string()), (ports[2], ports[0].to_string())]
    {
        let mut start = Command::new("./start.sh");
        start.args([port.to_string(), of, "v1".to_owned()]).current_dir(site.path(""));
        assert!(start.status().unwrap().success());
    }
    let mut answers =
        Command::new("python3").arg(site.path("exporter.py")).arg(exporter.to_string()).spawn().unwrap();
    redis(ports[0], &["set", "key", "kept"]);
    let host = site.host();
    site.wait_until_healthy();
    let leads = |port: u16| redis(port, &["role"]).starts_with("master");
    let last = the_leader_goes_last(&site, ("cache", ports), leads);
    assert_eq!(redis(last, &["get", "key"]), "kept");
    let _ = answers.kill();
    let _ = answers.wait();
    services.end_all();
    host.stop();
}

/// PostgreSQL runs as somebody else than root, in a folder of his own.
pub(crate) struct Clusters<'a> {
    pub(crate) site: &'a Site,
    pub(crate) home: tempfile::TempDir,
    pub(crate) ports: &'a [u16],
}

/// Whether the server of Debian and its client are there.
pub(crate) fn is_postgresql_there() -> bool {
    let is_server_there = fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut all| all.next().is_some());
    are_there(if is_server_there { &["psql"] } else { &["pg_ctl of Debian"] })
}

impl<'a> Clusters<'a> {
    pub(crate) fn new(site: &'a Site, ports: &'a [u16]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let _ = Command::new("chown").arg("postgres").arg(home.path()).stderr(Stdio::null()).status();
        Self { site, home, ports }
    }
}

impl Clusters<'_> {
    pub(crate) fn sh(&self, script: &str) -> bool {
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!(". ./lib.sh; {script}")]).current_dir(self.site.path(""));
        sh.env("PG_HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .status()
            .unwrap()
            .success()
    }
}

impl Drop for Clusters<'_> {
    fn drop(&mut self) {
        for port in self.ports {
            self.sh(&format!("ctl {port} stop -m immediate 2>/dev/null"));
        }
    }
}

pub(crate) fn sql(port: u16, text: &str) -> String {
    let port = port.to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres", "-tAXc", text];
    let output = Command::new("psql").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn three_postgresql_are_upgraded_standbys_first_and_the_primary_last_after_a_promotion() {
    if !is_postgresql_there() || !are_there(&["python3"]) {
        return;
    }
    let ports = free_ports(5);
    let (api, exporter, ports) = (ports[4], ports[3], &ports[..3]);
    let others = [(5441, ports[0]), (5442, ports[1]), (5443, ports[2])];
    let site = example("postgresql", &[&[(8970, api), (9187, exporter)], &others[..]].concat());
    let clusters = Clusters::new(&site, ports);
    let text = fs::read_to_string(site.path("phasegate.toml")).unwrap();
    let home = format!("environment = {{ PG_HOME = \"{}\", ", clusters.home.path().display());
    site.write("phasegate.toml", text.replace("environment = { ", &home));
    for (port, of) in [(ports[0], ""), (ports[1], &*ports[0].to_string()), (ports[2], &*ports[0].to_string())]
    {
        assert!(clusters.sh(&format!("./create.sh {port} '{of}' v1")));
    }
    let mut answers =
        Command::new("python3").arg(site.path("exporter.py")).arg(exporter.to_string()).spawn().unwrap();
    sql(ports[0], "create table t (v text); insert into t values ('kept')");
    let host = site.host();
    site.wait_until_healthy();
    let last =
        the_leader_goes_last(&site, ("db", ports), |port| sql(port, "select pg_is_in_recovery()") == "f");
    assert_eq!(sql(last, "select v from t"), "kept");
    let _ = answers.kill();
    let _ = answers.wait();
    drop(clusters);
    host.stop();
}

/// The gate of CONFIGURATION.md that asks Prometheus lets nothing pass that Prometheus does not know.
#[test]
fn the_gate_that_asks_prometheus_says_no_where_nobody_knows() {
    let text = fs::read_to_string(repository().join("host/CONFIGURATION.md")).unwrap();
    let script = text.split("# error-rate.sh:").nth(1).unwrap().split("\n```").next().unwrap();
    if !["jq", "awk"].iter().all(|one| std::path::Path::new("/usr/bin").join(one).exists()) {
        eprintln!("left out: no jq or awk here");
        return;
    }
    let site = Site::new();
    let script = site.write("error-rate.sh", format!("#!/bin/sh\n# {script}"));
    let rate = |value: &str| format!(r#"{{"data":{{"result":[{{"value":[1,"{value}"]}}]}}}}"#);
    for (answer, direction, expected) in [
        (Some(rate("0.002")), "forward", 0),
        (Some(rate("1e-05")), "forward", 0),
        (Some(rate("0")), "forward", 0),
        (Some(rate("0.5")), "forward", 75),
        (Some(rate("+Inf")), "forward", 75),
        (Some(rate("NaN")), "forward", 75),
        (Some(r#"{"data":{"result":[]}}"#.to_owned()), "forward", 75),
        (Some("<html>".to_owned()), "forward", 75),
        (Some(String::new()), "forward", 75),
        (None, "forward", 75),
        (None, "back", 0),
    ] {
        let code = if answer.is_some() { 0 } else { 22 };
        let said = answer.clone().unwrap_or_default();
        let stub = site.write("curl", format!("#!/bin/sh\ncat <<'E'\n{said}\nE\nexit {code}\n"));
        fs::set_permissions(stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", site.path("").display());
        let mut sh = Command::new("sh");
        sh.arg(&script).arg(direction).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
        assert_eq!(sh.status().unwrap().code(), Some(expected), "{answer:?} {direction}");
    }
}
