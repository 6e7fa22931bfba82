//! Freeze windows and the stopped line, reasons, and the estimate.

use super::*;

fn two_batches() -> World {
    world(fleet(&[Some(0), Some(0), Some(1)]), policy(), GATE)
}

fn reasons(world: &World) -> Vec<String> {
    let all = why_not_yet(&world.upgrade, &world.fleet, world.now);
    all.iter().map(|(id, why)| format!("{id}: {}", why.line(world.now))).collect()
}

#[test]
fn a_stop_holds_the_next_batch_and_not_the_one_in_flight() {
    let until = Timestamp(9_000_000);
    for stop in [Stop::Line { since: Timestamp(2_000_000) }, Stop::Freeze { since: Timestamp(0), until }] {
        let mut world = two_batches();
        world.look();
        world.fleet.1 = Some(stop);
        finish_batch(&mut world);
        assert_eq!((world.upgrade.current, world.applied.len()), (1, 1), "{stop:?}");
        assert_eq!(world.wake_at, matches!(stop, Stop::Freeze { .. }).then_some(until));
        let waiting = waiting_now(&world.upgrade, &world.fleet, world.now);
        assert!(matches!(waiting, Some(Waiting::Line | Waiting::Freeze { .. })), "{waiting:?}");
        world.fleet.1 = None;
        world.run();
        assert_eq!(world.upgrade.state, UpgradeState::Completed);
    }
}

#[test]
fn a_person_may_go_on_all_the_same() {
    let mut world = two_batches();
    world.fleet.1 = Some(Stop::Line { since: Timestamp(1_000_000) });
    world.look();
    assert_eq!((world.applied.len(), &world.upgrade.digest), (0, &None), "not even a snapshot");
    world.event(&Event::Wish(Wish::Bypass));
    assert_eq!(world.applied.len(), 1);
    world.run();
    assert_eq!(world.upgrade.state, UpgradeState::Completed);
}

#[test]
fn a_line_that_is_stopped_after_a_bypass_holds() {
    let mut world = two_batches();
    world.upgrade.bypass = Some(world.now);
    world.look();
    world.fleet.1 = Some(Stop::Line { since: world.now + Duration::from_secs(1) });
    world.now = world.now + Duration::from_secs(2);
    finish_batch(&mut world);
    assert_eq!((world.upgrade.current, world.applied.len()), (1, 1));
    world.event(&Event::Wish(Wish::Bypass));
    assert_eq!(world.applied.len(), 2, "and may be bypassed in its turn");
}

#[test]
fn a_freeze_that_begins_after_a_bypass_holds() {
    let freeze = |since: i64| Some(Stop::Freeze { since: Timestamp(since), until: Timestamp(9_000_000) });
    let mut world = two_batches();
    world.fleet.1 = freeze(500_000);
    world.look();
    assert!(world.applied.is_empty());
    world.event(&Event::Wish(Wish::Bypass));
    assert_eq!(world.applied.len(), 1, "what held it then holds it no longer");
    finish_batch(&mut world);
    assert_eq!(world.applied.len(), 2);
    world.fleet.1 = freeze(1_500_000);
    finish_batch(&mut world);
    assert_eq!(world.applied.len(), 2, "nobody has meant that one");
    world.event(&Event::Wish(Wish::Bypass));
    assert_eq!(world.applied.len(), 3);
}

#[test]
fn a_bypass_without_a_stop_is_good_for_none() {
    let mut world = two_batches();
    world.upgrade.bypass_stops(&world.fleet, world.now);
    world.fleet.1 = Some(Stop::Freeze { since: Timestamp(500_000), until: Timestamp(9_000_000) });
    world.look();
    assert!(world.applied.is_empty());
}

