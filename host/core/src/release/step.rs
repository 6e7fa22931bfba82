//! One step of a release: what its sets have come to, which gates are open, and what begins or ends.
//!
//! Total: it may be called at any time, and gives the same for the same. Sets that changed are named by the caller,
//! so that an event of one set costs what that set costs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::enrolment::{Left, Moves};
use super::estate::{Child, ChildEnd, EstateView, Facts, Well};
use super::gates::{Gates, Looked, forget_excuses};
use super::reasons::{NotBegun, REFUSED_AGAIN, judge};
use super::state::{End, How, Part, Release, ReleaseState, Run, Unit};
use super::wind_up::wind_up;
use crate::domain::{Location, ScaleSetName, Timestamp};

/// What follows from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the upgrade of a set.
    Start(ScaleSetName),
    /// End the upgrade of a set after the batch in flight.
    Cancel(ScaleSetName),
    /// Take back what the release has brought to a set.
    RollBack(ScaleSetName),
    /// Nobody gets the version by itself any more; why.
    Quarantine(String),
    /// The version is no longer in quarantine.
    LiftQuarantine,
    /// Something that people want to know.
    Say(&'static str, String),
}

/// Result of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// In order.
    pub actions: Vec<Action>,
    /// Sets whose row changed.
    pub changed: BTreeSet<ScaleSetName>,
    /// Whether anything else changed.
    pub head_changed: bool,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// Whether it has looked at all of its sets: something had changed, or its time had come.
    pub whole: bool,
}

