//! The same over all sets of the host: where each of them is too small to tell, all of them together may.
//!
//! A set in which everybody answers is not held by it. What is kept is a handful of counts for each set, moved when the
//! set has changed: a turn costs those, and only while most of all members are silent the sets that went silent last.

use std::time::Duration;

use imbl::{OrdMap, OrdSet};

use super::{is_untouched, let_go, told, untouched, window};
use crate::domain::{Now, ScaleSetName, Timestamp};
use crate::kernel::out::{Out, SelfDoubt};
use crate::kernel::state::{Fleet, SetState};
use crate::record::audit::Doubt;

/// Fewer that nothing has touched prove nothing about the host, over all sets: one of two, or two of two, may be ill.
const UNTOUCHED_LEAST: usize = 3;

/// So large a share of all that went silent at once may become most of them: one in so many.
const GOES_ROUND: usize = 10;

/// So many of all members went silent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// So many are silent.
    pub silent: usize,
    /// Of so many that nothing has touched.
    pub of: usize,
}

/// What is kept of all sets.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct Whole {
    counted: OrdMap<ScaleSetName, Counted>,
    /// Members that no effect has touched.
    untouched: usize,
    /// Members that are silent and had answered before.
    silent: usize,
    /// Sets with somebody of these, by the latest of them.
    latest: OrdSet<(Timestamp, ScaleSetName)>,
    /// Sets with somebody who has not answered the latest probe.
    unanswered: OrdSet<ScaleSetName>,
    /// Silence may go round: when the latest of those began that went silent at once.
    goes_round: Option<Timestamp>,
    doubt: Option<Held>,
}

/// The host doubts itself.
#[derive(Debug, Clone)]
struct Held {
    most: Most,
    /// Sets that wait for it to end.
    sets: OrdSet<ScaleSetName>,
    /// Sets of which a person has said that the host sees them well.
    trusted: OrdSet<ScaleSetName>,
}

/// What one set adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    untouched: usize,
    silent: usize,
    latest: Option<Timestamp>,
    unanswered: usize,
}

impl Counted {
    fn of(set: &SetState) -> Self {
        let evidence = set.evidence();
        let silent = evidence.silent();
        Self {
            untouched: untouched(set),
            silent: silent.len(),
            latest: silent.get_max().map(|(since, _)| *since),
            unanswered: evidence.unanswered(),
        }
    }
}

impl Whole {
    fn moved(&mut self, name: &ScaleSetName, after: Option<Counted>) {
        let before = match after {
            Some(after) if self.counted.get(name) == Some(&after) => return,
            Some(after) => self.counted.insert(name.clone(), after),
            None => self.counted.remove(name),
        };
        if let Some(Counted { untouched, silent, latest, unanswered: _ }) = before {
            self.untouched = self.untouched.saturating_sub(untouched);
            self.silent = self.silent.saturating_sub(silent);
            latest.into_iter().for_each(|at| drop(self.latest.remove(&(at, name.clone()))));
        }
        if let Some(Counted { untouched, silent, latest, unanswered: _ }) = after {
            self.untouched += untouched;
            self.silent += silent;
            latest.into_iter().for_each(|at| drop(self.latest.insert((at, name.clone()))));
        }
        if after.is_some_and(|after| after.unanswered > 0) {
            self.unanswered.insert(name.clone());
        } else {
            self.unanswered.remove(name);
        }
    }

    /// Whether so many are most of all. Of one set alone its own rule says that.
    fn is_most(&self, silent: usize) -> bool {
        self.untouched >= UNTOUCHED_LEAST && silent * 2 > self.untouched && self.counted.len() > 1
    }
}

/// Counts the sets that were changed.
pub(in crate::kernel) fn count(fleet: &mut Fleet) {
    for name in &fleet.touched {
        let counted = fleet.sets.get(name).map(|set| Counted::of(set));
        fleet.whole.moved(name, counted);
    }
}

/// Counts all sets: for a start.
pub(in crate::kernel) fn count_all(fleet: &mut Fleet) {
    fleet.whole = Whole::default();
    for (name, set) in &fleet.sets {
        fleet.whole.moved(name, Some(Counted::of(set)));
    }
}

/// Looks whether most of all have gone silent at once, or answer again, after the sets that were changed.
pub(in crate::kernel) fn look(fleet: &mut Fleet, now: Now, out: &mut Out) {
    count(fleet);
    if fleet.whole.doubt.is_none() {
        if let Some(silent) = gone_silent(fleet, now.at) {
            fleet.whole.goes_round = fleet.whole.latest.get_max().map(|(at, _)| *at);
            if fleet.whole.is_most(silent) {
                begin(fleet, Most { silent, of: fleet.whole.untouched }, now, out);
            }
        }
        return;
    }
    if !fleet.whole.is_most(fleet.whole.silent) {
        return end(fleet, now, out);
    }
    for name in fleet.touched.clone() {
        if fleet.whole.unanswered.contains(&name) {
            hold(fleet, &name, now, out);
        } else {
            release(fleet, &name, now, out);
        }
    }
}

