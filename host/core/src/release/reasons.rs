//! Why a set of a release has not begun: one look at the same state that decides it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::enrolment::Left;
use super::estate::{EstateView, Facts};
use super::gates::Gates;
use super::state::{End, How, Release, ReleaseState, Run};
use super::step::is_retried;
use crate::domain::{Location, ReleaseId, ScaleSetName, Timestamp, UpgradeId};

/// Between two tries to start an upgrade that was refused.
pub(super) const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// Why a set has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotBegun {
    /// Nothing speaks against it.
    Now,
    /// A person paused the release.
    Paused,
    /// More sets failed than allowed.
    Halted,
    /// The release ends.
    Ending,
    /// A region phase before is not through, or was and is bad.
    Phase {
        /// From 0.
        waits_for: usize,
        /// The first set of it that is not through.
        set: ScaleSetName,
    },
    /// Its paired region is in flight.
    Pair {
        /// Which.
        region: Location,
    },
    /// Another set comes first.
    After {
        /// Which.
        set: ScaleSetName,
    },
    /// Another upgrade runs there.
    Busy {
        /// Which.
        upgrade: UpgradeId,
    },
    /// Instances are Initializing.
    Initializing {
        /// So many.
        count: usize,
    },
    /// It is tried again later.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// It has failed and is not tried again by itself.
    Failed,
    /// Its upgrade was ended before its end.
    Cancelled,
    /// Nobody approved what came next.
    NotApproved,
    /// It came to its end without an eligible instance, and is not tried again by itself.
    Incomplete,
    /// It was through, and is not well any more: later region phases wait for it.
    Unwell {
        /// Eligible instances that do not have the version.
        lacks: usize,
        /// Members that are unhealthy.
        unhealthy: usize,
    },
    /// Another release holds the upgrade that they share.
    Shared {
        /// Which.
        release: ReleaseId,
    },
    /// The host holds, because its record may not be the latest.
    Holding {
        /// Why.
        why: String,
    },
    /// The kernel refused its start.
    Refused {
        /// Why.
        why: String,
    },
}

impl NotBegun {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Ending => "ending",
            Self::Phase { .. } => "region-phase",
            Self::Pair { .. } => "geo-pair",
            Self::After { .. } => "after",
            Self::Busy { .. } => "busy",
            Self::Initializing { .. } => "initializing",
            Self::Retry { .. } => "retry",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::NotApproved => "not-approved",
            Self::Holding { .. } => "holding",
            Self::Incomplete => "incomplete",
            Self::Unwell { .. } => "unwell",
            Self::Shared { .. } => "shared",
            Self::Refused { .. } => "refused",
        }
    }

    /// One line for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Now => "begins now".to_owned(),
            Self::Paused => "the release is paused; go on with `phasegate release resume`".to_owned(),
            Self::Halted => {
                "the release is halted: more sets failed than maxFailedSets allows; a retry that does well or \
                 `phasegate release resume` lets it go on"
                    .to_owned()
            }
            Self::Ending => "the release ends".to_owned(),
            Self::Phase { waits_for, set } => format!(
                "waits for region phase {}: scale set `{set}` does not have the version everywhere, is not \
                 Healthy, or not for long enough, or nobody there has shown anything; `phasegate release approve --region-phase N` goes on without",
                waits_for + 1
            ),
            Self::Pair { region } => format!("its paired region {region} is in flight"),
            Self::After { set } => format!("scale set `{set}` comes first"),
            Self::Busy { upgrade } => format!("upgrade `{upgrade}` runs there"),
            Self::Initializing { count } => format!("{count} instances are Initializing"),
            Self::Retry { at } => format!("failed, and is tried again at {at}"),
            Self::Failed => {
                "failed, and was tried often enough; a person's `phasegate upgrade retry` tries it again".to_owned()
            }
            Self::Cancelled => {
                "nothing begins it again by itself; `phasegate release approve --region-phase N` lets what waits for it \
                 begin, and `phasegate upgrade start` brings it there"
                    .to_owned()
            }
            Self::NotApproved => {
                "nobody approved what came next, which says nothing of the version; `phasegate upgrade retry` of the set asks \
                 again, and `phasegate release approve --region-phase N` lets what waits for it begin"
                    .to_owned()
            }
            Self::Holding { why } => {
                format!("the host holds: {why}; `phasegate data adopt` lets it go on")
            }
            Self::Incomplete => {
                "its upgrade came to its end, and an eligible instance does not have the version".to_owned()
            }
            Self::Unwell { lacks, unhealthy } => format!(
                "{lacks} of its instances do not have the version and {unhealthy} are unhealthy; later region phases wait \
                 until it was well for a bake again, or for `phasegate release approve --region-phase N`"
            ),
            Self::Shared { release } => format!(
                "release `{release}`, with which it shares its upgrade, is paused or halted, or waits for an earlier region \
                 phase"
            ),
            Self::Refused { why } => format!("its upgrade could not be started: {why}"),
        }
    }
}

