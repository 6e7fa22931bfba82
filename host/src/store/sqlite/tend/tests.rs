//! A data file keeps what a record in memory keeps, whatever is to be kept; in small steps, and nothing that is needed.

use std::path::Path;
use std::time::Duration;

use phasegate_core::domain::{By, Fence, InstanceId};
use phasegate_core::record::audit::{Entry, What};
use phasegate_core::record::{
    Anchor, Commit, Disk, Doubt, Hold, Opened, ReadTrail as _, Store as _, TrailQuery, Write,
};
use phasegate_core::rollout::{BatchProgress, Member, UpgradeState, Wish};
use serde::de::DeserializeOwned;

use super::*;
use crate::clock::Clock;

const DAY: i64 = 86_400_000;

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

/// An upgrade with a batch and its members, as a host has left it.
fn template() -> (Upgrade, BatchProgress, Member) {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/record-5/phasegate.db");
    std::fs::copy(fixture, directory.path().join("phasegate.db")).unwrap();
    let upgrade = SqliteStore::open(directory.path()).unwrap().stored.upgrades.remove(&id("orders")).unwrap();
    let member = upgrade.members.values().next().unwrap().clone();
    (upgrade.head(), upgrade.batches.front().unwrap().clone(), member)
}

/// Everything of one upgrade: one line a day, of which the first is its day's number.
fn upgrade(number: u64, set: &str, tries: u32) -> Vec<Write> {
    let (mut head, batch, member) = template();
    head.id = id(&format!("{set}-{number}"));
    head.number = number;
    head.scale_set = id(set);
    head.state = UpgradeState::Completed;
    let of = head.id.clone();
    let mut writes = vec![
        Write::Upgrade(Box::new(head)),
        Write::Order(of.clone(), vec![0]),
        Write::Batch(of.clone(), 0, Some(Box::new(batch))),
    ];
    for instance in 0..5 {
        let mut member: Member = member.clone();
        member.attempt = tries;
        writes.push(Write::Member(of.clone(), id::<InstanceId>(&instance.to_string()), Box::new(member)));
    }
    for line in 0..4 {
        let at = i64::try_from(number).unwrap() * DAY + line;
        let entry = Entry {
            seq: number * 4 + line.unsigned_abs(),
            at: WallTime(at),
            scale_set: id(set),
            upgrade: Some(of.clone()).filter(|_| line < 3),
            instance: None,
            by: By::host(),
            stamp: None,
            what: What::Wish { wish: Wish::Pause },
        };
        writes.push(Write::Audit(Box::new(entry)));
    }
    writes
}

/// The same record twice: eleven upgrades of `orders`, some of which did nothing, and three of `stock`.
fn records(directory: &Path) -> (Disk, SqliteStore) {
    let mut disk = Disk::default();
    disk.open();
    let Opened { mut store, .. } = SqliteStore::open(directory).unwrap();
    for number in 1..=14 {
        let set = if [2, 4, 6].contains(&number) { "stock" } else { "orders" };
        let writes = upgrade(number, set, u32::from(![7, 12, 13].contains(&number)));
        let commit = Commit { version: Commit::VERSION, seq: number, anchor: Anchor::default(), writes };
        disk.apply(&commit);
        store.commit(&commit).unwrap();
    }
    (disk, store)
}

fn tend_whole(tender: &mut Tender, retention: &Retention, now: WallTime) -> usize {
    (1..).find(|_| tender.step(retention, now).unwrap() == Left::Nothing).unwrap()
}

#[test]
fn a_data_file_keeps_what_a_record_in_memory_keeps() {
    let least = Retention { audit: Duration::ZERO, lines: 0, upgrades: 0, members: 0 };
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let most = Retention { audit: days(365), lines: 1_000, upgrades: 1_000, members: 1_000 };
    let all = |set: &str| TrailQuery::latest(id(set), 1_000);
    for (retention, upgrades, lines) in [
        (most, 14, 56),
        (least, 8, 32),
        (Retention { lines: 30, ..most }, 14, 42),
        (Retention { audit: days(10), ..most }, 14, 48),
        (Retention { audit: days(1), ..most }, 14, 32),
        (Retention { upgrades: 6, ..most }, 9, 56),
        (Retention { members: 4, ..most }, 14, 56),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (mut disk, store) = records(directory.path());
        let now = WallTime(15 * DAY);
        disk.tend(&retention, now);
        tend_whole(&mut store.tender().unwrap(), &retention, now);
        let reader = store.reader(Clock::shared()).unwrap();
        let mut trail: Vec<Entry> =
            ["orders", "stock"].iter().flat_map(|set| reader.trail(&all(set)).unwrap().entries).collect();
        trail.sort_by_key(|entry| entry.seq);
        assert_eq!(trail, disk.trail().cloned().collect::<Vec<_>>(), "{retention:?}");
        assert_eq!(trail.len(), lines, "{retention:?}");
        let first = disk.trail().next().map(|entry| entry.seq.max(disk.whole_from()));
        assert_eq!(reader.first().unwrap(), first, "{retention:?}");
        let kept: Vec<Upgrade> = disk.upgrades().collect();
        assert_eq!(kept.len(), upgrades, "{retention:?}");
        for number in 1..=14 {
            for set in ["orders", "stock"] {
                let of: UpgradeId = id(&format!("{set}-{number}"));
                let read = reader.upgrade(&id(set), &of).unwrap();
                assert_eq!(read.as_ref(), kept.iter().find(|upgrade| upgrade.id == of), "{retention:?}");
                assert_eq!(reader.summary(&of).unwrap(), disk.summary(&of), "{retention:?} {of}");
            }
        }
        drop(store);
        assert_eq!(SqliteStore::open(directory.path()).unwrap().stored, disk.open(), "{retention:?}");
    }
}

