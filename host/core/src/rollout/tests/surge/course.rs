//! New instances that come, are judged and take over.

use super::*;

#[test]
fn new_instances_take_over_when_all_of_the_batch_have_been_judged() {
    let mut world = surge(4, 50);
    world.look();
    assert_eq!(world.asked(), "0->4=v2 1->5=v2");
    world.answer_all();
    assert_eq!(world.asked(), "", "they are Initializing");
    world.becomes(4, Health::Healthy);
    assert_eq!(world.asked(), "", "the other one of the batch has not been judged");
    world.becomes(5, Health::Healthy);
    assert_eq!(world.asked(), "-0 for 4 -1 for 5");
    assert_eq!(world.upgrade.batches[1].state, BatchState::Pending, "the old ones go first");
    world.answer_all();
    assert_eq!(world.asked(), "2->6=v2 3->7=v2");
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.upgrade.progress().successful, 4);
    assert_eq!(world.shown(), "4:v2 5:v2 6:v2 7:v2");
}

#[test]
fn a_new_one_that_is_not_healthy_any_more_takes_no_place() {
    let mut world = surge(4, 50);
    world.look();
    world.answer_all();
    world.becomes(4, Health::Healthy);
    world.becomes(4, Health::Unhealthy);
    world.becomes(5, Health::Healthy);
    assert_eq!(world.asked(), "", "4 is in the gate again");
    world.becomes(4, Health::Healthy);
    assert_eq!(world.asked(), "-0 for 4 -1 for 5");
}

#[test]
fn cancel_finishes_the_batch() {
    let mut world = surge(4, 25);
    world.look();
    world.event(Event::Wish(Wish::Cancel));
    assert!(world.upgrade.is_active());
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Cancelled);
    assert_eq!(world.shown(), "1:v1 2:v1 3:v1 4:v2");
}

#[test]
fn skips_and_phases_are_those_of_the_old_ones() {
    let mut world = surge(4, 100);
    world.site.nodes.get_mut(&id(0)).unwrap().phase = None;
    world.site.nodes.get_mut(&id(2)).unwrap().skips = true;
    world.look();
    assert_eq!(world.asked(), "1->4=v2 3->5=v2");
    world.answer_all();
    world.all_become_healthy();
    world.answer_all();
    assert_eq!(world.asked(), "0->6=v2", "the last phase");
    world.run();
    assert_eq!(world.shown(), "2:v1 4:v2 5:v2 6:v2");
}

#[test]
fn a_rollback_surges_the_other_way() {
    let mut world = surge(3, 100);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
    world.look();
    world.answer(Err("no"));
    world.answer_all();
    world.all_become_healthy();
    world.answer_all();
    assert_eq!((world.upgrade.state, world.shown().as_str()), (UpgradeState::Completed, "0:v1 4:v2 5:v2"));
    world.upgrade = rollback_of(&world.upgrade, UpgradeId::parse("orders-2").unwrap(), world.now).unwrap();
    world.look();
    assert_eq!(world.asked(), "5->6=v1 4->7=v1", "newest first, and only what took over");
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.shown(), "0:v1 6:v1 7:v1");
}

#[test]
fn extensions_alone_and_named_instances_are_changed_in_place() {
    let mut world = surge(2, 100);
    let name = ExtensionName::parse("logs").unwrap();
    let component = crate::domain::Component::Extension(name);
    world.upgrade.goal = Goal::new([crate::domain::Change { component, to: version("7") }]);
    world.look();
    assert_eq!(world.asked(), "0=7");
    let world = surge(2, 100);
    let Upgrade { id, scale_set, goal, policy, before, .. } = world.upgrade;
    let start = StartUpgrade { id, number: 1, scale_set, goal, policy, before, bypass: false };
    let upgrade = manual(start, Extent::Missing, &world.site.candidates(), world.now);
    assert!(upgrade.members.values().all(|member| !member.is_surge()));
}

#[test]
fn a_new_one_gets_the_extensions_of_the_old_one() {
    let mut fleet = fleet(&[Some(0)]);
    let name = ExtensionName::parse("logs").unwrap();
    fleet.0.get_mut(&id(0)).unwrap().extensions.insert(name, version("7"));
    let mut policy = policy();
    policy.max_surge = true;
    let mut world = world(fleet, policy, GATE);
    world.look();
    let Action::Create { instance, operation, .. } = world.pending.remove(0) else { panic!() };
    assert_eq!((instance.as_str(), operation.0.as_str()), ("1", "orders-1/0/1"));
    world.event(&Event::EffectDone { operation, instance, result: Ok(()) });
    let Action::Apply { instance, version: seven, operation, .. } = world.pending.remove(0) else { panic!() };
    assert_eq!((instance.as_str(), seven.as_str(), operation.0.as_str()), ("1", "7", "orders-1/0/2"));
    world.event(&Event::EffectDone { operation, instance, result: Err("no such package".to_owned()) });
    assert!(matches!(&world.pending[0], Action::Delete { successor: None, .. }), "{:?}", world.pending);
}
