//! Starting, replacing, restarting and ending.

use super::*;

#[tokio::test]
async fn an_upgrade_stops_the_old_process_and_starts_the_new_one() {
    let rig = rig(&[STEADY, STEADY], Setup::default());
    assert_eq!(rig.observed("1").await, None);
    rig.ensure("1", "v1", "a").await.unwrap();
    let old = rig.runs("v1", 1).await[0];
    assert!(old.is_alive());
    assert_eq!(rig.observed("1").await.as_deref(), Some("v1"));

    rig.ensure("1", "v2", "b").await.unwrap();
    let new = rig.runs("v2", 1).await[0];
    assert!(!old.is_alive() && new.is_alive());
    assert_eq!(rig.observed("1").await.as_deref(), Some("v2"));
    assert_eq!(rig.observed("2").await, None);
}

#[tokio::test]
async fn a_missing_command_keeps_the_old_process() {
    let rig = rig(&[STEADY], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    let old = rig.runs("v1", 1).await[0];
    let error = rig.ensure("1", "v7", "b").await.unwrap_err();
    assert_eq!(error, "command `no-such-database` was not found: looked in PATH /usr/bin:/bin");
    assert!(old.is_alive());
    assert_eq!(rig.observed("1").await.as_deref(), Some("v1"));
    assert_eq!(rig.ensure("1", "vx", "c").await.unwrap_err(), "is not given {number} here");
}

#[tokio::test]
async fn repeats_are_done_at_once() {
    let rig = rig(&[STEADY, STEADY], Setup::default());
    let (first, again) = tokio::join!(rig.ensure("1", "v1", "a"), rig.ensure("1", "v1", "a"));
    assert_eq!((first, again), (Ok(()), Ok(())));
    // Another operation, but nothing to do.
    rig.ensure("1", "v1", "b").await.unwrap();
    // A late repeat of the last one, whatever it says.
    rig.ensure("1", "v2", "b").await.unwrap();
    assert_eq!(rig.run_count("v1"), 1);
    assert_eq!(rig.run_count("v2"), 0);
}

#[tokio::test]
async fn an_older_generation_is_refused() {
    let rig = rig(&[STEADY, STEADY], Setup::default());
    let mut newer = request("1", "v1", "a");
    newer.fence = fence(7);
    rig.driver().ensure(newer).await.unwrap();
    let error = rig.ensure("2", "v2", "b").await.unwrap_err();
    assert_eq!(error, "the request is of generation 1 and 7 has been seen: a newer host is in charge");
    assert_eq!(rig.observed("2").await, None);
}

#[tokio::test]
async fn a_process_deaf_to_sigterm_is_killed_after_the_timeout() {
    let deaf = "trap '' TERM; echo $$ >> runs-$VERSION; sleep 300 & while :; do sleep 300; done";
    let setup = Setup { stop_timeout: Duration::from_millis(200), ..Setup::default() };
    let rig = rig(&[deaf, STEADY], setup);
    rig.ensure("1", "v1", "a").await.unwrap();
    let old = rig.runs("v1", 1).await[0];
    rig.ensure("1", "v2", "b").await.unwrap();
    assert!(!old.is_alive());
}

#[tokio::test]
async fn a_graceful_end_is_waited_for() {
    let graceful = "trap 'echo saved >> saved; exit 0' TERM; echo $$ >> runs-$VERSION; \
                    while :; do sleep 300 & wait $!; done";
    let rig = rig(&[graceful, STEADY], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    rig.runs("v1", 1).await;
    rig.ensure("1", "v2", "b").await.unwrap();
    assert_eq!(lines(&rig.dir.path().join("saved")), ["saved"]);
}

#[tokio::test]
async fn an_immediate_exit_fails_with_the_end_of_the_output() {
    let mut rig = rig(
        &[STEADY, "echo starting; echo 'port taken' >&2; exit 3"],
        Setup::patient(Duration::from_secs(1)),
    );
    rig.ensure("1", "v1", "a").await.unwrap();
    let error = rig.ensure("1", "v2", "b").await.unwrap_err();
    let (start, end) = error.split_once(" of version ").unwrap();
    assert!(start.starts_with("process "), "{error}");
    let log = rig.dir.path().join("log/db-1.log").canonicalize().unwrap();
    let expected =
        format!("v2 exited with code 3 at once, its output: starting | port taken ({})", log.display());
    assert_eq!(end, expected);
    // It stays what is wanted.
    assert_eq!(rig.observed("1").await.as_deref(), Some("v2"));
    let (kind, text) = rig.note().await;
    assert_eq!(kind, ProcessState::Exited);
    assert!(
        text.contains(
            " of version v2 exited with code 3, its output: starting | port taken; restarting in 0.0"
        ),
        "{text}"
    );
    assert_eq!(rig.note().await.0, ProcessState::Restarted);
    // The way back is open.
    rig.ensure("1", "v1", "c").await.unwrap();
    assert_eq!(rig.observed("1").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_crashed_process_comes_back_with_growing_delays() {
    let mut rig = rig(&[STEADY], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    for (round, full) in [0.02, 0.04, 0.08, 0.08].into_iter().enumerate() {
        let group = rig.runs("v1", round + 1).await[round];
        group.signal(rustix::process::Signal::KILL);
        let (state, text) = rig.note().await;
        let begins =
            format!("process {} of version v1 was ended by signal 9 (SIGKILL); restarting in ", group.id());
        let delay = text.strip_prefix(&begins).and_then(|rest| rest.strip_suffix(" s")).expect(&text);
        let delay: f64 = delay.parse().unwrap();
        // A quarter at most is taken away, and hundredths are shown.
        assert!(delay <= full && delay >= full * 0.75 - 0.005, "{delay} of {full}");
        assert_eq!(state, ProcessState::Exited);
        assert_eq!(rig.note().await.0, ProcessState::Restarted);
    }
    assert_eq!(rig.observed("1").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn what_a_crashed_process_leaves_behind_is_ended_before_the_restart() {
    let crashing = "echo $$ >> runs-$VERSION; sleep 300 & while [ ! -e crash ]; do sleep 0.01; done; \
                    rm crash; exit 1";
    let mut rig = rig(&[crashing], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    std::fs::write(rig.dir.path().join("crash"), "").unwrap();
    assert_eq!(rig.note().await.0, ProcessState::Exited);
    let both = rig.runs("v1", 2).await;
    assert!(!both[0].is_alive() && both[1].is_alive());
}

#[tokio::test]
async fn a_command_that_vanishes_is_tried_again() {
    let mut rig = rig(&["exec ./db"], Setup::patient(PATIENCE));
    let place = rig.dir.path().join("log");
    rig.ensure("1", "v1", "a").await.unwrap_err();
    assert_eq!(rig.note().await.0, ProcessState::Exited);
    // Neither does it wait for its log.
    std::fs::remove_dir_all(&place).unwrap();
    let db = rig.dir.path().join("db");
    std::fs::write(&db, format!("#!/bin/sh\n{STEADY}\n")).unwrap();
    std::fs::set_permissions(&db, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    rig.runs("v1", 1).await;
    assert!(place.is_dir(), "its folder was made anew");
}

#[tokio::test]
async fn shutdown_leaves_nothing_and_can_be_repeated() {
    let family = "echo $$ >> runs-$VERSION; sleep 300 & sleep 300";
    let rig = rig(&[family], Setup::default());
    let (one, two) = tokio::join!(rig.ensure("1", "v1", "a"), rig.ensure("2", "v1", "b"));
    assert_eq!((one, two), (Ok(()), Ok(())));
    let both = rig.runs("v1", 2).await;
    assert!(both.iter().all(|group| group.is_alive()));
    tokio::join!(rig.driver().shutdown(), rig.driver().shutdown());
    rig.driver().shutdown().await;
    assert!(!both.iter().any(|group| group.is_alive()));
    assert_eq!(rig.ensure("1", "v1", "c").await.unwrap_err(), "the process driver has ended");
    assert_eq!(rig.observed("1").await, None);
}

#[tokio::test]
async fn instances_are_stopped_in_parallel_and_by_force() {
    let deaf = "trap '' TERM; echo $$ >> runs-$VERSION; while :; do sleep 300; done";
    let stop_timeout = Duration::from_millis(400);
    let rig = rig(&[deaf], Setup { stop_timeout, ..Setup::default() });
    let ids = ["1", "2", "3", "4", "5", "6"];
    for id in ids {
        rig.ensure(id, "v1", id).await.unwrap();
    }
    let all = rig.runs("v1", ids.len()).await;
    let clock = Clock::start();
    let begun = clock.now();
    rig.driver().shutdown().await;
    let took = clock.now().since(begun);
    assert!(!all.iter().any(|group| group.is_alive()));
    assert!(took >= stop_timeout && took < stop_timeout * 6, "{took:?}");
}

#[tokio::test]
async fn a_dropped_driver_ends_its_processes_by_force() {
    let deaf = "trap '' TERM; echo $$ >> runs-$VERSION; while :; do sleep 300; done";
    let mut rig = rig(&[deaf], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    let group = rig.runs("v1", 1).await[0];
    drop(rig.driver.take());
    assert!(!group.is_alive());
}

#[tokio::test]
async fn a_driver_whose_notes_nobody_reads_still_ends() {
    let rig = rig(&["exit 1"], Setup::patient(PATIENCE));
    rig.ensure("1", "v1", "a").await.unwrap_err();
    until("a full channel", || rig.notes.len() == NOTES_LEN).await;
    rig.driver().shutdown().await;
}

#[test]
fn a_bad_log_directory_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), "a file").unwrap();
    let (notes, _) = mpsc::channel(1);
    let error = ProcessDriver::start(settings(dir.path(), &[], PATIENCE, None), notes).unwrap_err();
    assert_eq!(error.to_string(), format!("log directory `{}/log` cannot be created", dir.path().display()));
}

#[tokio::test]
async fn what_a_person_wants_again_is_begun_anew_and_what_stands_elsewhere_is_begun_there() {
    let rig = rig(&[STEADY], Setup::default());
    rig.ensure("1", "v1", "a").await.unwrap();
    let first = rig.runs("v1", 1).await[0];
    rig.ensure("1", "v1", "b").await.unwrap();
    assert!(first.is_alive(), "it is there");
    let driver = rig.driver.as_ref().unwrap();
    driver.ensure(Ensure { again: Again::Yes, ..request("1", "v1", "c") }).await.unwrap();
    let second = rig.runs("v1", 2).await[1];
    assert!(!first.is_alive() && second.is_alive());
    driver.ensure(Ensure { again: Again::Yes, ..request("1", "v1", "c") }).await.unwrap();
    assert!(second.is_alive(), "the same once more is done");
    let mut elsewhere = request("1", "v1", "d");
    elsewhere.instance.address.port += 1;
    driver.ensure(elsewhere).await.unwrap();
    let third = rig.runs("v1", 3).await[2];
    assert!(!second.is_alive() && third.is_alive());
}
