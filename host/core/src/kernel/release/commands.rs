//! What people and publishers want: to publish, to withdraw, to start, to hold and to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::enrol;
use super::estate::Before;
use super::turn::{self, part_of};
use super::view::{self, Planned};
use crate::domain::{By, Digest, ExtensionType, Location, Now, ReleaseId, ReleaseVersion};
use crate::kernel::command::{Begins, Quarantined, ReleaseCommand, ReleaseWish, ThenBack};
use crate::kernel::memory::Memories;
use crate::kernel::out::Out;
use crate::kernel::refusal::{Refusal, ReleaseRefusal};
use crate::kernel::state::Fleet;
use crate::record::Write;
use crate::release::catalogue::VERSIONS_MAX;
use crate::release::not_through_before;
use crate::release::{
    End, How, PlannedSet, Published, PublishedVersion, Publishing, Release, ReleaseState, Run, Withdrawn,
};

/// Ended releases that are kept.
const KEPT_MAX: usize = 200;

/// Grants what is wanted of the catalogue or of a release.
pub(in crate::kernel) fn grant(
    fleet: &mut Fleet,
    _memories: &mut Memories,
    wanted: &ReleaseCommand,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    fleet.releases.dirty = true;
    let done = match wanted {
        ReleaseCommand::Publish { subject, version, digest, begins } => {
            publish(fleet, (subject, version, *digest), *begins, by, now, out)
        }
        ReleaseCommand::Withdraw { subject, version, then } => {
            withdraw(fleet, (subject, version), *then, by, now, out)
        }
        ReleaseCommand::Start { subject, version, plan, quarantined } => {
            start(fleet, (subject, version), *plan, *quarantined, by, now, out)
        }
        ReleaseCommand::Wish(id, wish) => wish_for(fleet, id, *wish, by, now, out),
        ReleaseCommand::Enrol(name, subject, enrol) => {
            fleet.set(name)?;
            enrol::opt(fleet, (name, subject), *enrol, by, now, out)
        }
        ReleaseCommand::Feature(subscription, enrol) => {
            enrol::register(fleet, subscription, *enrol, by, now, out);
            Ok(())
        }
    };
    done.map_err(|refusal| Refusal::Release(Box::new(refusal)))
}

/// Whether anybody knows a type.
pub(super) fn known(fleet: &Fleet, subject: &ExtensionType) -> Result<(), ReleaseRefusal> {
    let mut all: BTreeSet<ExtensionType> = fleet.releases.rules.types.keys().cloned().collect();
    all.extend(fleet.sets().flat_map(|set| set.spec.estate.enrolments.iter().map(|one| one.subject.clone())));
    if all.contains(subject) {
        return Ok(());
    }
    Err(ReleaseRefusal::NoType { subject: subject.clone(), known: all.into_iter().collect() })
}

fn publish(
    fleet: &mut Fleet,
    (subject, version, digest): (&ExtensionType, &ReleaseVersion, Option<Digest>),
    begins: Begins,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    known(fleet, subject)?;
    let limit = fleet.releases.rules.types.get(subject).map_or(VERSIONS_MAX, |rules| rules.versions_max);
    let before = fleet.releases.catalogue.get(subject);
    let mut published = before.map_or_else(|| Published::new(subject.clone()), |it| Published::clone(it));
    let entry = PublishedVersion {
        digest,
        at: now.wall.date(),
        by: by.actor.clone(),
        withdrawn: None,
        quarantined: None,
        waits: begins == Begins::WhenStarted,
    };
    match published.publish(version, entry, limit)? {
        Publishing::Known => return Ok(()),
        Publishing::New => {}
    }
    put(fleet, published, out);
    if begins == Begins::ByItself {
        begin_by_itself(fleet, by, now, out);
    }
    Ok(())
}

fn put(fleet: &mut Fleet, published: Published, out: &mut Out) {
    let subject = published.subject.clone();
    out.writes.push(Write::Published(subject.clone(), Some(Box::new(published.clone()))));
    let keeps_back = published.keeps_back();
    let before = fleet.releases.catalogue.insert(subject.clone(), Arc::new(published));
    if !keeps_back && !before.is_some_and(|before| before.keeps_back()) {
        return;
    }
    // New instances never get what was withdrawn or is in quarantine.
    for name in fleet.names(|set| set.spec.estate.enrolment(&subject).is_some()) {
        let Some(set) = fleet.sets.get_mut(&name) else { continue };
        let kept_back = super::kept_back_of(&set.spec, &fleet.releases);
        Arc::make_mut(set).kept_back = kept_back;
    }
}

