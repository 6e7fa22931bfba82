//! Why the next batch is not admitted at this moment.

use crate::domain::{Decisions, InstanceId, PhaseName, Timestamp};
use crate::plan::{Candidate, Standing};

use super::member::MemberState;
use super::state::{Purpose, Stage, Upgrade};
use super::view::{FleetView, Stop};
use super::{deferred, evidence, gate, limits};

/// What a running upgrade waits for between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The pause of the rolling-upgrade policy.
    Pause {
        /// Its end.
        until: Timestamp,
    },
    /// The date for which it was asked for.
    Scheduled {
        /// That date, on the fleet's own time.
        until: Timestamp,
    },
    /// A person, after `upgrade pause`.
    Paused,
    /// A person, who stopped the line.
    Line,
    /// The end of a freeze window.
    Freeze {
        /// Its end.
        until: Timestamp,
    },
    /// A person, at `pauseAfterPhase`.
    Resume {
        /// The phase that is done.
        after: PhaseName,
    },
    /// A person, at `approvalBeforePhase`.
    Approval {
        /// The phase that comes next.
        before: PhaseName,
    },
    /// Instances that are Initializing.
    Initializing,
    /// Instances that say "not now".
    Deferred {
        /// When they are left out.
        until: Timestamp,
    },
    /// Instances that the host could not ask.
    NotAsked,
    /// Answers of instances to probes that began after the batch before had ended.
    Evidence {
        /// Until when they are waited for.
        until: Timestamp,
    },
    /// A look at members of the next batch on which nothing ran when they were last looked at.
    Look,
    /// Instances that count as Healthy and have just said something worse, or nothing: with them the limits
    /// would be passed.
    Doubted,
    /// The host, which doubts itself: most of those that nothing has touched went silent at once.
    Suspicion,
    /// The release that it belongs to.
    Release,
    /// Another zone of its region, in which something is in flight or comes first.
    Zone,
    /// Other stand-alone machines of its group, as many of which are in flight as may be.
    Group,
    /// Instances that went silent a moment ago: whether most do, is to be seen.
    Silence {
        /// Until when.
        until: Timestamp,
    },
    /// The bake of what was upgraded.
    Bake {
        /// When its time is over.
        until: Timestamp,
    },
    /// The fleet, which went down with the host.
    Recovery {
        /// Until when it is waited for.
        until: Timestamp,
    },
}

impl Waiting {
    /// When it is over by itself.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Pause { until }
            | Self::Scheduled { until }
            | Self::Freeze { until }
            | Self::Deferred { until }
            | Self::Evidence { until }
            | Self::Silence { until }
            | Self::Bake { until }
            | Self::Recovery { until } => Some(until),
            Self::Paused
            | Self::Line
            | Self::Resume { .. }
            | Self::Approval { .. }
            | Self::Initializing
            | Self::Look
            | Self::Doubted
            | Self::Suspicion
            | Self::Release
            | Self::Zone
            | Self::Group
            | Self::NotAsked => None,
        }
    }
}

/// What holds an upgrade before anything of it is looked at.
pub(super) fn stopped(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp) -> Option<Waiting> {
    let begins = upgrade.not_before.map(|date| fleet.moment(date));
    if let Some(until) = begins.filter(|until| now < *until) {
        return Some(Waiting::Scheduled { until });
    }
    if upgrade.paused {
        return Some(Waiting::Paused);
    }
    fleet.stops().into_iter().find_map(|stop| holds(upgrade, stop))
}

/// What one stop means for an upgrade. A bypass is good for what was stopped when it was given.
pub(super) fn holds(upgrade: &Upgrade, stop: Stop) -> Option<Waiting> {
    match stop {
        // An emergency comes after whatever was good enough for a bypass before.
        Stop::Line { since } if upgrade.bypass.is_some_and(|bypass| since <= bypass) => None,
        Stop::Line { .. } => Some(Waiting::Line),
        Stop::Freeze { since, .. } if upgrade.bypassed_freeze.is_some_and(|bypassed| since <= bypassed) => {
            None
        }
        // A bad version that is found in a freeze is not kept over the holidays.
        Stop::Freeze { .. } if matches!(upgrade.purpose, Purpose::Rollback { .. }) => None,
        Stop::Freeze { until, .. } => Some(Waiting::Freeze { until }),
        Stop::NotAsked if upgrade.bypass.is_some() || !upgrade.is_forward() => None,
        Stop::NotAsked => Some(Waiting::NotAsked),
        // A person who says go has said that the host is well.
        Stop::Suspicion if !upgrade.is_forward() => None,
        Stop::Suspicion => Some(Waiting::Suspicion),
        Stop::Release if !upgrade.is_forward() => None,
        Stop::Release => Some(Waiting::Release),
    }
}

