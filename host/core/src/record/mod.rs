//! The durable state: upgrades, versions, models, plugin generations and the audit trail.
//!
//! A turn hands over a list of [`Write`]s; they are durable together or not at all, and only then is
//! anything done. Nothing here knows where or how they are kept.

mod stored;
mod write;

pub use stored::{
    Forced, Retry, StoppedLine, StoredGeneration, StoredHeed, StoredMemory, StoredModel, StoredPlugin,
    StoredRefusal, StoredShadow, StoredWatch,
};
pub use write::{AuditEntry, Stored, Write};

use crate::domain::{InstanceId, ScaleSetName, Timestamp};
use crate::rollout::Upgrade;

/// What a store says when it does not do what it was asked for; the words of whatever keeps the record are
/// its cause.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot do it now; it may later.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// Another host writes this record from now on; nothing that this one decides counts any more.
    #[error("another host has taken over this record")]
    Deposed,
}

/// Where the loop writes.
pub trait Store: Send {
    /// Makes all writes durable together.
    ///
    /// # Errors
    /// When the disk or the database refuses; nothing of the list is then stored.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// The latest lines of the audit trail of a scale set, or of one instance of it, oldest first, at
    /// most `limit`.
    ///
    /// # Errors
    /// When the data file cannot be read.
    fn audit(
        &self,
        scale_set: &ScaleSetName,
        instance: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// The latest upgrade of a scale set that was asked for before a time, with its members.
    ///
    /// # Errors
    /// When the data file cannot be read.
    fn upgrade_before(&self, scale_set: &ScaleSetName, at: Timestamp) -> Result<Option<Upgrade>, StoreError>;
}
