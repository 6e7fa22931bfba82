//! What a running upgrade waits for at this moment, as a value for each thing that it can be.

use std::collections::BTreeSet;

use super::doubt::{silent, suspicion};
use super::driver::{DriverGoes, DriverWork, driver};
use crate::domain::{Health, HookKind, InstanceId, Location, Now, PhaseName, ReleaseId, Shortage, Timestamp};
use crate::kernel::Most;
use crate::kernel::state::{InstanceState, SetState};
use crate::record::audit::Wait;
use crate::record::{Hold, StoppedLine};
use crate::rollout::{Machines, Member, MemberState, Stage, Upgrade, Waiting, unlooked};

/// What an upgrade waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitsFor<'a> {
    /// The record, which takes no writes; its word.
    Record(&'a str),
    /// A person, to adopt the record.
    Adoption(&'a Hold),
    /// The first decision about instances.
    FirstDecision(Few<'a>),
    /// A look at what instances run.
    Look(Few<'a>),
    /// A person, who stopped the line; none when it goes on already.
    Line(Option<&'a StoppedLine>),
    /// The end of a freeze window.
    Freeze {
        /// Why nothing may begin; empty when it is over already.
        reason: String,
        /// Its end, a date.
        until: Timestamp,
    },
    /// The pause between batches.
    Pause {
        /// Its end.
        until: Timestamp,
    },
    /// The date for which it was asked for.
    Scheduled {
        /// That date.
        until: Timestamp,
    },
    /// A person, after `pause`.
    Paused,
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
    Initializing(Few<'a>),
    /// Instances that said "not now".
    Deferred {
        /// Which.
        instances: Few<'a>,
        /// Those of them that come no nearer.
        stalled: Few<'a>,
        /// When they are left out.
        until: Timestamp,
    },
    /// Instances that the host cannot ask.
    NotAsked {
        /// What it is short of.
        short_of: Option<Shortage>,
        /// Which.
        instances: Few<'a>,
    },
    /// Answers to probes that began after the batch before had ended.
    Evidence {
        /// Of which instances.
        instances: Few<'a>,
        /// Until when they are waited for.
        until: Timestamp,
    },
    /// Instances that count as Healthy and have just said something worse, or nothing.
    Doubted(Few<'a>),
    /// The host, which doubts itself: most of those that nothing has touched went silent at once.
    Suspicion(Few<'a>),
    /// The same, over all sets of the host.
    AllSilent(Most),
    /// The release that it belongs to.
    Release(&'a BTreeSet<ReleaseId>),
    /// Another zone of its region.
    Zone {
        /// The region.
        region: &'a Location,
        /// Zones that are in flight there, or come first.
        zones: Vec<String>,
    },
    /// Other stand-alone machines of its group.
    Group(Machines),
    /// Instances that went silent a moment ago: whether most do, is to be seen.
    Silence {
        /// Which.
        instances: Few<'a>,
        /// Until when.
        until: Timestamp,
    },
    /// The bake of what was upgraded.
    Bake {
        /// When its time is over.
        until: Timestamp,
        /// How often everybody has been asked since it began.
        rounds: u32,
        /// How often everybody is to be asked.
        of: u32,
    },
    /// The fleet, which went down with the host.
    Recovery {
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// A driver.
    Driver {
        /// What it does.
        work: DriverWork,
        /// With which.
        instances: Few<'a>,
        /// How it goes, as far as that is known.
        goes: DriverGoes,
        /// What it said last, in the words of what it has asked.
        says: Option<&'a str>,
    },
    /// A hook.
    Hook {
        /// Which.
        hook: HookKind,
        /// Of which batch, from 1; none where it is run round instances.
        batch: Option<usize>,
        /// Of which instances.
        instances: Few<'a>,
        /// What it said last.
        says: Option<&'a str>,
    },
    /// The health of upgraded instances.
    Gate(Few<'a>),
    /// Upgraded instances, which were healthy before the host's restart.
    HealthyAgain,
}

impl<'a> WaitsFor<'a> {
    /// For what, as the trail has it.
    #[must_use]
    pub fn wait(&self) -> Wait {
        match self {
            Self::Record(_) => Wait::Record,
            Self::Adoption(_) => Wait::Adoption,
            Self::FirstDecision(_) | Self::Evidence { .. } | Self::Doubted(_) => Wait::Evidence,
            Self::Look(_) => Wait::Look,
            Self::Line(_) => Wait::Line,
            Self::Freeze { .. } => Wait::Freeze,
            Self::Scheduled { .. } => Wait::Scheduled,
            Self::Pause { .. } => Wait::PauseBetweenBatches,
            Self::Paused | Self::Resume { .. } => Wait::Paused,
            Self::Approval { .. } => Wait::Approval,
            Self::Initializing(_) => Wait::Initializing,
            Self::Deferred { .. } => Wait::Deferral,
            Self::NotAsked { .. } => Wait::NotAsked,
            Self::Suspicion(_) | Self::AllSilent(_) | Self::Silence { .. } => Wait::SelfDoubt,
            Self::Release(_) => Wait::Release,
            Self::Zone { .. } => Wait::Zone,
            Self::Group(_) => Wait::Group,
            Self::Bake { .. } => Wait::Bake,
            Self::Recovery { .. } | Self::HealthyAgain => Wait::Health,
            Self::Driver { goes: DriverGoes::On, .. } => Wait::Driver,
            Self::Driver { goes: DriverGoes::Busy, .. } => Wait::DriverBusy,
            Self::Driver { goes: DriverGoes::Silent { .. }, .. } => Wait::DriverHanging,
            Self::Hook { .. } => Wait::Hook,
            Self::Gate(_) => Wait::Gate,
        }
    }

    /// What the one that it waits for has said last.
    #[must_use]
    pub fn says(&self) -> Option<&'a str> {
        match self {
            Self::Driver { says, .. } | Self::Hook { says, .. } => *says,
            Self::Record(_)
            | Self::Adoption(_)
            | Self::FirstDecision(_)
            | Self::Look(_)
            | Self::Line(_)
            | Self::Freeze { .. }
            | Self::Pause { .. }
            | Self::Scheduled { .. }
            | Self::Paused
            | Self::Resume { .. }
            | Self::Approval { .. }
            | Self::Initializing(_)
            | Self::Deferred { .. }
            | Self::NotAsked { .. }
            | Self::Evidence { .. }
            | Self::Doubted(_)
            | Self::Suspicion(_)
            | Self::AllSilent(_)
            | Self::Release(_)
            | Self::Zone { .. }
            | Self::Group(_)
            | Self::Silence { .. }
            | Self::Bake { .. }
            | Self::Recovery { .. }
            | Self::Gate(_)
            | Self::HealthyAgain => None,
        }
    }

    /// The instances that it is about, as far as it is about some.
    #[must_use]
    pub fn few(&self) -> Few<'a> {
        match self {
            Self::FirstDecision(few)
            | Self::Look(few)
            | Self::Initializing(few)
            | Self::Deferred { instances: few, .. }
            | Self::NotAsked { instances: few, .. }
            | Self::Evidence { instances: few, .. }
            | Self::Doubted(few)
            | Self::Suspicion(few)
            | Self::Silence { instances: few, .. }
            | Self::Driver { instances: few, .. }
            | Self::Hook { instances: few, .. }
            | Self::Gate(few) => few.clone(),
            Self::Record(_)
            | Self::Adoption(_)
            | Self::Line(_)
            | Self::Freeze { .. }
            | Self::Scheduled { .. }
            | Self::Pause { .. }
            | Self::Paused
            | Self::Resume { .. }
            | Self::Approval { .. }
            | Self::AllSilent(_)
            | Self::Release(_)
            | Self::Zone { .. }
            | Self::Group(_)
            | Self::Bake { .. }
            | Self::Recovery { .. }
            | Self::HealthyAgain => Few::default(),
        }
    }

    /// When it is over by itself.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Freeze { until, .. }
            | Self::Scheduled { until }
            | Self::Pause { until }
            | Self::Deferred { until, .. }
            | Self::Evidence { until, .. }
            | Self::Silence { until, .. }
            | Self::Bake { until, .. }
            | Self::Recovery { until } => Some(*until),
            Self::Record(_)
            | Self::Adoption(_)
            | Self::FirstDecision(_)
            | Self::Look(_)
            | Self::Line(_)
            | Self::Paused
            | Self::Resume { .. }
            | Self::Approval { .. }
            | Self::Initializing(_)
            | Self::NotAsked { .. }
            | Self::Doubted(_)
            | Self::Suspicion(_)
            | Self::AllSilent(_)
            | Self::Release(_)
            | Self::Zone { .. }
            | Self::Group(_)
            | Self::Driver { .. }
            | Self::Hook { .. }
            | Self::Gate(_)
            | Self::HealthyAgain => None,
        }
    }
}

/// What a person wished for while a batch was in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is rolled back.
    RollBack,
    /// It is cancelled.
    Cancel,
    /// It is paused.
    Pause,
}

/// The first of some instances, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Few<'a> {
    /// At most [`Few::SHOWN`].
    pub first: Vec<&'a InstanceId>,
    /// All of them.
    pub count: usize,
}

impl<'a> Few<'a> {
    /// More names than that help no reader.
    pub const SHOWN: usize = 5;

    /// Counts all and keeps the first.
    pub fn of(ids: impl IntoIterator<Item = &'a InstanceId>) -> Self {
        let mut few = Self::default();
        for id in ids {
            if few.count < Self::SHOWN {
                few.first.push(id);
            }
            few.count += 1;
        }
        few
    }
}

/// What a person wished for once the batch in flight has ended.
pub(super) fn then(upgrade: &Upgrade) -> Option<Then> {
    match (upgrade.stage, upgrade.then_roll_back, upgrade.cancel_requested, upgrade.paused) {
        (Stage::InBatch, true, _, _) => Some(Then::RollBack),
        (Stage::InBatch, false, true, _) => Some(Then::Cancel),
        (Stage::InBatch, false, false, true) => Some(Then::Pause),
        (Stage::InBatch, false, false, false)
        | (
            Stage::Preparing { .. }
            | Stage::Between { .. }
            | Stage::Hooking { .. }
            | Stage::Undoing
            | Stage::Baking { .. }
            | Stage::Stopping { .. }
            | Stage::Ended { .. },
            ..,
        ) => None,
    }
}

/// What it waits for, where `stopped` is what it waits for between two batches.
pub(super) fn waits_for<'a>(
    upgrade: &'a Upgrade,
    set: &'a SetState,
    stopped: Option<Waiting>,
    now: Now,
) -> Option<WaitsFor<'a>> {
    let stopped = stopped.map(|waiting| between(waiting, upgrade, set, now));
    match upgrade.stage {
        Stage::Ended { .. } => None,
        Stage::Between { .. } | Stage::Baking { .. } => stopped,
        Stage::Preparing { until } => Some(stopped.unwrap_or_else(|| {
            let (looking, unjudged) = (Few::of(set.looking.iter()), Few::of(unjudged(set)));
            match (looking.count, unjudged.count) {
                (1.., _) => WaitsFor::Look(looking),
                (0, 1..) => WaitsFor::FirstDecision(unjudged),
                (0, 0) => WaitsFor::Evidence { instances: unanswered(upgrade, set), until },
            }
        })),
        Stage::Undoing => {
            Some(hook(upgrade, set).unwrap_or_else(|| driver(upgrade, set, DriverWork::BringBack, now)))
        }
        Stage::Stopping { .. } => Some(hook(upgrade, set).unwrap_or_else(|| stopping(upgrade, set, now))),
        Stage::Hooking { hook, .. } => Some(WaitsFor::Hook {
            hook: hook.kind(),
            batch: Some(upgrade.current + 1),
            instances: Few::of(upgrade.batch_members(upgrade.current)),
            says: says(upgrade, set),
        }),
        Stage::InBatch => Some(in_batch(upgrade, set, now)),
    }
}

/// Hooks round instances that are being run.
fn hook<'a>(upgrade: &'a Upgrade, set: &'a SetState) -> Option<WaitsFor<'a>> {
    let (hook, _) = upgrade.hooks_in_hand().next()?;
    let instances = members(upgrade, |member| member.state.is_hooking());
    Some(WaitsFor::Hook { hook, batch: None, instances, says: says(upgrade, set) })
}

/// What the first hook says that says anything.
fn says<'a>(upgrade: &Upgrade, set: &'a SetState) -> Option<&'a str> {
    upgrade.hooks_in_hand().find_map(|(_, operation)| set.hooks_say.get(&operation)).map(String::as_str)
}

