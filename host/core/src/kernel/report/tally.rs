//! The fleet as counts: nothing in it grows with the number of instances.

use crate::domain::ScaleSetName;
use crate::kernel::state::{Census, Fleet};
use crate::rollout::{Progress, UpgradeState};

/// All scale sets as counts.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Whether the line is stopped.
    pub line_stopped: bool,
    /// Whether the host holds until a person adopts its record.
    pub holding: bool,
    /// By name.
    pub sets: Vec<SetTally>,
}

/// One scale set as counts.
#[derive(Debug, Clone)]
pub struct SetTally {
    /// Which.
    pub name: ScaleSetName,
    /// Instances by committed health; those that are being replaced or created are not among them.
    pub health: Census,
    /// Instances that could not be asked last, because the host was short of something.
    pub unasked: usize,
    /// The latest upgrade: its state and counts.
    pub upgrade: Option<(UpgradeState, Progress)>,
}

/// Counts a fleet.
#[must_use]
pub fn tally(fleet: &Fleet) -> Tally {
    let sets = fleet.sets().map(|set| SetTally {
        name: set.spec.name.clone(),
        health: set.census().clone(),
        unasked: set.unasked().count(),
        upgrade: set.upgrade.as_ref().map(|upgrade| (upgrade.state, upgrade.progress())),
    });
    Tally { line_stopped: fleet.line.is_some(), holding: fleet.held.is_some(), sets: sets.collect() }
}
