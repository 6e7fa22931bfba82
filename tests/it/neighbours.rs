//! The host among its neighbours: a stderr that nobody reads, a machine that has no descriptors left, orphans,
//! and texts that were written to steer a terminal.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::drivers::toml_answering;
use crate::support::{Finished, Site, fleet, repository, wait_for};

const HEALTHY: &str = r#"{"ApplicationHealthState":"Healthy"}"#;

/// Text that clears a screen in three ways, turns the reading direction, hides, and breaks the line.
const EVIL: &str = "evil\u{1b}[2J\u{9b}2J\u{202e}gnirts\u{2066}\u{200b}\u{feff}\u{e0041}\r\u{85}end";

/// Whether a text could do what [`EVIL`] wants.
fn steers(text: &str) -> Option<char> {
    let bad = |c: &char| {
        (c.is_control() && *c != '\n') || "\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{85}".contains(*c)
    };
    text.chars().find(bad)
}

/// Three instances that the test answers for, and a program that upgrades them.
fn toml(script: &str, body: &'static str) -> String {
    toml_answering(&format!("kind = \"command\"\ncommand = {script}"), body)
}

fn good_driver() -> String {
    format!("[\"{}\", \"upgrade\", \".\"]", repository().join("tests/stubs/driver.sh").display())
}

/// A pipe that takes nothing any more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// A host whose stderr is what is given, and that answers.
fn host_with(site: &Site, stderr: impl Into<Stdio>) -> std::process::Child {
    let mut host = site.command(&["run"]).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    wait_for("the host to answer", || {
        assert_eq!(host.try_wait().unwrap(), None, "the host has ended");
        (site.run(&["fleet"]).code == 0).then_some(())
    });
    host
}

fn end(mut host: std::process::Child) -> Option<i32> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(host.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    wait_for("the host to end", || host.try_wait().unwrap()).code()
}

fn metric(site: &Site, line: &str) -> f64 {
    let text = metrics(site);
    let found = text.lines().find_map(|seen| seen.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no `{line}` in {text}"))
}

fn metrics(site: &Site) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", site.port())).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_stderr_that_nobody_reads_stops_nothing() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&good_driver(), HEALTHY));
    let (mut reader, writer) = full_pipe();
    let host = host_with(&site, writer);
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    assert_eq!(end(host), Some(0));
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen.trim_matches('.'), "", "nothing was written into a full pipe");
}

#[test]
fn lines_that_waited_are_written_when_somebody_reads_again() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&good_driver(), HEALTHY));
    let (mut reader, writer) = full_pipe();
    let host = host_with(&site, writer);
    site.wait_until_healthy();
    let mut text = String::new();
    let mut some = [0; 4096];
    while !text.contains("listening on") {
        let count = reader.read(&mut some).unwrap();
        text.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    assert_eq!(end(host), Some(0));
    reader.read_to_string(&mut text).unwrap();
    assert!(text.contains("stopping"), "{}", text.trim_matches('.'));
}

#[test]
fn a_stderr_whose_reader_is_gone_stops_nothing() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&good_driver(), HEALTHY));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let host = host_with(&site, writer);
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 0);
    assert!(metric(&site, "phasegate_log_lines_lost_total ") >= 3.0);
    assert_eq!(end(host), Some(0));
}

#[test]
fn a_log_for_programs_is_json_line_by_line() {
    let site = Site::new();
    site.write("phasegate.toml", toml(&good_driver(), HEALTHY));
    let host = site.spawn(&["run", "--log-format", "json"]);
    wait_for("the host to answer", || (site.run(&["fleet"]).code == 0).then_some(()));
    site.wait_until_healthy();
    let Finished { code, stderr, .. } = host.stop();
    assert_eq!(code, 0);
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let healthy = |line: &&Value| line["message"] == "health Initializing -> Healthy";
    let line = lines.iter().find(healthy).unwrap_or_else(|| panic!("{stderr}"));
    assert_eq!(line["fields"]["scale_set"], "orders");
    assert_eq!(line["level"], "INFO");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(line["target"].as_str().unwrap().starts_with("phasegate"), "{line}");
}

