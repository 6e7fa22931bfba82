//! What begins by itself when something else is wanted, and what does not.

use std::time::Duration;

use super::super::command::{Command, Reconfiguration};
use super::super::testing::*;
use super::super::{Reply, SetConfig};
use super::*;
use crate::domain::*;
use crate::rollout::Wish;

fn in_mode(mode: UpgradeMode) -> Rig {
    let mut set = orders();
    set.spec.mode = mode;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig
}

/// The file says this from now on.
fn reload(rig: &mut Rig, change: impl FnOnce(&mut ScaleSet)) {
    let file = rig.sets.first_mut().unwrap();
    change(&mut file.spec);
    let sets = vec![file.spec.clone()];
    let changed = [(name("orders"), vec!["model".to_owned()])].into();
    let change = Reconfiguration { sets, changed, ..Reconfiguration::default() };
    assert!(rig.ask(Command::Reconfigure(change)).unwrap().is_ok());
}

fn wants(rig: &mut Rig, to: &str) {
    reload(rig, |set| set.model.version = version(to));
}

/// The file is read, and nothing of it has changed.
fn read_again(rig: &mut Rig) {
    let answer = rig.ask(Command::Reconfigure(Reconfiguration::default()));
    assert!(matches!(answer, Some(Ok(Reply::Reconfigured(_)))));
}

fn goal(rig: &Rig) -> String {
    rig.set().upgrade.as_ref().map_or_else(|| "none".to_owned(), |upgrade| upgrade.goal.to_string())
}

#[test]
fn only_rolling_and_automatic_begin_by_themselves() {
    for (mode, begins) in
        [(UpgradeMode::Manual, "none"), (UpgradeMode::Rolling, "v2"), (UpgradeMode::Automatic, "v2")]
    {
        let mut rig = in_mode(mode);
        reload(&mut rig, |set| set.health.interval = Duration::from_secs(7));
        assert_eq!(goal(&rig), "none", "{mode:?}: nothing else is wanted");
        wants(&mut rig, "v2");
        assert_eq!(goal(&rig), begins, "{mode:?}");
        assert_eq!(rig.set().model.of(&Component::Application), Some(&version("v2")), "{mode:?}");
        let before = rig.set().upgrade.as_ref().map(|upgrade| upgrade.before.to_string());
        assert_eq!(before.as_deref().unwrap_or("v1"), "v1", "{mode:?}: what was wanted before it");
    }
}

#[test]
fn it_begins_after_a_restart_with_a_changed_file_and_once() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    rig.sets.iter_mut().for_each(|set| set.spec.model.version = version("v2"));
    let mut rig = rig.restart();
    rig.pass(Duration::ZERO);
    assert_eq!(goal(&rig), "v2");
    let id = rig.upgrade().id.clone();
    let line = rig.disk.trail().find(|line| line.what.code() == "start").unwrap();
    assert_eq!((line.by.actor.clone(), line.to_string().contains("v2")), (Actor::Host, true), "{line}");
    let mut rig = rig.restart();
    rig.pass(Duration::ZERO);
    assert_eq!(rig.upgrade().id, id);
}

#[test]
fn what_was_planned_begins_after_a_crash() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    rig.start("v2");
    wants(&mut rig, "v3");
    assert_eq!(goal(&rig), "v2", "one that runs is not ended for it");
    let mut rig = rig.restart();
    let in_hand = rig.asked();
    rig.all_healthy();
    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
    in_hand.into_iter().for_each(|asked| rig.done(asked, Err("it was ended")));
    for _ in 0..5 {
        for asked in rig.asked() {
            rig.done(asked, Ok(()));
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    assert_eq!(goal(&rig), "v3");
}

#[test]
fn what_a_door_said_last_stands_until_the_file_says_something_else() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    rig.start("v3");
    rig.run_to_the_end();
    let wanted = |rig: &Rig| rig.set().model.to_string();
    read_again(&mut rig);
    reload(&mut rig, |set| set.health.interval = Duration::from_secs(7));
    assert_eq!((goal(&rig), wanted(&rig)), ("v3".to_owned(), "v3".to_owned()));
    let differs = rig.set().file_differs();
    assert_eq!(differs.len(), 1);
    assert_eq!((differs[0].file.as_str(), differs[0].recorded.as_str()), ("v1", "v3"));
    let mut rig = rig.restart();
    rig.pass(Duration::ZERO);
    assert_eq!((goal(&rig), wanted(&rig)), ("v3".to_owned(), "v3".to_owned()), "also after a restart");
    rig.all_healthy();
    wants(&mut rig, "v2");
    assert_eq!((goal(&rig), rig.set().file_differs().len()), ("v2".to_owned(), 0));
}

