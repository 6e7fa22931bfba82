//! Where the record is kept: a data directory with one SQLite file, one host per directory.
//!
//! Decides nothing and reads no clock.

mod lock;
mod sqlite;

use std::path::PathBuf;

pub use sqlite::SqliteStore;

/// Something went wrong with the data directory.
#[derive(Debug, thiserror::Error)]
pub enum SqliteStoreError {
    /// Another host works on it.
    #[error("data directory `{}` is in use by another phasegate (pid {pid}); stop that one or choose another server.dataDir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id that the other host wrote down.
        pid: String,
    },
    /// It cannot be made or written.
    #[error("cannot use data directory `{}`: {source}; make it writable or choose another server.dataDir", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The data file was removed or replaced while we had it open.
    #[error("data file `{}` was removed or replaced while the host ran; nothing can be recorded any more: stop the host, bring the file back or start anew", path.display())]
    Gone {
        /// The data file.
        path: PathBuf,
    },
    /// It was written by a version from before the first release.
    #[error("data file `{}` has schema {seen}, this phasegate starts at {known}; choose another server.dataDir, or move the file away to start anew", path.display())]
    OlderSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// The only schema that this program knows.
        known: i64,
    },
    /// It was written by a later version of Phasegate.
    #[error("data file `{}` has schema {seen}, this phasegate knows up to {known}; run the newer phasegate that wrote it, or choose another server.dataDir", path.display())]
    NewerSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// Newest schema that this program knows.
        known: i64,
    },
    /// SQLite says no.
    #[error("data file `{}`: {source}", path.display())]
    Sqlite {
        /// The data file.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// A row does not read back.
    #[error("data file `{}`: {what} does not read back: {source}; it was changed by another program or is damaged", path.display())]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl From<SqliteStoreError> for phasegate_core::record::StoreError {
    fn from(error: SqliteStoreError) -> Self {
        Self::Refused(Box::new(error))
    }
}
