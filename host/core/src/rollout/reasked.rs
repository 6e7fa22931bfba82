//! Instances about which a person has said something while the upgrade runs, or that were silent when it was planned and
//! have answered since: each is planned anew between two batches, by what it is like then. One whose turn has come is
//! left to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Decisions, InstanceId, PhaseName, Timestamp};
use crate::plan::{Candidate, Hold, HoldReason, PlanInput, plan};

use super::member::MemberState;
use super::state::Upgrade;
use super::step::Step;
use super::view::FleetView;
use super::{evidence, live};

/// Remembers whom the plan leaves out only because nobody has heard anything of them: that says nothing of whether they
/// may be upgraded, and counts against nobody who answers later.
pub(super) fn note_silent(upgrade: &mut Upgrade, fleet: &dyn FleetView) {
    if upgrade.policy.decisions == Decisions::Live {
        // All are asked again before each batch anyway.
        return;
    }
    let is_silent =
        |hold: &&Hold| matches!(hold.reason, HoldReason::Unknown(_)) && fleet.is_silent(&hold.instance);
    upgrade.unheard = upgrade.holds.iter().filter(is_silent).map(|hold| hold.instance.clone()).collect();
}

/// Those that were silent at the plan and have answered since are to be planned.
fn hear(upgrade: &mut Upgrade, fleet: &dyn FleetView, out: &mut Step) {
    let answers = |id: &&InstanceId| fleet.has_answered(id, Timestamp(i64::MIN));
    let heard: Vec<InstanceId> = upgrade.unheard.iter().filter(answers).cloned().collect();
    if heard.is_empty() {
        return;
    }
    upgrade.unheard.retain(|id| !heard.contains(id));
    upgrade.reask.extend(heard);
    out.left_out_changed = true;
    out.head_changed = true;
}

/// Plans anew for those that are to be asked again; gives whether there were any.
pub(super) fn ask(upgrade: &mut Upgrade, fleet: &dyn FleetView, out: &mut Step) -> bool {
    hear(upgrade, fleet, out);
    if upgrade.reask.is_empty() {
        return false;
    }
    let is_open =
        |id: &InstanceId| upgrade.members.get(id).is_none_or(|member| member.state == MemberState::Pending);
    // One that is gone meanwhile stays counted as one that has vanished.
    let open = upgrade.reask.iter().filter(|id| is_open(id) && fleet.candidate(id).is_some());
    let open: Vec<InstanceId> = open.cloned().collect();
    upgrade.reask.clear();
    let mut known: BTreeSet<InstanceId> = upgrade.holds.iter().map(|hold| hold.instance.clone()).collect();
    for id in &open {
        if upgrade.members.remove(id).is_some() {
            out.changed.insert(id.clone());
            known.insert(id.clone());
        }
        upgrade.deferred.remove(id);
        upgrade.unheard.remove(id);
    }
    upgrade.holds.retain(|hold| !open.contains(&hold.instance));
    let asked: Vec<Candidate> = open.iter().filter_map(|id| fleet.candidate(id)).collect();
    // Who answers again and is ill is as ill as whoever was before a release came.
    let asked = evidence::of_release(upgrade, asked);
    let again = plan(&PlanInput {
        there: upgrade.extent.there(),
        scale_set: &upgrade.scale_set,
        goal: &upgrade.open_goal(),
        policy: &upgrade.policy,
        candidates: &asked,
        total: fleet.total(),
        batches_before: upgrade.current,
    });
    // Whoever was there at the plan was counted then.
    upgrade.already += again.already.iter().filter(|id| known.contains(*id)).count();
    let candidates: BTreeMap<&InstanceId, &Candidate> = asked.iter().map(|one| (&one.id, one)).collect();
    for hold in again.holds {
        if hold.reason.is_for_now() {
            let phase = candidates.get(&hold.instance).and_then(|candidate| candidate.standing.phase());
            upgrade.deferred.insert(hold.instance.clone(), PhaseName::from(phase));
        }
        upgrade.holds.push_back(hold);
    }
    upgrade.holds.sort_by(|a, b| a.instance.cmp(&b.instance));
    live::join(upgrade, again.batches, &candidates, out);
    out.left_out_changed = true;
    out.head_changed = true;
    true
}
