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
            id: id.clone(),
            zone: None,
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            version: Some(version(&node.version)),
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
        let (instance, operation) = (action.instance().clone(), action.operation().clone());
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

    fn everybody_is_healthy(&mut self) {
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
            self.everybody_is_healthy();
        }
        panic!("no end in sight: {:?}", self.upgrade.stage);
    }

    fn asked(&self) -> String {
        let one = |action: &Action| match action {
            Action::Create { instance, replaces, version, .. } => format!("{replaces}->{instance}={version}"),
            Action::Delete { instance, successor: Some(by), .. } => format!("-{instance} for {by}"),
            Action::Delete { instance, .. } => format!("-{instance}"),
            Action::Apply { instance, version, .. } => format!("{instance}={version}"),
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

#[test]
fn new_instances_take_over_when_all_of_the_batch_have_been_judged() {
    let mut world = surge(4, 50);
    world.look();
    assert_eq!(world.asked(), "0->4=v2 1->5=v2");
    world.answer_all();
    assert_eq!(world.asked(), "", "they are Initializing");
    world.becomes(4, Health::Healthy);
    assert_eq!(world.asked(), "", "the other one of the batch has not been judged");
    world.becomes(5, Health::Healthy);
    assert_eq!(world.asked(), "-0 for 4 -1 for 5");
    assert_eq!(world.upgrade.batches[1].state, BatchState::Pending, "the old ones go first");
    world.answer_all();
    assert_eq!(world.asked(), "2->6=v2 3->7=v2");
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.upgrade.progress().successful, 4);
    assert_eq!(world.shown(), "4:v2 5:v2 6:v2 7:v2");
}

#[test]
fn a_new_one_that_is_not_healthy_any_more_takes_nobodys_place() {
    let mut world = surge(4, 50);
    world.look();
    world.answer_all();
    world.becomes(4, Health::Healthy);
    world.becomes(4, Health::Unhealthy);
    world.becomes(5, Health::Healthy);
    assert_eq!(world.asked(), "", "4 is in the gate again");
    world.becomes(4, Health::Healthy);
    assert_eq!(world.asked(), "-0 for 4 -1 for 5");
}

#[test]
fn a_new_one_that_fails_goes_and_its_old_one_stays() {
    let mut world = surge(4, 50);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(50).unwrap();
    world.look();
    world.answer_all();
    world.becomes(4, Health::Healthy);
    world.now = world.now + Duration::from_secs(300);
    world.look();
    assert_eq!(world.asked(), "-5 -0 for 4");
    world.answer_all();
    assert_eq!(
        world.failure(1),
        "its replacement 5 was still Initializing 300 s after its upgrade; nothing is left of that one, and this one stays"
    );
    world.run();
    assert_eq!(world.shown(), "1:v1 4:v2 6:v2 7:v2");
    assert_eq!((world.upgrade.state, world.upgrade.progress().failed), (UpgradeState::Completed, 1));
}

#[test]
fn no_room_fails_the_instance_and_never_changes_it_in_place() {
    let mut world = surge(4, 25);
    world.look();
    world.answer(Err("no more room: none of the ports 9100 to 9103 is free"));
    assert_eq!(world.asked(), "-4", "whatever a failed creation may have left is deleted");
    world.answer_all();
    assert_eq!(world.upgrade.state, UpgradeState::Faulted);
    assert!(
        world.failure(0).starts_with("its replacement 4 could not be created: no more room"),
        "{}",
        world.failure(0)
    );
    assert_eq!(world.shown(), "0:v1 1:v1 2:v1 3:v1");
}

#[test]
fn what_cannot_be_deleted_is_told() {
    let mut world = surge(2, 50);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
    world.look();
    world.answer_all();
    world.everybody_is_healthy();
    world.answer(Err("the site is locked"));
    assert_eq!(world.failure(0), "2 has taken its place, but it could not be deleted: the site is locked");
    assert_eq!(world.asked(), "1->3=v2", "and the next batch begins");
    world.answer(Err("no"));
    world.answer(Err("the site is locked"));
    let told =
        "its replacement 3 could not be created: no; that one could not be deleted: the site is locked";
    assert_eq!(world.failure(1), told);
}

#[test]
fn cancel_finishes_the_batch() {
    let mut world = surge(4, 25);
    world.look();
    world.event(Event::Wish(Wish::Cancel));
    assert!(world.upgrade.is_active());
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Cancelled);
    assert_eq!(world.shown(), "1:v1 2:v1 3:v1 4:v2");
}

