//! Removes what is no longer to be kept of the record, a little at a time, beside the one who writes it.
//!
//! What goes is decided by `record::retention`. Each step is a transaction of a few milliseconds, during which the
//! loop waits for its turn instead of being refused; it is not synced by itself: what a crash brings back goes again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use phasegate_core::domain::{ScaleSetName, UpgradeId, WallTime};
use phasegate_core::record::StoreError;
use phasegate_core::record::retention::{Cut, LOOKED_AT, Past, Retention, Seen, Trace, needed_from};
use phasegate_core::rollout::{Progress, Purpose, Upgrade};

use super::read::{Reader, columns};
use super::{SqliteStore, SqliteStoreError, as_integer, identity, open_file};

/// Rows of one step.
const ROWS_MAX: u32 = 250;

/// Free pages that are left in the data file: what is written next takes them.
const FREE_PAGES: i64 = 512;

/// Pages that are given back to the file system in one step.
const PAGES_MAX: i64 = 128;

/// What a step has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// There may be more to do.
    More,
    /// Nothing that is not to be kept.
    Nothing,
}

/// Tends one record.
#[derive(Debug)]
pub struct Tender {
    connection: Connection,
    path: PathBuf,
    /// As the store has it.
    identity: Option<(u64, u64)>,
    fence: Arc<AtomicU64>,
    turns: Arc<Mutex<()>>,
}

/// What goes in one step.
enum Step {
    Lines(Vec<i64>),
    /// Members and batches of an upgrade, whose counts are these.
    Members(String, Progress),
    Upgrades(Vec<String>),
    Pages,
}

impl SqliteStore {
    /// Tends the record over a connection of its own.
    ///
    /// # Errors
    /// When the data file cannot be opened a second time.
    pub fn tender(&self) -> Result<Tender, SqliteStoreError> {
        let connection = open_file(&self.path)?;
        let quick = || {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // Nobody waits for the disk because of what goes.
            connection.pragma_update(None, "wal_autocheckpoint", 0)
        };
        quick().map_err(|source| SqliteStoreError::sqlite(&self.path, source))?;
        Ok(Tender {
            connection,
            path: self.path.clone(),
            identity: self.place.identity,
            fence: Arc::clone(&self.fence_now),
            turns: Arc::clone(&self.turns),
        })
    }
}

impl Tender {
    /// Removes a little of what is not to be kept.
    ///
    /// # Errors
    /// When the record cannot be read or written now, or another host writes it.
    pub fn step(&mut self, retention: &Retention, now: WallTime) -> Result<Left, StoreError> {
        Ok(self.tend(retention, now)?)
    }

    fn tend(&mut self, retention: &Retention, now: WallTime) -> Result<Left, SqliteStoreError> {
        let Some(step) = self.next(retention, now)? else { return Ok(Left::Nothing) };
        let turns = Arc::clone(&self.turns);
        let turn = turns.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.perform(&step);
        drop(turn);
        done?;
        // What it has written goes into the data file without anybody who writes waiting for it.
        let folded = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        folded.map_err(|source| SqliteStoreError::sqlite(&self.path, source))?;
        Ok(Left::More)
    }

    /// The next thing that goes; none when nothing does, or the record is held.
    fn next(&self, retention: &Retention, now: WallTime) -> Result<Option<Step>, SqliteStoreError> {
        let reader = Reader { connection: &self.connection, path: &self.path };
        if reader.origin()?.hold.is_some() {
            return Ok(None);
        }
        for set in reader.every_set()? {
            let cut = retention.cut(&reader.seen(retention, &set, now)?);
            if let Some(step) = reader.goes(&set, cut)? {
                return Ok(Some(step));
            }
        }
        let free = reader.pragma("freelist_count")?;
        // Without it pages are used again, and never given back: a data file of an earlier build.
        let gives_back = reader.pragma("auto_vacuum")? == 2;
        Ok((gives_back && free > 2 * FREE_PAGES).then_some(Step::Pages))
    }

