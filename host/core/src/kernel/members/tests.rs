//! What becomes of those that come, go and stand elsewhere while a host runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::command::{Command, Reconfiguration};
use super::super::testing::*;
use super::super::{Effect, Event, SetConfig};
use crate::domain::*;
use crate::kernel::effect::{Delete, Ensure};
use crate::kernel::event::{Deleted, Hooked};
use crate::plan::{Hold, HoldReason};
use crate::rollout::UpgradeState;

mod moved;

/// Goes by what the file says after a change of it.
fn reload(rig: &mut Rig, change: impl FnOnce(&mut ScaleSet)) {
    let file = rig.sets.first_mut().unwrap();
    change(&mut file.spec);
    let sets = vec![file.spec.clone()];
    let change = Reconfiguration { sets, ..Reconfiguration::default() };
    assert!(rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
}

fn without(set: &mut ScaleSet, instance: &str) -> Arc<Instance> {
    set.instances.remove(&id(instance)).unwrap()
}

fn with(set: &mut ScaleSet, instance: &str, port: u16) {
    let mut one = (**set.instances.values().next().unwrap()).clone();
    (one.id, one.address.port) = (id(instance), port);
    set.instances.insert(one.id.clone(), Arc::new(one));
}

/// The host keeps the three running at v1, and all is well.
fn kept_by_the_host() -> Rig {
    let mut set = orders();
    set.driver.custody = Custody::Host;
    let mut rig = Rig::new(vec![set]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    rig.everybody_answers();
    rig.effects.clear();
    rig
}

fn dismissed(rig: &mut Rig) -> Vec<Delete> {
    let (ends, others) = std::mem::take(&mut rig.effects)
        .into_iter()
        .partition::<Vec<Effect>, _>(|effect| matches!(effect, Effect::Dismiss(_)));
    rig.effects = others;
    ends.into_iter()
        .filter_map(|effect| if let Effect::Dismiss(delete) = effect { Some(*delete) } else { None })
        .collect()
}

fn has_ended(rig: &mut Rig, end: Delete, answer: Result<(), &str>) {
    let Delete { scale_set, instance, operation, .. } = end;
    let answer = answer.map_err(str::to_owned);
    rig.turn(vec![Event::Deleted(Deleted { scale_set, instance: instance.id, operation, answer })]);
}

fn is_probed_no_longer(rig: &Rig, instance: &str) -> bool {
    rig.effects.iter().any(|effect| matches!(effect, Effect::Forget(_, one) if *one == id(instance)))
}

fn membership(rig: &Rig, instance: &str) -> Option<Membership> {
    rig.disk.stored().memberships.get(&(name("orders"), id(instance))).cloned()
}

fn recorded(rig: &Rig, instance: &str) -> Option<Runs> {
    let key = (name("orders"), id(instance), Component::Application);
    rig.disk.stored().versions.get(&key).cloned()
}

#[test]
fn a_new_one_is_started_and_one_that_goes_is_ended() {
    let mut rig = kept_by_the_host();
    reload(&mut rig, |set| {
        with(set, "3", 9003);
        without(set, "0");
    });
    let started: Vec<Ensure> = rig.effects.iter().filter_map(ensured).collect();
    assert_eq!(started.iter().map(|one| one.instance.id.as_str()).collect::<Vec<_>>(), ["3"]);
    assert_eq!(started.first().unwrap().version, version("v1"));
    assert!(is_probed_no_longer(&rig, "0") && rig.set().instance(&id("0")).is_none());
    let ends = dismissed(&mut rig);
    assert_eq!(ends.iter().map(|end| end.instance.id.as_str()).collect::<Vec<_>>(), ["0"]);
    assert_eq!(rig.set().census().total(), 3);
    assert!(matches!(membership(&rig, "0"), Some(Membership::Removed { .. })));
    assert!(rig.disk.trail().any(|line| line.to_string() == "instances: 1 added (3), 1 removed (0)"));
    // What could not be ended is ended later.
    has_ended(&mut rig, ends.into_iter().next().unwrap(), Err("it hangs"));
    assert_eq!(dismissed(&mut rig), []);
    rig.pass(Duration::from_secs(70));
    let again = dismissed(&mut rig);
    assert_eq!(again.len(), 1);
    has_ended(&mut rig, again.into_iter().next().unwrap(), Ok(()));
    rig.pass(Duration::from_secs(120));
    assert_eq!(dismissed(&mut rig), []);
}

fn ensured(effect: &Effect) -> Option<Ensure> {
    if let Effect::Ensure(ensure) = effect { Some((**ensure).clone()) } else { None }
}

#[test]
fn one_that_comes_back_in_time_is_what_it_was_and_a_later_one_is_new() {
    for (away, back) in [(3000, "v2"), (3700, "v1")] {
        let mut rig = Rig::healthy();
        let mut other = rig.instance("0").spec.as_ref().clone();
        other.address.port = 9100;
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(recorded(&rig, "0"), Some(Runs::at(version("v2"))));
        let mut gone = None;
        reload(&mut rig, |set| gone = Some(without(set, "0")));
        rig.pass(Duration::from_secs(away));
        let mut rig = if away == 3000 { rig.restart() } else { rig };
        rig.pass(Duration::from_secs(1));
        assert_eq!(recorded(&rig, "0").is_some(), away == 3000, "forgetAfter");
        assert_eq!(membership(&rig, "0").is_some(), away == 3000);
        let gone = gone.unwrap();
        reload(&mut rig, |set| drop(set.instances.insert(gone.id.clone(), gone)));
        assert_eq!(membership(&rig, "0"), None);
        let runs = rig.instance("0").runs.clone();
        let expected = if back == "v2" { Runs::at(version("v2")) } else { Runs::UNKNOWN };
        assert_eq!(runs, expected);
    }
}

#[test]
fn a_late_round_of_the_life_before_does_not_count_for_the_one_that_came_back() {
    let mut rig = Rig::healthy();
    let epoch = rig.instance("0").epoch;
    let mut gone = None;
    reload(&mut rig, |set| gone = Some(without(set, "0")));
    let gone = gone.unwrap();
    reload(&mut rig, |set| drop(set.instances.insert(gone.id.clone(), gone)));
    rig.judge_in("0", epoch, 1, Ok(Arc::new(decision(0))));
    assert_eq!(rig.instance("0").fold.health(), Health::Initializing);
    rig.judge("0", decision(0));
    assert_eq!(rig.instance("0").fold.health(), Health::Healthy);
}

#[test]
fn what_a_plugin_remembers_comes_back_with_the_instance() {
    let mut rig = Rig::healthy();
    rig.judge("0", Decision { memory: Some(vec![7]), ..decision(0) });
    let mut gone = None;
    reload(&mut rig, |set| gone = Some(without(set, "0")));
    rig.effects.clear();
    let gone = gone.unwrap();
    reload(&mut rig, |set| drop(set.instances.insert(gone.id.clone(), gone)));
    let is_given = |effect: &Effect| matches!(effect, Effect::Remember(_, one, bytes) if *one == id("0") && **bytes == [7]);
    assert!(rig.effects.iter().any(is_given));
}

#[test]
fn one_in_flight_that_goes_leaves_the_upgrade_and_its_answer_does_no_harm() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    let first = asked.instance.id.clone();
    let mut gone = None;
    reload(&mut rig, |set| gone = Some(without(set, first.as_str())));
    for _ in 0..20 {
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    assert_eq!(rig.asked(), [], "two would be in hand with a batch of one");
    assert!(rig.set().instance(&first).is_some(), "it goes when its driver is done");
    rig.done(asked, Ok(()));
    assert!(rig.upgrade().members.get(&first).is_none(), "nobody has it any more");
    assert!(rig.upgrade().holds.iter().any(|hold| hold.reason.code() == "vanished"));
    assert!(rig.set().instance(&first).is_none());
    assert_eq!(recorded(&rig, first.as_str()), Some(Runs::at(version("v2"))), "what it has is so");
    for _ in 0..10 {
        rig.pass(Duration::from_secs(1));
        ["1", "2"].iter().for_each(|one| rig.judge(one, decision(0)));
        for asked in rig.asked() {
            rig.done(asked, Ok(()));
        }
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    assert_eq!(rig.upgrade().progress().successful, 2);
    let gone = gone.unwrap();
    reload(&mut rig, |set| drop(set.instances.insert(gone.id.clone(), gone)));
    assert_eq!(rig.instance(first.as_str()).runs, Runs::at(version("v2")));
}

#[test]
fn one_that_is_listed_again_before_its_driver_is_done_has_never_left() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    let first = asked.instance.id.clone();
    let mut gone = None;
    reload(&mut rig, |set| gone = Some(without(set, first.as_str())));
    let gone = gone.unwrap();
    reload(&mut rig, |set| drop(set.instances.insert(gone.id.clone(), gone)));
    rig.done(asked, Ok(()));
    rig.run_to_the_end();
    assert_eq!(rig.upgrade().progress().successful, 3);
    assert!(rig.upgrade().holds.is_empty());
}

#[test]
fn a_hook_gives_back_what_was_taken_from_one_that_goes() {
    for goes_in in [HookKind::BeforeInstance, HookKind::AfterInstance] {
        let mut set = orders();
        set.spec.policy.hooks = [HookKind::BeforeInstance, HookKind::AfterInstance].into_iter().collect();
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        rig.effects.clear();
        rig.start("v2");
        let mut log = Vec::new();
        for _ in 0..40 {
            for effect in std::mem::take(&mut rig.effects) {
                match effect {
                    Effect::Hook(call) => {
                        let instance = call.instance().unwrap().clone();
                        log.push(format!("{} {instance}", call.hook));
                        if instance == id("0") && call.hook == goes_in {
                            reload(&mut rig, |set| drop(without(set, "0")));
                        }
                        rig.turn(vec![Event::Hooked(Hooked {
                            scale_set: call.scale_set.clone(),
                            hook: call.hook,
                            instance: Some(instance),
                            operation: call.operation.clone(),
                            answer: Ok(()),
                        })]);
                    }
                    Effect::Ensure(asked) => {
                        log.push(asked.instance.id.to_string());
                        rig.done(*asked, Ok(()));
                    }
                    _ => {}
                }
            }
            rig.pass(Duration::from_secs(1));
            for one in ["0", "1", "2"]
                .iter()
                .filter(|one| rig.set().instance(&id(one)).is_some())
                .collect::<Vec<_>>()
            {
                rig.judge(one, decision(0));
            }
        }
        let of_the_first: Vec<&str> =
            log.iter().filter(|line| line.ends_with('0')).map(String::as_str).collect();
        let driver = (goes_in == HookKind::AfterInstance).then_some("0");
        let expected: Vec<&str> =
            ["beforeInstance 0"].into_iter().chain(driver).chain(["afterInstance 0"]).collect();
        assert_eq!(of_the_first, expected, "{log:?}");
        assert_eq!(rig.upgrade().state, UpgradeState::Completed);
        assert_eq!(rig.upgrade().progress().successful, 2);
    }
}

#[test]
fn a_new_one_joins_no_upgrade_that_has_its_plan() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    assert_eq!(rig.asked().len(), 1);
    reload(&mut rig, |set| with(set, "3", 9003));
    assert_eq!(rig.upgrade().members.len(), 3);
    assert_eq!(rig.set().census().total(), 4, "and counts");
}

#[test]
fn one_that_is_protected_now_leaves_the_plan() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    reload(&mut rig, |set| {
        let one = set.instances.get_mut(&id("2")).unwrap();
        Arc::make_mut(one).protection.from_scale_set_actions = true;
    });
    assert!(rig.upgrade().members.get(&id("2")).is_none());
}

