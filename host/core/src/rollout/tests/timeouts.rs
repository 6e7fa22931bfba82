//! How long an upgrade may take, and which time counts.

use super::*;
use crate::domain::{OnTimeout, PhaseName, Timeouts};
use crate::rollout::timeouts::nearest;

fn seconds(length: u64) -> Option<Duration> {
    Some(Duration::from_secs(length))
}

fn limited(timeouts: Timeouts) -> World {
    let mut world = world(fleet(&[Some(0), Some(0), Some(1)]), policy(), GATE);
    world.upgrade.policy.timeouts = timeouts;
    world
}

const LATE: Option<&str> = Some("RollingUpgradeTimeoutError");

fn ends(world: &World) -> bool {
    world.pending.iter().any(|action| matches!(action, Action::End { .. }))
}

#[test]
fn a_batch_that_takes_too_long_is_ended_and_brought_back_and_what_was_before_it_stays() {
    let mut world = limited(Timeouts { batch: seconds(60), ..Timeouts::default() });
    world.look();
    finish_batch(&mut world);
    world.pass(59);
    assert_eq!(world.upgrade.stage, Stage::InBatch, "a batch has a watch of its own");
    assert_eq!(world.wake_at, Some(world.now + Duration::from_secs(1)));
    world.pass(1);
    assert!(matches!(world.upgrade.stage, Stage::Stopping { .. }) && ends(&world));
    world.pending.retain(|action| !matches!(action, Action::End { .. }));
    world.drivers_answer(&Err("was ended".to_owned()));
    assert_eq!(world.pending.len(), 1, "the version before is brought back");
    world.drivers_answer(&Ok(()));
    assert_eq!((world.upgrade.state, world.code()), (UpgradeState::Faulted, LATE));
    let progress = world.upgrade.progress();
    assert_eq!((progress.successful, progress.failed, progress.pending), (1, 1, 1));
    let message = world.upgrade.error.as_ref().unwrap().message.clone();
    assert!(message.starts_with("batchTimeout = 60 s is over and batch 2 of 3"), "{message}");
    assert!(!world.upgrade.then_roll_back);
}

#[test]
fn the_gate_may_take_too_long_too_and_all_of_it_goes_back_where_that_is_wanted() {
    let timeouts = Timeouts { batch: seconds(60), then: OnTimeout::RollBack, ..Timeouts::default() };
    let mut world = limited(timeouts);
    world.look();
    world.drivers_answer(&Ok(()));
    world.pass(60);
    assert_eq!((world.upgrade.state, world.code()), (UpgradeState::Faulted, LATE));
    assert!(world.upgrade.then_roll_back && world.pending.is_empty(), "the rollback brings it back");
    let reason = world.upgrade.members.get(&id(0)).and_then(Member::failure);
    assert_eq!(reason.as_deref(), Some("had not ended when the time for it was over"));
}

#[test]
fn what_ends_well_in_the_last_moment_is_not_late() {
    let mut world = limited(Timeouts { batch: seconds(60), upgrade: seconds(60), ..Timeouts::default() });
    world.look();
    world.drivers_answer(&Ok(()));
    world.now = world.now + Duration::from_secs(60);
    world.all_become_healthy();
    let first = world.upgrade.members.get(&id(0)).unwrap().state.clone();
    assert!(matches!(first, MemberState::Succeeded { .. }));
    assert_eq!(world.code(), LATE, "for the next batch there is no time");
    assert_eq!(world.applied.len(), 1);
}

#[test]
fn the_time_of_an_upgrade_goes_on_over_batches_and_before_the_plan() {
    let mut world = limited(Timeouts { upgrade: seconds(100), ..Timeouts::default() });
    world.fleet.0.get_mut(&id(0)).unwrap().decided = false;
    world.look();
    world.pass(20);
    world.fleet.0.get_mut(&id(0)).unwrap().decided = true;
    world.look();
    finish_batch(&mut world);
    assert_eq!(nearest(&world.upgrade, world.now).map(|limit| limit.left), seconds(80));
    world.pass(80);
    assert!(matches!(world.upgrade.stage, Stage::Stopping { .. }));
}

