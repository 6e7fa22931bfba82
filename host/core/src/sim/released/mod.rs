//! `phasegate simulate --release`: one version on its way through an estate of many regions and sets, on a virtual clock.
//!
//! ```text
//!  estate ──> Kernel::turn ──> effects ──> drivers, who take their time ──> events ──> Kernel::turn
//!                 ^                                                                       │
//!                 └───── rounds of probes, where an upgrade is under way or somebody is ill ─┘
//! ```
//!
//! The kernel is the host's own, release, zones, batches and gates included; invented are drivers and probes. After each
//! turn `checks` looks at what must hold in any release. Deliberately has no disk, no crashes and no people: the worlds
//! of the tests have those.

mod checks;
mod invent;
mod plan;
mod probing;
mod trouble;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{ExtensionType, ReleaseVersion, Timestamp};
use crate::kernel::{ReleaseRules, SetConfig};
use crate::sim::forecast::Rates;

pub use invent::{Invented, invented, site};
pub use plan::expected;
pub use world::{Settled, run, settled};

/// A simulation before it begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The sets, as they are configured.
    pub sets: Vec<SetConfig>,
    /// What releases go by.
    pub rules: ReleaseRules,
    /// What is released.
    pub subject: ExtensionType,
    /// Which version.
    pub version: ReleaseVersion,
    /// From which region phase on the version never becomes healthy, from 1; none: it is good.
    pub bad_from: Option<usize>,
    /// What goes wrong by itself, and how often.
    pub rates: Rates,
    /// How long a driver takes for an instance: the shortest and the longest time.
    pub apply: (Duration, Duration),
    /// How long an instance takes after that until it answers.
    pub start: Duration,
    /// When it begins, a date.
    pub begin: Timestamp,
    /// Of what is random.
    pub seed: u64,
    /// Whatever has not ended after so long is given up.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// How the release stands at the end, as the API says it; none when none began.
    pub state: Option<&'static str>,
    /// From its begin to its end, or until nothing moves any more.
    pub duration: Duration,
    /// Region phases, in order.
    pub phases: Vec<PhaseCourse>,
    /// Instances that ever had the version.
    pub had_it: usize,
    /// Those of them that had it when the release was halted, or at its end.
    pub have_it: usize,
    /// All instances.
    pub instances: usize,
    /// Sets by how they stand, as the API says it.
    pub sets: BTreeMap<&'static str, usize>,
    /// Of each set that was not done the code of its reason, counted.
    pub reasons: BTreeMap<&'static str, usize>,
    /// Turns of the kernel.
    pub turns: u64,
    /// Rounds of probes that were judged, one for each instance.
    pub judged: u64,
    /// What did not hold; empty when all did.
    pub violations: Vec<String>,
}

/// One region phase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseCourse {
    /// Its regions.
    pub regions: Vec<String>,
    /// Sets in it.
    pub sets: usize,
    /// Those that were done.
    pub done: usize,
    /// When its first set began, since the begin of the release.
    pub began: Option<Duration>,
    /// When its last set was done.
    pub ended: Option<Duration>,
    /// Instances in it that ever had the version.
    pub had_it: usize,
}

#[cfg(test)]
mod tests;
