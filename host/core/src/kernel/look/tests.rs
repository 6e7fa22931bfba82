//! What a batch is admitted on, from the start of an upgrade to its last batch.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::*;
use crate::kernel::Effect;
use crate::kernel::effect::Ask;
use crate::kernel::testing::*;
use crate::rollout::UpgradeState;

/// Who was asked out of turn; taken.
fn asked_out_of_turn(rig: &mut Rig) -> Vec<String> {
    let (asks, others): (Vec<Effect>, Vec<Effect>) =
        std::mem::take(&mut rig.effects).into_iter().partition(|effect| matches!(effect, Effect::Ask(_)));
    rig.effects = others;
    let ids = asks.into_iter().flat_map(|effect| match effect {
        Effect::Ask(Ask { instances, .. }) => instances,
        _ => Vec::new(),
    });
    ids.map(|id| id.to_string()).collect()
}

/// The first batch has ended well, and nobody was asked since.
fn after_the_first_batch(set: crate::kernel::SetConfig) -> Rig {
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    assert_eq!(asked.instance.id, id("0"));
    rig.done(asked, Ok(()));
    rig.pass(Duration::from_secs(1));
    rig.judge("0", decision(0));
    assert_eq!(rig.upgrade().progress().successful, 1);
    rig
}

fn live() -> crate::kernel::SetConfig {
    let mut set = orders();
    set.spec.policy.decisions = Decisions::Live;
    set
}

fn says(participation: Participation) -> Decision {
    Decision { participation, ..decision(0) }
}

