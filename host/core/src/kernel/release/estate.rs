//! The estate as a step of a release sees it: facts of one set, from its instances and its latest upgrade.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{
    Component, Enrolment, ExtensionType, Health, InstanceId, Location, Now, ReleaseVersion, Runs,
    ScaleSetName, SetKind,
};
use crate::kernel::state::{Fleet, InstanceState, SetState, SetView};
use crate::kernel::zones;
use crate::plan::{Candidate, HoldReason, withheld};
use crate::release::{
    Child, ChildEnd, End, EstateView, Facts, How, Left, Moves, Part, Release, ReleaseState, Run, Tally, Well,
    may_move,
};
use crate::rollout::{MemberState, Purpose, Upgrade, UpgradeState, nobody_approved};

/// The fleet, as one release sees it.
pub(super) struct Estate<'a> {
    fleet: &'a Fleet,
    release: &'a Release,
    now: Now,
    before: Before<'a>,
}

impl<'a> Estate<'a> {
    pub(super) fn new(fleet: &'a Fleet, release: &'a Release, now: Now) -> Self {
        let Release { subject, version, number, .. } = release;
        let before = Before::of(fleet, (subject, version), Some(*number));
        Self { fleet, release, now, before }
    }
}

/// Releases of a version that have ended, the latest first, picked once of all that are kept: not for each set.
pub(super) struct Before<'a>(Vec<&'a Release>);

impl<'a> Before<'a> {
    /// All of them but one.
    pub(super) fn of(
        fleet: &'a Fleet,
        (subject, version): (&ExtensionType, &ReleaseVersion),
        but: Option<u64>,
    ) -> Self {
        let ended = fleet.releases.all.values().rev().filter(|it| !it.is_active() && Some(it.number) != but);
        let same = ended.filter(|it| it.subject == *subject && it.version == *version);
        Self(same.map(AsRef::as_ref).collect())
    }

    /// Why a set that is to come up to the version does not do so by itself once more: one of them has brought it there,
    /// and somebody has taken it back since or ended its upgrade; or it has failed as often as it was to be tried.
    pub(super) fn said_of(&self, name: &ScaleSetName) -> Option<Left> {
        self.0.iter().find_map(|it| match &it.parts.get(name)?.run {
            Run::Done | Run::Ended { how: How::Cancelled, .. } => Some(Left::TakenBack),
            // Where a newer version came first, its tries were not over.
            Run::Ended { how: How::Faulted | How::Incomplete, .. } => {
                matches!(it.state, ReleaseState::Ended(End::Completed, _)).then_some(Left::FailedBefore)
            }
            Run::Ended { how: How::NotApproved, .. } => Some(Left::NotApproved),
            Run::Waits | Run::Left(_) | Run::Runs | Run::GoesBack | Run::Back | Run::NotBack { .. } => None,
        })
    }
}

