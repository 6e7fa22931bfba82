//! New instances that cannot be created, do not become healthy or cannot take over, and a host that is killed
//! meanwhile.

use super::*;

#[test]
fn a_new_one_that_fails_goes_and_its_old_one_stays() {
    let mut world = surge(4, 50);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(50).unwrap();
    world.look();
    world.answer_all();
    world.becomes(4, Health::Healthy);
    world.now = world.now + Duration::from_secs(300);
    world.look();
    assert_eq!(world.asked(), "-5 -0 for 4");
    world.answer_all();
    assert_eq!(
        world.failure(1),
        "its replacement 5 was still Initializing 300 s after its upgrade; nothing is left of that one, and this one stays"
    );
    world.run();
    assert_eq!(world.shown(), "1:v1 4:v2 6:v2 7:v2");
    assert_eq!((world.upgrade.state, world.upgrade.progress().failed), (UpgradeState::Completed, 1));
}

#[test]
fn no_room_fails_the_instance_and_never_changes_it_in_place() {
    let mut world = surge(4, 25);
    world.look();
    world.answer(Err("no more room: none of the ports 9100 to 9103 is free"));
    assert_eq!(world.asked(), "-4", "whatever a failed creation may have left is deleted");
    world.answer_all();
    assert_eq!(world.upgrade.state, UpgradeState::Faulted);
    assert!(
        world.failure(0).starts_with("its replacement 4 could not be created: no more room"),
        "{}",
        world.failure(0)
    );
    assert_eq!(world.shown(), "0:v1 1:v1 2:v1 3:v1");
}

#[test]
fn what_cannot_be_deleted_is_told() {
    let mut world = surge(2, 50);
    world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
    world.look();
    world.answer_all();
    world.all_become_healthy();
    world.answer(Err("the site is locked"));
    assert_eq!(world.failure(0), "2 has taken its place, but it could not be deleted: the site is locked");
    assert_eq!(world.asked(), "1->3=v2", "and the next batch begins");
    world.answer(Err("no"));
    world.answer(Err("the site is locked"));
    let told =
        "its replacement 3 could not be created: no; that one could not be deleted: the site is locked";
    assert_eq!(world.failure(1), told);
}

#[test]
fn a_restart_at_every_stage_creates_nothing_twice_and_leaves_nothing() {
    // How many answers of the driver and healths come before the host is killed.
    for moment in 0..12 {
        for fails in [false, true] {
            let mut world = surge(4, 50);
            world.upgrade.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::new(100).unwrap();
            world.look();
            let mut steps = 0;
            while world.upgrade.is_active() {
                if steps == moment {
                    world.restart();
                    world.look();
                }
                steps += 1;
                assert!(steps < 100, "no end in sight");
                if !world.pending.is_empty() {
                    let first =
                        matches!(&world.pending[0], Action::Create { replaces, .. } if *replaces == id(0));
                    world.answer(if first && fails { Err("it is broken") } else { Ok(()) });
                } else {
                    let initializing = |node: &&mut Node| node.health != Health::Healthy;
                    if let Some(node) = world.site.nodes.values_mut().find(initializing) {
                        node.health = Health::Healthy;
                    }
                    world.look();
                }
            }
            let expected = if fails { "0:v1 5:v2 6:v2 7:v2" } else { "4:v2 5:v2 6:v2 7:v2" };
            assert_eq!(world.shown(), expected, "killed at {moment}");
            let ids: BTreeSet<&String> = world.created.iter().collect();
            assert_eq!(ids.len(), 4, "one each, under the same id after a restart: {:?}", world.created);
        }
    }
}
