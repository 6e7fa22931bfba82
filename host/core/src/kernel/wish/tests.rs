//! What a person tells an upgrade, and one that has ended.

use super::*;
use crate::domain::*;
use crate::kernel::report::{self, WaitsFor};
use crate::kernel::testing::*;
use crate::kernel::{Command, Effect, Reply};
use crate::rollout::{MemberState, Stage, UpgradeState};
use std::time::Duration;

fn tell(rig: &mut Rig, wish: Wish) -> Result<Reply, Refusal> {
    rig.ask(Command::Wish(name("orders"), wish)).unwrap()
}

#[test]
fn nothing_runs_and_nothing_has_run() {
    let mut rig = Rig::healthy();
    assert_eq!(tell(&mut rig, Wish::Cancel), Err(Refusal::NothingToCancel));
    for wish in [Wish::Pause, Wish::Resume, Wish::Approve, Wish::Bypass, Wish::RollBack] {
        assert_eq!(tell(&mut rig, wish), Err(Refusal::NoRunningUpgrade(name("orders"))), "{wish:?}");
    }
    let stranger = rig.ask(Command::Wish(name("stock"), Wish::Cancel)).unwrap();
    assert!(matches!(stranger, Err(Refusal::NoScaleSet { known, .. }) if known == [name("orders")]));
}

#[test]
fn a_pause_holds_the_next_batch_and_a_resume_lets_it_go() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    assert!(tell(&mut rig, Wish::Pause).is_ok());
    let asked = rig.asked().remove(0);
    let instance = asked.instance.id.clone();
    rig.done(asked, Ok(()));
    rig.judge(instance.as_str(), decision(0));
    rig.pass(std::time::Duration::from_secs(1));
    rig.everybody_answers();
    assert!(rig.asked().is_empty() && rig.upgrade().paused);
    assert!(tell(&mut rig, Wish::Resume).is_ok());
    assert_eq!(rig.asked().len(), 1);
    assert!(matches!(tell(&mut rig, Wish::Resume), Err(Refusal::Wish { .. })), "it is not paused");
}

#[test]
fn a_rollback_takes_the_latest_back_and_no_other_one() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    rig.start("v2");
    rig.run_to_the_end();
    assert_eq!(rig.upgrade().already, 3, "all there already");
    assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::NothingToRollBack(_))));
    for instance in ["0", "1"] {
        rig.judge(instance, Decision { claim: Claim::Unhealthy, ..decision(0) });
    }
    rig.start("v3");
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted, "refused at the door");
    assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::NothingToRollBack(_))));
    assert!(rig.asked().is_empty(), "v2 is good");
    assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
}

fn versions(rig: &Rig) -> Vec<String> {
    rig.set().instances().filter_map(|one| one.runs.version().map(ToString::to_string)).collect()
}

/// What drivers were told to end; taken together with everything else.
fn ended(rig: &mut Rig) -> Vec<OperationId> {
    let all = std::mem::take(&mut rig.effects);
    let end = |effect| match effect {
        Effect::End(_, operation) => Some(operation),
        _ => None,
    };
    all.into_iter().filter_map(end).collect()
}

#[test]
fn a_rollback_does_not_wait_for_the_gate() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    assert!(tell(&mut rig, Wish::RollBack).is_ok());
    let back = rig.asked();
    let told: Vec<String> = back.iter().map(|one| format!("{}={}", one.instance.id, one.version)).collect();
    assert_eq!(told, ["0=v1"], "at once, and nobody else");
    assert!(back[0].operation.0.starts_with("orders-2/"), "{:?}", back[0].operation);
}

#[test]
fn what_a_driver_has_in_hand_ends_before_it_is_taken_back() {
    for answer in [Ok(()), Err("was ended")] {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        assert_eq!(ended(&mut rig), std::slice::from_ref(&asked.operation));
        assert!(rig.asked().is_empty(), "the driver has not answered");
        rig.done(asked, answer);
        let back = rig.asked();
        assert_eq!((back.len(), back[0].version.as_str()), (1, "v1"), "{answer:?}");
    }
}

#[test]
fn a_host_that_was_killed_while_it_stopped_does_not_begin_again_what_was_to_end() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.asked();
    assert!(tell(&mut rig, Wish::RollBack).is_ok());
    let mut rig = rig.restart();
    let asked: Vec<String> = rig.asked().iter().map(|one| one.version.to_string()).collect();
    assert_eq!(asked, ["v1"]);
}

