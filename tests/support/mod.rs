//! A running `phasegate` for a test: its configuration, its command line, and its end.

pub mod agent;
pub mod answers;
pub mod contracts;
pub mod fleet;
pub mod guests;
pub mod plugin;
pub mod registry;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Upper bound of every wait. Generous, because it is only ever reached by a failure.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Variable by which the processes of one test are told from those of another.
const MARK: &str = "PHASEGATE_TEST_MARK";

static NEXT_MARK: AtomicU64 = AtomicU64::new(0);

pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_phasegate")
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Waits until `condition` gives a value, and says what it waited for when it never does.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory with a configuration, and everything that a test starts in it.
pub struct Site {
    pub directory: tempfile::TempDir,
    mark: String,
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// What is on stdout; of what follows something, the last line.
    pub fn json(&self) -> Value {
        let values = serde_json::Deserializer::from_str(&self.stdout).into_iter::<Value>();
        let values: Result<Vec<Value>, _> = values.collect();
        let last = values.unwrap_or_else(|error| panic!("{error}: {self:?}")).pop();
        last.unwrap_or_else(|| panic!("nothing on stdout: {self:?}"))
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Site {
    pub fn new() -> Self {
        let mark = format!("{}-{}", std::process::id(), NEXT_MARK.fetch_add(1, Ordering::Relaxed));
        Self { directory: tempfile::tempdir().unwrap(), mark }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The program with arguments, in the site's directory, without anything of ours in the
    /// environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env(MARK, &self.mark)
            .env_remove("PHASEGATE_SERVER")
            .env_remove("PHASEGATE_TOKEN")
            .env_remove("PHASEGATE_CA_FILE")
            .env_remove("PHASEGATE_LOG")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command that must end with 0 and gives its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let finished = self.run(&all);
        assert_eq!(finished.code, 0, "{arguments:?}: {finished:?}");
        finished.json()
    }

    /// Starts a command in the background.
    pub fn spawn(&self, arguments: &[&str]) -> Background<'_> {
        let log = fs::File::create(self.path("stderr.log")).unwrap();
        let child = self.command(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        Background { site: self, child: Some(child) }
    }

    /// Starts the host and waits until it answers and everything decides.
    pub fn host(&self) -> Background<'_> {
        let mut host = self.spawn(&["run"]);
        wait_for("the host to answer", || {
            if let Some(status) = host.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the host ended with {status}: {}", self.log());
            }
            // It says so when all plugins decide; the API answers before.
            let has_begun = self.log().contains("listening on ");
            (has_begun && self.run(&["fleet"]).code == 0).then_some(())
        });
        host
    }

    /// Port of the API, from the configuration that was written.
    pub fn port(&self) -> u16 {
        let file = std::fs::read_to_string(self.path("phasegate.toml")).unwrap();
        let listen = file.lines().find_map(|line| line.strip_prefix("listen = \"127.0.0.1:")).unwrap();
        listen.trim_end_matches('"').parse().unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("stderr.log")).unwrap_or_default()
    }

    /// Instances of the first scale set.
    pub fn instances(&self) -> Vec<Value> {
        self.json(&["fleet"])["scaleSets"][0]["instances"].as_array().unwrap().clone()
    }

    /// Waits until every instance fulfils a condition.
    pub fn wait_for_instances(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Vec<Value> {
        wait_for(what, || {
            let instances = self.instances();
            instances.iter().all(&condition).then_some(instances)
        })
    }

    pub fn wait_until_healthy(&self) -> Vec<Value> {
        self.wait_for_instances("a healthy fleet", |instance| instance["health"] == "Healthy")
    }

    /// Processes that this site's commands started, directly or not, and that still run.
    pub fn processes(&self) -> Vec<String> {
        let wanted = format!("{MARK}={}", self.mark);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let path = entry.path();
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                let command = fs::read(path.join("cmdline")).unwrap_or_default();
                found.push(String::from_utf8_lossy(&command).replace('\0', " "));
            }
        }
        found
    }

    /// Waits until nothing of this site runs any more.
    pub fn wait_until_nothing_is_left(&self) {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "left behind: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A command in the background. Dropping it stops it and checks that nothing is left.
pub struct Background<'a> {
    site: &'a Site,
    child: Option<Child>,
}

impl Background<'_> {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its own end.
    pub fn wait(mut self) -> Finished {
        let mut child = self.child.take().unwrap();
        let status = wait_for("the command to end", || child.try_wait().unwrap());
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Finished { code: status.code().unwrap_or(-1), stdout, stderr: self.site.log() }
    }

    /// Asks it to stop and waits; nothing may be left.
    pub fn stop(self) -> Finished {
        let site = self.site;
        self.signal(rustix::process::Signal::TERM);
        let finished = self.wait();
        assert_eq!(site.processes(), Vec::<String>::new(), "left behind after a stop in good order");
        finished
    }

    /// Kills it without a word.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if std::thread::panicking() {
            eprintln!("--- log of the host ---\n{}", self.site.log());
        }
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(30) {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