#[test]
fn nothing_is_ended_or_started_while_the_host_holds() {
    let mut rig = kept_by_the_host();
    rig.disk.doubt(crate::record::Doubt::Copied);
    let mut rig = rig.restart();
    reload(&mut rig, |set| {
        with(set, "3", 9003);
        without(set, "0");
    });
    rig.pass(Duration::from_secs(10));
    assert_eq!((dismissed(&mut rig), rig.asked()), (vec![], vec![]));
    rig.ask(Command::Adopt);
    assert_eq!(dismissed(&mut rig).len(), 1);
    let started: Vec<Ensure> = rig.asked();
    assert!(started.iter().any(|one| one.instance.id == id("3")), "{started:?}");
}

#[test]
fn a_reload_that_cannot_be_recorded_changes_nothing() {
    for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
        let mut rig = Rig::healthy();
        rig.judge("0", Decision { memory: Some(vec![7]), ..decision(0) });
        rig.pass(Duration::from_secs(2));
        let before = rig.disk.stored().clone();
        let mut file = rig.sets.first().unwrap().spec.clone();
        with(&mut file, "3", 9003);
        without(&mut file, "0");
        file.model.version = version("v9");
        file.plugin = PluginName::parse("queue").unwrap();
        rig.mood = mood;
        let change = Reconfiguration { sets: vec![file], ..Reconfiguration::default() };
        let answer = rig.ask(Command::Reconfigure(change));
        assert!(answer.is_none_or(|answer| answer.is_err()));
        assert!(rig.set().instance(&id("3")).is_none() && rig.set().instance(&id("0")).is_some());
        assert_eq!(rig.set().model.of(&Component::Application), Some(&version("v1")));
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(6));
        rig.pass(Duration::from_secs(2));
        let after = rig.disk.stored();
        assert_eq!(before.memberships, after.memberships, "{mood:?}");
        assert_eq!((&before.models, &before.memories), (&after.models, &after.memories), "{mood:?}");
        assert_eq!(before.versions, after.versions, "{mood:?}");
    }
}

