//! Tests with the real script of `tests/stubs`, which stands for a site.

mod failures;
mod surge;
mod together;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::drivers::backoff::Backoff;
use crate::drivers::local::Group;
use crate::drivers::testing::{CONFIRM, PATIENCE, fence, lines, question, request, until, word};
use phasegate_core::domain::{OperationId, Version};

/// Whether the site has a program that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Yes,
    No,
}

struct Script {
    dir: PathBuf,
    looks: Looks,
}

impl Script {
    fn command(&self, verb: &str) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/stubs/driver.sh");
        let argv = [script, verb, self.dir.to_str().unwrap()].map(str::to_owned).to_vec();
        Command {
            argv,
            environment: [("EXTRA".to_owned(), "1".to_owned())].into(),
            working_dir: self.dir.clone(),
        }
    }
}

impl CommandLines for Script {
    fn apply(
        &self,
        request: &Ensure,
        _: &crate::drivers::settings::SettingsFiles,
    ) -> Result<Command, RenderError> {
        match request.version.as_str() {
            "v-missing" => {
                let mut command = self.command("upgrade");
                command.argv[0] = "no-such-program".to_owned();
                Ok(command)
            }
            "v-no-interpreter" => {
                use std::os::unix::fs::PermissionsExt as _;
                let path = self.dir.join("no-interpreter");
                std::fs::write(&path, "#!/bin/sh\r\ntrue\r\n").unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
                let mut command = self.command("upgrade");
                command.argv[0] = path.to_str().unwrap().to_owned();
                Ok(command)
            }
            _ => Ok(self.command("upgrade")),
        }
    }

    fn create(&self, _: &Create) -> Result<Option<Command>, RenderError> {
        Ok(Some(self.command("create")))
    }

    fn delete(&self, _: &Delete) -> Result<Option<Command>, RenderError> {
        Ok(Some(self.command("delete")))
    }

    fn look(&self, _: &ScaleSetName, _: &Instance, _: &Component) -> Result<Option<Command>, RenderError> {
        Ok((self.looks == Looks::Yes).then(|| self.command("observe")))
    }
}

struct Site {
    dir: tempfile::TempDir,
    driver: Arc<CommandDriver>,
}

struct Setup {
    looks: Looks,
    timeout: Duration,
    retry_for: Duration,
    max_concurrent: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { looks: Looks::No, timeout: PATIENCE, retry_for: PATIENCE, max_concurrent: 64 }
    }
}

fn site(setup: Setup) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let Setup { looks, timeout, retry_for, max_concurrent } = setup;
    let settings = CommandSettings {
        words: crate::drivers::Words::default(),
        extensions: crate::drivers::settings::ExtensionSettings::default(),
        settings_dir: PathBuf::new(),
        at_exit: Duration::ZERO,
        commands: Box::new(Script { dir: dir.path().to_owned(), looks }),
        creation: Creation::Possible,
        sight: Sight::APPLICATION,
        confirm: CONFIRM,
        search_path: "/usr/bin:/bin".into(),
        log_dir: dir.path().join("log"),
        timeout,
        retry_for,
        max_concurrent,
        guard: None,
    };
    let milliseconds = Duration::from_millis;
    let short = Backoff::new(milliseconds(10), milliseconds(40), Duration::MAX);
    let timing = Timing { retry: short, stop_timeout: milliseconds(200) };
    let driver = Arc::new(CommandDriver::start_with(settings, timing).unwrap());
    Site { dir, driver }
}

impl Site {
    async fn ensure(&self, instance: &str, version: &str, operation: &str) -> Result<(), String> {
        self.send(request(instance, version, operation)).await
    }

    async fn send(&self, request: Ensure) -> Result<(), String> {
        self.driver.ensure(request).await.map(drop).map_err(|error| error.to_string())
    }

    /// As above, in the background.
    fn begin(&self, instance: &str, version: &str) -> tokio::task::JoinHandle<Result<Seen, DriverError>> {
        tokio::spawn(self.driver.ensure(request(instance, version, instance)))
    }

