//! Times of a policy that contradict each other: a gate that nobody can pass, limits that end what goes well, windows
//! that never open.

use std::fmt;
use std::time::Duration;

use crate::domain::{HORIZON, HealthGate, HealthSettings, OnTimeout, PhaseName, Profile, Timeouts};

use super::{BatchTime, FeasibilityInput, Resolved};

/// Times or checkpoints that contradict the rest. Displayed as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimesFinding {
    /// No instance can be Healthy long enough before the deadline.
    GateNeverPasses {
        /// As it is written.
        deadline: Duration,
        /// What the best one takes.
        least: Duration,
    },
    /// A batch is ended before its slow instances have failed.
    ShortBatchTimeout {
        /// As it is written.
        limit: Duration,
        /// How long an instance may take to become good.
        deadline: Duration,
        /// How long a driver may work on one; none where that is not known.
        driver: Option<Duration>,
    },
    /// An upgrade that goes well takes longer.
    ShortUpgradeTimeout {
        /// As it is written.
        limit: Duration,
        /// So many batches, at least.
        batches: usize,
        /// What they take, at least.
        least: Duration,
    },
    /// Less time for all batches than for one.
    UpgradeBelowBatch {
        /// `upgradeTimeout` as it is written.
        limit: Duration,
        /// `batchTimeout` as it is written.
        batch: Duration,
    },
    /// `approvalTimeout` without an approval.
    NoApproval,
    /// `onTimeout` without a time.
    NoTimeout,
    /// Nothing may begin as far as one can see.
    NeverOpens {
        /// How far, in days.
        days: u64,
    },
    /// A phase with a checkpoint of which the plan upgrades nobody.
    EmptyCheckpoint {
        /// The key that names it.
        key: &'static str,
        /// Which.
        phase: PhaseName,
        /// Whether the upgrade waits there all the same.
        waits: Waits,
    },
}

/// Whether an upgrade waits at a checkpoint of a phase in which nobody is upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It does: somebody of it was left out, and nothing was shown.
    Yes,
    /// It does not: nobody is in it, or all of them have what is wanted and are Healthy.
    No,
}

impl TimesFinding {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::GateNeverPasses { .. } => "gate-never-passes",
            Self::ShortBatchTimeout { .. } => "short-batch-timeout",
            Self::ShortUpgradeTimeout { .. } => "short-upgrade-timeout",
            Self::UpgradeBelowBatch { .. } => "upgrade-below-batch",
            Self::NoApproval => "no-approval",
            Self::NoTimeout => "no-timeout",
            Self::NeverOpens { .. } => "never-opens",
            Self::EmptyCheckpoint { .. } => "empty-checkpoint",
        }
    }
}