impl EstateView for Estate<'_> {
    fn facts(&self, name: &ScaleSetName, part: &Part) -> Option<Facts> {
        let set = self.fleet.set(name).ok()?;
        let to = &self.release.version;
        let enrolment = set.spec.estate.enrolment(&self.release.subject);
        let standing = match enrolment {
            None => Err(Left::NotEnrolled),
            Some(enrolment) => standing(self.fleet, set, enrolment, to),
        };
        let child = child(set, part);
        // Each event of a set would cost a look at all of its instances, where nothing follows from it.
        let counts = match &part.run {
            Run::Runs => child.as_ref().is_none_or(|child| child.end != ChildEnd::Running),
            Run::Waits | Run::Left(_) | Run::Ended { .. } => standing == Ok(Moves::There),
            Run::Done => true,
            Run::GoesBack => child.as_ref().is_some_and(|it| it.end == ChildEnd::Completed),
            Run::Back | Run::NotBack { .. } => false,
        };
        let seen = counts.then(|| seen(set, part, to, self.now));
        let lacks = seen.is_some_and(|seen| seen.lacks > 0) && part.tries == 0;
        let before = match standing {
            Ok(_) if self.release.is_a_persons() => None,
            Ok(Moves::Up) => self.before.said_of(name),
            // It failed, or nobody approved it, and the version is wanted there still.
            Ok(Moves::There) if lacks => {
                let ended = |left: &Left| matches!(left, Left::FailedBefore | Left::NotApproved);
                self.before.said_of(name).filter(ended)
            }
            Ok(Moves::There) | Err(_) => None,
        };
        let standing =
            standing.and_then(|moves| before.map_or(Ok(moves), Err)).and_then(|moves| match moves {
                Moves::Up if part.run != Run::Runs && is_too_unhealthy(self.fleet, set) => {
                    Err(Left::HeldUnhealthy)
                }
                Moves::Up | Moves::There => Ok(moves),
            });
        Some(Facts {
            standing,
            child,
            busy: set.active().filter(|one| part.upgrade.as_ref() != Some(&one.id)).map(|one| one.id.clone()),
            initializing: set.census().initializing().len(),
            unhealthy: set.census().unhealthy().iter().cloned().collect(),
            well: seen.map_or(Well::NotKnown, |seen| seen.well),
            complete: seen.is_some_and(|seen| seen.lacks == 0),
            lacks: seen.map_or(0, |seen| seen.lacks),
            behind: seen.is_some_and(|seen| seen.behind),
            shown: seen.is_some_and(|seen| seen.shown),
            remains: part.run == Run::GoesBack && seen.is_some_and(|seen| seen.shown),
            only_touched: is_rollback(set),
            completed_since: set.upgrade.as_ref().is_some_and(|latest| {
                part.upgrade.as_ref() != Some(&latest.id)
                    && latest.state == UpgradeState::Completed
                    && !matches!(latest.purpose, Purpose::Rollback { .. })
            }),
            retry: set.spec.retry,
        })
    }

    fn is_in_flight_elsewhere(&self, region: &Location) -> bool {
        let others = self.fleet.releases.active().filter(|other| other.number != self.release.number);
        others.into_iter().any(|other: &Arc<Release>| other.regions_in_flight().any(|there| there == region))
    }
}

/// Whether the latest upgrade of a set takes back exactly what another one has touched.
fn is_rollback(set: &SetState) -> bool {
    set.upgrade.as_ref().is_some_and(|latest| matches!(latest.purpose, Purpose::Rollback { .. }))
}

/// Whether a release may move a set, whatever the moment.
///
/// # Errors
/// Why not.
pub(super) fn standing(
    fleet: &Fleet,
    set: &SetState,
    enrolment: &Enrolment,
    to: &ReleaseVersion,
) -> Result<Moves, Left> {
    let estate = &set.spec.estate;
    if estate.kind == SetKind::ServiceFabric {
        return Err(Left::ServiceFabric);
    }
    if !enrolment.automatic {
        return Err(Left::NotEnrolled);
    }
    if fleet.releases.opted_out.contains_key(&(set.spec.name.clone(), enrolment.subject.clone())) {
        return Err(Left::OptedOut);
    }
    if fleet.releases.rules.require_feature && !fleet.releases.registered.contains_key(&estate.subscription) {
        return Err(Left::NotRegistered);
    }
    let from = set.model.of(&enrolment.component).ok_or(Left::NotComparable)?;
    may_move(enrolment, from, to)
}

/// Whether too much of a set, or of the group of stand-alone machines that it belongs to, is unhealthy for its first
/// batch.
pub(super) fn is_too_unhealthy(fleet: &Fleet, set: &SetState) -> bool {
    let limit = set.spec.policy.rolling.max_unhealthy_instance_percent;
    let census = set.census();
    let is_over = |unhealthy, total| limit.is_exceeded_by(unhealthy, total);
    let group = zones::machines(fleet, set);
    census.initializing().is_empty()
        && (is_over(census.unhealthy().len(), census.total())
            || group.is_some_and(|group| is_over(group.unhealthy, group.total)))
}

