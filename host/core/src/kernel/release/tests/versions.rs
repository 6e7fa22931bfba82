//! Which version an instance gets whose model names none: what the catalogue has, and never what was withdrawn.

use std::sync::Arc;

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{Begins, Command, Reconfiguration, ReleaseCommand, ThenBack};
use crate::record::{Anchor, Commit, StoredModel, Write};

/// Only published: nothing begins by itself.
fn only_published(world: &mut World, number: &str) {
    let (subject, version) = (subject("contoso/agent"), version(number));
    let begins = Begins::WhenStarted;
    world.ask(ReleaseCommand::Publish { subject, version, digest: None, begins }).unwrap();
}

fn withdraw(world: &mut World, number: &str) {
    let (subject, version) = (subject("contoso/agent"), version(number));
    world.ask(ReleaseCommand::Withdraw { subject, version, then: ThenBack::Stay }).unwrap();
}

/// The file says something else of a set.
fn reload(world: &mut World, name: &str, change: impl FnOnce(&mut ScaleSet)) {
    let mut spec = (*world.set(name).spec).clone();
    change(&mut spec);
    let change = Reconfiguration { sets: vec![spec], ..Reconfiguration::default() };
    assert!(world.rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
}

fn names(spec: &mut ScaleSet, (handler, minor): (&str, bool)) {
    let agent = spec.estate.enrolments.iter_mut().find(|one| one.component == extension("agent")).unwrap();
    (agent.handler, agent.minor) = (HandlerVersion::parse(handler).unwrap(), minor);
    spec.model.extensions[0].1 = Version::parse(handler).unwrap();
}

fn one_more(spec: &mut ScaleSet) {
    let mut one = (**spec.instances.values().next().unwrap()).clone();
    one.id = InstanceId::parse("9").unwrap();
    spec.instances.insert(one.id.clone(), Arc::new(one));
}

/// The versions of the agent that drivers were told to bring to a set, without repeats.
fn brought(world: &World, set: &str) -> Vec<String> {
    let of = |(name, change): &(String, Change)| {
        (name == set && change.component == extension("agent")).then(|| change.to.to_string())
    };
    let mut all: Vec<String> = world.told.iter().filter_map(of).collect();
    all.dedup();
    all
}

fn steps(world: &mut World, count: usize) {
    (0..count).for_each(|_| world.step());
}

#[test]
fn a_new_set_begins_with_what_the_catalogue_has_and_never_with_the_two_numbers() {
    let mut world = World::new();
    for number in ["1.0.3", "1.4", "1.4.2", "2.0"] {
        only_published(&mut world, number);
    }
    let mut exactly = set("exactly", "canary");
    names(&mut exactly.spec, ("1.0", false));
    world.rig.sets.extend([set("newest", "canary"), exactly]);
    let mut world = world.restart();
    world.told.clear();
    steps(&mut world, 20);
    assert_eq!(brought(&world, "newest"), ["1.4.2"], "autoUpgradeMinorVersion");
    assert_eq!(brought(&world, "exactly"), ["1.0.3"]);
    reload(&mut world, "newest", one_more);
    world.told.clear();
    steps(&mut world, 10);
    assert_eq!(brought(&world, "newest"), ["1.4.2"], "one that comes later");
    assert!(world.set("newest").file_differs().is_empty());
}

#[test]
fn a_reload_in_mode_rolling_brings_what_the_catalogue_has() {
    let mut world = World::new();
    for number in ["1.2.7", "1.3.1"] {
        only_published(&mut world, number);
    }
    world.told.clear();
    reload(&mut world, "canary-a", |spec| {
        spec.mode = UpgradeMode::Rolling;
        names(spec, ("1.2", false));
    });
    steps(&mut world, 40);
    assert_eq!(brought(&world, "canary-a"), ["1.2.7"]);
    world.told.clear();
    reload(&mut world, "canary-a", |spec| names(spec, ("1.2", true)));
    steps(&mut world, 40);
    assert_eq!(brought(&world, "canary-a"), ["1.3.1"], "the definition has changed, and not its two numbers");
    world.told.clear();
    reload(&mut world, "canary-a", |spec| spec.policy.gate.deadline += std::time::Duration::from_secs(1));
    steps(&mut world, 10);
    assert!(brought(&world, "canary-a").is_empty(), "nothing was said of it");
}

/// The file says something else of a set while no host runs.
fn said_across_a_start(mut world: World, name: &str, change: impl FnOnce(&mut ScaleSet)) -> World {
    let is_it = |config: &&mut crate::kernel::SetConfig| config.spec.name.as_str() == name;
    change(&mut world.rig.sets.iter_mut().find(is_it).unwrap().spec);
    let mut world = world.restart();
    world.told.clear();
    steps(&mut world, 40);
    world
}

#[test]
fn auto_upgrade_minor_version_that_changes_across_a_start_is_a_change_of_the_definition() {
    let mut world = World::new();
    for number in ["1.2.7", "1.3.1"] {
        only_published(&mut world, number);
    }
    let rolling = |spec: &mut ScaleSet| {
        spec.mode = UpgradeMode::Rolling;
        names(spec, ("1.2", false));
    };
    let world = said_across_a_start(world, "canary-a", rolling);
    assert_eq!(brought(&world, "canary-a"), ["1.2.7"]);
    let world = said_across_a_start(world, "canary-a", |_| ());
    assert!(brought(&world, "canary-a").is_empty(), "nothing was said anew");
    let mut world = said_across_a_start(world, "canary-a", |spec| names(spec, ("1.2", true)));
    assert_eq!(brought(&world, "canary-a"), ["1.3.1"], "the two numbers are the same");
    // A reload that comes to the same version is remembered, too: what is published later is for releases.
    reload(&mut world, "canary-a", |spec| names(spec, ("1.3", false)));
    steps(&mut world, 10);
    only_published(&mut world, "1.3.9");
    let world = said_across_a_start(world, "canary-a", |spec| names(spec, ("1.3", false)));
    assert!(brought(&world, "canary-a").is_empty(), "{:?}", world.told);
}

#[test]
fn what_an_earlier_build_has_recorded_of_a_definition_is_no_change_of_it() {
    let mut world = World::new();
    only_published(&mut world, "1.4");
    let key = (ScaleSetName::parse("canary-a").unwrap(), extension("agent"));
    let recorded = |world: &World| world.rig.disk.stored().models[&key].clone();
    let of_today = recorded(&world);
    assert_eq!(of_today.configured.as_str(), "1.0+any-minor");
    let before = StoredModel { configured: Version::parse("1.0").unwrap(), ..of_today.clone() };
    let writes = vec![Write::Model(key.0.clone(), key.1.clone(), before)];
    let seq = world.rig.disk.stored().seq + 1;
    world.rig.disk.apply(&Commit { version: Commit::VERSION, seq, anchor: Anchor::default(), writes });
    let world = world.restart();
    assert_eq!(world.set("canary-a").model.of(&key.1).map(Version::as_str), Some("1.0"));
    assert_eq!(recorded(&world), of_today, "and is written down as of today");
}

#[test]
fn what_was_withdrawn_is_given_to_no_new_instance() {
    let mut world = World::new();
    for number in ["1.1", "1.2"] {
        world.publish("contoso/agent", number).unwrap();
        world.until(|world| world.is("Completed"));
    }
    withdraw(&mut world, "1.2");
    let told = world.set("canary-a").wanted_and_withdrawn();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].new_ones.as_ref().map(Version::as_str), Some("1.1"));
    let mut world = world.restart();
    world.told.clear();
    reload(&mut world, "canary-a", one_more);
    steps(&mut world, 10);
    assert_eq!(brought(&world, "canary-a"), ["1.1"], "the newest that is older and was not withdrawn");
    withdraw(&mut world, "1.1");
    world.told.clear();
    reload(&mut world, "canary-b", one_more);
    steps(&mut world, 10);
    assert_eq!(brought(&world, "canary-b"), ["1.0"], "what the model names, which nobody has withdrawn");
}

#[test]
fn where_everything_was_withdrawn_a_new_instance_gets_none_of_it() {
    let mut world = World::new();
    only_published(&mut world, "1.0");
    withdraw(&mut world, "1.0");
    world.told.clear();
    reload(&mut world, "canary-a", one_more);
    steps(&mut world, 10);
    assert!(brought(&world, "canary-a").is_empty(), "{:?}", world.told);
    assert_eq!(world.set("canary-a").wanted_and_withdrawn()[0].new_ones, None);
    only_published(&mut world, "1.1");
    reload(&mut world, "canary-b", one_more);
    steps(&mut world, 10);
    assert_eq!(brought(&world, "canary-b"), ["1.1"]);
}
