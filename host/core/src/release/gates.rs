//! Between region phases: which of them may begin, what they wait for, and what a person has let pass.
//!
//! Decides of no set: what begins is `step`.

use std::collections::{BTreeMap, BTreeSet};

use super::enrolment::Left;
use super::state::{How, Part, Release, ReleaseState, Run, Unit};
use super::step::Step;
use crate::domain::{Location, ScaleSetName, Timestamp};

/// Which region phases may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gates {
    /// The first region phase that is not through, and the first of its sets.
    first_open: Option<(usize, ScaleSetName)>,
    /// The same of region phases that a person let begin, without those that they wait for no longer.
    excused: BTreeMap<usize, Option<(usize, ScaleSetName)>>,
    /// When the gate may open by time alone.
    pub(super) wake_at: Option<Timestamp>,
}

/// What a look at all sets of a release has found that is the same for all of them. It holds until one of them changes,
/// or until its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    pub(super) gates: Gates,
    /// Regions in which an upgrade of the release is under way.
    pub(super) flying: BTreeSet<Location>,
    /// When it is to be looked at again even if nothing happens.
    pub(super) wake_at: Option<Timestamp>,
}

impl Looked {
    /// Without a time at which it ends.
    pub(super) fn at(release: &Release, now: Timestamp) -> Self {
        let flying = release.regions_in_flight().cloned().collect();
        Self { gates: Gates::of(release, now), flying, wake_at: None }
    }
}

impl Gates {
    pub(super) fn of(release: &Release, now: Timestamp) -> Self {
        Self::without(release, now, |_| false)
    }

    /// As [`Self::of`], and some sets are waited for by nobody.
    pub(super) fn without(release: &Release, now: Timestamp, is_left: impl Fn(&Part) -> bool) -> Self {
        let mut first_open: Option<(usize, ScaleSetName)> = None;
        let mut wake_at: Option<Timestamp> = None;
        let mut excused: BTreeMap<usize, Option<(usize, ScaleSetName)>> =
            release.excused.keys().map(|phase| (*phase, None)).collect();
        let silent = silent(release);
        for (name, part) in &release.parts {
            if is_left(part) || is_through(release, part, now) && !is_silent(&silent, part) {
                continue;
            }
            if let (Run::Done, Some(since)) = (&part.run, part.watched_since) {
                let until = since + release.strategy.bake;
                if until > now {
                    wake_at = Some(wake_at.map_or(until, |before| before.min(until)));
                }
            }
            if first_open.as_ref().is_none_or(|(phase, _)| part.phase < *phase) {
                first_open = Some((part.phase, name.clone()));
            }
            for (phase, open) in &mut excused {
                let is_excused = release.excused.get(phase).is_some_and(|sets| sets.contains(name));
                let is_first = open.as_ref().is_none_or(|(before, _)| part.phase < *before);
                if part.phase < *phase && !is_excused && is_first {
                    *open = Some((part.phase, name.clone()));
                }
            }
        }
        Self { first_open, excused, wake_at }
    }

    /// What a region phase waits for; none when it may begin.
    pub(super) fn shut(&self, phase: usize) -> Option<(usize, &ScaleSetName)> {
        if let Some(open) = self.excused.get(&phase) {
            return open.as_ref().map(|(first, set)| (*first, set));
        }
        let (first, set) = self.first_open.as_ref()?;
        (phase > *first).then_some((*first, set))
    }
}

/// The sets of earlier region phases that a region phase waits for.
#[must_use]
pub fn not_through_before(release: &Release, phase: usize, now: Timestamp) -> BTreeSet<ScaleSetName> {
    let silent = silent(release);
    let is_open = |part: &Part| !is_through(release, part, now) || is_silent(&silent, part);
    let before = release.parts.iter().filter(|(_, part)| part.phase < phase);
    before.filter(|(_, part)| is_open(part)).map(|(name, _)| name.clone()).collect()
}

/// Region phases that have shown nothing: a set was to be part, and nobody anywhere in them has the version. Whoever is
/// left out by people is missed by nobody.
fn silent(release: &Release) -> BTreeSet<usize> {
    let mut silent = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for part in release.parts.values() {
        match &part.run {
            Run::Done if part.has_shown => _ = shown.insert(part.phase),
            // It has shown that it failed, and was passed over for that.
            Run::Ended { .. } => _ = shown.insert(part.phase),
            Run::Done | Run::Left(Left::HeldUnhealthy) => _ = silent.insert(part.phase),
            Run::Left(_) | Run::Waits | Run::Runs | Run::GoesBack | Run::Back | Run::NotBack { .. } => {}
        }
    }
    silent.retain(|phase| !shown.contains(phase));
    silent
}

