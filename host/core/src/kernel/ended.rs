//! What follows when an upgrade has just ended: a version that failed goes into quarantine, the next try
//! is planned, and a rollback that was asked for begins. Part of the same turn, so durable together.

use std::sync::Arc;

use super::memory::Memories;
use super::out::{About, Out};
use super::state::{Fleet, SetState};
use super::{retry, rollback, word};
use crate::domain::{Actor, By, Change, Now, PersonsWord, Runs, ScaleSetName, WordKind};
use crate::record::Write;
use crate::record::audit::{QuarantineState, What, WordNote};
use crate::rollout::{Brake, Extent, PartState, Purpose, Upgrade, UpgradeState};

/// Follows the end of the latest upgrade of a set.
pub(super) fn ended(
    fleet: &mut Fleet,
    memories: &mut Memories,
    name: &ScaleSetName,
    now: Now,
    out: &mut Out,
) {
    let Some(set) = fleet.change(name) else { return };
    let Some(upgrade) = set.upgrade.clone() else { return };
    set.hooks_say.clear();
    set.drivers_say.clear();
    if upgrade.left_a_trace() {
        set.touched = Some(Arc::clone(&upgrade));
    }
    // What went through the plan beside an extension that ended for itself has come as far as if there were none.
    let went_through = upgrade.state == UpgradeState::Completed
        || (!upgrade.ended.is_empty() && upgrade.state == UpgradeState::Faulted && upgrade.is_through());
    if went_through && upgrade.purpose != Purpose::Manual && upgrade.extent != Extent::Repair {
        for change in upgrade.open_goal().changes() {
            set.good.insert(change.component.clone(), change.to.clone());
            let model = set.stored_model(&change.component);
            out.writes.extend(model.map(|model| Write::Model(name.clone(), change.component.clone(), model)));
        }
    }
    let blamed = upgrade.error.as_ref().filter(|error| error.code.blames_the_version());
    // What was there already is not to blame for a repair.
    let blamed = blamed.filter(|_| upgrade.extent != Extent::Repair);
    if let (UpgradeState::Faulted, Purpose::Forward, Some(error)) = (upgrade.state, &upgrade.purpose, blamed)
    {
        for change in blamed_changes(&upgrade) {
            set.quarantined.insert(change.clone(), error.message.clone());
            let state = QuarantineState::Begins { why: error.message.clone() };
            let what = What::Quarantine { change: change.clone(), state };
            out.audit(About::upgrade(&upgrade, None), By::host(), what, now);
            out.writes.push(Write::Quarantine(name.clone(), change, Some(error.message.clone())));
        }
    }
    hold_without_way_back(set, &upgrade, now, out);
    retry::plan(set, now, out);
    // Whoever asked for it begins it.
    let by = upgrade.asked_back.clone().unwrap_or_else(By::host);
    if let Some(target) = &upgrade.then_to {
        // Everybody may be there already.
        let _ = rollback::begin_to(fleet, memories, name, target, &by, now, out);
    } else if upgrade.then_roll_back {
        let brake = if upgrade.past_brake { Brake::Off } else { Brake::On };
        // An upgrade that touched nothing leaves nothing to take back.
        let _ = rollback::roll_back(fleet, memories, (&upgrade, brake), &by, now, out);
    }
}

/// An instance that could not go back on its round trip stays as it is, until a person has looked at it.
fn hold_without_way_back(set: &mut SetState, upgrade: &Upgrade, now: Now, out: &mut Out) {
    let lost = upgrade.members.iter().filter(|(_, member)| member.has_no_way_back());
    for (id, _) in lost {
        let runs = set.instance(id).map_or(Runs::UNKNOWN, |instance| instance.runs.clone());
        let runs = match &runs {
            Runs::Version { version } => format!("{version} runs on it"),
            Runs::Nothing { .. } => "nothing runs on it".to_owned(),
            Runs::Unknown { .. } => "nobody knows what runs on it".to_owned(),
        };
        let reason = format!("its way back from {} failed on its round trip; {runs}", upgrade.goal);
        let kind = WordKind::Hold;
        let word = PersonsWord { kind, by: Actor::Host, reason, since: now.at, until: None, date: None };
        word::put(set, id, Some(word), WordNote::Said { kind, until: None }, &By::host(), now, out);
    }
}

/// What of the goal failed on any instance; all of it when that cannot be told.
fn blamed_changes(upgrade: &Upgrade) -> Vec<Change> {
    if !upgrade.ended.is_empty() && upgrade.is_through() {
        return upgrade.ended.iter().map(|ended| ended.change.clone()).collect();
    }
    let failed = |change: &&Change| {
        let parts = upgrade.members.values().flat_map(|member| &member.parts);
        let mut mine = parts.filter(|part| part.component == change.component);
        mine.any(|part| matches!(part.state, PartState::Failed { .. }))
    };
    let blamed: Vec<Change> = upgrade.goal.changes().filter(failed).cloned().collect();
    if blamed.is_empty() { upgrade.goal.changes().cloned().collect() } else { blamed }
}
