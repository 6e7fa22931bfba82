//! The course of releases: good versions, bad ones, several at once, and a host that is killed.

use super::estate::*;
use crate::domain::*;
use crate::kernel::command::{Begins, Command, ReleaseCommand};
use crate::kernel::testing::DiskMood;
use crate::kernel::{Refusal, released};
use crate::release::Run;

fn change(name: &str, number: &str) -> Change {
    Change { component: extension(name), to: Version::parse(number).unwrap() }
}

#[test]
fn a_published_version_goes_everywhere_by_itself_region_phase_by_region_phase() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.at("1.1").len() == 2);
    assert_eq!(world.at("1.1"), ["canary-a", "canary-b"].map(str::to_owned).into());
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 8);
    let mut regions: Vec<&str> = world.told.iter().map(|(set, _)| set.split('-').next().unwrap()).collect();
    regions.dedup();
    let first_of = |region: &str| regions.iter().position(|one| *one == region).unwrap();
    assert!(first_of("canary") < first_of("eastus") && first_of("eastus") < first_of("northeurope"));
    assert_eq!(world.told.len(), 32, "each instance once");
}

#[test]
fn a_bad_version_is_stopped_where_it_was_first() {
    let mut world = World::new();
    world.bad.insert(change("agent", "1.1"));
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Halted"));
    assert!(world.told.iter().all(|(set, _)| set.starts_with("canary")), "{:?}", world.told);
    let catalogue = &world.rig.kernel.fleet().releases.catalogue;
    assert!(
        catalogue.get(&subject("contoso/agent")).unwrap().versions[&version("1.1")].quarantined.is_some()
    );
    world.until(|world| world.at("1.0").len() == 8 && world.set("canary-a").active().is_none());
    // A newer version takes its place, and begins at the first region phase.
    world.publish("contoso/agent", "1.2").unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.2").len(), 8);
}

#[test]
fn what_a_halted_release_has_put_into_quarantine_starts_on_no_new_instance() {
    let mut world = World::new();
    let agent = change("agent", "1.1");
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("canary-a").good.get(&agent.component) == Some(&agent.to));
    assert_eq!(world.set("canary-a").version_of_a_new_one(&agent.component), Some(agent.to.clone()));
    // Wherever it comes from here on it fails.
    world.broken.insert(agent.clone());
    world.until(|world| world.is("Halted"));
    for set in world.rig.kernel.fleet().sets() {
        let given = set.version_of_a_new_one(&agent.component);
        assert_eq!(given.as_ref().map(Version::as_str), Some("1.0"), "{}", set.spec.name);
    }
}

#[test]
fn line_246_what_is_due_together_shares_batches_and_one_failure_stops_no_other() {
    let mut world = World::new();
    world.broken.insert(change("logs", "1.1"));
    world.publish("contoso/logs", "1.1").unwrap();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    assert_eq!(world.at("1.1").len(), 8, "the agent went everywhere");
    let releases = &world.rig.kernel.fleet().releases.all;
    assert_eq!(releases.get(&1).unwrap().state_name(), "Halted", "the other one did not");
}

#[test]
fn a_kill_at_any_moment_changes_nothing_of_where_it_ends() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    for moment in 0..2_000 {
        if world.is("Completed") {
            break;
        }
        // A bake counts only the time in which somebody looks, so one of a minute never ends for a host that is killed every
        // three seconds.
        let bakes = world.rig.kernel.fleet().sets().all(|set| set.active().is_none());
        if moment % 3 == 0 && !bakes {
            world = world.restart();
        }
        world.step();
    }
    assert!(world.is("Completed"), "{:?}", world.release().map(|it| (it.state_name(), it.parts.clone())));
    assert_eq!(world.at("1.1").len(), 8);
}

/// So many stand-alone machines in one zone of a region.
fn machines(count: usize) -> Vec<crate::kernel::SetConfig> {
    let machine = |number: usize| {
        let mut config = set(&format!("canary-{number}"), "canary");
        let spec = &mut config.spec;
        spec.estate.kind = SetKind::VirtualMachines;
        spec.instances.retain(|id, _| id.as_str() == "0");
        config
    };
    (0..count).map(machine).collect()
}

/// Most machines that had anything in flight at the same time until a release has completed.
fn most_in_flight(world: &mut World) -> usize {
    let mut most = 0;
    for _ in 0..2_000 {
        if world.is("Completed") {
            return most;
        }
        let flying = world.rig.kernel.fleet().sets().filter_map(|set| set.active());
        most = most.max(flying.filter(|upgrade| upgrade.stage == crate::rollout::Stage::InBatch).count());
        world.step();
    }
    panic!("it never completes");
}

#[test]
fn line_53_stand_alone_machines_of_a_subscription_and_location_are_a_group() {
    // 34 % of six are two, of two one: never all of more than one.
    for (count, limit) in [(6, 2), (2, 1), (1, 1)] {
        let mut rules = rules();
        rules.strategy.region_phases.clear();
        rules.strategy.geo_pairs.clear();
        let mut world = World::of(machines(count), rules);
        world.publish("contoso/agent", "1.1").unwrap();
        assert_eq!(most_in_flight(&mut world), limit, "{count}");
        assert_eq!(world.at("1.1").len(), count);
    }
}

