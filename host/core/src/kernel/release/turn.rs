//! What each turn makes of the releases that are under way: they look at the sets that changed, and begin, end and
//! hold upgrades.
//!
//! What is due together in a set, through several releases, is begun as one upgrade.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::commands;
use super::estate::{self, Estate};
use crate::domain::{
    By, Change, Goal, Now, ReleaseId, ReleaseVersion, ScaleSetName, SetKind, Subscription, Version,
};
use crate::kernel::command::{Quarantined, StartOptions};
use crate::kernel::memory::Memories;
use crate::kernel::out::Out;
use crate::kernel::refusal::Refusal;
use crate::kernel::start::{self, Attempt};
use crate::kernel::state::{Fleet, SetState};
use crate::kernel::{look as set_look, rollback};
use crate::record::Write;
use crate::record::audit::StartWhy;
use crate::release::{Action, Line, Part, Release, Run, Step, held, step};
use crate::rollout::{Brake, Event, Purpose, UpgradeState, Wish};

/// Rounds of a turn at most: each begins or ends something, and what is left goes with the next turn.
const ROUNDS: usize = 50;

/// After a start: releases join what is configured now, and go on.
pub(in crate::kernel) fn taken_up(fleet: &mut Fleet, memories: &mut Memories, now: Now, out: &mut Out) {
    if fleet.held.is_none() {
        commands::begin_by_itself(fleet, &By::host(), now, out);
        fleet.releases.dirty = true;
        look(fleet, memories, now, out);
    }
}

/// Lets every release look that has a reason to: at the sets that were touched, and at all of them when it is dirty.
pub(in crate::kernel) fn look(fleet: &mut Fleet, memories: &mut Memories, now: Now, out: &mut Out) {
    let due = fleet.releases.wake_at.is_some_and(|at| at <= now.at);
    let mut all = std::mem::take(&mut fleet.releases.dirty);
    if fleet.releases.active().next().is_none() && fleet.releases.holding.is_empty() {
        fleet.releases.wake_at = None;
        return;
    }
    if !all && !due && fleet.touched.is_empty() {
        return;
    }
    let mut touched: BTreeSet<ScaleSetName> = fleet.touched.clone();
    for _ in 0..ROUNDS {
        let known = fleet.touched.clone();
        let round = round(fleet, memories, (&touched, all), now, out);
        if round.whole || fleet.releases.active().next().is_none() {
            hold(fleet, memories, now, out);
        }
        touched = fleet.touched.difference(&known).cloned().chain(touched.clone()).collect();
        all = std::mem::take(&mut fleet.releases.dirty);
        if !round.acted && !all {
            return;
        }
    }
    // More than a turn can take: the next one goes on at once.
    fleet.releases.wake_at = Some(now.at);
    fleet.releases.dirty = true;
}

/// What has come of a look.
struct Round {
    /// Something followed from it.
    acted: bool,
    /// A release has looked at all of its sets.
    whole: bool,
}