fn in_batch<'a>(upgrade: &'a Upgrade, set: &'a SetState, now: Now) -> WaitsFor<'a> {
    if let Some(hook) = hook(upgrade, set) {
        return hook;
    }
    let any = |work: DriverWork| upgrade.members.values().any(|member| is_about(work, &member.state));
    let work =
        [DriverWork::Create, DriverWork::Delete, DriverWork::Change].into_iter().find(|work| any(*work));
    if let Some(work) = work {
        return driver(upgrade, set, work, now);
    }
    let settling = |member: &Member| matches!(member.state, MemberState::Settling { .. });
    let few = members(upgrade, settling);
    if few.count > 0 && set.suspicion.is_some() {
        // Nobody fails for silence now, and nobody passes.
        return suspicion(set);
    }
    if few.count > 0 { WaitsFor::Gate(few) } else { WaitsFor::HealthyAgain }
}

/// What drivers have in hand ends, or is taken back.
fn stopping<'a>(upgrade: &'a Upgrade, set: &'a SetState, now: Now) -> WaitsFor<'a> {
    let ends = upgrade.members.values().any(|member| is_about(DriverWork::Stop, &member.state));
    driver(upgrade, set, if ends { DriverWork::Stop } else { DriverWork::BringBack }, now)
}

/// Whether a driver does that with a member.
pub(super) fn is_about(work: DriverWork, state: &MemberState) -> bool {
    match work {
        DriverWork::Create => matches!(state, MemberState::Creating { .. }),
        DriverWork::Delete => matches!(state, MemberState::Deleting { .. } | MemberState::Removing { .. }),
        DriverWork::Stop => matches!(state, MemberState::Applying { .. } | MemberState::Creating { .. }),
        DriverWork::Change | DriverWork::BringBack => state.is_with_driver(),
    }
}