#[test]
fn a_host_without_descriptors_blames_itself_and_answers() {
    let site = Site::new();
    // They take connections and say nothing: each probe holds a descriptor until it is given up.
    let port = fleet::free_ports(2);
    let silent: Vec<std::net::TcpListener> = (1..=60)
        .map(|number| std::net::TcpListener::bind((format!("127.0.{number}.1"), port[0])).unwrap())
        .collect();
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\ndataDir = \"data\"\n[[scaleSets]]\nname = \"orders\"\n\
         model = {{ version = \"v1\" }}\ndriver = {{ kind = \"command\", command = [\"true\"] }}\n\
         [scaleSets.health]\nintervalInSeconds = 0.5\ntimeoutInSeconds = 0.4\n",
        port[1]
    );
    for number in 1..=60 {
        let address = format!("127.0.{number}.1:{}", port[0]);
        text.push_str(&format!("[[scaleSets.instances]]\nid = \"{number}\"\naddress = \"{address}\"\n"));
    }
    site.write("phasegate.toml", text);
    let log = fs::File::create(site.path("stderr.log")).unwrap();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" run", crate::support::program()]);
    command.current_dir(site.directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let host = command.spawn().unwrap();
    let missed = "phasegate_shortages_total{missed=\"probe\",short_of=\"descriptors\"} ";
    wait_for("the host to answer", || (site.run(&["fleet"]).code == 0).then_some(()));
    wait_for("rounds in which nobody was asked", || (metric(&site, missed) >= 20.0).then_some(()));
    let unasked = wait_for("an instance that says why", || {
        let reasons =
            site.instances().into_iter().filter_map(|one| one["reason"].as_str().map(str::to_owned));
        reasons.into_iter().find(|reason| reason.starts_with("not asked since "))
    });
    assert!(unasked.ends_with("short of file descriptors"), "{unasked}");
    let log = site.log();
    assert_eq!(log.matches("short of file descriptors: instances are not asked").count(), 1, "{log}");
    assert!(log.contains("raise it with `ulimit -n`"), "{log}");
    // Reading it takes a descriptor, too.
    wait_for("its limit", || metrics(&site).contains("\nprocess_max_fds 48.0\n").then_some(()));
    drop(silent);
    assert_eq!(end(host), Some(0));
}

/// How many children of a process have ended and were not collected.
fn zombies_of(pid: u32) -> usize {
    let is_one = |entry: &fs::DirEntry| {
        let stat = fs::read(entry.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        fields.first() == Some(&"Z") && fields.get(1) == Some(&pid.to_string().as_str())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
}

#[test]
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "between fork and exec, one system call")]
fn orphans_are_collected_and_the_own_children_are_left_to_their_drivers() {
    use std::os::unix::process::CommandExt;
    let site = Site::new();
    // It leaves orphans behind that have left its group, and ends by itself, again and again.
    site.write(
        "app.sh",
        "for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sh -c 'sleep 0.05; echo x >> orphans' &); done\nsleep 0.4\nexit 7\n",
    );
    let api_port = fleet::free_ports(2);
    site.write(
        "phasegate.toml",
        format!(
            r#"
[server]
listen = "127.0.0.1:{}"
dataDir = "data"
[[scaleSets]]
name = "orders"
model = {{ version = "v1" }}
[scaleSets.health]
intervalInSeconds = 0.1
[scaleSets.driver]
kind = "process"
command = ["sh", "app.sh"]
[[scaleSets.instances]]
id = "0"
address = "127.0.0.1:{}"
"#,
            api_port[0], api_port[1]
        ),
    );
    let log = fs::File::create(site.path("stderr.log")).unwrap();
    let mut command = site.command(&["run"]);
    command.stdout(Stdio::null()).stderr(log);
    // Orphans come to it, as to the first process of a container. It keeps that over `exec`.
    let inherit = || {
        let here = rustix::process::getpid();
        Ok(rustix::process::set_child_subreaper(Some(here))?)
    };
    // SAFETY: system calls alone.
    unsafe { command.pre_exec(inherit) };
    let host = command.spawn().unwrap();
    let pid = host.id();
    let orphans = || fs::read_to_string(site.path("orphans")).unwrap_or_default().lines().count();
    wait_for("thirty orphans", || (orphans() >= 30).then_some(()));
    wait_for("their collection", || (zombies_of(pid) <= 5).then_some(()));
    assert_eq!(end(host), Some(0));
    let log = site.log();
    assert!(log.matches("exited with code 7").count() >= 2, "{log}");
    assert!(!log.contains("could not be waited for"), "{log}");
}

