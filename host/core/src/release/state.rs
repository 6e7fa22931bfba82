//! One release: everything that a restart needs to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use super::enrolment::Left;
use super::gates::Looked;
use super::strategy::Strategy;
use crate::domain::{
    Actor, Component, Digest, ExtensionType, InstanceId, Location, ReleaseId, ReleaseVersion, ScaleSetName,
    Subscription, Timestamp, UpgradeId, Version,
};

/// Lines of its own that a release keeps; the trail of each set has all of its upgrades.
const LINES_MAX: usize = 300;

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseState {
    /// Under way.
    Running,
    /// More sets failed than it allows: nothing begins until a retry does well or a person says so.
    Halted,
    /// What is in flight ends, then it has ended like this.
    Ending(End),
    /// Over.
    Ended(End, Timestamp),
}

/// How a release ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// Every set was dealt with.
    Completed,
    /// A person stopped it.
    Stopped,
    /// A newer version took its place.
    Superseded,
    /// Its version was withdrawn.
    Withdrawn,
    /// What it had brought was taken back.
    RolledBack,
    /// The same, but for sets of which it could not be; it may be tried once more.
    PartlyRolledBack,
}

impl End {
    /// As our JSON writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Stopped => "Stopped",
            Self::Superseded => "Superseded",
            Self::Withdrawn => "Withdrawn",
            Self::RolledBack => "RolledBack",
            Self::PartlyRolledBack => "PartlyRolledBack",
        }
    }
}

/// How the upgrade of a set ended that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// A limit ended it.
    Faulted,
    /// It came to its end, and an eligible instance does not have the version.
    Incomplete,
    /// It was ended before, or something else was started in its place.
    Cancelled,
    /// Nobody approved what came next for as long as `approvalTimeout` allows.
    NotApproved,
}

/// Where a set is in a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Run {
    /// It has not begun.
    Waits,
    /// It is no part of it.
    Left(Left),
    /// Its upgrade is under way.
    Runs,
    /// Every eligible instance has the version.
    Done,
    /// Its upgrade ended otherwise.
    Ended {
        /// How.
        how: How,
        /// One line for people.
        why: String,
        /// When it is tried again by itself.
        retry_at: Option<Timestamp>,
    },
    /// It is being taken back.
    GoesBack,
    /// It was taken back.
    Back,
    /// It was to be taken back and was not, or not everywhere.
    NotBack {
        /// One line for people.
        why: String,
    },
}

impl Run {
    /// As our JSON writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waits => "Waiting",
            Self::Left(_) => "Left",
            Self::Runs => "Running",
            Self::Done => "Done",
            Self::Ended { how: How::Faulted, .. } => "Failed",
            Self::Ended { how: How::Incomplete, .. } => "Incomplete",
            Self::Ended { how: How::Cancelled, .. } => "Cancelled",
            Self::Ended { how: How::NotApproved, .. } => "NotApproved",
            Self::GoesBack => "GoingBack",
            Self::Back => "Back",
            Self::NotBack { .. } => "NotBack",
        }
    }
}

/// One set of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its region.
    pub location: Location,
    /// Its region phase, from 0.
    pub phase: usize,
    /// What of it.
    pub component: Component,
    /// What it had before.
    pub from: Option<Version>,
    /// Sets that come before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ScaleSetName>,
    /// Of a stand-alone machine: the subscription whose machines in the same region are one group. They are counted as
    /// one set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines_of: Option<Subscription>,
    /// Where it is.
    pub run: Run,
    /// Its latest upgrade.
    pub upgrade: Option<UpgradeId>,
    /// How often it was begun.
    pub tries: u32,
    /// The latest try but this one ended Faulted, and the release goes on all the same.
    #[serde(default)]
    pub passed_over: bool,
    /// The release wants its upgrade to end.
    #[serde(default)]
    pub cancelling: bool,
    /// Since when every eligible instance has the version and is Healthy.
    pub well_since: Option<Timestamp>,
    /// Instances that were unhealthy before it began: nobody waits for them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held_unhealthy: BTreeSet<InstanceId>,
    /// When and why its upgrade could not be started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(Timestamp, String)>,
    /// Whether that is so now; nobody knows before everybody has been asked.
    #[serde(skip)]
    pub seen_well: bool,
    /// Since when somebody has looked that it is so: time in which nobody could look counts for no bake. After a start of
    /// the host none, unless its bake was over before.
    #[serde(skip)]
    pub watched_since: Option<Timestamp>,
    /// Whether an instance of it has the version; nobody knows before it was looked at.
    #[serde(skip)]
    pub has_shown: bool,
}

impl Part {
    /// Of a set that has not begun.
    #[must_use]
    pub fn waiting(location: Location, phase: usize, component: Component) -> Self {
        Self {
            location,
            phase,
            component,
            from: None,
            after: Vec::new(),
            machines_of: None,
            run: Run::Waits,
            upgrade: None,
            tries: 0,
            passed_over: false,
            cancelling: false,
            well_since: None,
            held_unhealthy: BTreeSet::new(),
            refused: None,
            seen_well: false,
            watched_since: None,
            has_shown: false,
        }
    }
}

/// One line of a release's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When, as a date.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Stable code.
    pub code: String,
    /// One line for people.
    pub text: String,
}