/// Why a set that is part of a release has not begun, or not again; [`NotBegun::Now`] when it may.
#[must_use]
pub fn why_not_begun(
    release: &Release,
    (name, facts): (&ScaleSetName, Option<&Facts>),
    estate: &dyn EstateView,
    now: Timestamp,
) -> NotBegun {
    let gates = Gates::of(release, now);
    let flying: BTreeSet<&Location> = release.regions_in_flight().collect();
    judge(release, &gates, &flying, (name, facts), estate, now)
}

/// As [`why_not_begun`], with what is the same for all sets.
pub(super) fn judge(
    release: &Release,
    gates: &Gates,
    flying: &BTreeSet<&Location>,
    (name, facts): (&ScaleSetName, Option<&Facts>),
    estate: &dyn EstateView,
    now: Timestamp,
) -> NotBegun {
    let Some(part) = release.parts.get(name) else { return NotBegun::Ending };
    match (release.state, is_retried(part, now)) {
        (ReleaseState::Ending(_) | ReleaseState::Ended(..), _) => {
            let busy = facts.and_then(|it| it.busy.clone());
            let waits = busy.filter(|_| release.state == ReleaseState::Ending(End::RolledBack));
            return waits.map_or(NotBegun::Ending, |upgrade| NotBegun::Busy { upgrade });
        }
        (ReleaseState::Halted, true) | (ReleaseState::Running, _) => {}
        (ReleaseState::Halted, false) => {
            if let Run::Ended { retry_at: Some(at), .. } = part.run {
                return NotBegun::Retry { at };
            }
            return NotBegun::Halted;
        }
    }
    match &part.run {
        Run::Ended { retry_at: Some(at), .. } if *at > now => return NotBegun::Retry { at: *at },
        Run::Ended { retry_at: None, how, .. } => {
            return match how {
                How::Faulted => NotBegun::Failed,
                How::Incomplete => NotBegun::Incomplete,
                How::Cancelled => NotBegun::Cancelled,
                How::NotApproved => NotBegun::NotApproved,
            };
        }
        Run::Ended { .. }
        | Run::Waits
        | Run::Left(_)
        | Run::Runs
        | Run::Done
        | Run::GoesBack
        | Run::Back
        | Run::NotBack { .. } => {}
    }
    if release.paused {
        return NotBegun::Paused;
    }
    if let Some((waits_for, set)) = gates.shut(part.phase) {
        return NotBegun::Phase { waits_for, set: set.clone() };
    }
    let mut pairs = release.strategy.paired(&part.location);
    if let Some(pair) = pairs.find(|pair| flying.contains(pair) || estate.is_in_flight_elsewhere(pair)) {
        return NotBegun::Pair { region: pair.clone() };
    }
    let comes_first = |set: &&ScaleSetName| match release.parts.get(*set).map(|part| &part.run) {
        // One that is unhealthy for now has its turn still.
        Some(Run::Left(left)) => *left == Left::HeldUnhealthy,
        None | Some(Run::Done) => false,
        Some(
            Run::Waits | Run::Runs | Run::Ended { .. } | Run::GoesBack | Run::Back | Run::NotBack { .. },
        ) => true,
    };
    if let Some(set) = part.after.iter().find(comes_first) {
        return NotBegun::After { set: set.clone() };
    }
    let Some(facts) = facts else { return NotBegun::Now };
    if let Some(upgrade) = &facts.busy {
        return NotBegun::Busy { upgrade: upgrade.clone() };
    }
    if facts.initializing > 0 {
        return NotBegun::Initializing { count: facts.initializing };
    }
    match &part.refused {
        Some((at, why)) if now < *at + REFUSED_AGAIN => NotBegun::Refused { why: why.clone() },
        Some(_) | None => NotBegun::Now,
    }
}
