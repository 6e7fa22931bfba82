//! Tests with real processes: shells that write down what they are.

mod guarded;
#[cfg(target_os = "linux")]
mod left;
mod upgrade;

use std::path::{Path, PathBuf};

use super::*;
use crate::drivers::ProcessState;
use crate::drivers::local::{Command, Group};
use crate::drivers::template::MissingValueError;
use crate::drivers::testing::{PATIENCE, fence, lines, question, request, until};
use phasegate_core::domain::{ScaleSetName, Version};

/// Notes that a rig holds unread.
const NOTES_LEN: usize = 8;

/// Runs for ever and appends its pid to the file `runs-VERSION`.
const STEADY: &str = "echo $$ >> runs-$VERSION; exec sleep 300";

struct Rig {
    dir: tempfile::TempDir,
    driver: Option<ProcessDriver>,
    notes: mpsc::Receiver<DriverNote>,
}

struct Setup {
    stop_timeout: Duration,
    timing: Timing,
    guard: Option<GuardCommand>,
}

impl Default for Setup {
    fn default() -> Self {
        let milliseconds = Duration::from_millis;
        let backoff = Backoff::new(milliseconds(20), milliseconds(80), PATIENCE);
        Self { stop_timeout: PATIENCE, timing: Timing { settle: SETTLE, backoff }, guard: None }
    }
}

impl Setup {
    /// For processes that end at once, however slowly this machine runs them.
    fn patient(settle: Duration) -> Self {
        let mut setup = Self::default();
        setup.timing.settle = settle;
        setup
    }
}

/// A driver whose version `v1` runs the first of the scripts, and so on. Other versions have a
/// command that does not exist.
fn rig(scripts: &[&str], setup: Setup) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let (notes_in, notes) = mpsc::channel(NOTES_LEN);
    let settings = settings(dir.path(), scripts, setup.stop_timeout, setup.guard);
    let driver = ProcessDriver::start_with(settings, notes_in, setup.timing).unwrap();
    Rig { dir, driver: Some(driver), notes }
}

fn settings(
    dir: &Path,
    scripts: &[&str],
    stop_timeout: Duration,
    guard: Option<GuardCommand>,
) -> ProcessSettings {
    let scripts: Vec<String> = scripts.iter().map(|text| (*text).to_owned()).collect();
    let working_dir = dir.to_owned();
    let commands = move |_: &ScaleSetName, _: &Instance, version: &Version| {
        let number = version.as_str().trim_start_matches('v').parse::<usize>();
        let number = number.map_err(|_| MissingValueError::Wish("number"))?;
        let argv = match scripts.get(number - 1) {
            Some(script) => ["sh", "-c", script].map(str::to_owned).to_vec(),
            None => vec!["no-such-database".to_owned()],
        };
        let environment = [("VERSION".to_owned(), version.to_string())].into();
        Ok(Command { argv, environment, working_dir: working_dir.clone() })
    };
    let (commands, search_path) = (Box::new(commands), "/usr/bin:/bin".into());
    ProcessSettings {
        commands,
        search_path,
        log_dir: dir.join("log"),
        stop_timeout,
        surge_ports: None,
        kept: dir.join("processes"),
        on_exit: OnExit::Stop,
        guard,
    }
}

/// The groups that a script wrote down, once there are as many.
async fn groups(path: PathBuf, count: usize) -> Vec<Group> {
    until(&format!("{count} lines in {}", path.display()), || lines(&path).len() >= count).await;
    lines(&path).iter().map(|line| Group::new(line.parse().unwrap()).unwrap()).collect()
}

impl Rig {
    fn driver(&self) -> &ProcessDriver {
        self.driver.as_ref().unwrap()
    }

    async fn ensure(&self, instance: &str, version: &str, operation: &str) -> Result<(), String> {
        let request = request(instance, version, operation);
        self.driver().ensure(request).await.map(drop).map_err(|error| error.to_string())
    }

    async fn observed(&self, instance: &str) -> Option<String> {
        match self.driver().observe(question(instance)).await {
            Seen::Version(version) => Some(version.to_string()),
            Seen::Nothing => None,
            Seen::Unknown => panic!("it knows what it keeps running"),
        }
    }

    async fn runs(&self, version: &str, count: usize) -> Vec<Group> {
        groups(self.dir.path().join(format!("runs-{version}")), count).await
    }

    fn run_count(&self, version: &str) -> usize {
        lines(&self.dir.path().join(format!("runs-{version}"))).len()
    }

    async fn note(&mut self) -> (ProcessState, String) {
        let note = tokio::time::timeout(PATIENCE, self.notes.recv()).await.unwrap().unwrap();
        (note.state, note.text)
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orphan_that_kept_the_port_is_named_and_does_not_answer_for_the_new_version() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    // It leaves its group, as a daemon does, and survives the stop.
    let binary = std::env::current_exe().unwrap();
    let test = "drivers::process::tests::guarded::body_of_the_orphan";
    let orphan =
        format!("PHASEGATE_TEST_BODY={port} {} --exact {test} --nocapture & {STEADY}", binary.display());
    let rig = rig(&[&orphan, STEADY], Setup::default());
    let ensure = |version: &str, operation: &str| {
        let mut request = request("1", version, operation);
        request.instance.address.port = port;
        rig.driver().ensure(request)
    };
    ensure("v1", "a").await.unwrap();
    let left = rig.dir.path().join("orphan");
    until("the orphan listens", || left.exists() && !lines(&left).is_empty()).await;
    let pid: i32 = std::fs::read_to_string(&left).unwrap().trim().parse().unwrap();
    let error = ensure("v2", "b").await.unwrap_err().to_string();
    assert!(error.contains(&format!("port {port} is still held by process {pid} (`")), "{error}");
    assert_eq!(rig.run_count("v2"), 0, "nothing was started beside it");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("it comes up by itself once the port is free", || rig.run_count("v2") == 1).await;
}