#[test]
fn a_batch_waits_for_everybody_and_only_two_batches_are_asked_out_of_turn() {
    let mut rig = after_the_first_batch(orders());
    assert_eq!(asked_out_of_turn(&mut rig), ["0", "1"], "the batch that ended, and the next one");
    assert_eq!(rig.asked(), []);
    // A probe that had begun before says nothing.
    rig.pass(Duration::from_millis(500));
    rig.judge("1", decision(0));
    rig.judge("2", decision(0));
    assert_eq!(rig.asked(), [], "the one that was upgraded may be down by now");
    rig.judge("0", decision(0));
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn a_version_that_answers_well_once_goes_no_further() {
    let mut rig = after_the_first_batch(orders());
    rig.pass(Duration::from_millis(100));
    for instance in ["1", "2"] {
        rig.judge(instance, decision(0));
    }
    rig.judge("0", claims(Claim::Unhealthy));
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
    assert_eq!(rig.asked(), [], "the limit of 34 % of what was upgraded is passed");
}

#[test]
fn live_who_says_skip_or_has_become_the_leader_is_heard_in_time() {
    let mut rig = after_the_first_batch(live());
    rig.pass(Duration::from_millis(100));
    rig.judge("0", decision(0));
    rig.judge("1", says(Participation::Skip));
    assert_eq!(rig.asked(), [], "not everybody has been asked");
    rig.judge("2", decision(0));
    let asked: Vec<InstanceId> = rig.asked().into_iter().map(|asked| asked.instance.id).collect();
    assert_eq!(asked, [id("2")]);

    let mut rig = after_the_first_batch(live());
    rig.pass(Duration::from_millis(100));
    rig.judge("0", decision(0));
    rig.judge("1", decision(1));
    rig.judge("2", decision(0));
    let asked: Vec<InstanceId> = rig.asked().into_iter().map(|asked| asked.instance.id).collect();
    assert_eq!(asked, [id("2")], "the leader is the last one");
}

#[test]
fn a_missed_answer_is_asked_again_twice_and_costs_the_batch_not_the_upgrade() {
    let mut set = orders();
    set.spec.health.number_of_probes = 3;
    set.spec.health.grace_period = Duration::from_secs(60);
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(70);
    let mut rig = Rig::new(vec![set]);
    for _ in 0..3 {
        rig.pass(Duration::from_secs(5));
        rig.all_healthy();
    }
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    for _ in 0..3 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    rig.pass(Duration::from_millis(10));
    rig.judge("0", decision(0));
    rig.judge("2", decision(0));
    asked_out_of_turn(&mut rig);
    for again in 1..=2 {
        rig.judge("1", claims(Claim::Unknown));
        assert_eq!(asked_out_of_turn(&mut rig), ["1"], "once more, time {again}");
        assert_eq!(rig.asked(), []);
    }
    rig.judge("1", claims(Claim::Unknown));
    assert_eq!(asked_out_of_turn(&mut rig), Vec::<String>::new());
    assert_eq!(rig.instance("1").fold.health(), Health::Healthy, "no three probes of the health");
    let next = rig.asked().remove(0);
    assert_eq!(next.instance.id, id("2"), "it is no candidate of this batch");
    assert!(rig.upgrade().members.get(&id("1")).is_some(), "and not left out");
    rig.done(next, Ok(()));
    for _ in 0..4 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    assert_eq!(rig.asked().remove(0).instance.id, id("1"), "it has its turn when it answers");
}

/// Three instances, the first of which has been upgraded; another one answers no more.
fn one_says_less(heard: Heard, result: crate::domain::Verdict) -> Rig {
    let mut set = orders();
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(70);
    let mut rig = after_the_first_batch(set);
    rig.pass(Duration::from_millis(100));
    rig.judge("0", decision(0));
    rig.judge("2", decision(0));
    for _ in 0..3 {
        let epoch = rig.instance("1").epoch;
        rig.judge_heard("1", (epoch, 1), heard, result.clone());
    }
    rig
}

#[test]
fn an_answer_without_a_word_of_the_application_permits_nothing() {
    let unknown = || Ok(Arc::new(claims(Claim::Unknown)));
    let trapped = Err(PluginFailure::Trapped("unreachable".to_owned()));
    for (heard, result) in [(Heard::Answer, unknown()), (Heard::Silence, unknown()), (Heard::Answer, trapped)]
    {
        let mut rig = one_says_less(heard, result.clone());
        let next: Vec<InstanceId> = rig.asked().into_iter().map(|asked| asked.instance.id).collect();
        assert_eq!(next, [id("2")], "{heard:?} {result:?}");
        assert!(rig.upgrade().members.get(&id("1")).is_some(), "it has its turn at the end of the phase");
    }
}

/// A set with one probe to a verdict, in which an upgrade waits for instance 2, which is silent.
fn one_is_silent_at_the_start() -> Rig {
    let mut set = orders();
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(100);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.pass(Duration::from_millis(100));
    rig.start("v2");
    rig.pass(Duration::from_millis(100));
    rig.judge("0", decision(0));
    rig.judge("1", decision(0));
    rig
}

#[test]
fn one_that_was_well_is_asked_three_times_before_it_is_planned_without() {
    let mut rig = one_is_silent_at_the_start();
    for _ in 0..2 {
        assert!(rig.upgrade().digest.is_none(), "it was asked too seldom");
        asked_out_of_turn(&mut rig);
        rig.judge("2", claims(Claim::Unknown));
        assert_eq!(asked_out_of_turn(&mut rig), ["2"], "whatever one missed probe does to its health");
        rig.pass(Duration::from_millis(700));
    }
    rig.judge("2", decision(0));
    assert!(rig.upgrade().holds.is_empty() && rig.upgrade().members.len() == 3);
}

#[test]
fn who_was_silent_at_the_plan_and_answers_later_has_its_turn_and_its_say() {
    for (says, wanted) in [(Participation::Proceed, 3), (Participation::Skip, 2)] {
        let mut rig = one_is_silent_at_the_start();
        for _ in 0..3 {
            rig.judge("2", claims(Claim::Unknown));
            rig.pass(Duration::from_millis(700));
        }
        assert_eq!(rig.upgrade().members.len(), 2);
        assert!(rig.upgrade().unheard.contains(&id("2")));
        let first = rig.asked().remove(0);
        rig.judge("2", Decision { participation: says, ..decision(0) });
        rig.done(first, Ok(()));
        for _ in 0..20 {
            rig.pass(Duration::from_secs(1));
            for instance in ["0", "1"] {
                if rig.instance(instance).busy.is_empty() {
                    rig.judge(instance, decision(0));
                }
            }
            if rig.instance("2").busy.is_empty() {
                rig.judge("2", Decision { participation: says, ..decision(0) });
            }
            for asked in rig.asked() {
                rig.done(asked, Ok(()));
            }
        }
        assert_eq!(rig.upgrade().state, UpgradeState::Completed);
        assert_eq!(rig.upgrade().progress().successful, wanted, "{says:?}");
        let code = rig.upgrade().holds.iter().map(|hold| hold.reason.code()).collect::<Vec<_>>();
        assert_eq!(code, if says == Participation::Skip { vec!["skip"] } else { vec![] });
        assert!(rig.upgrade().unheard.is_empty());
    }
}

#[test]
fn who_never_answers_is_left_out_in_the_end() {
    let mut set = orders();
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(100);
    let mut rig = after_the_first_batch(set);
    for _ in 0..40 {
        rig.pass(Duration::from_secs(5));
        for instance in ["0", "2"] {
            if rig.instance(instance).busy.is_empty() {
                rig.judge(instance, decision(0));
            }
        }
        rig.judge("1", claims(Claim::Unknown));
        for asked in rig.asked() {
            assert_ne!(asked.instance.id, id("1"));
            rig.done(asked, Ok(()));
        }
        if !rig.upgrade().is_active() {
            break;
        }
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    let holds: Vec<String> =
        rig.upgrade().holds.iter().map(|hold| format!("{}: {}", hold.instance, hold.reason)).collect();
    assert_eq!(holds.len(), 1);
    assert!(
        holds[0].starts_with("1: ")
            && holds[0].contains("gave no answer that says how it is, neither when its turn came"),
        "{holds:?}"
    );
}

#[test]
fn nobody_is_waited_for_longer_than_an_interval_and_the_time_limits() {
    let mut rig = after_the_first_batch(orders());
    rig.pass(Duration::from_millis(100));
    rig.judge("0", decision(0));
    rig.judge("1", decision(0));
    // No round of the third comes at all: interval, three time limits, and two seconds.
    rig.pass(Duration::from_millis(21_800));
    assert_eq!(rig.asked(), []);
    rig.pass(Duration::from_millis(200));
    let next = rig.asked().remove(0);
    assert_eq!(next.instance.id, id("1"), "one of three is silent, and 34 % may be down");
}

#[test]
fn a_worse_answer_holds_what_goes_forward_before_it_is_committed() {
    let mut set = orders();
    set.spec.health.number_of_probes = 2;
    let mut rig = Rig::new(vec![set]);
    for _ in 0..2 {
        rig.pass(Duration::from_secs(5));
        rig.all_healthy();
    }
    rig.effects.clear();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    rig.done(asked, Ok(()));
    for _ in 0..2 {
        rig.pass(Duration::from_secs(5));
        rig.everybody_answers();
    }
    assert_eq!(rig.upgrade().progress().successful, 1);
    rig.pass(Duration::from_secs(1));
    rig.judge("1", decision(0));
    rig.judge("2", decision(0));
    rig.judge("0", claims(Claim::Unhealthy));
    assert_eq!(rig.instance("0").fold.health(), Health::Healthy, "two probes change it");
    assert_eq!(rig.asked(), [], "one of one that was upgraded is ill");
    assert!(rig.upgrade().is_active(), "and may get well");
    rig.pass(Duration::from_secs(5));
    rig.judge("0", decision(0));
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn a_start_and_a_restart_wait_for_answers_of_their_own() {
    let mut rig = Rig::healthy();
    rig.pass(Duration::from_secs(4));
    rig.start("v2");
    assert_eq!(rig.upgrade().digest, None, "everything is four seconds old");
    rig.everybody_answers();
    assert_eq!(rig.asked().len(), 1);

    let rig = after_the_first_batch(orders());
    let mut rig = rig.restart();
    rig.effects.clear();
    rig.pass(Duration::from_secs(1));
    rig.judge("1", decision(0));
    rig.judge("2", decision(0));
    assert_eq!(rig.asked(), []);
    rig.judge("0", decision(0));
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn what_goes_back_and_who_was_named_waits_for_nobody() {
    let mut rig = after_the_first_batch(orders());
    asked_out_of_turn(&mut rig);
    rig.ask(crate::kernel::Command::Wish(name("orders"), crate::rollout::Wish::RollBack));
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.asked().len(), 1, "at once");
}
