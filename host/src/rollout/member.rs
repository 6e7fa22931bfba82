//! One planned instance on its way.
//!
//! ```text
//! Pending -> Applying -> Settling -> Succeeded
//!               |           |
//!               +-----------+--> Restoring -> Failed
//!               |           |                   ^
//!               +-----------+-------------------+   when nothing is to be restored
//! ```

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Version};

/// How one planned instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum MemberState {
    /// Its batch has not started.
    Pending,
    /// The driver has been told; no answer yet.
    Applying {
        /// Since when.
        since: Timestamp,
    },
    /// The driver is done; the health gate watches.
    Settling {
        /// When the driver was done, or when a restarted host began to watch again.
        applied_at: Timestamp,
        /// Since when it has been Healthy without a break.
        healthy_since: Option<Timestamp>,
    },
    /// Healthy at the wanted version.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// It failed, and the driver has been told to bring its previous version back.
    Restoring {
        /// Since when.
        since: Timestamp,
        /// Why it failed; one line for people.
        reason: String,
    },
    /// The driver failed or the health gate ran out of time.
    Failed {
        /// When.
        at: Timestamp,
        /// One line for people.
        reason: String,
        /// Whether its previous version was brought back.
        restored: Restored,
    },
}

/// What became of the previous version of a failed instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Restored {
    /// Nobody asked for it.
    NotTried,
    /// It was brought back.
    Yes,
    /// It could not be brought back; one line for people.
    No(String),
}

impl MemberState {
    /// Dealt with, well or badly.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Succeeded { .. } | Self::Failed { .. } => true,
            Self::Pending | Self::Applying { .. } | Self::Settling { .. } | Self::Restoring { .. } => false,
        }
    }

    /// The driver or the health gate is busy with it.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        match self {
            Self::Applying { .. } | Self::Settling { .. } | Self::Restoring { .. } => true,
            Self::Pending | Self::Succeeded { .. } | Self::Failed { .. } => false,
        }
    }

    /// The driver has been asked and has not answered.
    #[must_use]
    pub fn is_with_driver(&self) -> bool {
        matches!(self, Self::Applying { .. } | Self::Restoring { .. })
    }
}

/// One planned instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Index of its batch.
    pub batch: usize,
    /// Place within the batch.
    pub position: usize,
    /// What it ran before our first effect.
    pub previous: Option<Version>,
    /// What it shall run.
    pub target: Version,
    /// Effects asked for so far; part of the operation id.
    pub attempt: u32,
    /// How it stands.
    pub state: MemberState,
}

impl Member {
    /// The version that brings it back to where it was, if it was somewhere else.
    #[must_use]
    pub fn way_back(&self) -> Option<&Version> {
        self.previous.as_ref().filter(|previous| **previous != self.target)
    }

    /// What the driver is asked for in the present state.
    #[must_use]
    pub fn wanted(&self) -> &Version {
        match &self.state {
            MemberState::Restoring { .. } => self.previous.as_ref().unwrap_or(&self.target),
            MemberState::Pending
            | MemberState::Applying { .. }
            | MemberState::Settling { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => &self.target,
        }
    }
}