#[test]
fn a_cancel_at_once_brings_the_batch_in_flight_back_and_leaves_the_others() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let first = rig.asked().remove(0);
    rig.done(first, Ok(()));
    rig.judge("0", decision(0));
    rig.pass(std::time::Duration::from_secs(1));
    rig.everybody_answers();
    let second = rig.asked().remove(0);
    rig.done(second, Ok(()));
    assert!(tell(&mut rig, Wish::CancelNow).is_ok());
    let back = rig.asked().remove(0);
    assert_eq!((back.instance.id.as_str(), back.version.as_str()), ("1", "v1"));
    rig.done(back, Ok(()));
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    assert_eq!(versions(&rig), ["v2", "v1", "v1"]);
    assert!(rig.asked().is_empty(), "and nothing follows");
}

#[test]
fn a_way_back_stops_when_what_it_brings_back_does_not_come_up() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    assert!(tell(&mut rig, Wish::RollBack).is_ok());
    let bad = rig.asked().remove(0);
    assert_eq!(bad.instance.id.as_str(), "2", "newest first");
    rig.done(bad, Ok(()));
    rig.judge("2", Decision { claim: Claim::Unhealthy, ..decision(0) });
    rig.pass(std::time::Duration::from_secs(200));
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
    assert_eq!((versions(&rig), rig.asked().len()), (["v2", "v2", "v1"].map(str::to_owned).to_vec(), 0));
    assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::WasRollback(_))));
    assert!(tell(&mut rig, Wish::RollBackOn).is_ok());
    let asked = rig.asked().remove(0);
    assert_eq!((asked.instance.id.as_str(), asked.version.as_str()), ("1", "v1"), "what is back is back");
}

#[test]
fn a_way_back_is_not_held_by_the_health_of_the_fleet() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    for instance in ["0", "1", "2"] {
        rig.judge(instance, Decision { claim: Claim::Unhealthy, ..decision(0) });
    }
    assert!(tell(&mut rig, Wish::RollBack).is_ok());
    assert_eq!(rig.asked().len(), 1);
}

fn back_to(rig: &mut Rig, former: &crate::rollout::Upgrade) -> Result<Reply, Refusal> {
    rig.ask(Command::RollBackTo(name("orders"), Box::new(former.clone()))).unwrap()
}

#[test]
fn a_rollback_to_an_upgrade_brings_what_that_one_had_brought() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    let former = rig.upgrade().clone();
    for to in ["v3", "v4"] {
        rig.start(to);
        rig.run_to_the_end();
    }
    let cancelled = crate::rollout::Upgrade { state: UpgradeState::Cancelled, ..former.clone() };
    assert!(matches!(back_to(&mut rig, &cancelled), Err(Refusal::NotCompleted(_))));
    assert!(back_to(&mut rig, &former).is_ok());
    rig.run_to_the_end();
    assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
    assert_eq!(rig.set().model.of(&Component::Application), Some(&version("v2")));
    assert!(matches!(back_to(&mut rig, &former), Err(Refusal::AlreadyBack(_))));
    // In the middle of another one.
    rig.start("v5");
    let asked = rig.asked().remove(0);
    assert!(back_to(&mut rig, &former).is_ok());
    assert_eq!(ended(&mut rig), std::slice::from_ref(&asked.operation));
    rig.done(asked, Ok(()));
    rig.run_to_the_end();
    assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
}

#[test]
fn a_resume_ends_the_pause_of_now_and_no_checkpoint_to_come() {
    let mut set = orders();
    set.spec.policy.checkpoints.pause_after = [PhaseName::Number(Phase::new(0).unwrap())].into();
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.judge("2", decision(1));
    rig.effects.clear();
    rig.start("v2");
    assert!(tell(&mut rig, Wish::Pause).is_ok());
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    rig.judge("0", decision(0));
    rig.pass(std::time::Duration::from_secs(1));
    rig.everybody_answers();
    assert!(tell(&mut rig, Wish::Resume).is_ok());
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    rig.judge("1", decision(0));
    rig.pass(std::time::Duration::from_secs(1));
    rig.everybody_answers();
    assert!(rig.asked().is_empty(), "phase 0 is done, and nobody has said a word about that");
    assert!(tell(&mut rig, Wish::Resume).is_ok());
    assert_eq!(rig.asked().len(), 1);
}

/// Everything is upgraded, and the bake has begun.
fn baking() -> Rig {
    baking_for(Duration::from_secs(3_600), 100)
}

