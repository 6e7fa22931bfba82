//! The queries of those who read the record beside the one who writes it: each by an index, each with a bound.
//!
//! Which index is said in the query itself: what SQLite would choose by its statistics may be another one tomorrow.

use rusqlite::types::Value;

use phasegate_core::domain::{InstanceId, ScaleSetName, UpgradeId};
use phasegate_core::record::audit::{Entry, What};
use phasegate_core::record::{
    PastUpgrade, Place, TrailPage, TrailPiece, TrailQuery, UpgradesPage, UpgradesQuery,
};
use phasegate_core::rollout::{Progress, Upgrade};

use super::read::{Reader, columns};
use super::{SqliteStoreError, as_integer};

/// A query with its values.
struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds `text` and the value of the `?` in it.
    fn and(mut self, text: &str, value: impl Into<Value>) -> Self {
        self.sql.push_str(text);
        self.values.push(value.into());
        self
    }

    fn and_if<V: Into<Value>>(self, text: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.and(text, value),
            None => self,
        }
    }
}

/// The lines of a query between two numbers of lines, and one more than the limit.
fn lines(query: &TrailQuery, after: Option<i64>, up_to: Option<i64>) -> Statement {
    let TrailQuery { scale_set, instance, upgrade, since: _, until: _, before: _, limit } = query;
    let instance = instance.as_ref().map(|instance| instance.as_str().to_owned());
    let upgrade = upgrade.as_ref().map(|upgrade| upgrade.as_str().to_owned());
    let index = match (&instance, &upgrade) {
        (Some(_), Some(_)) => "audit_by_both",
        (Some(_), None) => "audit_by_instance",
        (None, Some(_)) => "audit_by_upgrade",
        (None, None) => "audit_by_scale_set",
    };
    Statement::new(&format!("SELECT entry FROM audit INDEXED BY {index} WHERE "))
        .and("scale_set = ?", scale_set.as_str().to_owned())
        .and_if(" AND instance = ?", instance)
        .and_if(" AND upgrade = ?", upgrade)
        .and_if(" AND seq > ?", after)
        .and_if(" AND seq <= ?", up_to)
        .and(" ORDER BY seq DESC LIMIT ?", i64::from(*limit) + 1)
}

/// The lines that those who follow the trail want next. Without a scale set by the number of a line alone: an index
/// over instances begins with the scale set.
fn piece(piece: &TrailPiece) -> Statement {
    let TrailPiece { after, until, scale_set, instance, limit } = piece;
    let set = scale_set.as_ref().map(|set| set.as_str().to_owned());
    let instance = instance.as_ref().map(|instance| instance.as_str().to_owned());
    let index = match (&set, &instance) {
        (Some(_), Some(_)) => "INDEXED BY audit_by_instance",
        (Some(_), None) => "INDEXED BY audit_by_scale_set",
        (None, _) => "NOT INDEXED",
    };
    Statement::new(&format!("SELECT entry FROM audit {index} WHERE "))
        .and("seq > ?", as_integer(*after))
        .and(" AND seq <= ?", as_integer(*until))
        .and_if(" AND scale_set = ?", set)
        .and_if(" AND instance = ?", instance)
        .and(" ORDER BY seq LIMIT ?", i64::from(*limit))
}

/// The number of the first line of a date or later.
fn first_of(set: &ScaleSetName, date: i64) -> Statement {
    Statement::new("SELECT CAST(seq AS TEXT) FROM audit INDEXED BY audit_by_date WHERE ")
        .and("scale_set = ?", set.as_str().to_owned())
        .and(" AND at >= ? ORDER BY at, seq LIMIT 1", date)
}

/// The number of the last line of a date or earlier.
fn last_of(set: &ScaleSetName, date: i64) -> Statement {
    Statement::new("SELECT CAST(seq AS TEXT) FROM audit INDEXED BY audit_by_date WHERE ")
        .and("scale_set = ?", set.as_str().to_owned())
        .and(" AND at <= ? ORDER BY at DESC, seq DESC LIMIT 1", date)
}

/// A line about an instance.
fn line_of(set: &ScaleSetName, instance: &InstanceId) -> Statement {
    Statement::new("SELECT CAST(seq AS TEXT) FROM audit INDEXED BY audit_by_instance WHERE ")
        .and("scale_set = ?", set.as_str().to_owned())
        .and(" AND instance = ? LIMIT 1", instance.as_str().to_owned())
}

