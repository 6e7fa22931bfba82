//! Instances that an upgrade with `maxSurge` created or deleted, and those that were removed, as they are recorded.
//!
//! ```text
//! Creating ─> Created ─> Leaving ─> Deleted          (an instance that an upgrade created)
//!     └───────────────────^
//!            configured ─> Leaving ─> Deleted        (one that the configuration has)
//!            configured ─> Removed                   (one that it has no longer)
//! ```

use serde::{Deserialize, Serialize};

use super::fleet::Instance;
use super::instance_id::InstanceId;
use super::time::Timestamp;

/// How an instance stands whose being there does not follow from the configuration alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Membership {
    /// The driver is about to create it, or doing so.
    Creating {
        /// As it will be; the address is still that of the one that it replaces.
        instance: Instance,
        /// Whose place it takes.
        replaces: InstanceId,
    },
    /// The driver has created it.
    Created {
        /// As it is.
        instance: Instance,
        /// Whose place it takes.
        replaces: InstanceId,
    },
    /// The driver is about to delete it, or doing so; not a member any more.
    Leaving {
        /// As it was.
        instance: Instance,
        /// Whether it ever had an address of its own.
        located: Located,
        /// Which instance is there in its place, if any.
        replaced_by: Option<InstanceId>,
    },
    /// The configuration, or a source of instances, lists it no longer. What is recorded of it is kept for a while, so
    /// that one that comes back is what it was.
    Removed {
        /// When that is forgotten.
        forget_at: Timestamp,
    },
    /// It is gone for good, and its id is never used again.
    Deleted {
        /// Which instance came in its place, if any.
        replaced_by: Option<InstanceId>,
    },
}

/// Whether it is known where an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Located {
    /// It has an address of its own.
    Yes,
    /// The driver never said where it is, if it is at all.
    Never,
}