#[test]
fn what_was_to_be_forgotten_and_could_not_be_recorded_is_known() {
    let mut rig = Rig::healthy();
    reload(&mut rig, |set| drop(without(set, "0")));
    let before = rig.disk.stored().clone();
    rig.mood = DiskMood::Lies;
    rig.pass(Duration::from_secs(3601));
    assert_eq!(recorded(&rig, "0"), None, "the disk has done it, and cannot tell");
    rig.mood = DiskMood::Refuses;
    rig.pass(Duration::ZERO);
    rig.mood = DiskMood::Takes;
    let mut rig = rig;
    // Forgotten again with the first commit that is made.
    rig.pass(Duration::from_secs(6));
    rig.pass(Duration::from_secs(6));
    assert_eq!((recorded(&rig, "0"), membership(&rig, "0")), (None, None));
    assert!(before.versions.len() > rig.disk.stored().versions.len());
}

#[test]
fn those_that_went_while_no_host_ran_are_forgotten_too() {
    let mut rig = Rig::healthy();
    rig.sets.iter_mut().for_each(|set| drop(without(&mut set.spec, "0")));
    let mut rig = rig.restart();
    assert!(matches!(membership(&rig, "0"), Some(Membership::Removed { .. })));
    assert!(recorded(&rig, "0").is_some());
    rig.pass(Duration::from_secs(3601));
    assert_eq!((recorded(&rig, "0"), membership(&rig, "0")), (None, None));
}

