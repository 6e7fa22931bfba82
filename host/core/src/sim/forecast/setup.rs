//! What is simulated: the fleet, what the upgrade goes by, how long things take, what goes wrong.

use std::time::Duration;

use crate::domain::{
    FreezeWindows, InstanceId, Participation, Phase, Protection, ScaleSetName, Timestamp, UpgradePolicy,
    Version,
};
use crate::health::FoldSettings;

/// A simulation before it begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The scale set.
    pub name: ScaleSetName,
    /// The wanted version.
    pub to: Version,
    /// Who is there.
    pub fleet: Fleet,
    /// Scale sets upgraded one after the other, each with an equal part of an invented fleet; at
    /// least 1.
    pub regions: u32,
    /// What the upgrade goes by.
    pub rules: UpgradePolicy,
    /// When nothing may begin.
    pub freeze: FreezeWindows,
    /// The health state machine.
    pub health: FoldSettings,
    /// From one probe of an instance to the next.
    pub interval: Duration,
    /// How long things take.
    pub pace: Pace,
    /// What goes wrong.
    pub rates: Rates,
    /// When the upgrade is asked for; freeze windows go by it.
    pub begin: Timestamp,
    /// Whatever has not ended after so long is given up.
    pub limit: Duration,
    /// Which probes are looked at.
    pub probes: Probes,
}

/// Who is there.
#[derive(Debug, Clone)]
pub enum Fleet {
    /// Made up.
    Invented(Invented),
    /// Seen once.
    Recorded(Crowd),
}

/// A made-up fleet, spread evenly.
#[derive(Debug, Clone)]
pub struct Invented {
    /// Instances of all regions.
    pub instances: usize,
    /// Zones of each region; 0 is none.
    pub zones: u16,
    /// Update domains; 0 is none.
    pub update_domains: u32,
    /// Share of each phase from 0 on, in millionths; who is left has none and comes last.
    pub phases: Vec<u32>,
    /// Share that says skip, in millionths.
    pub skip: u32,
    /// Share that is protected, in millionths.
    pub protected: u32,
}

/// Instances, with what many have in common kept once.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    /// Names of zones.
    pub zones: Vec<String>,
    /// Versions; the first is the wanted one.
    pub versions: Vec<Version>,
    /// By id.
    pub facts: Vec<Facts>,
}

/// What never changes about an instance, and how it was found.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its id.
    pub id: InstanceId,
    /// Index of its zone.
    pub zone: Option<u16>,
    /// Its update domain.
    pub update_domain: Option<u32>,
    /// Its fault domain.
    pub fault_domain: Option<u32>,
    /// Its protection.
    pub protection: Protection,
    /// Its phase.
    pub phase: Option<Phase>,
    /// Whether it takes part.
    pub participation: Participation,
    /// Index of the version that it runs at first.
    pub version: Option<u16>,
    /// What it says until it is upgraded.
    pub condition: Condition,
}

/// What an instance says at the version at which it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// That it works.
    Well,
    /// That it does not work.
    Ill,
    /// Nothing.
    Silent,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The driver, for one instance; it does not answer meanwhile.
    pub apply: Span,
    /// From the end of that until the instance answers.
    pub start: Span,
    /// A person, at a checkpoint.
    pub person: Duration,
}

/// From the shortest to the longest time; all in between are as likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Shortest.
    pub low: Duration,
    /// Longest.
    pub high: Duration,
}

/// What goes wrong how often. Rates an hour are in millionths, chances too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// An instance goes down for 30 to 120 s; an hour and instance.
    pub crash: u64,
    /// An instance says three times for 10 to 30 s that it does not work; an hour and instance.
    pub flap: u64,
    /// A zone goes down for 1 to 5 min; an hour and zone.
    pub zone_loss: u64,
    /// Chance that a probe gets no answer.
    pub lost_probe: u32,
    /// Chance that a start takes 30 to 180 s longer.
    pub slow: u32,
    /// Chance that an instance never becomes healthy at the wanted version.
    pub bad_version: u32,
    /// Chance that the driver fails.
    pub driver: u32,
}

/// Which probes are looked at. The result is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probes {
    /// Every one.
    All,
    /// Those that can change something.
    Telling,
}

/// How closely a run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// The checker of all invariants looks at each step; costs a copy of the upgrade for each.
    Steps,
    /// Budget, borders, phases and consent at each admission.
    Admissions,
}

impl Setup {
    /// Times are rounded up to this: a large fleet is looked at less often, so that much happens
    /// at one moment.
    pub(super) fn tick(&self, instances: usize) -> Duration {
        let tick = match instances {
            0..=10_000 => Duration::from_millis(100),
            10_001..=100_000 => Duration::from_millis(500),
            _ => Duration::from_secs(1),
        };
        tick.min(self.interval).max(Duration::from_millis(1))
    }
}
