//! Ways back of releases: what is not back is never said to be.

use super::estate::*;
use crate::domain::*;
use crate::kernel::Refusal;
use crate::kernel::command::{
    Command, ReleaseCommand, ReleaseWish, Selection, StartOptions, ThenBack, Wanted,
};
use crate::kernel::state::InstanceState;
use crate::kernel::testing::to_version;
use crate::release::{Release, Run};

fn release(world: &World, number: u64) -> &Release {
    &world.rig.kernel.fleet().releases.all[&number]
}

fn wish(world: &mut World, number: u64, wish: ReleaseWish) -> Result<(), Refusal> {
    let id = release(world, number).id.clone();
    world.ask(ReleaseCommand::Wish(id, wish))
}

fn is(world: &World, number: u64, state: &str) -> bool {
    release(world, number).state_name() == state
}

/// Everybody has 1.1 of the agent, brought by release 1.
fn released() -> World {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    world
}

/// A second release of the version goes everywhere, and then the version is withdrawn and goes back.
fn started_again_and_withdrawn(world: &mut World) {
    let (subject, version) = (subject("contoso/agent"), version("1.1"));
    let again = ReleaseCommand::Start {
        subject: subject.clone(),
        version: version.clone(),
        plan: None,
        quarantined: crate::kernel::command::Quarantined::Refuse,
    };
    world.ask(again).unwrap();
    world.until(|world| is(world, 2, "Completed"));
    world.ask(ReleaseCommand::Withdraw { subject, version, then: ThenBack::GoBack }).unwrap();
    world.until(|world| [1, 2].iter().all(|number| !release(world, *number).is_active()));
}

#[test]
fn a_set_whose_way_back_fails_is_not_back_and_may_be_tried_once_more() {
    let mut world = released();
    let old = Change { component: extension("agent"), to: Version::parse("1.0").unwrap() };
    world.broken.insert(old.clone());
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "PartlyRolledBack"), "{:?}", release(&world, 1).log);
    let not_back = |part: &crate::release::Part| matches!(&part.run, Run::NotBack { why } if !why.is_empty());
    assert!(release(&world, 1).parts.values().all(not_back));
    assert_eq!(world.at("1.1").len(), 8);

    world.broken.clear();
    let mut world = world.restart();
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 8);
    assert!(wish(&mut world, 1, ReleaseWish::RollBack).is_err(), "there is nothing left of it");
}

#[test]
fn a_way_back_waits_for_the_upgrade_that_a_person_has_started() {
    let mut world = released();
    let name = ScaleSetName::parse("eastus-a").unwrap();
    world.rig.ask(Command::Start(name, to_version("v2"))).unwrap().unwrap();
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 8);
    let has = world.set("eastus-a").model.of(&Component::Application).unwrap().as_str();
    assert_eq!(has, "v2", "what the person wanted stands");
}

#[test]
fn what_was_brought_further_since_stays_and_goes_back_in_its_turn() {
    let mut world = released();
    world.publish("contoso/agent", "1.2").unwrap();
    world.until(|world| is(world, 2, "Completed"));
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "PartlyRolledBack"));
    assert_eq!(world.at("1.2").len(), 8, "it is somebody else's");
    for (number, left) in [(2, "1.1"), (1, "1.0")] {
        wish(&mut world, number, ReleaseWish::RollBack).unwrap();
        world.until(|world| !release(world, number).is_active());
        assert!(is(&world, number, "RolledBack"), "{:?}", release(&world, number).log);
        assert_eq!(world.at(left).len(), 8);
    }
}

#[test]
fn what_several_releases_have_brought_goes_back_with_all_of_them() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.at("1.1").len() == 2);
    wish(&mut world, 1, ReleaseWish::Stop).unwrap();
    world.until(|world| is(world, 1, "Stopped"));
    started_again_and_withdrawn(&mut world);
    assert_eq!(world.at("1.0").len(), 8, "{:?}", release(&world, 1).log);
}

#[test]
fn an_instance_that_says_skip_on_the_way_back_of_several_steps_is_told() {
    let mut world = released();
    let agent = (ExtensionName::parse("agent").unwrap(), Some(Version::parse("1.1").unwrap()));
    let wanted = Wanted { extensions: vec![agent], to: Version::parse("v2").ok(), ..Wanted::default() };
    let name = ScaleSetName::parse("eastus-a").unwrap();
    let options = StartOptions { wanted, ..StartOptions::default() };
    world.rig.ask(Command::Start(name.clone(), options)).unwrap().unwrap();
    world.until(|world| world.set("eastus-a").active().is_none());
    // Its latest upgrade is another one, so the way back is an upgrade to what was there before.
    let held = InstanceId::parse("2").unwrap();
    let word = Command::Word(name, held, WordKind::Skip, None);
    let by = By { reason: Some("left".to_owned()), ..By::host() };
    world.rig.ask_as(by, word).unwrap().unwrap();
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "PartlyRolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 7);
}

