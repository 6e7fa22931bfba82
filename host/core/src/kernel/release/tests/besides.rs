//! What happens beside a release: people who end, repeat and take back single upgrades, and a host that did not look.

use std::time::Duration;

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{Command, ReleaseCommand, ReleaseWish};
use crate::release::{How, Part, Run};
use crate::rollout::Wish;

fn wish(world: &mut World, name: &str, wish: Wish) {
    let name = ScaleSetName::parse(name).unwrap();
    world.rig.ask(Command::Wish(name, wish)).unwrap().unwrap();
}

fn part(world: &World, name: &str) -> Part {
    world.release().unwrap().parts[&ScaleSetName::parse(name).unwrap()].clone()
}

fn is_done(world: &World, name: &str) -> bool {
    part(world, name).run == Run::Done
}

#[test]
fn a_halted_release_that_is_resumed_goes_on_past_what_failed() {
    let mut world = World::new();
    let change = Change { component: extension("agent"), to: Version::parse("1.1").unwrap() };
    world.bad.insert(change.clone());
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Halted"));
    world.bad.remove(&change);
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id, ReleaseWish::Resume)).unwrap();
    world.until(|world| world.at("1.1").len() == 6);
    assert!(world.release().unwrap().parts.values().all(|part| part.refused.is_none()));
}

#[test]
fn a_set_that_a_person_has_brought_there_is_done() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("canary-a").active().is_some());
    wish(&mut world, "canary-a", Wish::Cancel);
    world.until(|world| matches!(part(world, "canary-a").run, Run::Ended { how: How::Cancelled, .. }));
    wish(&mut world, "canary-a", Wish::Retry);
    world.until(|world| is_done(world, "canary-a"));
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 8);
}

#[test]
fn a_set_that_a_person_has_taken_back_is_not_done_and_says_why() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| is_done(world, "canary-a") && world.set("canary-a").active().is_none());
    wish(&mut world, "canary-a", Wish::RollBack);
    world.until(|world| matches!(part(world, "canary-a").run, Run::Ended { how: How::Cancelled, .. }));
    let Run::Ended { why, .. } = part(&world, "canary-a").run else { panic!() };
    assert!(why.contains("taken back"), "{why}");
}

#[test]
fn what_a_person_has_taken_back_from_a_version_does_not_come_again_by_itself() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    wish(&mut world, "canary-a", Wish::RollBack);
    world.until(|world| world.set("canary-a").active().is_none());
    assert_eq!(world.at("1.1").len(), 7);
    world.publish("contoso/logs", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.rig.kernel.fleet().releases.all.len(), 2, "nothing of the agent has begun");
    assert_eq!(world.at("1.1").len(), 7);
    // Something newer does.
    world.publish("contoso/agent", "1.2").unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.2").len(), 8);
}

/// How long after `from` the second region phase begins.
fn begins(world: &mut World, from: Timestamp) -> Duration {
    world.until(|world| {
        world.set("eastus-a").active().is_some() || world.set("westeurope-a").active().is_some()
    });
    world.rig.now.at.since(from)
}

#[test]
fn nothing_is_baked_while_nobody_looks() {
    for killed in [true, false] {
        let mut world = World::new();
        world.publish("contoso/agent", "1.1").unwrap();
        world.until(|world| is_done(world, "canary-a") && is_done(world, "canary-b"));
        world.rig.now.at = world.rig.now.at + BAKE * 2;
        if killed {
            world = world.restart();
        } else {
            world.rig.turn(vec![crate::kernel::Event::StoodStill(BAKE * 2)]);
        }
        let from = world.rig.now.at;
        let took = begins(&mut world, from);
        assert!(took + Duration::from_secs(3) >= BAKE, "{took:?} (killed: {killed})");
    }
}

#[test]
fn a_bake_that_was_over_is_over_after_a_start() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("eastus-a").active().is_some());
    let mut world = world.restart();
    let from = world.rig.now.at;
    world.until(|world| is_done(world, "eastus-a") && is_done(world, "westeurope-a"));
    assert!(world.rig.now.at.since(from) < BAKE, "the first phase is not baked again");
}

/// A set all of whose instances are in one zone of the first region.
fn in_zone(name: &str, zone: &str) -> crate::kernel::SetConfig {
    let mut config = set(name, "canary");
    for one in config.spec.instances.values_mut() {
        std::sync::Arc::make_mut(one).zone = Some(zone.to_owned());
    }
    config
}

#[test]
fn another_zone_waits_until_what_was_brought_back_is_well_again() {
    let mut rules = rules();
    rules.strategy.max_failed_sets = 2;
    let mut world = World::of(vec![in_zone("canary-a", "z0"), in_zone("canary-b", "z1")], rules);
    world.broken.insert(Change { component: extension("agent"), to: Version::parse("1.1").unwrap() });
    world.publish("contoso/agent", "1.1").unwrap();
    let stage = |world: &World, name: &str| world.set(name).upgrade.as_ref().map(|upgrade| upgrade.stage);
    world.until(|world| stage(world, "canary-a") == Some(crate::rollout::Stage::InBatch));
    let ill = (ScaleSetName::parse("canary-a").unwrap(), InstanceId::parse("0").unwrap());
    world.ill.insert(ill.clone());
    world.until(|world| world.set("canary-a").active().is_none());
    for _ in 0..30 {
        world.step();
        assert!(
            matches!(stage(&world, "canary-b"), Some(crate::rollout::Stage::Between { .. })),
            "{:?}",
            stage(&world, "canary-b")
        );
    }
    world.ill.remove(&ill);
    world.until(|world| world.told.iter().any(|(set, _)| set == "canary-b"));
    // It does not wait for ever for one that does not come back.
    assert!(world.set("canary-a").zone_until.is_none());
}
