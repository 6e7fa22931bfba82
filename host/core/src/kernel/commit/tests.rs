//! Refused commits: what stays, what is undone, and who hears of it when.

use super::*;
use crate::domain::*;
use crate::kernel::Command;
use crate::kernel::testing::*;
use crate::rollout::{Upgrade, Wish};

/// What a kernel that starts from the record now would know.
fn recorded(rig: &Rig) -> (Option<Upgrade>, Vec<Option<Version>>, usize) {
    let stored = rig.disk.clone().open();
    let versions = stored.versions.values().map(|runs| runs.version().cloned()).collect();
    (stored.upgrades.get(&name("orders")).cloned(), versions, rig.disk.trail().count())
}

fn is_not_recorded(answer: Option<&super::super::Answer>) -> bool {
    matches!(answer, Some(Err(Refusal::NotRecorded { .. })))
}

/// A host that dies before it has written over what may be recorded has not said that nothing was done.
#[test]
fn what_may_have_been_recorded_is_answered_once_it_is_written_over() {
    for (mood, starts) in [(DiskMood::Lies, true), (DiskMood::Doubts, false)] {
        let mut rig = Rig::healthy();
        rig.mood = mood;
        assert_eq!(rig.start("v2"), None);
        // A store that knows of the next commit says nothing about the one before.
        rig.mood = DiskMood::Refuses;
        rig.pass(Duration::from_secs(6));
        rig.pass(Duration::ZERO);
        assert!(rig.replies.is_empty(), "{mood:?}: {:?}", rig.replies);
        let mut killed = Rig::on(rig.disk.clone(), rig.sets.clone(), rig.now);
        killed.all_healthy();
        killed.pass(Duration::from_secs(1));
        assert_eq!(killed.set().active().is_some(), starts, "{mood:?}");
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(6));
        assert!(rig.replies.len() == 1 && rig.replies.values().all(|answer| is_not_recorded(Some(answer))));
        let restarted = rig.restart();
        assert!(restarted.set().upgrade.is_none(), "{mood:?}: what was answered is so");
    }
}

#[test]
fn while_it_is_not_known_what_is_known_is_answered_at_once() {
    let mut rig = Rig::healthy();
    rig.mood = DiskMood::Lies;
    assert_eq!(rig.start("v2"), None);
    rig.mood = DiskMood::Refuses;
    assert!(is_not_recorded(rig.start("v2").as_ref()), "nothing of this one was made");
    let unknown = rig.ask(Command::Wish(name("stock"), Wish::Pause));
    assert!(matches!(unknown, Some(Err(Refusal::NoScaleSet { .. }))), "{unknown:?}");
    rig.mood = DiskMood::Takes;
    assert!(rig.start("v2").unwrap().is_ok(), "written over and started, in one commit");
    assert!(rig.replies.len() == 1 && rig.replies.values().all(|answer| is_not_recorded(Some(answer))));
}

#[test]
fn answers_that_wait_are_bounded() {
    let mut rig = Rig::healthy();
    rig.mood = DiskMood::Doubts;
    for _ in 0..HELD_MAX + 2 {
        assert_eq!(rig.start("v2"), None);
    }
    rig.mood = DiskMood::Takes;
    rig.pass(Duration::from_secs(6));
    let first = rig.replies.keys().next().copied();
    assert_eq!((rig.replies.len(), first), (HELD_MAX, Some(RequestId(3))), "the oldest are let go");
}

#[test]
fn a_start_that_cannot_be_recorded_never_was() {
    for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
        let mut rig = Rig::healthy();
        rig.mood = mood;
        let answer = rig.start("v2");
        if mood == DiskMood::Refuses {
            assert!(is_not_recorded(answer.as_ref()), "{answer:?}");
        } else {
            assert_eq!(answer, None, "{mood:?}: it may stand in the record");
        }
        assert!(rig.set().upgrade.is_none() && rig.effects.is_empty(), "{mood:?}");
        assert_eq!(rig.kernel.fleet().refusing.as_deref(), Some("the disk is full"));
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(6));
        assert!(rig.asked().is_empty(), "{mood:?}: nothing of it is done later");
        assert_eq!(
            recorded(&rig),
            (None, vec![Some(version("v1")); 3], 0),
            "{mood:?}: also when it was made"
        );
        // That it was made is known by the next turn, which is due at once.
        rig.pass(Duration::ZERO);
        assert!(rig.kernel.fleet().refusing.is_none());
        assert!(rig.start("v2").unwrap().is_ok(), "and it can be asked for again");
    }
}

#[test]
fn facts_stay_and_nothing_goes_out_until_the_record_takes_writes() {
    for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        rig.mood = mood;
        rig.done(asked, Ok(()));
        rig.judge(instance.as_str(), decision(0));
        rig.pass(Duration::from_secs(1));
        assert!(rig.effects.is_empty(), "{mood:?}: no probe is told of what is not recorded");
        assert!(rig.asked().is_empty(), "{mood:?}: the next batch waits");
        assert_eq!(rig.instance(instance.as_str()).runs, Runs::at(version("v2")), "a fact");
        assert_eq!(rig.instance(instance.as_str()).fold.health(), Health::Healthy, "decisions go on");
        rig.mood = DiskMood::Takes;
        rig.pass(Duration::from_secs(6));
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        let (upgrade, versions, _) = recorded(&rig);
        assert_eq!(upgrade.as_ref(), Some(rig.upgrade()), "{mood:?}: the record is the state");
        assert_eq!(versions.iter().flatten().filter(|seen| **seen == version("v2")).count(), 1);
        let next = rig.asked();
        assert_eq!(next.len(), 1, "{mood:?}: and it goes on, once");
        assert_ne!(next[0].instance.id, instance);
    }
}

#[test]
fn a_wish_is_undone_and_its_answer_says_so() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.mood = DiskMood::Lies;
    assert_eq!(rig.ask(Command::Wish(name("orders"), Wish::Pause)), None);
    assert!(!rig.upgrade().paused);
    let by = By { reason: Some("the network".to_owned()), ..By::host() };
    assert_eq!(rig.ask_as(by.clone(), Command::StopLine), None);
    rig.mood = DiskMood::Takes;
    rig.pass(Duration::from_secs(6));
    assert!(rig.replies.len() == 2 && rig.replies.values().all(|answer| is_not_recorded(Some(answer))));
    let stored = rig.disk.clone().open();
    assert!(stored.line.is_none() && !stored.upgrades[&name("orders")].paused, "the record says so, too");
    assert!(matches!(rig.ask_as(by, Command::StopLine), Some(Ok(Reply::Line(Some(_))))));
}

#[test]
fn a_request_is_worth_a_try_before_it_is_due() {
    let mut rig = Rig::healthy();
    rig.mood = DiskMood::Refuses;
    rig.start("v2");
    rig.mood = DiskMood::Takes;
    assert!(rig.start("v2").unwrap().is_ok(), "the disk has room again");
}

#[test]
fn while_it_refuses_the_next_try_is_all_that_is_due() {
    let mut rig = Rig::healthy();
    rig.mood = DiskMood::Refuses;
    rig.start("v2");
    let wake = rig.wake_at.unwrap();
    assert!(wake > rig.now.at && wake <= rig.now.at + WRITE_AGAIN.max, "{wake} at {}", rig.now.at);
}
