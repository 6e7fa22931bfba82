//! Those that nobody lists any more when a host starts that had died while they were in hand.

use super::*;
use crate::domain::{Membership, ScaleSet};
use crate::kernel::testing::id;

/// The host dies, and the file that the next one reads lists the first one no longer.
fn dies_and_loses_the_first(mut rig: Rig) -> Rig {
    let gone = rig.sets[0].spec.instances.remove(&id("0"));
    assert!(gone.is_some());
    rig.restart()
}

/// Until the next hook of an instance, or what a driver is asked for, has been let out.
fn next(rig: &mut Rig) -> Option<(String, Effect)> {
    for _ in 0..20 {
        if let Some(first) = taken(rig).into_iter().next() {
            return Some(first);
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    None
}

fn is_forgotten(rig: &Rig) -> bool {
    let row = rig.disk.stored().memberships.get(&(name("orders"), id("0")));
    rig.set().instance(&id("0")).is_none() && matches!(row, Some(Membership::Removed { .. }))
}

#[test]
fn what_was_with_its_driver_is_repeated_and_its_pair_of_hooks_is_closed_before_it_leaves() {
    let (mut rig, _, before) = at_the_first(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    over(&mut rig, &before, Ok(()));
    let Some((_, Effect::Ensure(asked))) = next(&mut rig) else { panic!("its driver comes next") };
    let mut rig = dies_and_loses_the_first(rig);
    let Some((line, Effect::Ensure(again))) = next(&mut rig) else { panic!("the same again") };
    assert_eq!((line.as_str(), &again.operation), ("0=v2", &asked.operation));
    assert_eq!(again.instance, asked.instance, "it stands where it stood");
    // Another host, too.
    let mut rig = rig.restart();
    let Some((_, Effect::Ensure(again))) = next(&mut rig) else { panic!("the same once more") };
    assert_eq!(again.operation, asked.operation);
    assert!(!is_forgotten(&rig));
    rig.done(*again, Ok(()));
    let Some((line, Effect::Hook(after))) = next(&mut rig) else { panic!("what was taken is given back") };
    assert_eq!(line, "afterInstance 0 v2 forward");
    over(&mut rig, &after, Ok(()));
    rig.pass(Duration::from_secs(1));
    assert!(is_forgotten(&rig));
    assert!(rig.upgrade().holds.iter().any(|hold| hold.reason.code() == "vanished"));
    let log = walk(&mut rig, |_| Ok(()));
    assert!(log.iter().all(|line| !line.contains(" 0 ") && !line.starts_with("0=")), "{log:?}");
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}

#[test]
fn a_hook_before_that_was_run_is_run_again_and_has_the_one_after_it() {
    let (rig, _, before) = at_the_first(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    let mut rig = dies_and_loses_the_first(rig);
    let Some((_, Effect::Hook(again))) = next(&mut rig) else { panic!("the same again") };
    assert_eq!(again.operation, before.operation);
    over(&mut rig, &again, Ok(()));
    let Some((line, Effect::Hook(after))) = next(&mut rig) else { panic!("the one after") };
    assert_eq!(line, "afterInstance 0 v2 forward");
    over(&mut rig, &after, Ok(()));
    rig.pass(Duration::from_secs(1));
    assert!(is_forgotten(&rig));
}

#[test]
fn one_that_is_listed_again_by_then_stays() {
    let (mut rig, _, before) = at_the_first(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    over(&mut rig, &before, Ok(()));
    assert!(next(&mut rig).is_some());
    let file: ScaleSet = rig.sets[0].spec.clone();
    let mut rig = dies_and_loses_the_first(rig);
    rig.sets[0].spec = file;
    let mut rig = rig.restart();
    let log = walk(&mut rig, |_| Ok(()));
    assert_eq!(log[..2], ["0=v2", "afterInstance 0 v2 forward"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    assert!(rig.upgrade().members.get(&id("0")).is_some());
    let at_rest = |member: &Member| member.listed_as.is_none();
    assert!(rig.upgrade().members.values().all(at_rest), "remembered as long as it is in hand");
}
