//! How many programs run at a time, and what becomes of them when their driver ends.

use super::*;

#[tokio::test]
async fn no_more_programs_than_allowed_run_at_once() {
    let site = site(Setup { max_concurrent: 2, ..Setup::default() });
    let tasks = ["1", "2", "3", "4", "5"].map(|id| site.begin(id, "v2-wait"));
    site.groups(2).await;
    // Room for a third to show up.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.calls().len(), 2);
    std::fs::write(site.path("go"), "").unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(site.calls().len(), 5);
}

#[tokio::test]
async fn one_instance_has_one_program_at_a_time() {
    let site = site(Setup::default());
    let first = site.begin("1", "v2-wait");
    site.groups(1).await;
    let mut other = request("1", "v3", "other");
    other.operation = OperationId("other".to_owned());
    let second = tokio::spawn(site.driver.ensure(other));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(site.calls().len(), 1);
    std::fs::write(site.path("go"), "").unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(lines(&site.path("1.version")), ["v3"]);
}

#[tokio::test]
async fn shutdown_leaves_nothing_and_can_be_repeated() {
    let site = site(Setup::default());
    let tasks = [site.begin("1", "v2-hang"), site.begin("2", "v2-wait")];
    let groups = site.groups(2).await;
    assert!(groups.iter().all(|group| group.is_alive()));
    tokio::join!(site.driver.shutdown(), site.driver.shutdown());
    assert!(!groups.iter().any(|group| group.is_alive()));
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap_err().to_string(), "the driver has ended");
    }
    assert_eq!(site.ensure("3", "v2", "c").await.unwrap_err(), "the driver has ended");
    assert_eq!(site.observed("1", "").await, "unknown");
}

#[tokio::test]
async fn who_no_longer_waits_ends_the_program() {
    let site = site(Setup::default());
    let task = site.begin("1", "v2-hang");
    let group = site.groups(1).await[0];
    task.abort();
    until("its end", || !group.is_alive()).await;
}
