//! Across regions: the order, the bake, pairs, evidence, and failures.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::domain::{Location, Version};

#[test]
fn line_45_it_moves_across_regions_in_phases() {
    let mut world = World::new(strategy());
    assert_eq!(world.running(), ["canary"]);
    assert_eq!(world.code("eastus"), "region-phase");
    world.through();
    assert_eq!(world.running(), ["eastus", "westeurope"]);
    world.through();
    assert_eq!(world.running(), ["northeurope"], "what is not listed comes last");
    world.through();
    assert_eq!(world.release.state_name(), "Completed");
}

#[test]
fn line_46_a_phase_begins_only_when_the_one_before_did_well_and_stayed_so() {
    let mut world = World::new(strategy());
    world.done("canary");
    assert!(world.running().is_empty(), "it bakes");
    assert_eq!(world.wake_at, Some(world.now + BAKE));
    world.pass(BAKE / 2);
    world.change("canary", |set| set.well = Well::No);
    world.pass(BAKE);
    assert!(world.running().is_empty(), "it is not well");
    world.change("canary", |set| set.well = Well::Yes);
    world.pass(BAKE / 2);
    assert!(world.running().is_empty(), "the bake counts anew");
    world.pass(BAKE / 2);
    assert_eq!(world.running(), ["eastus", "westeurope"]);
}