/// One look of every release.
fn round(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (touched, all): (&BTreeSet<ScaleSetName>, bool),
    now: Now,
    out: &mut Out,
) -> Round {
    let numbers: Vec<u64> = fleet.releases.active().map(|release| release.number).collect();
    let mut starts: BTreeMap<ScaleSetName, Vec<Begun>> = BTreeMap::new();
    let mut rest: Vec<(u64, Action)> = Vec::new();
    let mut wake_at = None;
    let mut whole = false;
    let mut moved: BTreeSet<u64> = BTreeSet::new();
    for number in numbers.iter().copied() {
        let Some(release) = fleet.releases.all.get(&number).cloned() else { continue };
        let mut next = Release::clone(&release);
        if all {
            next.looked = None;
        }
        join(fleet, &mut next, (touched, all), out);
        let mine: BTreeSet<ScaleSetName> = match all {
            true => next.parts.keys().cloned().collect(),
            false => touched.iter().filter(|name| next.parts.contains_key(*name)).cloned().collect(),
        };
        let estate = Estate::new(fleet, &release, now);
        let stepped = step(&mut next, &estate, &mine, now.at);
        let Step { actions, changed, head_changed, wake_at: wakes, whole: is_whole } = stepped;
        wake_at = wake_at.into_iter().chain(wakes).min();
        whole |= is_whole;
        if !actions.is_empty() || !changed.is_empty() || head_changed {
            moved.insert(number);
        }
        if head_changed {
            out.writes.push(Write::Release(number, Some(Box::new(next.head()))));
        }
        for name in changed {
            let part = next.parts.get(&name).cloned().map(Box::new);
            out.writes.push(Write::ReleaseSet(number, name, part));
        }
        for action in actions {
            match action {
                Action::Start(name) => {
                    // So that the releases behind it see it, and can join.
                    let Some(part) = next.parts.get_mut(&name) else { continue };
                    let before = std::mem::replace(&mut part.run, Run::Runs);
                    starts.entry(name).or_default().push(Begun { number, before });
                }
                other => rest.push((number, other)),
            }
        }
        // Where it was not looked at as a whole and nothing begins, it is as it was.
        let is_same =
            next.looked.as_ref().zip(release.looked.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        if !is_same {
            fleet.releases.all.insert(number, Arc::new(next));
        }
    }
    fleet.releases.wake_at = wake_at;
    if numbers.iter().any(|number| has_ended_withdrawn(fleet, *number)) && fleet.held.is_none() {
        commands::begin_by_itself(fleet, &By::host(), now, out);
    }
    // What has moved may let a pair of another release go on.
    let mut has_acted = !rest.is_empty() || (numbers.len() > 1 && !moved.is_empty());
    for number in numbers.iter().filter(|number| moved.iter().any(|other| other != *number)) {
        if let Some(release) = fleet.releases.all.get_mut(number) {
            Arc::make_mut(release).looked = None;
        }
    }
    // What goes on begins what its quarantine has stopped.
    let (lifts, rest): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(_, action)| matches!(action, Action::LiftQuarantine));
    for (number, action) in lifts {
        perform(fleet, memories, number, action, now, out);
    }
    for (name, begun) in starts {
        has_acted |= begin(fleet, memories, &name, &begun, now, out);
    }
    for (number, action) in rest {
        perform(fleet, memories, number, action, now, out);
    }
    Round { acted: has_acted, whole }
}

/// Whether a release has ended whose version was withdrawn: an older one is the newest now, and waited for that.
fn has_ended_withdrawn(fleet: &Fleet, number: u64) -> bool {
    let Some(release) = fleet.releases.all.get(&number).filter(|it| !it.is_active()) else { return false };
    let published = fleet.releases.catalogue.get(&release.subject);
    published.is_some_and(|it| it.withdrawal(release.version.version()).is_some())
}

/// Sets that have the type in their model and are not known to a release join it at their place.
fn join(
    fleet: &Fleet,
    release: &mut Release,
    (touched, all): (&BTreeSet<ScaleSetName>, bool),
    out: &mut Out,
) {
    let names: Vec<&ScaleSetName> = match all {
        true => fleet.sets.keys().collect(),
        false => touched.iter().collect(),
    };
    for name in names {
        let Some(set) = fleet.sets.get(name).filter(|_| !release.parts.contains_key(name)) else { continue };
        if let Some(part) = part_of(release, set) {
            out.writes.push(Write::ReleaseSet(release.number, name.clone(), Some(Box::new(part.clone()))));
            release.parts.insert(name.clone(), part);
            release.looked = None;
        }
    }
}

/// The row of a set that is new to a release.
pub(super) fn part_of(release: &mut Release, set: &SetState) -> Option<Part> {
    let enrolment = set.spec.estate.enrolment(&release.subject)?;
    let estate = &set.spec.estate;
    let phase = release.phase_of(&estate.location);
    Some(Part {
        from: set.model.of(&enrolment.component).cloned(),
        after: estate.after.clone(),
        machines_of: machines_of(set),
        ..Part::waiting(estate.location.clone(), phase, enrolment.component.clone())
    })
}

