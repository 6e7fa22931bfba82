//! Azure's limits over the whole fleet, as integers.

use std::collections::BTreeSet;

use crate::domain::InstanceId;

use super::error::{UpgradeError, UpgradeErrorCode};
use super::state::Upgrade;
use super::view::FleetView;

/// Whether too much of the fleet is unhealthy for another batch.
pub(super) fn is_fleet_over_limit(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let limit = upgrade.policy.rolling.max_unhealthy_instance_percent;
    limit.is_exceeded_by(fleet.unhealthy_count(), fleet.total())
}

/// The budget over the whole fleet, checked before each batch.
pub(super) fn unhealthy_fleet(upgrade: &Upgrade, fleet: &dyn FleetView) -> Option<UpgradeError> {
    if !is_fleet_over_limit(upgrade, fleet) {
        return None;
    }
    let unhealthy = fleet.unhealthy();
    let (total, limit) = (fleet.total(), upgrade.policy.rolling.max_unhealthy_instance_percent);
    let code = if upgrade.current == 0 {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade
    } else {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededInRollingUpgrade
    };
    let message = format!(
        "{} of {total} instances are unhealthy, more than maxUnhealthyInstancePercent = {} allows; the first is `{}`",
        unhealthy.len(),
        limit.get(),
        unhealthy.first().map_or("", |id| id.as_str()),
    );
    let detail = |id| (id, "Instance found to be unhealthy or unreachable.".to_owned());
    Some(UpgradeError { code, message, details: unhealthy.into_iter().map(detail).collect() })
}

/// How many members of a batch may be taken down now, together with what is down anyway: no more than the
/// largest batch of those that are there now, whatever was planned when there were more of them.
/// A member that is down already costs nothing of what may be down, nor does one that stays until another one
/// is healthy in its place. At least one: a fleet within its limits always moves.
pub(super) fn room(upgrade: &Upgrade, batch: u32, fleet: &dyn FleetView) -> usize {
    let budget = upgrade.policy.rolling.max_unhealthy_instance_percent.of(fleet.total());
    let batch_max = upgrade.policy.rolling.batch_max(fleet.total());
    let doubted: BTreeSet<InstanceId> = fleet.doubted(upgrade.evidence_from).into_iter().collect();
    let mut spare = budget.saturating_sub(fleet.unhealthy_count() + doubted.len());
    let mut room = 0;
    for id in upgrade.members.of_batch(batch).take(batch_max) {
        let stays = upgrade.members.get(id).is_some_and(super::Member::is_surge);
        if !stays && !fleet.health(id).is_unhealthy() && !doubted.contains(id) {
            let Some(rest) = spare.checked_sub(1) else { break };
            spare = rest;
        }
        room += 1;
    }
    room.max(1)
}
