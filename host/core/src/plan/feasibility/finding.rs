//! What a person should know before an upgrade starts: the findings as types, and one line for each.

use std::fmt;
use std::time::Duration;

use crate::domain::{BatchSize, InstanceId, Percent, PluginName, Timestamp};

use super::times::TimesFinding;

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
    /// The first instance cannot make the round trip that is wanted.
    RoundTrip {
        /// Which.
        instance: InstanceId,
        /// Why.
        why: String,
    },
    /// The plugin has never let an instance go: an upgrade leaves out whom it always skips or defers.
    NeverProceeds {
        /// Which.
        plugin: PluginName,
        /// How many answers of the code that decides were looked at.
        answers: u64,
        /// Number of instances.
        instances: usize,
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
    /// Times or checkpoints that contradict the rest.
    Times(TimesFinding),
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

impl Finding {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Quarantined { .. } => "quarantined",
            Self::RoundTrip { .. } => "round-trip",
            Self::NeverProceeds { .. } => "never-proceeds",
            Self::AllProtected { .. } => "all-protected",
            Self::Unsatisfiable { .. } => "unsatisfiable",
            Self::BatchesShrink { .. } => "batches-shrink",
            Self::BatchesCut { .. } => "batches-cut",
            Self::FirstFailureRollsBack => "first-failure-rolls-back",
            Self::PauseAfterLast => "pause-after-last",
            Self::ShortDeadline { .. } => "short-deadline",
            Self::Times(finding) => finding.code(),
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
            Self::RoundTrip { instance, why } => write!(
                f,
                "canary.roundTrip: `{instance}` cannot go up and back, and a start refuses it: {why}"
            ),
            Self::NeverProceeds { plugin, answers, instances } => write!(
                f,
                "plugin `{plugin}` has not said proceed once in {answers} answers for {}, since it or this host began: \
                 an upgrade leaves out whoever it does not let go",
                all(*instances),
            ),
            Self::AllProtected { total } => write!(
                f,
                "protectFromScaleSetActions is set for {}: no upgrade would ever change anything",
                all(*total),
            ),
            Self::Unsatisfiable { total, limit, enough } => unsatisfiable(f, *total, *limit, *enough),
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
            Self::Times(finding) => finding.fmt(f),
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

/// A limit that no batch can keep.
fn unsatisfiable(f: &mut fmt::Formatter<'_>, total: usize, limit: Percent, enough: Percent) -> fmt::Result {
    write!(
        f,
        "maxUnhealthyInstancePercent = {} can never pass: it allows 0 of {total} {} to be unhealthy, and \
         the smallest batch takes 1 down ({} %). Phasegate upgrades one at a time all the same, as Azure \
         does, but an upgrade ends when one instance is down before a batch or stays down after a \
         failure; {} or more allows one",
        limit.get(),
        noun(total),
        100 / total.max(1),
        enough.get(),
    )
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
