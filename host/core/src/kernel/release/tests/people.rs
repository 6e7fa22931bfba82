//! What people say of releases, and their own upgrades beside them.

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{
    Begins, Command, Enrol, Quarantined, ReleaseCommand, ReleaseWish, StartOptions, Stops, ThenBack,
};
use crate::kernel::{Refusal, released};
use crate::release::{Left, Run};
use crate::rollout::Stage;

fn wish(world: &mut World, wish: ReleaseWish) -> Result<(), Refusal> {
    let id = world.release().unwrap().id.clone();
    world.ask(ReleaseCommand::Wish(id, wish))
}

fn start(digest: Option<Digest>) -> ReleaseCommand {
    let (subject, version) = (subject("contoso/agent"), version("1.1"));
    ReleaseCommand::Start { subject, version, plan: digest, quarantined: Quarantined::Refuse }
}

#[test]
fn a_person_starts_exactly_what_was_shown() {
    let mut world = World::new();
    let (agent, number) = (subject("contoso/agent"), version("1.1"));
    assert!(matches!(world.ask(start(None)), Err(Refusal::Release(_))), "nobody has published it");
    let publish = ReleaseCommand::Publish {
        subject: agent.clone(),
        version: number.clone(),
        digest: None,
        begins: Begins::WhenStarted,
    };
    world.ask(publish).unwrap();
    assert!(world.release().is_none());
    let planned = released::plan(world.rig.kernel.fleet(), &agent, &number, world.rig.now).unwrap();
    let phases: Vec<usize> = planned.plan.phases.iter().map(|phase| phase.sets.len()).collect();
    assert_eq!(phases, [2, 4, 2]);
    assert!(planned.duration() >= BAKE * 3);
    assert!(
        world.ask(start(Some(Digest([1; 32])))).unwrap_err().to_string().contains("has changed since plan")
    );
    world.ask(start(Some(planned.plan.digest))).unwrap();
    assert_eq!(world.release().unwrap().digest, planned.plan.digest);
    let again = world.ask(start(None)).unwrap_err().to_string();
    assert!(again.contains("is under way"), "{again}");
}

#[test]
fn what_nobody_knows_is_refused_with_what_there_is() {
    let mut world = World::new();
    let refused = world.publish("contoso/agnet", "1.1").unwrap_err().to_string();
    assert_eq!(
        refused,
        "there is no extension type contoso/agnet; the configuration has: contoso/agent, contoso/logs"
    );
    world.publish("contoso/agent", "1.0").unwrap();
    assert!(world.release().is_none(), "they have it");
    world.publish("contoso/agent", "2.0").unwrap();
    assert!(world.release().is_none(), "no release goes past the major");
    world.publish("contoso/agent", "0.9").unwrap();
    assert!(world.release().is_none(), "nobody goes back by a release");
    let older = ReleaseCommand::Start {
        subject: subject("contoso/agent"),
        version: version("0.9"),
        plan: None,
        quarantined: Quarantined::Refuse,
    };
    assert!(world.ask(older).unwrap_err().to_string().contains("8 newer"));
}

#[test]
fn an_opt_out_in_the_middle_and_back_in() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    let eastus = ScaleSetName::parse("eastus-a").unwrap();
    let enrol = |enrol| ReleaseCommand::Enrol(eastus.clone(), subject("contoso/agent"), enrol);
    world.ask(enrol(Enrol::Out)).unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.release().unwrap().parts.get(&eastus).unwrap().run, Run::Left(Left::OptedOut));
    assert!(!world.at("1.1").contains("eastus-a") && world.at("1.1").len() == 7);
    let mut world = world.restart();
    world.step();
    world.ask(enrol(Enrol::In)).unwrap();
    world.until(|world| world.is("Completed") && world.at("1.1").len() == 8);
}

#[test]
fn a_pause_holds_and_a_stop_ends() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    wish(&mut world, ReleaseWish::Pause).unwrap();
    assert!(wish(&mut world, ReleaseWish::Pause).is_err());
    for _ in 0..60 {
        world.step();
    }
    let told = world.told.len();
    for _ in 0..60 {
        world.step();
    }
    assert!(world.is("Paused") && world.told.len() == told);
    wish(&mut world, ReleaseWish::Resume).unwrap();
    world.until(|world| world.at("1.1").len() == 2);
    wish(&mut world, ReleaseWish::Stop).unwrap();
    world.until(|world| world.is("Stopped"));
    assert_eq!(world.at("1.1").len(), 2);
    assert!(wish(&mut world, ReleaseWish::Resume).is_err());
    let mut world = world.restart();
    world.step();
    assert!(world.is("Stopped"), "nothing begins again by itself");
}

#[test]
fn an_approval_lets_a_region_phase_begin_early() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.at("1.1").len() == 2);
    assert!(wish(&mut world, ReleaseWish::Approve(7)).unwrap_err().to_string().contains("no region phase 8"));
    wish(&mut world, ReleaseWish::Approve(1)).unwrap();
    world.step();
    assert!(world.set("eastus-a").active().is_some());
}

#[test]
fn what_is_withdrawn_stops_everywhere_and_goes_back_by_choice() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    world.publish("contoso/agent", "1.2").unwrap();
    world.until(|world| world.at("1.2").len() >= 4);
    let (subject, version) = (subject("contoso/agent"), version("1.2"));
    let withdraw = ReleaseCommand::Withdraw { subject, version, then: ThenBack::GoBack };
    world.ask(withdraw).unwrap();
    world.until(|world| world.is("RolledBack"));
    assert_eq!(world.at("1.1").len(), 8, "what was never there has nothing to go back to; this was");
    assert!(world.publish("contoso/agent", "1.2").unwrap_err().to_string().contains("withdrawn"));
}

#[test]
fn one_zone_of_a_region_also_for_upgrades_that_people_start() {
    let mut world = World::of(vec![set("a", "canary"), set("b", "canary")], rules());
    let start = |name: &str, stops: Stops| {
        let wanted = crate::kernel::command::Wanted {
            to: Some(Version::parse("v2").unwrap()),
            extensions: Vec::new(),
            ..Default::default()
        };
        let name = ScaleSetName::parse(name).unwrap();
        Command::Start(name, StartOptions { wanted, stops, ..StartOptions::default() })
    };
    world.rig.ask(start("a", Stops::Hold)).unwrap().unwrap();
    world.rig.ask(start("b", Stops::Hold)).unwrap().unwrap();
    // The world looks at every step whether two zones are in flight.
    world.until(|world| ["a", "b"].iter().all(|name| world.set(name).active().is_none()));
    let mut world = World::of(vec![set("a", "canary"), set("b", "canary")], rules());
    world.rig.ask(start("a", Stops::Hold)).unwrap().unwrap();
    world.until(|world| {
        world.set("a").active().is_some_and(|one| one.current == 1 && one.stage == Stage::InBatch)
    });
    world
        .rig
        .ask_as(By { reason: Some("hot".to_owned()), ..By::host() }, start("b", Stops::Bypassed))
        .unwrap()
        .unwrap();
    world.until(|world| world.set("b").active().is_some_and(|one| one.stage == Stage::InBatch));
}
