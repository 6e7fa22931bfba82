//! Who is in a set: what an older host has recorded of it, and how its configuration changes it, while a host runs and
//! while none does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Component, InstanceId, Membership, PluginName, Runs};
use crate::kernel::Command;
use crate::kernel::command::{Discovered, Reconfiguration};
use crate::record::{Commit, Write};

use super::fleet::Key;
use super::making::Making;
use super::people::Why;
use super::scenario::Edition;
use super::world::{Happening, World};

impl World {
    /// An older host has recorded what it had brought every instance to.
    pub(super) fn remember_what_ran(&mut self) {
        let mut writes = Vec::new();
        for ((set, id), node) in &self.nodes {
            let application = (Component::Application, node.running.application.clone());
            let extensions = node.running.extensions.iter();
            let extensions =
                extensions.map(|(name, to)| (Component::Extension(name.clone()), Some(to.clone())));
            for (component, version) in std::iter::once(application).chain(extensions) {
                let runs = version.map_or(Runs::UNKNOWN, Runs::at);
                writes.push(Write::Runs(set.clone(), id.clone(), component, runs));
            }
        }
        self.seq = 1;
        self.disk.apply(&Commit { version: Commit::VERSION, seq: 1, anchor: Default::default(), writes });
    }

    /// An instance that is listed by what the host goes by is there, and one that is listed no longer strays.
    pub(super) fn go_where_they_are_listed(&mut self) {
        for set in &self.in_use {
            let name = &set.spec.name;
            let back = set.spec.instances.keys().map(|id| (name.clone(), id.clone()));
            let found = self.disk.stored().discovered.keys().filter(|(of, _)| of == name).cloned();
            for key in back.chain(found).collect::<Vec<Key>>() {
                self.nodes.extend(self.strays.remove(&key).map(|node| (key, node)));
            }
        }
        let listed = |(name, id): &Key| {
            self.in_use.iter().any(|set| set.spec.name == *name && set.spec.instances.contains_key(id))
                || self.disk.stored().discovered.contains_key(&(name.clone(), id.clone()))
        };
        // What an upgrade has created is in the record.
        let stored = self.disk.stored();
        let created = |key: &Key| {
            matches!(
                stored.memberships.get(key),
                Some(Membership::Creating { .. } | Membership::Created { .. } | Membership::Leaving { .. })
            )
        };
        let gone: Vec<Key> = self.nodes.keys().filter(|key| !listed(key) && !created(key)).cloned().collect();
        for key in gone {
            self.strays.extend(self.nodes.remove(&key).map(|node| (key, node)));
        }
    }

    /// The configuration is read again with other instances, or another model; at times with several of that at once,
    /// and twice in a moment.
    pub(super) fn other_members(&mut self, set: usize) {
        for _ in 0..self.rng.between(1, 3) {
            match self.rng.between(0, 6) {
                0 => self.remove_an_instance(set),
                1 => self.add_an_instance(set),
                2 => self.protect_an_instance(set),
                3 => self.move_an_instance(set),
                4 => self.bring_an_instance_back(set),
                5 => {
                    let plugins: Vec<PluginName> = self.plugins.keys().cloned().collect();
                    let plugin = self.rng.pick(&plugins).cloned();
                    self.config[set].spec.plugin = plugin.unwrap();
                }
                _ => {
                    let edition = Edition(u32::try_from(self.rng.between(1, 3)).unwrap());
                    self.config[set].spec.model = self.scenario.model(edition);
                }
            }
        }
        let sets = vec![self.config[set].spec.clone()];
        let change = Reconfiguration { sets, ..Reconfiguration::default() };
        self.ask(Command::Reconfigure(change), Why::Whatever);
        if self.rng.chance(300) {
            let after = self.seconds(0, 1);
            self.at(after, Happening::Reload(set));
        }
    }