#[test]
fn time_in_a_pause_a_freeze_or_on_a_stopped_line_does_not_count() {
    let mut world = limited(Timeouts { upgrade: seconds(100), batch: seconds(100), ..Timeouts::default() });
    world.look();
    world.pass(10);
    world.event(&Event::Wish(Wish::Pause));
    world.pass(1_000);
    assert_eq!(
        nearest(&world.upgrade, world.now).map(|limit| (limit.left, limit.until)),
        seconds(90).map(|left| (left, None))
    );
    world.event(&Event::Wish(Wish::Resume));
    world.pass(10);
    // The line was stopped a while before anybody looked.
    let since = world.now;
    world.fleet.1 = Some(Stop::Line { since });
    world.pass(500);
    assert_eq!(nearest(&world.upgrade, world.now).map(|limit| limit.left), seconds(80));
    world.fleet.1 = None;
    world.look();
    let (since, until) = (world.now, world.now + Duration::from_secs(700));
    world.fleet.1 = Some(Stop::Freeze { since, until });
    world.pass(600);
    assert_eq!(world.wake_at, Some(until), "it counts again from the end of the freeze on");
    world.now = until;
    world.fleet.1 = None;
    world.look();
    world.pass(79);
    assert_eq!(world.upgrade.stage, Stage::InBatch);
    world.event(&Event::StoodStill(Duration::from_secs(50)));
    world.pass(50);
    assert_eq!(world.upgrade.stage, Stage::InBatch, "nor while the host stood still");
    world.pass(1);
    assert!(matches!(world.upgrade.stage, Stage::Stopping { .. }));
}

#[test]
fn the_wait_for_an_approval_has_a_limit_of_its_own_and_is_nobody_elses_time() {
    let timeouts = Timeouts { approval: seconds(300), upgrade: seconds(100), ..Timeouts::default() };
    let mut world = limited(timeouts);
    let phase = PhaseName::Number(Phase::new(1).unwrap());
    world.upgrade.policy.checkpoints.approval_before = [phase].into();
    world.upgrade.policy.rolling.pause_time_between_batches = Duration::from_secs(20);
    world.look();
    finish_batch(&mut world);
    world.pass(20);
    finish_batch(&mut world);
    world.pass(20);
    assert_eq!(
        waiting_now(&world.upgrade, &world.fleet, world.now),
        Some(Waiting::Approval { before: phase })
    );
    let limit = nearest(&world.upgrade, world.now).unwrap();
    assert_eq!((limit.name, limit.until), (LimitName::Approval, Some(world.now + Duration::from_secs(300))));
    world.event(&Event::Wish(Wish::Pause));
    world.pass(1_000);
    world.event(&Event::Wish(Wish::Resume));
    world.pass(299);
    assert!(world.upgrade.is_active());
    let mut approved = limited(timeouts);
    approved.upgrade = world.upgrade.clone();
    world.pass(1);
    assert_eq!((world.upgrade.state, world.code()), (UpgradeState::Faulted, LATE));
    assert_eq!(world.upgrade.progress().successful, 2, "what was done stays");
    approved.now = world.now;
    approved.event(&Event::Wish(Wish::Approve));
    assert!(approved.upgrade.is_active(), "a word in the last moment is not late");
}

#[test]
fn a_restart_goes_on_with_the_time_that_has_counted() {
    let mut world = limited(Timeouts { batch: seconds(100), ..Timeouts::default() });
    world.look();
    world.pass(60);
    world.now = world.now + Duration::from_secs(30);
    world.event(&Event::Resumed);
    assert_eq!(nearest(&world.upgrade, world.now).map(|limit| limit.left), seconds(10));
    world.pass(10);
    assert!(matches!(world.upgrade.stage, Stage::Stopping { .. }));
    world.event(&Event::Resumed);
    world.drivers_answer(&Ok(()));
    assert_eq!((world.upgrade.state, world.code()), (UpgradeState::Faulted, LATE));
}

#[test]
fn a_cancel_waits_for_the_batch_no_longer_than_that_and_is_a_cancel() {
    let mut world =
        limited(Timeouts { batch: seconds(100), then: OnTimeout::RollBack, ..Timeouts::default() });
    world.look();
    world.event(&Event::Wish(Wish::Cancel));
    world.pass(100);
    world.pending.retain(|action| !matches!(action, Action::End { .. }));
    world.drivers_answer(&Err("was ended".to_owned()));
    world.drivers_answer(&Ok(()));
    assert_eq!((world.upgrade.state, world.code()), (UpgradeState::Cancelled, None));
    assert!(!world.upgrade.then_roll_back);
}
