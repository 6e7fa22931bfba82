//! What a release waits for that only a person can end, and what people are told of it.

use std::time::Duration;

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{Command, Reconfiguration, ReleaseCommand, ReleaseWish, ThenBack};
use crate::kernel::released;
use crate::release::{How, Left, Release, Run, waits_for_people};
use crate::rollout::Wish;

fn name(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

fn run(world: &World, of: &str) -> Run {
    world.release().unwrap().parts[&name(of)].run.clone()
}

fn code(world: &World, of: &str) -> Option<&'static str> {
    let fleet = world.rig.kernel.fleet();
    let sets = released::sets(fleet, world.release().unwrap(), world.rig.now);
    sets[&name(of)].why.as_ref().map(crate::release::NotBegun::code)
}

fn stuck(world: &World) -> Option<String> {
    waits_for_people(world.release().unwrap()).map(|(name, _)| name.to_string())
}

/// A set in each of two region phases; the first waits five seconds for an approval before it begins.
fn with_an_approval() -> World {
    let mut first = set("canary-a", "canary");
    first.spec.policy.checkpoints.approval_before = [PhaseName::Number(Phase::new(0).unwrap())].into();
    first.spec.policy.timeouts.approval = Some(Duration::from_secs(5));
    World::of(vec![first, set("eastus-a", "eastus")], rules())
}

#[test]
fn what_nobody_has_approved_is_no_failure_of_the_version_and_is_for_a_person_to_repeat() {
    let mut world = with_an_approval();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    assert!(
        matches!(run(&world, "canary-a"), Run::Ended { how: How::NotApproved, retry_at: None, .. }),
        "{:?}",
        run(&world, "canary-a")
    );
    assert_eq!(
        (world.release().unwrap().state_name(), code(&world, "canary-a")),
        ("Running", Some("not-approved"))
    );
    let published = &world.rig.kernel.fleet().releases.catalogue[&subject("contoso/agent")];
    assert_eq!(published.versions[&version("1.1")].quarantined, None);
    assert_eq!(stuck(&world).as_deref(), Some("canary-a"), "the other one waits for it");
    // It is not asked for again by itself.
    let mut world = world.restart();
    world.rig.pass(world.release().unwrap().strategy.retry_after * 2);
    (0..60).for_each(|_| world.step());
    assert_eq!(world.release().unwrap().parts[&name("canary-a")].tries, 1);
    world.rig.ask(Command::Wish(name("canary-a"), Wish::Retry)).unwrap().unwrap();
    world.step();
    world.step();
    world.rig.ask(Command::Wish(name("canary-a"), Wish::Approve)).unwrap().unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 2);
}

#[test]
fn a_release_that_has_ended_without_an_approval_does_not_begin_again() {
    let mut world = with_an_approval();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id, ReleaseWish::Approve(1))).unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(stuck(&world), None, "it is over");
    let mut world = world.restart();
    (0..60).for_each(|_| world.step());
    assert_eq!(world.rig.kernel.fleet().releases.all.len(), 1);
    assert_eq!(world.at("1.1"), ["eastus-a".to_owned()].into());
    world.rig.sets.push(set("eastus-b", "eastus"));
    let mut world = world.restart();
    world.until(|world| world.at("1.1").contains("eastus-b"));
    assert_eq!(run(&world, "canary-a"), Run::Left(Left::NotApproved));
}

#[test]
fn a_bypass_of_one_set_does_not_pass_the_pause_of_its_release() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("canary-a").active().is_some());
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id.clone(), ReleaseWish::Pause)).unwrap();
    world.until(|world| world.set("canary-a").release_hold);
    let refused = world.rig.ask(Command::Wish(name("canary-a"), Wish::Bypass)).unwrap().unwrap_err();
    let told = refused.to_string();
    assert!(told.contains(&format!("phasegate release resume {id}")), "{told}");
}

#[test]
fn a_set_of_an_earlier_region_phase_that_is_not_tried_again_is_waited_for_by_people() {
    let mut rules = rules();
    rules.strategy.retry_limit = 0;
    let mut world = World::of(vec![set("canary-a", "canary"), set("eastus-a", "eastus")], rules);
    world.publish("contoso/agent", "1.1").unwrap();
    // One of four fails, and that is within the limit of 34 %, where the others came first.
    world.broken_on.insert((name("canary-a"), InstanceId::parse("3").unwrap()));
    assert_eq!(stuck(&world), None, "it goes on");
    world.until(|world| matches!(run(world, "canary-a"), Run::Ended { .. }));
    assert!(matches!(run(&world, "canary-a"), Run::Ended { how: How::Incomplete, retry_at: None, .. }));
    assert_eq!((stuck(&world).as_deref(), run(&world, "eastus-a")), (Some("canary-a"), Run::Waits));
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id, ReleaseWish::Approve(1))).unwrap();
    assert_eq!(stuck(&world), None, "it goes on without");
    world.until(|world| world.is("Completed"));
}