/// One version of the catalogue.
pub(super) fn version<'a>(
    fleet: &'a Fleet,
    subject: &ExtensionType,
    version: &ReleaseVersion,
) -> Result<(&'a ReleaseVersion, &'a PublishedVersion), ReleaseRefusal> {
    known(fleet, subject)?;
    let published = fleet.releases.catalogue.get(subject);
    let found = published.and_then(|published| published.versions.get_key_value(version));
    found.ok_or_else(|| ReleaseRefusal::NotPublished {
        subject: subject.clone(),
        version: version.clone(),
        newest: published.and_then(|published| published.newest(|_| true)).cloned(),
    })
}

fn withdraw(
    fleet: &mut Fleet,
    (subject, which): (&ExtensionType, &ReleaseVersion),
    then: ThenBack,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    let (key, _) = version(fleet, subject, which)?;
    let key = key.clone();
    if let Some(published) = fleet.releases.catalogue.get(subject) {
        let mut published = Published::clone(published);
        if let Some(entry) = published.versions.get_mut(&key) {
            let (at, by) = (now.wall.date(), by.clone());
            entry.withdrawn.get_or_insert(Withdrawn { at, by: by.actor, reason: by.reason });
        }
        put(fleet, published, out);
    }
    let (end, code) = match then {
        ThenBack::Stay => (End::Withdrawn, "withdrawn"),
        ThenBack::GoBack => (End::RolledBack, "rollback"),
    };
    let has_brought =
        |it: &Release| it.parts.values().any(|part| part.was_touched() && part.run != Run::Back);
    let goes_back = |it: &Release| then == ThenBack::GoBack && has_brought(it);
    let with_it = fleet.releases.all.values().rev().filter(|it| it.subject == *subject && it.version == key);
    // More than one may have brought it, each to other sets.
    // What goes back already goes on doing so.
    let stops = |it: &Release| it.is_active() && it.state != ReleaseState::Ending(End::RolledBack);
    let ends = with_it.filter(|it| stops(it) || goes_back(it)).map(|it| it.number);
    for number in ends.collect::<Vec<u64>>() {
        end_with(fleet, number, end, out);
        turn::say(fleet, number, (code, format!("{subject} {key} was withdrawn")), by, now, out);
    }
    // Whoever is below the one that is newest now gets that one; where releases end first, at their end.
    begin_by_itself(fleet, by, now, out);
    Ok(())
}

fn change(fleet: &mut Fleet, number: u64, out: &mut Out, change: impl FnOnce(&mut Release)) {
    let Some(release) = fleet.releases.all.get_mut(&number) else { return };
    let release = Arc::make_mut(release);
    change(release);
    out.writes.push(Write::Release(number, Some(Box::new(release.head()))));
}

fn end_with(fleet: &mut Fleet, number: u64, end: End, out: &mut Out) {
    change(fleet, number, out, |release| {
        release.state = ReleaseState::Ending(end);
        release.paused = false;
    });
    if end == End::RolledBack {
        once_more(fleet, number, out);
    }
}

/// Sets of which a way back has failed are to go back once more.
fn once_more(fleet: &mut Fleet, number: u64, out: &mut Out) {
    let Some(release) = fleet.releases.all.get(&number).cloned() else { return };
    for (name, part) in &release.parts {
        if let Run::NotBack { why } = &part.run {
            let run = Run::Ended { how: How::Incomplete, why: why.clone(), retry_at: None };
            turn::change(fleet, (number, name), out, |part| part.run = run);
        }
    }
}

/// Puts the version of a release into quarantine in the catalogue, or lets it out.
pub(super) fn quarantine(fleet: &mut Fleet, number: u64, why: Option<String>, out: &mut Out) {
    let Some(release) = fleet.releases.all.get(&number).cloned() else { return };
    let Some(published) = fleet.releases.catalogue.get(&release.subject) else { return };
    let mut published = Published::clone(published);
    if let Some(entry) = published.versions.get_mut(&release.version) {
        entry.quarantined = why;
        put(fleet, published, out);
    }
}

