//! Live decisions: each instance whose turn has not come is asked again before each batch.

use super::*;

fn live(phases: &[Option<u32>]) -> World {
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(10).unwrap();
    let mut world = world(fleet(phases), policy, GATE);
    world.upgrade.policy.decisions = Decisions::Live;
    world
}

#[test]
fn a_leader_that_moved_is_still_last() {
    let mut world = live(&[Some(0), Some(0), Some(0), None]);
    world.look();
    finish_batch(&mut world);
    assert_eq!(world.applied.join(" "), "0 1");
    // While 1 is in flight, 3 hands over to 2.
    world.fleet.0.get_mut(&id(2)).unwrap().phase = None;
    world.fleet.0.get_mut(&id(3)).unwrap().phase = Some(0);
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 3 2");
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn a_snapshot_does_not_ask_again() {
    // Row P08.
    let mut world = live(&[Some(0), Some(0), Some(0), None]);
    world.upgrade.policy.decisions = Decisions::Snapshot;
    world.look();
    world.fleet.0.get_mut(&id(1)).unwrap().participation = Participation::Skip;
    world.fleet.0.get_mut(&id(2)).unwrap().phase = None;
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 2 3");
}

#[test]
fn an_instance_that_now_says_skip_is_left_out_and_one_that_no_longer_does_joins() {
    let mut world = live(&[Some(0); 4]);
    world.fleet.0.get_mut(&id(1)).unwrap().participation = Participation::Skip;
    world.look();
    assert_eq!(world.upgrade.holds.len(), 1);
    world.fleet.0.get_mut(&id(1)).unwrap().participation = Participation::Proceed;
    world.fleet.0.get_mut(&id(3)).unwrap().participation = Participation::Skip;
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 2");
    let held: Vec<&str> = world.upgrade.holds.iter().map(|hold| hold.instance.as_str()).collect();
    assert_eq!((held, world.upgrade.members.len()), (vec!["3"], 3));
}

#[test]
fn who_was_upgraded_is_not_asked_again() {
    let mut world = live(&[Some(1), Some(1), Some(0)]);
    world.look();
    finish_batch(&mut world);
    world.fleet.0.get_mut(&id(2)).unwrap().participation = Participation::Skip;
    world.run();
    assert_eq!((world.applied.join(" ").as_str(), world.upgrade.holds.len()), ("2 0 1", 0));
}

#[test]
fn not_now_is_waited_for_and_then_counts_as_skip() {
    for relents in [true, false] {
        let mut world = live(&[Some(0), Some(0), Some(1)]);
        world.fleet.0.get_mut(&id(0)).unwrap().participation = Participation::Defer;
        world.look();
        finish_batch(&mut world);
        assert_eq!(world.applied.join(" "), "1", "phase 1 waits");
        assert_eq!(world.wake_at, Some(Timestamp(1_600_000)));
        if relents {
            world.fleet.0.get_mut(&id(0)).unwrap().participation = Participation::Proceed;
        } else {
            world.pass(600);
        }
        world.run();
        let order = if relents { "1 0 2" } else { "1 2" };
        assert_eq!((world.applied.join(" ").as_str(), world.upgrade.state), (order, UpgradeState::Completed));
        if !relents {
            let reason = world.upgrade.holds[0].reason.to_string();
            assert_eq!(reason, "skip: said \"not now\"; the time for asking is over");
        }
    }
}

#[test]
fn the_same_answers_change_nothing() {
    let mut world = live(&[Some(0), Some(0), Some(1)]);
    world.look();
    finish_batch(&mut world);
    let before = world.upgrade.clone();
    world.look();
    assert_eq!(world.upgrade, before);
    let numbers: Vec<u32> = world.upgrade.batches.iter().map(|batch| batch.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn a_phase_that_was_approved_is_not_asked_for_twice() {
    let mut world = live(&[Some(0), Some(0), Some(1)]);
    let phase = crate::domain::PhaseName::Number(Phase::new(0).unwrap());
    world.upgrade.policy.checkpoints.approval_before = [phase].into();
    world.look();
    assert_eq!(world.applied.len(), 0);
    world.event(&Event::Wish(Wish::Approve));
    assert_eq!(world.applied.join(" "), "0");
    // The next one comes from phase 1, and phase 0 follows once more.
    world.fleet.0.get_mut(&id(1)).unwrap().participation = Participation::Skip;
    finish_batch(&mut world);
    assert_eq!(world.applied.join(" "), "0 2");
    world.fleet.0.get_mut(&id(1)).unwrap().participation = Participation::Proceed;
    world.run();
    assert_eq!(world.applied.join(" "), "0 2 1");
}

#[test]
fn a_host_that_has_heard_of_no_instance_asks_none() {
    let mut world = live(&[Some(0); 4]);
    world.look();
    finish_batch(&mut world);
    assert_eq!(world.applied.len(), 2);
    // The host is started again while 1 is in flight, and finds it done before the first probes.
    world.event(&Event::Resumed);
    for node in world.fleet.0.values_mut() {
        node.decided = false;
    }
    finish_batch(&mut world);
    // The driver was asked once more for the same.
    assert_eq!((world.applied.len(), world.upgrade.state), (3, UpgradeState::RollingForward));
    assert_eq!(world.upgrade.members.len(), 4);
    for node in world.fleet.0.values_mut() {
        node.decided = true;
    }
    world.run();
    assert_eq!(world.applied.join(" "), "0 1 1 2 3");
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}
