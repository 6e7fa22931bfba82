//! Programs that fail, are busy, hang or lie.

use super::*;
use phasegate_core::domain::Touched;

#[tokio::test]
async fn every_end_but_0_and_75_is_a_failure_with_its_output() {
    let site = site(Setup::default());
    for (version, expected) in [
        ("v2-fail", "exited with code 1, its output: starting | disk is full (LOG)"),
        ("v2-code", "exited with code 42, without output (LOG)"),
        ("v2-killed", "was ended by signal 9 (SIGKILL), without output (LOG)"),
    ] {
        let error = site.ensure("1", version, version).await.unwrap_err();
        assert_eq!(site.short(&error), format!("`/../tests/stubs/driver.sh` {expected}"));
    }
    let error = site.ensure("1", "v-missing", "d").await.unwrap_err();
    assert_eq!(error, "command `no-such-program` was not found: looked in PATH /usr/bin:/bin");
    let log = lines(&site.path("log/db-1.log"));
    assert_eq!(
        log[..3],
        ["--- operation v2-fail to version v2-fail: exited with code 1", "starting", "disk is full"]
    );
}

#[tokio::test]
async fn only_the_end_of_much_output_is_kept() {
    let site = site(Setup::default());
    let error = site.ensure("1", "v2-flood", "a").await.unwrap_err();
    assert!(error.contains("its output: line 2995 of many") && error.len() < 1000, "{error}");
    let log = std::fs::read(site.path("log/db-1.log")).unwrap();
    let last = "line 2999 of many, one like the other\n";
    assert!(log.len() < 17 * 1024 && log.ends_with(last.as_bytes()), "{}", log.len());
}

#[tokio::test]
async fn a_busy_site_is_tried_again_under_the_same_operation() {
    let site = site(Setup::default());
    site.ensure("1", "v2-busy", "a").await.unwrap();
    assert_eq!(site.calls(), ["db/1 >v2-busy a 1"; 3]);
}

#[tokio::test]
async fn a_site_that_stays_busy_fails_at_the_deadline() {
    let site = site(Setup { retry_for: Duration::from_millis(300), ..Setup::default() });
    let error = site.ensure("1", "v2-always-busy", "a").await.unwrap_err();
    let expected = "still busy after 0.3 s: `/../tests/stubs/driver.sh` exited with code 75, \
                    its output: locked for ever (LOG)";
    assert_eq!(site.short(&error), expected);
    assert!(site.calls().len() > 1, "{:?}", site.calls());
}

#[tokio::test]
async fn without_time_for_tries_there_is_one() {
    let site = site(Setup { retry_for: Duration::ZERO, ..Setup::default() });
    site.ensure("1", "v2-always-busy", "a").await.unwrap_err();
    assert_eq!(site.calls().len(), 1);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_group() {
    let site = site(Setup { timeout: Duration::from_millis(500), ..Setup::default() });
    let error = site.ensure("1", "v2-hang", "a").await.unwrap_err();
    let group = site.groups(1).await[0];
    assert!(!group.is_alive());
    let expected = "`/../tests/stubs/driver.sh` did not end within 0.5 s and was ended by force, \
                    its output: waiting for nothing (LOG)";
    assert_eq!(site.short(&error), expected);
}

#[tokio::test]
async fn done_is_not_believed_when_the_instance_says_otherwise() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    site.ensure("1", "v1", "a").await.unwrap();
    let error = site.ensure("1", "v2-lie", "b").await.unwrap_err();
    assert_eq!(error, "it was said to be done, and the instance still runs v1 0.4 s later");
    assert_eq!(site.observed("1", "").await, "v1");
    // It may be half done: the way back is gone although it seems to be there already.
    site.ensure("1", "v1", "c").await.unwrap();
    assert_eq!(site.calls().len(), 3);
}

#[tokio::test]
async fn after_a_failure_nothing_is_taken_for_granted() {
    let site = site(Setup::default());
    site.ensure("1", "v1", "a").await.unwrap();
    site.ensure("1", "v2-fail", "b").await.unwrap_err();
    assert_eq!(site.observed("1", "").await, "unknown");
    site.ensure("1", "v1", "c").await.unwrap();
    assert_eq!(site.calls().len(), 3);
}

#[tokio::test]
async fn a_failure_says_whether_anything_was_touched() {
    let site = site(Setup::default());
    for (version, touched) in [
        ("v2-untouched", Touched::No),
        ("v-missing", Touched::No),
        ("v-no-interpreter", Touched::No),
        ("v2-fail", Touched::Perhaps),
    ] {
        let error = site.driver.ensure(request("1", version, version)).await.unwrap_err();
        assert_eq!(error.touched(), touched, "{error}");
    }
}

#[tokio::test]
async fn what_nobody_can_confirm_is_not_done() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    for (manner, expected) in [
        ("look-absent", "it was said to be done, and the instance says that nothing runs 0.4 s later"),
        ("look-busy", "it was said to be done, and for 0.4 s nobody could tell whether it runs v2: "),
    ] {
        let mut request = request("1", "v2", manner);
        request.instance.labels.insert("manner".to_owned(), manner.to_owned());
        let error = site.send(request).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn old_and_new_side_by_side_are_no_failure() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    let mut request = request("1", "v2", "a");
    request.instance.labels.insert("manner".to_owned(), "look-reload".to_owned());
    site.send(request).await.unwrap();
    assert_eq!(site.calls().len(), 1);
}
