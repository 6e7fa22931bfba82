//! What a person should know before an upgrade starts: the findings as types, and one line for each.

use std::fmt;
use std::time::Duration;

use crate::domain::{BatchSize, InstanceId, Percent, PhaseName, Timestamp};

/// Something that a person should know before an upgrade starts. Displayed as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The version faulted before.
    Quarantined {
        /// What of the goal.
        change: String,
        /// How.
        reason: String,
    },
    /// No instance may be touched.
    AllProtected {
        /// Number of instances.
        total: usize,
    },
    /// One instance is more than may be unhealthy: read strictly, no batch is ever allowed.
    Unsatisfiable {
        /// Number of instances.
        total: usize,
        /// Share that may be unhealthy.
        limit: Percent,
        /// Smallest share that allows one.
        enough: Percent,
    },
    /// Batches are larger than what may be unhealthy.
    BatchesShrink {
        /// Size of the largest batch as written.
        size: usize,
        /// Number of instances.
        total: usize,
        /// Share that may be unhealthy.
        limit: Percent,
        /// That share as a count.
        shrunk: usize,
    },
    /// An entry of `batches` is larger than the largest batch.
    BatchesCut {
        /// The first such entry.
        index: usize,
        /// What it says.
        entry: BatchSize,
        /// What it is as a count.
        size: usize,
        /// How many more there are.
        more: usize,
        /// Largest batch as a share.
        limit: Percent,
        /// Largest batch.
        batch_max: usize,
    },
    /// The first failure undoes everything.
    FirstFailureRollsBack,
    /// `pauseAfterPhase` names the last phase, after which nothing waits.
    PauseAfterLast,
    /// Less time than an instance may take that is slow and well.
    ShortDeadline {
        /// As it is written.
        deadline: Duration,
        /// What the probes and the gate take together.
        least: Duration,
    },
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
    /// Less time between two freezes than a batch may take.
    ShortOpening {
        /// End of the freeze before.
        opens_at: Timestamp,
        /// Start of the next one.
        closes_at: Timestamp,
        /// How long an instance may take to become good.
        deadline: Duration,
    },
    /// More is unhealthy right now than may be.
    FleetUnhealthy {
        /// The first of them.
        first: InstanceId,
        /// How many.
        unhealthy: usize,
        /// Number of instances.
        total: usize,
        /// Share that may be unhealthy.
        limit: Percent,
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

impl Finding {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Quarantined { .. } => "quarantined",
            Self::AllProtected { .. } => "all-protected",
            Self::Unsatisfiable { .. } => "unsatisfiable",
            Self::BatchesShrink { .. } => "batches-shrink",
            Self::BatchesCut { .. } => "batches-cut",
            Self::FirstFailureRollsBack => "first-failure-rolls-back",
            Self::PauseAfterLast => "pause-after-last",
            Self::ShortDeadline { .. } => "short-deadline",
            Self::GateNeverPasses { .. } => "gate-never-passes",
            Self::ShortBatchTimeout { .. } => "short-batch-timeout",
            Self::ShortUpgradeTimeout { .. } => "short-upgrade-timeout",
            Self::NoApproval => "no-approval",
            Self::NoTimeout => "no-timeout",
            Self::NeverOpens { .. } => "never-opens",
            Self::EmptyCheckpoint { .. } => "empty-checkpoint",
            Self::ShortOpening { .. } => "short-opening",
            Self::FleetUnhealthy { .. } => "fleet-unhealthy",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarantined { change, reason } => {
                write!(f, "{change} is in quarantine, and a start refuses it without --force: {reason}")
            }
            Self::AllProtected { total } => write!(
                f,
                "protectFromScaleSetActions is set for {}: no upgrade would ever change anything",
                all(*total),
            ),
            Self::Unsatisfiable { total, limit, enough } => write!(
                f,
                "maxUnhealthyInstancePercent = {} can never pass: it allows 0 of {total} {} to be unhealthy, and \
                 the smallest batch takes 1 down ({} %). Phasegate upgrades one at a time all the same, as Azure \
                 does, but an upgrade ends when one instance is down before a batch or stays down after a \
                 failure; {} or more allows one",
                limit.get(),
                noun(*total),
                100 / total.max(&1),
                enough.get(),
            ),
            Self::BatchesShrink { size, total, limit, shrunk } => write!(
                f,
                "batches of {size} shrink to {shrunk}: maxUnhealthyInstancePercent = {} allows {shrunk} of {total} \
                 instances to be down",
                limit.get(),
            ),
            Self::BatchesCut { index, entry, size, more, limit, batch_max } => {
                let entry = written(*entry, *size);
                let more = if *more == 0 { String::new() } else { format!(", and {more} more") };
                write!(
                    f,
                    "batches[{index}] = {entry} is cut to {batch_max} by maxBatchInstancePercent = {}{more}",
                    limit.get(),
                )
            }
            Self::FirstFailureRollsBack => write!(
                f,
                "maxUnhealthyUpgradedInstancePercent = 0 and rollbackOnPolicyBreach = true: the first instance \
                 that fails rolls back all that were upgraded before it",
            ),
            Self::PauseAfterLast => write!(
                f,
                "pauseAfterPhase names \"last\", after which nothing is left to wait: the upgrade ends without \
                 a pause",
            ),
            Self::ShortDeadline { deadline, least } => write!(
                f,
                "healthGate.deadline ({} s) is less than wait, gracePeriod, intervalInSeconds times numberOfProbes and \
                 stableFor together ({} s): a good instance that takes its grace period to come up is brought back",
                deadline.as_secs_f64(),
                least.as_secs_f64(),
            ),
            Self::GateNeverPasses { .. }
            | Self::ShortBatchTimeout { .. }
            | Self::ShortUpgradeTimeout { .. }
            | Self::NoApproval
            | Self::NoTimeout
            | Self::NeverOpens { .. }
            | Self::EmptyCheckpoint { .. } => self.of_times(f),
            Self::ShortOpening { opens_at, closes_at, deadline } => write!(
                f,
                "freeze windows leave only {} s from {opens_at} to {closes_at}, less than healthGate.deadline \
                 ({} s): a batch that starts then is judged during the next freeze",
                closes_at.since(*opens_at).as_secs(),
                deadline.as_secs(),
            ),
            Self::FleetUnhealthy { first, unhealthy, total, limit } => write!(
                f,
                "{unhealthy} of {total} instances {} unhealthy right now, more than maxUnhealthyInstancePercent = {} \
                 allows ({}): an upgrade that starts now ends Faulted at once; the first is `{first}`",
                if *unhealthy == 1 { "is" } else { "are" },
                limit.get(),
                limit.of(*total),
            ),
        }
    }
}

impl Finding {
    /// What is said of times and checkpoints.
    fn of_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Self::Quarantined { .. }
            | Self::AllProtected { .. }
            | Self::Unsatisfiable { .. }
            | Self::BatchesShrink { .. }
            | Self::BatchesCut { .. }
            | Self::FirstFailureRollsBack
            | Self::PauseAfterLast
            | Self::ShortDeadline { .. }
            | Self::ShortOpening { .. }
            | Self::FleetUnhealthy { .. } => Ok(()),
        }
    }
}

/// An entry of `batches` as it is written, and what it comes to.
fn written(entry: BatchSize, size: usize) -> String {
    match entry {
        BatchSize::Count(count) => count.to_string(),
        BatchSize::Share(share) => format!("\"{}%\" ({size})", share.get()),
    }
}

fn noun(count: usize) -> &'static str {
    if count == 1 { "instance" } else { "instances" }
}

fn all(count: usize) -> String {
    if count == 1 { "the only instance".to_owned() } else { format!("all {count} instances") }
}
