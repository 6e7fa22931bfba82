//! Limits at the moment of admission, and restarts at awkward moments; each was found by the
//! simulation or while it was written.

use super::*;

/// Ten instances, two of which are down.
fn with_two_down(down: [usize; 2], policy: RollingUpgradePolicy) -> World {
    let mut fleet = fleet(&[Some(0); 10]);
    for number in down {
        fleet.0.get_mut(&id(number)).unwrap().health = Health::Unhealthy;
    }
    world(fleet, policy, GATE)
}

/// The first of five batches is done, its first instance went down again, and the pause is not over.
fn down_in_the_pause() -> World {
    let mut policy = policy();
    policy.pause_time_between_batches = Duration::from_secs(60);
    let mut world = world(fleet(&[Some(0); 10]), policy, GATE);
    world.look();
    finish_batch(&mut world);
    world.set_health(0, Health::Unhealthy);
    world
}

#[test]
fn a_member_that_is_down_and_left_for_the_next_batch_counts_as_down() {
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(40).unwrap();
    policy.max_unhealthy_instance_percent = Percent::new(40).unwrap();
    let mut world = with_two_down([3, 9], policy);
    world.look();
    assert_eq!(world.applied.join(" "), "0 1", "four may be down, two are");
}

#[test]
fn a_member_that_is_down_already_costs_nothing() {
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(40).unwrap();
    let mut world = with_two_down([0, 1], policy);
    world.look();
    assert_eq!(world.applied.join(" "), "0 1", "two may be down, and these two are");
}

#[test]
fn a_batch_is_cut_to_what_the_limit_allows_of_those_that_are_left() {
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(40).unwrap();
    policy.max_unhealthy_instance_percent = Percent::new(100).unwrap();
    let mut world = world(fleet(&[Some(0); 10]), policy, GATE);
    world.look();
    assert_eq!(world.applied.join(" "), "0 1 2 3", "four of ten");
    world.drivers_answer(&Ok(()));
    // The configuration takes four away that have been upgraded.
    world.fleet.0.retain(|instance, _| (4..10).any(|number| *instance == id(number)));
    let there: Vec<InstanceId> = world.fleet.0.keys().cloned().collect();
    world.upgrade.reconfigured(|instance| there.contains(instance), |_| false, world.now);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
    world.applied.clear();
    world.look();
    assert_eq!(world.applied.join(" "), "4 5", "two of six, though four were planned");
    assert_eq!(world.upgrade.batches.len(), 4, "the others are a batch of their own");
    world.run();
    assert_eq!(world.applied.join(" "), "4 5 6 7 8 9");
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn upgraded_instances_that_go_down_in_the_pause_stop_the_next_batch() {
    let mut world = down_in_the_pause();
    world.pass(60);
    assert_eq!((world.upgrade.state, world.applied.len()), (UpgradeState::Faulted, 2));
    assert_eq!(world.code(), Some("MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade"));
}

#[test]
fn upgraded_instances_that_went_down_with_the_host_are_waited_for() {
    let mut world = down_in_the_pause();
    world.pass(59);
    world.event(&Event::Resumed);
    world.pass(1);
    assert!(world.upgrade.is_active());
    assert_eq!(world.wake_at, Some(world.now + Duration::from_secs(299)));
    world.set_health(0, Health::Healthy);
    assert_eq!(world.applied.len(), 4);
}

#[test]
fn a_pause_holds_a_rollback_too() {
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.run();
    world.upgrade = rollback_of(&world.upgrade, UpgradeId::parse("orders-2").unwrap(), world.now).unwrap();
    world.applied.clear();
    world.event(&Event::Wish(Wish::Pause));
    assert_eq!(world.applied.len(), 0);
    world.event(&Event::Wish(Wish::Resume));
    assert_eq!(world.applied.join(" "), "9 8");
}

#[test]
fn a_restart_before_the_snapshot_asks_all_again() {
    let mut world = world(fleet(&[Some(0); 5]), policy(), GATE);
    let all = |world: &mut World, decided| {
        world.fleet.0.values_mut().for_each(|node| node.decided = decided);
    };
    all(&mut world, false);
    world.look();
    world.now = world.now + Duration::from_secs(3600);
    world.event(&Event::Resumed);
    assert_eq!(world.upgrade.digest, None, "none has been asked since the host is back");
    assert_eq!(world.wake_at, Some(world.now + Duration::from_secs(30)));
    all(&mut world, true);
    world.run();
    assert_eq!((world.upgrade.state, world.applied.len()), (UpgradeState::Completed, 5));
}

#[test]
fn what_is_taken_back_is_not_wanted_again() {
    // A second try: the first one faulted, so that v2 was wanted before this one, too.
    let mut world = world(fleet(&[Some(0); 5]), policy(), GATE);
    world.upgrade.before = world.upgrade.goal.clone();
    world.run();
    let back = rollback_of(&world.upgrade, UpgradeId::parse("orders-2").unwrap(), world.now).unwrap();
    assert_eq!(back.goal, Goal::application(version("v1")));
}

#[test]
fn too_many_unhealthy_between_batches_stops_after_the_batch() {
    // Row R10.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    for number in 7..10 {
        world.set_health(number, Health::Unknown);
    }
    assert!(world.upgrade.is_active(), "the batch in flight is finished first");
    world.drivers_answer(&Ok(()));
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Healthy);
    assert_eq!(world.upgrade.state, UpgradeState::Faulted);
    assert_eq!(world.code(), Some("MaxUnhealthyInstancePercentExceededInRollingUpgrade"));
    assert_eq!(world.applied.len(), 2);
    assert_eq!(world.upgrade.progress().successful, 2);
}

#[test]
fn who_was_in_hand_and_is_gone_leaves_a_trace_also_when_it_has_come_back() {
    let mut world = world(fleet(&[Some(0); 4]), policy(), GATE);
    world.look();
    let first = world.upgrade.members.in_flight().next().unwrap().clone();
    let in_flight = world.upgrade.members.in_flight().count();
    world.upgrade.reconfigured(|instance| *instance != first, |_| false, world.now);
    assert!(world.upgrade.left_a_trace());
    if in_flight == 1 {
        // It is there again, with what was brought to it: as a candidate like any other it is left out no more.
        world.upgrade.holds.clear();
        assert!(world.upgrade.left_a_trace() && world.upgrade.head().left_a_trace());
    }
}
