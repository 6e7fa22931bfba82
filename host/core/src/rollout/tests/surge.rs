//! MaxSurge: new instances beside old ones, and what becomes of both. Every step is looked at by the
//! checker, and recorded before the driver hears of it.

use std::collections::BTreeSet;

use super::*;
use crate::domain::FreshIds;
use crate::rollout::invariants::Checker;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Member,
    Coming,
    Leaving,
}

#[derive(Debug, Clone)]
struct Node {
    place: Place,
    health: Health,
    version: String,
    skips: bool,
    phase: Option<u32>,
}

/// What runs, and every id that was ever used.
#[derive(Debug, Clone, Default)]
struct Site {
    nodes: BTreeMap<InstanceId, Node>,
    ever: BTreeSet<InstanceId>,
}

impl Site {
    fn members(&self) -> impl Iterator<Item = (&InstanceId, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.place == Place::Member)
    }
}

impl FleetView for Site {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(id, node): (&InstanceId, &Node)| Candidate {
            held: None,
            id: id.clone(),
            zone: None,
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            runs: Runs::at(version(&node.version)),
            extensions: BTreeMap::new(),
            health: node.health,
            standing: Standing::Decided {
                phase: node.phase.and_then(Phase::new),
                participation: if node.skips { Participation::Skip } else { Participation::Proceed },
                detail: String::new(),
            },
        };
        self.members().map(candidate).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        self.candidates().into_iter().find(|candidate| candidate.id == *instance)
    }

    fn health(&self, instance: &InstanceId) -> Health {
        self.nodes.get(instance).map_or(Health::Unknown, |node| node.health)
    }

    fn total(&self) -> usize {
        self.members().count()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        self.members().filter(|(_, node)| node.health.is_unhealthy()).map(|(id, _)| id.clone()).collect()
    }

    fn unhealthy_count(&self) -> usize {
        self.unhealthy().len()
    }

    fn initializing(&self) -> Vec<InstanceId> {
        let starting = |(_, node): &(&InstanceId, &Node)| node.health == Health::Initializing;
        self.members().filter(starting).map(|(id, _)| id.clone()).collect()
    }

    fn initializing_count(&self) -> usize {
        self.initializing().len()
    }

    fn fresh_ids(&self) -> FreshIds {
        FreshIds::new(&self.ever)
    }
}

/// As it is after it was written and read.
fn kept<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

struct Surge {
    upgrade: Upgrade,
    site: Site,
    checker: Checker,
    now: Timestamp,
    pending: Vec<Action>,
    /// Ids that were asked to be created, in order, repeats included.
    created: Vec<String>,
    capacity: usize,
}

/// `count` healthy instances at v1, batches of `percent`.
fn surge(count: usize, percent: u8) -> Surge {
    let mut policy = policy();
    policy.max_surge = true;
    policy.max_batch_instance_percent = Percent::new(percent).unwrap();
    let node = Node {
        place: Place::Member,
        health: Health::Healthy,
        version: "v1".into(),
        skips: false,
        phase: Some(0),
    };
    let nodes: BTreeMap<InstanceId, Node> = (0..count).map(|number| (id(number), node.clone())).collect();
    let site = Site { ever: nodes.keys().cloned().collect(), nodes };
    let World { upgrade, now, .. } = world(fleet(&[]), policy, GATE);
    Surge {
        upgrade,
        site,
        checker: Checker::default(),
        now,
        pending: Vec::new(),
        created: Vec::new(),
        capacity: count,
    }
}