    /// A source of instances names others than before: new ones, some of the list, and some no longer.
    pub(super) fn a_source_speaks(&mut self, set: usize) {
        let name = self.name(set);
        let mine = |key: &&Key| key.0 == name;
        let known: Vec<InstanceId> =
            self.disk.stored().discovered.keys().filter(mine).map(|(_, id)| id.clone()).collect();
        let mut change = Discovered::default();
        for _ in 0..self.rng.between(1, 3) {
            match self.rng.between(0, 3) {
                0 => change.gone.extend(self.rng.pick(&known).cloned()),
                1 => {
                    // One that the list has, too, somewhere else.
                    let Some(id) = self.configured(set) else { continue };
                    let mut one = (*self.config[set].spec.instances[&id]).clone();
                    one.address = self.addresses.next();
                    change.found.push(Arc::new(one));
                }
                _ => {
                    let before: BTreeSet<InstanceId> =
                        self.config[set].spec.instances.keys().cloned().collect();
                    self.add_an_instance(set);
                    // It is the source that names it, and not the list.
                    let instances = &mut self.config[set].spec.instances;
                    let new = instances.keys().find(|id| !before.contains(*id)).cloned();
                    change.found.extend(new.and_then(|id| instances.remove(&id)));
                }
            }
        }
        self.rules.left(&name, change.gone.len());
        self.ask(Command::Discovered(name, Box::new(change)), Why::Whatever);
    }

    /// The same file is read once more.
    pub(super) fn read_again(&mut self, set: usize) {
        if self.rng.chance(500) {
            self.bring_an_instance_back(set);
        }
        let sets = vec![self.config[set].spec.clone()];
        let change = Reconfiguration { sets, ..Reconfiguration::default() };
        self.ask(Command::Reconfigure(change), Why::Whatever);
    }

    /// While the host was down, instances may have come and gone, and another model may be wanted.
    pub(super) fn reconfigure_at_start(&mut self) {
        let members = self.faults().members;
        for set in 0..self.config.len() {
            if !self.rng.chance(members) {
                continue;
            }
            match self.rng.between(0, 3) {
                0 => self.remove_an_instance(set),
                1 => self.add_an_instance(set),
                2 => self.protect_an_instance(set),
                _ => {
                    let edition = Edition(u32::try_from(self.rng.between(1, 3)).unwrap());
                    self.config[set].spec.model = self.scenario.model(edition);
                }
            }
        }
    }

    fn configured(&mut self, set: usize) -> Option<InstanceId> {
        let ids: Vec<InstanceId> = self.config[set].spec.instances.keys().cloned().collect();
        self.rng.pick(&ids).cloned()
    }

    fn remove_an_instance(&mut self, set: usize) {
        let Some(id) = self.configured(set).filter(|_| self.config[set].spec.instances.len() > 1) else {
            return;
        };
        let name = self.name(set);
        self.note(|| format!("`{name}` loses `{id}`"));
        let gone = self.config[set].spec.instances.remove(&id);
        self.gone.extend(gone.map(|gone| ((name.clone(), id), gone)));
        self.rules.left(&name, 1);
    }

    /// One that was removed is listed again.
    fn bring_an_instance_back(&mut self, set: usize) {
        let name = self.name(set);
        let keys: Vec<Key> = self.gone.keys().filter(|key| key.0 == name).cloned().collect();
        let Some(key) = self.rng.pick(&keys).cloned() else { return };
        let Some(instance) = self.gone.remove(&key) else { return };
        self.note(|| format!("`{name}` gets `{}` back", key.1));
        self.config[set].spec.instances.insert(key.1, instance);
    }

    /// An instance stands in another zone, and at another address.
    fn move_an_instance(&mut self, set: usize) {
        let Some(id) = self.configured(set) else { return };
        let (address, is_elsewhere) = (self.addresses.next(), self.rng.chance(500));
        let zone = (self.scenario.zones > 0)
            .then(|| self.rng.between(1, u64::from(self.scenario.zones)).to_string());
        let Some(instance) = self.config[set].spec.instances.get_mut(&id) else { return };
        let instance = Arc::make_mut(instance);
        instance.zone = zone;
        if is_elsewhere {
            instance.address = address;
        }
    }

    fn add_an_instance(&mut self, set: usize) {
        self.requests += 1;
        let id = InstanceId::parse(&format!("x{}", self.requests)).unwrap();
        let mut made =
            Making { rng: &mut self.rng, scenario: &self.scenario, addresses: &mut self.addresses };
        let (instance, mut node) = made.instance(id.clone());
        node.up_at = self.now;
        let name = self.name(set);
        self.note(|| format!("`{name}` gets `{id}`"));
        self.config[set].spec.instances.insert(id.clone(), Arc::new(instance));
        // It is there once a host goes by that.
        self.strays.insert((name, id), node);
    }

    fn protect_an_instance(&mut self, set: usize) {
        let Some(id) = self.configured(set) else { return };
        if let Some(instance) = self.config[set].spec.instances.get_mut(&id) {
            let protection = &mut Arc::make_mut(instance).protection;
            protection.from_scale_set_actions = !protection.from_scale_set_actions;
        }
    }
}
