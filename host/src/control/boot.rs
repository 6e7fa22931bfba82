//! Start of the loop: what was recorded meets what is configured.

use super::audit;
use super::memory::Memories;
use super::run::{Control, ControlParts, Effect, Life, RunEffect};
use super::state::{InstanceState, Place, SetParts, SetState};
use super::surge;
use std::collections::{BTreeMap, BTreeSet};

use crate::drivers::Custody;
use phasegate_core::domain::{
    Change, Component, Goal, InstanceId, Located, Membership, OperationId, ScaleSetName, Timestamp, Version,
};
use phasegate_core::record::{Stored, StoredModel, Write};
use phasegate_core::rollout::Event;

/// Builds the state, starts or looks at every instance, and takes up the upgrades that were under way.
pub(super) fn start(parts: ControlParts) -> Control {
    let ControlParts {
        clock,
        sets,
        store,
        mut stored,
        set_target,
        forget_target,
        keep_used,
        handle,
        runtime,
    } = parts;
    let now = clock.now();
    let mut control = Control {
        clock,
        sets: BTreeMap::new(),
        line: stored.line.clone(),
        store,
        fence: stored.fence,
        set_target,
        forget_target,
        keep_used,
        handle,
        runtime,
        memories: Memories::default(),
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
        control.step(&name, &[Event::Resumed]);
        control.start_instances(&name);
    }
    control
}

/// One scale set from its configuration and its record. A changed configuration of the model wins
/// over an older `upgrade start --to`; otherwise the record wins.
fn set_state(parts: SetParts, stored: &mut Stored, now: Timestamp) -> (SetState, Vec<Write>) {
    let SetParts { spec, driver, on_failure } = parts;
    let mut writes = Vec::new();
    let wanted = |change: &Change| {
        let configured = change.to.clone();
        match stored.models.remove(&(spec.name.clone(), change.component.clone())) {
            Some(model) if model.configured == configured => {
                Change { component: change.component.clone(), to: model.version }
            }
            Some(_) | None => {
                let model = StoredModel { version: configured.clone(), configured };
                writes.push(Write::Model(spec.name.clone(), change.component.clone(), model));
                change.clone()
            }
        }
    };
    let model = Goal::new(spec.model.goal().changes().map(wanted).collect::<Vec<_>>());
    let upgrade = stored.upgrades.remove(&spec.name);
    let mine = |((set, change), reason): ((ScaleSetName, Change), String)| {
        (set == spec.name).then_some((change, reason))
    };
    let quarantined = stored.quarantined.clone().into_iter().filter_map(mine).collect();
    let retry = stored.retries.remove(&spec.name);
    let line = stored.line.clone();
    let mut state = SetState {
        instances: BTreeMap::new(),
        ids_ever: BTreeSet::new(),
        spec,
        driver,
        on_failure,
        in_force: None,
        model,
        upgrade,
        quarantined,
        retry,
        line,
        answers: Vec::new(),
        shown: std::collections::VecDeque::new(),
        dirty: true,
        wake_at: None,
    };
    writes.extend(instances(&mut state, stored, now));
    let SetState { instances, upgrade, .. } = &mut state;
    if let Some(upgrade) = upgrade {
        let is_there = |id: &InstanceId| instances.contains_key(id);
        let is_protected = |id: &InstanceId| {
            instances.get(id).is_some_and(|instance| instance.spec.protection.from_scale_set_actions)
        };
        for id in upgrade.reconfigured(is_there, is_protected, now) {
            let why = if is_there(&id) { "is protected now" } else { "was removed from the configuration" };
            let text = format!("leaves the upgrade: it {why}");
            writes.push(audit::line(upgrade, Some(&id), "hold", text, now));
            writes.push(match upgrade.members.get(&id) {
                Some(member) => Write::Member(upgrade.id.clone(), id, member.clone()),
                None => Write::MemberLeft(upgrade.id.clone(), id),
            });
        }
        writes.push(Write::Upgrade(Box::new(upgrade.clone())));
    }
    writes.extend(surge::orphans(&mut state));
    (state, writes)
}