#[test]
fn a_version_in_quarantine_is_not_started() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    let bad = Change { component: Component::Application, to: version("v2") };
    let write = Write::Quarantine(name("orders"), bad, Some("it faulted".to_owned()));
    rig.disk.apply(&crate::record::Commit {
        version: crate::record::Commit::VERSION,
        seq: 1_000,
        anchor: crate::record::Anchor::default(),
        writes: vec![write],
    });
    let mut rig = rig.restart();
    wants(&mut rig, "v2");
    assert_eq!((goal(&rig), rig.set().quarantined.len()), ("none".to_owned(), 1));
    assert!(rig.set().retry.is_none() && rig.last_line().contains("in quarantine"), "{}", rig.last_line());
    read_again(&mut rig);
    assert_eq!(goal(&rig), "none");
}

#[test]
fn reading_the_same_file_begins_again_what_was_stopped() {
    for (mode, begins) in [(UpgradeMode::Manual, false), (UpgradeMode::Rolling, true)] {
        let mut rig = in_mode(mode);
        rig.start("v2");
        rig.ask(Command::Wish(name("orders"), Wish::Cancel));
        for _ in 0..5 {
            for asked in rig.asked() {
                let instance = asked.instance.id.clone();
                rig.done(asked, Ok(()));
                rig.judge(instance.as_str(), decision(0));
            }
            rig.pass(Duration::from_secs(1));
            rig.everybody_answers();
        }
        let stopped = rig.upgrade().id.clone();
        assert!(rig.set().active().is_none(), "{:?}", rig.upgrade().stage);
        reload(&mut rig, |set| set.health.interval = Duration::from_secs(7));
        assert_eq!(rig.upgrade().id, stopped, "that was another change");
        read_again(&mut rig);
        assert_eq!(rig.upgrade().id != stopped, begins, "{mode:?}");
    }
}

#[test]
fn a_person_who_starts_something_has_said_it_last() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    rig.start("v2");
    wants(&mut rig, "v3");
    assert!(rig.set().retry.is_some());
    rig.ask(Command::Wish(name("orders"), Wish::RollBack));
    assert!(rig.set().retry.is_none(), "a person takes back");
}

#[test]
fn automatic_goes_to_all_at_once() {
    let mut rig = in_mode(UpgradeMode::Automatic);
    wants(&mut rig, "v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    for question in rig.questions() {
        rig.sees(question, Seen::Version(version("v1")));
    }
    rig.everybody_answers();
    let asked = rig.asked();
    assert_eq!(asked.len(), 3);
    for one in asked {
        rig.done(one, Err("disk is full"));
    }
    for _ in 0..5 {
        for one in rig.asked() {
            rig.done(one, Ok(()));
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    assert_eq!((rig.upgrade().state.name(), rig.set().quarantined.len()), ("Faulted", 1), "it works nowhere");
    let SetConfig { spec, .. } = orders();
    assert_eq!(rig.set().spec.policy, spec.policy, "what a person starts goes by the file's limits");
}

#[test]
fn a_model_that_goes_back_and_forth_ends_where_it_ends() {
    let mut rig = in_mode(UpgradeMode::Rolling);
    for to in ["v2", "v1", "v2", "v1", "v3"] {
        wants(&mut rig, to);
    }
    assert_eq!(goal(&rig), "v2", "the first one runs");
    rig.run_to_the_end_of_all();
    assert_eq!(goal(&rig), "v3");
    assert_eq!(rig.disk.upgrades().count(), 2);
}
