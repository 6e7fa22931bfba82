//! The rolling-upgrade policy: Azure's batch limits, and the numbers of the health gate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::HealthSettings;

/// Whole percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u8);

impl Percent {
    /// A percentage; none above 100.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (value <= 100).then_some(Self(value))
    }

    /// A percentage; 100 for everything above.
    #[must_use]
    pub fn clamped(value: u64) -> Self {
        Self(u8::try_from(value.min(100)).unwrap_or(100))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// This share of `total`, rounded down: "no more than".
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        let share = (total as u128) * u128::from(self.0) / 100;
        usize::try_from(share).unwrap_or(total)
    }

    /// Whether `part` of `total` is strictly more than this share. Integer arithmetic: 2 of 10 is
    /// not more than 20 %.
    #[must_use]
    pub fn is_exceeded_by(self, part: usize, total: usize) -> bool {
        (part as u128) * 100 > (total as u128) * u128::from(self.0)
    }
}

/// Azure's `rollingUpgradePolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpgradePolicy {
    /// Upper bound of all instances upgraded at once, 5 to 100; never less than one instance.
    pub max_batch_instance_percent: Percent,
    /// Largest share of all instances that may be unhealthy before a batch starts, 5 to 100.
    pub max_unhealthy_instance_percent: Percent,
    /// Largest share of upgraded instances that may be unhealthy after a batch, 0 to 100.
    pub max_unhealthy_upgraded_instance_percent: Percent,
    /// From the end of one batch to the start of the next.
    pub pause_time_between_batches: Duration,
    /// Ignore zone borders when building batches.
    pub enable_cross_zone_upgrade: bool,
    /// Within a phase, upgrade unhealthy instances first.
    pub prioritize_unhealthy_instances: bool,
    /// Create new instances first, and delete the old ones once those are healthy.
    #[serde(default)]
    pub max_surge: bool,
    /// What the share of a batch is a share of.
    #[serde(default)]
    pub batch_of: BatchOf,
    /// Sizes of the first batches, in order; the last one goes on. Empty: as large as allowed.
    pub batches: Vec<BatchSize>,
}

impl RollingUpgradePolicy {
    /// All three limits at one share, and of everything else what holds where nobody has said anything: no pause, one
    /// zone at a time, no order of its own, nothing created.
    #[must_use]
    pub fn plain(share: Percent) -> Self {
        Self {
            max_batch_instance_percent: share,
            max_unhealthy_instance_percent: share,
            max_unhealthy_upgraded_instance_percent: share,
            pause_time_between_batches: Duration::ZERO,
            enable_cross_zone_upgrade: false,
            prioritize_unhealthy_instances: false,
            max_surge: false,
            batch_of: BatchOf::Set,
            batches: Vec::new(),
        }
    }
}

/// What the share of a batch is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchOf {
    /// Of all instances of the set.
    #[default]
    Set,
    /// Of those in its update domain: an availability set.
    UpdateDomain,
}

/// Size of a batch, never above [`RollingUpgradePolicy::batch_max`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchSize {
    /// So many instances.
    Count(u32),
    /// This share of all instances, rounded down, at least one.
    Share(Percent),
}

impl RollingUpgradePolicy {
    /// Largest batch for a scale set of `total` instances: the share rounded down, at least one.
    #[must_use]
    pub fn batch_max(&self, total: usize) -> usize {
        self.max_batch_instance_percent.of(total).max(1)
    }

    /// Size of the batch with this index, counted over the whole upgrade.
    #[must_use]
    pub fn batch_size(&self, index: usize, total: usize) -> usize {
        let limit = self.batch_max(total);
        let size = match self.batches.get(index).or(self.batches.last()) {
            None => limit,
            Some(BatchSize::Count(count)) => usize::try_from(*count).unwrap_or(limit),
            Some(BatchSize::Share(share)) => share.of(total),
        };
        size.clamp(1, limit)
    }
}

/// How long to look at an upgraded instance before it counts as good, as three separate numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthGate {
    /// Health is not looked at before this much time has passed since the effect.
    pub wait: Duration,
    /// It must then be Healthy without a break for this long.
    pub stable_for: Duration,
    /// All of it must be over this long after the effect; else the instance failed. Azure: 5 min.
    pub deadline: Duration,
}

impl HealthGate {
    /// What holds where the deadline is not written: as long as in Azure, or as long as an instance may take that is
    /// slow and well.
    #[must_use]
    pub fn deadline_by_default(wait: Duration, stable_for: Duration, health: &HealthSettings) -> Duration {
        AZURE_DEADLINE.max(Self::least(wait, health).saturating_add(stable_for))
    }

    /// What holds where it is not written how long an instance has to stay Healthy: one interval and a half, so that a
    /// second probe is among them, and no more than a deadline leaves that is written.
    #[must_use]
    pub fn stable_by_default(
        wait: Duration,
        deadline: Option<Duration>,
        health: &HealthSettings,
    ) -> Duration {
        let wanted = health.interval.saturating_add(health.interval / 2);
        deadline.map_or(wanted, |deadline| wanted.min(deadline.saturating_sub(Self::least(wait, health))))
    }

    /// How long an instance may take that is slow and well, before it has to stay Healthy.
    #[must_use]
    pub fn least(wait: Duration, health: &HealthSettings) -> Duration {
        let probes = health.interval.saturating_mul(health.number_of_probes);
        wait.saturating_add(health.grace_period).saturating_add(probes)
    }
}

/// Azure: an upgraded instance that is not healthy after 5 minutes has failed.
const AZURE_DEADLINE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: u8) -> Percent {
        Percent::new(value).unwrap()
    }

    #[test]
    fn batch_sizes_of_the_conformance_table() {
        // Rows R04 to R06: floor, at least one.
        for (total, share, batch) in [
            (10, 20, 2),
            (1, 20, 1),
            (5, 20, 1),
            (9, 20, 1),
            (14, 20, 2),
            (25, 20, 5),
            (100, 5, 5),
            (3, 100, 3),
        ] {
            assert_eq!(percent(share).of(total).max(1), batch, "{share} % of {total}");
        }
    }

    #[test]
    fn comparisons_are_strictly_more_than() {
        // Rows R07 and R08.
        assert!(!percent(20).is_exceeded_by(2, 10));
        assert!(percent(20).is_exceeded_by(3, 10));
        assert!(percent(0).is_exceeded_by(1, 1_000_000));
        assert!(!percent(0).is_exceeded_by(0, 0));
        assert!(!percent(100).is_exceeded_by(7, 7));
    }
}