impl Surge {
    fn event(&mut self, event: Event) {
        let before = self.upgrade.clone();
        let events = [event];
        let step = step(&mut self.upgrade, &self.site, &events, self.now);
        let seen = Seen {
            before: &before,
            after: &self.upgrade,
            events: &events,
            step: &step,
            fleet: &self.site,
            now: self.now,
        };
        let found = self.checker.observe(&seen);
        assert!(found.is_empty(), "{found:?}");
        self.checker.committed();
        for action in step.actions {
            match &action {
                Action::Create { instance, replaces, .. } => {
                    self.created.push(instance.to_string());
                    self.site.ever.insert(instance.clone());
                    let coming = Node {
                        place: Place::Coming,
                        health: Health::Unknown,
                        ..self.site.nodes[replaces].clone()
                    };
                    self.site.nodes.entry(instance.clone()).or_insert(coming);
                }
                Action::Delete { instance, successor, .. } => {
                    if let Some(node) = successor.as_ref().and_then(|id| self.site.nodes.get_mut(id)) {
                        node.place = Place::Member;
                    }
                    if let Some(node) = self.site.nodes.get_mut(instance) {
                        node.place = Place::Leaving;
                    }
                }
                Action::Apply { .. } => {}
                Action::End { .. } | Action::Hook(_) | Action::EndHook { .. } => continue,
            }
            self.pending.push(action);
        }
        let healthy = self.site.nodes.values().filter(|node| node.health == Health::Healthy).count();
        assert!(healthy >= self.capacity, "capacity fell to {healthy}");
    }

    fn look(&mut self) {
        self.event(Event::Look);
    }

    /// The driver does the first thing that it was asked for.
    fn answer(&mut self, result: Result<(), &str>) {
        let action = self.pending.remove(0);
        match (&action, &result) {
            (Action::Create { instance, version, .. }, Ok(())) => {
                let node = self.site.nodes.get_mut(instance).unwrap();
                (node.health, node.version) = (Health::Initializing, version.to_string());
            }
            (Action::Delete { instance, .. }, Ok(())) => drop(self.site.nodes.remove(instance)),
            (_, _) => {}
        }
        let (instance, operation) = (action.instance().unwrap().clone(), action.operation().clone());
        self.event(Event::EffectDone { operation, instance, result: result.map_err(str::to_owned) });
    }

    /// The driver does everything that it was asked for so far.
    fn answer_all(&mut self) {
        for _ in 0..self.pending.len() {
            self.answer(Ok(()));
        }
    }

    fn becomes(&mut self, number: usize, health: Health) {
        self.site.nodes.get_mut(&id(number)).unwrap().health = health;
        self.look();
    }

    fn all_become_healthy(&mut self) {
        self.site.nodes.values_mut().for_each(|node| node.health = Health::Healthy);
        self.look();
    }

    /// The host is killed and started again: only what was recorded is left.
    fn restart(&mut self) {
        let upgrade = &self.upgrade;
        let course = Course {
            order: kept(&upgrade.order()),
            batches: upgrade.batches.iter().map(|batch| (batch.number, kept(batch))).collect(),
            left_out: kept(&upgrade.left_out()),
            members: upgrade.members.iter().map(|(id, member)| (id.clone(), kept(member))).collect(),
        };
        let head = Upgrade::assemble(kept(&upgrade.head()), course);
        assert_eq!(head, self.upgrade, "the record replays");
        self.upgrade = head;
        self.pending.clear();
        self.event(Event::Resumed);
    }

    fn run(&mut self) {
        for _ in 0..100 {
            self.look();
            if !self.upgrade.is_active() {
                return;
            }
            self.answer_all();
            self.all_become_healthy();
        }
        panic!("no end in sight: {:?}", self.upgrade.stage);
    }

    fn asked(&self) -> String {
        let one = |action: &Action| match action {
            Action::Create { instance, replaces, version, .. } => format!("{replaces}->{instance}={version}"),
            Action::Delete { instance, successor: Some(by), .. } => format!("-{instance} for {by}"),
            Action::Delete { instance, .. } => format!("-{instance}"),
            Action::Apply { instance, version, .. } => format!("{instance}={version}"),
            Action::End { instance, .. } => format!("!{instance}"),
            Action::Hook(_) | Action::EndHook { .. } => action.operation().to_string(),
        };
        self.pending.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn shown(&self) -> String {
        let one = |(id, node): (&InstanceId, &Node)| format!("{id}:{}", node.version);
        self.site.nodes.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn failure(&self, number: usize) -> String {
        self.upgrade.members.get(&id(number)).unwrap().failure().unwrap_or_default()
    }
}

mod course;
mod failures;
