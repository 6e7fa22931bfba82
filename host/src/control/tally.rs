//! The fleet as counts, for `/metrics`: nothing in it grows with the number of instances.

use std::collections::BTreeMap;

use super::run::Control;
use super::state::SetState;
use phasegate_core::domain::{Health, ScaleSetName};
use phasegate_core::rollout::{Progress, UpgradeState};

/// All scale sets as counts.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Whether the line is stopped.
    pub line_stopped: bool,
    /// By name.
    pub sets: Vec<SetTally>,
}

/// One scale set as counts.
#[derive(Debug, Clone)]
pub struct SetTally {
    /// Which.
    pub name: ScaleSetName,
    /// Instances by committed health; those that are being replaced or created are not among them.
    pub health: BTreeMap<Health, usize>,
    /// The latest upgrade: its state and counts.
    pub upgrade: Option<(UpgradeState, Progress)>,
}

impl Control {
    pub(super) fn tally(&self) -> Tally {
        Tally { line_stopped: self.line.is_some(), sets: self.sets.values().map(set).collect() }
    }
}

fn set(set: &SetState) -> SetTally {
    let states = [Health::Initializing, Health::Healthy, Health::Unhealthy, Health::Unknown];
    let mut health: BTreeMap<Health, usize> = states.into_iter().map(|state| (state, 0)).collect();
    for (_, instance) in set.members() {
        *health.entry(instance.fold.health()).or_default() += 1;
    }
    let upgrade = set.upgrade.as_ref().map(|upgrade| (upgrade.state, upgrade.progress()));
    SetTally { name: set.spec.name.clone(), health, upgrade }
}