    fn perform(&mut self, step: &Step) -> Result<(), SqliteStoreError> {
        let path = &self.path;
        let sqlite = |source| SqliteStoreError::sqlite(path, source);
        if identity(path) != self.identity {
            return Err(SqliteStoreError::Gone { path: path.clone() });
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let generation: i64 =
            transaction.query_row("SELECT generation FROM host", [], |row| row.get(0)).map_err(sqlite)?;
        let ours = self.fence.load(Ordering::Acquire);
        if generation != as_integer(ours) {
            let seen = u64::try_from(generation).unwrap_or_default();
            return Err(SqliteStoreError::Deposed { path: path.clone(), seen, ours });
        }
        let removed = match step {
            Step::Lines(seqs) => remove_lines(&transaction, seqs),
            Step::Members(id, progress) => remove_course(&transaction, id, *progress),
            Step::Upgrades(ids) => ids.iter().try_for_each(|id| {
                transaction.execute("DELETE FROM summaries WHERE upgrade = ?1", [id])?;
                transaction.execute("DELETE FROM upgrades WHERE id = ?1", [id]).map(drop)
            }),
            Step::Pages => give_back(&transaction),
        };
        removed.map_err(sqlite)?;
        transaction.commit().map_err(sqlite)
    }
}

fn remove_lines(transaction: &Transaction<'_>, seqs: &[i64]) -> rusqlite::Result<()> {
    for seq in seqs {
        transaction.prepare_cached("DELETE FROM audit WHERE seq = ?1")?.execute([seq])?;
    }
    let last = seqs.last().copied().unwrap_or_default();
    let whole = "UPDATE host SET whole_from = MAX(COALESCE(whole_from, 0), ?1)";
    transaction.execute(whole, [last + 1]).map(drop)
}

/// Some of the members and batches of an upgrade; the rest of its course with the last of them.
fn remove_course(transaction: &Transaction<'_>, id: &str, progress: Progress) -> rusqlite::Result<()> {
    let Progress { successful, failed, in_progress, pending } = progress;
    let counts =
        [successful, failed, in_progress, pending].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let [successful, failed, in_progress, pending] = counts;
    transaction.execute(
        "INSERT OR IGNORE INTO summaries VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, successful, failed, in_progress, pending],
    )?;
    for some in [
        "DELETE FROM members WHERE rowid IN (SELECT rowid FROM members WHERE upgrade = ?1 LIMIT ?2)",
        "DELETE FROM batches WHERE upgrade = ?1 AND number IN
           (SELECT number FROM batches WHERE upgrade = ?1 LIMIT ?2)",
    ] {
        if transaction.execute(some, params![id, ROWS_MAX])? > 0 {
            return Ok(());
        }
    }
    transaction.execute("DELETE FROM courses WHERE upgrade = ?1", [id]).map(drop)
}

/// Gives some free pages back to the file system.
fn give_back(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(&format!("PRAGMA incremental_vacuum({PAGES_MAX})"))?;
    let mut rows = statement.query([])?;
    // A row for each page.
    while rows.next()?.is_some() {}
    Ok(())
}

impl Reader<'_> {
    fn pragma(&self, name: &str) -> Result<i64, SqliteStoreError> {
        self.connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|source| self.sqlite(source))
    }

    /// One text; none when there is no row.
    fn text(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Option<String>, SqliteStoreError> {
        let asked = self.connection.prepare_cached(sql);
        let read = asked.and_then(|mut asked| asked.query_row(params, |row| row.get(0)).optional());
        read.map(Option::flatten).map_err(|source| self.sqlite(source))
    }

    /// One number, as SQLite has it.
    fn one(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Option<i64>, SqliteStoreError> {
        let asked = self.connection.prepare_cached(sql);
        let read = asked.and_then(|mut asked| asked.query_row(params, |row| row.get(0)).optional());
        read.map(Option::flatten).map_err(|source| self.sqlite(source))
    }

    /// Every scale set that has an upgrade or a line, by name: from one to the next in the index.
    fn every_set(&self) -> Result<Vec<ScaleSetName>, SqliteStoreError> {
        let mut sets = Vec::new();
        let mut last = String::new();
        loop {
            let next = "SELECT MIN(s) FROM
                (SELECT MIN(scale_set) AS s FROM audit INDEXED BY audit_by_scale_set WHERE scale_set > ?1
                 UNION ALL
                 SELECT MIN(scale_set) FROM upgrades INDEXED BY upgrades_by_scale_set WHERE scale_set > ?1)";
            let Some(name) = self.text(next, params![last])? else { return Ok(sets) };
            sets.push(self.id("a scale set", name.clone())?);
            last = name;
        }
    }

    /// What there is of a scale set.
    fn seen(
        &self,
        retention: &Retention,
        set: &ScaleSetName,
        now: WallTime,
    ) -> Result<Seen, SqliteStoreError> {
        let name = set.as_str();
        let mut latest = Vec::new();
        let heads = "SELECT head FROM upgrades INDEXED BY upgrades_by_scale_set WHERE scale_set = ?1
            ORDER BY number DESC LIMIT ?2";
        for row in self.rows(heads, params![name, LOOKED_AT])? {
            let [head] = columns(row);
            let head: Upgrade = self.parse("upgrades", &head)?;
            let trace = self.left_a_trace(&head)?;
            latest.push((Past::of_head(&head, trace), head.number, head.id));
        }
        let pasts: Vec<Past> = latest.iter().map(|(past, _, _)| past.clone()).collect();
        let needed = needed_from(&pasts);
        let id = latest.into_iter().find(|(_, number, _)| Some(*number) == needed).map(|(_, _, id)| id);
        let first =
            "SELECT seq FROM audit INDEXED BY audit_by_upgrade WHERE upgrade = ?1 ORDER BY seq LIMIT 1";
        let needed_line = id.map(|id| self.one(first, params![id.as_str()])).transpose()?.flatten();
        let nth = "SELECT number FROM upgrades INDEXED BY upgrades_by_scale_set WHERE scale_set = ?1
            ORDER BY number DESC LIMIT 1 OFFSET ?2";
        let nth = |count: u32| self.one(nth, params![name, count.saturating_sub(1)]);
        let span = i64::try_from(retention.audit.as_millis()).unwrap_or(i64::MAX);
        let young = "SELECT MIN(seq) FROM audit INDEXED BY audit_by_date WHERE scale_set = ?1 AND at >= ?2";
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        Ok(Seen {
            needed,
            needed_line: needed_line.map(number),
            upgrade: nth(retention.upgrades)?.map(number),
            with_members: nth(retention.members)?.map(number),
            young_line: self.one(young, params![name, now.0.saturating_sub(span)])?.map(number),
            last_line: self.one("SELECT MAX(seq) FROM audit", &[])?.map_or(0, number),
        })
    }

    /// As `Upgrade::left_a_trace`, of a head alone.
    fn left_a_trace(&self, head: &Upgrade) -> Result<Trace, SqliteStoreError> {
        if matches!(head.purpose, Purpose::Rollback { .. }) || head.lost_one {
            return Ok(Trace::Left);
        }
        let tried =
            "SELECT 1 FROM members WHERE upgrade = ?1 AND json_extract(member, '$.attempt') > 0 LIMIT 1";
        let tried = self.one(tried, params![head.id.as_str()])?;
        Ok(if tried.is_some() { Trace::Left } else { Trace::None })
    }

    /// The next that goes of a scale set.
    fn goes(&self, set: &ScaleSetName, cut: Cut) -> Result<Option<Step>, SqliteStoreError> {
        let name = set.as_str();
        let course = "SELECT id FROM upgrades WHERE scale_set = ?1 AND number < ?2 AND (
              EXISTS (SELECT 1 FROM members WHERE upgrade = id) OR EXISTS (SELECT 1 FROM batches WHERE upgrade = id)
              OR EXISTS (SELECT 1 FROM courses WHERE upgrade = id)) ORDER BY number LIMIT 1";
        if let Some(id) = self.text(course, params![name, as_integer(cut.members)])? {
            let progress = self.counted(&id)?;
            return Ok(Some(Step::Members(id, progress)));
        }
        let heads = "SELECT id FROM upgrades WHERE scale_set = ?1 AND number < ?2 ORDER BY number LIMIT ?3";
        let heads = self.rows(heads, params![name, as_integer(cut.upgrades), ROWS_MAX])?;
        if !heads.is_empty() {
            let ids = heads.into_iter().map(|row| {
                let [id] = columns(row);
                id
            });
            return Ok(Some(Step::Upgrades(ids.collect())));
        }
        let lines = "SELECT seq FROM audit INDEXED BY audit_by_scale_set WHERE scale_set = ?1 AND seq < ?2
            ORDER BY seq LIMIT ?3";
        let asked = self.connection.prepare_cached(lines).and_then(|mut asked| {
            let rows = asked.query_map(params![name, as_integer(cut.lines), ROWS_MAX], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        });
        let seqs = asked.map_err(|source| self.sqlite(source))?;
        Ok(Some(Step::Lines(seqs)).filter(|step| !matches!(step, Step::Lines(seqs) if seqs.is_empty())))
    }

    /// Counts of an upgrade: as they were put down when the first of its members went, else of its members.
    fn counted(&self, id: &str) -> Result<Progress, SqliteStoreError> {
        let id: UpgradeId = self.id("upgrades", id.to_owned())?;
        if let Some(kept) = self.summary(&id)? {
            return Ok(kept);
        }
        let head = self.text("SELECT head FROM upgrades WHERE id = ?1", params![id.as_str()])?;
        let head: Option<Upgrade> = head.map(|head| self.parse("upgrades", &head)).transpose()?;
        let counts = self.counts(&id)?;
        Ok(head.map_or(counts, |head| head.counted(counts)))
    }
}

#[cfg(test)]
mod tests;