#[test]
fn an_id_that_was_deleted_for_good_stays_away() {
    let mut rig = Rig::healthy();
    let deleted = Membership::Deleted { replaced_by: Some(id("1")) };
    let write = crate::record::Write::Membership(name("orders"), id("7"), Some(Box::new(deleted.clone())));
    rig.disk.apply(&crate::record::Commit {
        version: crate::record::Commit::VERSION,
        seq: 1_000,
        anchor: crate::record::Anchor::default(),
        writes: vec![write],
    });
    let mut rig = rig.restart();
    reload(&mut rig, |set| with(set, "7", 9007));
    assert!(rig.set().instance(&id("7")).is_none());
    assert_eq!(membership(&rig, "7"), Some(deleted));
}

#[test]
fn another_model_is_wanted_and_what_a_door_has_said_stays_where_the_file_says_the_same() {
    let mut rig = Rig::healthy();
    let wanted = |rig: &Rig| rig.set().model.of(&Component::Application).cloned().unwrap();
    rig.start("v3");
    rig.run_to_the_end();
    reload(&mut rig, |set| set.health.interval = Duration::from_secs(7));
    assert_eq!(wanted(&rig), version("v3"), "the file has not said anything new");
    reload(&mut rig, |set| set.model.version = version("v2"));
    assert_eq!(wanted(&rig), version("v2"));
    let rig = rig.restart();
    assert_eq!(wanted(&rig), version("v2"));
}