#[test]
fn another_subscription_is_another_group() {
    let mut rules = rules();
    rules.strategy.region_phases.clear();
    rules.strategy.geo_pairs.clear();
    let mut sets = machines(4);
    for (number, config) in sets.iter_mut().enumerate() {
        let name = if number < 2 { "sales" } else { "tests" };
        config.spec.estate.subscription = Subscription::parse(name).unwrap();
    }
    let mut world = World::of(sets, rules);
    world.publish("contoso/agent", "1.1").unwrap();
    assert_eq!(most_in_flight(&mut world), 2, "one of each");
}

#[test]
fn no_machine_begins_while_too_much_of_its_group_is_unhealthy_and_a_sick_one_holds_no_other() {
    // 50 % are more than 34 %, and 17 % are not.
    for (sick, left) in [(3, 6), (1, 1)] {
        let mut rules = rules();
        rules.strategy.region_phases.clear();
        rules.strategy.geo_pairs.clear();
        let mut world = World::of(machines(6), rules);
        for number in 0..sick {
            world.sick.insert(ScaleSetName::parse(&format!("canary-{number}")).unwrap());
        }
        for _ in 0..10 {
            world.step();
        }
        world.publish("contoso/agent", "1.1").unwrap();
        for _ in 0..400 {
            world.step();
        }
        let parts = world.release().unwrap().parts.values();
        let held = parts.filter(|part| part.run == Run::Left(crate::release::Left::HeldUnhealthy));
        assert_eq!((held.count(), world.at("1.1").len()), (left, 6 - left), "{sick}");
        assert!(world.is("Running"), "they join when they are well");
        world.sick.clear();
        world.until(|world| world.is("Completed"));
        assert_eq!(world.at("1.1").len(), 6);
    }
}

#[test]
fn what_cannot_be_recorded_is_not_begun() {
    let mut world = World::new();
    world.rig.mood = DiskMood::Refuses;
    assert!(matches!(world.publish("contoso/agent", "1.1"), Err(Refusal::NotRecorded { .. })));
    assert!(world.release().is_none() && world.rig.kernel.fleet().releases.catalogue.is_empty());
    world.rig.mood = DiskMood::Lies;
    let (subject, version) = (subject("contoso/agent"), version("1.1"));
    let publish = ReleaseCommand::Publish { subject, version, digest: None, begins: Begins::ByItself };
    assert!(world.rig.ask(Command::Releases(Box::new(publish))).is_none(), "nobody knows yet");
    world.rig.mood = DiskMood::Takes;
    // It is tried again a few seconds later.
    for _ in 0..10 {
        world.step();
    }
    assert!(world.rig.disk.open().releases.is_empty(), "it is written over");
    assert!(world.rig.disk.open().published.is_empty());
}

#[test]
fn evidence_that_is_revoked_holds_what_is_under_way() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.set("eastus-a").active().is_some_and(|upgrade| upgrade.current == 1));
    world.sick.insert(ScaleSetName::parse("canary-a").unwrap());
    for _ in 0..30 {
        world.step();
    }
    let told = world.told.len();
    for _ in 0..120 {
        world.step();
    }
    assert_eq!(world.told.len(), told, "nothing more begins");
    world.sick.clear();
    world.until(|world| world.is("Completed"));
}

#[test]
fn every_set_that_has_not_begun_has_a_reason() {
    let mut world = World::new();
    world.publish("contoso/agent", "1.1").unwrap();
    let fleet = world.rig.kernel.fleet();
    let sets = released::sets(fleet, world.release().unwrap(), world.rig.now);
    for (name, standing) in sets {
        let code = standing.why.map(|why| why.code());
        let begun = standing.part.run == Run::Runs;
        assert_eq!(begun, name.as_str().starts_with("canary"), "{name}");
        assert_eq!(code, (!begun).then_some("region-phase"), "{name}");
    }
}

#[test]
fn who_was_ill_before_a_release_came_is_left_out_and_stops_nobody() {
    let mut world = World::new();
    let (name, id) = (ScaleSetName::parse("canary-a").unwrap(), InstanceId::parse("0").unwrap());
    world.ill.insert((name, id.clone()));
    for _ in 0..10 {
        world.step();
    }
    world.publish("contoso/agent", "1.1").unwrap();
    world.until(|world| world.is("Completed"));
    let runs = world
        .set("canary-a")
        .members()
        .filter(|one| one.runs_of(&extension("agent")).version().map(Version::as_str) == Some("1.1"));
    assert!(runs.count() > 0 && world.at("1.1").len() == 7, "all but one instance have it");
    let ill = world.set("canary-a").instance(&id).unwrap();
    assert_eq!(ill.runs_of(&extension("agent")).version().map(Version::as_str), Some("1.0"));
}
