//! What the trail says of an instance that is let go: the word on which it was, and no earlier one.

use std::time::Duration;

use crate::domain::*;
use crate::kernel::testing::*;
use crate::record::audit::{Admission, What};

fn says(participation: Participation, code: &str) -> Decision {
    let reason = Some(Reason { code: code.to_owned(), detail: String::new() });
    Decision { participation, reason, ..decision(0) }
}

/// On which word an instance was let go, and which generation had said it when.
fn admission(rig: &Rig, instance: &str) -> (Admission, Generation, Timestamp) {
    let of = |entry: &&crate::record::audit::Entry| {
        entry.instance == Some(id(instance)) && matches!(entry.what, What::Admitted(_))
    };
    let entry = rig.disk.trail().filter(of).last().unwrap();
    let What::Admitted(admission) = &entry.what else { panic!("{entry}") };
    let stamp = entry.stamp.as_ref().unwrap();
    (admission.clone(), stamp.plugin.generation, stamp.judged_at)
}

/// Instance 1 says "not now" when the upgrade is planned, and something else when its turn comes.
fn after_a_defer(decisions: Decisions) -> (Rig, Timestamp) {
    let mut set = orders();
    set.spec.policy.decisions = decisions;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.judge("1", says(Participation::Defer, "backup"));
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    rig.pass(Duration::from_secs(1));
    rig.judge("0", decision(0));
    rig.pass(Duration::from_secs(1));
    for instance in ["0", "2"] {
        rig.judge(instance, decision(0));
    }
    let at = rig.now.at;
    rig.judge_by("1", 2, Ok(std::sync::Arc::new(says(Participation::Proceed, "backup-over"))));
    for _ in 0..4 {
        for asked in rig.asked() {
            let instance = asked.instance.id.clone();
            rig.done(asked, Ok(()));
            rig.judge(instance.as_str(), decision(0));
        }
        if rig.trail().iter().filter(|code| **code == "admitted").count() == 3 {
            break;
        }
        rig.pass(Duration::from_secs(1));
        for instance in ["0", "2"] {
            rig.judge(instance, decision(0));
        }
        rig.judge_by("1", 2, Ok(std::sync::Arc::new(says(Participation::Proceed, "backup-over"))));
    }
    (rig, at)
}

#[test]
fn the_word_that_let_an_instance_go_is_the_one_that_is_named() {
    for decisions in [Decisions::Snapshot, Decisions::Live] {
        let (rig, at) = after_a_defer(decisions);
        let (said, generation, judged_at) = admission(&rig, "1");
        assert_eq!(said.participation, Some(Participation::Proceed), "{decisions:?}");
        assert_eq!((said.detail.as_str(), generation), ("backup-over", Generation(2)), "{decisions:?}");
        assert!(judged_at >= at && said.answered_at.is_some_and(|heard| heard >= at), "{decisions:?}");
        assert_eq!((said.health, said.phase), (Health::Healthy, Phase::new(0)));
        let first = rig.trail().iter().position(|code| *code == "admitted").unwrap();
        assert_eq!(rig.trail()[first + 1], "apply", "before what follows from it");
    }
}

#[test]
fn of_a_forced_instance_both_words_are_told() {
    let mut rig = Rig::healthy();
    rig.judge("0", says(Participation::Skip, "in-backup"));
    rig.ask_as(
        By { actor: Actor::Operator("ann".to_owned()), reason: Some("now".to_owned()), request: None },
        crate::kernel::command::Command::Word(name("orders"), id("0"), WordKind::Force, None),
    );
    rig.start("v2");
    let (said, _, _) = admission(&rig, "0");
    assert_eq!(said.participation, Some(Participation::Skip), "that is what the plugin says");
    assert!(said.detail.contains("ann"), "and that is who overrode it: {}", said.detail);
}

#[test]
fn where_a_probe_was_missed_the_answer_before_it_is_named() {
    let mut set = orders();
    set.spec.health.number_of_probes = 3;
    let mut rig = Rig::new(vec![set]);
    for _ in 0..3 {
        rig.pass(Duration::from_secs(5));
        rig.all_healthy();
    }
    let answered = rig.now.at;
    rig.effects.clear();
    rig.pass(Duration::from_secs(5));
    let silent = Decision { claim: Claim::Unknown, ..says(Participation::Proceed, "timeout") };
    rig.judge("0", silent);
    let instance = rig.instance("0");
    let ground = rig.set().ground(instance, rig.now.at).unwrap();
    assert_eq!((ground.heard_at, ground.stands_in.as_deref()), (answered, Some("timeout")));
}
