//! What a policy amounts to for a fleet of this size: its percentages as counts, and what in it
//! cannot work or will not do what it seems to say.
//!
//! Pure, and only talk: no plan and no upgrade depends on what is found here.

mod finding;
mod times;

use std::time::Duration;

use crate::domain::{
    BatchSize, FreezeWindows, HealthGate, HealthSettings, InstanceId, OnBreach, Percent, PhaseName,
    RollingUpgradePolicy, ScaleSet, Timestamp, UpgradePolicy,
};

pub use finding::Finding;
pub use times::{TimesFinding, Waits};

/// How far ahead openings between freeze windows are looked at.
const OPENINGS_WITHIN: Duration = Duration::from_secs(35 * 24 * 3600);

/// Largest number of openings that are looked at.
const OPENINGS_MAX: usize = 64;

/// Input of [`feasibility`].
#[derive(Debug, Clone, Copy)]
pub struct FeasibilityInput<'a> {
    /// How instances are probed; none where that is not known.
    pub health: Option<&'a HealthSettings>,
    /// What an upgrade would go by.
    pub policy: &'a UpgradePolicy,
    /// When nothing may begin.
    pub freeze: &'a FreezeWindows,
    /// Number of instances.
    pub total: usize,
    /// How many of them no upgrade may touch.
    pub protected: usize,
    /// How long the driver may work on one instance; none where that is not known.
    pub driver_limit: Option<Duration>,
    /// How many batches a plan has; none where there is no plan.
    pub batches: Option<usize>,
    /// Now; freeze windows are looked at from here on.
    pub now: Timestamp,
}

impl<'a> FeasibilityInput<'a> {
    /// What a scale set of the configuration says.
    #[must_use]
    pub fn of<D>(set: &'a ScaleSet<D>, now: Timestamp) -> Self {
        let protected = set.instances.values().filter(|one| one.protection.from_scale_set_actions).count();
        let total = set.instances.len();
        Self {
            health: Some(&set.health),
            policy: &set.policy,
            freeze: &set.freeze,
            total,
            protected,
            driver_limit: None,
            batches: None,
            now,
        }
    }
}

/// The percentages of a policy as counts of instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// All instances; what the percentages refer to.
    pub total: usize,
    /// How many of them no upgrade may touch.
    pub protected: usize,
    /// Largest batch.
    pub batch_max: usize,
    /// So many may be unhealthy when a batch starts.
    pub unhealthy_max: usize,
    /// Sizes of the first batches; the last one goes on.
    pub batch_sizes: Vec<usize>,
}

impl Resolved {
    /// Resolves the percentages for so many instances.
    #[must_use]
    pub fn of(policy: &RollingUpgradePolicy, total: usize, protected: usize) -> Self {
        let sizes = 0..policy.batches.len().max(1);
        Self {
            total,
            protected,
            batch_max: policy.batch_max(total),
            unhealthy_max: policy.max_unhealthy_instance_percent.of(total),
            batch_sizes: sizes.map(|index| policy.batch_size(index, total)).collect(),
        }
    }
}

/// What a batch takes beside the work of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchTime {
    /// Until everybody has answered a probe that began after the batch before had ended: at most an interval and the
    /// time limit of a probe.
    pub evidence_max: Duration,
    /// The gate looks at nothing before.
    pub wait: Duration,
    /// So long each instance has to be Healthy.
    pub stable_for: Duration,
    /// The pause behind the batch; evidence comes in it.
    pub pause: Duration,
}

impl BatchTime {
    /// What a policy and the probes of a set say.
    #[must_use]
    pub fn of(policy: &UpgradePolicy, health: &HealthSettings) -> Self {
        let HealthGate { wait, stable_for, deadline: _ } = policy.gate;
        let evidence_max = health.interval.saturating_add(health.timeout);
        Self { evidence_max, wait, stable_for, pause: policy.rolling.pause_time_between_batches }
    }
}

/// Answer of [`feasibility`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feasibility {
    /// The counts.
    pub resolved: Resolved,
    /// The worst first; none for a policy that does what it says.
    pub findings: Vec<Finding>,
}

