//! The course of an upgrade: the order, what is waited for, the limits, and how it ends.

use super::*;

#[test]
fn a_healthy_fleet_goes_phase_by_phase_and_the_last_phase_last() {
    let mut phases = vec![Some(0); 10];
    phases[4] = None;
    phases[7] = Some(1);
    let mut world = world(fleet(&phases), policy(), GATE);
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.applied.join(" "), "0 1 2 3 5 6 8 9 7 4");
    assert_eq!(world.upgrade.progress().successful, 10);
    assert_eq!(world.upgrade.error, None);
}

#[test]
fn no_batch_before_the_one_before_is_healthy() {
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    assert_eq!(world.applied.len(), 2);
    world.look();
    assert_eq!(world.applied.len(), 2, "the driver has not answered");
    world.drivers_answer(&Ok(()));
    world.pass(10);
    assert_eq!(world.applied.len(), 2, "Initializing means wait");
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Unknown);
    assert_eq!(world.applied.len(), 2, "Unknown is not healthy");
    world.set_health(1, Health::Healthy);
    assert_eq!(world.applied.len(), 4);
}

#[test]
fn no_batch_is_admitted_while_an_instance_is_initializing() {
    // Row R12.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(9, Health::Initializing);
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Healthy);
    assert_eq!(world.applied.len(), 2);
    world.set_health(9, Health::Unhealthy);
    assert_eq!(world.applied.len(), 3, "one of the two that may be down is down already");
}

#[test]
fn a_skip_is_never_touched() {
    let mut fleet = fleet(&[Some(0); 5]);
    fleet.0.get_mut(&id(2)).unwrap().participation = Participation::Skip;
    let mut world = world(fleet, policy(), GATE);
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 3 4");
    assert_eq!(world.upgrade.holds.len(), 1);
}

#[test]
fn all_skipped_completes_with_nothing_done() {
    let mut fleet = fleet(&[Some(0); 3]);
    for node in fleet.0.values_mut() {
        node.participation = Participation::Skip;
    }
    let mut world = world(fleet, policy(), GATE);
    world.look();
    assert_eq!((world.upgrade.state, world.applied.len()), (UpgradeState::Completed, 0), "P06");
}

#[test]
fn too_many_unhealthy_before_the_start() {
    // Rows R07, R08 and R09.
    for (unhealthy, state) in [(2, UpgradeState::RollingForward), (3, UpgradeState::Faulted)] {
        let mut fleet = fleet(&[Some(0); 10]);
        for number in 0..unhealthy {
            fleet.0.get_mut(&id(9 - number)).unwrap().health = Health::Unhealthy;
        }
        let mut world = world(fleet, policy(), GATE);
        world.look();
        assert_eq!(world.upgrade.state, state, "{unhealthy} unhealthy");
        if state == UpgradeState::Faulted {
            assert_eq!(world.code(), Some("MaxUnhealthyInstancePercentExceededBeforeRollingUpgrade"));
            assert_eq!(world.applied.len(), 0);
            assert_eq!(world.upgrade.error.as_ref().unwrap().details.len(), 3);
        }
    }
}

#[test]
fn an_instance_that_never_recovers_fails_at_the_deadline() {
    // Rows R13, R14 and R16: one of two upgraded is 50 %.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(0, Health::Healthy);
    world.set_health(1, Health::Unhealthy);
    world.pass(299);
    assert!(world.upgrade.is_active());
    assert_eq!(world.wake_at, Some(Timestamp(1_300_000)), "it says when to look again");
    world.pass(1);
    assert_eq!(world.upgrade.state, UpgradeState::Faulted);
    assert_eq!(world.code(), Some("MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade"));
    let error = world.upgrade.error.as_ref().unwrap();
    assert_eq!(error.details, [(id(1), "was still Unhealthy 300 s after its upgrade".to_owned())]);
    assert_eq!(world.upgrade.progress().failed, 1);
}

#[test]
fn a_failure_within_the_limit_goes_on_and_is_told() {
    let mut policy = policy();
    policy.max_unhealthy_upgraded_instance_percent = Percent::new(50).unwrap();
    let mut world = world(fleet(&[Some(0); 10]), policy, GATE);
    world.look();
    let action = world.pending.remove(0);
    let (instance, operation) = (action.instance().unwrap().clone(), action.operation().clone());
    world.event(&Event::EffectDone { operation, instance, result: Err("exit code 3".to_owned()) });
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
    assert_eq!(world.code(), Some("RollingUpgradeInProgressWithFailedUpgradedVMs"));
    assert_eq!(world.upgrade.batches[0].state, BatchState::Failed);
    let progress = world.upgrade.progress();
    assert_eq!((progress.successful, progress.failed), (9, 1));
}

#[test]
fn pauses_lie_between_batches_and_not_after_the_last() {
    // Row R15.
    let mut policy = policy();
    policy.pause_time_between_batches = Duration::from_secs(30);
    policy.max_batch_instance_percent = Percent::new(34).unwrap();
    let mut world = world(fleet(&[Some(0); 3]), policy, GATE);
    for batch in 1..=3 {
        world.look();
        assert_eq!(world.applied.len(), batch);
        world.drivers_answer(&Ok(()));
        world.all_become_healthy();
        if batch < 3 {
            world.pass(29);
            assert_eq!(world.applied.len(), batch, "still in the pause");
            world.now = world.now + Duration::from_secs(1);
        }
    }
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn cancel_finishes_the_batch_and_leaves_the_rest() {
    // Row R17.
    let mut world = world(fleet(&[Some(0); 10]), policy(), GATE);
    world.look();
    world.event(&Event::Wish(Wish::Cancel));
    assert!(world.upgrade.is_active());
    world.drivers_answer(&Ok(()));
    world.all_become_healthy();
    assert_eq!(world.upgrade.state, UpgradeState::Cancelled);
    let progress = world.upgrade.progress();
    assert_eq!((progress.successful, progress.pending, world.applied.len()), (2, 8, 2));
}

#[test]
fn the_snapshot_waits_for_answers_and_then_holds_the_silent() {
    let mut silent = fleet(&[Some(0); 5]);
    silent.0.get_mut(&id(3)).unwrap().decided = false;
    let mut world = world(silent, policy(), GATE);
    world.look();
    assert_eq!(world.applied.len(), 0);
    assert_eq!(world.wake_at, Some(Timestamp(1_030_000)));
    world.pass(30);
    assert_eq!(world.applied.join(" "), "0");
    assert_eq!(world.upgrade.holds[0].instance, id(3));
    world.fleet.0.get_mut(&id(3)).unwrap().decided = true;
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 2 4", "a snapshot is a snapshot");
}

#[test]
fn stable_for_means_without_a_break() {
    let gate = HealthGate { wait: Duration::from_secs(5), stable_for: Duration::from_secs(10), ..GATE };
    let mut world = world(fleet(&[Some(0)]), policy(), gate);
    world.look();
    world.drivers_answer(&Ok(()));
    world.set_health(0, Health::Healthy);
    world.pass(5);
    world.pass(9);
    world.set_health(0, Health::Unhealthy);
    world.set_health(0, Health::Healthy);
    world.pass(9);
    assert!(world.upgrade.is_active());
    world.pass(1);
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}