/// The releases of a version of the agent.
fn of(world: &World, number: &str) -> Vec<Release> {
    let all = world.rig.kernel.fleet().releases.all.values();
    all.filter(|it| it.version == version(number)).map(|it| (**it).clone()).collect()
}

#[test]
fn where_a_newer_version_is_withdrawn_the_older_one_goes_on_at_once() {
    for then in [ThenBack::Stay, ThenBack::GoBack] {
        let mut world = World::new();
        world.publish("contoso/agent", "1.1").unwrap();
        world.until(|world| world.at("1.1").len() == 2);
        world.publish("contoso/agent", "1.2").unwrap();
        world.until(|world| world.at("1.2").len() == 2);
        let (agent, newer) = (subject("contoso/agent"), version("1.2"));
        world.ask(ReleaseCommand::Withdraw { subject: agent, version: newer, then }).unwrap();
        world.until(|world| of(world, "1.1").len() == 2 && world.is("Completed"));
        let left = if then == ThenBack::Stay { 6 } else { 8 };
        assert_eq!(world.at("1.1").len(), left, "{then:?}: {:?}", of(&world, "1.1"));
        assert!(of(&world, "1.1")[1].by_itself);
        (0..60).for_each(|_| world.step());
        assert_eq!(world.rig.kernel.fleet().releases.all.len(), 3, "and nothing else begins");
    }
}

#[test]
fn what_begins_behind_a_set_of_a_release_by_its_mode_is_no_persons_word() {
    let mut world = World::of(vec![set("canary-a", "canary"), set("eastus-a", "eastus")], rules());
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("canary-a").active().is_some_and(|one| one.current >= 1));
    // The file wants another application, and that begins as soon as the release's upgrade has ended.
    let mut spec = (*world.set("canary-a").spec).clone();
    (spec.mode, spec.model.version) = (UpgradeMode::Rolling, Version::parse("v2").unwrap());
    let change = Reconfiguration { sets: vec![spec], ..Reconfiguration::default() };
    assert!(world.rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 2, "{:?}", world.release().unwrap().log);
    let told = |text: &str| world.release().unwrap().log.iter().any(|line| line.text.contains(text));
    assert!(!told("a person") && !told("in its place"), "{:?}", world.release().unwrap().log);
}

#[test]
fn a_set_that_a_persons_start_has_brought_to_a_withdrawn_version_is_taken_back_by_a_person() {
    let mut world = World::of(vec![set("canary-a", "canary"), set("canary-b", "canary")], rules());
    let (agent, number) = (subject("contoso/agent"), version("1.1"));
    let begins = crate::kernel::command::Begins::WhenStarted;
    let publish =
        ReleaseCommand::Publish { subject: agent.clone(), version: number.clone(), digest: None, begins };
    world.ask(publish).unwrap();
    let start = |number: &str| {
        let one = (ExtensionName::parse("agent").unwrap(), Some(Version::parse(number).unwrap()));
        let wanted = crate::kernel::command::Wanted { extensions: vec![one], ..Default::default() };
        crate::kernel::command::StartOptions { wanted, ..Default::default() }
    };
    for set in ["canary-a", "canary-b"] {
        world.rig.ask(Command::Start(name(set), start("1.1"))).unwrap().unwrap();
    }
    world.until(|world| {
        world.at("1.1").len() == 2 && world.rig.kernel.fleet().sets().all(|it| it.active().is_none())
    });
    world.ask(ReleaseCommand::Withdraw { subject: agent, version: number, then: ThenBack::GoBack }).unwrap();
    (0..30).for_each(|_| world.step());
    assert_eq!(world.at("1.1").len(), 2, "no release has brought it");
    // Both of what `extension withdraw --rollback` names.
    world.rig.ask(Command::Wish(name("canary-a"), Wish::RollBack)).unwrap().unwrap();
    world.rig.ask(Command::Start(name("canary-b"), start("1.0"))).unwrap().unwrap();
    world.until(|world| world.at("1.0").len() == 2);
}
