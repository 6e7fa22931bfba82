//! Reads every row of a data file, also those that no start looks at, and says which do not read back.

use phasegate_core::record::audit::Entry;
use phasegate_core::rollout::{BatchProgress, Member, Upgrade};
use serde::de::DeserializeOwned;

use super::{Reader, SqliteStoreError};

/// Problems that are named; the rest is counted.
const NAMED_MAX: usize = 20;

/// What came of reading every row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) struct Every {
    /// Rows that were read.
    pub(in crate::store) rows: u64,
    /// How many parts do not read back.
    pub(in crate::store) damaged: usize,
    /// The first of them, one line each.
    pub(in crate::store) named: Vec<String>,
}

impl Every {
    fn add(&mut self, problem: String) {
        self.damaged += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(problem);
        }
    }
}

impl Reader<'_> {
    /// Lets SQLite check the file, and reads every row of it.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub(in crate::store) fn every(&self) -> Result<Every, SqliteStoreError> {
        let mut every = Every::default();
        self.whole(&mut every)?;
        if every.damaged > 0 {
            // What SQLite would read of it means nothing.
            return Ok(every);
        }
        if let Err(error) = self.stored().and_then(|_| self.origin()) {
            every.add(cause(&error));
        }
        self.each::<Upgrade>("upgrades", "SELECT id, head FROM upgrades", &mut every)?;
        self.each::<Vec<u32>>("courses", "SELECT upgrade, batch_order FROM courses", &mut every)?;
        let key = |table, column| format!("SELECT upgrade || '/' || {column}, {table} FROM");
        let batches = format!("{} batches", key("batch", "number"));
        self.each::<BatchProgress>("batches", &batches, &mut every)?;
        let members = format!("{} members", key("member", "instance"));
        self.each::<Member>("members", &members, &mut every)?;
        self.each::<Entry>("audit", "SELECT CAST(seq AS TEXT), entry FROM audit", &mut every)?;
        Ok(every)
    }

    /// What SQLite itself says.
    fn whole(&self, every: &mut Every) -> Result<(), SqliteStoreError> {
        let sql = format!("PRAGMA integrity_check({NAMED_MAX})");
        let mut statement = self.connection.prepare(&sql).map_err(|source| self.sqlite(source))?;
        let mut rows = statement.query([]).map_err(|source| self.sqlite(source))?;
        while let Some(row) = rows.next().map_err(|source| self.sqlite(source))? {
            let line: String = row.get(0).map_err(|source| self.sqlite(source))?;
            if line != "ok" {
                every.add(line);
            }
        }
        Ok(())
    }

    /// Rows of a name and a value, one at a time: the trail may be larger than the memory.
    fn each<T: DeserializeOwned>(
        &self,
        table: &str,
        sql: &str,
        every: &mut Every,
    ) -> Result<(), SqliteStoreError> {
        let mut statement = self.connection.prepare(sql).map_err(|source| self.sqlite(source))?;
        let mut rows = statement.query([]).map_err(|source| self.sqlite(source))?;
        while let Some(row) = rows.next().map_err(|source| self.sqlite(source))? {
            every.rows += 1;
            let (name, value): (rusqlite::Result<String>, rusqlite::Result<String>) =
                (row.get(0), row.get(1));
            let name = name.unwrap_or_default();
            let read = value.map_err(|error| error.to_string()).and_then(|json| {
                serde_json::from_str::<T>(&json).map(drop).map_err(|error| error.to_string())
            });
            if let Err(why) = read {
                every.add(format!("{table} `{name}`: {why}"));
            }
        }
        Ok(())
    }
}

fn cause(error: &SqliteStoreError) -> String {
    match error {
        SqliteStoreError::Damaged { what, source, .. } => format!("{what}: {source}"),
        other => other.to_string(),
    }
}
