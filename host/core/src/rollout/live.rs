//! Live decisions: before each batch, all instances whose turn has not come are asked again.

use std::collections::{BTreeMap, BTreeSet};

use imbl::Vector;

use crate::domain::{InstanceId, Participation, Timestamp};
use crate::plan::{Batch, Candidate, Hold, HoldReason, PlanInput, Standing, plan};

use super::deferred::out_of_time;
use super::evidence;
use super::member::MemberState;
use super::state::Upgrade;
use super::step::Step;
use super::view::FleetView;

/// Plans anew for all that has not been touched. Leaves everything as it is when the answers are
/// the same.
pub(super) fn ask_again(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let all = fleet.candidates();
    let total = all.len();
    let is_open = |candidate: &Candidate| {
        upgrade.members.get(&candidate.id).is_none_or(|member| member.state == MemberState::Pending)
    };
    let heard = |candidate: Candidate| {
        // Who has not answered is no candidate of this batch, and is asked again before the next one. At the end
        // only who is silent is left out: others may not have had their turn to be asked.
        let from = if upgrade.has_more() { upgrade.evidence_from } else { Timestamp(i64::MIN) };
        let first = upgrade.policy.rolling.prioritize_unhealthy_instances;
        let consents =
            matches!(candidate.standing, Standing::Decided { participation: Participation::Proceed, .. });
        if !consents || first || fleet.has_answered(&candidate.id, from) {
            return candidate;
        }
        let detail = "has not answered since the batch before had ended".to_owned();
        let phase = candidate.standing.phase();
        let says = candidate.standing.said();
        Candidate { standing: Standing::Unknown { detail, phase, says }, ..candidate }
    };
    let open: Vec<Candidate> = all.into_iter().filter(is_open).map(heard).collect();
    let open = evidence::of_release(upgrade, open);
    let again = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        goal: &upgrade.open_goal(),
        policy: &upgrade.policy,
        candidates: &open,
        total,
        there: upgrade.extent.there(),
        batches_before: upgrade.current,
    });
    if upgrade.already != again.already.len() {
        // Whatever brought them there: they are no part of it any more, and not forgotten.
        upgrade.already = again.already.len();
        out.head_changed = true;
    }
    let unproven = upgrade.unproven.clone();
    upgrade.find_unproven(&again, &open);
    out.head_changed |= upgrade.unproven != unproven;
    let late = now >= upgrade.defer_until(now);
    let holds: Vec<Hold> =
        again.holds.into_iter().map(|hold| if late { expired(hold) } else { hold }).collect();
    let same_order = is_same(upgrade, &again.batches);
    if same_order && says_the_same(&upgrade.holds, &holds) {
        return;
    }
    let candidates: BTreeMap<&InstanceId, &Candidate> = open.iter().map(|c| (&c.id, c)).collect();
    if !same_order {
        clear(upgrade, out);
        join(upgrade, again.batches, &candidates, out);
    }
    upgrade.deferred.clear();
    upgrade.hold(holds, &candidates);
    out.left_out_changed = true;
    out.head_changed = true;
}

/// A "not now" counts as skip when the time for asking is over.
fn expired(hold: Hold) -> Hold {
    match hold.reason {
        HoldReason::Defer(detail) => {
            let detail = if detail.is_empty() { "said \"not now\"" } else { &detail };
            Hold { reason: HoldReason::Skip(out_of_time(detail)), ..hold }
        }
        HoldReason::PersonHold(detail) => {
            Hold { reason: HoldReason::PersonSkip(out_of_time(&detail)), ..hold }
        }
        HoldReason::Skip(_)
        | HoldReason::Protected
        | HoldReason::Vanished
        | HoldReason::Replaced
        | HoldReason::NoWayBack(_)
        | HoldReason::Undecided
        | HoldReason::PluginFailed(_)
        | HoldReason::PersonSkip(_)
        | HoldReason::Unknown(_) => hold,
    }
}

/// Whether the batches ahead are these. One that was cut to the budget is made anew.
fn is_same(upgrade: &Upgrade, batches: &[Batch]) -> bool {
    let ahead = upgrade.batches.iter().enumerate().skip(upgrade.current);
    let equal = |((index, ours), theirs): ((usize, &super::BatchProgress), &Batch)| {
        ours.phase == theirs.phase
            && ours.zone == theirs.zone
            && ours.update_domain == theirs.update_domain
            && upgrade.batch_members(index).into_iter().eq(&theirs.instances)
    };
    upgrade.batches.len().saturating_sub(upgrade.current) == batches.len() && ahead.zip(batches).all(equal)
}

/// The wording of a reason may hold figures that change with every probe.
fn says_the_same(ours: &Vector<Hold>, theirs: &[Hold]) -> bool {
    let of = |hold: &Hold| (hold.instance.clone(), hold.reason.code());
    let ours = ours.iter().filter(|hold| !hold.reason.is_of_one_gone());
    ours.map(of).eq(theirs.iter().map(of))
}

/// Puts batches in.
pub(super) fn join(
    upgrade: &mut Upgrade,
    batches: Vec<Batch>,
    candidates: &BTreeMap<&InstanceId, &Candidate>,
    out: &mut Step,
) {
    let first = upgrade.next_number;
    out.changed.extend(upgrade.insert(batches, candidates));
    out.batches_changed.extend(first..upgrade.next_number);
    out.order_changed |= first != upgrade.next_number;
}

/// Takes everything out that lies ahead.
fn clear(upgrade: &mut Upgrade, out: &mut Step) {
    let ahead: BTreeSet<InstanceId> = (upgrade.current..upgrade.batches.len())
        .flat_map(|index| upgrade.batch_members(index))
        .cloned()
        .collect();
    for id in ahead {
        upgrade.members.remove(&id);
        out.changed.insert(id);
    }
    out.batches_changed.extend(upgrade.batches.iter().skip(upgrade.current).map(|batch| batch.number));
    upgrade.batches.truncate(upgrade.current);
    out.order_changed = true;
}