/// How many of those that nothing has touched went silent within one interval, if that is a share worth a thought.
fn gone_silent(fleet: &Fleet, now: Timestamp) -> Option<usize> {
    let whole = &fleet.whole;
    let may_be_all =
        |silent: usize| silent > 1 && silent * GOES_ROUND >= whole.untouched && whole.counted.len() > 1;
    // Cheap, and nearly always all that is asked.
    if whole.untouched < UNTOUCHED_LEAST || !may_be_all(whole.silent) {
        return None;
    }
    // The longest of those that have just said nothing: who is asked rarely goes silent late.
    let told = fleet.touched.iter().filter_map(|name| fleet.sets.get(name));
    let window: Duration =
        told.filter(|set| !set.evidence().silent().is_empty()).map(|set| window(set)).max()?;
    let is_recent = |since: Timestamp| now.since(since) <= window;
    let mut silent = 0;
    for (_, name) in whole.latest.iter().rev().take_while(|(latest, _)| is_recent(*latest)) {
        let Some(set) = fleet.sets.get(name) else { continue };
        let all = set.evidence().silent().iter().rev();
        let recent = all.take_while(|(since, _)| is_recent(*since) && *since > set.trusted_at);
        silent += recent.filter(|(_, id)| is_untouched(set, id)).count();
        if whole.is_most(silent) {
            break;
        }
    }
    Some(silent).filter(|silent| may_be_all(*silent))
}

/// Lets a set know whether silence goes round, over all sets.
pub(in crate::kernel) fn look_beside(fleet: &mut Fleet, name: &ScaleSetName) {
    let latest = fleet.whole.goes_round;
    if fleet.sets.get(name).is_some_and(|set| set.silence_beside != latest)
        && let Some(set) = fleet.change(name)
    {
        set.silence_beside = latest;
    }
}

fn begin(fleet: &mut Fleet, most: Most, now: Now, out: &mut Out) {
    fleet.whole.doubt = Some(Held { most, sets: OrdSet::new(), trusted: OrdSet::new() });
    let Most { silent, of } = most;
    out.changes.doubt_of_all = Some(SelfDoubt::Began { silent, of });
    for name in fleet.whole.unanswered.clone() {
        hold(fleet, &name, now, out);
    }
}

/// A set with somebody who does not answer waits, too.
fn hold(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    let Some(doubt) = &mut fleet.whole.doubt else { return };
    if doubt.trusted.contains(name) || doubt.sets.contains(name) {
        return;
    }
    doubt.sets.insert(name.clone());
    let Most { silent, of } = doubt.most;
    let most = doubt.most;
    let Some(set) = fleet.change(name) else { return };
    set.doubted_with = Some(most);
    set.dirty = true;
    if set.suspicion.is_none() {
        set.suspicion = Some(now.at);
        if set.active().is_some() {
            told(set, Doubt::BeganOverAll { silent, of }, now, out);
        }
    }
}

/// Everybody in a set answers: it waits no longer.
fn release(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    let Some(doubt) = &mut fleet.whole.doubt else { return };
    if doubt.sets.remove(name).is_some()
        && let Some(set) = fleet.change(name)
    {
        let_go(set, now, out);
    }
}

fn end(fleet: &mut Fleet, now: Now, out: &mut Out) {
    let Some(doubt) = fleet.whole.doubt.take() else { return };
    out.changes.doubt_of_all = Some(SelfDoubt::Ended);
    for name in doubt.sets {
        if let Some(set) = fleet.change(&name) {
            let_go(set, now, out);
        }
    }
}

/// A person says that the host sees a set well: for that one the doubt is over.
pub(super) fn trusted(fleet: &mut Fleet, name: &ScaleSetName) {
    if let Some(doubt) = &mut fleet.whole.doubt {
        doubt.sets.remove(name);
        doubt.trusted.insert(name.clone());
    }
}

#[cfg(test)]
impl Fleet {
    /// Untouched, silent, sets that are silent and sets in which somebody has not answered, as they are kept.
    pub(in crate::kernel) fn silence(&self) -> (usize, usize, usize, usize) {
        let mut kept = self.clone();
        count(&mut kept);
        let Whole { untouched, silent, latest, unanswered, .. } = &kept.whole;
        (*untouched, *silent, latest.len(), unanswered.len())
    }

    /// The same, by a look at all sets.
    pub(in crate::kernel) fn silence_counted_anew(&self) -> (usize, usize, usize, usize) {
        let mut anew = self.clone();
        anew.touched.clear();
        count_all(&mut anew);
        anew.silence()
    }
}