/// The latest upgrade of a set, as far as it is that of the release.
fn child(set: &SetState, part: &Part) -> Option<Child> {
    let (id, latest) = (part.upgrade.clone()?, set.upgrade.as_ref()?);
    // The latest that has left a trace, where that is the one of the release.
    let before = set.touched.as_deref().filter(|before| before.id == id && part.run == Run::Runs);
    let end = if latest.id == id {
        end_of(latest, &part.component)
    } else {
        match &latest.purpose {
            Purpose::Rollback { of, because, .. } if *of == id && part.run == Run::Runs => {
                if latest.is_active() {
                    ChildEnd::Running
                } else {
                    // Nothing had gone wrong: a person wanted it back.
                    let by_a_person =
                        || ChildEnd::Cancelled("a person took it back to what it had before".to_owned());
                    match before {
                        Some(before) if nobody_approved(before) => end_of(before, &part.component),
                        Some(_) | None => because.clone().map_or_else(by_a_person, ChildEnd::Faulted),
                    }
                }
            }
            // What came next has not ended it: how it ended itself is known.
            Purpose::Forward | Purpose::Manual if before.is_some_and(|before| !before.is_active()) => {
                before.map_or(ChildEnd::Running, |before| end_of(before, &part.component))
            }
            Purpose::Forward | Purpose::Manual | Purpose::Rollback { .. } => {
                ChildEnd::Cancelled(format!("upgrade `{}` was started in its place", latest.id))
            }
        }
    };
    Some(Child { id, end })
}

/// How an upgrade ended for one component: what is due together shares batches, and each has its own end.
fn end_of(upgrade: &Upgrade, component: &Component) -> ChildEnd {
    let ended_alone = upgrade.ended.iter().find(|ended| ended.change.component == *component);
    let why = || {
        upgrade.error.as_ref().map_or_else(|| "it ended Faulted".to_owned(), |error| error.message.clone())
    };
    match (upgrade.state, ended_alone) {
        (UpgradeState::RollingForward, _) => ChildEnd::Running,
        (UpgradeState::Completed | UpgradeState::Faulted, Some(ended)) => {
            ChildEnd::Faulted(ended.why.clone())
        }
        (UpgradeState::Completed, None) => ChildEnd::Completed,
        // Another extension ended for itself, and this one went through the plan.
        (UpgradeState::Faulted, None) if !upgrade.ended.is_empty() && upgrade.is_through() => {
            ChildEnd::Completed
        }
        (UpgradeState::Faulted, None) if nobody_approved(upgrade) => ChildEnd::NotApproved(why()),
        (UpgradeState::Faulted, None) => ChildEnd::Faulted(why()),
        (UpgradeState::Cancelled, _) => ChildEnd::Cancelled("a person cancelled it".to_owned()),
    }
}

/// What a look at the instances of a set has found.
#[derive(Debug, Clone, Copy)]
struct Seen {
    well: Well,
    /// So many of those that count do not have the version.
    lacks: usize,
    /// One of them has come since, or again.
    behind: bool,
    /// One has it.
    shown: bool,
}

/// Whether the instances that count have the version and are Healthy.
fn seen(set: &SetState, part: &Part, to: &ReleaseVersion, now: Now) -> Seen {
    let view = set.view(now);
    let (mut lacks, mut behind, mut shown) = (0, false, false);
    let (mut unwell, mut unknown) = (false, false);
    let child = set.upgrade.as_ref().filter(|upgrade| part.upgrade.as_ref() == Some(&upgrade.id));
    for instance in set.members() {
        let Standing::Counts(has) = of_instance((set, &view), instance, part, to) else { continue };
        lacks += usize::from(has == Has::Another);
        behind |= has == Has::Another && is_behind(instance, part, child);
        shown |= has == Has::It;
        match instance.fold.health() {
            Health::Healthy => {}
            Health::Initializing => unknown = true,
            Health::Unhealthy | Health::Unknown => unwell |= !part.held_unhealthy.contains(&instance.spec.id),
        }
    }
    let well = match (lacks == 0 && !unwell, unknown) {
        (false, _) => Well::No,
        (true, true) => Well::NotKnown,
        (true, false) => Well::Yes,
    };
    Seen { well, lacks, behind, shown }
}

/// Whether an instance that counts has the version.
pub(super) fn has_version(set: &SetState, part: &Part, to: &ReleaseVersion, now: Now) -> bool {
    seen(set, part, to, now).shown
}

