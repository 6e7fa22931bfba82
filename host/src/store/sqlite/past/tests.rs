//! Every query goes by its index, and no line is lost between two pages.

use std::path::Path;

use phasegate_core::domain::{By, WallTime};
use phasegate_core::record::audit::What;
use phasegate_core::record::{Opened, ReadTrail as _};
use phasegate_core::rollout::Wish;
use serde::de::DeserializeOwned;

use super::*;
use crate::clock::Clock;
use crate::store::sqlite::SqliteStore;

/// Lines of the trail: enough that SQLite prefers an index, few enough to be written in a second.
const LINES: u64 = 100_000;

fn id<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&format!("{text:?}")).unwrap()
}

/// A line a second, of two scale sets in turn, of a hundred instances and a hundred upgrades each.
fn filled(directory: &Path, lines: u64) -> SqliteStore {
    let Opened { store, .. } = SqliteStore::open(directory).unwrap();
    let entry = Entry {
        seq: 0,
        at: WallTime(0),
        scale_set: id("orders"),
        upgrade: None,
        instance: None,
        by: By::host(),
        stamp: None,
        what: What::Wish { wish: Wish::Pause },
    };
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1),
      line AS (SELECT i, iif(i % 2, 'orders', 'stock') AS s, 'web-' || (i / 2 % 100) AS w,
        'orders-' || (i * 100 / ?1) AS u FROM n)
      INSERT INTO audit SELECT i, i * 1000, s, u, w, 'pause', json_set(?2, '$.seq', i, '$.at', i * 1000,
        '$.scaleSet', s, '$.upgrade', u, '$.instance', w) FROM line";
    let entry = serde_json::to_string(&entry).unwrap();
    store.connection.execute(sql, rusqlite::params![as_integer(lines), entry]).unwrap();
    store
}

fn seqs(page: &TrailPage) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.seq).collect()
}

#[test]
fn every_query_goes_by_an_index_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), LINES);
    let (set, instance, upgrade) = (id("orders"), id("web-7"), id("orders-3"));
    let all = TrailQuery::latest(id("orders"), 1000);
    let of_instance = TrailQuery { instance: Some(id("web-7")), ..all.clone() };
    let of_upgrade = TrailQuery { upgrade: Some(id("orders-3")), ..all.clone() };
    let of_both = TrailQuery { upgrade: Some(id("orders-3")), ..of_instance.clone() };
    let upgrades = UpgradesQuery { scale_set: id("orders"), before: Some(9), limit: 20 };
    for (statement, expected) in [
        (lines(&all, Some(1), Some(9)), "audit_by_scale_set (scale_set=? AND seq>? AND seq<?)"),
        (lines(&all, None, None), "audit_by_scale_set (scale_set=?)"),
        (lines(&of_instance, None, Some(9)), "audit_by_instance (scale_set=? AND instance=? AND seq<?)"),
        (lines(&of_upgrade, Some(1), None), "audit_by_upgrade (upgrade=? AND seq>?)"),
        (lines(&of_both, None, Some(9)), "audit_by_both (upgrade=? AND instance=? AND seq<?)"),
        (first_of(&set, 5), "COVERING INDEX audit_by_date (scale_set=? AND at>?)"),
        (last_of(&set, 5), "COVERING INDEX audit_by_date (scale_set=? AND at<?)"),
        (line_of(&set, &instance), "COVERING INDEX audit_by_instance (scale_set=? AND instance=?)"),
        (start_of(&upgrade), "audit_by_upgrade (upgrade=?)"),
        (heads(&upgrades), "upgrades_by_scale_set (scale_set=? AND number<?)"),
        (counts(&upgrade), "sqlite_autoindex_members_1 (upgrade=?)"),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let mut plan = store.connection.prepare(&sql).unwrap();
        let values = rusqlite::params_from_iter(statement.values);
        let steps: Vec<String> =
            plan.query_map(values, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(steps[0].starts_with("SEARCH") && steps[0].ends_with(expected), "{sql}: {steps:?}");
        let sorted = steps.iter().any(|step| step.contains("ORDER BY"));
        assert!(!sorted, "{sql}: {steps:?}");
    }
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 1_000);
    let reader = Reader { connection: &store.connection, path: &store.path };
    let of_instance = TrailQuery { instance: Some(id("web-7")), ..TrailQuery::latest(id("orders"), 3) };
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let page = reader.trail(&TrailQuery { before, ..of_instance.clone() }).unwrap();
        before = page.entries.first().map(|entry| entry.seq);
        pages.push(seqs(&page));
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, [vec![415, 615, 815], vec![15, 215]]);
}

