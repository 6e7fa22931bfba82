//! The durable state: upgrades, versions, models, plugin generations and the audit trail.
//!
//! A turn hands over a list of [`Write`]s; they are durable together or not at all, and only then is
//! anything done. Nothing here knows where or how they are kept.

pub mod audit;
mod disk;
mod hold;
pub mod retention;
mod stored;
mod trail;
mod write;

pub use disk::Disk;
pub use hold::{Doubt, Hold};
pub use retention::Retention;
pub use stored::{
    Forced, OptOut, Registered, Retry, RetryWhy, StoppedLine, StoredGeneration, StoredHeed, StoredMemory,
    StoredModel, StoredPlugin, StoredRefusal, StoredReload, StoredRequest, StoredShadow, StoredTakeUp,
    StoredWatch,
};
pub use trail::{
    PastUpgrade, Place, ReadTrail, TrailPage, TrailPiece, TrailQuery, UpgradesPage, UpgradesQuery,
};
pub use write::{Anchor, Commit, FoundInstance, StillNamed, Stored, Write};

/// What a store says when it does not do what it was asked for; the words of whatever keeps the record are
/// its cause.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot do it now; it may later. Of a commit: the store knows that nothing of it was made.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// Whether a commit was made the store cannot tell: all of it or nothing.
    #[error(transparent)]
    Unsure(Box<dyn std::error::Error + Send + Sync>),
    /// Another host writes this record from now on; nothing that this one decides counts any more.
    #[error("another host has taken over this record")]
    Deposed,
}

/// What is known of a commit that the store did not confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Nothing of it was made, and a host that starts now does not find it.
    No,
    /// It was made, all of it, or it was not.
    NotKnown,
}

/// Where the record is kept, for the one who writes it.
pub trait Store: Send {
    /// Makes all writes durable together.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when none of them is durable, and none becomes so; [`StoreError::Unsure`] when none
    /// is or all are and the word of it was lost; [`StoreError::Deposed`] when another host writes the record.
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError>;
}

/// A record that is opened, with what it holds.
pub struct Opened<S> {
    /// Where to write.
    pub store: S,
    /// What was recorded before.
    pub stored: Stored,
}