/// Puts in what the configuration lists and what was created, without what was deleted.
fn instances(state: &mut SetState, stored: &mut Stored, now: Timestamp) -> Vec<Write> {
    for (id, instance) in &state.spec.instances {
        state.instances.insert(id.clone(), InstanceState::new(&state.spec, instance.clone(), None, now));
    }
    state.ids_ever.extend(state.spec.instances.keys().cloned());
    let name = state.spec.name.clone();
    let mine = |((set, id), _): &((ScaleSetName, InstanceId), Membership)| (*set == name).then(|| id.clone());
    let memberships = stored.memberships.clone().into_iter().filter_map(|row| Some((mine(&row)?, row.1)));
    let writes = surge::recorded(state, memberships.collect(), now);
    for ((_, id), memory) in stored.memories.iter().filter(|((set, _), _)| *set == name) {
        if let Some(instance) = state.instances.get_mut(id) {
            instance.memory = Some(memory.bytes.clone());
        }
    }
    for ((_, id, component), version) in stored.versions.iter().filter(|((set, _, _), _)| *set == name) {
        state.ids_ever.insert(id.clone());
        if let Some(instance) = state.instances.get_mut(id) {
            instance.set_version(component, version.clone());
        }
    }
    writes
}

impl Control {
    /// Brings every instance up at the version that it ran last; a new one at the model's. Where
    /// the site keeps the instances running, only asks what they run. One whose upgrade is in
    /// flight is left to the upgrade.
    fn start_instances(&mut self, name: &ScaleSetName) {
        let now = self.clock.now();
        let Some(set) = self.sets.get(name) else { return };
        // Effects of the upgrade have been asked for again; some of them on new instances. Those on
        // extensions are no reason not to start the application.
        let in_flight: BTreeSet<InstanceId> = self
            .effects
            .iter()
            .filter(|effect| effect.scale_set() == name)
            .filter_map(Effect::of_application)
            .collect();
        let leaving = set.instances.iter().filter(|(id, instance)| {
            matches!(instance.place, Place::Leaving { .. }) && !in_flight.contains(*id)
        });
        let leaving: Vec<InstanceId> = leaving.map(|(id, _)| id.clone()).collect();
        self.delete_again(name, leaving, now);
        let Some(set) = self.sets.get(name) else { return };
        let runs = |instance: &&InstanceState| {
            let place = !matches!(instance.place, Place::Leaving { .. });
            place && instance.located == Located::Yes && !in_flight.contains(&instance.spec.id)
        };
        let instances = set.instances.values().filter(runs);
        if set.driver.custody() == Custody::Site {
            instances.for_each(|instance| self.observe(name, &instance.spec.id));
            return;
        }
        let starts: Vec<Effect> = instances
            .map(|instance| {
                let model = set.model.of(&Component::Application).unwrap_or(&set.spec.model.version);
                let version = instance.version.as_ref().unwrap_or(model).clone();
                self.start_effect(name, &instance.spec.id, version, Life::New)
            })
            .collect();
        self.effects.extend(starts);
    }

    fn start_effect(&self, name: &ScaleSetName, id: &InstanceId, version: Version, life: Life) -> Effect {
        let now = self.clock.now();
        let operation = OperationId(format!("start/{}/{name}/{id}/{}", self.fence, now.0));
        Effect::Run(RunEffect {
            scale_set: name.clone(),
            instance: id.clone(),
            component: Component::Application,
            version,
            operation,
            life,
        })
    }

    /// Tries again to start instances whose start failed, unless something else happens to them.
    pub(super) fn retry_starts(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (name, set) in &mut self.sets {
            for (id, instance) in &mut set.instances {
                let leaving = matches!(instance.place, Place::Leaving { .. });
                if !leaving && instance.retry_at.is_some_and(|at| at <= now) {
                    instance.retry_at = None;
                    // Not the model: that may be the target of an upgrade that left this one out.
                    if let (true, Some(asked)) = (instance.busy.is_empty(), &instance.asked) {
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