/// The instances that a driver or the health gate has in hand for members.
pub(super) fn members<'a>(upgrade: &'a Upgrade, wanted: impl Fn(&Member) -> bool) -> Few<'a> {
    let in_hand = upgrade.members.iter().filter(|(_, member)| wanted(member));
    Few::of(in_hand.map(|(id, member)| match member.state {
        MemberState::Deleting { .. } => id,
        MemberState::Pending
        | MemberState::Hooking { .. }
        | MemberState::Creating { .. }
        | MemberState::Applying { .. }
        | MemberState::Settling { .. }
        | MemberState::Ready { .. }
        | MemberState::Removing { .. }
        | MemberState::Succeeded { .. }
        | MemberState::Restoring { .. }
        | MemberState::Failed { .. } => member.watched(id),
    }))
}

fn between<'a>(waiting: Waiting, upgrade: &'a Upgrade, set: &'a SetState, now: Now) -> WaitsFor<'a> {
    match waiting {
        Waiting::Line => WaitsFor::Line(set.line.as_ref()),
        Waiting::Freeze { until } => match set.spec.freeze.frozen_at(now.wall.date()) {
            Some(frozen) => WaitsFor::Freeze { reason: frozen.reason, until: frozen.until },
            None => WaitsFor::Freeze { reason: String::new(), until },
        },
        Waiting::Pause { until } => WaitsFor::Pause { until },
        Waiting::Paused => WaitsFor::Paused,
        Waiting::Scheduled { until } => WaitsFor::Scheduled { until: upgrade.not_before.unwrap_or(until) },
        Waiting::Resume { after } => WaitsFor::Resume { after },
        Waiting::Approval { before } => WaitsFor::Approval { before },
        Waiting::Initializing => WaitsFor::Initializing(Few::of(unjudged(set))),
        Waiting::Deferred { until } => {
            let stalled = Few::of(set.stalled().map(|(id, _)| id));
            WaitsFor::Deferred { instances: Few::of(upgrade.deferred.keys()), stalled, until }
        }
        Waiting::NotAsked => {
            let unheard = || set.unheard_too_long(now.at);
            let short_of = unheard().find_map(|one| one.unasked).map(|unasked| unasked.short_of);
            WaitsFor::NotAsked { short_of, instances: Few::of(unheard().map(|one| &one.spec.id)) }
        }
        Waiting::Evidence { until } => WaitsFor::Evidence { instances: unanswered(upgrade, set), until },
        Waiting::Suspicion => suspicion(set),
        Waiting::Release => WaitsFor::Release(&upgrade.releases),
        Waiting::Zone => {
            WaitsFor::Zone { region: &set.spec.estate.location, zones: set.neighbours.zones().collect() }
        }
        Waiting::Group => WaitsFor::Group(set.neighbours.machines.clone().unwrap_or_default()),
        Waiting::Silence { until } => WaitsFor::Silence { instances: silent(set), until },
        Waiting::Bake { until } => {
            let rounds = if let Stage::Baking { rounds, .. } = upgrade.stage { rounds } else { 0 };
            WaitsFor::Bake { until, rounds, of: upgrade.policy.bake.map_or(0, |bake| bake.probes) }
        }
        Waiting::Look => WaitsFor::Look(Few::of(unlooked(upgrade, &set.view(now)))),
        Waiting::Doubted => WaitsFor::Doubted(Few::of(set.evidence().doubted())),
        Waiting::Recovery { until } => WaitsFor::Recovery { until },
    }
}

/// Instances that have not been asked since the batch before ended, or of the next batch those that are silent.
fn unanswered<'a>(upgrade: &'a Upgrade, set: &'a SetState) -> Few<'a> {
    let missing = Few::of(set.unasked_since(upgrade.evidence_from));
    if missing.count > 0 {
        return missing;
    }
    let next = upgrade.batches.get(upgrade.current).map(|batch| batch.number);
    Few::of(next.into_iter().flat_map(|number| upgrade.members.of_batch(number)))
}

/// Instances that cannot be judged yet.
fn unjudged(set: &SetState) -> impl Iterator<Item = &InstanceId> {
    let unjudged = |one: &&InstanceState| one.latest.is_none() || one.fold.health() == Health::Initializing;
    set.members().filter(unjudged).map(|one| &one.spec.id)
}
