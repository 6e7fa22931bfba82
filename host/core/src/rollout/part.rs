//! One component that a member gets: from which version to which, and what became of it.
//!
//! Knows nothing of the order of parts; `member` does.

use serde::{Deserialize, Serialize};

use crate::domain::{Component, InstanceId, Version};

/// What became of the previous version of a part that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Restored {
    /// It was not asked for.
    NotTried,
    /// Nothing had been touched.
    NotNeeded,
    /// It was brought back.
    Yes,
    /// It could not be brought back; one line for people.
    No(String),
}

/// How one part of a member stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum PartState {
    /// Its turn has not come, or the driver has not answered.
    Waiting,
    /// The driver is done.
    Applied,
    /// Its instance came back healthy with it, and got what comes next.
    Proven,
    /// The driver failed, or the instance did not come back healthy.
    Failed {
        /// One line for people.
        reason: String,
        /// What became of the version before.
        restored: Restored,
    },
}

/// One component that a member gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which.
    pub component: Component,
    /// Its version before our first effect.
    pub previous: Option<Version>,
    /// Its version after it.
    pub target: Version,
    /// How it stands.
    pub state: PartState,
}

impl Part {
    /// The version that brings it back to where it was, if it was somewhere else.
    #[must_use]
    pub fn way_back(&self) -> Option<&Version> {
        self.previous.as_ref().filter(|previous| **previous != self.target)
    }

    /// Whether it failed and what it was before has not been asked for.
    pub(super) fn is_to_be_restored(&self) -> bool {
        let failed = matches!(self.state, PartState::Failed { restored: Restored::NotTried, .. });
        failed && self.way_back().is_some()
    }

    /// Whether the driver has brought it, and nothing has spoken against it.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match self.state {
            PartState::Applied | PartState::Proven => true,
            PartState::Waiting | PartState::Failed { .. } => false,
        }
    }

    /// Whether our effect on a part may be there still.
    pub(super) fn leaves_a_trace(&self) -> bool {
        let touched = match &self.state {
            PartState::Failed { restored: Restored::Yes | Restored::NotNeeded, .. } => false,
            // Waiting may be with the driver.
            PartState::Waiting | PartState::Applied | PartState::Proven | PartState::Failed { .. } => true,
        };
        touched && self.way_back().is_some()
    }
}

pub(super) fn failure(part: &Part, replacement: Option<&InstanceId>) -> Option<String> {
    let PartState::Failed { reason, restored } = &part.state else { return None };
    let whose = match &part.component {
        Component::Application => String::new(),
        Component::Extension(name) => format!("extension {name}: "),
    };
    let back = match (restored, &part.previous) {
        (Restored::Yes, _) if replacement.is_some() => {
            "; nothing is left of that one, and this one stays".to_owned()
        }
        (Restored::No(why), _) if replacement.is_some() => format!("; that one could not be deleted: {why}"),
        (Restored::Yes, Some(previous)) => format!("; {previous} was brought back"),
        (Restored::No(why), Some(previous)) => format!("; {previous} could not be brought back: {why}"),
        (Restored::NotNeeded, _) => "; nothing was touched".to_owned(),
        (Restored::Yes | Restored::No(_) | Restored::NotTried, _) => String::new(),
    };
    Some(format!("{whose}{reason}{back}"))
}