/// The first line of an upgrade: that it starts.
fn start_of(id: &UpgradeId) -> Statement {
    Statement::new("SELECT entry FROM audit INDEXED BY audit_by_upgrade WHERE ")
        .and("upgrade = ? ORDER BY seq LIMIT 1", id.as_str().to_owned())
}

/// The heads of upgrades, newest first, and one more than the limit.
fn heads(query: &UpgradesQuery) -> Statement {
    let UpgradesQuery { scale_set, before, limit } = query;
    Statement::new("SELECT head FROM upgrades INDEXED BY upgrades_by_scale_set WHERE ")
        .and("scale_set = ?", scale_set.as_str().to_owned())
        .and_if(" AND number < ?", before.map(as_integer))
        .and(" ORDER BY number DESC LIMIT ?", i64::from(*limit) + 1)
}

/// Members of an upgrade by what they are.
fn counts(id: &UpgradeId) -> Statement {
    Statement::new("SELECT json_extract(member, '$.state.state'), CAST(COUNT(*) AS TEXT) FROM members WHERE ")
        .and("upgrade = ? GROUP BY 1", id.as_str().to_owned())
}

impl Reader<'_> {
    /// The latest lines that are asked for.
    pub(super) fn trail(&self, query: &TrailQuery) -> Result<TrailPage, SqliteStoreError> {
        let set = &query.scale_set;
        let after = match query.since {
            None => None,
            Some(Place::Seq(seq)) => Some(as_integer(seq)),
            Some(Place::Date(date)) => match self.number(&first_of(set, date.0))? {
                Some(first) => Some(first - 1),
                None => return Ok(TrailPage::default()),
            },
        };
        let until = match query.until {
            None => None,
            Some(Place::Seq(seq)) => Some(as_integer(seq)),
            Some(Place::Date(date)) => match self.number(&last_of(set, date.0))? {
                Some(last) => Some(last),
                None => return Ok(TrailPage::default()),
            },
        };
        let before = query.before.map(|before| as_integer(before.saturating_sub(1)));
        let up_to = [until, before].into_iter().flatten().min();
        let mut entries = Vec::new();
        for row in self.answer(&lines(query, after, up_to))? {
            let [entry] = columns(row);
            entries.push(self.parse("audit", &entry)?);
        }
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        entries.reverse();
        Ok(TrailPage { entries, more })
    }

    /// A piece of the trail, oldest first.
    pub(super) fn piece(&self, wanted: &TrailPiece) -> Result<Vec<Entry>, SqliteStoreError> {
        let rows = self.answer(&piece(wanted))?.into_iter();
        rows.map(|row| {
            let [entry] = columns(row);
            self.parse("audit", &entry)
        })
        .collect()
    }

    /// The number of the line from which on none is missing.
    pub(super) fn first(&self) -> Result<Option<u64>, SqliteStoreError> {
        let oldest = Statement::new("SELECT CAST(seq AS TEXT) FROM audit ORDER BY seq LIMIT 1");
        let Some(oldest) = self.number(&oldest)? else { return Ok(None) };
        let whole = Statement::new("SELECT CAST(whole_from AS TEXT) FROM host WHERE whole_from IS NOT NULL");
        let from = self.number(&whole)?.map_or(oldest, |whole| whole.max(oldest));
        Ok(u64::try_from(from).ok())
    }

    /// Whether there is a line about an instance.
    pub(super) fn has_line_of(
        &self,
        set: &ScaleSetName,
        instance: &InstanceId,
    ) -> Result<bool, SqliteStoreError> {
        Ok(self.number(&line_of(set, instance))?.is_some())
    }

    /// The latest upgrades that are asked for.
    pub(super) fn past_upgrades(&self, query: &UpgradesQuery) -> Result<UpgradesPage, SqliteStoreError> {
        let mut upgrades = Vec::new();
        let mut rows = self.answer(&heads(query))?;
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        for row in rows {
            let [head] = columns(row);
            let head: Upgrade = self.parse("upgrades", &head)?;
            let progress = match self.summary(&head.id)? {
                Some(kept) => kept,
                None => head.counted(self.counts(&head.id)?),
            };
            // Where retention has taken that line, the next one says who did something else.
            let started = |entry: &Entry| matches!(entry.what, What::Start { .. });
            let by = self.first_line(&head.id)?.filter(started).map(|entry| entry.by);
            upgrades.push(PastUpgrade { head, progress, by });
        }
        Ok(UpgradesPage { upgrades, more })
    }

    /// One upgrade, whole.
    pub(super) fn upgrade(
        &self,
        set: &ScaleSetName,
        id: &UpgradeId,
    ) -> Result<Option<Upgrade>, SqliteStoreError> {
        let statement = Statement::new("SELECT head FROM upgrades WHERE ")
            .and("id = ?", id.as_str().to_owned())
            .and(" AND scale_set = ?", set.as_str().to_owned());
        let Some(row) = self.answer(&statement)?.into_iter().next() else { return Ok(None) };
        let [head] = columns(row);
        self.assembled(self.parse("upgrades", &head)?).map(Some)
    }

    /// The counts of an upgrade whose members are no longer kept.
    pub(super) fn summary(&self, id: &UpgradeId) -> Result<Option<Progress>, SqliteStoreError> {
        let counts = "SELECT CAST(successful AS TEXT), CAST(failed AS TEXT), CAST(in_progress AS TEXT),
            CAST(pending AS TEXT) FROM summaries WHERE ";
        let row = self.answer(&Statement::new(counts).and("upgrade = ?", id.as_str().to_owned()))?;
        let Some(row) = row.into_iter().next() else { return Ok(None) };
        let count = |text: String| self.parse("a count", &text);
        let [successful, failed, in_progress, pending] = columns(row);
        Ok(Some(Progress {
            successful: count(successful)?,
            failed: count(failed)?,
            in_progress: count(in_progress)?,
            pending: count(pending)?,
        }))
    }

    /// The latest line of an upgrade of a kind.
    pub(super) fn latest_line(&self, id: &UpgradeId, code: &str) -> Result<Option<Entry>, SqliteStoreError> {
        self.one_line(
            &Statement::new("SELECT entry FROM audit INDEXED BY audit_by_upgrade WHERE ")
                .and("upgrade = ?", id.as_str().to_owned())
                .and(" AND kind = ? ORDER BY seq DESC LIMIT 1", code.to_owned()),
        )
    }

    /// The latest line of an upgrade that brought it on.
    pub(super) fn latest_progress(&self, id: &UpgradeId) -> Result<Option<Entry>, SqliteStoreError> {
        self.one_line(&Statement::new("SELECT entry FROM audit INDEXED BY audit_by_upgrade WHERE ").and(
            "upgrade = ? AND kind IN ('start', 'plan', 'apply', 'applied', 'create', 'ready', 'replace',
                 'remove', 'deleted', 'succeeded', 'failed', 'restore', 'batch', 'end')
                 ORDER BY seq DESC LIMIT 1",
            id.as_str().to_owned(),
        ))
    }

    fn one_line(&self, statement: &Statement) -> Result<Option<Entry>, SqliteStoreError> {
        let row = self.answer(statement)?.into_iter().next();
        row.map(|row| {
            let [entry] = columns(row);
            self.parse("audit", &entry)
        })
        .transpose()
    }

    pub(super) fn first_line(&self, id: &UpgradeId) -> Result<Option<Entry>, SqliteStoreError> {
        self.one_line(&start_of(id))
    }

    pub(super) fn counts(&self, id: &UpgradeId) -> Result<Progress, SqliteStoreError> {
        let mut progress = Progress::default();
        for row in self.answer(&counts(id))? {
            let [state, count] = columns(row);
            let count: usize = self.parse("a count", &count)?;
            match state.as_str() {
                "pending" => progress.pending += count,
                "succeeded" => progress.successful += count,
                "failed" => progress.failed += count,
                _ => progress.in_progress += count,
            }
        }
        Ok(progress)
    }

    fn number(&self, statement: &Statement) -> Result<Option<i64>, SqliteStoreError> {
        let text = self.answer(statement)?.into_iter().flatten().flatten().next();
        text.map(|text| self.parse("a number", &text)).transpose()
    }

    fn answer(&self, statement: &Statement) -> Result<Vec<Vec<Option<String>>>, SqliteStoreError> {
        let values: Vec<&dyn rusqlite::ToSql> =
            statement.values.iter().map(|value| value as &dyn rusqlite::ToSql).collect();
        self.rows(&statement.sql, &values)
    }
}

#[cfg(test)]
mod tests;