/// Whether an instance runs something else although the latest upgrade has neither left it out nor failed on it. What it
/// runs is known: of whom nobody knows it, nothing more can be said by another upgrade.
fn is_behind(instance: &InstanceState, part: &Part, child: Option<&Arc<Upgrade>>) -> bool {
    let id = &instance.spec.id;
    let was_passed = |upgrade: &Upgrade| match upgrade.members.get(id) {
        Some(member) => !matches!(member.state, MemberState::Succeeded { .. }),
        None => upgrade.holds.iter().any(|hold| hold.instance == *id),
    };
    !matches!(instance.runs_of(&part.component), Runs::Unknown { .. })
        && !child.is_some_and(|upgrade| was_passed(upgrade))
}

/// Counts who counts, who has the version, and who is Healthy.
pub(super) fn tally(set: &SetState, part: &Part, to: &ReleaseVersion, now: Now) -> Tally {
    let view = set.view(now);
    let mut tally = Tally::default();
    for instance in set.members() {
        tally.total += 1;
        let zone = instance.spec.zone.as_deref().unwrap_or_default();
        match tally.zones.get_mut(zone) {
            Some(count) => *count += 1,
            None => _ = tally.zones.insert(zone.to_owned(), 1),
        }
        match of_instance((set, &view), instance, part, to) {
            Standing::Out(code) => *tally.not_eligible.entry(code).or_default() += 1,
            Standing::Counts(Has::Another) => tally.eligible += 1,
            Standing::Counts(Has::It) => {
                tally.eligible += 1;
                tally.at_version += 1;
                tally.healthy += usize::from(instance.fold.health() == Health::Healthy);
            }
        }
    }
    tally
}

/// How an instance stands with a release.
enum Standing {
    /// It does not count; a code.
    Out(String),
    /// It counts.
    Counts(Has),
}

/// What an instance has of what is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// The version that is released.
    It,
    /// Something else, or nobody knows.
    Another,
}

/// How an instance stands. Who has the version counts, whatever else is said of it.
fn of_instance(
    (set, view): (&SetState, &SetView<'_>),
    instance: &InstanceState,
    part: &Part,
    to: &ReleaseVersion,
) -> Standing {
    let has = instance.runs_of(&part.component).version();
    if has.is_some_and(|has| has == to.version() || is_version(has.as_str(), to)) {
        return Standing::Counts(Has::It);
    }
    not_eligible(&view.candidate_of(instance), set, part)
        .map_or(Standing::Counts(Has::Another), Standing::Out)
}

/// Whether a version is the one that is released: compared as numbers.
pub(super) fn is_version(has: &str, to: &ReleaseVersion) -> bool {
    ReleaseVersion::parse(has).is_ok_and(|has| has == *to)
}

/// Why an instance does not count; a code. Whom nobody has heard counts: silence is no word of the application. What
/// somebody has said comes before what is of the moment.
fn not_eligible(candidate: &Candidate, set: &SetState, part: &Part) -> Option<String> {
    let is_held = part.held_unhealthy.contains(&candidate.id);
    said_of(candidate, set, part).or_else(|| is_held.then(|| Left::HeldUnhealthy.code().to_owned()))
}

fn said_of(candidate: &Candidate, set: &SetState, part: &Part) -> Option<String> {
    let child = set.upgrade.as_ref().filter(|upgrade| part.upgrade.as_ref() == Some(&upgrade.id));
    let reason = match withheld(candidate) {
        Err(reason) => reason,
        Ok(_) => child?.holds.iter().find(|hold| hold.instance == candidate.id)?.reason.clone(),
    };
    said(&reason).then(|| reason.code().to_owned())
}

/// Whether somebody has said that the instance is left out.
fn said(reason: &HoldReason) -> bool {
    matches!(
        reason,
        HoldReason::Protected
            | HoldReason::Skip(_)
            | HoldReason::Defer(_)
            | HoldReason::PersonSkip(_)
            | HoldReason::PersonHold(_)
    )
}

/// Members that are unhealthy now.
pub(super) fn unhealthy(set: &SetState) -> BTreeSet<InstanceId> {
    set.census().unhealthy().iter().cloned().collect()
}