impl fmt::Display for TimesFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GateNeverPasses { deadline, least } => write!(
                f,
                "no instance can ever pass the health gate: intervalInSeconds times numberOfProbes, wait and stableFor take \
                 {} s, and healthGate.deadline is {} s; make the deadline longer",
                least.as_secs_f64(),
                deadline.as_secs_f64(),
            ),
            Self::ShortBatchTimeout { limit, deadline, driver } => {
                let driver = driver.map_or_else(String::new, |driver| {
                    format!(
                        " and the driver's time limit together ({} s)",
                        (*deadline + driver).as_secs_f64()
                    )
                });
                write!(
                    f,
                    "batchTimeout ({} s) is less than healthGate.deadline ({} s){driver}: a batch ends the upgrade before its \
                     slowest instance has failed; make it longer",
                    limit.as_secs_f64(),
                    deadline.as_secs_f64(),
                )
            }
            Self::ShortUpgradeTimeout { limit, batches, least } => write!(
                f,
                "upgradeTimeout ({} s) can never be kept: {batches} {} with wait, stableFor, pauses and bake take {} s even \
                 when a driver takes no time; make it longer",
                limit.as_secs_f64(),
                if *batches == 1 { "batch" } else { "batches" },
                least.as_secs_f64(),
            ),
            Self::UpgradeBelowBatch { limit, batch } => write!(
                f,
                "upgradeTimeout ({} s) is less than batchTimeout ({} s): the upgrade is over before its first batch is \
                 late, so that batchTimeout never counts; make upgradeTimeout the longer one",
                limit.as_secs_f64(),
                batch.as_secs_f64(),
            ),
            Self::NoApproval => {
                write!(
                    f,
                    "approvalTimeout is set although approvalBeforePhase is not: nothing waits for an approval"
                )
            }
            Self::NoTimeout => write!(
                f,
                "onTimeout = \"rollback\" is set although none of batchTimeout, upgradeTimeout and approvalTimeout is: \
                 nothing is ever too late",
            ),
            Self::NeverOpens { days } => write!(
                f,
                "freezeWindows and allow leave no time in the next {days} days in which anything may begin: an upgrade waits \
                 until somebody bypasses them",
            ),
            Self::EmptyCheckpoint { key, phase, waits } => {
                let phase = match phase {
                    PhaseName::Number(phase) => format!("phase {}", phase.get()),
                    PhaseName::Last => "the last phase".to_owned(),
                };
                let what = match waits {
                    Waits::Yes => {
                        "all its instances are left out, so that the upgrade waits there all the same"
                    }
                    Waits::No => "no instance of the plan is in it, so that nothing waits there",
                };
                write!(f, "{key} names {phase}: {what}")
            }
        }
    }
}

/// A gate that no instance can pass, however well it is: as often as it is asked, it cannot have become Healthy and
/// stayed so before the deadline. Only where probes come in their rhythm from the first one on.
pub(super) fn never_passes(input: &FeasibilityInput<'_>) -> Option<TimesFinding> {
    let health = input.health.filter(|health| health.profile == Profile::Azure)?;
    let HealthGate { wait, stable_for, deadline } = input.policy.gate;
    let HealthSettings { interval, number_of_probes, .. } = health;
    let first = interval.saturating_mul(number_of_probes.saturating_sub(1));
    let least = wait.max(first).saturating_add(stable_for);
    (least > deadline).then_some(TimesFinding::GateNeverPasses { deadline, least })
}

/// Limits of time that contradict the rest.
pub(super) fn timeouts(input: &FeasibilityInput<'_>, resolved: &Resolved) -> Vec<TimesFinding> {
    let Timeouts { batch, upgrade, approval, then } = input.policy.timeouts;
    let mut findings = Vec::new();
    let deadline = input.policy.gate.deadline;
    let slow = deadline.saturating_add(input.driver_limit.unwrap_or_default());
    if let Some(limit) = batch.filter(|limit| *limit < slow) {
        findings.push(TimesFinding::ShortBatchTimeout { limit, deadline, driver: input.driver_limit });
    }
    if let Some((limit, health)) = upgrade.zip(input.health) {
        let batches = input.batches.unwrap_or_else(|| batches_at_least(resolved));
        let least = takes(input, health, batches);
        if batches > 0 && limit < least {
            findings.push(TimesFinding::ShortUpgradeTimeout { limit, batches, least });
        }
    }
    if let Some((limit, batch)) = upgrade.zip(batch).filter(|(upgrade, batch)| upgrade < batch) {
        findings.push(TimesFinding::UpgradeBelowBatch { limit, batch });
    }
    if approval.is_some() && input.policy.checkpoints.approval_before.is_empty() {
        findings.push(TimesFinding::NoApproval);
    }
    if then == OnTimeout::RollBack && input.policy.timeouts.are_none() {
        findings.push(TimesFinding::NoTimeout);
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
pub(super) fn never_opens(input: &FeasibilityInput<'_>) -> Option<TimesFinding> {
    let frozen = input.freeze.frozen_at(input.now)?;
    let days = HORIZON.as_secs() / (24 * 3600);
    (frozen.until >= input.now + HORIZON).then_some(TimesFinding::NeverOpens { days })
}
