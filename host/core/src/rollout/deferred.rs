//! Instances that said "not now" at the snapshot: asked again at the end of their phase, and left
//! out when the time for asking is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Decisions, InstanceId, PhaseName, Timestamp};
use crate::plan::{Candidate, Hold, HoldReason, PlanInput, plan};

use super::live;
use super::state::Upgrade;
use super::step::Step;
use super::view::FleetView;

/// What became of the deferred instances whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deferred {
    /// None is due: the next batch may come, or the end.
    Settled,
    /// Some have joined as batches of their own, or were left out; look again.
    Moved,
    /// Some still say "not now".
    Waiting,
}

/// Whether an instance that deferred still stands in the way: its phase is over, and it has not
/// been dealt with.
#[must_use]
pub(super) fn is_due(upgrade: &Upgrade) -> bool {
    due(upgrade).next().is_some()
}

fn due(upgrade: &Upgrade) -> impl Iterator<Item = &InstanceId> {
    let next = upgrade.batches.get(upgrade.current).map(|batch| PhaseName::from(batch.phase));
    let over = move |phase: &PhaseName| next.is_none_or(|next| *phase < next);
    upgrade.deferred.iter().filter(move |(_, phase)| over(phase)).map(|(id, _)| id)
}

/// What is said of an instance that said "not now" for this reason until the time for asking was over;
/// it may have given none.
pub(super) fn out_of_time(detail: &str) -> String {
    const OVER: &str = "the time for asking is over";
    if detail.is_empty() { OVER.to_owned() } else { format!("{detail}; {OVER}") }
}

/// Those whose phase has come, or is over. Nobody waits for the former ones; they go as soon as they say so.
fn in_turn(upgrade: &Upgrade) -> impl Iterator<Item = &InstanceId> {
    let next = upgrade.batches.get(upgrade.current).map(|batch| PhaseName::from(batch.phase));
    let has_come = move |phase: &PhaseName| next.is_none_or(|next| *phase <= next);
    upgrade.deferred.iter().filter(move |(_, phase)| has_come(phase)).map(|(id, _)| id)
}

/// Asks those again whose turn has come. Who says something else by now goes at once: the others may say "not now" for
/// a long time.
pub(super) fn ask(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) -> Deferred {
    let until = upgrade.defer_until(now);
    let waits = is_due(upgrade);
    if upgrade.policy.decisions == Decisions::Live && now < until {
        // All have just been asked.
        if waits {
            out.wake(until);
        }
        return if waits { Deferred::Waiting } else { Deferred::Settled };
    }
    let in_turn: Vec<InstanceId> =
        if now < until { in_turn(upgrade).cloned().collect() } else { due(upgrade).cloned().collect() };
    let gone = |id: &InstanceId| fleet.candidate(id).is_none();
    let asked: Vec<Candidate> = in_turn.iter().filter_map(|id| fleet.candidate(id)).collect();
    let asked: Vec<Candidate> =
        asked.into_iter().filter(|candidate| now >= until || !candidate.defers()).collect();
    let says: BTreeSet<InstanceId> = asked.iter().map(|candidate| candidate.id.clone()).collect();
    let due: BTreeSet<InstanceId> = in_turn.into_iter().filter(|id| says.contains(id) || gone(id)).collect();
    if due.is_empty() {
        if waits {
            out.wake(until);
        }
        return if waits { Deferred::Waiting } else { Deferred::Settled };
    }
    let again = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        goal: &upgrade.open_goal(),
        policy: &upgrade.policy,
        candidates: &asked,
        total: fleet.total(),
        there: upgrade.extent.there(),
        batches_before: upgrade.current,
    });
    upgrade.deferred.retain(|id, _| !due.contains(id));
    upgrade.holds.retain(|hold| !due.contains(&hold.instance));
    let late = |hold: Hold| match hold.reason {
        HoldReason::Defer(detail) => Hold { reason: HoldReason::Defer(out_of_time(&detail)), ..hold },
        HoldReason::PersonHold(detail) => {
            Hold { reason: HoldReason::PersonHold(out_of_time(&detail)), ..hold }
        }
        HoldReason::Skip(_)
        | HoldReason::Protected
        | HoldReason::Undecided
        | HoldReason::Vanished
        | HoldReason::Replaced
        | HoldReason::NoWayBack(_)
        | HoldReason::PluginFailed(_)
        | HoldReason::PersonSkip(_)
        | HoldReason::Unknown(_) => hold,
    };
    upgrade.already += again.already.len();
    out.head_changed |= !again.already.is_empty();
    upgrade.holds.extend(again.holds.into_iter().map(late));
    upgrade.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    let candidates: BTreeMap<&InstanceId, &Candidate> = asked.iter().map(|c| (&c.id, c)).collect();
    live::join(upgrade, again.batches, &candidates, out);
    out.left_out_changed = true;
    Deferred::Moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_only_where_one_was_given() {
        let said = |detail: &str| HoldReason::Defer(out_of_time(detail)).to_string();
        assert_eq!(said(""), "not now: the time for asking is over");
        assert_eq!(said("a backup runs"), "not now: a backup runs; the time for asking is over");
    }
}