/// Whether a set is one of those that a region phase without evidence waits for.
fn is_silent(silent: &BTreeSet<usize>, part: &Part) -> bool {
    silent.contains(&part.phase) && matches!(part.run, Run::Done | Run::Left(Left::HeldUnhealthy))
}

/// An approval is for what waits when it is given: who was through since is waited for again.
pub(super) fn forget_excuses(release: &mut Release, now: Timestamp, out: &mut Step) {
    if release.excused.is_empty() {
        return;
    }
    let mut excused = std::mem::take(&mut release.excused);
    let silent = silent(release);
    let is_done =
        |part: &Part| part.run == Run::Done && is_through(release, part, now) && !is_silent(&silent, part);
    let is_over = |name: &ScaleSetName| release.parts.get(name).is_none_or(is_done);
    for sets in excused.values_mut() {
        let before = sets.len();
        sets.retain(|name| !is_over(name));
        out.head_changed |= sets.len() != before;
    }
    excused.retain(|_, sets| !sets.is_empty());
    release.excused = excused;
}

/// Whether later region phases need not wait for a set.
fn is_through(release: &Release, part: &Part, now: Timestamp) -> bool {
    match &part.run {
        Run::Left(_) | Run::Back | Run::NotBack { .. } => true,
        Run::Done => {
            let baked = |since: Timestamp| since + release.strategy.bake <= now;
            part.seen_well && part.watched_since.is_some_and(baked)
        }
        Run::Ended { how: How::Faulted, .. } => true,
        // It was tried as often as it was to be: passed over as one that failed, where so many may.
        Run::Ended { how: How::Incomplete, retry_at: None, .. } => short(release) <= release.allowed,
        Run::Runs => part.passed_over,
        Run::Waits
        | Run::Ended { how: How::Incomplete | How::Cancelled | How::NotApproved, .. }
        | Run::GoesBack => false,
    }
}

/// The first set that a release waits for until a person has decided, where nothing of it goes on by itself before that:
/// nothing is under way, and whoever has not begun, or is to be tried again, waits for such a set.
#[must_use]
pub fn waits_for_people(release: &Release) -> Option<(&ScaleSetName, &Part)> {
    let is_held = release.state != ReleaseState::Running || release.paused;
    if is_held || release.parts.values().any(Part::is_in_flight) {
        return None;
    }
    let stuck: Vec<(&ScaleSetName, &Part)> =
        release.parts.iter().filter(|(_, part)| is_exhausted(release, part)).collect();
    let is_excused =
        |phase: usize, name: &ScaleSetName| release.excused.get(&phase).is_some_and(|it| it.contains(name));
    let waits_for = |part: &Part, (name, of): &(&ScaleSetName, &Part)| {
        part.after.contains(name) || (of.phase < part.phase && !is_excused(part.phase, name))
    };
    let mut first = None;
    for part in release.parts.values() {
        let is_open = match &part.run {
            Run::Waits => true,
            Run::Ended { retry_at, .. } => retry_at.is_some(),
            Run::Left(_) | Run::Runs | Run::Done | Run::GoesBack | Run::Back | Run::NotBack { .. } => false,
        };
        if is_open {
            let by = stuck.iter().find(|stuck| waits_for(part, stuck))?;
            first = first.or(Some(*by));
        }
    }
    first
}

/// Whether a set has come to an end that only a person goes past.
fn is_exhausted(release: &Release, part: &Part) -> bool {
    match &part.run {
        Run::Ended { how: How::Cancelled | How::NotApproved, .. } => true,
        Run::Ended { how: How::Incomplete, retry_at, .. } => {
            retry_at.is_none() && short(release) > release.allowed
        }
        // Passed over by those of later region phases; whoever comes after it waits for it.
        Run::Ended { how: How::Faulted, .. }
        | Run::Waits
        | Run::Left(_)
        | Run::Runs
        | Run::Done
        | Run::GoesBack
        | Run::Back
        | Run::NotBack { .. } => false,
    }
}

/// Sets that failed, and those that are short of an instance and are not tried again by themselves.
fn short(release: &Release) -> usize {
    let is_short = |part: &Part| matches!(part.run, Run::Ended { how: How::Incomplete, retry_at: None, .. });
    let counts = |(_, part): &(&ScaleSetName, &Part)| part.has_failed() || is_short(part);
    let units: BTreeSet<Unit<'_>> =
        release.parts.iter().filter(counts).map(|(name, part)| part.unit(name)).collect();
    units.len()
}
