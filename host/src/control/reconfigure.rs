//! Takes over probe settings and upgrade policies of a changed configuration.
//!
//! An upgrade that runs keeps the rules that it started with; freeze windows and probe settings hold
//! from now on.

use super::CommandError;
use super::commands::unavailable;
use super::run::Control;
use crate::domain::{InstanceId, PluginName, ScaleSet, ScaleSetName};
use crate::health::FoldSettings;
use crate::store::{StoredPlugin, Write};

impl Control {
    /// Records the plugins that take over with it, then goes by the new sets; nothing changes when
    /// the record fails. The caller has checked that members, model and driver are the same.
    pub(super) fn reconfigure(
        &mut self,
        sets: Vec<ScaleSet>,
        plugins: Vec<(PluginName, StoredPlugin)>,
    ) -> Result<(), CommandError> {
        let writes: Vec<Write> =
            plugins.into_iter().map(|(name, stored)| Write::Plugin(name, stored)).collect();
        if !writes.is_empty() {
            self.store.commit(&writes).map_err(|error| unavailable(&error))?;
        }
        for spec in sets {
            self.go_by(spec);
        }
        Ok(())
    }

    fn go_by(&mut self, spec: ScaleSet) {
        let now = self.clock.now();
        let name: ScaleSetName = spec.name.clone();
        let Some(set) = self.sets.get_mut(&name) else { return };
        let probes_differ = set.spec.health != spec.health;
        let counts_anew = FoldSettings::from(&set.spec.health) != FoldSettings::from(&spec.health);
        set.spec.health = spec.health;
        set.spec.policy = spec.policy;
        set.spec.gate = spec.gate;
        set.spec.failure = spec.failure;
        set.spec.checkpoints = spec.checkpoints;
        set.spec.defer_max = spec.defer_max;
        set.spec.decisions = spec.decisions;
        set.spec.retry = spec.retry;
        set.spec.freeze = spec.freeze;
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
