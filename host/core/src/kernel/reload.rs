//! Goes over to a changed configuration: members, model, driver and plugin of scale sets, probe settings, policies and
//! `onFailure`; all of it in one turn, and undone as a whole where it cannot be recorded.
//!
//! An upgrade that runs keeps the rules and the goal that it started with; freeze windows, probe settings, who is there
//! and what becomes of instances while their plugin fails hold from now on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::Reconfiguration;
use super::discovered;
use super::effect::Effect;
use super::members::{self, MayTouch};
use super::memory::Memories;
use super::modes;
use super::out::Out;
use super::perform::announce;
use super::release;
use super::sight;
use super::state::{Fleet, SetState};
use crate::domain::{
    By, Change, Component, Custody, DriverTraits, Generation, Goal, InstanceId, Model, Now, PluginName,
    ScaleSet, Version,
};
use crate::health::FoldSettings;
use crate::record::Write;

/// Goes by the new sets. One that the kernel does not have is passed over.
pub(super) fn reconfigure(
    fleet: &mut Fleet,
    memories: &mut Memories,
    change: Reconfiguration,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    let Reconfiguration { sets, mut drivers, on_failure, plugins: _, releases, rest: _, changed: _ } = change;
    // Whatever follows is done by them.
    out.effects.extend(drivers.keys().cloned().map(Effect::Drive));
    for spec in sets {
        let driver = drivers.remove(&spec.name);
        go_by(fleet, memories, (spec, driver), by, now, out);
    }
    for (plugin, next) in on_failure {
        for name in fleet.names(|set| set.spec.plugin == plugin && set.on_failure != next) {
            let Some(set) = fleet.change(&name) else { continue };
            // Who is held back now, or no longer is, matters to an upgrade that runs.
            set.dirty = true;
            set.on_failure = next;
        }
    }
    release::go_on_by(fleet, releases.map(|rules| *rules), by, now, out);
}

/// Goes by no other generation of a plugin from now on: whom it has not judged yet is not upgraded. It is
/// recorded and about to judge the latest rounds again.
pub(super) fn in_force(fleet: &mut Fleet, plugin: &PluginName, generation: Generation) {
    for name in fleet.names(|set| set.spec.plugin == *plugin && set.in_force != Some(generation)) {
        let Some(set) = fleet.change(&name) else { continue };
        set.dirty = true;
        set.in_force = Some(generation);
    }
}

fn go_by(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (next, driver): (ScaleSet, Option<DriverTraits>),
    by: &By,
    now: Now,
    out: &mut Out,
) {
    // Every field is named, so that none can be forgotten.
    let ScaleSet {
        name,
        plugin,
        model,
        provisioning,
        estate,
        instances,
        forget_after,
        driver: (),
        health,
        policy,
        mode,
        retry,
        freeze,
    } = next;
    let may_touch = MayTouch::of(fleet);
    let in_force = fleet.plugins.get(&plugin).and_then(|life| life.in_force());
    let resolved = release::resolved_anew(fleet, &name, &estate);
    let Some(set) = fleet.change(&name) else { return };
    let probes_differ = set.spec.health != health;
    let counts_anew = FoldSettings::from(&set.spec.health) != FoldSettings::from(&health);
    let live = Arc::make_mut(&mut set.spec);
    (live.health, live.policy, live.retry, live.freeze) = (health, policy, retry, freeze);
    (live.forget_after, live.mode, live.provisioning) = (forget_after, mode, provisioning);
    set.dirty = true;
    // Before the model: what is recorded of that names what of the catalogue it stands for.
    release::go_by(fleet, &name, estate);
    let Some(set) = fleet.change(&name) else { return };
    let (said, looks) = take_up_model(set, (model, &resolved), out);
    if said == Said::Anew {
        modes::said_anew(set, now, out);
    }
    if set.spec.plugin != plugin {
        judged_by(set, memories, (plugin, in_force), now, out);
    }
    let (before, busy) = (set.driver, busy(set));
    if let Some(driver) = driver {
        set.driver = driver;
        if driver.custody == Custody::Host {
            set.kept_running = Custody::Host;
        }
    }
    // Those that a source has found stay beside those that are listed.
    let all = discovered::together(&instances, &set.discovered);
    set.listed = Arc::new(instances);
    members::go_over(fleet, &name, all, by, now, out);
    let Some(set) = fleet.change(&name) else { return };
    let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
    if probes_differ {
        for id in &ids {
            if counts_anew {
                let spec = Arc::clone(&set.spec);
                set.change(id, |instance| instance.begin_life(&spec, now.at));
            }
            announce(set, id, out);
        }
    }
    if before.custody != set.driver.custody {
        // What runs is known to another one now, or to nobody. Who came or moved in this turn was brought up already.
        let is_left = |id: &&InstanceId| busy.get(*id).is_some_and(|before| *before == is_busy(set, id));
        let left: Vec<InstanceId> = ids.iter().filter(is_left).cloned().collect();
        left.iter().for_each(|id| members::bring_up(set, id, may_touch, now, out));
    } else if looks == Looks::Again || before.sight != set.driver.sight {
        ids.iter().for_each(|id| sight::look(set, id, now, out));
    }
}

/// Whether a driver is busy with the application of each instance.
fn busy(set: &SetState) -> BTreeMap<InstanceId, bool> {
    set.instances().map(|instance| &instance.spec.id).map(|id| (id.clone(), is_busy(set, id))).collect()
}

