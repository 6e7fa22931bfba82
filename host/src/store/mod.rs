//! Where the record is kept: a data directory with one SQLite file, one host per directory.
//!
//! Decides nothing and reads no clock.

mod lock;
mod private;
mod sqlite;
mod upkeep;

use std::path::PathBuf;

pub use sqlite::{Left, SqliteStore, Tender};
pub use upkeep::{Checked, Existing, Restored, active_components, adopt, backup, check, restore};

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
        /// The directory, or what of it.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It belongs to another user, who could have put anything there.
    #[error("`{}` belongs to user {owner}, and phasegate runs as user {us}: it uses no data directory, key or lock of another user; run it as that user, or let it make a directory of its own (server.dataDir)", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It leads elsewhere.
    #[error("`{}` is a symbolic link; phasegate follows none in its data directory: put the file itself there", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The data file was removed or replaced while we had it open.
    #[error("data file `{}` was removed or replaced while the host ran; nothing can be recorded any more: stop the host, bring the file back or start anew", path.display())]
    Gone {
        /// The data file.
        path: PathBuf,
    },
    /// The lock was removed or replaced while we held it.
    #[error("lock `{}` was removed or replaced while the host ran, so that another host may work in the same directory; nothing can be recorded any more: stop the host, see that no other one runs there, and start one", path.display())]
    LockGone {
        /// The lock.
        path: PathBuf,
    },
    /// A copy must not take its place.
    #[error("`{}` {why}; a copy replaces only another copy: choose another name", path.display())]
    NotReplaced {
        /// What is there.
        path: PathBuf,
        /// What it is; a fragment that follows the path.
        why: &'static str,
    },
    /// Another host has opened the record since.
    #[error("data file `{}` is of generation {seen}, and this host is generation {ours}: another host has taken over", path.display())]
    Deposed {
        /// The data file.
        path: PathBuf,
        /// Who writes it now.
        seen: u64,
        /// Who we are.
        ours: u64,
    },
    /// It was written by a version from before the first release.
    #[error("data file `{}` has schema {seen}, and this phasegate reads {oldest} to {known}; choose another server.dataDir, or move the file away to start anew", path.display())]
    OlderSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// The oldest that this program reads.
        oldest: i64,
        /// The newest.
        known: i64,
    },
    /// It was written by a later version of Phasegate.
    #[error("data file `{}` has schema {seen}, this phasegate knows up to {known}{}; run the newer phasegate, bring back an older copy with `phasegate data restore FILE`, or choose another server.dataDir", path.display(), needs(least.as_ref()))]
    NewerSchema {
        /// The data file.
        path: PathBuf,
        /// Schema in the file.
        seen: i64,
        /// Newest schema that this program knows.
        known: i64,
        /// The least version that may read it and why, where the file says so.
        least: Option<(String, String)>,
    },
    /// It is a database of something else.
    #[error("data file `{}` is a database, and not one of phasegate's; move it away, or choose another server.dataDir", path.display())]
    NotOurs {
        /// The data file.
        path: PathBuf,
    },
    /// It could not be put aside before it is brought to a newer schema.
    #[error("data file `{}` could not be copied to `{}` before it is brought to schema {schema}, and nothing in it was changed: {source}", path.display(), copy.display())]
    NotPutAside {
        /// The data file.
        path: PathBuf,
        /// Where the copy was to be.
        copy: PathBuf,
        /// The newer schema.
        schema: i64,
        /// Why not.
        source: Box<SqliteStoreError>,
    },
    /// There is a file already where a copy was to be.
    #[error("`{}` is there already and stays as it is; name another file, or write over it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A copy could not be written.
    #[error("cannot write `{}`: {source}; is there room, and may it be written?", path.display())]
    NotCopied {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// There is no record.
    #[error("there is no data file `{}`; name the data directory with --data-dir or the configuration with --config", path.display())]
    NoRecord {
        /// The data file.
        path: PathBuf,
    },
    /// Nothing speaks against the record.
    #[error("nothing speaks against data file `{}`: there is nothing to adopt", path.display())]
    NotHolding {
        /// The data file.
        path: PathBuf,
    },
    /// A read took too long.
    #[error("data file `{}` was not read within {} s; ask for less: a shorter span of time, a lower limit", path.display(), within.as_secs())]
    ReadTooSlow {
        /// The data file.
        path: PathBuf,
        /// The limit.
        within: std::time::Duration,
    },
    /// Too many read.
    #[error("data file `{}`: other readers were busy for {} s; ask again later", path.display(), within.as_secs())]
    ReadersBusy {
        /// The data file.
        path: PathBuf,
        /// The limit.
        within: std::time::Duration,
    },
    /// SQLite says no.
    #[error("data file `{}`: {source}", path.display())]
    Sqlite {
        /// The data file.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// SQLite says that it is no database, or a damaged one.
    #[error("data file `{}` is damaged: {source}; look at it with `phasegate data check`, and bring back a good copy with `phasegate data restore FILE`", path.display())]
    NotWhole {
        /// The data file.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// A row does not read back.
    #[error("data file `{}`: {what} does not read back: {source}; it was changed by another program or is damaged: look at it with `phasegate data check`, and bring back a good copy with `phasegate data restore FILE`", path.display())]
    Damaged {
        /// The data file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file that was to be restored is not whole.
    #[error("`{}` is not restored: {} of it do not read back, first {first}; nothing was changed", path.display(), parts)]
    BadCopy {
        /// The file.
        path: PathBuf,
        /// How many parts.
        parts: usize,
        /// The first of them.
        first: String,
    },
}

fn needs(least: Option<&(String, String)>) -> String {
    least.map_or_else(String::new, |(version, why)| {
        format!(" and it needs phasegate {version} or later ({why})")
    })
}

impl SqliteStoreError {
    /// What SQLite says of a data file.
    fn sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::NotWhole { path, source }
            }
            Some(_) | None => Self::Sqlite { path, source },
        }
    }
}

impl From<SqliteStoreError> for phasegate_core::record::StoreError {
    fn from(error: SqliteStoreError) -> Self {
        match error {
            SqliteStoreError::Deposed { .. } => Self::Deposed,
            other => Self::Refused(Box::new(other)),
        }
    }
}
