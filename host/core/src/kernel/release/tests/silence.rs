//! A host that loses its network in the middle of a release over sets that are too small to tell by themselves.

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::Command;
use crate::kernel::report::{WaitsFor, waiting};
use crate::kernel::state::SetState;
use crate::release::{Left, Run};
use crate::rollout::{Stage, Wish};

fn name(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

/// So many stand-alone machines of one group, so that one after the other is upgraded.
fn machines(count: usize) -> World {
    let one = |number: usize| {
        let mut config = set(&format!("m{number}"), "canary");
        config.spec.instances.retain(|id, _| id.as_str() == "0");
        config.spec.estate.kind = SetKind::VirtualMachines;
        config
    };
    World::of((0..count).map(one).collect(), rules())
}

/// The machine that a driver or the health gate has in hand.
fn in_hand(world: &World) -> Option<String> {
    let stage = |set: &SetState| set.active().map(|upgrade| upgrade.stage);
    let mut sets = world.rig.kernel.fleet().sets();
    sets.find(|set| stage(set) == Some(Stage::InBatch)).map(|set| set.spec.name.to_string())
}

/// The release has brought its version to the first machine and waits for an answer; from now on these are silent.
fn silent_in_the_gate(count: usize, silent: &[&str]) -> World {
    let mut world = machines(count);
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| in_hand(world).is_some());
    world.silent = silent.iter().map(|text| name(text)).collect();
    world
}

const ALL: [&str; 6] = ["m0", "m1", "m2", "m3", "m4", "m5"];

fn failed(world: &World) -> usize {
    world.release().unwrap().failed().count()
}

fn pass(world: &mut World, seconds: usize) {
    (0..seconds).for_each(|_| world.step());
}

fn tells(world: &World, text: &str) -> usize {
    world.rig.disk.trail().filter(|entry| entry.to_string().contains(text)).count()
}

#[test]
fn single_machines_that_are_all_silent_fail_no_set_and_the_release_goes_on_when_they_answer() {
    let mut world = silent_in_the_gate(6, &ALL);
    pass(&mut world, 600);
    assert_eq!((failed(&world), world.is("Running")), (0, true), "{:?}", world.release().unwrap().log);
    let begun = in_hand(&world).unwrap();
    let waits = waiting(world.rig.kernel.fleet(), world.set(&begun), world.rig.now);
    assert!(matches!(waits, Some(WaitsFor::AllSilent(most)) if most.silent >= 3), "{begun}: {waits:?}");
    assert_eq!(
        tells(&world, "instances of all scale sets that nothing has touched"),
        6,
        "one line for each upgrade"
    );
    world.silent.clear();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 6);
    assert!(world.rig.kernel.fleet().sets().all(|set| set.suspicion.is_none()));
}

#[test]
fn a_set_in_which_everybody_answers_is_not_held_by_it() {
    let mut world = silent_in_the_gate(6, &ALL[1..]);
    assert_eq!(in_hand(&world).as_deref(), Some("m0"));
    world.until(|world| world.set("m1").suspicion.is_some());
    assert_eq!(world.set("m0").suspicion, None);
    world.until(|world| world.release().unwrap().parts[&name("m0")].run == Run::Done);
    pass(&mut world, 600);
    assert_eq!(failed(&world), 0);
}

#[test]
fn fewer_than_three_that_nothing_has_touched_prove_nothing() {
    let mut world = silent_in_the_gate(3, &ALL[..3]);
    assert!(world.rig.kernel.fleet().sets().all(|set| set.suspicion.is_none()));
    world.until(|world| failed(world) > 0);
}

#[test]
fn half_of_all_sets_are_not_most() {
    let mut world = machines(6);
    world.silent = ALL[..3].iter().map(|text| name(text)).collect();
    pass(&mut world, 60);
    assert!(world.rig.kernel.fleet().sets().all(|set| set.suspicion.is_none()));
    // The fourth comes too late: what was silent before says nothing of this interval.
    world.silent.insert(name("m3"));
    pass(&mut world, 60);
    assert!(world.rig.kernel.fleet().sets().all(|set| set.suspicion.is_none()));
}

#[test]
fn a_person_says_of_one_set_that_the_host_sees_it_well() {
    let mut world = silent_in_the_gate(6, &ALL);
    pass(&mut world, 300);
    let begun = in_hand(&world).unwrap();
    world.rig.ask(Command::Wish(name(&begun), Wish::Bypass)).unwrap().unwrap();
    assert_eq!(world.set(&begun).suspicion, None);
    world.until(|world| world.set(&begun).active().is_none());
    assert_eq!(failed(&world), 1, "its silence is its own");
    let other = ALL.into_iter().find(|one| *one != begun).unwrap();
    assert!(world.set(other).suspicion.is_some(), "of the others nobody has said anything");
}

#[test]
fn a_host_that_starts_without_its_network_doubts_itself_too() {
    let mut world = silent_in_the_gate(6, &ALL).restart();
    pass(&mut world, 600);
    assert_eq!((failed(&world), world.is("Running")), (0, true));
    world.silent.clear();
    world.until(|world| world.is("Completed"));
}

#[test]
fn a_restart_in_the_outage_forgets_nobody_whom_the_outage_has_left_out() {
    let two = |name: &str, location: &str| {
        let mut config = set(name, location);
        config.spec.instances.retain(|id, _| ["0", "1"].contains(&id.as_str()));
        config
    };
    let sets = vec![two("a", "canary"), two("b", "canary"), two("c", "eastus")];
    let mut world = World::of(sets, rules());
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| in_hand(world).is_some());
    world.silent = ["a", "b", "c"].map(name).into();
    let of_c = |world: &World| world.release().unwrap().parts[&name("c")].run.clone();
    world.until(|world| of_c(world) == Run::Left(Left::HeldUnhealthy));
    let mut world = world.restart();
    pass(&mut world, 900);
    assert_eq!((failed(&world), world.is("Running")), (0, true), "{:?}", world.release().unwrap().log);
    world.silent.clear();
    world.until(|world| world.is("Completed"));
}

#[test]
fn what_is_kept_is_what_a_count_of_all_gives() {
    let mut world = silent_in_the_gate(6, &ALL[..4]);
    for round in 0..200 {
        if round % 30 == 29 {
            let next = name(ALL[round % 6]);
            if !world.silent.remove(&next) {
                world.silent.insert(next);
            }
        }
        world.step();
        let fleet = world.rig.kernel.fleet();
        assert_eq!(fleet.silence(), fleet.silence_counted_anew(), "round {round}");
    }
}

#[test]
fn who_is_about_to_fail_waits_until_it_is_known_whether_most_are_silent() {
    // Nobody is heard of the first from its upgrade on; just before its time is over the others go silent, too.
    let mut world = silent_in_the_gate(6, &ALL[..1]);
    let begun = in_hand(&world).unwrap();
    let deadline = world.set(&begun).spec.policy.gate.deadline.as_secs();
    pass(&mut world, usize::try_from(deadline).unwrap() - 2);
    assert_eq!(failed(&world), 0);
    for one in &ALL[1..] {
        world.silent.insert(name(one));
        world.step();
    }
    pass(&mut world, 300);
    assert_eq!(failed(&world), 0, "{:?}", world.release().unwrap().log);
}