/// Of a stand-alone machine: the subscription whose machines in its region are one group.
pub(super) fn machines_of(set: &SetState) -> Option<Subscription> {
    let estate = &set.spec.estate;
    (estate.kind == SetKind::VirtualMachines).then(|| estate.subscription.clone())
}

/// Changes one set of a release, and records it.
pub(super) fn change(
    fleet: &mut Fleet,
    (number, name): (u64, &ScaleSetName),
    out: &mut Out,
    change: impl FnOnce(&mut Part),
) {
    let Some(release) = fleet.releases.all.get_mut(&number) else { return };
    let release = Arc::make_mut(release);
    release.looked = None;
    let Some(part) = release.parts.get_mut(name) else { return };
    change(part);
    out.writes.push(Write::ReleaseSet(number, name.clone(), Some(Box::new(part.clone()))));
}

/// What spoke against the start of a set has gone: releases that were refused there try at once.
pub(in crate::kernel) fn try_again(fleet: &mut Fleet, name: &ScaleSetName, out: &mut Out) {
    let refused =
        |release: &&Arc<Release>| release.parts.get(name).is_some_and(|part| part.refused.is_some());
    let all: Vec<u64> = fleet.releases.active().filter(refused).map(|release| release.number).collect();
    for number in all {
        change(fleet, (number, name), out, |part| part.refused = None);
        fleet.releases.dirty = true;
    }
}

/// A release that has come to a set, and where the set was before.
struct Begun {
    number: u64,
    before: Run,
}

/// Begins one upgrade of a set for all releases that have come to it. Gives whether it has begun.
fn begin(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    all_begun: &[Begun],
    now: Now,
    out: &mut Out,
) -> bool {
    let of = |begun: &Begun| {
        let release = fleet.releases.all.get(&begun.number)?;
        let part = release.parts.get(name)?;
        let change = Change { component: part.component.clone(), to: release.version.version().clone() };
        Some((release.id.clone(), change, part.tries))
    };
    let all: Vec<(ReleaseId, Change, u32)> = all_begun.iter().filter_map(of).collect();
    let is_again = all.iter().any(|(_, _, tries)| *tries > 0);
    let is_forced =
        |begun: &Begun| fleet.releases.all.get(&begun.number).is_some_and(|release| release.forced);
    // What has failed in this very release is tried again, as it says.
    let allowed = is_again || all_begun.iter().any(is_forced);
    let options = StartOptions {
        quarantined: if allowed { Quarantined::Allow } else { Quarantined::Refuse },
        ..StartOptions::default()
    };
    let goal = Goal::new(all.iter().map(|(_, change, _)| change.clone()));
    let releases: BTreeSet<ReleaseId> = all.into_iter().map(|(id, _, _)| id).collect();
    let attempt = Attempt { number: 1, why: StartWhy::Release { releases } };
    let held_unhealthy = fleet.set(name).map(|set| estate::unhealthy(set)).unwrap_or_default();
    let begun = start::begin(fleet, memories, name, goal, &options, attempt, &By::host(), now, out);
    let upgrade = fleet.set(name).ok().and_then(|set| set.upgrade.as_ref()).map(|upgrade| upgrade.id.clone());
    for Begun { number, before } in all_begun {
        let said = match &begun {
            Ok(()) => {
                change(fleet, (*number, name), out, |part| {
                    part.run = Run::Runs;
                    part.upgrade.clone_from(&upgrade);
                    part.tries += 1;
                    part.held_unhealthy.clone_from(&held_unhealthy);
                    (part.cancelling, part.refused) = (false, None);
                });
                Some(("set-begins", format!("scale set `{name}` begins")))
            }
            Err(refusal) => {
                let why = refusal.to_string();
                let said = fleet.releases.all.get(number).and_then(|it| it.parts.get(name)?.refused.clone());
                let is_new = said.is_none_or(|(_, said)| said != why);
                change(fleet, (*number, name), out, |part| {
                    part.run = before.clone();
                    part.refused = Some((now.at, why.clone()));
                });
                is_new.then(|| ("set-refused", format!("scale set `{name}` cannot begin: {why}")))
            }
        };
        if let Some((code, text)) = said {
            say(fleet, *number, (code, text), &By::host(), now, out);
        }
    }
    begun.is_ok()
}

