//! The guard, seen from the host, and a host that is killed.

use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

use rustix::process::Signal;

use super::*;
use crate::drivers::local::{GuardLink, guard, keep_guard};

/// Set for the tests below that are bodies of other processes; elsewhere they do nothing.
const BODY_FLAG: &str = "PHASEGATE_TEST_BODY";

/// A command that runs one test of this binary as a process.
fn body(name: &str, flag: &str) -> GuardCommand {
    let program = "/usr/bin/env".into();
    let binary = std::env::current_exe().unwrap().into_os_string();
    let test = format!("drivers::process::tests::guarded::{name}");
    let flag = format!("{BODY_FLAG}={flag}");
    let arguments = vec![flag.into(), binary, "--exact".into(), test.into(), "--nocapture".into()];
    GuardCommand { program, arguments }
}

#[test]
fn body_of_the_guard() {
    if std::env::var_os(BODY_FLAG).is_some() {
        guard::run(std::io::stdin(), Duration::from_millis(500), None).unwrap();
    }
}

/// Listens on the port that the flag names, in a session of its own.
#[test]
fn body_of_the_orphan() {
    let Some(port) = std::env::var_os(BODY_FLAG) else { return };
    rustix::process::setsid().unwrap();
    let port: u16 = port.to_str().unwrap().parse().unwrap();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::fs::write("orphan", format!("{}\n", std::process::id())).unwrap();
    // Until it is killed.
    std::thread::park_timeout(Duration::from_secs(300));
}

/// A host that runs until it is killed, in the directory that the flag names.
#[tokio::test]
async fn body_of_the_host() {
    let Some(dir) = std::env::var_os(BODY_FLAG) else { return };
    let dir = PathBuf::from(dir);
    // Deaf processes, one of them not a child of the host: the guard has to use force.
    let family = "trap '' TERM; echo $$ >> runs-$VERSION; \
                  (while :; do sleep 300; done) & while :; do sleep 300; done";
    let (notes, _keep) = mpsc::channel(64);
    let guard = Some(body("body_of_the_guard", "1"));
    let driver = ProcessDriver::start(settings(&dir, &[family], PATIENCE, guard), notes).unwrap();
    for id in ["1", "2"] {
        driver.ensure(request(id, "v1", id)).await.unwrap();
    }
    std::fs::write(dir.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_host() {
    let dir = tempfile::tempdir().unwrap();
    let GuardCommand { program, arguments } = body("body_of_the_host", dir.path().to_str().unwrap());
    let mut host = tokio::process::Command::new(program);
    let mut host =
        host.args(arguments).stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    until("the host is ready", || dir.path().join("ready").exists()).await;
    let both = groups(dir.path().join("runs-v1"), 2).await;
    assert!(both.iter().all(|group| group.is_alive()));
    host.start_kill().unwrap();
    assert_eq!(host.wait().await.unwrap().signal(), Some(9));
    until("nothing left", || !both.iter().any(|group| group.is_alive())).await;
}

/// A guard that only writes down its pid and what it is told.
fn recorder(file: &Path) -> GuardCommand {
    let script = "echo \"pid $$\" >> \"$0\"; while read -r line; do echo \"$line\" >> \"$0\"; done; \
                  echo end >> \"$0\"";
    GuardCommand {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into(), file.as_os_str().to_owned()],
    }
}

#[tokio::test]
async fn the_guard_hears_of_every_group_and_is_replaced_when_it_dies() {
    let dir = tempfile::tempdir().unwrap();
    let heard = dir.path().join("heard");
    let rig = rig(&[STEADY, STEADY], Setup { guard: Some(recorder(&heard)), ..Setup::default() });
    rig.ensure("1", "v1", "a").await.unwrap();
    rig.ensure("2", "v1", "b").await.unwrap();
    let old = rig.runs("v1", 2).await;
    until("three lines", || lines(&heard).len() == 3).await;
    let first = lines(&heard);
    assert_eq!(first[1..], [format!("+{}", old[0].id()), format!("+{}", old[1].id())]);

    rig.ensure("1", "v2", "c").await.unwrap();
    let new = rig.runs("v2", 1).await[0];
    until("five lines", || lines(&heard).len() == 5).await;
    assert_eq!(lines(&heard)[3..], [format!("-{}", old[0].id()), format!("+{}", new.id())]);

    let pid: i32 = first[0].strip_prefix("pid ").unwrap().parse().unwrap();
    Group::new(pid).unwrap().signal(Signal::KILL);
    until("another guard that knows both", || lines(&heard).len() == 8).await;
    let second = lines(&heard);
    assert!(second[5].starts_with("pid ") && second[5] != first[0], "{second:?}");
    let mut ids = [old[1].id(), new.id()];
    ids.sort_unstable();
    assert_eq!(second[6..], ids.map(|id| format!("+{id}")));
    assert!(old[1].is_alive() && new.is_alive());

    rig.driver().shutdown().await;
    let mut last = lines(&heard).split_off(8);
    last.sort();
    let mut expected = ids.map(|id| format!("-{id}")).to_vec();
    expected.push("end".to_owned());
    expected.sort();
    assert_eq!(last, expected);
}

#[tokio::test]
async fn a_guard_that_does_not_read_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let starts = dir.path().join("starts");
    let command = GuardCommand {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "echo $$ >> \"$0\"; exec sleep 300".into(), starts.clone().into()],
    };
    let link = Rc::new(GuardLink::default());
    let child = link.start(&command).unwrap();
    let (_close, closing) = oneshot::channel();
    let local = tokio::task::LocalSet::new();
    let keeper = keep_guard(Rc::clone(&link), command, child, closing, Clock::start());
    let work = async {
        groups(starts.clone(), 1).await;
        // More than a pipe holds.
        let group = Group::new(i32::MAX).unwrap();
        for _ in 0..10_000 {
            link.add(group);
            link.remove(group);
        }
        let both = groups(starts.clone(), 2).await;
        assert!(!both[0].is_alive());
        both[1].signal(Signal::KILL);
    };
    let both = async {
        tokio::select! { () = keeper => {}, () = work => {} }
    };
    tokio::time::timeout(PATIENCE, local.run_until(both)).await.unwrap();
}

#[test]
fn a_guard_that_cannot_be_started_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let guard = GuardCommand { program: "/no/such/guard".into(), arguments: Vec::new() };
    let (notes, _) = mpsc::channel(1);
    let error = ProcessDriver::start(settings(dir.path(), &[], PATIENCE, Some(guard)), notes).unwrap_err();
    assert_eq!(error.to_string(), "the supervisor of processes or its guard cannot be started");
}