#[test]
fn another_plugin_judges_anew_and_what_the_one_before_remembered_is_dropped() {
    let mut rig = Rig::healthy();
    rig.judge("0", Decision { memory: Some(vec![7]), ..decision(0) });
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.disk.stored().memories.len(), 1);
    reload(&mut rig, |set| set.plugin = PluginName::parse("queue").unwrap());
    assert_eq!(rig.set().census().of(Health::Initializing), 3);
    rig.judge("0", Decision { memory: Some(vec![8]), ..decision(0) });
    assert_eq!(rig.instance("0").fold.health(), Health::Initializing, "it judges this set no longer");
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.disk.stored().memories, BTreeMap::new());
}

#[test]
fn another_kind_of_driver_takes_over_and_what_ran_goes_on_until_nobody_lists_it() {
    let SetConfig { driver, .. } = orders();
    let mut rig = kept_by_the_host();
    let spec = rig.sets.first().unwrap().spec.clone();
    let drivers = BTreeMap::from([(name("orders"), driver)]);
    let change = Reconfiguration { sets: vec![spec], drivers, ..Reconfiguration::default() };
    assert!(rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
    assert_eq!(rig.effects.first(), Some(&Effect::Drive(name("orders"))), "before anything that it is told");
    assert_eq!(rig.questions().len(), 3, "it is asked what runs");
    assert_eq!(rig.asked(), [], "and nothing is ended");
    reload(&mut rig, |set| drop(without(set, "0")));
    assert_eq!(dismissed(&mut rig).len(), 1, "the host had kept it running");
}

#[test]
fn all_of_them_may_go_and_come_back() {
    let mut rig = kept_by_the_host();
    rig.start("v2");
    let first = rig.asked().remove(0);
    let all = rig.set().spec.instances.clone();
    reload(&mut rig, |set| set.instances.clear());
    assert_eq!(rig.set().census().total(), 1, "the one in hand");
    rig.done(first, Ok(()));
    assert_eq!(rig.set().census().total(), 0);
    rig.pass(Duration::from_secs(1));
    assert!(rig.set().active().is_none(), "{:?}", rig.upgrade());
    reload(&mut rig, |set| set.instances = all);
    assert_eq!(rig.asked().len(), 3);
}

#[test]
fn a_batch_that_has_lost_all_its_members_costs_nothing() {
    let mut set = orders();
    set.spec.policy.rolling.pause_time_between_batches = Duration::from_secs(600);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let first = rig.asked().remove(0);
    assert_eq!(first.instance.id, id("0"));
    reload(&mut rig, |set| drop(without(set, "1")));
    rig.done(first, Ok(()));
    let left_answer = |rig: &mut Rig| ["0", "2"].map(|one| rig.judge(one, decision(0)));
    rig.pass(Duration::from_secs(1));
    left_answer(&mut rig);
    rig.pass(Duration::from_secs(601));
    left_answer(&mut rig);
    let next: Vec<InstanceId> = rig.asked().into_iter().map(|asked| asked.instance.id).collect();
    assert_eq!(next, [id("2")], "one pause, after the batch that was one");
    assert_eq!(rig.upgrade().batches.len(), 2);
}