fn baking_for(duration: Duration, probes: u32) -> Rig {
    let mut set = orders();
    let bake = Bake { duration, probes, on_failure: OnBakeFailure::default() };
    set.spec.policy.bake = Some(bake);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    for _ in 0..20 {
        for asked in rig.asked() {
            let instance = asked.instance.id.clone();
            rig.done(asked, Ok(()));
            rig.judge(instance.as_str(), decision(0));
        }
        if matches!(rig.upgrade().stage, Stage::Baking { .. }) {
            break;
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    assert!(matches!(rig.upgrade().stage, Stage::Baking { .. }), "{:?}", rig.upgrade().stage);
    rig
}

#[test]
fn a_person_may_end_a_bake() {
    let mut rig = baking();
    rig.pass(Duration::from_secs(60));
    assert!(rig.upgrade().is_active(), "it looks on");
    assert!(tell(&mut rig, Wish::Promote).is_ok());
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    let of_its_end: Vec<&str> = rig.trail().into_iter().rev().take(2).collect();
    assert_eq!(of_its_end, ["end", "promote"], "the wish is the cause of the end");

    let mut rig = baking().restart();
    assert!(rig.upgrade().is_active(), "a restart ends none");
    assert!(tell(&mut rig, Wish::Promote).is_ok());
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}

#[test]
fn what_has_no_way_back_stays_as_it_ended_and_as_it_is_recorded() {
    let mut set = orders();
    set.spec.policy.rolling = testing::limits(100);
    let mut rig = Rig::new(vec![set]);
    for question in rig.questions() {
        let seen = if question.instance.id == id("0") { Seen::Nothing } else { Seen::Version(version("v1")) };
        rig.sees(question, seen);
    }
    rig.everybody_answers();
    rig.effects.clear();
    rig.start("v2");
    for question in rig.questions() {
        let seen = if question.instance.id == id("0") { Seen::Nothing } else { Seen::Version(version("v1")) };
        rig.sees(question, seen);
    }
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let mut asked = rig.asked();
    assert_eq!(asked.len(), 3, "all in one batch");
    let first = asked.remove(0);
    assert_eq!(first.instance.id, id("0"));
    rig.done(first, Ok(()));
    rig.pass(Duration::from_secs(1));
    rig.judge("0", decision(0));
    assert!(matches!(rig.upgrade().members.get(&id("0")).unwrap().state, MemberState::Succeeded { .. }));

    assert!(tell(&mut rig, Wish::CancelNow).is_ok());
    for one in asked {
        rig.done(one, Err("was ended"));
    }
    for one in rig.asked() {
        assert_ne!(one.instance.id, id("0"), "nothing ran there before");
        rig.done(one, Ok(()));
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    let state = rig.upgrade().members.get(&id("0")).unwrap().state.clone();
    assert!(matches!(state, MemberState::Succeeded { .. }), "{state:?}");
    assert_eq!(rig.instance("0").runs, Runs::at(version("v2")), "and that is what runs");
    let again = rig.restart();
    assert_eq!(again.upgrade().members.get(&id("0")).unwrap().state, state);
}

#[test]
fn who_asks_for_a_way_back_in_the_middle_of_an_upgrade_begins_it() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    let ann =
        By { actor: Actor::Operator("ann".to_owned()), reason: Some("it is slow".to_owned()), request: None };
    let answer = rig.ask_as(ann.clone(), Command::Wish(name("orders"), Wish::RollBack));
    assert!(answer.unwrap().is_ok());
    rig.run_to_the_end();
    let start = rig.disk.trail().filter(|entry| entry.what.code() == "start").last().unwrap();
    assert_eq!((start.upgrade.as_ref(), &start.by), (Some(&rig.upgrade().id), &ann));
}

#[test]
fn there_is_nothing_to_take_back_before_anything_was_touched() {
    let mut rig = Rig::healthy();
    let ann =
        By { actor: Actor::Operator("ann".to_owned()), reason: Some("not now".to_owned()), request: None };
    assert!(rig.ask_as(ann, Command::StopLine).unwrap().is_ok());
    rig.start("v2");
    let refused = tell(&mut rig, Wish::RollBack);
    assert!(matches!(refused, Err(Refusal::Wish { .. })), "{refused:?}");
    assert!(rig.upgrade().is_active() && tell(&mut rig, Wish::Cancel).is_ok());
}

#[test]
fn a_pause_holds_a_bake_and_its_time_does_not_count() {
    let second = Duration::from_secs(1);
    let mut rig = baking_for(Duration::from_secs(60), 1);
    let looks = |rig: &mut Rig, seconds: u32| {
        for _ in 0..seconds {
            rig.pass(second);
            rig.everybody_answers();
        }
    };
    looks(&mut rig, 30);
    assert!(tell(&mut rig, Wish::Pause).is_ok());
    looks(&mut rig, 40);
    assert!(rig.upgrade().is_active(), "a person has paused it");
    let waits = report::waiting(rig.kernel.fleet(), rig.set(), rig.now);
    assert!(matches!(waits, Some(WaitsFor::Paused)), "{waits:?}");
    let mut rig = rig.restart();
    looks(&mut rig, 40);
    assert!(rig.upgrade().is_active(), "a restart ends no pause");
    assert!(tell(&mut rig, Wish::Resume).is_ok());
    looks(&mut rig, 15);
    assert!(rig.upgrade().is_active(), "about half of its minute had passed before the pause");
    looks(&mut rig, 30);
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}
