//! Stand-alone machines of one subscription and location: for the limits of health they are one set.

use super::estate::*;
use crate::domain::*;
use crate::kernel::released;
use crate::release::{How, Run, Unit};

fn name(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

/// Ten machines, of which 20 % are in flight, may be unhealthy, and may fail; so many groups may fail.
fn ten(may_fail: u32) -> World {
    let machine = |number: usize| {
        let mut config = set(&format!("m{number}"), "canary");
        config.spec.estate.kind = SetKind::VirtualMachines;
        config.spec.instances.retain(|id, _| id.as_str() == "0");
        let rolling = &mut config.spec.policy.rolling;
        let share = Percent::new(20).unwrap();
        rolling.max_batch_instance_percent = share;
        rolling.max_unhealthy_instance_percent = share;
        rolling.max_unhealthy_upgraded_instance_percent = share;
        config
    };
    let mut rules = rules();
    rules.strategy.region_phases.clear();
    rules.strategy.geo_pairs.clear();
    rules.strategy.max_failed_sets = may_fail;
    World::of((0..10).map(machine).collect(), rules)
}

/// Machines that cannot take any version.
fn broken(world: &mut World, machines: &[&str]) {
    world.broken_on = machines.iter().map(|of| (name(of), InstanceId::parse("0").unwrap())).collect();
}

fn run(world: &World, of: &str) -> Run {
    world.release().unwrap().parts[&name(of)].run.clone()
}

/// Whether nothing of the release is under way or waits.
fn is_quiet(world: &World) -> bool {
    let release = world.release().unwrap();
    release.parts.values().all(|part| !matches!(part.run, Run::Waits | Run::Runs))
}

#[test]
fn one_machine_of_ten_that_fails_is_named_and_tried_again_and_stops_no_other() {
    let mut world = ten(0);
    broken(&mut world, &["m8"]);
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(is_quiet);
    assert_eq!(world.release().unwrap().state_name(), "Running", "{:?}", world.release().unwrap().log);
    assert_eq!(world.at("1.1").len(), 9);
    assert!(
        matches!(run(&world, "m8"), Run::Ended { how: How::Incomplete, retry_at: Some(_), .. }),
        "{:?}",
        run(&world, "m8")
    );
    // It fails once more, and is one of ten still.
    let mut world = world.restart();
    world.rig.pass(world.release().unwrap().strategy.retry_after);
    world.until(|world| world.release().unwrap().parts[&name("m8")].tries == 2 && is_quiet(world));
    assert_eq!(world.release().unwrap().state_name(), "Running", "{:?}", world.release().unwrap().log);
    world.broken_on.clear();
    world.rig.pass(world.release().unwrap().strategy.retry_after);
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 10);
}

#[test]
fn more_than_a_fifth_of_a_group_that_fail_are_one_failed_set() {
    let mut world = ten(0);
    broken(&mut world, &["m5", "m6"]);
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Halted"));
    let release = world.release().unwrap();
    let canary = Location::parse("canary").unwrap();
    let of = Estate::default().subscription;
    assert_eq!(release.failed_units(), [Unit::Machines(&canary, &of)].into());
    let halted = release.log.iter().find(|line| line.code == "halted").unwrap();
    assert!(halted.text.contains("1 of its scale sets failed"), "{}", halted.text);
    // The first one was within the limit.
    assert!(matches!(run(&world, "m5"), Run::Ended { how: How::Incomplete, .. }), "{:?}", run(&world, "m5"));
    let Run::Ended { how: How::Faulted, why, .. } = run(&world, "m6") else {
        panic!("{:?}", run(&world, "m6"))
    };
    assert!(why.contains("upgraded stand-alone machines of its group are unhealthy"), "{why}");
    let has_it = world.at("1.1").len();
    (0..60).for_each(|_| world.step());
    assert!(has_it <= 7 && world.at("1.1").len() == has_it, "nothing more begins: {has_it}");
}

#[test]
fn a_group_that_may_fail_is_passed_over_as_one_set() {
    let mut world = ten(1);
    broken(&mut world, &["m0"]);
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(is_quiet);
    let release = world.release().unwrap();
    assert_eq!((release.state_name(), release.failed_units().len()), ("Running", 1), "{:?}", release.log);
    // As in a set: the first of them was half of what was upgraded.
    assert!(release.failed().count() >= 8, "{:?}", release.log);
    assert!(
        world.told.iter().all(|(machine, _)| ["m0", "m1"].contains(&machine.as_str())),
        "{:?}",
        world.told
    );
    let Run::Ended { why, .. } = run(&world, "m9") else { panic!() };
    assert!(why.contains("upgraded stand-alone machines of its group are unhealthy"), "{why}");
}

#[test]
fn a_machine_that_a_person_upgrades_is_judged_alone() {
    let mut world = ten(0);
    broken(&mut world, &["m0"]);
    let start = crate::kernel::command::Command::Start(name("m0"), crate::kernel::testing::to_version("v2"));
    world.rig.ask(start).unwrap().unwrap();
    world.until(|world| world.set("m0").active().is_none());
    let upgrade = world.set("m0").upgrade.clone().unwrap();
    assert_eq!(upgrade.state, crate::rollout::UpgradeState::Faulted);
}

#[test]
fn plan_and_rows_say_which_group_it_is() {
    let mut world = ten(0);
    let (of, to) = (subject("contoso/agent"), version("1.1"));
    let planned = released::plan(world.rig.kernel.fleet(), &of, &to, world.rig.now).unwrap();
    let nil = Estate::default().subscription;
    let mut sets = planned.plan.phases.iter().flat_map(|phase| &phase.sets);
    assert!(sets.all(|set| set.machines_of.as_ref() == Some(&nil)));
    world.publish("contoso/agent", "1.1").unwrap();
    assert!(world.release().unwrap().parts.values().all(|part| part.machines_of.as_ref() == Some(&nil)));
    let world = world.restart();
    assert!(world.release().unwrap().parts.values().all(|part| part.machines_of.as_ref() == Some(&nil)));
}
