//! What becomes of those whom a source finds and loses, beside those that the configuration lists.

use std::sync::Arc;
use std::time::Duration;

use super::super::command::{Command, Discovered, Reconfiguration};
use super::super::testing::*;
use super::super::{Answer, Effect, Refusal, SetConfig};
use crate::domain::*;
use crate::rollout::UpgradeState;

fn at(rig: &Rig, text: &str, port: u16) -> Arc<Instance> {
    let mut one = (*rig.set().listed.values().next().unwrap().as_ref()).clone();
    (one.id, one.address.port) = (id(text), port);
    Arc::new(one)
}

fn says(rig: &mut Rig, found: Vec<Arc<Instance>>, gone: &[&str]) -> Answer {
    let gone = gone.iter().map(|text| id(text)).collect();
    rig.ask(Command::Discovered(
        name("orders"),
        Box::new(Discovered { found, gone, ..Discovered::default() }),
    ))
    .unwrap()
}

fn members(rig: &Rig) -> Vec<String> {
    rig.set().members().map(|one| one.spec.id.to_string()).collect()
}

fn recorded(rig: &Rig) -> Vec<String> {
    rig.disk.stored().discovered.keys().map(|(_, id)| id.to_string()).collect()
}

#[test]
fn those_who_are_found_are_members_also_after_a_restart_whose_source_is_silent() {
    let mut rig = Rig::healthy();
    let found = vec![at(&rig, "a", 1), at(&rig, "b", 2)];
    assert!(says(&mut rig, found, &[]).is_ok());
    assert_eq!(members(&rig), ["0", "1", "2", "a", "b"]);
    assert!(rig.trail().contains(&"members"));
    let mut rig = rig.restart();
    assert_eq!((members(&rig), recorded(&rig)), (members(&rig), vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(members(&rig).len(), 5);
    assert!(says(&mut rig, Vec::new(), &["a", "unknown"]).is_ok());
    assert_eq!((members(&rig).len(), recorded(&rig).len()), (4, 1));
    assert_eq!(members(&rig.restart()).len(), 4);
}

#[test]
fn the_list_comes_before_a_source_and_gives_way_to_it() {
    let mut rig = Rig::healthy();
    let found = vec![at(&rig, "0", 1), at(&rig, "a", 2)];
    assert!(says(&mut rig, found, &[]).is_ok());
    assert_ne!(rig.instance("0").spec.address.port, 1, "the list says where it is");
    // The list loses it, and the source still names it: it stays a member, where that says.
    let reload = |rig: &mut Rig| {
        let sets = vec![rig.sets.first().unwrap().spec.clone()];
        let change = Reconfiguration { sets, ..Reconfiguration::default() };
        assert!(rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
    };
    rig.sets.first_mut().unwrap().spec.instances.remove(&id("0"));
    reload(&mut rig);
    assert_eq!((members(&rig), rig.instance("0").spec.address.port), (members(&rig), 1));
    assert_eq!(members(&rig), ["0", "1", "2", "a"]);
    // A list of nobody takes nobody away whom the source names.
    rig.sets.first_mut().unwrap().spec.instances.clear();
    reload(&mut rig);
    assert_eq!(members(&rig), ["0", "a"]);
}

#[test]
fn what_cannot_be_recorded_is_not_so() {
    let mut rig = Rig::healthy();
    for mood in [DiskMood::Refuses, DiskMood::Lies] {
        rig.mood = mood;
        let found = vec![at(&rig, "a", 1)];
        let answer = rig.ask(Command::Discovered(
            name("orders"),
            Box::new(Discovered { found, gone: vec![id("0")], ..Discovered::default() }),
        ));
        assert!(!matches!(answer, Some(Ok(_))), "{answer:?}");
        assert_eq!(members(&rig), ["0", "1", "2"]);
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(10));
        assert_eq!((recorded(&rig), members(&rig).len()), (Vec::new(), 3), "it is written over");
    }
    let unknown = Command::Discovered(name("other"), Box::default());
    assert!(matches!(rig.ask(unknown), Some(Err(Refusal::NoScaleSet { .. }))));
}

#[test]
fn those_who_come_during_an_upgrade_join_none_and_those_who_go_are_no_failure() {
    let mut rig = Rig::healthy();
    let found = vec![at(&rig, "a", 1)];
    assert!(says(&mut rig, found, &[]).is_ok());
    for asked in rig.questions() {
        rig.sees(asked, Seen::Version(version("v1")));
    }
    rig.everybody_answers();
    rig.judge("a", decision(0));
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    rig.judge("a", decision(0));
    assert_eq!(rig.upgrade().members.len(), 4);
    let found = vec![at(&rig, "b", 2)];
    assert!(says(&mut rig, found, &["a"]).is_ok());
    assert_eq!(members(&rig), ["0", "1", "2", "b"]);
    for _ in 0..20 {
        for asked in rig.questions() {
            rig.sees(asked, Seen::Version(version("v1")));
        }
        for asked in rig.asked() {
            let instance = asked.instance.id.clone();
            rig.done(asked, Ok(()));
            rig.judge(instance.as_str(), decision(0));
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        rig.judge("b", decision(0));
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    assert!(rig.upgrade().members.get(&id("b")).is_none(), "it has its plan");
    assert_eq!(rig.upgrade().progress().failed, 0);
}

#[test]
fn one_that_moves_begins_a_new_life_where_it_stands() {
    let mut rig = Rig::healthy();
    let found = vec![at(&rig, "a", 1)];
    assert!(says(&mut rig, found, &[]).is_ok());
    let epoch = rig.instance("a").epoch;
    let found = vec![at(&rig, "a", 2)];
    assert!(says(&mut rig, found, &[]).is_ok());
    assert!(rig.instance("a").epoch > epoch);
    let probed = rig.effects.iter().rev().find_map(|effect| match effect {
        Effect::Probe(announced) if announced.instance.id == id("a") => Some(announced.instance.address.port),
        _ => None,
    });
    assert_eq!(probed, Some(2));
}

#[test]
fn a_set_may_begin_with_nobody_and_is_started_by_the_host_as_it_is_found() {
    let mut set: SetConfig = orders();
    let one = Arc::clone(set.spec.instances.values().next().unwrap());
    set.spec.instances.clear();
    set.driver.custody = Custody::Host;
    let mut rig = Rig::new(vec![set]);
    assert!(members(&rig).is_empty());
    assert!(says(&mut rig, vec![one], &[]).is_ok());
    let asked = rig.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked.first().unwrap().version, version("v1"));
}