/// Starts what enrolled sets wait for: of each type the newest version of each major that anybody may get.
pub(super) fn begin_by_itself(fleet: &mut Fleet, by: &By, now: Now, out: &mut Out) {
    let newest = |published: &Arc<Published>| {
        let subject = published.subject.clone();
        published.newest_of_each_major().into_iter().map(move |version| (subject.clone(), version))
    };
    let all: Vec<(ExtensionType, ReleaseVersion)> =
        fleet.releases.catalogue.values().flat_map(newest).collect();
    for (subject, version) in all {
        let mut before = fleet.releases.all.values().filter(|it| it.subject == subject);
        // What a person or a failure has ended does not begin again by itself, and what runs takes sets in that join.
        let speaks_against = before.any(|it| {
            let same = it.version == version;
            let newer = it.is_active() && it.version > version && it.version.major() == version.major();
            newer || (same && !matches!(it.state, ReleaseState::Ended(End::Completed | End::Superseded, _)))
        });
        if speaks_against {
            continue;
        }
        let planned = view::planned(fleet, &subject, &version, now);
        // What a person has taken back since stays so, and what has failed often enough.
        let before = Before::of(fleet, (&subject, &version), None);
        let is_new = |set: &PlannedSet| set.has_to_move() && before.said_of(&set.name).is_none();
        if planned.plan.phases.iter().flat_map(|phase| &phase.sets).any(is_new) {
            // Whatever speaks against it speaks against a person's start, too, and is told then.
            let _ = begin(fleet, planned, Starts::ByItself, by, now, out);
        }
    }
}

fn start(
    fleet: &mut Fleet,
    (subject, which): (&ExtensionType, &ReleaseVersion),
    plan: Option<Digest>,
    quarantined: Quarantined,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    let (key, entry) = version(fleet, subject, which)?;
    let (key, entry) = (key.clone(), entry.clone());
    if entry.withdrawn.is_some() {
        return Err(ReleaseRefusal::Withdrawn { subject: subject.clone(), version: key });
    }
    if let (Some(why), Quarantined::Refuse) = (&entry.quarantined, quarantined) {
        let (subject, why) = (subject.clone(), why.clone());
        return Err(ReleaseRefusal::Quarantined { subject, version: key, why });
    }
    let stands_in_the_way =
        |it: &&Arc<Release>| it.subject == *subject && it.version >= key && it.version.major() == key.major();
    if let Some(running) = fleet.releases.active().find(stands_in_the_way) {
        return Err(ReleaseRefusal::StillReleasing {
            id: running.id.clone(),
            version: running.version.clone(),
        });
    }
    let planned = view::planned(fleet, subject, &key, now);
    if let Some(wanted) = plan.filter(|wanted| *wanted != planned.plan.digest) {
        return Err(ReleaseRefusal::PlanChanged { wanted, now: planned.plan.digest });
    }
    if planned.moves() == 0 {
        let (subject, reasons) = (subject.clone(), planned.reasons());
        return Err(ReleaseRefusal::NothingToMove { subject, version: key, reasons });
    }
    if quarantined == Quarantined::Allow || entry.waits {
        let mut published = fleet
            .releases
            .catalogue
            .get(subject)
            .map(|it| Published::clone(it))
            .unwrap_or_else(|| Published::new(subject.clone()));
        if let Some(entry) = published.versions.get_mut(&key) {
            if quarantined == Quarantined::Allow {
                entry.quarantined = None;
            }
            entry.waits = false;
        }
        put(fleet, published, out);
    }
    begin(fleet, planned, Starts::ByAPerson(quarantined), by, now, out)
}

/// Who wants a release to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starts {
    /// Nobody: a version was published, or a set takes part again.
    ByItself,
    /// A person, and what of a quarantine.
    ByAPerson(Quarantined),
}

/// Begins a release; one of an older version that runs gives way to it.
fn begin(
    fleet: &mut Fleet,
    planned: Planned,
    starts: Starts,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    let (subject, version) = (planned.plan.subject.clone(), planned.plan.version.clone());
    let older: Vec<u64> = fleet
        .releases
        .active()
        .filter(|it| it.subject == subject && it.version.major() == version.major() && it.version < version)
        // What ends already ends as it was to: a way back is not given up.
        .filter(|it| !matches!(it.state, ReleaseState::Ending(_)))
        .map(|it| it.number)
        .collect();
    let number = fleet.releases.all.get_max().map_or(1, |(number, _)| number + 1);
    let text = format!("{}-{version}-{number}", subject.name());
    let id = ReleaseId::parse(&text)
        .map_err(|why| ReleaseRefusal::Id { id: text.clone(), why: why.to_string() })?;
    for older in older {
        end_with(fleet, older, End::Superseded, out);
        turn::say(fleet, older, ("superseded", format!("release {id} takes its place")), by, now, out);
    }
    let strategy = fleet.releases.rules.strategy.clone();
    let regions: BTreeSet<Location> = planned.regions();
    let mut release = Release {
        id: id.clone(),
        number,
        subject,
        version,
        phases: strategy.phases(&regions),
        allowed: usize::try_from(strategy.max_failed_sets).unwrap_or(usize::MAX),
        strategy,
        digest: planned.plan.digest,
        by: by.actor.clone(),
        reason: by.reason.clone(),
        started_at: now.at,
        started_on: now.wall.date(),
        state: ReleaseState::Running,
        paused: false,
        excused: std::collections::BTreeMap::new(),
        forced: starts == Starts::ByAPerson(Quarantined::Allow),
        by_itself: starts == Starts::ByItself,
        log: imbl::Vector::new(),
        parts: imbl::OrdMap::new(),
        looked: None,
    };
    out.writes.push(Write::Release(number, Some(Box::new(release.head()))));
    for set in fleet.sets.values() {
        if let Some(part) = part_of(&mut release, set) {
            let name = set.spec.name.clone();
            out.writes.push(Write::ReleaseSet(number, name.clone(), Some(Box::new(part.clone()))));
            release.parts.insert(name, part);
        }
    }
    fleet.releases.all.insert(number, Arc::new(release));
    fleet.releases.dirty = true;
    turn::say(fleet, number, ("start", format!("release {id} begins")), by, now, out);
    forget_old(fleet, out);
    Ok(())
}

