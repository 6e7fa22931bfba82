//! The end of a release before its course is over: what is in flight ends, and what it has brought goes back.

use super::enrolment::Left;
use super::estate::EstateView;
use super::state::{End, Part, Release, Run};
use super::step::{Action, Step, cancel, end, is_decided_by_people};
use crate::domain::{ScaleSetName, Timestamp};

/// Ends what is in flight, takes back what is to be taken back, region by region, and ends.
pub(super) fn wind_up(
    release: &mut Release,
    estate: &dyn EstateView,
    how: End,
    now: Timestamp,
    out: &mut Step,
) {
    let running = named(release, |part| part.run == Run::Runs);
    for name in &running {
        cancel(release, name, out);
    }
    if !running.is_empty() {
        return;
    }
    if how == End::RolledBack && take_back(release, estate, out) {
        return;
    }
    let open = named(release, |part| part.run == Run::Waits);
    for name in open {
        if let Some(part) = release.parts.get_mut(&name) {
            part.run = Run::Left(Left::Ended);
            out.changed.insert(name);
        }
    }
    let is_left = |part: &Part| matches!(part.run, Run::NotBack { .. });
    let is_partly = how == End::RolledBack && release.parts.values().any(is_left);
    end(release, if is_partly { End::PartlyRolledBack } else { how }, now, out);
}

/// Takes one region after the other back, the latest region phase first. Gives whether that goes on.
fn take_back(release: &mut Release, estate: &dyn EstateView, out: &mut Step) -> bool {
    if release.parts.values().any(|part| part.run == Run::GoesBack) {
        return true;
    }
    let is_left = |part: &Part| part.was_touched() && is_to_go_back(&part.run);
    let next = release.parts.values().filter(|part| is_left(part));
    let next = next.max_by(|a, b| a.phase.cmp(&b.phase).then_with(|| b.location.cmp(&a.location)));
    let Some(region) = next.map(|part| part.location.clone()) else { return false };
    if release.strategy.paired(&region).any(|pair| estate.is_in_flight_elsewhere(pair)) {
        return true;
    }
    let names: Vec<ScaleSetName> = release
        .parts
        .iter()
        .filter(|(_, part)| part.location == region && is_left(part))
        // What runs there ends first, a person's upgrade too; its end is an event.
        .filter(|(name, part)| estate.facts(name, part).is_none_or(|facts| facts.busy.is_none()))
        .map(|(name, _)| name.clone())
        .collect();
    if names.is_empty() {
        return true;
    }
    out.actions.push(Action::Say("goes-back", format!("region {region} goes back")));
    for name in names {
        if let Some(part) = release.parts.get_mut(&name) {
            part.run = Run::GoesBack;
            out.changed.insert(name.clone());
            out.actions.push(Action::RollBack(name));
        }
    }
    true
}

/// The sets that stand like that, by name.
fn named(release: &Release, is_it: impl Fn(&Part) -> bool) -> Vec<ScaleSetName> {
    release.parts.iter().filter(|(_, part)| is_it(part)).map(|(name, _)| name.clone()).collect()
}

/// Whether what was brought to a set is to be taken back. Whoever is out by now, by a person's word or by the file, stays as
/// it is; one that the end of the release left half-way, or that is too ill to go on, does not.
fn is_to_go_back(run: &Run) -> bool {
    match run {
        Run::Back | Run::NotBack { .. } => false,
        Run::Left(left) => !is_decided_by_people(*left),
        Run::Waits | Run::Runs | Run::Done | Run::Ended { .. } | Run::GoesBack => true,
    }
}
