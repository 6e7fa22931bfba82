//! One planned batch and how it went. Its members are in `members`.

use serde::{Deserialize, Serialize};

use crate::domain::{Phase, Timestamp};

/// How one batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchState {
    /// Not started.
    Pending,
    /// In flight.
    InProgress,
    /// Over; every member came back healthy.
    Completed,
    /// Over; at least one member did not.
    Failed,
}

impl BatchState {
    /// As JSON writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

/// One planned batch and how it went. Its members are in [`Upgrade::members`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchProgress {
    /// Its name within the upgrade; stays when batches are put in before it, so that members need
    /// not be told.
    pub number: u32,
    /// As in the plan.
    pub phase: Option<Phase>,
    /// As in the plan.
    pub zone: Option<String>,
    /// As in the plan.
    pub update_domain: Option<u32>,
    /// How it stands.
    pub state: BatchState,
    /// When it was admitted.
    pub started_at: Option<Timestamp>,
    /// When its last member was dealt with.
    pub ended_at: Option<Timestamp>,
    /// When its members were set aside to the end of their phase, if they were: their turn had come, and they
    /// had not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside_at: Option<Timestamp>,
}