/// One version of one type on its way through the estate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Unique within a data directory.
    pub id: ReleaseId,
    /// Rises with each release.
    pub number: u64,
    /// Of what.
    pub subject: ExtensionType,
    /// Which version.
    pub version: ReleaseVersion,
    /// What it goes by, as it was when it started.
    pub strategy: Strategy,
    /// Its region phases.
    pub phases: Vec<Vec<Location>>,
    /// Digest of its plan.
    pub digest: Digest,
    /// Who started it.
    pub by: Actor,
    /// Why; one line for people.
    pub reason: Option<String>,
    /// Whoever started it wants it in spite of any quarantine, also of a set's own.
    #[serde(default)]
    pub forced: bool,
    /// Nobody has started it: it began because a version was published or a set takes part again, whoever did that.
    #[serde(default)]
    pub by_itself: bool,
    /// When.
    pub started_at: Timestamp,
    /// The same as a date.
    pub started_on: Timestamp,
    /// How it stands.
    pub state: ReleaseState,
    /// Nothing begins until a person says so.
    pub paused: bool,
    /// Region phases that a person let begin, each with the sets before it that were not through at that moment: it
    /// waits for these no longer, and for any other as before.
    #[serde(default)]
    pub excused: BTreeMap<usize, BTreeSet<ScaleSetName>>,
    /// So many failed sets are allowed: the strategy's number, or as many as a person has passed over.
    pub allowed: usize,
    /// What happened, oldest first.
    #[serde(default)]
    pub log: Vector<Line>,
    /// Its sets. Kept apart by the store, one row each.
    #[serde(skip)]
    pub parts: OrdMap<ScaleSetName, Part>,
    /// What the last look at all of its sets has found, for as long as it holds: none, and the next step looks at all
    /// of them again.
    #[serde(skip)]
    pub looked: Option<Arc<Looked>>,
}

impl Release {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.state, ReleaseState::Ended(..))
    }

    /// Whether a person has started it.
    #[must_use]
    pub fn is_a_persons(&self) -> bool {
        self.by != Actor::Host && !self.by_itself
    }

    /// A copy without its sets.
    #[must_use]
    pub fn head(&self) -> Self {
        Self { parts: OrdMap::new(), looked: None, ..self.clone() }
    }

    /// After a start of the host, which had last written something then: a bake that was over stays over.
    pub fn resume(&mut self, written_at: Timestamp) {
        let bake = self.strategy.bake;
        self.watched(|part| part.well_since.filter(|since| *since + bake <= written_at));
    }

    /// The host stood still for so long, and nobody looked: who is in the middle of a bake has that before him still.
    pub fn stood_still(&mut self, length: Duration, now: Timestamp) {
        let bake = self.strategy.bake;
        self.watched(|part| {
            let since = part.watched_since?;
            let was_over = since + bake + length <= now;
            Some(if was_over { since } else { (since + length).min(now) })
        });
        self.looked = None;
    }

    fn watched(&mut self, since: impl Fn(&Part) -> Option<Timestamp>) {
        let watched = |(name, part): (&ScaleSetName, &Part)| {
            (name.clone(), Part { watched_since: since(part), ..part.clone() })
        };
        self.parts = self.parts.iter().map(watched).collect();
    }

    /// When it ended, if it has.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            ReleaseState::Ended(_, at) => Some(at),
            ReleaseState::Running | ReleaseState::Halted | ReleaseState::Ending(_) => None,
        }
    }

    /// How it stands, as our JSON writes it.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            ReleaseState::Running if self.paused => "Paused",
            ReleaseState::Running => "Running",
            ReleaseState::Halted => "Halted",
            ReleaseState::Ending(_) => "Ending",
            ReleaseState::Ended(end, _) => end.name(),
        }
    }

    /// Adds a line; the oldest go.
    pub fn say(&mut self, line: Line) {
        self.log.push_back(line);
        while self.log.len() > LINES_MAX {
            self.log.pop_front();
        }
    }

    /// Sets whose latest upgrade ended Faulted, and those that are tried again after that.
    pub fn failed(&self) -> impl Iterator<Item = (&ScaleSetName, &Part)> {
        self.parts.iter().filter(|(_, part)| part.has_failed())
    }

    /// What has failed, as `maxFailedSets` counts it: sets, and groups of stand-alone machines in which one has.
    #[must_use]
    pub fn failed_units(&self) -> BTreeSet<Unit<'_>> {
        self.failed().map(|(name, part)| part.unit(name)).collect()
    }

    /// The names of the regions in which an upgrade of it is under way.
    pub fn regions_in_flight(&self) -> impl Iterator<Item = &Location> {
        self.parts.values().filter(|part| part.is_in_flight()).map(|part| &part.location)
    }

    /// The region phase of a region; a new one is put behind those that are named.
    pub fn phase_of(&mut self, region: &Location) -> usize {
        let is_there = |phases: &[Vec<Location>]| phases.iter().position(|phase| phase.contains(region));
        if let Some(phase) = is_there(&self.phases) {
            return phase;
        }
        let first = self.strategy.region_phases.len();
        self.strategy.put_last(&mut self.phases, region, first);
        is_there(&self.phases).unwrap_or(0)
    }
}

/// What counts as one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit<'a> {
    /// A set.
    Set(&'a ScaleSetName),
    /// The stand-alone machines of a subscription in a region.
    Machines(&'a Location, &'a Subscription),
}

impl Part {
    /// What it is counted as.
    #[must_use]
    pub fn unit<'a>(&'a self, name: &'a ScaleSetName) -> Unit<'a> {
        match &self.machines_of {
            Some(subscription) => Unit::Machines(&self.location, subscription),
            None => Unit::Set(name),
        }
    }

    /// Whether its upgrade, or its way back, is under way.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        matches!(self.run, Run::Runs | Run::GoesBack)
    }

    /// Whether it counts as a failed set.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.run, Run::Ended { how: How::Faulted, .. })
            || (self.passed_over && self.run == Run::Runs)
    }

    /// Whether the upgrade that it had left anything that could be taken back.
    #[must_use]
    pub fn was_touched(&self) -> bool {
        self.upgrade.is_some()
    }
}
