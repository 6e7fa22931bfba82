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
use crate::record::{StoredPlugin, Write};

/// Records the plugins that take over with it, and goes by the new sets. The caller has checked that
/// members, model and driver are the same.
pub(super) fn reconfigure(fleet: &mut Fleet, change: Reconfiguration, now: Now, out: &mut Out) {
    let generations: Vec<(PluginName, Generation)> =
        change.generations().map(|(name, generation)| (name.clone(), generation)).collect();
    let Reconfiguration { sets, on_failure, plugins } = change;
    for (name, stored) in plugins {
        record_plugin(fleet, name, stored, out);
    }
    for (name, generation) in generations {
        in_force(fleet, &name, generation);
    }
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

/// Records which component a plugin runs.
pub(super) fn record_plugin(fleet: &mut Fleet, name: PluginName, stored: StoredPlugin, out: &mut Out) {
    fleet.plugins.insert(name.clone(), Arc::new(stored.clone()));
    out.writes.push(Write::Plugin(name, Box::new(stored)));
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
    let ScaleSet { name: _, plugin: _, model: _, instances: _, driver: (), health, policy, retry, freeze } =
        next;
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
