//! One planned instance on its way, and the parts that it gets one after the other.
//!
//! ```text
//! Pending -> Applying (a part) -> Settling -> Succeeded
//!              ^    |                 |  |
//!              +----|--- next part ---+  |
//!              |    +--------------------+--> Restoring (newest first) -> Failed
//!              +--------- next part ------------+
//! ```
//!
//! Hooks come before and after what the driver does, see `hooks`. Each part has a verdict of its own: it goes through the health gate before
//! the next one is brought, and one that fails is brought back and does not stop those after it.

use serde::{Deserialize, Serialize};

use crate::domain::{Change, Component, Direction, Instance, Moment, OnInstanceFailure, Timestamp, Version};

use super::hooks::Hooked;
use super::part::{Part, PartState, Restored, failure};
use super::surge::Way;
use super::trip::Trip;

/// How one planned instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum MemberState {
    /// Its batch has not started.
    Pending,
    /// A hook is being run.
    Hooking {
        /// Since when.
        since: Timestamp,
        /// Before or after the driver.
        moment: Moment,
        /// On the way there, or on the way back.
        direction: Direction,
        /// What comes when it has been run.
        then: Box<MemberState>,
    },
    /// The driver has been told; no answer yet.
    Applying {
        /// Since when.
        since: Timestamp,
        /// Index of the part.
        part: usize,
    },
    /// The driver is done; the health gate watches.
    Settling {
        /// When the driver was done, or when a restarted host began to watch again.
        applied_at: Timestamp,
        /// Since when it has been Healthy without a break.
        healthy_since: Option<Timestamp>,
    },
    /// The driver has been told to create the instance that takes its place.
    Creating {
        /// Since when.
        since: Timestamp,
    },
    /// The new instance has passed the health gate, and waits for the others of the batch.
    Ready {
        /// When the gate began to watch it.
        applied_at: Timestamp,
    },
    /// The new instance stands in its place, and the driver has been told to delete this one.
    Deleting {
        /// Since when.
        since: Timestamp,
    },
    /// The new instance failed, and the driver has been told to delete it.
    Removing {
        /// Since when.
        since: Timestamp,
    },
    /// Healthy with everything that was wanted.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// A part failed, and the driver has been told to bring its previous version back.
    Restoring {
        /// Since when.
        since: Timestamp,
        /// Index of the part.
        part: usize,
    },
    /// At least one part failed; the parts say why.
    Failed {
        /// When.
        at: Timestamp,
    },
}

impl MemberState {
    /// Dealt with, well or badly.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Succeeded { .. } | Self::Failed { .. } => true,
            Self::Pending
            | Self::Hooking { .. }
            | Self::Applying { .. }
            | Self::Settling { .. }
            | Self::Creating { .. }
            | Self::Ready { .. }
            | Self::Deleting { .. }
            | Self::Removing { .. }
            | Self::Restoring { .. } => false,
        }
    }

    /// The driver, a hook or the health gate is busy with it.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        match self {
            Self::Hooking { .. }
            | Self::Applying { .. }
            | Self::Settling { .. }
            | Self::Creating { .. }
            | Self::Ready { .. }
            | Self::Deleting { .. }
            | Self::Removing { .. }
            | Self::Restoring { .. } => true,
            Self::Pending | Self::Succeeded { .. } | Self::Failed { .. } => false,
        }
    }

    /// A hook is being run.
    #[must_use]
    pub fn is_hooking(&self) -> bool {
        matches!(self, Self::Hooking { .. })
    }

    /// The health gate watches it, or will when its hook has been run.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        matches!(self, Self::Settling { .. })
    }

    /// Since when it is so; at the beginning of time while its batch has not started.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Pending => Timestamp(0),
            Self::Hooking { since, .. }
            | Self::Applying { since, .. }
            | Self::Creating { since }
            | Self::Deleting { since }
            | Self::Removing { since }
            | Self::Restoring { since, .. } => *since,
            Self::Settling { applied_at, .. } | Self::Ready { applied_at } => *applied_at,
            Self::Succeeded { at } | Self::Failed { at } => *at,
        }
    }

    /// The same, from this time on.
    pub(super) fn at(&self, now: Timestamp) -> Self {
        match self.clone() {
            Self::Pending => Self::Pending,
            Self::Hooking { moment, direction, then, .. } => {
                Self::Hooking { since: now, moment, direction, then }
            }
            Self::Applying { part, .. } => Self::Applying { since: now, part },
            Self::Settling { .. } => Self::Settling { applied_at: now, healthy_since: None },
            Self::Creating { .. } => Self::Creating { since: now },
            Self::Ready { .. } => Self::Ready { applied_at: now },
            Self::Deleting { .. } => Self::Deleting { since: now },
            Self::Removing { .. } => Self::Removing { since: now },
            Self::Succeeded { .. } => Self::Succeeded { at: now },
            Self::Restoring { part, .. } => Self::Restoring { since: now, part },
            Self::Failed { .. } => Self::Failed { at: now },
        }
    }

    /// The driver has been asked and has not answered.
    #[must_use]
    pub fn is_with_driver(&self) -> bool {
        matches!(
            self,
            Self::Applying { .. }
                | Self::Creating { .. }
                | Self::Deleting { .. }
                | Self::Removing { .. }
                | Self::Restoring { .. }
        )
    }
}