/// Looks at a policy together with the size of the fleet.
#[must_use]
pub fn feasibility(input: &FeasibilityInput<'_>) -> Feasibility {
    let FeasibilityInput { policy, total, protected, .. } = *input;
    let rolling = &policy.rolling;
    let resolved = Resolved::of(rolling, total, protected);
    let mut findings = Vec::new();
    if total > 0 && protected >= total {
        findings.push(Finding::AllProtected { total });
        return Feasibility { resolved, findings };
    }
    findings.extend(down_at_once(rolling, &resolved));
    findings.extend(cut(rolling, &resolved));
    let zero = rolling.max_unhealthy_upgraded_instance_percent.get() == 0;
    if zero && policy.failure.breach == OnBreach::RollBack && total > 1 {
        findings.push(Finding::FirstFailureRollsBack);
    }
    if policy.checkpoints.pause_after.contains(&PhaseName::Last) {
        findings.push(Finding::PauseAfterLast);
    }
    let never_passes = times::never_passes(input).map(Finding::Times);
    findings.extend(never_passes.or_else(|| short_deadline(input)));
    findings.extend(times::timeouts(input, &resolved).into_iter().map(Finding::Times));
    findings.extend(times::never_opens(input).map(Finding::Times));
    findings.extend(short_opening(input));
    Feasibility { resolved, findings }
}

/// Whether a start would end at once because of what is unhealthy.
#[must_use]
pub fn fleet_unhealthy(
    policy: &RollingUpgradePolicy,
    unhealthy: &[InstanceId],
    total: usize,
) -> Option<Finding> {
    let limit = policy.max_unhealthy_instance_percent;
    let first = unhealthy.first().filter(|_| limit.is_exceeded_by(unhealthy.len(), total))?.clone();
    Some(Finding::FleetUnhealthy { first, unhealthy: unhealthy.len(), total, limit })
}

/// A deadline that brings instances back that are slow and well.
fn short_deadline(input: &FeasibilityInput<'_>) -> Option<Finding> {
    let HealthGate { wait, stable_for, deadline } = input.policy.gate;
    let least = HealthGate::least(wait, input.health?).saturating_add(stable_for);
    (deadline < least).then_some(Finding::ShortDeadline { deadline, least })
}

/// What a batch takes down against what may be down.
fn down_at_once(policy: &RollingUpgradePolicy, resolved: &Resolved) -> Option<Finding> {
    let limit = policy.max_unhealthy_instance_percent;
    let Resolved { total, unhealthy_max, .. } = *resolved;
    // With maxSurge, a batch takes no instance down.
    if total == 0 || policy.max_surge {
        return None;
    }
    if unhealthy_max == 0 {
        let enough = Percent::clamped(100_u64.div_ceil(u64::try_from(total).unwrap_or(u64::MAX)));
        return Some(Finding::Unsatisfiable { total, limit, enough });
    }
    let size = resolved.batch_sizes.iter().copied().max().unwrap_or(resolved.batch_max);
    (size > unhealthy_max).then_some(Finding::BatchesShrink { size, total, limit, shrunk: unhealthy_max })
}

/// Entries of `batches` above the limit.
fn cut(policy: &RollingUpgradePolicy, resolved: &Resolved) -> Option<Finding> {
    let Resolved { total, batch_max, .. } = *resolved;
    let written = |entry: &BatchSize| match entry {
        BatchSize::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
        BatchSize::Share(share) => share.of(total),
    };
    let mut over = policy.batches.iter().enumerate().filter(|(_, entry)| written(entry) > batch_max);
    let (index, entry) = over.next()?;
    Some(Finding::BatchesCut {
        index,
        entry: *entry,
        size: written(entry),
        more: over.count(),
        limit: policy.max_batch_instance_percent,
        batch_max,
    })
}

/// The first time between two freezes that is too short for a batch.
fn short_opening(input: &FeasibilityInput<'_>) -> Option<Finding> {
    let FeasibilityInput { freeze, policy, now, .. } = *input;
    let deadline = policy.gate.deadline;
    let mut at = now;
    for _ in 0..OPENINGS_MAX {
        // Only a whole opening counts: what is left of the present one says nothing about the windows.
        let frozen_from = if freeze.frozen_at(at).is_some() { at } else { freeze.next_after(at)? };
        let opens_at = freeze.frozen_at(frozen_from)?.until;
        if opens_at.since(now) > OPENINGS_WITHIN {
            return None;
        }
        let closes_at = freeze.next_after(opens_at)?;
        if closes_at.since(opens_at) < deadline {
            return Some(Finding::ShortOpening { opens_at, closes_at, deadline });
        }
        at = closes_at;
    }
    None
}

#[cfg(test)]
mod tests;