fn forget_old(fleet: &mut Fleet, out: &mut Out) {
    let ended: Vec<u64> =
        fleet.releases.all.values().filter(|it| !it.is_active()).map(|it| it.number).collect();
    for number in ended.iter().take(ended.len().saturating_sub(KEPT_MAX)) {
        fleet.releases.all.remove(number);
        out.writes.push(Write::Release(*number, None));
    }
}

fn wish_for(
    fleet: &mut Fleet,
    id: &ReleaseId,
    wish: ReleaseWish,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), ReleaseRefusal> {
    let release = fleet.releases.release(id).cloned().ok_or_else(|| ReleaseRefusal::NoRelease {
        id: id.clone(),
        known: fleet.releases.all.values().rev().take(20).map(|release| release.id.clone()).collect(),
    })?;
    let number = release.number;
    let not_now =
        |what: &'static str| ReleaseRefusal::NotNow { id: id.clone(), what, state: release.state_name() };
    let running = matches!(release.state, ReleaseState::Running | ReleaseState::Halted);
    let (code, text) = match wish {
        ReleaseWish::Pause if running && !release.paused => {
            change(fleet, number, out, |release| release.paused = true);
            ("pause", "the release is paused".to_owned())
        }
        ReleaseWish::Pause => return Err(not_now("paused")),
        ReleaseWish::Resume if running && (release.paused || release.state == ReleaseState::Halted) => {
            resume(fleet, &release, out);
            ("resume", "the release goes on".to_owned())
        }
        ReleaseWish::Resume => return Err(not_now("resumed")),
        ReleaseWish::Approve(phase) if running => {
            if phase >= release.phases.len() {
                let (id, phases) = (id.clone(), release.phases.len());
                return Err(ReleaseRefusal::NoPhase { id, phase: phase + 1, phases });
            }
            if release.state == ReleaseState::Halted {
                resume(fleet, &release, out);
            }
            let waits_for = not_through_before(&release, phase, now.at);
            let text = match waits_for.first() {
                None => format!("region phase {} waits for nothing before it", phase + 1),
                Some(first) => format!(
                    "region phase {} waits no longer for {} of the scale sets before it, such as `{first}`",
                    phase + 1,
                    waits_for.len()
                ),
            };
            change(fleet, number, out, |release| _ = release.excused.insert(phase, waits_for));
            ("approve", text)
        }
        ReleaseWish::Approve(_) => return Err(not_now("approved")),
        ReleaseWish::Stop if running => {
            end_with(fleet, number, End::Stopped, out);
            ("stop", "the release ends after the batches in flight".to_owned())
        }
        ReleaseWish::Stop => return Err(not_now("stopped")),
        ReleaseWish::RollBack => {
            let goes_back = |state| {
                matches!(
                    state,
                    ReleaseState::Ending(End::RolledBack) | ReleaseState::Ended(End::RolledBack, _)
                )
            };
            let newer = fleet.releases.active().any(|it| it.subject == release.subject && it.number > number);
            if goes_back(release.state) || newer {
                return Err(not_now("rolled back"));
            }
            end_with(fleet, number, End::RolledBack, out);
            ("rollback", "what the release has brought is taken back".to_owned())
        }
    };
    turn::say(fleet, number, (code, text), by, now, out);
    Ok(())
}

/// Goes on after a pause, and past the sets that have failed so far.
fn resume(fleet: &mut Fleet, release: &Release, out: &mut Out) {
    let failed = release.failed_units().len();
    let halted = release.state == ReleaseState::Halted;
    change(fleet, release.number, out, |release| {
        release.paused = false;
        if halted {
            release.allowed = release.allowed.max(failed);
        }
    });
}
