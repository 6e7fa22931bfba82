//! Scale sets in brief.

use phasegate_core::domain::Health;
use phasegate_core::kernel::Fleet;
use phasegate_core::kernel::state::SetState;
use phasegate_core::rollout::{Progress, Upgrade};
use phasegate_wire as wire;

use crate::words;

/// Every scale set, by name; counts that are kept, so that a large fleet costs no more than a small one.
pub(crate) fn scale_sets(fleet: &Fleet) -> wire::ScaleSets {
    wire::ScaleSets { scale_sets: fleet.sets().map(|set| summary(set)).collect() }
}

fn summary(set: &SetState) -> wire::ScaleSetSummary {
    let census = set.census();
    wire::ScaleSetSummary {
        name: set.spec.name.to_string(),
        model_version: set.spec.model.version.to_string(),
        instances: wire::HealthCounts {
            total: census.total(),
            initializing: census.of(Health::Initializing),
            healthy: census.of(Health::Healthy),
            unhealthy: census.of(Health::Unhealthy),
            unknown: census.of(Health::Unknown),
        },
        upgrade: set.upgrade.as_deref().map(upgrade),
    }
}

fn upgrade(upgrade: &Upgrade) -> wire::UpgradeSummary {
    let Progress { successful, failed, in_progress, pending } = upgrade.progress();
    wire::UpgradeSummary {
        id: upgrade.id.to_string(),
        state: words::upgrade_state(upgrade.state),
        progress: wire::Progress { successful, failed, in_progress, pending },
    }
}