fn is_busy(set: &SetState, id: &InstanceId) -> bool {
    set.instance(id).is_some_and(|instance| instance.busy.contains_key(&Component::Application))
}

/// Whether what instances have is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Again,
    NotNow,
}

/// Whether the file says something else of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Anew,
    TheSame,
}

/// Takes over what the file says is wanted. A component of which it says the same as before stays what was wanted of it
/// last, which a door may have said. `resolved` is what the catalogue has for what is defined otherwise than before.
fn take_up_model(
    set: &mut SetState,
    (next, resolved): (Model, &BTreeMap<Component, Version>),
    out: &mut Out,
) -> (Said, Looks) {
    let is_wanted = |(component, to): (&Component, &Version)| set.model.of(component) == Some(to);
    if set.spec.model == next && resolved.iter().all(is_wanted) {
        // Defined otherwise, and that comes to the same version.
        for component in resolved.keys() {
            let Some(model) = set.stored_model(component) else { continue };
            out.writes.push(Write::Model(set.spec.name.clone(), component.clone(), model));
        }
        return (Said::TheSame, Looks::NotNow);
    }
    let (before, goal) = (set.spec.model.goal(), next.goal());
    let wanted = |change: &Change| {
        if let Some(to) = resolved.get(&change.component) {
            return Change { component: change.component.clone(), to: to.clone() };
        }
        let said = before.of(&change.component) == Some(&change.to);
        let recorded = set.model.of(&change.component).filter(|_| said);
        Change { component: change.component.clone(), to: recorded.unwrap_or(&change.to).clone() }
    };
    set.model = Goal::new(goal.changes().map(wanted).collect::<Vec<_>>());
    Arc::make_mut(&mut set.spec).model = next;
    let mut looks = Looks::NotNow;
    for Change { component, to } in goal.changes() {
        let of_the_catalogue = resolved.get(component);
        if before.of(component) == Some(to) && of_the_catalogue.is_none() {
            continue;
        }
        set.good.entry(component.clone()).or_insert_with(|| of_the_catalogue.unwrap_or(to).clone());
        if before.of(component).is_none() {
            looks = Looks::Again;
        }
        let Some(model) = set.stored_model(component) else { continue };
        out.writes.push(Write::Model(set.spec.name.clone(), component.clone(), model));
    }
    let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
    ids.iter().for_each(|id| announce(set, id, out));
    (Said::Anew, looks)
}

/// Another plugin judges the set: what the one before has said and asked to remember means nothing to it.
fn judged_by(
    set: &mut SetState,
    memories: &mut Memories,
    (plugin, in_force): (PluginName, Option<Generation>),
    now: Now,
    out: &mut Out,
) {
    Arc::make_mut(&mut set.spec).plugin = plugin;
    set.in_force = in_force;
    let spec = Arc::clone(&set.spec);
    let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
    for id in &ids {
        let forgets = set.change(id, |instance| {
            instance.begin_life(&spec, now.at);
            (instance.answered, instance.latest) = (None, None);
            instance.memory.take().is_some()
        });
        if forgets == Some(true) {
            memories.forget(&spec.name, id, now.at);
        }
        announce(set, id, out);
    }
    let away: Vec<InstanceId> = set.away.keys().cloned().collect();
    for id in away {
        let forgets = set.change_removed(&id, |removed| removed.kept.memory.take().is_some());
        if forgets == Some(true) {
            memories.forget(&spec.name, &id, now.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::*;
    use super::*;
    use std::time::Duration;

    fn reload(rig: &mut Rig, change: impl FnOnce(&mut ScaleSet)) {
        let mut spec = (*rig.set().spec).clone();
        change(&mut spec);
        let change = Reconfiguration { sets: vec![spec], ..Reconfiguration::default() };
        assert!(rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
    }

    #[test]
    fn an_upgrade_keeps_its_rules_and_the_set_goes_by_the_new_ones() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        reload(&mut rig, |spec| spec.policy.gate.deadline = Duration::from_secs(7));
        assert_eq!(rig.upgrade().policy.gate.deadline, Duration::from_secs(120));
        assert_eq!(rig.set().spec.policy.gate.deadline, Duration::from_secs(7));
    }

    #[test]
    fn health_counts_anew_only_when_it_is_counted_otherwise() {
        let mut rig = Rig::healthy();
        let epoch = rig.instance("0").epoch;
        reload(&mut rig, |spec| spec.health.interval = Duration::from_secs(9));
        assert_eq!(rig.instance("0").epoch, epoch, "asked less often");
        reload(&mut rig, |spec| spec.health.number_of_probes = 3);
        assert_eq!(rig.instance("0").epoch, epoch + 1);
        assert_eq!(rig.set().census().of(crate::domain::Health::Initializing), 3);
    }

    #[test]
    fn only_decisions_of_the_generation_in_force_count() {
        let mut rig = Rig::healthy();
        let plugin = PluginName::parse("db").unwrap();
        in_force(&mut rig.kernel.fleet, &plugin, Generation(2));
        rig.start("v2");
        assert!(rig.asked().is_empty(), "none has been judged by it");
        for instance in ["0", "1", "2"] {
            rig.judge_by(instance, 2, Ok(Arc::new(decision(0))));
        }
        assert_eq!(rig.asked().len(), 1);
    }
}
