//! A host that doubts itself: it stood still, or most went silent at once; and the bake, which counts answers.

use std::time::Duration;

use crate::domain::*;
use crate::kernel::Event;
use crate::kernel::testing::*;
use crate::rollout::{Stage, UpgradeState, Wish};

/// Eight instances of which the first is with the driver, done, and not yet answering.
fn in_the_gate(deadline: u64) -> Rig {
    let mut set = orders();
    for number in 3..8_u16 {
        let mut more = (*set.spec.instances[&id("0")]).clone();
        (more.id, more.address.port) = (id(&number.to_string()), 9000 + number);
        set.spec.instances.insert(more.id.clone(), std::sync::Arc::new(more));
    }
    set.spec.policy.rolling = testing::limits(20);
    set.spec.policy.gate.deadline = Duration::from_secs(deadline);
    set.spec.policy.prepare_max = Duration::from_secs(30);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    others(&mut rig, decision(0));
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    assert_eq!(asked.instance.id, id("0"));
    rig.done(asked, Ok(()));
    rig
}

/// Whether a line of the trail begins so.
fn tells(rig: &Rig, text: &str) -> bool {
    rig.disk.trail().any(|entry| entry.to_string().starts_with(text))
}

fn others(rig: &mut Rig, says: Decision) {
    for instance in ["1", "2", "3", "4", "5", "6", "7"] {
        rig.judge(instance, says.clone());
    }
}

#[test]
fn nobody_is_judged_by_time_in_which_the_host_stood_still() {
    let mut rig = in_the_gate(120);
    rig.pass(Duration::from_secs(60));
    rig.now = Now { at: rig.now.at + Duration::from_secs(600), ..rig.now };
    rig.turn(vec![Event::StoodStill(Duration::from_secs(600))]);
    assert_eq!(rig.last_line(), "the host did not look for 600 s; nobody is judged by that time");
    assert_eq!(rig.asked(), [], "its deadline has moved");
    rig.pass(Duration::from_secs(59));
    assert_eq!(rig.asked(), []);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.asked().len(), 1, "by its own time it is over");
}

#[test]
fn a_gap_is_no_part_of_a_stretch_of_good_health() {
    let mut set = orders();
    set.spec.policy.gate.stable_for = Duration::from_secs(30);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    rig.judge("0", decision(0));
    rig.now = Now { at: rig.now.at + Duration::from_secs(100), ..rig.now };
    rig.turn(vec![Event::StoodStill(Duration::from_secs(100))]);
    assert_eq!(rig.upgrade().progress().in_progress, 1);
    rig.pass(Duration::from_secs(31));
    assert_eq!(rig.upgrade().progress().successful, 1);
}

#[test]
fn a_probe_that_took_longer_than_it_may_was_held_up_by_the_host() {
    let mut rig = Rig::healthy();
    let before = rig.instance("0").fold.clone();
    let round = Decided {
        scale_set: name("orders"),
        instance: id("0"),
        epoch: rig.instance("0").epoch,
        started_at: rig.now.at,
        finished_at: rig.now.at + Duration::from_secs(60),
        again: false,
        heard: Heard::Silence,
        outcome: rig.instance("0").latest.clone().unwrap(),
    };
    rig.turn(vec![Event::Judged(vec![round])]);
    assert_eq!(rig.instance("0").fold, before);
    assert!(
        rig.effects.iter().any(|effect| matches!(effect, crate::kernel::Effect::Ask(_))),
        "it is asked again"
    );
}

#[test]
fn a_host_that_loses_its_network_suspects_itself_and_fails_nobody() {
    let mut rig = in_the_gate(60);
    rig.judge("0", claims(Claim::Unknown));
    for instance in ["1", "2", "3"] {
        rig.pass(Duration::from_millis(500));
        rig.judge(instance, claims(Claim::Unknown));
    }
    assert_eq!(rig.set().suspicion, None, "three of seven");
    rig.judge("4", claims(Claim::Unknown));
    assert!(rig.set().suspicion.is_some());
    others(&mut rig, claims(Claim::Unknown));
    for _ in 0..100 {
        rig.pass(Duration::from_secs(5));
        rig.judge("0", claims(Claim::Unknown));
        others(&mut rig, claims(Claim::Unknown));
    }
    assert_eq!(rig.asked(), [], "500 s of silence restore nobody");
    assert!(rig.upgrade().is_active());
    others(&mut rig, decision(0));
    assert_eq!(rig.set().suspicion, None);
    rig.judge("0", decision(0));
    assert_eq!(rig.upgrade().progress().successful, 1, "and it goes on");
}

