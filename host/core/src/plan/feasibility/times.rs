//! Times of a policy that contradict each other: a gate that nobody can pass, limits that end what goes well, windows
//! that never open.

use std::time::Duration;

use crate::domain::{HORIZON, HealthGate, HealthSettings, OnTimeout, Profile, Timeouts};

use super::{BatchTime, FeasibilityInput, Finding, Resolved};

/// A gate that no instance can pass, however well it is: as often as it is asked, it cannot have become Healthy and
/// stayed so before the deadline. Only where probes come in their rhythm from the first one on.
pub(super) fn never_passes(input: &FeasibilityInput<'_>) -> Option<Finding> {
    let health = input.health.filter(|health| health.profile == Profile::Azure)?;
    let HealthGate { wait, stable_for, deadline } = input.policy.gate;
    let HealthSettings { interval, number_of_probes, .. } = health;
    let first = interval.saturating_mul(number_of_probes.saturating_sub(1));
    let least = wait.max(first).saturating_add(stable_for);
    (least > deadline).then_some(Finding::GateNeverPasses { deadline, least })
}

/// Limits of time that contradict the rest.
pub(super) fn timeouts(input: &FeasibilityInput<'_>, resolved: &Resolved) -> Vec<Finding> {
    let Timeouts { batch, upgrade, approval, then } = input.policy.timeouts;
    let mut findings = Vec::new();
    let deadline = input.policy.gate.deadline;
    let slow = deadline.saturating_add(input.driver_limit.unwrap_or_default());
    if let Some(limit) = batch.filter(|limit| *limit < slow) {
        findings.push(Finding::ShortBatchTimeout { limit, deadline, driver: input.driver_limit });
    }
    if let Some((limit, health)) = upgrade.zip(input.health) {
        let batches = input.batches.unwrap_or_else(|| batches_at_least(resolved));
        let least = takes(input, health, batches);
        if batches > 0 && limit < least {
            findings.push(Finding::ShortUpgradeTimeout { limit, batches, least });
        }
    }
    if approval.is_some() && input.policy.checkpoints.approval_before.is_empty() {
        findings.push(Finding::NoApproval);
    }
    if then == OnTimeout::RollBack && input.policy.timeouts.are_none() {
        findings.push(Finding::NoTimeout);
    }
    findings
}

/// How many batches an upgrade of all that may be touched has, at least: phases and zones make more of them.
fn batches_at_least(resolved: &Resolved) -> usize {
    let Resolved { total, protected, batch_sizes, .. } = resolved;
    let mut left = total.saturating_sub(*protected);
    let mut batches = 0;
    for size in batch_sizes {
        if left == 0 {
            return batches;
        }
        left = left.saturating_sub(*size);
        batches += 1;
    }
    batches + left.div_ceil(batch_sizes.last().copied().unwrap_or(1).max(1))
}

/// What so many batches take beside the work of the driver, pauses and bake included.
fn takes(input: &FeasibilityInput<'_>, health: &HealthSettings, batches: usize) -> Duration {
    let BatchTime { evidence_max: _, wait, stable_for, pause } = BatchTime::of(input.policy, health);
    let batches = u32::try_from(batches).unwrap_or(u32::MAX);
    let each = wait.saturating_add(stable_for).saturating_mul(batches);
    let pauses = pause.saturating_mul(batches.saturating_sub(1));
    let bake = input.policy.bake.map_or(Duration::ZERO, |bake| {
        bake.duration.max(health.interval.saturating_mul(bake.probes.saturating_sub(1)))
    });
    each.saturating_add(pauses).saturating_add(bake)
}

/// Windows that leave no time at all.
pub(super) fn never_opens(input: &FeasibilityInput<'_>) -> Option<Finding> {
    let frozen = input.freeze.frozen_at(input.now)?;
    let days = HORIZON.as_secs() / (24 * 3600);
    (frozen.until >= input.now + HORIZON).then_some(Finding::NeverOpens { days })
}