#[test]
fn a_start_at_a_time_waits_for_it_and_takes_its_snapshot_then() {
    let mut world = two_batches();
    world.upgrade.wait_for(Timestamp(5_000_000), Timestamp(5_000_000));
    world.look();
    assert_eq!(
        (world.applied.len(), world.upgrade.digest, world.wake_at),
        (0, None, Some(Timestamp(5_000_000)))
    );
    let waiting = waiting_now(&world.upgrade, &world.fleet, world.now);
    assert_eq!(waiting, Some(Waiting::Scheduled { until: Timestamp(5_000_000) }));
    assert!(refusal(&world.upgrade, &world.fleet, world.now, Wish::Promote).is_some());
    world.fleet.0.get_mut(&id(0)).unwrap().participation = crate::domain::Participation::Skip;
    world.pass(4_000);
    assert_eq!(world.applied.join(" "), "1");
    let mut given_up = two_batches();
    given_up.upgrade.wait_for(Timestamp(5_000_000), Timestamp(5_000_000));
    given_up.event(&Event::Wish(Wish::Cancel));
    assert_eq!(given_up.upgrade.state, UpgradeState::Cancelled);
}

#[test]
fn a_promotion_passes_what_waits_now_and_nothing_else() {
    let phase = |number| crate::domain::PhaseName::Number(Phase::new(number).unwrap());
    let mut world = two_batches();
    world.upgrade.policy.checkpoints.pause_after = [phase(0)].into();
    world.upgrade.policy.checkpoints.approval_before = [phase(1)].into();
    world.upgrade.policy.rolling.pause_time_between_batches = Duration::from_secs(60);
    let refused = |world: &World| refusal(&world.upgrade, &world.fleet, world.now, Wish::Promote).is_some();
    world.look();
    assert!(refused(&world), "a batch is in flight");
    finish_batch(&mut world);
    assert!(!refused(&world));
    world.event(&Event::Wish(Wish::Promote));
    assert_eq!(world.applied.len(), 2, "the pause between two batches is passed");
    world.event(&Event::Wish(Wish::Pause));
    finish_batch(&mut world);
    world.pass(60);
    for waiting in
        [Waiting::Paused, Waiting::Resume { after: phase(0) }, Waiting::Approval { before: phase(1) }]
    {
        assert_eq!(waiting_now(&world.upgrade, &world.fleet, world.now), Some(waiting));
        assert_eq!(world.applied.len(), 2);
        world.event(&Event::Wish(Wish::Promote));
    }
    assert_eq!(world.applied.len(), 3);
}

#[test]
fn a_wish_that_makes_no_sense_is_refused() {
    let mut world = two_batches();
    world.upgrade.policy.checkpoints.approval_before =
        [crate::domain::PhaseName::Number(Phase::new(1).unwrap())].into();
    let told = |world: &World, wish| {
        refusal(&world.upgrade, &world.fleet, world.now, wish).map(|refusal| refusal.to_string())
    };
    let refused = |world: &World, wish| told(world, wish).is_some();
    world.look();
    for (wish, text) in [
        (Wish::Resume, "upgrade `orders-1` is not paused, and none of its phases waits for `resume`"),
        (Wish::Approve, "upgrade `orders-1` does not stand before a phase that waits for an approval"),
        (Wish::Bypass, "neither a freeze window nor a stopped line holds upgrade `orders-1`"),
    ] {
        assert_eq!(told(&world, wish).as_deref(), Some(text), "{wish:?}");
    }
    world.event(&Event::Wish(Wish::Pause));
    assert!(!refused(&world, Wish::Resume));
    world.event(&Event::Wish(Wish::Resume));
    for _ in 0..2 {
        finish_batch(&mut world);
    }
    assert!(!refused(&world, Wish::Approve), "phase 1 waits");
    world.event(&Event::Wish(Wish::Cancel));
    let text = "upgrade `orders-1` was cancelled and ends after the batch in flight; wait for its end, then \
                start another one";
    assert_eq!(told(&world, Wish::Approve).as_deref(), Some(text));
}