#[test]
fn a_person_may_say_that_the_host_is_well() {
    let mut rig = in_the_gate(60);
    rig.judge("0", decision(0));
    rig.pass(Duration::from_secs(1));
    others(&mut rig, claims(Claim::Unknown));
    assert!(rig.set().suspicion.is_some());
    rig.judge("0", decision(0));
    rig.pass(Duration::from_secs(30));
    assert!(rig.upgrade().is_active(), "seven of eight are silent, and nothing has failed");
    assert!(tells(&rig, "the host doubts what it sees, and admits nothing: 4 of 7 instances"));
    rig.ask(crate::kernel::Command::Wish(name("orders"), Wish::Bypass));
    assert_eq!(rig.set().suspicion, None);
    assert!(tells(&rig, "the host trusts what it sees again"));
    rig.pass(Duration::from_secs(30));
    others(&mut rig, claims(Claim::Unknown));
    rig.judge("0", decision(0));
    assert_eq!(rig.set().suspicion, None, "what was silent before is no news");
}

#[test]
fn one_of_two_proves_nothing_about_the_host() {
    let mut rig = Rig::healthy();
    rig.judge("1", claims(Claim::Unknown));
    assert_eq!(rig.set().suspicion, None);
    rig.judge("2", claims(Claim::Unknown));
    assert!(rig.set().suspicion.is_some(), "two of three");
}

#[test]
fn a_fleet_that_starts_is_silent_by_itself() {
    let mut rig = Rig::new(vec![orders()]);
    for instance in ["0", "1", "2"] {
        rig.judge(instance, claims(Claim::Unknown));
    }
    assert_eq!(rig.set().suspicion, None, "none of them has ever answered");
}

fn baked(on_failure: OnBakeFailure) -> Rig {
    let mut set = orders();
    set.spec.policy.bake = Some(Bake { duration: Duration::from_secs(60), probes: 3, on_failure });
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    for _ in 0..20 {
        for asked in rig.asked() {
            rig.done(asked, Ok(()));
        }
        rig.everybody_answers();
        if matches!(rig.upgrade().stage, Stage::Baking { .. }) {
            return rig;
        }
        rig.pass(Duration::from_secs(1));
    }
    panic!("no bake: {:?}", rig.upgrade().stage);
}

