//! Start of the loop: what was recorded meets what is configured.

use super::run::{Control, ControlParts, Effect, Life};
use super::state::{InstanceState, SetParts, SetState};
use crate::domain::{InstanceId, OperationId, ScaleSetName, Timestamp, Version};
use crate::drivers::Custody;
use crate::rollout::Event;
use crate::store::{Stored, StoredModel, Write};

/// Builds the state, starts or looks at every instance, and takes up the upgrades that were under way.
pub(super) fn start(parts: ControlParts) -> Control {
    let ControlParts { clock, sets, store, mut stored, set_target, handle, runtime } = parts;
    let now = clock.now();
    let mut control = Control {
        clock,
        sets: std::collections::BTreeMap::new(),
        store,
        generation: stored.generation,
        set_target,
        handle,
        runtime,
        writes: Vec::new(),
        effects: Vec::new(),
        store_trouble: None,
    };
    for set in sets {
        let (state, writes) = set_state(set, &mut stored, now);
        control.writes.extend(writes);
        control.sets.insert(state.spec.name.clone(), state);
    }
    let names: Vec<ScaleSetName> = control.sets.keys().cloned().collect();
    for name in names {
        control.step(&name, &Event::Resumed);
        control.start_instances(&name);
    }
    control
}

/// One scale set from its configuration and its record. A changed configuration of the model wins
/// over an older `upgrade start --to`; otherwise the record wins.
fn set_state(parts: SetParts, stored: &mut Stored, now: Timestamp) -> (SetState, Vec<Write>) {
    let SetParts { spec, driver } = parts;
    let configured = spec.model.version.clone();
    let mut writes = Vec::new();
    let model = match stored.models.remove(&spec.name) {
        Some(model) if model.configured == configured => model.version,
        Some(_) | None => {
            let model = StoredModel { version: configured.clone(), configured: configured.clone() };
            writes.push(Write::Model(spec.name.clone(), model));
            configured
        }
    };
    let mut instances = std::collections::BTreeMap::new();
    for (id, instance) in &spec.instances {
        let version = stored.versions.remove(&(spec.name.clone(), id.clone())).flatten();
        instances.insert(id.clone(), InstanceState::new(&spec, instance.clone(), version, now));
    }
    let mut upgrade = stored.upgrades.remove(&spec.name);
    if let Some(upgrade) = &mut upgrade {
        upgrade.forget_missing(|id| instances.contains_key(id), now);
    }
    let mine = |((set, version), reason): ((ScaleSetName, Version), String)| {
        (set == spec.name).then_some((version, reason))
    };
    let quarantined = stored.quarantined.clone().into_iter().filter_map(mine).collect();
    let state = SetState { spec, driver, model, instances, upgrade, quarantined, dirty: true, wake_at: None };
    (state, writes)
}

impl Control {
    /// Brings every instance up at the version that it ran last; a new one at the model's. Where
    /// the site keeps the instances running, only asks what they run. One whose upgrade is in
    /// flight is left to the upgrade.
    fn start_instances(&mut self, name: &ScaleSetName) {
        let Some(set) = self.sets.get(name) else { return };
        let in_flight = |id: &InstanceId| {
            let member = set.upgrade.as_ref().filter(|u| u.is_active()).and_then(|u| u.members.get(id));
            member.is_some_and(|member| member.state.is_with_driver())
        };
        let instances = set.instances.values().filter(|instance| !in_flight(&instance.spec.id));
        if set.driver.custody() == Custody::Site {
            instances.for_each(|instance| self.observe(name, &instance.spec.id));
            return;
        }
        let starts: Vec<Effect> = instances
            .map(|instance| {
                let version = instance.version.clone().unwrap_or_else(|| set.model.clone());
                self.start_effect(name, &instance.spec.id, version, Life::New)
            })
            .collect();
        self.effects.extend(starts);
    }

    fn start_effect(&self, name: &ScaleSetName, id: &InstanceId, version: Version, life: Life) -> Effect {
        let now = self.clock.now();
        let operation = OperationId(format!("start/{}/{name}/{id}/{}", self.generation, now.0));
        Effect { scale_set: name.clone(), instance: id.clone(), version, operation, life }
    }

    /// Tries again to start instances whose start failed, unless something else happens to them.
    pub(super) fn retry_starts(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (name, set) in &mut self.sets {
            for (id, instance) in &mut set.instances {
                if instance.retry_at.is_some_and(|at| at <= now) {
                    instance.retry_at = None;
                    // Not the model: that may be the target of an upgrade that left this one out.
                    if let (None, Some(asked)) = (&instance.busy, &instance.asked) {
                        due.push((name.clone(), id.clone(), asked.clone()));
                    }
                }
            }
        }
        for (name, id, version) in due {
            let effect = self.start_effect(&name, &id, version, Life::Same);
            self.effects.push(effect);
        }
    }
}