/// Why the next batch is not admitted now; none when it may be judged by the limits.
#[must_use]
pub(super) fn waiting(
    upgrade: &Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
) -> Option<Waiting> {
    let is_live = upgrade.is_forward() && upgrade.policy.decisions == Decisions::Live;
    let unheard = || if is_live { unheard(upgrade, fleet, now) } else { None };
    if !upgrade.has_more() {
        // An instance may still join.
        return unheard().filter(|_| now >= resume_at && stopped(upgrade, fleet, now).is_none());
    }
    if !upgrade.is_forward() {
        return stopped(upgrade, fleet, now);
    }
    if now < resume_at {
        return Some(Waiting::Pause { until: resume_at });
    }
    if let Some(stopped) = stopped(upgrade, fleet, now) {
        return Some(stopped);
    }
    if let Some(checkpoint) = checkpoint(upgrade) {
        return Some(checkpoint);
    }
    if let Some(unheard) = unheard() {
        return Some(unheard);
    }
    if fleet.initializing_count() > 0 {
        // It ends with the grace period at the latest, and that is an event.
        return Some(Waiting::Initializing);
    }
    if let Some(awaited) =
        evidence::awaited(upgrade, fleet).or_else(|| evidence::patience(upgrade, fleet, now))
    {
        return Some(awaited);
    }
    if evidence::unlooked(upgrade, fleet).next().is_some() {
        // Each look ends, by its time limit at the latest, and that is an event.
        return Some(Waiting::Look);
    }
    if evidence::is_in_doubt(upgrade, fleet) {
        return Some(Waiting::Doubted);
    }
    let down = || limits::is_fleet_over_limit(upgrade, fleet) || gate::is_over_limit(upgrade, fleet);
    if let Some(until) = fleet.silence_goes_round()
        && down()
    {
        return Some(Waiting::Silence { until });
    }
    if let Some(until) = upgrade.recovering_until.filter(|until| now < *until)
        && down()
    {
        return Some(Waiting::Recovery { until });
    }
    if is_zone_taken(upgrade, fleet) {
        return Some(Waiting::Zone);
    }
    let is_full = upgrade.bypass.is_none() && limits::room_in_group(upgrade, fleet) == Some(0);
    is_full.then_some(Waiting::Group)
}

/// Whether another zone of the region is in flight. A person who bypasses stops does not wait for that.
fn is_zone_taken(upgrade: &Upgrade, fleet: &dyn FleetView) -> bool {
    let Some(batch) = upgrade.batches.get(upgrade.current).filter(|_| upgrade.bypass.is_none()) else {
        return false;
    };
    if upgrade.policy.rolling.enable_cross_zone_upgrade {
        return fleet.are_zones_taken(&mut upgrade.members.of_batch(batch.number));
    }
    fleet.is_zone_taken(batch.zone.as_deref())
}

/// Why instances cannot be asked again now: a host that was started a moment ago has heard of none, and
/// silence would leave out all whose turn has not come.
#[must_use]
pub(super) fn unheard(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp) -> Option<Waiting> {
    let until = upgrade.recovering_until.filter(|until| now < *until)?;
    if fleet.initializing_count() > 0 {
        return Some(Waiting::Initializing);
    }
    if !fleet.any_undecided() {
        return None;
    }
    let is_open =
        |id: &InstanceId| upgrade.members.get(id).is_none_or(|member| member.state == MemberState::Pending);
    let is_unheard =
        |candidate: &Candidate| matches!(candidate.standing, Standing::Undecided) && is_open(&candidate.id);
    fleet.candidates().iter().any(is_unheard).then_some(Waiting::Recovery { until })
}

/// As [`waiting`], and also what the last look found: instances that say "not now". For people.
#[must_use]
pub fn waiting_for(
    upgrade: &Upgrade,
    fleet: &dyn FleetView,
    resume_at: Timestamp,
    now: Timestamp,
) -> Option<Waiting> {
    let deferred =
        || deferred::is_due(upgrade).then(|| Waiting::Deferred { until: upgrade.defer_until(now) });
    waiting(upgrade, fleet, resume_at, now).or_else(deferred)
}

