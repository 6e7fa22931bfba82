//! What people say: opting out, pause, approval, stop, rollback; and sets that belong together.

use super::super::*;
use super::world::*;

#[test]
fn line_30_an_opt_out_in_the_middle_ends_what_is_in_flight_and_nothing_more_begins() {
    let mut world = World::new(strategy());
    world.change("eastus", |set| set.opted_out = true);
    world.change("canary", |set| set.opted_out = true);
    assert_eq!(world.run("canary"), Run::Left(Left::OptedOut));
    assert_eq!(world.running(), ["westeurope"], "nobody waits for it");
    world.through();
    assert_eq!(world.running(), ["northeurope"]);
    world.through();
    assert_eq!((world.run("eastus"), world.release.state_name()), (Run::Left(Left::OptedOut), "Completed"));
    assert_eq!(world.sets[&set("eastus")].has.as_str(), "1.0", "untouched");
}

#[test]
fn a_set_that_enrols_in_the_middle_joins_at_its_place() {
    let mut world = World::new(strategy());
    world.change("canary", |set| set.opted_out = true);
    assert_eq!(world.running(), ["eastus", "westeurope"]);
    world.change("canary", |set| set.opted_out = false);
    assert_eq!(world.running(), ["canary", "eastus", "westeurope"]);
    assert!(world.held().contains(&"eastus"), "its region phase is before theirs");
}

#[test]
fn a_pause_holds_what_runs_and_what_comes() {
    let mut world = World::new(strategy());
    world.release.paused = true;
    assert!(world.held().contains(&"canary"));
    world.through();
    assert!(world.running().is_empty());
    assert_eq!((world.code("eastus"), world.release.state_name()), ("paused", "Paused"));
    world.release.paused = false;
    world.look();
    assert_eq!(world.running(), ["eastus", "westeurope"]);
}

#[test]
fn an_approval_goes_past_what_the_phases_before_have_shown() {
    let mut world = World::new(strategy());
    world.change("canary", |set| set.child.as_mut().unwrap().end = ChildEnd::Cancelled("ann".to_owned()));
    assert_eq!(world.code("canary"), "cancelled");
    world.pass(BAKE);
    assert!(world.running().is_empty());
    let waits_for = not_through_before(&world.release, 1, world.now);
    world.release.excused.insert(1, waits_for);
    world.look();
    assert_eq!(world.running(), ["eastus", "westeurope"]);
    world.through();
    assert!(world.running().is_empty(), "the one behind it was not approved");
}

#[test]
fn an_approval_is_for_what_waits_when_it_is_given() {
    let mut world = World::new(strategy());
    let waits_for = not_through_before(&world.release, 1, world.now);
    assert_eq!(waits_for, [set("canary")].into());
    world.release.excused.insert(1, waits_for);
    world.look();
    assert_eq!(world.running(), ["canary", "eastus", "westeurope"], "nobody waits for its bake");
    world.done("canary");
    world.pass(BAKE);
    assert!(world.held().is_empty());
    // It was through by itself, so what comes now is another matter.
    world.change("canary", |set| set.well = Well::No);
    assert!(world.held().contains(&"eastus"), "{:?}", world.release.excused);
    assert!(world.release.excused.is_empty());
}

#[test]
fn stop_lets_the_batches_in_flight_end_and_nothing_more_begins() {
    let mut world = World::new(strategy());
    world.through();
    world.release.state = ReleaseState::Ending(End::Stopped);
    world.look();
    assert_eq!(world.release.state_name(), "Stopped");
    assert_eq!(world.run("northeurope"), Run::Left(Left::Ended));
}

#[test]
fn a_rollback_goes_back_region_by_region_the_latest_first() {
    let mut world = World::new(strategy());
    world.through();
    world.through();
    assert_eq!(world.running(), ["northeurope"]);
    world.release.state = ReleaseState::Ending(End::RolledBack);
    world.look();
    let mut order = Vec::new();
    while let Some(name) = world.running().first().map(|name| (*name).to_owned()) {
        assert_eq!(world.running().len(), 1, "one region after the other");
        world.done(&name);
        order.push(name);
    }
    assert_eq!(order, ["northeurope", "eastus", "westeurope", "canary"]);
    assert_eq!(world.release.state_name(), "RolledBack");
    assert!(world.sets.values().all(|set| set.has.as_str() == "1.0"));
}

fn chain() -> World {
    let mut world = World::of(strategy(), &[("db", "canary"), ("web", "canary")]);
    world.release.parts.get_mut(&set("web")).unwrap().after = vec![set("db")];
    world
}

#[test]
fn a_set_waits_for_those_that_it_comes_after() {
    let mut world = World::of(strategy(), &[("db", "eastus"), ("web", "canary")]);
    assert_eq!(world.running(), ["web"]);
    world.through();
    world.through();
    let mut world = chain();
    world.change("web", |set| set.child = None);
    world.release.parts.get_mut(&set("web")).unwrap().run = Run::Waits;
    world.look();
    assert_eq!((world.running(), world.code("web")), (vec!["db"], "after"));
    world.done("db");
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn sets_that_belong_together_end_together() {
    let mut world = chain();
    assert_eq!(world.running(), ["db", "web"], "both had begun before they were bound");
    world.release.allowed = 2;
    world.faults("db");
    assert_eq!(world.run("web"), Run::Waits, "its upgrade was ended");
    assert_eq!(world.code("web"), "after");
}

#[test]
fn a_set_that_leaves_the_configuration_is_waited_for_by_nobody() {
    let mut world = World::new(strategy());
    world.sets.remove(&set("canary"));
    world.look();
    assert_eq!(world.run("canary"), Run::Left(Left::Gone));
    assert_eq!(world.running(), ["eastus", "westeurope"]);
}

#[test]
fn another_upgrade_of_the_set_goes_first() {
    let mut world = World::new(strategy());
    world.change("westeurope", |set| set.busy = true);
    world.through();
    assert_eq!((world.running(), world.code("westeurope")), (vec!["eastus"], "busy"));
    world.change("westeurope", |set| set.busy = false);
    assert_eq!(world.running(), ["eastus", "westeurope"]);
}
