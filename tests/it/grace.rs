//! The edge of the grace period on a real clock: a probe that falls on it is the same probe for every instance.
//!
//! Rows of the Azure profile, sixty instances each. What is compared is the sequence of committed states, which
//! the log of the host tells; no time is.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::support::{Site, fleet, wait_for};

const INSTANCES: usize = 60;

/// The one that is there before.
const WARM: usize = 99;

/// A row: its name, its settings, what each instance says one after the other, and the changes of its health.
struct Row {
    name: &'static str,
    health: &'static str,
    says: &'static str,
    changes: &'static [&'static str],
}

const LATE: &[&str] = &["Initializing -> Unknown", "Unknown -> Healthy"];
const NEVER: &[&str] = &["Initializing -> Unknown"];

/// `k` is an answer that nobody can read, `h` and `u` are Healthy and Unhealthy.
const ROWS: [Row; 4] = [
    Row { name: "default", health: "", says: "khh", changes: LATE },
    Row {
        name: "s12",
        health: "intervalInSeconds = 5, numberOfProbes = 2, gracePeriod = 10, ",
        says: "khhkhuhkh",
        changes: NEVER,
    },
    Row {
        name: "s19",
        health: "intervalInSeconds = 10, numberOfProbes = 2, gracePeriod = 60, ",
        says: "ukkkhuh",
        changes: NEVER,
    },
    Row {
        name: "x03",
        health: "intervalInSeconds = 5, numberOfProbes = 2, gracePeriod = 5, ",
        says: "hhhh",
        changes: LATE,
    },
];

/// How often each instance was asked, by its name.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// Answers for all instances; who is asked says a header. After the row nothing more changes by what is said.
fn server() -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let all = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut request, mut room) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(count @ 1..) = stream.read(&mut room) else { break };
                request.extend_from_slice(&room[..count]);
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some(who) = text.lines().find_map(|line| line.strip_prefix("X-Who: ")) else { continue };
            let row = ROWS.iter().find(|row| who.starts_with(row.name)).unwrap();
            let mut asked = all.lock().unwrap();
            let count = asked.entry(who.to_owned()).or_default();
            let after = if row.changes == NEVER { 'k' } else { 'h' };
            let state = match row.says.chars().nth(*count).unwrap_or(after) {
                'h' => "Healthy",
                'u' => "Unhealthy",
                _ => "?",
            };
            *count += 1;
            drop(asked);
            let body = format!(r#"{{"ApplicationHealthState":"{state}"}}"#);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    (port, asked)
}

fn toml(api: u16, port: u16, numbers: &[usize]) -> String {
    let mut toml = format!("[server]\nlisten = \"127.0.0.1:{api}\"\n");
    for Row { name, health, .. } in &ROWS {
        toml.push_str(&format!(
            "[[scaleSets]]\nname = \"{name}\"\nmodel = {{ version = \"v1\" }}\n\
             driver = {{ kind = \"command\", command = [\"true\"] }}\n\
             health = {{ profile = \"azure\", {health}requestHeaders = {{ X-Who = \"{{id}}\" }} }}\n"
        ));
        for number in numbers {
            let instance = format!("id = \"{name}-{number}\"\naddress = \"127.0.0.1:{port}\"\n");
            toml.push_str(&format!("[[scaleSets.instances]]\n{instance}"));
        }
    }
    toml
}

#[test]
fn the_probe_at_the_end_of_the_grace_period_is_too_late_for_everybody() {
    let site = Site::new();
    let (port, asked) = server();
    let api = fleet::free_ports(1)[0];
    // What is asked while the plugin is still compiled is judged once more and is no probe for the health: everybody
    // comes when it decides.
    site.write("phasegate.toml", toml(api, port, &[WARM]));
    let host = site.host();
    let everybody: Vec<usize> = (0..INSTANCES).chain([WARM]).collect();
    site.write("phasegate.toml", toml(api, port, &everybody));
    let reloaded = site.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    // One after the last answer of the row: that one was judged before it was asked for again.
    for part in [2, 1] {
        wait_for("everybody to be asked to the end of its row", || {
            let asked = asked.lock().unwrap();
            let enough = |row: &Row| {
                let wanted = row.says.len() / part + 1;
                (0..INSTANCES).all(|number| asked.get(&format!("{}-{number}", row.name)) > Some(&wanted))
            };
            ROWS.iter().all(enough).then_some(())
        });
    }
    host.stop();
    let log = site.log();
    let mut wrong = Vec::new();
    for Row { name, changes, says, .. } in &ROWS {
        for number in 0..INSTANCES {
            let of = format!("scale_set={name} instance={name}-{number}");
            let seen: Vec<&str> = log
                .lines()
                .filter(|line| line.ends_with(&of))
                .filter_map(|line| {
                    line.split_once("health ")?.1.split_once(" scale_set=").map(|(change, _)| change)
                })
                .collect();
            if &seen != changes {
                wrong.push(format!("{name}-{number}, {says}: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), ROWS.len() * INSTANCES);
}
