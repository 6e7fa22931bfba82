//! When the host doubts itself and not its instances: it stood still, or most of those that nothing has touched went
//! silent at once.
//!
//! Deliberately no judgement of an instance: what is silent stays silent, and counts as such once somebody answers
//! again or a person says that the host is well.

mod whole;

use std::time::Duration;

pub use whole::Most;
pub(super) use whole::{Whole, count, count_all, look, look_beside};

use super::out::{About, Out, SelfDoubt};
use super::state::{Fleet, SetState};
use crate::domain::{By, Custody, InstanceId, Now, ScaleSetName, Timestamp};
use crate::record::audit::{Doubt, What};
use crate::release::{Left, Part, Run};
use crate::rollout::{Event, Progress};

/// One silent instance proves nothing about the host.
const SILENT_LEAST: usize = 2;

/// Nobody was looked at for so long, and nobody is judged by that time.
pub(super) fn stood_still(fleet: &mut Fleet, length: Duration, now: Now, out: &mut Out) {
    fleet.releases.stood_still(length, now.at);
    for name in fleet.names(|_| true) {
        let Some(set) = fleet.change(&name) else { continue };
        let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
        for id in ids {
            set.change(&id, |instance| instance.was_not_looked_at(length));
            if set.instance(&id).is_some_and(super::state::InstanceState::is_provisioned_first) {
                out.writes.extend(super::provision::row(set, &id));
            }
        }
        if set.active().is_some() {
            set.answers.push(Event::StoodStill(length));
        }
        told(set, Doubt::StoodStill { seconds: length.as_secs() }, now, out);
    }
}

/// A host has started in the middle of an upgrade or of a release: whoever is part of it had been heard when it began, so
/// that most of them may be silent at once from the first look on. What the host starts itself has yet to say something.
pub(super) fn resume(fleet: &mut Fleet, name: &ScaleSetName) {
    // The outage may be what a set was left out for.
    let is_part = |part: &Part| !matches!(part.run, Run::Left(left) if left != Left::HeldUnhealthy);
    let is_released = fleet.releases.active().any(|release| release.parts.get(name).is_some_and(is_part));
    let Some(set) = fleet.change(name) else { return };
    if set.driver.custody == Custody::Host {
        return;
    }
    let known: Vec<InstanceId> = match (is_released, set.active()) {
        (true, _) => set.members().map(|instance| instance.spec.id.clone()).collect(),
        (false, Some(upgrade)) => upgrade.members.keys().cloned().collect(),
        (false, None) => return,
    };
    for id in known {
        set.change(&id, |instance| instance.word.has_spoken_before());
    }
}

/// Somebody is silent: most of those that nothing has touched may be.
pub(super) fn suspect(set: &mut SetState, now: Now, out: &mut Out) {
    if set.doubted_alone || !is_suspicious(set, now.at) {
        return;
    }
    set.doubted_alone = true;
    if set.suspicion.is_some() {
        return;
    }
    set.suspicion = Some(now.at);
    set.dirty = true;
    let (silent, of) = (set.evidence().silent().len(), untouched(set));
    out.changes.doubts.push((set.spec.name.clone(), SelfDoubt::Began { silent, of }));
    told(set, Doubt::Began { silent, of }, now, out);
}

/// The line of the trail: why an upgrade did not go on.
fn told(set: &SetState, doubt: Doubt, now: Now, out: &mut Out) {
    let about = set.active().map_or(About::set(&set.spec.name), |upgrade| About::upgrade(upgrade, None));
    out.audit(about, By::host(), What::SelfDoubt { doubt }, now);
}

/// Somebody has answered: the others may have been silent by themselves.
pub(super) fn reconsider(set: &mut SetState, now: Now, out: &mut Out) {
    if set.suspicion.is_none() || is_most(set, set.evidence().silent().len()) {
        return;
    }
    set.doubted_alone = false;
    if set.doubted_with.is_none() || set.evidence().unanswered() == 0 {
        go_on(set, now, out);
    }
}

/// What held a set because of all sets is over; its own rule may hold it still.
fn let_go(set: &mut SetState, now: Now, out: &mut Out) {
    set.doubted_with = None;
    if set.suspicion.is_some() && !set.doubted_alone {
        go_on(set, now, out);
    }
}

fn go_on(set: &mut SetState, now: Now, out: &mut Out) {
    trust(set, now, out);
    if set.active().is_some() {
        set.answers.push(Event::Trusted);
    }
}

/// Whoever says go says that the host is well, as far as this set goes.
pub(super) fn says_go(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    whole::trusted(fleet, name);
    if let Some(set) = fleet.change(name) {
        trust(set, now, out);
    }
}

/// The host is well again, or a person says so. The time in which it doubted itself is nobody's.
fn trust(set: &mut SetState, now: Now, out: &mut Out) {
    let Some(since) = set.suspicion.take() else { return };
    let was_alone = set.doubted_with.take().is_none();
    set.doubted_alone = false;
    set.trusted_at = now.at;
    set.dirty = true;
    let silent = set.instances().filter(|instance| instance.word.is_silent());
    let silent: Vec<InstanceId> = silent.map(|instance| instance.spec.id.clone()).collect();
    for id in silent {
        set.change(&id, |instance| instance.was_not_heard(now.at.since(since)));
    }
    // Of a doubt over all sets those are told that it made wait.
    if was_alone || set.active().is_some() {
        out.changes.doubts.push((set.spec.name.clone(), SelfDoubt::Ended));
        told(set, Doubt::Ended, now, out);
    }
}

/// So long after the first round without an answer others may go silent for the same reason.
pub(super) fn window(set: &SetState) -> Duration {
    let health = &set.spec.health;
    health.interval.saturating_add(health.timeout).saturating_add(Duration::from_secs(1))
}

/// Whether more than half of those that nothing has touched went silent within one interval.
fn is_suspicious(set: &SetState, now: Timestamp) -> bool {
    // Cheap, and nearly always all that is asked.
    if !is_most(set, set.evidence().silent().len()) {
        return false;
    }
    let window = window(set);
    let recent = |since: &Timestamp| now.since(*since) <= window && *since > set.trusted_at;
    let silent = set.evidence().silent().iter().filter(|(since, _)| recent(since));
    is_most(set, silent.filter(|(_, id)| is_untouched(set, id)).count())
}

fn is_most(set: &SetState, silent: usize) -> bool {
    silent >= SILENT_LEAST && silent * 2 > untouched(set)
}

/// How many members no effect of the running upgrade has touched.
fn untouched(set: &SetState) -> usize {
    let touched = set.active().map_or(0, |upgrade| {
        let Progress { successful, failed, in_progress, pending: _ } = upgrade.members.progress();
        successful + failed + in_progress
    });
    set.census().total().saturating_sub(touched)
}

pub(super) fn is_untouched(set: &SetState, id: &InstanceId) -> bool {
    let is_busy = set.instance(id).is_none_or(|instance| !instance.busy.is_empty());
    let member = set.active().and_then(|upgrade| upgrade.members.behind(id));
    !is_busy && member.is_none_or(|(_, member)| member.attempt == 0)
}

#[cfg(test)]
mod tests;