#[test]
fn bounds_are_numbers_or_dates() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 100);
    let reader = Reader { connection: &store.connection, path: &store.path };
    let date = |seconds: i64| Some(Place::Date(WallTime(seconds * 1000)));
    for (since, until, expected) in [
        (Some(Place::Seq(93)), None, vec![95, 97, 99]),
        (date(95), None, vec![95, 97, 99]),
        (date(94), Some(Place::Seq(97)), vec![95, 97]),
        (None, date(4), vec![1, 3]),
        (date(100), None, vec![]),
        (None, date(0), vec![]),
        (date(50), date(40), vec![]),
    ] {
        let query = TrailQuery { since, until, ..TrailQuery::latest(id("orders"), 10) };
        let page = reader.trail(&query).unwrap();
        assert_eq!((seqs(&page), page.more), (expected, false), "{since:?} {until:?}");
    }
    // The date was put back: what was written since then is there, whatever its date says.
    store.connection.execute("UPDATE audit SET at = 96500 WHERE seq = 99", []).unwrap();
    let query = TrailQuery { since: date(97), ..TrailQuery::latest(id("orders"), 10) };
    assert_eq!(seqs(&reader.trail(&query).unwrap()), [97, 99]);
}

#[test]
fn what_was_ever_in_the_trail_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 1_000);
    let reader = Reader { connection: &store.connection, path: &store.path };
    for (set, instance, known) in
        [("orders", "web-99", true), ("orders", "web-100", false), ("web", "web-9", false)]
    {
        assert_eq!(reader.has_line_of(&id(set), &id(instance)).unwrap(), known, "{set} {instance}");
    }
}

/// Prints how long a read takes, alone and beside nineteen others. `PHASEGATE_LINES=2000000` for the figures; to
/// write so many takes a minute.
#[test]
#[expect(clippy::disallowed_methods, reason = "a setting of this test, not of the program")]
fn twenty_readers_at_once_each_get_their_lines() {
    let directory = tempfile::tempdir().unwrap();
    let lines = std::env::var("PHASEGATE_LINES").map_or(20_000, |lines| lines.parse().unwrap());
    let store = filled(directory.path(), lines);
    let clock = Clock::shared();
    let reader = store.reader(clock.clone()).unwrap();
    let all = TrailQuery::latest(id("orders"), 1_000);
    let queries = [
        ("the newest", all.clone()),
        ("instance", TrailQuery { instance: Some(id("web-7")), ..all.clone() }),
        ("upgrade", TrailQuery { upgrade: Some(id("orders-3")), ..all.clone() }),
        ("both", TrailQuery { instance: Some(id("web-7")), upgrade: Some(id("orders-3")), ..all.clone() }),
        ("since", TrailQuery { since: Some(Place::Date(WallTime(1_500_000_000))), ..all.clone() }),
        ("until", TrailQuery { until: Some(Place::Date(WallTime(500_000_000))), ..all }),
    ];
    let timed = |query: &TrailQuery| {
        let before = clock.elapsed();
        let lines = reader.trail(query).unwrap().entries.len();
        (lines, clock.elapsed() - before)
    };
    for (what, query) in &queries {
        println!("{what}: {:?}, again {:?}", timed(query), timed(query));
    }
    std::thread::scope(|scope| {
        let beside: Vec<_> = (0..20).map(|_| scope.spawn(|| timed(&queries[1].1))).collect();
        let read: Vec<_> = beside.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(read.iter().all(|(lines, _)| *lines > 0 && *lines == read[0].0), "{read:?}");
        let slowest = read.into_iter().map(|(_, took)| took).max();
        println!("slowest of twenty at once: {slowest:?}");
    });
}