/// What a running upgrade waits for before its next batch, whatever its stage; none while a batch
/// is in flight.
#[must_use]
pub fn waiting_now(upgrade: &Upgrade, fleet: &dyn FleetView, now: Timestamp) -> Option<Waiting> {
    match upgrade.stage {
        Stage::Preparing { .. } => stopped(upgrade, fleet, now),
        Stage::Between { resume_at } => waiting_for(upgrade, fleet, resume_at, now),
        Stage::Baking { since, .. } => {
            let bake = upgrade.policy.bake?;
            stopped(upgrade, fleet, now)
                .filter(|waiting| matches!(waiting, Waiting::Suspicion | Waiting::Paused))
                .or(Some(Waiting::Bake { until: since + bake.duration }))
        }
        Stage::InBatch
        | Stage::Hooking { .. }
        | Stage::Undoing
        | Stage::Stopping { .. }
        | Stage::Ended { .. } => None,
    }
}

/// Where an upgrade stands between two batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Border {
    /// Phase of the batch that ended.
    pub(super) before: Option<PhaseName>,
    /// Phase of the batch that comes.
    pub(super) next: PhaseName,
}

/// The border at which an upgrade stands; none in a batch, or while the phase before is not over.
pub(super) fn border(upgrade: &Upgrade) -> Option<Border> {
    if !matches!(upgrade.stage, Stage::Between { .. }) || deferred::is_due(upgrade) {
        return None;
    }
    let phase = |index: usize| upgrade.batches.get(index).map(|batch| PhaseName::from(batch.phase));
    let next = phase(upgrade.current)?;
    Some(Border { before: upgrade.current.checked_sub(1).and_then(phase), next })
}

/// The phase behind which it waits for `resume` now, whatever else it waits for.
pub(super) fn checkpoint_behind(upgrade: &Upgrade) -> Option<PhaseName> {
    match checkpoint(upgrade)? {
        Waiting::Resume { after } => Some(after),
        Waiting::Pause { .. }
        | Waiting::Scheduled { .. }
        | Waiting::Paused
        | Waiting::Line
        | Waiting::Freeze { .. }
        | Waiting::Approval { .. }
        | Waiting::Initializing
        | Waiting::Deferred { .. }
        | Waiting::NotAsked
        | Waiting::Evidence { .. }
        | Waiting::Look
        | Waiting::Doubted
        | Waiting::Suspicion
        | Waiting::Release
        | Waiting::Zone
        | Waiting::Group
        | Waiting::Silence { .. }
        | Waiting::Bake { .. }
        | Waiting::Recovery { .. } => None,
    }
}

/// The phase before which it waits for an approval, whatever else it waits for.
pub(super) fn approval_before(upgrade: &Upgrade) -> Option<PhaseName> {
    let border = border(upgrade)?;
    let missing = |phase: &PhaseName| !upgrade.approved.contains(phase);
    let wanted = |phase: &PhaseName| {
        (*phase == border.next && border.before != Some(border.next))
            || is_passed_over(upgrade, border, *phase)
    };
    upgrade.policy.checkpoints.approval_before.iter().find(|phase| missing(phase) && wanted(phase)).copied()
}

/// The phase behind which it waits for `resume`.
fn pause_behind(upgrade: &Upgrade) -> Option<PhaseName> {
    let border = border(upgrade)?;
    let missing = |phase: &PhaseName| !upgrade.resumed.contains(phase);
    let wanted = |phase: &PhaseName| {
        (border.before == Some(*phase) && *phase != border.next) || is_passed_over(upgrade, border, *phase)
    };
    upgrade.policy.checkpoints.pause_after.iter().find(|phase| missing(phase) && wanted(phase)).copied()
}

/// Whether a phase lies at this border that has no batch and is proven by nobody: a canary whose members were all left
/// out has shown nothing.
fn is_passed_over(upgrade: &Upgrade, border: Border, phase: PhaseName) -> bool {
    phase < border.next && border.before.is_none_or(|before| before < phase) && upgrade.is_unproven(phase)
}

/// A checkpoint between the phase before and the one that comes next, unless it was passed.
fn checkpoint(upgrade: &Upgrade) -> Option<Waiting> {
    match (pause_behind(upgrade), approval_before(upgrade)) {
        (Some(after), Some(before)) if before <= after => Some(Waiting::Approval { before }),
        (Some(after), _) => Some(Waiting::Resume { after }),
        (None, before) => before.map(|before| Waiting::Approval { before }),
    }
}