#[test]
fn skips_and_phases_are_those_of_the_old_ones() {
    let mut world = surge(4, 100);
    world.site.nodes.get_mut(&id(0)).unwrap().phase = None;
    world.site.nodes.get_mut(&id(2)).unwrap().skips = true;
    world.look();
    assert_eq!(world.asked(), "1->4=v2 3->5=v2");
    world.answer_all();
    world.everybody_is_healthy();
    world.answer_all();
    assert_eq!(world.asked(), "0->6=v2", "the last phase");
    world.run();
    assert_eq!(world.shown(), "2:v1 4:v2 5:v2 6:v2");
}

#[test]
fn a_restart_at_every_stage_creates_nothing_twice_and_leaves_nothing() {
    // How many answers of the driver and healths come before the host is killed.
    for moment in 0..12 {
        for fails in [false, true] {
            let mut world = surge(4, 50);
            world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
            world.look();
            let mut steps = 0;
            while world.upgrade.is_active() {
                if steps == moment {
                    world.restart();
                    world.look();
                }
                steps += 1;
                assert!(steps < 100, "no end in sight");
                if !world.pending.is_empty() {
                    let first =
                        matches!(&world.pending[0], Action::Create { replaces, .. } if *replaces == id(0));
                    world.answer(if first && fails { Err("it is broken") } else { Ok(()) });
                } else {
                    let initializing = |node: &&mut Node| node.health != Health::Healthy;
                    if let Some(node) = world.site.nodes.values_mut().find(initializing) {
                        node.health = Health::Healthy;
                    }
                    world.look();
                }
            }
            let expected = if fails { "0:v1 5:v2 6:v2 7:v2" } else { "4:v2 5:v2 6:v2 7:v2" };
            assert_eq!(world.shown(), expected, "killed at {moment}");
            let ids: BTreeSet<&String> = world.created.iter().collect();
            assert_eq!(ids.len(), 4, "one each, under the same id after a restart: {:?}", world.created);
        }
    }
}

#[test]
fn a_rollback_surges_the_other_way() {
    let mut world = surge(3, 100);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
    world.look();
    world.answer(Err("no"));
    world.answer_all();
    world.everybody_is_healthy();
    world.answer_all();
    assert_eq!((world.upgrade.state, world.shown().as_str()), (UpgradeState::Completed, "0:v1 4:v2 5:v2"));
    world.upgrade = rollback_of(&world.upgrade, UpgradeId::parse("orders-2").unwrap(), world.now).unwrap();
    world.look();
    assert_eq!(world.asked(), "5->6=v1 4->7=v1", "newest first, and only what took over");
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.shown(), "0:v1 6:v1 7:v1");
}

#[test]
fn extensions_alone_and_named_instances_are_changed_in_place() {
    let mut world = surge(2, 100);
    let name = ExtensionName::parse("logs").unwrap();
    let component = crate::domain::Component::Extension(name);
    world.upgrade.goal = Goal::new([crate::domain::Change { component, to: version("7") }]);
    world.look();
    assert_eq!(world.asked(), "0=7");
    let world = surge(2, 100);
    let Upgrade { id, scale_set, goal, policy, before, .. } = world.upgrade;
    let start = StartUpgrade { id, number: 1, scale_set, goal, policy, before, bypass: false };
    let upgrade = manual(start, &world.site.candidates(), world.now);
    assert!(upgrade.members.values().all(|member| !member.is_surge()));
}

#[test]
fn a_new_one_gets_the_extensions_of_the_old_one() {
    let mut fleet = fleet(&[Some(0)]);
    let name = ExtensionName::parse("logs").unwrap();
    fleet.0.get_mut(&id(0)).unwrap().extensions.insert(name, version("7"));
    let mut policy = policy();
    policy.max_surge = true;
    let mut world = world(fleet, policy, GATE);
    world.look();
    let Action::Create { instance, operation, .. } = world.pending.remove(0) else { panic!() };
    assert_eq!((instance.as_str(), operation.0.as_str()), ("1", "orders-1/0/1"));
    world.event(&Event::EffectDone { operation, instance, result: Ok(()) });
    let Action::Apply { instance, version: seven, operation, .. } = world.pending.remove(0) else { panic!() };
    assert_eq!((instance.as_str(), seven.as_str(), operation.0.as_str()), ("1", "7", "orders-1/0/2"));
    world.event(&Event::EffectDone { operation, instance, result: Err("no such package".to_owned()) });
    assert!(matches!(&world.pending[0], Action::Delete { successor: None, .. }), "{:?}", world.pending);
}
