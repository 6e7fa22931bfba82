//! Live decisions: before each batch everybody whose turn has not come is asked again.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{InstanceId, Timestamp};
use crate::plan::{Batch, Candidate, Hold, HoldReason, PlanInput, plan};

use super::member::MemberState;
use super::state::Upgrade;
use super::step::{FleetView, Step};

/// Plans anew for all that has not been touched. Leaves everything as it is when the answers are
/// the same.
pub(super) fn ask_again(upgrade: &mut Upgrade, fleet: &dyn FleetView, now: Timestamp, out: &mut Step) {
    let all = fleet.candidates();
    let total = all.len();
    let is_open = |candidate: &Candidate| {
        upgrade.members.get(&candidate.id).is_none_or(|member| member.state == MemberState::Pending)
    };
    let open: Vec<Candidate> = all.into_iter().filter(is_open).collect();
    let again = plan(&PlanInput {
        scale_set: &upgrade.scale_set,
        goal: &upgrade.goal,
        policy: &upgrade.policy,
        candidates: &open,
        total,
        batches_before: upgrade.current,
    });
    let late = now >= upgrade.defer_until();
    let holds: Vec<Hold> =
        again.holds.into_iter().map(|hold| if late { expired(hold) } else { hold }).collect();
    let same_order = is_same(upgrade, &again.batches);
    if same_order && says_the_same(&upgrade.holds, &holds) {
        return;
    }
    let candidates: BTreeMap<&InstanceId, &Candidate> = open.iter().map(|c| (&c.id, c)).collect();
    if !same_order {
        clear(upgrade, out);
        let joined = upgrade.insert(again.batches, &candidates);
        out.changed.extend(joined);
    }
    upgrade.deferred.clear();
    upgrade.hold(holds, &candidates);
    out.head_changed = true;
}

/// A "not now" counts as skip when the time for asking is over.
fn expired(hold: Hold) -> Hold {
    match hold.reason {
        HoldReason::Defer(detail) => {
            let detail = if detail.is_empty() { "said \"not now\"".to_owned() } else { detail };
            let reason = HoldReason::Skip(format!("{detail}; the time for asking is over"));
            Hold { instance: hold.instance, reason }
        }
        reason => Hold { instance: hold.instance, reason },
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
fn says_the_same(ours: &[Hold], theirs: &[Hold]) -> bool {
    let of = |hold: &Hold| (hold.instance.clone(), hold.reason.code());
    ours.iter().map(of).eq(theirs.iter().map(of))
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
    upgrade.batches.truncate(upgrade.current);
}
