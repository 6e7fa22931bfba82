//! What follows when an upgrade has just ended: a version that failed goes into quarantine, the next try
//! is planned, and a rollback that was asked for begins. Part of the same turn, so durable together.

use std::sync::Arc;

use super::memory::Memories;
use super::out::{About, Out};
use super::state::{Away, Fleet, SetState};
use super::{retry, rollback, word};
use crate::domain::{
    Actor, By, Change, Component, InstanceId, Now, PersonsWord, Runs, ScaleSetName, WordKind,
};
use crate::record::Write;
use crate::record::audit::{QuarantineState, What, WordNote};
use crate::rollout::{Brake, Extent, Member, PartState, Purpose, Upgrade, UpgradeState};

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
    let counts = upgrade.purpose != Purpose::Manual && upgrade.extent != Extent::Repair;
    if went_through && counts && upgrade.has_shown_something() {
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
    use_up_promised(set, &upgrade, out);
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
        let runs: Vec<String> =
            upgrade.goal.changes().map(|change| runs_now(set, id, &change.component)).collect();
        let runs = runs.join(", ");
        let reason = format!("its way back from {} failed on its round trip; {runs}", upgrade.goal);
        let kind = WordKind::Hold;
        let word = PersonsWord { kind, by: Actor::Host, reason, since: now.at, until: None, date: None };
        word::put(set, id, Some(word), WordNote::Said { kind, until: None }, &By::host(), now, out);
    }
}

/// What an instance has of a component, as a sentence: `v1 runs on it`, `agent 1.3.0 runs on it`.
fn runs_now(set: &SetState, id: &InstanceId, component: &Component) -> String {
    let runs = set.instance(id).map(|instance| instance.runs_of(component));
    let name = match component {
        Component::Application => String::new(),
        Component::Extension(name) => format!("{name} "),
    };
    match runs {
        Some(Runs::Version { version }) => format!("{name}{version} runs on it"),
        Some(Runs::Nothing { .. }) if name.is_empty() => "nothing runs on it".to_owned(),
        Some(Runs::Nothing { .. }) => format!("no {name}runs on it"),
        Some(Runs::Unknown { .. }) | None => format!("nobody knows what {name}runs on it"),
    }
}

/// An id that a hook was told of is used, though nothing was ever made of it: the hook would take another one for it.
fn use_up_promised(set: &mut SetState, upgrade: &Upgrade, out: &mut Out) {
    let promised: Vec<InstanceId> = upgrade.members.values().filter_map(Member::promised).cloned().collect();
    for id in promised {
        if set.instance(&id).is_none() && set.away(&id).is_none() {
            let away = Away::Deleted { replaced_by: None };
            let membership = Some(Box::new(away.membership()));
            out.writes.push(Write::Membership(set.spec.name.clone(), id.clone(), membership));
            set.put_away(&id, away);
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Effect;
    use super::super::event::{Event, Hooked};
    use super::super::testing::{Rig, orders};
    use crate::domain::{Creation, HookKind, InstanceId, Percent};

    /// Goes through an upgrade in which each hook before an instance fails; gives whom they were told of.
    fn all_fail(rig: &mut Rig) -> Vec<InstanceId> {
        rig.start("v2");
        let mut told = Vec::new();
        for _ in 0..60 {
            for effect in std::mem::take(&mut rig.effects) {
                let Effect::Hook(call) = effect else { continue };
                let failed = call.hook == HookKind::BeforeInstance;
                told.extend(call.instance().filter(|_| failed).cloned());
                rig.turn(vec![Event::Hooked(Hooked {
                    scale_set: call.scale_set.clone(),
                    hook: call.hook,
                    instance: call.instance().cloned(),
                    operation: call.operation.clone(),
                    answer: if failed { Err("exit code 1".to_owned()) } else { Ok(()) },
                })]);
            }
            if rig.set().active().is_none() {
                return told;
            }
            rig.pass(Duration::from_secs(1));
            rig.everybody_answers();
        }
        panic!("no end: {:?}", rig.upgrade());
    }

    #[test]
    fn an_id_that_only_a_hook_was_told_is_not_given_again() {
        let mut set = orders();
        set.spec.policy.hooks = [HookKind::BeforeInstance, HookKind::AfterInstance].into_iter().collect();
        set.spec.policy.rolling.max_surge = true;
        set.spec.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(100);
        set.driver.creation = Creation::Possible;
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        let first = all_fail(&mut rig);
        assert_eq!(first.len(), 3, "{first:?}");
        let mut rig = rig.restart();
        for asked in rig.asked() {
            rig.done(asked, Ok(()));
        }
        rig.all_healthy();
        let again = all_fail(&mut rig);
        assert_eq!(again.len(), 3, "{again:?}");
        assert!(again.iter().all(|id| !first.contains(id)), "{first:?}, then {again:?}");
        assert_eq!(rig.set().members().count(), 3, "nobody came and nobody went");
    }
}