/// What every view shows must not steer a terminal, in words and as JSON.
#[test]
fn no_view_lets_a_text_from_outside_steer() {
    const BODY: &str =
        r#"{"ApplicationHealthState":"evil\u001b[2J\u009b2J\u202egnirts\u2066\u200b\ufeff\r\u0085end"}"#;
    let site = Site::new();
    site.write("evil.txt", EVIL);
    site.write("driver.sh", "cat evil.txt; cat evil.txt >&2; exit 1\n");
    site.write("phasegate.toml", toml("[\"sh\", \"driver.sh\"]", HEALTHY));
    let host = site.host();
    site.wait_until_healthy();
    let reason = "evil\u{202e}gnirts\u{200b}";
    let faulted = site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait", "--bypass", reason]);
    assert_eq!(faulted.code, 1, "{faulted:?}");
    site.run(&["line", "stop", "--reason", reason]);

    let views: [&[&str]; 12] = [
        &["fleet"],
        &["upgrade", "status", "orders"],
        &["upgrade", "log", "orders"],
        &["upgrade", "log", "orders", "--instance", "0"],
        &["upgrade", "explain", "orders", "0"],
        &["upgrade", "plan", "orders", "--to", "v3"],
        &["upgrade", "watch", "orders"],
        &["upgrade", "status", EVIL],
        &["upgrade", "start", "orders", "--to", EVIL],
        &["line", "status"],
        &["plugin", "list"],
        &["plugin", "history", "azure-health"],
    ];
    let mut quoted = 0;
    for view in views {
        for json in [&[][..], &["--json"]] {
            let arguments = [view, json].concat();
            let Finished { stdout, stderr, .. } = site.run(&arguments);
            for text in [&stdout, &stderr] {
                assert_eq!(steers(text), None, "{arguments:?}: {text:?}");
                quoted += usize::from(text.contains("evil"));
            }
        }
    }
    assert!(quoted >= 8, "only {quoted} views have quoted it at all");
    let log = host.stop().stderr;
    assert_eq!(steers(&log), None, "{log:?}");
    assert!(log.contains("evil\\u{1b}[2J"), "{log}");

    // What an instance says.
    site.write("phasegate.toml", toml(&good_driver(), BODY));
    let host = site.host();
    for arguments in [&["fleet"][..], &["fleet", "--json", "--detail"], &["upgrade", "plan", "orders"]] {
        let Finished { stdout, stderr, .. } = site.run(arguments);
        assert_eq!((steers(&stdout), steers(&stderr)), (None, None), "{arguments:?}: {stdout:?} {stderr:?}");
    }
    assert_eq!(steers(&host.stop().stderr), None);
}

#[test]
fn what_a_driver_says_is_said_once() {
    let site = Site::new();
    site.write("phasegate.toml", toml("[\"sh\", \"-c\", \"echo no room in the rack; exit 1\"]", HEALTHY));
    let host = site.host();
    site.wait_until_healthy();
    assert_eq!(site.run(&["upgrade", "start", "orders", "--to", "v2", "--wait"]).code, 1);
    for view in [&["upgrade", "status", "orders"][..], &["fleet"]] {
        let shown = site.run(view).stdout;
        let tries = fs::read_to_string(site.path("data/logs/orders/orders-0.log")).unwrap();
        let tries = tries.matches("no room in the rack").count();
        assert!(shown.matches("no room in the rack").count() <= tries, "{view:?}, {tries} tries: {shown}");
    }
    let log = host.stop().stderr;
    let tries = fs::read_to_string(site.path("data/logs/orders/orders-0.log")).unwrap();
    let tries = tries.matches("no room in the rack").count();
    assert_eq!(log.matches("no room in the rack").count(), tries, "{log}");
}

#[test]
fn names_that_leave_no_room_for_ids_are_refused() {
    let site = Site::new();
    let good = toml(&good_driver(), HEALTHY);
    for (length, code) in [(107, 0), (108, 1)] {
        site.write("phasegate.toml", good.replace("\"orders\"", &format!("\"{}\"", "x".repeat(length))));
        let checked = site.run(&["check", "--offline"]);
        assert_eq!(checked.code, code, "{length}: {checked:?}");
        assert_eq!(checked.stdout.contains("is 108 bytes long (limit 107"), code == 1, "{checked:?}");
    }
    let surge = good.replace("maxBatchInstancePercent = 34", "maxBatchInstancePercent = 34\nmaxSurge = true");
    let long = "i".repeat(108);
    site.write("phasegate.toml", surge.replace("id = \"0\"", &format!("id = \"{long}\"")));
    let checked = site.run(&["check", "--offline"]);
    assert!(checked.stdout.contains("which is 108 bytes long (limit 107 with maxSurge"), "{checked:?}");
}