/// Whether a member stays in the upgrade when what is in hand for it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stay {
    /// As all do.
    #[default]
    Yes,
    /// Nobody lists it any more: it leaves, and what a hook before has taken from it is given back first.
    Leaves,
}

impl Stay {
    /// Whether it does.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// One planned instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Number of its batch, see [`super::BatchProgress::number`].
    pub(super) batch: u32,
    /// Place within the batch.
    pub(super) position: usize,
    /// How it gets it.
    #[serde(default)]
    pub way: Way,
    /// What it gets, in order.
    pub parts: Vec<Part>,
    /// Effects asked for so far; part of the operation id.
    pub attempt: u32,
    /// Which way of its round trip it is on.
    #[serde(default, skip_serializing_if = "Trip::is_none")]
    pub trip: Trip,
    /// What its hooks have come to.
    #[serde(default, skip_serializing_if = "Hooked::is_new")]
    pub hooked: Hooked,
    /// Whether it stays.
    #[serde(default, skip_serializing_if = "Stay::is_yes")]
    pub stay: Stay,
    /// What it is while a driver or a hook is at work for it: a host that starts finishes that, also where nobody lists it
    /// any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_as: Option<Box<Instance>>,
    /// How it stands.
    pub state: MemberState,
}

impl Member {
    /// One whose batch has not started.
    pub(super) fn pending((batch, position): (u32, usize), way: Way, parts: Vec<Part>) -> Self {
        Self {
            batch,
            position,
            way,
            parts,
            attempt: 0,
            trip: Trip::None,
            hooked: Hooked::default(),
            stay: Stay::Yes,
            listed_as: None,
            state: MemberState::Pending,
        }
    }