#[test]
fn line_47_a_pair_is_refused_inside_one_region_phase() {
    let regions: BTreeSet<Location> = ["canary", "westeurope", "northeurope"].map(region).into();
    let problems = |phases: &[&[&str]]| {
        let region_phases =
            phases.iter().map(|phase| phase.iter().map(|name| region(name)).collect()).collect();
        let problems = Strategy { region_phases, ..strategy() }.problems(&regions);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(problems(&[&["westeurope", "northeurope"]]).contains("which are a pair"));
    assert!(problems(&[&["canary"], &["canary"]]).contains("in region phase 1 and in region phase 2"));
    assert!(problems(&[&["canary", "canary"]]).contains("in region phase 1 and in region phase 1"));
    assert!(problems(&[&["canary"], &[]]).contains("region phase 2 is empty"));
    assert!(
        problems(&[&["mars"]]).contains("in which no scale set is; known: canary, northeurope, westeurope")
    );
    assert_eq!(problems(&[&["canary"], &["westeurope"]]), "");
    let pair = (region("canary"), region("canary"));
    assert!(!Strategy { geo_pairs: vec![pair], ..strategy() }.problems(&regions).is_empty());
}

#[test]
fn line_47_pairs_that_nobody_lists_get_phases_of_their_own() {
    let unlisted = Strategy { region_phases: Vec::new(), ..strategy() };
    let regions: BTreeSet<Location> = ["canary", "westeurope", "northeurope"].map(region).into();
    let phases = unlisted.phases(&regions);
    assert_eq!(phases, [vec![region("canary"), region("northeurope")], vec![region("westeurope")]]);
}

#[test]
fn line_47_a_pair_is_never_in_flight_together_not_even_through_two_releases() {
    let mut world = World::new(strategy());
    world.elsewhere.insert(region("northeurope"));
    world.through();
    assert_eq!(world.running(), ["eastus"]);
    assert_eq!(world.code("westeurope"), "geo-pair");
    world.elsewhere.clear();
    world.look();
    assert_eq!(world.running(), ["eastus", "westeurope"]);
}

#[test]
fn a_set_that_turns_bad_holds_the_phases_behind_it() {
    let mut world = World::new(strategy());
    world.through();
    assert!(world.held().is_empty());
    world.change("canary", |set| set.well = Well::No);
    let held = |world: &World| world.held().contains(&"eastus");
    assert!(held(&world) && world.said.contains(&"revoked"));
    world.change("canary", |set| set.well = Well::Yes);
    assert!(held(&world), "not before it was well for a bake");
    world.pass(BAKE);
    assert!(!held(&world));
}

#[test]
fn whoever_comes_to_a_set_that_is_done_is_brought_there_and_later_phases_wait() {
    let mut world = World::of(strategy(), &[("c", "canary"), ("e", "eastus")]);
    world.through();
    assert_eq!(world.running(), ["e"]);
    world.change("c", |set| set.behind = true);
    assert_eq!(world.run("c"), Run::Runs, "another upgrade of the set");
    assert!(world.said.contains(&"joins"));
    assert_eq!(world.held(), ["e"]);
    world.done("c");
    assert_eq!((world.run("c"), world.held()), (Run::Done, vec!["e"]), "it was not well for a bake");
    world.pass(BAKE);
    assert_eq!(world.held(), Vec::<&str>::new());
}

#[test]
fn whoever_comes_while_a_set_is_upgraded_is_no_failure_of_it() {
    let mut world = World::of(strategy(), &[("c", "canary"), ("e", "eastus")]);
    world.change("c", |set| {
        (set.has, set.behind) = (Version::parse("1.1").unwrap(), true);
        set.child.as_mut().unwrap().end = ChildEnd::Completed;
    });
    assert_eq!(world.run("c"), Run::Runs, "the next one");
    world.done("c");
    assert_eq!(world.run("c"), Run::Done);
    assert_eq!(world.release.failed().count(), 0);
}

#[test]
fn what_nobody_has_asked_yet_is_no_evidence() {
    let mut world = World::new(strategy());
    world.done("canary");
    // The host has started again, and has seen nobody.
    world.release.parts.get_mut(&set("canary")).unwrap().seen_well = false;
    world.change("canary", |set| set.well = Well::NotKnown);
    world.pass(BAKE * 2);
    assert!(world.running().is_empty());
    world.change("canary", |set| set.well = Well::Yes);
    assert_eq!(world.running(), ["eastus", "westeurope"], "what it had shown before counts");
}

#[test]
fn line_37_a_failed_set_is_named_passed_over_and_tried_again() {
    let mut world = World::new(Strategy { max_failed_sets: 1, ..strategy() });
    world.faults("canary");
    assert_eq!(world.code("canary"), "retry");
    assert_eq!(world.running(), ["eastus", "westeurope"], "within what is allowed it is passed over");
    world.through();
    world.through();
    assert_eq!(world.release.state_name(), "Running", "the retry is still to come");
    world.pass(world.release.strategy.retry_after);
    assert_eq!(world.running(), ["canary"]);
    world.done("canary");
    assert_eq!(world.release.state_name(), "Completed");
}

#[test]
fn more_failures_than_allowed_halt_it_everywhere_and_put_the_version_into_quarantine() {
    let mut world = World::new(strategy());
    world.through();
    world.faults("eastus");
    assert_eq!((world.release.state_name(), world.quarantined), ("Halted", true));
    assert!(world.running().is_empty(), "what was in flight elsewhere has ended its batch");
    assert_eq!((world.code("westeurope"), world.code("northeurope")), ("halted", "halted"));
    world.pass(world.release.strategy.retry_after);
    assert_eq!(world.running(), ["eastus"], "it is tried again by itself");
    world.done("eastus");
    assert_eq!((world.release.state_name(), world.quarantined), ("Running", false));
    assert_eq!(world.running(), ["westeurope"]);
}

#[test]
fn line_37_it_is_tried_so_many_times_and_no_more() {
    let mut world = World::new(Strategy { retry_limit: 2, ..strategy() });
    for _ in 0..3 {
        world.faults("canary");
        world.pass(world.release.strategy.retry_after);
    }
    assert!(world.running().is_empty());
    world.pass(Duration::from_secs(864_000));
    assert_eq!((world.release.parts.get(&set("canary")).unwrap().tries, world.code("canary")), (3, "halted"));
}

#[test]
fn what_came_to_its_end_without_an_eligible_instance_is_no_success() {
    let mut world = World::new(strategy());
    world.change("canary", |set| set.child.as_mut().unwrap().end = ChildEnd::Completed);
    assert!(matches!(world.run("canary"), Run::Ended { how: How::Incomplete, retry_at: Some(_), .. }));
    world.pass(BAKE);
    assert!(world.running().is_empty() && world.release.state_name() == "Running");
}

#[test]
fn a_set_that_is_unhealthy_before_is_passed_over_and_joins_when_it_is_well() {
    let mut world = World::new(strategy());
    world.change("westeurope", |set| set.held_unhealthy = true);
    world.through();
    assert_eq!(world.running(), ["eastus"]);
    assert_eq!(world.run("westeurope"), Run::Left(Left::HeldUnhealthy));
    world.through();
    assert_eq!(world.running(), ["northeurope"]);
    world.change("westeurope", |set| set.held_unhealthy = false);
    assert_eq!(world.code("westeurope"), "geo-pair");
    assert!(!world.held().contains(&"northeurope"), "each would wait for the other");
    world.through();
    assert_eq!(world.running(), ["westeurope"]);
}

#[test]
fn a_region_phase_that_has_shown_nothing_is_waited_for() {
    let second = |change: fn(&mut Set)| {
        let mut world = World::new(strategy());
        for name in ["westeurope", "eastus"] {
            world.change(name, change);
        }
        world.through();
        world
    };
    let mut ill = second(|set| set.held_unhealthy = true);
    ill.pass(BAKE);
    assert!(ill.running().is_empty(), "an outage of a region phase is no evidence");
    assert_eq!(ill.code("northeurope"), "region-phase");
    ill.change("eastus", |set| set.held_unhealthy = false);
    assert_eq!(ill.running(), ["eastus"], "it joins when it is well");
    ill.through();
    assert_eq!(ill.running(), ["northeurope"]);

    let mut empty = second(|set| set.empty = true);
    empty.through();
    empty.pass(BAKE);
    assert_eq!(empty.run("eastus"), Run::Done);
    assert!(empty.running().is_empty(), "who says skip has shown nothing");

    let out = second(|set| set.opted_out = true);
    assert_eq!(out.running(), ["northeurope"], "people have left them out");
}
