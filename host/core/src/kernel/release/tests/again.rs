//! What is over stays so: a host begins nothing again by itself that a person or a failure has ended.

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{Command, Enrol, ReleaseCommand, ReleaseWish};
use crate::release::{How, Left, Run};
use crate::rollout::{Stage, Wish};

/// One set that fails is passed over.
fn one_may_fail() -> World {
    let mut rules = rules();
    (rules.strategy.max_failed_sets, rules.strategy.retry_limit) = (1, 0);
    let sets = vec![set("canary-a", "canary"), set("eastus-a", "eastus")];
    World::of(sets, rules)
}

fn run(world: &World, name: &str) -> Run {
    world.release().unwrap().parts[&ScaleSetName::parse(name).unwrap()].run.clone()
}

#[test]
fn a_set_that_failed_as_often_as_it_may_is_not_tried_again_by_another_release() {
    let mut world = one_may_fail();
    world.sick.clear();
    let name = ScaleSetName::parse("canary-a").unwrap();
    world.publish("contoso/agent", "1.1").unwrap();
    // It alone cannot come up with it.
    world.until(|world| world.set("canary-a").active().is_some());
    world.sick.insert(name.clone());
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { how: How::Faulted, .. }));
    world.sick.clear();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1"), ["eastus-a".to_owned()].into());
    let mut world = world.restart();
    for _ in 0..20 {
        world.step();
    }
    world.publish("contoso/logs", "1.1").unwrap();
    for _ in 0..200 {
        world.step();
    }
    let agents = world.rig.kernel.fleet().releases.all.values();
    let agents = agents.filter(|it| it.subject == subject("contoso/agent")).count();
    assert_eq!(agents, 1, "nobody has asked for another one");
    assert!(!world.at("1.1").contains("canary-a"));
}

#[test]
fn what_a_person_takes_back_in_the_middle_is_no_failure_of_the_version() {
    let mut world = World::of(vec![set("canary-a", "canary"), set("eastus-a", "eastus")], rules());
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| {
        world.set("canary-a").active().is_some_and(|one| one.current >= 1 && one.stage != Stage::InBatch)
    });
    let name = ScaleSetName::parse("canary-a").unwrap();
    world.rig.ask(Command::Wish(name, Wish::RollBack)).unwrap().unwrap();
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    assert!(
        matches!(run(&world, "canary-a"), Run::Ended { how: How::Cancelled, retry_at: None, .. }),
        "{:?}",
        run(&world, "canary-a")
    );
    assert!(world.is("Running"), "it is not halted");
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id, ReleaseWish::Approve(1))).unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(
        world.at("1.1"),
        ["eastus-a".to_owned()].into(),
        "and ends, although nobody waits for the first"
    );
    let mut world = world.restart();
    for _ in 0..200 {
        world.step();
    }
    assert_eq!(world.rig.kernel.fleet().releases.all.len(), 1);
    assert!(!world.at("1.1").contains("canary-a"));
}

#[test]
fn a_set_that_enrols_later_brings_no_other_along() {
    let mut world = one_may_fail();
    let name = ScaleSetName::parse("eastus-a").unwrap();
    let agent = subject("contoso/agent");
    world.ask(ReleaseCommand::Enrol(name.clone(), agent.clone(), Enrol::Out)).unwrap();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("canary-a").active().is_some());
    world.sick.insert(ScaleSetName::parse("canary-a").unwrap());
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { how: How::Faulted, .. }));
    world.sick.clear();
    world.until(|world| world.is("Completed"));
    world.ask(ReleaseCommand::Enrol(name, agent, Enrol::In)).unwrap();
    world.until(|world| world.at("1.1").contains("eastus-a"));
    assert_eq!(run(&world, "canary-a"), Run::Left(Left::FailedBefore));
}

#[test]
fn one_that_fails_again_is_not_all_of_what_was_upgraded() {
    let mut rules = rules();
    (rules.strategy.max_failed_sets, rules.strategy.retry_limit) = (0, 1);
    let mut config = set("canary-a", "canary");
    let one = config.spec.instances.values().next().unwrap().clone();
    for number in 4..10 {
        let id = InstanceId::parse(&number.to_string()).unwrap();
        config.spec.instances.insert(id.clone(), std::sync::Arc::new(Instance { id, ..(*one).clone() }));
    }
    config.spec.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(20).unwrap();
    let mut world = World::of(vec![config], rules);
    let name = ScaleSetName::parse("canary-a").unwrap();
    world.publish("contoso/agent", "1.1").unwrap();
    // It alone cannot take the version, each time.
    world.broken_on.insert((name, InstanceId::parse("9").unwrap()));
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    let tries = world.release().unwrap().parts.values().next().unwrap().tries;
    assert_eq!(tries, 1);
    world.rig.pass(world.release().unwrap().strategy.retry_after);
    world.until(|world| world.release().unwrap().parts.values().next().unwrap().tries == 2);
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    assert!(
        matches!(run(&world, "canary-a"), Run::Ended { how: How::Incomplete, .. }),
        "{:?}",
        run(&world, "canary-a")
    );
    assert_ne!(world.release().unwrap().state_name(), "Halted", "nine of ten are well");
}
