//! `phasegate run` in a process of its own, asked through its API and its system's accounts.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use phasegate::clock::Clock;

use super::Made;

/// Longest wait for anything; only a fault comes near it.
const PATIENCE: Duration = Duration::from_secs(180);

/// A host that runs; it ends when this is dropped.
pub(crate) struct Running {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Running {
    /// Starts a host with this fleet: the program of this build, or the one that `PHASEGATE_BIN` names.
    pub(crate) fn start(made: &Made) -> Self {
        Self::start_under(&[], made)
    }

    /// The same, started by another program: the first of `under`, with the rest before the host's own name.
    pub(crate) fn start_under(under: &[&str], made: &Made) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(directory.path().join("phasegate.toml"), made.toml(port)).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let other = std::env::var("PHASEGATE_BIN").ok();
        let program = other.as_deref().unwrap_or(env!("CARGO_BIN_EXE_phasegate"));
        let whole = [under, &[program, "run"]].concat();
        let child = Command::new(whole[0])
            .args(&whole[1..])
            .current_dir(directory.path())
            .env_remove("PHASEGATE_TOKEN")
            .env_remove("PHASEGATE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port, directory }
    }

    /// Waits until so many instances are healthy.
    pub(crate) fn wait_until_healthy(&mut self, instances: usize) {
        let line = format!("phasegate_instances{{scale_set=\"fleet\",health=\"Healthy\"}} {instances}.0");
        wait_for(Duration::from_millis(200), "a healthy fleet", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the host ended: {}", self.log());
            self.ask("GET", "/metrics", b"").is_some_and(|(_, text)| text.lines().any(|known| known == line))
        });
    }

    /// Lets the host go by a changed fleet.
    pub(crate) fn reload(&self, made: &Made) {
        fs::write(self.directory.path().join("phasegate.toml"), made.toml(self.port)).unwrap();
        self.command("/v1/reload");
    }

    /// Tells the upgrade something.
    pub(crate) fn wish(&self, wish: &str) {
        self.command(&format!("/v1/scale-sets/fleet/upgrade/{wish}"));
    }

    fn command(&self, target: &str) {
        let (status, text) = self.ask("POST", target, b"").unwrap();
        assert!((200..300).contains(&status), "{target}: {status}: {text}");
    }

    /// Starts an upgrade; waits for the one before.
    pub(crate) fn upgrade(&self, version: &str) {
        let wanted = format!(r#"{{"to":"{version}"}}"#);
        wait_for(Duration::from_millis(5), "the start of an upgrade", || {
            match self.ask("POST", "/v1/scale-sets/fleet/upgrade", wanted.as_bytes()) {
                Some((409, _)) | None => false,
                Some((200..=299, _)) => true,
                Some((status, text)) => panic!("{status}: {text}"),
            }
        });
    }

    /// Sends one request; none when nobody listens.
    pub(crate) fn ask(&self, method: &str, target: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_nodelay(true).ok()?;
        let (port, length) = (self.port, body.len());
        let media = if target.contains("/swap") { "application/wasm" } else { "application/json" };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text))
    }

    /// CPU time that all its threads have used.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, which may contain anything, field 3 is the first.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11..=12].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // `USER_HZ` is 100 on every architecture that Rust's standard library has a Linux for.
        Duration::from_millis(ticks * 10)
    }

    /// The process, by its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub(crate) fn wait_for(every: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(every);
    }
}
