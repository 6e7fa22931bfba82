//! What a step may know of the estate: asked, never changed.

use std::collections::{BTreeMap, BTreeSet};

use super::enrolment::{Left, Moves};
use super::state::Part;
use crate::domain::{InstanceId, Location, RetryRule, ScaleSetName, UpgradeId};

/// What a step may know of the estate. A trait, so that the kernel and the tests give their own.
pub trait EstateView {
    /// One set as it is now; none when the configuration has it no longer. Costs what the set costs.
    fn facts(&self, set: &ScaleSetName, part: &Part) -> Option<Facts>;
    /// Whether another release has an upgrade under way in a region.
    fn is_in_flight_elsewhere(&self, region: &Location) -> bool;
}

/// What is known of a set. How its instances are is not looked at while its upgrade in the release is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether it is part of the release, and what has to be done there.
    pub standing: Result<Moves, Left>,
    /// Its latest upgrade, as far as it is this release's.
    pub child: Option<Child>,
    /// Another upgrade that runs there.
    pub busy: Option<UpgradeId>,
    /// Instances of which nothing is committed yet.
    pub initializing: usize,
    /// Members that are unhealthy now.
    pub unhealthy: BTreeSet<InstanceId>,
    /// How its eligible instances are.
    pub well: Well,
    /// Whether every eligible instance has the version.
    pub complete: bool,
    /// Eligible instances that do not have the version.
    pub lacks: usize,
    /// Whether one of those runs something else, and the latest upgrade has neither left it out nor failed on it: it has
    /// come since, or runs what it ran before again.
    pub behind: bool,
    /// Whether an instance has the version at all: of nobody nothing is known.
    pub shown: bool,
    /// Whether it was to be taken back, and an instance has the version all the same.
    pub remains: bool,
    /// Whether only what one upgrade had touched was taken back: who came later, or had the version before, has it still.
    pub only_touched: bool,
    /// Whether an upgrade that a person has started after that of the release has come to its end there.
    pub completed_since: bool,
    /// Whether and when it is tried again, where the set says that itself.
    pub retry: Option<RetryRule>,
}

/// How the eligible instances of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Well {
    /// All have the version and are Healthy.
    Yes,
    /// One does not, or is not.
    No,
    /// One has not been judged.
    NotKnown,
}

/// The upgrade of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Which.
    pub id: UpgradeId,
    /// How it stands.
    pub end: ChildEnd,
}

/// How the upgrade of a set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildEnd {
    /// Under way.
    Running,
    /// It came to its end.
    Completed,
    /// A limit ended it, or it was taken back; why.
    Faulted(String),
    /// A person ended it, or something else was started in its place; why.
    Cancelled(String),
    /// Nobody approved what came next in time; why.
    NotApproved(String),
}

/// Instances of a set, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub total: usize,
    /// Those that count.
    pub eligible: usize,
    /// Those of them that have the version.
    pub at_version: usize,
    /// Those of these that are Healthy.
    pub healthy: usize,
    /// Those that do not count, by code.
    pub not_eligible: BTreeMap<String, usize>,
    /// All of them, by zone; the empty name is that of those without one.
    pub zones: BTreeMap<String, usize>,
}
