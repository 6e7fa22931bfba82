//! Azure's limits over the whole fleet, as integers.

use std::collections::BTreeSet;

use crate::domain::InstanceId;

use super::error::{UpgradeError, UpgradeErrorCode};
use super::state::Upgrade;
use super::view::{FleetView, Machines};

/// Whether too much of the fleet is unhealthy for another batch.
pub(super) fn is_fleet_over_limit(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let limit = upgrade.policy.rolling.max_unhealthy_instance_percent;
    let (unhealthy, total) = counted(fleet);
    limit.is_exceeded_by(unhealthy, total)
}

/// How many are unhealthy, and of how many: of the set, or of the group of stand-alone machines that it belongs to.
pub(super) fn counted(fleet: &dyn FleetView) -> (usize, usize) {
    match fleet.machines() {
        Some(Machines { total, unhealthy, .. }) => (unhealthy, total),
        None => (fleet.unhealthy_count(), fleet.total()),
    }
}

/// How many more of a group of stand-alone machines may be taken down: the share of a batch, one at least, and never all
/// of more than one. None where there is no group.
pub(super) fn room_in_group(upgrade: &Upgrade, fleet: &dyn FleetView) -> Option<usize> {
    let Machines { total, flying, .. } = fleet.machines()?;
    let most = upgrade.policy.rolling.batch_max(total).min(total.saturating_sub(1).max(1));
    Some(most.saturating_sub(flying))
}

/// The budget over the whole fleet, checked before each batch.
pub(super) fn unhealthy_fleet(upgrade: &Upgrade, fleet: &dyn FleetView) -> Option<UpgradeError> {
    if !is_fleet_over_limit(upgrade, fleet) {
        return None;
    }
    let unhealthy = fleet.unhealthy();
    let ((count, total), limit) = (counted(fleet), upgrade.policy.rolling.max_unhealthy_instance_percent);
    let code = if upgrade.current == 0 {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade
    } else {
        UpgradeErrorCode::MaxUnhealthyInstancePercentExceededInRollingUpgrade
    };
    let message = format!(
        "{count} of {total} {} are unhealthy, more than maxUnhealthyInstancePercent = {} allows{}",
        if fleet.machines().is_some() { "stand-alone machines of its group" } else { "instances" },
        limit.get(),
        unhealthy.first().map_or_else(String::new, |id| format!("; the first is `{id}`")),
    );
    let detail = |id| (id, "Instance found to be unhealthy or unreachable.".to_owned());
    Some(UpgradeError { code, message, details: unhealthy.into_iter().map(detail).collect() })
}

/// How many members of a batch may be taken down now, together with what is down anyway: no more than the
/// largest batch of those that are there now, whatever was planned when there were more of them.
/// A member that is down already costs nothing of what may be down, nor does one that stays until another one
/// is healthy in its place. At least one: a fleet within its limits always moves.
pub(super) fn room(upgrade: &Upgrade, batch: u32, fleet: &dyn FleetView) -> usize {
    let rolling = &upgrade.policy.rolling;
    let (unhealthy, total) = counted(fleet);
    let budget = rolling.max_unhealthy_instance_percent.of(total);
    let domain = upgrade.batch(batch).and_then(|batch| batch.update_domain);
    let batch_max = rolling.batch_max(fleet.whole_of(rolling.batch_of, domain));
    let batch_max = batch_max.min(room_in_group(upgrade, fleet).unwrap_or(usize::MAX));
    let doubted: BTreeSet<InstanceId> = fleet.doubted(upgrade.evidence_from).into_iter().collect();
    // Only who is counted: a process that has just ended looks down before it is.
    let down: BTreeSet<InstanceId> = match unhealthy {
        0 => BTreeSet::new(),
        _ => fleet.unhealthy().into_iter().collect(),
    };
    let mut spare = budget.saturating_sub(unhealthy + doubted.len());
    let mut room = 0;
    for id in upgrade.members.of_batch(batch).take(batch_max) {
        let stays = upgrade.members.get(id).is_some_and(super::Member::is_surge);
        if !stays && !down.contains(id) && !doubted.contains(id) {
            let Some(rest) = spare.checked_sub(1) else { break };
            spare = rest;
        }
        room += 1;
    }
    room.max(1)
}
