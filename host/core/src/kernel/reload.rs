//! Takes over probe settings, upgrade policies and `onFailure` of a changed configuration.
//!
//! An upgrade that runs keeps the rules that it started with; freeze windows, probe settings and what
//! becomes of instances while their plugin fails hold from now on.

use std::sync::Arc;

use super::command::Reconfiguration;
use super::out::Out;
use super::perform::announce;
use super::state::{Fleet, SetState};
use crate::domain::{Generation, InstanceId, Now, PluginName, ScaleSet};
use crate::health::FoldSettings;

/// Goes by the new sets. The caller has checked that members, model and driver are the same.
pub(super) fn reconfigure(fleet: &mut Fleet, change: Reconfiguration, now: Now, out: &mut Out) {
    let Reconfiguration { sets, on_failure, plugins: _, changed: _ } = change;
    for spec in sets {
        let Some(set) = fleet.change(&spec.name.clone()) else { continue };
        go_by(set, spec, now, out);
    }
    for (plugin, next) in on_failure {
        for name in fleet.names(|set| set.spec.plugin == plugin && set.on_failure != next) {
            let Some(set) = fleet.change(&name) else { continue };
            // Who is held back now, or no longer is, matters to an upgrade that runs.
            set.dirty = true;
            set.on_failure = next;
        }
    }
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

fn go_by(set: &mut SetState, next: ScaleSet, now: Now, out: &mut Out) {
    let probes_differ = set.spec.health != next.health;
    let counts_anew = FoldSettings::from(&set.spec.health) != FoldSettings::from(&next.health);
    // Every field is named, so that none can be forgotten. The first ones need a restart.
    let ScaleSet {
        name: _,
        plugin: _,
        model: _,
        estate: _,
        instances: _,
        driver: (),
        health,
        policy,
        retry,
        freeze,
    } = next;
    let live = Arc::make_mut(&mut set.spec);
    (live.health, live.policy, live.retry, live.freeze) = (health, policy, retry, freeze);
    set.dirty = true;
    if !probes_differ {
        return;
    }
    let ids: Vec<InstanceId> = set.instances().map(|instance| instance.spec.id.clone()).collect();
    for id in ids {
        if counts_anew {
            let spec = Arc::clone(&set.spec);
            set.change(&id, |instance| instance.begin_life(&spec, now.at));
        }
        announce(set, &id, out);
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