impl Step {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// Whether a set has failed and its next try is due.
pub(super) fn is_retried(part: &Part, now: Timestamp) -> bool {
    matches!(part.run, Run::Ended { retry_at: Some(at), .. } if at <= now)
}

/// The sets whose upgrade is under way and may not admit another batch now.
pub fn held(release: &Release, now: Timestamp) -> Vec<ScaleSetName> {
    // Who came late and waits for the end of its pair would wait for ever, were that held for it.
    let flying: BTreeSet<&Location> = release.regions_in_flight().collect();
    let pair_flies = |part: &Part| release.strategy.paired(&part.location).any(|pair| flying.contains(pair));
    let has_not_begun = |part: &Part| part.run == Run::Waits || is_retried(part, now);
    let gates = Gates::without(release, now, |part| has_not_begun(part) && pair_flies(part));
    let is_held = |part: &Part| {
        let halted = release.state == ReleaseState::Halted && !part.passed_over;
        part.run == Run::Runs && (release.paused || halted || gates.shut(part.phase).is_some())
    };
    let all = release.parts.iter().filter(|(_, part)| release.is_active() && is_held(part));
    all.map(|(name, _)| name.clone()).collect()
}

/// Why a set whose upgrade is under way may not admit another batch.
pub fn why_held(release: &Release, part: &Part, now: Timestamp) -> NotBegun {
    if release.paused {
        return NotBegun::Paused;
    }
    match Gates::of(release, now).shut(part.phase) {
        Some((waits_for, set)) if release.state != ReleaseState::Halted => {
            NotBegun::Phase { waits_for, set: set.clone() }
        }
        Some(_) | None => NotBegun::Halted,
    }
}

/// Takes in what has become of the sets that are named. When one of them stands otherwise than before, or its time has
/// come, it looks at all of them once; else only at those that are named.
pub fn step(
    release: &mut Release,
    estate: &dyn EstateView,
    touched: &BTreeSet<ScaleSetName>,
    now: Timestamp,
) -> Step {
    let mut out = Step::default();
    if !release.is_active() {
        return out;
    }
    let mut may: Vec<(usize, ScaleSetName)> = Vec::new();
    for name in touched {
        let Some(before) = release.parts.get(name).cloned() else { continue };
        let mut part = before.clone();
        take_in(release, &mut part, (name, estate.facts(name, &before)), now, &mut out);
        if part.run == Run::Waits || is_retried(&part, now) {
            may.push((part.phase, name.clone()));
        }
        if part != before {
            if differs(&part, &before) {
                out.changed.insert(name.clone());
            }
            release.parts.insert(name.clone(), part);
            release.looked = None;
        }
    }
    if let Some(looked) = still_true(release, now) {
        debug_assert_eq!(
            Looked { wake_at: looked.wake_at, ..Looked::at(release, now) },
            *looked,
            "it has changed"
        );
        out.wake_at = looked.wake_at;
        begin(release, (&looked, may), estate, now, &mut out);
        return out;
    }
    out.whole = true;
    abort_together(release, &mut out);
    forget_excuses(release, now, &mut out);
    match release.state {
        ReleaseState::Running | ReleaseState::Halted => go_on(release, estate, now, &mut out),
        ReleaseState::Ending(end) => wind_up(release, estate, end, now, &mut out),
        ReleaseState::Ended(..) => {}
    }
    out
}

/// What the last look at all sets has found, if nothing has changed since.
fn still_true(release: &Release, now: Timestamp) -> Option<Arc<Looked>> {
    let goes_on = matches!(release.state, ReleaseState::Running | ReleaseState::Halted);
    release.looked.clone().filter(|looked| goes_on && looked.wake_at.is_none_or(|at| at > now))
}

/// Whether what is recorded of a part differs.
fn differs(a: &Part, b: &Part) -> bool {
    let (seen_well, watched_since, has_shown) = (b.seen_well, b.watched_since, b.has_shown);
    Part { seen_well, watched_since, has_shown, ..a.clone() } != *b
}

/// How the way back of a set stands.
fn goes_back(part: &mut Part, (name, facts): (&ScaleSetName, &Facts), out: &mut Step) {
    match &facts.child {
        Some(Child { end: ChildEnd::Running, .. }) => {}
        Some(Child { end: ChildEnd::Completed, .. }) if !facts.remains => part.run = Run::Back,
        Some(Child { end: ChildEnd::Completed, .. }) if facts.only_touched && part.from.is_some() => {
            let text = format!("scale set `{name}` has the version on others too, which go back next");
            out.actions.push(Action::Say("goes-back", text));
            out.actions.push(Action::RollBack(name.clone()));
        }
        Some(Child { end, .. }) => {
            let why = not_back(end);
            out.actions.push(Action::Say("not-back", format!("scale set `{name}` is not back: {why}")));
            part.run = Run::NotBack { why };
        }
        None => part.run = Run::Back,
    }
}

/// What has become of one set.
fn take_in(
    release: &Release,
    part: &mut Part,
    (name, facts): (&ScaleSetName, Option<Facts>),
    now: Timestamp,
    out: &mut Step,
) {
    let Some(facts) = facts else {
        if !matches!(part.run, Run::Left(Left::Gone)) {
            part.run = Run::Left(Left::Gone);
            out.actions.push(Action::Say("left", format!("scale set `{name}` left the configuration")));
        }
        return;
    };
    match part.run.clone() {
        Run::Waits | Run::Left(_) => part.run = of_standing(&facts),
        Run::Runs => runs(release, part, (name, &facts), now, out),
        Run::Ended { how, .. } => match facts.standing {
            Err(Left::HeldUnhealthy) => {}
            Err(left) => part.run = Run::Left(left),
            // A person has brought it there, or whoever lacked the version has it by now.
            Ok(Moves::There)
                if facts.complete && facts.shown && (facts.completed_since || how == How::Incomplete) =>
            {
                part.run = Run::Done;
                part.passed_over = false;
                let text = format!("scale set `{name}` has {} {} by now", release.subject, release.version);
                out.actions.push(Action::Say("set-done", text));
            }
            Ok(_) => {}
        },
        Run::GoesBack => goes_back(part, (name, &facts), out),
        Run::Done if facts.standing == Ok(Moves::Up) && facts.busy.is_none() => {
            let why = "it was taken back to what it had before".to_owned();
            out.actions.push(Action::Say("set-ended", format!("scale set `{name}` ended: {why}")));
            part.run = Run::Ended { how: How::Cancelled, why, retry_at: None };
            (part.well_since, part.watched_since) = (None, None);
        }
        Run::Done if facts.standing == Ok(Moves::There) && facts.behind && facts.busy.is_none() => {
            let text = format!("scale set `{name}` has an instance without the version, and brings it there");
            out.actions.push(Action::Say("joins", text));
            part.run = Run::Waits;
            (part.well_since, part.watched_since) = (None, None);
        }
        Run::Done | Run::Back | Run::NotBack { .. } => {}
    }
    if part.run == Run::Done {
        part.seen_well = facts.well == Well::Yes;
        part.has_shown = facts.shown;
        match facts.well {
            Well::Yes => {
                part.well_since = part.well_since.or(Some(now));
                part.watched_since = part.watched_since.or(Some(now));
            }
            Well::No => {
                part.watched_since = None;
                if part.well_since.take().is_some() {
                    let text = format!("scale set `{name}` is no longer well; later region phases wait");
                    out.actions.push(Action::Say("revoked", text));
                }
            }
            Well::NotKnown => {}
        }
    }
}

/// Why a way back that has ended has not brought everything back.
fn not_back(end: &ChildEnd) -> String {
    match end {
        ChildEnd::Running | ChildEnd::Completed => {
            "an instance of it has the version all the same".to_owned()
        }
        ChildEnd::Faulted(why) | ChildEnd::Cancelled(why) | ChildEnd::NotApproved(why) => why.clone(),
    }
}

fn of_standing(facts: &Facts) -> Run {
    match facts.standing {
        Ok(Moves::Up) => Run::Waits,
        Ok(Moves::There) if facts.complete => Run::Done,
        Ok(Moves::There) => Run::Waits,
        Err(left) => Run::Left(left),
    }
}

/// A set whose upgrade is under way, or has just ended.
fn runs(
    release: &Release,
    part: &mut Part,
    (name, facts): (&ScaleSetName, &Facts),
    now: Timestamp,
    out: &mut Step,
) {
    let end = facts.child.as_ref().map_or_else(
        || ChildEnd::Cancelled("its upgrade is not known any more".to_owned()),
        |child| child.end.clone(),
    );
    let opted_out = facts.standing.err().filter(|left| is_decided_by_people(*left));
    let again = |how: How, why: String| {
        let (after, limit) =
            facts.retry.map_or((release.strategy.retry_after, release.strategy.retry_limit), |rule| {
                (rule.after, rule.limit)
            });
        // What waits for a person's word is not asked for again by itself.
        let is_by_itself = matches!(how, How::Faulted | How::Incomplete);
        let retry_at = (is_by_itself && part.tries <= limit).then_some(now + after);
        Run::Ended { how, why, retry_at }
    };
    let next = match end {
        ChildEnd::Running => {
            if opted_out.is_some() && !part.cancelling {
                part.cancelling = true;
                out.actions.push(Action::Cancel(name.clone()));
            }
            return;
        }
        ChildEnd::Completed if facts.complete => Run::Done,
        // Whoever has come meanwhile is brought there by another one.
        ChildEnd::Completed if facts.behind => Run::Waits,
        ChildEnd::Completed => {
            again(How::Incomplete, "an eligible instance does not have the version".to_owned())
        }
        ChildEnd::Faulted(why) => again(How::Faulted, why),
        ChildEnd::NotApproved(why) => again(How::NotApproved, why),
        ChildEnd::Cancelled(_) if part.cancelling => opted_out.map_or(Run::Waits, Run::Left),
        ChildEnd::Cancelled(why) => again(How::Cancelled, why),
    };
    let (code, text) = match &next {
        Run::Done => ("set-done", format!("scale set `{name}` has {} {}", release.subject, release.version)),
        Run::Ended { how: How::Faulted, why, .. } => {
            ("set-failed", format!("scale set `{name}` failed: {why}"))
        }
        Run::Ended { why, .. } => ("set-ended", format!("scale set `{name}` ended: {why}")),
        Run::Waits | Run::Left(_) | Run::Runs | Run::GoesBack | Run::Back | Run::NotBack { .. } => {
            ("set-ended", format!("scale set `{name}` was ended by the release"))
        }
    };
    out.actions.push(Action::Say(code, text));
    part.cancelling = false;
    part.passed_over = matches!(next, Run::Ended { how: How::Faulted, .. });
    part.run = next;
}

/// Whether people have decided that a set is no part, whatever it has.
pub(super) fn is_decided_by_people(left: Left) -> bool {
    match left {
        Left::NotEnrolled | Left::OptedOut | Left::NotRegistered | Left::ServiceFabric | Left::Gone => true,
        // While its upgrade runs, the version is wanted there already.
        Left::OtherMajor
        | Left::Newer
        | Left::NotComparable
        | Left::HeldUnhealthy
        | Left::TakenBack
        | Left::FailedBefore
        | Left::NotApproved
        | Left::Ended => false,
    }
}

/// What comes after a set that has failed ends with it: its upgrade, if it runs again, waits for that set once more.
fn abort_together(release: &mut Release, out: &mut Step) {
    let has_failed = |name: &ScaleSetName| {
        let run = release.parts.get(name).map(|part| &part.run);
        matches!(run, Some(Run::Ended { how: How::Faulted, .. }))
    };
    let bound = |part: &Part| part.run == Run::Runs && part.after.iter().any(has_failed);
    let running: Vec<ScaleSetName> =
        release.parts.iter().filter(|(_, part)| bound(part)).map(|(name, _)| name.clone()).collect();
    for name in running {
        cancel(release, &name, out);
    }
}

pub(super) fn cancel(release: &mut Release, name: &ScaleSetName, out: &mut Step) {
    if let Some(part) = release.parts.get_mut(name).filter(|part| part.run == Run::Runs && !part.cancelling) {
        part.cancelling = true;
        out.changed.insert(name.clone());
        out.actions.push(Action::Cancel(name.clone()));
    }
}

/// Halts or goes on, begins sets, and ends when nothing is left.
fn go_on(release: &mut Release, estate: &dyn EstateView, now: Timestamp, out: &mut Step) {
    halt(release, out);
    let mut looked = Looked::at(release, now);
    let mut may = Vec::new();
    looked.gates.wake_at.into_iter().for_each(|at| out.wake(at));
    for (name, part) in &release.parts {
        if part.run == Run::Waits || is_retried(part, now) {
            may.push((part.phase, name.clone()));
        }
        if let Run::Ended { retry_at: Some(at), .. } = part.run
            && at > now
        {
            out.wake(at);
        }
        if let Some((at, _)) = &part.refused
            && *at + REFUSED_AGAIN > now
        {
            out.wake(*at + REFUSED_AGAIN);
        }
    }
    let is_over = |part: &Part| match &part.run {
        // It joins when it is well.
        Run::Left(Left::HeldUnhealthy) => false,
        Run::Left(_) | Run::Done | Run::Back | Run::NotBack { .. } | Run::Ended { retry_at: None, .. } => {
            true
        }
        Run::Waits | Run::Runs | Run::GoesBack | Run::Ended { .. } => false,
    };
    if release.state == ReleaseState::Running && release.parts.values().all(is_over) {
        return end(release, End::Completed, now, out);
    }
    looked.wake_at = out.wake_at;
    let looked = Arc::new(looked);
    release.looked = Some(Arc::clone(&looked));
    begin(release, (&looked, may), estate, now, out);
}

pub(super) fn end(release: &mut Release, end: End, now: Timestamp, out: &mut Step) {
    release.state = ReleaseState::Ended(end, now);
    out.head_changed = true;
    out.wake_at = None;
    out.actions.push(Action::Say("end", format!("the release has ended: {}", end.name())));
}

/// More failed sets than allowed halt it everywhere; fewer again let it go on.
fn halt(release: &mut Release, out: &mut Step) {
    let units = release.failed_units();
    let (failed, has_machines) = (units.len(), units.iter().any(|unit| matches!(unit, Unit::Machines(..))));
    let is_over = failed > release.allowed;
    match release.state {
        ReleaseState::Running if is_over => {
            let names: Vec<String> = release.failed().map(|(name, _)| format!("`{name}`")).collect();
            let group = if has_machines { "; the machines of a group count as one" } else { "" };
            let (names, allowed) = (names.join(", "), release.allowed);
            let why = format!("{failed} of its scale sets failed ({names}), and {allowed} may{group}");
            release.state = ReleaseState::Halted;
            out.head_changed = true;
            out.actions.push(Action::Quarantine(why.clone()));
            out.actions.push(Action::Say("halted", format!("the release is halted: {why}")));
            let others: Vec<ScaleSetName> = release
                .parts
                .iter()
                .filter(|(_, part)| part.run == Run::Runs && !part.passed_over)
                .map(|(name, _)| name.clone())
                .collect();
            for name in others {
                cancel(release, &name, out);
            }
        }
        ReleaseState::Halted if !is_over => {
            release.state = ReleaseState::Running;
            out.head_changed = true;
            out.actions.push(Action::LiftQuarantine);
            out.actions.push(Action::Say("goes-on", "the release goes on".to_owned()));
        }
        ReleaseState::Running | ReleaseState::Halted | ReleaseState::Ending(_) | ReleaseState::Ended(..) => {}
    }
}

/// Begins those of the sets that may begin which nothing speaks against, in the order of region phase and name.
fn begin(
    release: &mut Release,
    (looked, mut may): (&Looked, Vec<(usize, ScaleSetName)>),
    estate: &dyn EstateView,
    now: Timestamp,
    out: &mut Step,
) {
    may.sort();
    let gates = &looked.gates;
    let mut flying = looked.flying.clone();
    for (_, name) in may {
        let Some(part) = release.parts.get(&name) else { continue };
        if gates.shut(part.phase).is_some() {
            continue;
        }
        let borrowed: BTreeSet<&Location> = flying.iter().collect();
        // What is the same for all comes first: the set itself is looked at only when it could begin.
        let first = judge(release, gates, &borrowed, (&name, None), estate, now);
        if first != NotBegun::Now {
            continue;
        }
        let facts = estate.facts(&name, part);
        let Some(facts) = facts.filter(|facts| facts.standing.is_ok()) else { continue };
        let verdict = judge(release, gates, &borrowed, (&name, Some(&facts)), estate, now);
        if verdict == NotBegun::Now {
            flying.insert(part.location.clone());
            out.actions.push(Action::Start(name));
            release.looked = None;
        }
    }
}
