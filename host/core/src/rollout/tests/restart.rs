//! What a restart of the host does to an upgrade, and what is left to do for one that has ended.

use super::*;

#[test]
fn a_restart_asks_again_with_the_same_operation_and_watches_anew() {
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    let first = world.pending.remove(0);
    let (instance, operation) = (first.instance().unwrap().clone(), first.operation().clone());
    world.event(&Event::EffectDone {
        operation: operation.clone(),
        instance: instance.clone(),
        result: Ok(()),
    });
    let second = world.pending.remove(0);
    // The host was away for longer than the deadline; only a watched instance can fail it.
    world.now = world.now + Duration::from_secs(3600);
    world.fleet.0.get_mut(&instance).unwrap().health = Health::Initializing;
    world.event(&Event::Resumed);
    assert!(world.upgrade.is_active());
    assert_eq!(world.pending, [second], "the same operation, and only the one that had no answer");
    // An answer for an operation that is not open changes nothing.
    let before = world.upgrade.clone();
    world.event(&Event::EffectDone { operation, instance, result: Err("late".to_owned()) });
    assert_eq!(world.upgrade, before);
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn a_fleet_that_went_down_with_the_host_is_waited_for_and_not_forever() {
    for comes_back in [true, false] {
        let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
        world.look();
        world.drivers_answer(&Ok(()));
        world.all_become_healthy();
        assert_eq!(world.applied.len(), 4, "the second batch is in flight");
        for node in world.fleet.0.values_mut() {
            node.health = Health::Unhealthy;
        }
        world.event(&Event::Resumed);
        world.drivers_answer(&Ok(()));
        world.set_health(2, Health::Healthy);
        world.set_health(3, Health::Healthy);
        assert!(world.upgrade.is_active(), "the others are still coming back");
        assert_eq!(world.applied.len(), 6, "the open operations again, no further batch");
        if comes_back {
            world.run();
            assert_eq!(world.upgrade.state, UpgradeState::Completed);
        } else {
            world.pass(300);
            assert_eq!(world.upgrade.state, UpgradeState::Faulted);
        }
    }
}

#[test]
fn an_ended_upgrade_does_nothing_more() {
    let mut world = world(fleet(&[Some(0); 2]), policy(), GATE);
    world.run();
    let before = world.upgrade.clone();
    for event in [Event::Look, Event::Resumed, Event::Wish(Wish::Cancel)] {
        world.event(&event);
    }
    assert_eq!(world.upgrade, before);
}
