//! The audit trail: every decision, admission and effect, as values.
//!
//! What may happen stands in `what`. Text is made when an entry is shown, in `text`; nothing reads it back.

mod text;
mod wait;
mod what;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{
    By, Change, Cost, ExtensionName, Goal, Health, InstanceId, Participation, Phase, PhaseName, PluginStamp,
    ReleaseId, ScaleSetName, Timestamp, UpgradeId, WallTime, WordKind,
};
use crate::plan::HoldReason;

/// What an instance has said that says "not now" and comes no nearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stall {
    /// In how many of its answers in a row nothing has moved.
    pub rounds: u32,
    /// Its `defer-progress`.
    pub progress: Option<i64>,
    /// Its `defer-until`.
    pub until: Option<Timestamp>,
}

pub use wait::Wait;
pub use what::{Doubt, HoldState, PluginWish, QuarantineState, What};

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its place in the trail of this record, from 1.
    pub seq: u64,
    /// The date.
    pub at: WallTime,
    /// Which scale set.
    pub scale_set: ScaleSetName,
    /// Which upgrade, if any.
    pub upgrade: Option<UpgradeId>,
    /// Which instance, if any.
    pub instance: Option<InstanceId>,
    /// Who decided it, and why.
    pub by: By,
    /// Which code judged the instance, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// What happened.
    pub what: What,
}

/// Which code has decided, when it was asked, and what that took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    /// The code.
    pub plugin: PluginStamp,
    /// When it was asked.
    pub judged_at: Timestamp,
    /// What that took.
    pub cost: Cost,
    /// Why this older decision is used: the plugin fails now, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<String>,
}

/// What an instance was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Word {
    /// It is upgraded in this phase.
    Proceed(PhaseName),
    /// It is left alone.
    Hold(HoldReason),
}

/// On which word an instance was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// Number of its batch, from 1.
    pub batch: usize,
    /// Its phase there.
    pub phase: Option<Phase>,
    /// Its committed health.
    pub health: Health,
    /// What its plugin has said of its taking part; none where it has said nothing.
    pub participation: Option<Participation>,
    /// When the probe had ended that it answered so; none where the application has said nothing.
    pub answered_at: Option<Timestamp>,
    /// The reason of the plugin, or the person who has forced it; empty when there is none.
    pub detail: String,
}

/// Several instances: how many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Several {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: Vec<InstanceId>,
}

impl Several {
    /// So many are named.
    const NAMED: usize = 20;

    /// Of these.
    #[must_use]
    pub fn of(mut all: Vec<InstanceId>) -> Self {
        let count = all.len();
        all.truncate(Self::NAMED);
        Self { count, first: all }
    }
}

/// What is said of the first deployment of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProvisionNote {
    /// An extension is being installed.
    Begins {
        /// Which.
        change: Change,
    },
    /// One could not be installed.
    Failed {
        /// Which.
        change: Change,
        /// Why.
        why: String,
    },
    /// One is not installed, because another one failed.
    LeftOut {
        /// Which.
        change: Change,
        /// Which failed, or was left out.
        after: ExtensionName,
    },
    /// All have been dealt with, and its health counts from now on.
    Ends {
        /// What it has.
        has: Vec<Change>,
    },
}

/// Why an upgrade starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartWhy {
    /// It was asked for.
    Asked,
    /// It was asked for, also of instances that are there already.
    Everything,
    /// Each instance gets again what it has.
    Repair,
    /// It was asked for in spite of freeze windows and of a stopped line.
    Bypass,
    /// The file says that something else is wanted, and the mode that it begins by itself.
    Wanted,
    /// It faulted before and is tried again by itself.
    Again {
        /// Which try.
        attempt: u32,
    },
    /// A person starts again with what an ended one has left.
    Left {
        /// Which.
        of: UpgradeId,
    },
    /// Releases have come to the set.
    Release {
        /// Which.
        releases: BTreeSet<ReleaseId>,
    },
    /// It takes an ended one back.
    TakesBack {
        /// Which.
        ended: UpgradeId,
        /// What that one was to bring.
        goal: Goal,
    },
    /// It goes back to what a former one had brought, over whatever was brought since.
    BackTo {
        /// The former one.
        of: UpgradeId,
        /// What that one had brought.
        goal: Goal,
    },
}

impl StartWhy {
    /// Whether a person asked for it, who hears at once what speaks against it.
    #[must_use]
    pub fn is_a_persons(&self) -> bool {
        match self {
            Self::Asked | Self::Everything | Self::Repair | Self::Bypass | Self::Left { .. } => true,
            Self::Wanted
            | Self::Again { .. }
            | Self::Release { .. }
            | Self::TakesBack { .. }
            | Self::BackTo { .. } => false,
        }
    }

    /// The releases that want it.
    #[must_use]
    pub fn releases(&self) -> BTreeSet<ReleaseId> {
        match self {
            Self::Release { releases } => releases.clone(),
            Self::Asked
            | Self::Everything
            | Self::Repair
            | Self::Bypass
            | Self::Wanted
            | Self::Again { .. }
            | Self::Left { .. }
            | Self::TakesBack { .. }
            | Self::BackTo { .. } => BTreeSet::new(),
        }
    }
}

/// What is said of the next try of an upgrade that faulted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryNote {
    /// It is tried again then.
    Planned {
        /// When.
        at: Timestamp,
    },
    /// It has been tried often enough.
    LimitReached {
        /// `retryLimit`.
        limit: u32,
    },
    /// What is wanted since does not begin by itself.
    NotByItself {
        /// What is wanted.
        goal: Goal,
        /// What speaks against it.
        why: String,
    },
    /// Another upgrade was started.
    Overtaken {
        /// Which.
        by: UpgradeId,
    },
    /// A rollback was asked for.
    RolledBack,
    /// Cancel was asked for.
    Cancelled,
}

/// What is said of a person's word about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WordNote {
    /// It was said.
    Said {
        /// What is wanted.
        kind: WordKind,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// A person took it back.
    Released {
        /// What was wanted.
        kind: WordKind,
    },
    /// Its time is over.
    Over {
        /// What was wanted.
        kind: WordKind,
    },
}

/// Why an instance leaves a running upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Leaves {
    /// It is protected now.
    Protected,
    /// The configuration lists it no longer.
    Removed,
    /// It is in another zone or update domain now, and goes with another batch.
    Moved,
    /// It was upgraded, and is at another address now: another machine, under the same id.
    Replaced,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookEnd {
    /// Badly.
    Failed {
        /// One line for people.
        why: String,
    },
}

/// Whether the line is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LineState {
    /// Nothing more starts anywhere.
    Stopped,
    /// It goes on.
    GoesOn,
}
