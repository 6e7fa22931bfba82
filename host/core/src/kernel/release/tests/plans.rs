//! What a plan says of sets that come after others, of instances that are unhealthy now, and of what runs.

use super::estate::*;
use crate::domain::*;
use crate::kernel::{Planned, released};
use crate::release::PlannedSet;

fn name(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

fn planned(world: &World) -> Planned {
    let (of, to) = (subject("contoso/agent"), version("1.1"));
    released::plan(world.rig.kernel.fleet(), &of, &to, world.rig.now).unwrap()
}

/// `a-web` comes after `z-db`, in one region; `far` is in another one.
fn estate() -> World {
    let mut web = set("a-web", "canary");
    web.spec.estate.after = vec![name("z-db")];
    World::of(vec![web, set("z-db", "canary"), set("m-else", "canary"), set("far", "eastus")], rules())
}

fn of<'a>(planned: &'a Planned, wanted: &str) -> &'a PlannedSet {
    let mut sets = planned.plan.phases.iter().flat_map(|phase| &phase.sets);
    sets.find(|set| set.name.as_str() == wanted).unwrap()
}

#[test]
fn who_comes_after_another_set_says_so_and_stands_behind_it() {
    let mut world = estate();
    let plan = planned(&world);
    let first = &plan.plan.phases[0];
    let order: Vec<&str> = first.sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(order, ["m-else", "z-db", "a-web"]);
    assert_eq!(of(&plan, "a-web").waits_for(first).collect::<Vec<_>>(), [&name("z-db")]);
    assert_eq!(of(&plan, "z-db").waits_for(first).count(), 0);
    // Who has nothing to do there is waited for by nobody.
    let opt_out = crate::kernel::command::ReleaseCommand::Enrol(
        name("z-db"),
        subject("contoso/agent"),
        crate::kernel::command::Enrol::Out,
    );
    world.ask(opt_out).unwrap();
    let without = planned(&world);
    assert_eq!(of(&without, "a-web").waits_for(&without.plan.phases[0]).count(), 0);
}

#[test]
fn who_is_unhealthy_now_is_counted_with_its_code_and_makes_no_other_plan() {
    let mut world = estate();
    let well = planned(&world);
    assert_eq!((of(&well, "z-db").unhealthy(), of(&well, "z-db").tally.eligible), (0, 4));
    world.ill.insert((name("z-db"), InstanceId::parse("1").unwrap()));
    (0..10).for_each(|_| world.step());
    let ill = planned(&world);
    assert_eq!(of(&ill, "z-db").tally.not_eligible, [("held-unhealthy".to_owned(), 1)].into());
    assert_eq!((of(&ill, "z-db").unhealthy(), of(&ill, "z-db").tally.eligible), (1, 3));
    assert!(!of(&ill, "z-db").held_unhealthy, "one of four may be");
    assert_eq!(well.plan.digest, ill.plan.digest, "health is of the moment");
    world.ill.insert((name("z-db"), InstanceId::parse("2").unwrap()));
    (0..10).for_each(|_| world.step());
    assert!(of(&planned(&world), "z-db").held_unhealthy && !of(&planned(&world), "m-else").held_unhealthy);
}

#[test]
fn what_runs_is_shown_beside_what_is_wanted() {
    let mut world = estate();
    let plan = planned(&world);
    let one = Version::parse("1.0").unwrap();
    assert_eq!(
        (&of(&plan, "far").runs, &of(&plan, "far").from),
        (&[(one.clone(), 4)].into(), &Some(one.clone()))
    );
    world.publish("contoso/agent", "1.0.5").unwrap();
    world.until(|world| {
        let planned = planned(world);
        of(&planned, "z-db").runs.len() > 1
    });
    let plan = planned(&world);
    let wanted = Version::parse("1.0.5").unwrap();
    assert_eq!(of(&plan, "z-db").from, Some(wanted.clone()), "wanted already");
    assert!(
        of(&plan, "z-db").runs.contains_key(&one),
        "and not there everywhere: {:?}",
        of(&plan, "z-db").runs
    );
}