#[test]
fn a_bake_counts_time_and_answers() {
    let mut rig = baked(OnBakeFailure::RollBack);
    assert!(rig.upgrade().is_active());
    rig.pass(Duration::from_secs(300));
    assert!(rig.upgrade().is_active(), "nobody was asked meanwhile");
    for round in 1..=3 {
        assert!(rig.upgrade().is_active(), "round {round}");
        rig.everybody_answers();
        rig.pass(Duration::from_secs(5));
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);

    let mut rig = baked(OnBakeFailure::RollBack);
    for _ in 0..5 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    assert!(rig.upgrade().is_active(), "its time is not over");
    let mut rig = rig.restart();
    assert!(matches!(rig.upgrade().stage, Stage::Baking { .. }), "a restart goes on");
    rig.effects.clear();
    rig.pass(Duration::from_secs(60));
    rig.all_healthy();
    for _ in 0..2 {
        assert!(rig.upgrade().is_active(), "what was seen before was another host's");
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}

#[test]
fn what_falls_ill_in_the_bake_goes_back_or_stops() {
    for (rule, version_after) in [(OnBakeFailure::RollBack, "v1"), (OnBakeFailure::Stop, "v2")] {
        let mut rig = baked(rule);
        rig.pass(Duration::from_secs(5));
        rig.judge("0", claims(Claim::Unhealthy));
        rig.judge("1", claims(Claim::Unhealthy));
        for _ in 0..20 {
            for asked in rig.asked() {
                rig.done(asked, Ok(()));
            }
            rig.pass(Duration::from_secs(1));
            rig.everybody_answers();
        }
        assert!(!rig.upgrade().is_active(), "{rule:?}");
        let versions: Vec<String> =
            rig.set().instances().map(|one| one.runs.version().unwrap().to_string()).collect();
        assert_eq!(versions, [version_after; 3], "{rule:?}");
    }
}

#[test]
fn a_bake_that_has_seen_nobody_well_since_a_restart_does_not_end_well() {
    let mut rig = baked(OnBakeFailure::Stop).restart();
    rig.effects.clear();
    for _ in 0..200 {
        rig.pass(Duration::from_secs(5));
        for instance in ["0", "1", "2"] {
            rig.judge(instance, claims(Claim::Unhealthy));
        }
        assert_ne!(rig.upgrade().state, UpgradeState::Completed);
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
}

#[test]
fn a_version_that_ends_by_itself_in_the_bake_has_failed_however_well_it_is_in_between() {
    let mut rig = baked(OnBakeFailure::Stop);
    for _ in 0..10 {
        for instance in ["0", "1", "2"] {
            let note = DriverNote {
                scale_set: name("orders"),
                instance: id(instance),
                at: rig.now.at,
                state: ProcessState::Exited,
                text: "exited with code 3, last line: boom".to_owned(),
            };
            rig.turn(vec![Event::Note(note)]);
        }
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
    let error = rig.upgrade().error.clone().unwrap();
    assert!(error.message.contains("ended by itself in the bake: exited with code 3"), "{error:?}");
}

#[test]
fn a_rollback_in_the_bake_acts_at_once() {
    let mut rig = baked(OnBakeFailure::Stop);
    rig.asked();
    rig.ask(crate::kernel::Command::Wish(name("orders"), Wish::RollBack));
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn a_restart_in_an_outage_of_the_host_forgets_no_doubt() {
    let mut rig = in_the_gate(60).restart();
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    for _ in 0..40 {
        rig.pass(Duration::from_secs(5));
        rig.judge("0", claims(Claim::Unknown));
        others(&mut rig, claims(Claim::Unknown));
    }
    assert!(rig.set().suspicion.is_some(), "those that were planned have been heard before");
    assert!(rig.upgrade().is_active(), "nobody fails for silence");
    assert_eq!(rig.upgrade().members.progress().failed, 0);
}

#[test]
fn a_bake_does_not_count_the_time_in_which_its_host_was_off() {
    let mut rig = baked(OnBakeFailure::RollBack);
    for _ in 0..4 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    rig.now.at = rig.now.at + Duration::from_secs(3600);
    let mut rig = rig.restart();
    for _ in 0..6 {
        assert!(rig.upgrade().is_active(), "about 40 s of its minute are left");
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    for _ in 0..6 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}

#[test]
fn who_was_not_heard_is_waited_for_when_the_others_answer_again() {
    let mut rig = in_the_gate(60);
    rig.judge("0", decision(0));
    rig.pass(Duration::from_secs(1));
    others(&mut rig, claims(Claim::Unknown));
    for _ in 0..20 {
        rig.pass(Duration::from_secs(5));
        rig.judge("0", claims(Claim::Unknown));
        others(&mut rig, claims(Claim::Unknown));
    }
    assert!(rig.set().suspicion.is_some());
    for instance in ["0", "1", "2", "3", "4"] {
        rig.judge(instance, decision(0));
    }
    assert_eq!(rig.set().suspicion, None, "most answer again");
    rig.pass(Duration::from_secs(2));
    assert!(rig.upgrade().is_active(), "three have not been asked yet: {:?}", rig.upgrade().error);
    assert_eq!(rig.asked(), [], "and nothing is admitted before");
    rig.judge("0", decision(0));
    others(&mut rig, decision(0));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.asked().len(), 1, "it goes on");
}

#[test]
fn an_upgrade_that_is_asked_for_in_an_outage_is_planned_with_everybody() {
    let mut rig = in_the_gate(60);
    rig.judge("0", decision(0));
    rig.ask(crate::kernel::Command::Wish(name("orders"), Wish::CancelNow));
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    assert!(!rig.upgrade().is_active(), "{:?}", rig.upgrade().stage);
    rig.pass(Duration::from_secs(1));
    others(&mut rig, claims(Claim::Unknown));
    assert!(rig.set().suspicion.is_some());
    rig.effects.clear();
    assert!(rig.start("v3").unwrap().is_ok());
    for _ in 0..20 {
        rig.pass(Duration::from_secs(5));
        others(&mut rig, claims(Claim::Unknown));
        for question in rig.questions() {
            rig.sees(question, Seen::Version(version("v1")));
        }
    }
    rig.pass(Duration::from_secs(1));
    for instance in ["0", "4", "5", "6", "7"] {
        rig.judge(instance, decision(1));
    }
    assert_eq!(rig.set().suspicion, None);
    rig.pass(Duration::from_secs(1));
    assert!(rig.upgrade().digest.is_none(), "three have yet to be asked");
    for instance in ["1", "2", "3"] {
        rig.judge(instance, decision(0));
    }
    rig.judge("0", decision(1));
    for instance in ["4", "5", "6", "7"] {
        rig.judge(instance, decision(1));
    }
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.upgrade().holds.len(), 0, "{:?}", rig.upgrade().holds);
    assert_eq!(rig.upgrade().members.len(), 8);
}