#[test]
fn who_had_the_version_before_the_release_goes_back_with_it() {
    let mut world = World::new();
    let name = ScaleSetName::parse("eastus-a").unwrap();
    let agent = (ExtensionName::parse("agent").unwrap(), Some(Version::parse("1.1").unwrap()));
    let options = StartOptions {
        wanted: Wanted { extensions: vec![agent], ..Wanted::default() },
        manual: Some(Selection::These([InstanceId::parse("2").unwrap()].into())),
        ..StartOptions::default()
    };
    world.rig.ask(Command::Start(name, options)).unwrap().unwrap();
    let runs = |world: &World, number: &str| {
        let has = |one: &&InstanceState| {
            one.runs_of(&extension("agent")).version().map(Version::as_str) == Some(number)
        };
        world.set("eastus-a").members().filter(has).count()
    };
    world.until(|world| runs(world, "1.1") == 1 && world.set("eastus-a").active().is_none());
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    let (subject, version) = (subject("contoso/agent"), version("1.1"));
    world.ask(ReleaseCommand::Withdraw { subject, version, then: ThenBack::GoBack }).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 8, "{:?}", release(&world, 1).log);
}

#[test]
fn a_way_back_waits_for_the_release_that_begins_in_the_same_turn() {
    for then in [false, true] {
        let mut world = World::new();
        world.publish("contoso/agent", "1.1").unwrap();
        world.until(|world| world.set("canary-a").active().is_some());
        world.publish("contoso/logs", "1.1").unwrap();
        world.step();
        if then {
            let (subject, version) = (subject("contoso/agent"), version("1.1"));
            world.ask(ReleaseCommand::Withdraw { subject, version, then: ThenBack::GoBack }).unwrap();
        } else {
            wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
        }
        world.until(|world| !release(world, 1).is_active());
        assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
        assert_eq!(world.at("1.0").len(), 8, "{:?}", release(&world, 1).log);
        world.until(|world| is(world, 2, "Completed"));
    }
}

#[test]
fn what_two_releases_share_is_back_in_both() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("eastus-a").active().is_some());
    wish(&mut world, 1, ReleaseWish::Stop).unwrap();
    world.until(|world| is(world, 1, "Stopped"));
    started_again_and_withdrawn(&mut world);
    assert_eq!(world.at("1.0").len(), 8);
    for number in [1, 2] {
        assert!(is(&world, number, "RolledBack"), "{number}: {:?}", release(&world, number).log);
    }
}

#[test]
fn what_a_stopped_release_has_left_half_way_goes_back_too() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    let has_one = |world: &World| {
        let set = world.set("canary-a");
        set.members()
            .any(|one| one.runs_of(&extension("agent")).version().is_some_and(|it| it.as_str() == "1.1"))
    };
    world.until(|world| has_one(world) && world.set("canary-a").active().is_some());
    wish(&mut world, 1, ReleaseWish::Stop).unwrap();
    world.until(|world| is(world, 1, "Stopped"));
    assert!(has_one(&world), "it was ended in the middle");
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 8);
}

#[test]
fn a_withdrawal_does_not_end_a_way_back() {
    let mut world = released();
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.step();
    let (subject, version) = (subject("contoso/agent"), version("1.1"));
    world.ask(ReleaseCommand::Withdraw { subject, version, then: ThenBack::Stay }).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(is(&world, 1, "RolledBack"), "{:?}", release(&world, 1).log);
    assert_eq!(world.at("1.0").len(), 8);
}

#[test]
fn a_set_that_the_version_has_made_ill_is_not_left_out_of_the_way_back() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    let has_one = |world: &World| {
        let set = world.set("westeurope-a");
        set.members()
            .any(|one| one.runs_of(&extension("agent")).version().is_some_and(|it| it.as_str() == "1.1"))
    };
    world.until(|world| has_one(world) && world.set("westeurope-a").active().is_some());
    // All of it, so that the release would not begin there now; and another region goes back before.
    world.sick.insert(ScaleSetName::parse("westeurope-a").unwrap());
    wish(&mut world, 1, ReleaseWish::RollBack).unwrap();
    world.until(|world| !release(world, 1).is_active());
    assert!(!has_one(&world), "{:?}", release(&world, 1).log);
    let name = ScaleSetName::parse("westeurope-a").unwrap();
    let run = &release(&world, 1).parts[&name].run;
    assert!(matches!(run, Run::Back | Run::NotBack { .. }), "it was tried: {run:?}");
}