    async fn observed(&self, instance: &str, manner: &str) -> String {
        let mut question = question(instance);
        let labels = &mut Arc::make_mut(&mut question.instance).labels;
        labels.insert("manner".to_owned(), manner.to_owned());
        word(&self.driver.observe(question).await)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn calls(&self) -> Vec<String> {
        lines(&self.path("calls"))
    }

    async fn groups(&self, count: usize) -> Vec<Group> {
        let pids = self.path("pids");
        until("the programs", || lines(&pids).len() >= count).await;
        lines(&pids).iter().map(|pid| Group::new(pid.parse().unwrap()).unwrap()).collect()
    }

    /// The end of an error, without the path of the script and of the log.
    fn short(&self, error: &str) -> String {
        let log = self.path("log/db-1.log").canonicalize().unwrap();
        error.replace(&format!(" ({})", log.display()), " (LOG)").replace(env!("CARGO_MANIFEST_DIR"), "")
    }
}

#[tokio::test]
async fn a_program_brings_the_instance_to_the_version_once() {
    let site = site(Setup::default());
    assert_eq!(site.driver.custody(), Custody::Site);
    assert_eq!(site.observed("1", "").await, "unknown", "nobody can be asked");
    let (first, again) = tokio::join!(site.ensure("1", "v1", "a"), site.ensure("1", "v1", "a"));
    assert_eq!((first, again), (Ok(()), Ok(())));
    // Another operation to the same version is done: who asks for it knows why. A late repeat of it is not,
    // whatever that says.
    site.ensure("1", "v1", "b").await.unwrap();
    site.ensure("1", "v2", "b").await.unwrap();
    assert_eq!(site.calls(), ["db/1 >v1 a 1", "db/1 >v1 b 1"]);
    site.ensure("1", "v2", "c").await.unwrap();
    assert_eq!(lines(&site.path("1.version")), ["v2"]);
    assert_eq!(site.observed("1", "").await, "unknown", "what was done last is the record's to know");
}

#[tokio::test]
async fn an_older_generation_is_refused() {
    let site = site(Setup::default());
    let newer = Ensure { fence: fence(7), ..request("1", "v1", "a") };
    site.send(newer).await.unwrap();
    let error = site.ensure("2", "v2", "b").await.unwrap_err();
    assert_eq!(error, "the request is of generation 1 and 7 has been seen: a newer host is in charge");
    assert_eq!(site.calls().len(), 1);
}

#[tokio::test]
async fn the_environment_says_everything() {
    let site = site(Setup::default());
    let mut request = request("1", "v2", "u/9/1/1");
    request.instance.address.host = "::1".to_owned();
    request.instance.zone = Some("z 1".to_owned());
    request.instance.labels = [("manner", "env"), ("rack-no.2", "a=b\"'$x")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    request.previous = Some(Version::parse("v1").unwrap());
    request.fence = fence(4);
    site.send(request).await.unwrap();
    // What whoever runs the tests has set is not ours to judge.
    let inherited =
        |line: &String| line.split_once('=').is_some_and(|(name, _)| std::env::var_os(name).is_some());
    let mut said = lines(&site.path("env"));
    said.retain(|line| !inherited(line));
    insta::assert_snapshot!(said.join("\n"), @r#"
    PHASEGATE_ADDRESS=[::1]:9
    PHASEGATE_COMPONENT=application
    PHASEGATE_GENERATION=4
    PHASEGATE_HOST=::1
    PHASEGATE_INSTANCE=1
    PHASEGATE_LABEL_MANNER=env
    PHASEGATE_LABEL_RACK_NO_2=a=b"'$x
    PHASEGATE_OPERATION=u/9/1/1
    PHASEGATE_PORT=9
    PHASEGATE_PREVIOUS_VERSION=v1
    PHASEGATE_SCALE_SET=db
    PHASEGATE_VERSION=v2
    PHASEGATE_ZONE=z 1
    "#);
}

#[tokio::test]
async fn what_a_program_leaves_in_its_group_is_ended() {
    let site = site(Setup::default());
    site.ensure("1", "v2-leaves", "a").await.unwrap();
    assert!(!site.groups(1).await[0].is_alive());
    assert_eq!(lines(&site.path("1.version")), ["v2-leaves"]);
}

#[tokio::test]
async fn three_words_for_what_runs() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    assert_eq!(site.observed("1", "").await, "unknown", "exit code 3");
    std::fs::write(site.path("1.version"), "v2\n").unwrap();
    for (manner, expected) in [
        ("", "v2"),
        ("look-absent", "absent"),
        ("look-busy", "unknown"),
        ("look-empty", "unknown"),
        ("look-fails", "unknown"),
        ("look-noise", "unknown"),
    ] {
        assert_eq!(site.observed("1", manner).await, expected, "{manner}");
    }
}

#[tokio::test]
async fn what_the_instance_seems_to_run_already_is_done_all_the_same() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    // As after a crash of the host in the middle of the effect.
    std::fs::write(site.path("1.version"), "v2\n").unwrap();
    site.ensure("1", "v2", "a").await.unwrap();
    assert_eq!(site.calls(), ["db/1 >v2 a 1"]);
}

#[tokio::test]
async fn another_answer_than_the_recorded_one_has_to_be_repeated() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    std::fs::write(site.path("1.version"), "v1\n").unwrap();
    let asked = |expected: &str| {
        let mut question = question("1");
        question.expected = Some(Version::parse(expected).unwrap());
        // Answers v2 and v1 in turns.
        let labels = &mut Arc::make_mut(&mut question.instance).labels;
        labels.insert("manner".to_owned(), "look-turns".to_owned());
        site.driver.observe(question)
    };
    assert_eq!(word(&asked("v1").await), "v1");
    assert_eq!(word(&asked("v2").await), "v2", "side by side: neither counts, and the record stands");
    let mut question = question("1");
    question.expected = Version::parse("v2").ok();
    assert_eq!(word(&site.driver.observe(question).await), "v1", "in a row");
}

#[test]
fn what_cannot_be_had_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), "a file").unwrap();
    let settings = |log_dir: &Path, guard| CommandSettings {
        words: crate::drivers::Words::default(),
        extensions: crate::drivers::settings::ExtensionSettings::default(),
        settings_dir: PathBuf::new(),
        at_exit: Duration::ZERO,
        commands: Box::new(Script { dir: dir.path().to_owned(), looks: Looks::No }),
        creation: Creation::NotTold,
        sight: Sight::NONE,
        confirm: CONFIRM,
        search_path: OsString::new(),
        log_dir: log_dir.to_owned(),
        timeout: PATIENCE,
        retry_for: PATIENCE,
        max_concurrent: 1,
        guard,
    };
    let error = CommandDriver::start(settings(&dir.path().join("log"), None)).err().unwrap();
    assert_eq!(error.to_string(), format!("log directory `{}/log` cannot be created", dir.path().display()));
    let guard = GuardCommand { program: "/no/such/guard".into(), arguments: Vec::new() };
    let error = CommandDriver::start(settings(dir.path(), Some(guard))).err().unwrap();
    assert_eq!(error.to_string(), "the runner of commands or its guard cannot be started");
}
