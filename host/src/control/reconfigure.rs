//! Takes over probe settings, upgrade policies and `onFailure` of a changed configuration.
//!
//! An upgrade that runs keeps the rules that it started with; freeze windows, probe settings and what
//! becomes of instances while their plugin fails hold from now on.

use super::commands::unavailable;
use super::run::Control;
use super::{CommandError, Reconfiguration};
use phasegate_core::domain::{Generation, InstanceId, PluginName, ScaleSet, ScaleSetName};
use phasegate_core::health::FoldSettings;
use phasegate_core::record::Write;

impl Control {
    /// Records the plugins that take over with it, then goes by the new sets; nothing changes when
    /// the record fails. The caller has checked that members, model and driver are the same.
    pub(super) fn reconfigure(&mut self, change: Reconfiguration) -> Result<(), CommandError> {
        let Reconfiguration { sets, on_failure, plugins } = change;
        let in_force: Vec<(PluginName, Generation)> =
            plugins.iter().map(|(name, stored)| (name.clone(), stored.generation)).collect();
        let writes: Vec<Write> =
            plugins.into_iter().map(|(name, stored)| Write::Plugin(name, stored)).collect();
        if !writes.is_empty() {
            self.store.commit(&writes).map_err(|error| unavailable(&error))?;
        }
        in_force.iter().for_each(|(name, generation)| self.in_force(name, *generation));
        for spec in sets {
            self.go_by(spec);
        }
        for set in self.sets.values_mut() {
            let Some(next) = on_failure.get(&set.spec.plugin) else { continue };
            // Who is held back now, or no longer is, matters to an upgrade that runs.
            set.dirty |= set.on_failure != *next;
            set.on_failure = *next;
        }
        Ok(())
    }

    /// Goes by no other generation of a plugin from now on: whom it has not judged yet is not upgraded. It
    /// is recorded and about to judge the latest rounds again.
    pub(super) fn in_force(&mut self, plugin: &PluginName, generation: Generation) {
        for set in self.sets.values_mut().filter(|set| set.spec.plugin == *plugin) {
            set.dirty |= set.in_force != Some(generation);
            set.in_force = Some(generation);
        }
    }

    fn go_by(&mut self, spec: ScaleSet) {
        let now = self.clock.now();
        let name: ScaleSetName = spec.name.clone();
        let Some(set) = self.sets.get_mut(&name) else { return };
        let probes_differ = set.spec.health != spec.health;
        let counts_anew = FoldSettings::from(&set.spec.health) != FoldSettings::from(&spec.health);
        // Every field is named, so that none can be forgotten. The first ones need a restart.
        let ScaleSet {
            name: _,
            plugin: _,
            model: _,
            instances: _,
            driver: (),
            health,
            policy,
            retry,
            freeze,
        } = spec;
        let live = &mut set.spec;
        (live.health, live.policy, live.retry, live.freeze) = (health, policy, retry, freeze);
        set.dirty = true;
        if !probes_differ {
            return;
        }
        if counts_anew {
            for instance in set.instances.values_mut() {
                instance.begin_life(&set.spec, now);
            }
        }
        let ids: Vec<InstanceId> = set.instances.keys().cloned().collect();
        for id in ids {
            self.announce(&name, &id);
        }
    }
}