#[test]
fn what_is_listed_of_an_upgrade_without_members_is_what_it_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (_, store) = records(directory.path());
    let reader = store.reader(Clock::shared()).unwrap();
    let query = phasegate_core::record::UpgradesQuery { scale_set: id("orders"), before: None, limit: 20 };
    let before = reader.upgrades(&query).unwrap();
    // The first line that is kept of each is no start: who wrote it has not started the upgrade.
    assert!(before.upgrades.iter().all(|upgrade| upgrade.by.is_none()));
    let members = Retention { audit: Duration::MAX, lines: u64::MAX, upgrades: 1_000, members: 3 };
    let steps = tend_whole(&mut store.tender().unwrap(), &members, WallTime(15 * DAY));
    assert!(steps > 10, "a step for each part of each: {steps}");
    assert_eq!(reader.upgrades(&query).unwrap(), before);
    assert!(reader.upgrade(&id("orders"), &id("orders-1")).unwrap().unwrap().members.is_empty());
    assert!(!reader.upgrade(&id("orders"), &id("orders-10")).unwrap().unwrap().members.is_empty());
}

#[test]
fn one_step_is_small_and_what_is_free_goes_back_to_the_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut store) = records(directory.path());
    let entry = |seq: u64| Entry {
        seq,
        at: WallTime(DAY),
        scale_set: id("orders"),
        upgrade: None,
        instance: Some(id("0")),
        by: By { reason: Some("x".repeat(4_000)), ..By::host() },
        stamp: None,
        what: What::Wish { wish: Wish::Pause },
    };
    // As if they had been written before the rest.
    let writes = (1_000..3_000).map(|seq| Write::Audit(Box::new(entry(seq)))).collect();
    let commit = Commit { version: Commit::VERSION, seq: 100, anchor: Anchor::default(), writes };
    store.commit(&commit).unwrap();
    let pages = |store: &SqliteStore| -> i64 {
        store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
    };
    let lines = |store: &SqliteStore| -> i64 {
        store.connection.query_row("SELECT COUNT(*) FROM audit", [], |row| row.get(0)).unwrap()
    };
    let (many, before) = (pages(&store), lines(&store));
    let mut tender = store.tender().unwrap();
    let some = Retention { audit: Duration::MAX, lines: 500, upgrades: 1_000, members: 1_000 };
    store.connection.execute("DELETE FROM upgrades", []).unwrap();
    assert_eq!(tender.step(&some, WallTime(15 * DAY)).unwrap(), Left::More);
    assert_eq!(before - lines(&store), i64::from(ROWS_MAX));
    tend_whole(&mut tender, &some, WallTime(15 * DAY));
    assert_eq!(lines(&store), 500);
    assert!(pages(&store) < many / 2 + 2 * FREE_PAGES, "{many} pages, then {}", pages(&store));
    assert!(pages(&store) < many, "{many} pages, then {}", pages(&store));
}

#[test]
fn a_record_that_is_held_or_of_another_host_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut store) = records(directory.path());
    let mut tender = store.tender().unwrap();
    let least = Retention { audit: Duration::ZERO, lines: 0, upgrades: 0, members: 0 };
    let hold: Hold = [Doubt::Restored].into_iter().collect();
    let hold = serde_json::to_string(&hold).unwrap();
    store.connection.execute("UPDATE host SET hold = ?1", [hold]).unwrap();
    assert_eq!(tender.step(&least, WallTime(0)).unwrap(), Left::Nothing, "it is held");
    store.connection.execute("UPDATE host SET hold = NULL", []).unwrap();
    // A generation that has risen here is still ours.
    let risen = Fence::new(9, 0).unwrap();
    let writes = vec![Write::Fence(risen)];
    store.commit(&Commit { version: Commit::VERSION, seq: 99, anchor: Anchor::default(), writes }).unwrap();
    assert_eq!(tender.step(&least, WallTime(0)).unwrap(), Left::More);
    store.connection.execute("UPDATE host SET generation = generation + 1", []).unwrap();
    let refused = tender.step(&least, WallTime(0)).unwrap_err();
    assert!(matches!(refused, StoreError::Deposed), "{refused}");
}
