//! Configurations for tests: fleets of the program's own database stand-in, or of plain `sleep`
//! processes beside servers that the test itself runs.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, Ordering};

use super::{program, repository};

/// One instance of a test fleet.
#[derive(Clone)]
pub struct Member {
    pub port: u16,
    pub zone: &'static str,
    pub update_domain: u32,
    pub role: &'static str,
    pub backup: bool,
}

/// What differs between the fleets of the tests.
pub struct Fleet {
    pub api_port: u16,
    pub members: Vec<Member>,
    pub component: String,
    pub settings: &'static str,
    pub command: String,
    pub health: &'static str,
    pub policy: &'static str,
}

/// Ports for a test alone: below those that the system gives to outgoing connections, which take a
/// port that a host is about to listen on, below those of `surge`, and never twice in this run.
pub fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const LAST: u16 = 19_999;
    // Another run of the tests begins elsewhere.
    let begin = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).unwrap();
    let candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + (begin + step % (LAST - FIRST)) % (LAST - FIRST)
    });
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    candidates.filter(is_free).take(count).collect()
}

pub fn replicated_db() -> String {
    repository().join("plugins/replicated-db/replicated-db.wasm").display().to_string()
}

/// A fleet of real database stand-ins; the first member leads.
pub fn databases(count: usize) -> Fleet {
    let mut ports = free_ports(count + 1);
    let api_port = ports.pop().unwrap();
    let member = |(index, port)| Member {
        port,
        zone: ["1", "2", "3"][index % 3],
        update_domain: 0,
        role: if index == 0 { "leader" } else { "replica" },
        backup: false,
    };
    Fleet {
        api_port,
        members: ports.into_iter().enumerate().map(member).collect(),
        component: replicated_db(),
        settings: "{}",
        command: format!(
            r#"["{}", "__demo-database", "--id", "{{id}}", "--port", "{{port}}", "--version", "{{version}}",
              "--role", "{{label.role}}", "--backup", "{{label.backup}}"]"#,
            program()
        ),
        health: "intervalInSeconds = 0.1\ngracePeriod = 20\nrequestPath = \"/health\"",
        policy: "maxBatchInstancePercent = 20",
    }
}

/// Instances whose answers the test gives itself: the process does nothing.
pub fn answered_by_the_test(ports: &[u16], component: &str) -> Fleet {
    let member =
        |port: &u16| Member { port: *port, zone: "1", update_domain: 0, role: "replica", backup: false };
    Fleet {
        api_port: free_ports(1)[0],
        members: ports.iter().map(member).collect(),
        component: component.to_owned(),
        settings: "{}",
        command: r#"["sleep", "1000"]"#.to_owned(),
        health: "intervalInSeconds = 0.1\ngracePeriod = 2\ntimeoutInSeconds = 1",
        policy: "maxBatchInstancePercent = 100\nmaxUnhealthyInstancePercent = 100",
    }
}

impl Fleet {
    pub fn toml(&self) -> String {
        let Self { api_port, members, component, settings, command, health, policy } = self;
        let mut text = format!(
            r#"[server]
listen = "127.0.0.1:{api_port}"
dataDir = "./data"

[[plugins]]
name = "db"
component = "{component}"
settings = {settings}
limits = {{ memoryMiB = 32, timeoutMs = 200 }}

[[scaleSets]]
name = "orders"
plugin = "db"
[scaleSets.health]
{health}
[scaleSets.upgradePolicy.rollingUpgradePolicy]
{policy}
[scaleSets.driver]
kind = "process"
command = {command}
stopTimeoutInSeconds = 2
[scaleSets.model]
version = "v1"
"#
        );
        for (index, member) in members.iter().enumerate() {
            let Member { port, zone, update_domain, role, backup } = member;
            write!(
                text,
                r#"
[[scaleSets.instances]]
id = "{index}"
address = "127.0.0.1:{port}"
zone = "{zone}"
updateDomain = {update_domain}
labels = {{ role = "{role}", backup = "{backup}" }}
"#
            )
            .unwrap();
        }
        text
    }
}