#[test]
fn an_instance_that_is_protected_later_leaves_the_plan() {
    let mut world = two_batches();
    world.look();
    let changed = world.upgrade.reconfigured(|_| true, |other| *other == id(1), world.now);
    assert_eq!(changed, [id(1)]);
    assert_eq!(world.upgrade.holds[0].reason, crate::plan::HoldReason::Protected);
    world.run();
    assert_eq!(world.applied.join(" "), "0 2");
}

#[test]
fn a_way_back_goes_on_in_a_freeze_and_not_on_a_stopped_line() {
    for (stop, goes_on) in [
        (Stop::Freeze { since: Timestamp(0), until: Timestamp(9_000_000) }, true),
        (Stop::Line { since: Timestamp(0) }, false),
    ] {
        let mut world = two_batches();
        world.run();
        world.upgrade =
            rollback_of(&world.upgrade, UpgradeId::parse("orders-2").unwrap(), world.now).unwrap();
        world.applied.clear();
        world.fleet.1 = Some(stop);
        world.look();
        assert_eq!(!world.applied.is_empty(), goes_on, "{stop:?}");
    }
}

#[test]
fn cancel_works_on_a_stopped_line() {
    let mut world = two_batches();
    world.fleet.1 = Some(Stop::Line { since: Timestamp(1_000_000) });
    world.look();
    world.event(&Event::Wish(Wish::Cancel));
    assert_eq!(world.upgrade.state, UpgradeState::Cancelled);
}

#[test]
fn each_instance_has_a_reason() {
    let mut fleet = fleet(&[Some(0), Some(0), Some(1), Some(1)]);
    fleet.0.get_mut(&id(3)).unwrap().participation = Participation::Skip;
    let mut world = world(fleet, policy(), GATE);
    world.look();
    assert_eq!(
        reasons(&world),
        [
            "0: the driver brings it to v2, since 0 s",
            "1: 1 batch before its own: a batch takes no more at once",
            "2: 2 batches before its own: phase 0 comes first",
            "3: skip",
        ]
    );
    world.drivers_answer(&Ok(()));
    assert_eq!(
        reasons(&world)[0],
        "0: health gate: Initializing; it has failed unless it is Healthy in 300 s"
    );
    world.upgrade.policy.rolling.pause_time_between_batches = Duration::from_secs(60);
    world.all_become_healthy();
    assert_eq!(reasons(&world)[0], "1: is in the next batch");
    world.event(&Event::Wish(Wish::Cancel));
    assert_eq!(reasons(&world)[0], "1: the upgrade ended before its turn: Cancelled");
}

#[test]
fn the_estimate_reckons_with_batches_pauses_and_freezes() {
    let mut policy = policy();
    policy.pause_time_between_batches = Duration::from_secs(10);
    let mut world = world(fleet(&[Some(0); 3]), policy, GATE);
    let never = |_| None;
    world.look();
    assert_eq!(estimate(&world.upgrade, never, world.now), None, "nothing to reckon with");
    world.now = world.now + Duration::from_secs(30);
    finish_batch(&mut world);
    let left = |world: &World, estimate: Option<Estimate>| estimate.unwrap().ends_at.since(world.now);
    let two = estimate(&world.upgrade, never, world.now);
    assert_eq!(left(&world, two), Duration::from_secs(10 + 30 + 10 + 30));
    let frozen = |at: Timestamp| (at < Timestamp(5_000_000)).then_some(Timestamp(5_000_000));
    let late = estimate(&world.upgrade, frozen, world.now).unwrap();
    assert_eq!(late.ends_at, Timestamp(5_000_000) + Duration::from_secs(30 + 10 + 30));
    world.pass(10);
    world.now = world.now + Duration::from_secs(20);
    let one = estimate(&world.upgrade, never, world.now);
    assert_eq!(left(&world, one), Duration::from_secs(10 + 10 + 30));
}