fn perform(fleet: &mut Fleet, memories: &mut Memories, number: u64, action: Action, now: Now, out: &mut Out) {
    match action {
        // Begun before, together with what is due in the same set.
        Action::Start(_) => {}
        Action::Cancel(name) => cancel(fleet, memories, (number, &name), now, out),
        Action::RollBack(name) => roll_back(fleet, memories, (number, &name), now, out),
        Action::Quarantine(why) => commands::quarantine(fleet, number, Some(why), out),
        Action::LiftQuarantine => commands::quarantine(fleet, number, None, out),
        Action::Say(code, text) => say(fleet, number, (code, text), &By::host(), now, out),
    }
}

/// Adds a line to what a release tells of itself.
pub(super) fn say(
    fleet: &mut Fleet,
    number: u64,
    (code, text): (&str, String),
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let Some(release) = fleet.releases.all.get_mut(&number) else { return };
    let release = Arc::make_mut(release);
    let text = by.reason.as_ref().map_or_else(|| text.clone(), |reason| format!("{text}: {reason}"));
    release.say(Line { at: now.wall.date(), by: by.actor.clone(), code: code.to_owned(), text });
    out.writes.push(Write::Release(number, Some(Box::new(release.head()))));
}

/// Ends the upgrade of a set after the batch in flight; other releases that share it begin it again.
fn cancel(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (number, name): (u64, &ScaleSetName),
    now: Now,
    out: &mut Out,
) {
    let of = |release: &Arc<Release>| release.parts.get(name).and_then(|part| part.upgrade.clone());
    let Some(upgrade) = fleet.releases.all.get(&number).and_then(of) else { return };
    let sharing: Vec<u64> = fleet
        .releases
        .active()
        .filter(|release| of(release).as_ref() == Some(&upgrade))
        .map(|release| release.number)
        .collect();
    for other in sharing {
        change(fleet, (other, name), out, |part| part.cancelling |= part.run == Run::Runs);
    }
    let runs = |set: &SetState| set.active().is_some_and(|active| active.id == upgrade);
    if fleet.set(name).is_ok_and(|set| runs(set)) {
        set_look::look(fleet, memories, name, &[Event::Wish(Wish::Cancel)], now, out);
    }
}

