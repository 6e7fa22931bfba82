//! Reads the record beside the one who writes it: over a few connections, each read for a limited time.
//!
//! A reader that finds none free waits as long as it might read, and is then refused: a crowd of readers costs the
//! machine a few of its cores and never more memory than a few answers. Deliberately without SQL.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use phasegate_core::domain::{InstanceId, ReadClock, ScaleSetName, UpgradeId};
use phasegate_core::record::audit::Entry;
use phasegate_core::record::{
    ReadTrail, StoreError, TrailPage, TrailPiece, TrailQuery, UpgradesPage, UpgradesQuery,
};
use phasegate_core::rollout::{Progress, Upgrade};

use super::read::Reader;
use super::{SqliteStoreError, open_to_read};

/// Reads at the same time: two keep both cores of a small machine busy, more only make each other slow.
const READERS_MAX: usize = 4;

/// Longest read, and longest wait for a turn.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Steps of SQLite's machine between two looks at the clock: about a tenth of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Reads the record beside the loop.
#[derive(Debug)]
pub struct TrailReader {
    free: Mutex<Free>,
    one_is_free: Condvar,
    path: PathBuf,
    clock: Arc<dyn ReadClock>,
    within: Duration,
}

/// Connections that nobody reads over.
#[derive(Debug)]
struct Free {
    connections: Vec<Connection>,
    /// Further ones that may be opened.
    unopened: usize,
}

impl TrailReader {
    /// Opens one connection; the others are opened when they are needed.
    pub(super) fn open(path: &Path, clock: Arc<dyn ReadClock>) -> Result<Self, SqliteStoreError> {
        let free = Free { connections: vec![open_to_read(path)?], unopened: READERS_MAX - 1 };
        let one_is_free = Condvar::new();
        let path = path.to_owned();
        Ok(Self { free: Mutex::new(free), one_is_free, path, clock, within: READ_WITHIN })
    }

    /// Runs one read when it is its turn.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, SqliteStoreError>,
    ) -> Result<T, SqliteStoreError> {
        let mut connection = self.take()?;
        let (clock, deadline) = (Arc::clone(&self.clock), self.clock.elapsed() + self.within);
        let limited =
            connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || clock.elapsed() > deadline));
        let answer = limited
            .map_err(|source| SqliteStoreError::sqlite(&self.path, source))
            .and_then(|()| read(&Reader { connection: &connection, path: &self.path }));
        self.give_back(connection);
        match answer {
            Err(SqliteStoreError::Sqlite { source, .. })
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
            {
                Err(SqliteStoreError::ReadTooSlow { path: self.path.clone(), within: self.within })
            }
            other => other,
        }
    }

    /// A connection that nobody else reads over.
    fn take(&self) -> Result<Connection, SqliteStoreError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let none = |free: &mut Free| free.connections.is_empty() && free.unopened == 0;
        let waited = self.one_is_free.wait_timeout_while(free, self.within, none);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = free.connections.pop() {
            return Ok(connection);
        }
        let Some(unopened) = free.unopened.checked_sub(1) else {
            return Err(SqliteStoreError::ReadersBusy { path: self.path.clone(), within: self.within });
        };
        free.unopened = unopened;
        drop(free);
        open_to_read(&self.path).inspect_err(|_| {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).unopened += 1;
            self.one_is_free.notify_one();
        })
    }

    fn give_back(&self, connection: Connection) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).connections.push(connection);
        self.one_is_free.notify_one();
    }
}

impl ReadTrail for TrailReader {
    fn trail(&self, query: &TrailQuery) -> Result<TrailPage, StoreError> {
        Ok(self.read(|reader| reader.trail(query))?)
    }

    fn piece(&self, piece: &TrailPiece) -> Result<Vec<Entry>, StoreError> {
        Ok(self.read(|reader| reader.piece(piece))?)
    }

    fn first(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.read(|reader| reader.first())?)
    }

    fn first_of(&self, id: &UpgradeId) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(|reader| reader.first_line(id))?)
    }

    fn latest_of(&self, id: &UpgradeId, code: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(|reader| reader.latest_line(id, code))?)
    }

    fn latest_progress(&self, id: &UpgradeId) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(|reader| reader.latest_progress(id))?)
    }

    fn has_line_of(&self, set: &ScaleSetName, instance: &InstanceId) -> Result<bool, StoreError> {
        Ok(self.read(|reader| reader.has_line_of(set, instance))?)
    }

    fn upgrades(&self, query: &UpgradesQuery) -> Result<UpgradesPage, StoreError> {
        Ok(self.read(|reader| reader.past_upgrades(query))?)
    }

    fn upgrade(&self, set: &ScaleSetName, id: &UpgradeId) -> Result<Option<Upgrade>, StoreError> {
        Ok(self.read(|reader| reader.upgrade(set, id))?)
    }

    fn summary(&self, id: &UpgradeId) -> Result<Option<Progress>, StoreError> {
        Ok(self.read(|reader| reader.summary(id))?)
    }
}

#[cfg(test)]
mod tests;