    /// Number of its batch.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.batch
    }

    /// What the driver is asked for in the present state: component and version.
    #[must_use]
    pub fn wanted(&self) -> Option<(&Component, &Version)> {
        match &self.state {
            MemberState::Applying { part, .. } => {
                self.parts.get(*part).map(|part| (&part.component, &part.target))
            }
            MemberState::Restoring { part, .. } => {
                let part = self.parts.get(*part)?;
                part.way_back().map(|previous| (&part.component, previous))
            }
            MemberState::Creating { .. } => {
                let mut parts = self.parts.iter().map(|part| (&part.component, &part.target));
                parts.find(|(component, _)| **component == Component::Application)
            }
            MemberState::Pending
            | MemberState::Hooking { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Removing { .. }
            | MemberState::Settling { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => None,
        }
    }

    /// Whether a driver or a hook is at work for it. One that takes another's place goes on to an end of its own.
    #[must_use]
    pub fn is_in_hand(&self) -> bool {
        !self.is_surge() && (self.state.is_with_driver() || self.state.is_hooking())
    }

    /// Whether any effect of ours may be on it still.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.attempt > 0 && self.parts.iter().any(Part::leaves_a_trace)
    }

    /// Takes in the driver's answer for the part in hand; gives false when none is in hand.
    pub(super) fn answered(&mut self, result: &Result<(), String>) -> bool {
        let (part, back) = match self.state {
            MemberState::Applying { part, .. } => (part, false),
            MemberState::Restoring { part, .. } => (part, true),
            // The application comes first.
            MemberState::Creating { .. } => (0, false),
            MemberState::Removing { .. } => {
                self.removed(result);
                return true;
            }
            MemberState::Pending
            | MemberState::Hooking { .. }
            | MemberState::Ready { .. }
            | MemberState::Deleting { .. }
            | MemberState::Settling { .. }
            | MemberState::Succeeded { .. }
            | MemberState::Failed { .. } => return false,
        };
        let creating = matches!(self.state, MemberState::Creating { .. });
        let blamed = result.as_ref().err().map(|why| {
            if creating {
                return self.blame(&format!("could not be created: {why}"));
            }
            if self.is_surge() { self.blame(&format!("failed: {why}")) } else { why.clone() }
        });
        let Some(part) = self.parts.get_mut(part) else { return false };
        match (&mut part.state, result) {
            (PartState::Failed { restored, .. }, result) if back => {
                *restored = result.as_ref().map_or_else(|why| Restored::No(why.clone()), |()| Restored::Yes);
            }
            (state, Ok(())) => *state = PartState::Applied,
            (state, Err(_)) => {
                let reason = blamed.unwrap_or_default();
                *state = PartState::Failed { reason, restored: Restored::NotTried };
            }
        }
        true
    }

    /// The driver says that the part in hand, which failed, is as it was: there is nothing to bring back.
    pub(super) fn was_not_touched(&mut self) {
        let MemberState::Applying { part, .. } = self.state else { return };
        // A new instance goes as a whole.
        if self.is_surge() {
            return;
        }
        if let Some(Part { state: PartState::Failed { restored, .. }, .. }) = self.parts.get_mut(part) {
            *restored = Restored::NotNeeded;
        }
    }

    /// Everything that went well so far has failed after all.
    pub(super) fn applied_have_failed(&mut self, reason: &str) {
        for part in self.parts.iter_mut().filter(|part| part.is_there()) {
            part.state = PartState::Failed { reason: reason.to_owned(), restored: Restored::NotTried };
        }
    }

    /// It did not come back healthy: what it got last is to blame, and not what it was healthy with.
    pub(super) fn latest_has_failed(&mut self, reason: &str) {
        for part in self.parts.iter_mut().filter(|part| part.state == PartState::Applied) {
            part.state = PartState::Failed { reason: reason.to_owned(), restored: Restored::NotTried };
        }
    }

    /// It came back healthy with what it got last.
    pub(super) fn latest_is_proven(&mut self) {
        for part in self.parts.iter_mut().filter(|part| part.state == PartState::Applied) {
            part.state = PartState::Proven;
        }
    }

    /// Whether it gets more when it has come back healthy with what it got last. A new instance gets all at once.
    pub(super) fn is_between_parts(&self) -> bool {
        !self.is_surge()
            && self.parts.iter().any(|part| part.state == PartState::Applied)
            && self.parts.iter().any(|part| part.state == PartState::Waiting)
    }

    /// Everything that is not over has failed.
    pub(super) fn open_have_failed(&mut self, reason: &str) {
        for part in &mut self.parts {
            if !matches!(part.state, PartState::Failed { .. }) {
                part.state = PartState::Failed { reason: reason.to_owned(), restored: Restored::NotTried };
            }
        }
    }

    /// What has not begun will not; it leaves no trace. A new instance gets all of it or goes.
    pub(super) fn drop_waiting_parts(&mut self, reason: &str) {
        if self.is_surge() {
            return self.open_have_failed(reason);
        }
        if self.parts.iter().any(|part| part.state != PartState::Waiting) {
            self.parts.retain(|part| part.state != PartState::Waiting);
        }
    }

    /// What follows once the driver has nothing of it in hand.
    pub(super) fn next(&self, rule: OnInstanceFailure, now: Timestamp) -> MemberState {
        if self.is_surge() {
            return self.next_of_surge(now);
        }
        if let Some(next) = self.next_on_the_way_back(now) {
            return next;
        }
        // What goes back on a round trip goes back as a whole.
        let rule = if self.trip == Trip::Back { OnInstanceFailure::Restore } else { rule };
        // What comes next is not judged beside something that has failed.
        if rule == OnInstanceFailure::Restore
            && let Some(part) = self.last_to_restore()
        {
            return MemberState::Restoring { since: now, part };
        }
        if self.parts.iter().any(|part| part.state == PartState::Applied) {
            return MemberState::Settling { applied_at: now, healthy_since: None };
        }
        if let Some(part) = self.parts.iter().position(|part| part.state == PartState::Waiting) {
            return MemberState::Applying { since: now, part };
        }
        MemberState::Failed { at: now }
    }

    /// A way back that failed once is tried once more.
    pub(super) fn try_again_to_restore(&mut self) {
        for part in &mut self.parts {
            if let PartState::Failed { restored, .. } = &mut part.state
                && matches!(restored, Restored::No(_))
            {
                *restored = Restored::NotTried;
            }
        }
    }

    /// Index of the newest part that is to be brought back.
    pub(super) fn last_to_restore(&self) -> Option<usize> {
        self.parts.iter().rposition(Part::is_to_be_restored)
    }

    /// Whether any part failed.
    #[must_use]
    pub fn has_failed_part(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.state, PartState::Failed { .. }))
    }

    /// Whether it has failed on one component, also while it is brought back.
    #[must_use]
    pub fn has_failed_of(&self, component: &Component) -> bool {
        let failed =
            |part: &Part| part.component == *component && matches!(part.state, PartState::Failed { .. });
        self.parts.iter().any(failed)
    }

    /// Whether it has failed, and the version before is there again.
    #[must_use]
    pub fn was_brought_back(&self) -> bool {
        let is_back = |part: &Part| matches!(part.state, PartState::Failed { restored: Restored::Yes, .. });
        matches!(self.state, MemberState::Failed { .. }) && self.parts.iter().any(is_back)
    }

    /// Why it failed and what became of it, one line; none while nothing failed.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let failures: Vec<String> =
            self.parts.iter().filter_map(|part| failure(part, self.replacement())).collect();
        let stays = |part: &Part| {
            let change = Change { component: part.component.clone(), to: part.target.clone() };
            part.is_there().then(|| change.to_string())
        };
        let stays: Vec<String> = self.parts.iter().filter_map(stays).collect();
        let in_place = self.replacement().is_none() && !stays.is_empty();
        let stays = if in_place { format!("; {} stays", stays.join(", ")) } else { String::new() };
        (!failures.is_empty()).then(|| format!("{}{stays}", failures.join("; ")))
    }
}