/// Takes back what a release has brought to a set: its upgrade, or what several of them have brought, by going to the
/// version that was there before.
fn roll_back(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (number, name): (u64, &ScaleSetName),
    now: Now,
    out: &mut Out,
) {
    let Some(release) = fleet.releases.all.get(&number).cloned() else { return };
    let Some(part) = release.parts.get(name) else { return };
    // A way back takes back only what was brought here: something newer is somebody else's.
    let has = fleet.set(name).ok().and_then(|set| set.model.of(&part.component).cloned());
    let is_ours = |has: &Version| estate::is_version(has.as_str(), &release.version);
    if let Some(has) = has.filter(|has| !is_ours(has) && part.from.as_ref() != Some(has)) {
        // Another release of the same version may have taken it back.
        let is_older = ReleaseVersion::parse(has.as_str()).is_ok_and(|has| has < release.version);
        let has_it = fleet.set(name).is_ok_and(|set| estate::has_version(set, part, &release.version, now));
        if is_older && !has_it {
            return change(fleet, (number, name), out, |part| part.run = Run::Back);
        }
        let why = format!("it was brought to {has} since");
        return stays(fleet, (number, name), why, now, out);
    }
    let by = By { reason: Some(format!("release {} goes back", release.id)), ..By::host() };
    let begun = begin_back(fleet, memories, (&release, part), name, &by, now, out);
    let upgrade = fleet.set(name).ok().and_then(|set| set.upgrade.as_ref()).map(|upgrade| upgrade.id.clone());
    match begun {
        Ok(()) => change(fleet, (number, name), out, |part| part.upgrade = upgrade),
        Err(Refusal::NothingToRollBack(_) | Refusal::NothingToContinue(_)) => {
            change(fleet, (number, name), out, |part| part.run = Run::Back);
            let text = format!("scale set `{name}` has nothing that could be taken back");
            say(fleet, number, ("set-stays", text), &By::host(), now, out);
        }
        // Another release, or whoever else waited for the set, has begun there in this very turn: that ends first.
        Err(Refusal::StillRunning { .. }) => change(fleet, (number, name), out, |part| part.run = Run::Waits),
        Err(refusal) => stays(fleet, (number, name), refusal.to_string(), now, out),
    }
    fleet.releases.dirty = true;
}

/// Begins the way back of a set.
fn begin_back(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (release, part): (&Release, &Part),
    name: &ScaleSetName,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let latest = fleet.set(name)?.upgrade.clone();
    let mine = latest.filter(|latest| part.upgrade.as_ref() == Some(&latest.id));
    if let Some(mine) = mine {
        match &mine.purpose {
            // It took back all that it had touched; others have the version, too.
            Purpose::Rollback { .. } if mine.state == UpgradeState::Completed => {}
            // Its way back has failed, and a person wants it once more.
            Purpose::Rollback { .. } => {
                return rollback::latest(fleet, memories, (name, Brake::Off), by, now, out);
            }
            Purpose::Forward if part.tries == 1 => {
                return rollback::latest(fleet, memories, (name, Brake::On), by, now, out);
            }
            Purpose::Forward | Purpose::Manual => {}
        }
    }
    let Some(from) = &part.from else { return Ok(()) };
    let goal = Goal::new([Change { component: part.component.clone(), to: from.clone() }]);
    let options = StartOptions { quarantined: Quarantined::Allow, ..StartOptions::default() };
    let attempt = Attempt { number: 1, why: StartWhy::Release { releases: [release.id.clone()].into() } };
    start::begin(fleet, memories, name, goal, &options, attempt, by, now, out)
}

/// A set of which nothing could be taken back.
fn stays(fleet: &mut Fleet, (number, name): (u64, &ScaleSetName), why: String, now: Now, out: &mut Out) {
    let text = format!("scale set `{name}` stays as it is: {why}");
    change(fleet, (number, name), out, |part| part.run = Run::NotBack { why });
    fleet.releases.dirty = true;
    say(fleet, number, ("set-stays", text), &By::host(), now, out);
}

/// Holds the upgrades that a release wants held, and lets the others go on.
fn hold(fleet: &mut Fleet, memories: &mut Memories, now: Now, out: &mut Out) {
    let releases = fleet.releases.active();
    let wanted: imbl::OrdSet<ScaleSetName> = releases.flat_map(|release| held(release, now.at)).collect();
    if wanted == fleet.releases.holding {
        return;
    }
    let before = std::mem::replace(&mut fleet.releases.holding, wanted.clone());
    let differ: Vec<ScaleSetName> = before
        .iter()
        .filter(|name| !wanted.contains(*name))
        .chain(wanted.iter().filter(|name| !before.contains(*name)))
        .cloned()
        .collect();
    for name in differ {
        let Some(set) = fleet.change(&name) else { continue };
        set.release_hold = wanted.contains(&name);
        if set.active().is_some() {
            set_look::look(fleet, memories, &name, &[], now, out);
        }
    }
}
