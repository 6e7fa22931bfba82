//! How upgrades start, and what speaks against it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::testing::*;
use super::super::{Command, Reply};
use super::*;
use crate::domain::*;
use crate::kernel::SetConfig;
use crate::rollout::{Waiting, Wish, waiting_now};

fn refused(rig: &mut Rig, options: StartOptions) -> String {
    rig.ask(Command::Start(name("orders"), options)).unwrap().unwrap_err().to_string()
}

#[test]
fn one_at_a_time() {
    let mut rig = Rig::healthy();
    let id = UpgradeId::parse("orders-1").unwrap();
    assert_eq!(rig.start("v2"), Some(Ok(Reply::Upgrade { scale_set: name("orders"), id })));
    assert_eq!(
        refused(&mut rig, to_version("v3")),
        "upgrade `orders-1` of scale set `orders` to v2 is still running; wait for it or cancel it first"
    );
}

#[test]
fn ids_go_by_sequence_also_when_the_clock_stands() {
    let mut rig = Rig::healthy();
    for number in 1..=3_u64 {
        rig.start(&format!("v{}", number + 1));
        rig.run_to_the_end();
        assert_eq!(
            (rig.upgrade().number, rig.upgrade().id.to_string()),
            (number, format!("orders-{number}"))
        );
        rig = rig.restart();
        rig.effects.retain(|effect| matches!(effect, super::super::Effect::Observe(_)));
        for instance in ["0", "1", "2"] {
            rig.judge(instance, decision(0));
        }
    }
}

#[test]
fn exactly_the_plan_that_was_shown_or_nothing() {
    let mut rig = Rig::healthy();
    let goal = Goal::application(version("v2"));
    let shown = plan_now(rig.set(), &goal, Extent::Missing, Urgency::Routine, rig.now).digest;
    let options = StartOptions { plan: Some(shown), ..to_version("v2") };
    rig.judge("1", Decision { participation: Participation::Skip, ..decision(0) });
    assert!(refused(&mut rig, options.clone()).contains("nothing was started"));
    assert!(rig.set().upgrade.is_none() && rig.trail().is_empty());
    rig.judge("1", decision(0));
    rig.pass(Duration::from_secs(1));
    assert!(rig.ask(Command::Start(name("orders"), options)).unwrap().is_ok());
    assert_eq!((rig.upgrade().digest, rig.asked().len()), (None, 0), "everybody is asked first");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    assert_eq!((rig.upgrade().digest, rig.asked().len()), (Some(shown), 1));
}

#[test]
fn a_plan_that_is_another_one_once_everybody_was_asked_starts_nothing() {
    let mut rig = Rig::healthy();
    let goal = Goal::application(version("v2"));
    let shown = plan_now(rig.set(), &goal, Extent::Missing, Urgency::Routine, rig.now).digest;
    let options = StartOptions { plan: Some(shown), ..to_version("v2") };
    rig.pass(Duration::from_secs(1));
    assert!(rig.ask(Command::Start(name("orders"), options)).unwrap().is_ok());
    rig.pass(Duration::from_secs(1));
    rig.judge("1", Decision { participation: Participation::Skip, ..decision(0) });
    rig.judge("0", decision(0));
    rig.judge("2", decision(0));
    let ended = rig.upgrade();
    let code = ended.error.as_ref().map(|error| error.code.name());
    assert_eq!((ended.state.name(), code), ("Faulted", Some("PlanChangedBeforeRollingUpgrade")));
    assert!(rig.asked().is_empty() && rig.set().quarantined.is_empty());
}

#[test]
fn who_is_named_by_hand_is_looked_at_before() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    rig.effects.clear();
    let named = Selection::These(vec![id("1")]);
    rig.ask(Command::Start(name("orders"), StartOptions { manual: Some(named), ..to_version("v2") }));
    let mut questions = rig.questions();
    assert_eq!(questions.len(), 1, "only the one that was named");
    assert!(rig.asked().is_empty());
    rig.sees(questions.remove(0), Seen::Version(version("v1")));
    assert_eq!(rig.asked().len(), 1, "somebody has put it back");
}

#[test]
fn a_rule_that_changed_since_makes_another_plan() {
    let mut rig = Rig::healthy();
    let goal = Goal::application(version("v2"));
    let shown = plan_now(rig.set(), &goal, Extent::Missing, Urgency::Routine, rig.now).digest;
    let mut spec = (*rig.set().spec).clone();
    spec.policy.gate.deadline += std::time::Duration::from_secs(1);
    let change = super::super::command::Reconfiguration { sets: vec![spec], ..Default::default() };
    rig.ask(Command::Reconfigure(change));
    let options = StartOptions { plan: Some(shown), ..to_version("v2") };
    assert!(refused(&mut rig, options).contains("nothing was started"));
}

#[test]
fn a_version_that_faulted_is_not_tried_again_by_itself() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    for _ in 0..4 {
        for asked in rig.asked() {
            let failed = asked.version == version("v2");
            rig.done(asked, if failed { Err("exit code 3") } else { Ok(()) });
        }
        rig.pass(std::time::Duration::from_secs(130));
    }
    assert_eq!(rig.upgrade().state, crate::rollout::UpgradeState::Faulted);
    assert!(refused(&mut rig, to_version("v2")).contains("is in quarantine"));
    let mut rig = rig.restart();
    assert!(refused(&mut rig, to_version("v2")).contains("is in quarantine"), "also after a restart");
    let forced = StartOptions { quarantined: Quarantined::Allow, ..to_version("v2") };
    assert!(rig.ask(Command::Start(name("orders"), forced)).unwrap().is_ok());
    assert!(rig.disk.stored().quarantined.is_empty());
}

#[test]
fn named_instances() {
    let manual = |ids: &[&str]| StartOptions {
        manual: Some(Selection::These(ids.iter().map(|text| id(text)).collect())),
        ..to_version("v2")
    };
    let mut rig = Rig::healthy();
    assert_eq!(refused(&mut rig, manual(&[])), "no instance is named; name them, or `*` for all");
    assert_eq!(
        refused(&mut rig, manual(&["1", "7"])),
        "scale set `orders` has no instance 7; it has: 0, 1, 2"
    );
    assert!(rig.ask(Command::Start(name("orders"), manual(&["1"]))).unwrap().is_ok());
    assert_eq!(rig.asked().iter().map(|asked| asked.instance.id.clone()).collect::<Vec<_>>(), [id("1")]);
}

#[test]
fn extensions_are_those_of_the_model() {
    let mut rig = Rig::healthy();
    let agent = ExtensionName::parse("agent").unwrap();
    let mut options = StartOptions::default();
    options.wanted.extensions = vec![(agent, None)];
    assert_eq!(
        refused(&mut rig, options),
        "scale set `orders` has no extension `agent`; extensions of its model: none"
    );
}

#[test]
fn max_surge_needs_a_driver_that_creates() {
    let mut set = orders();
    set.spec.policy.rolling.max_surge = true;
    let mut rig = Rig::new(vec![set]);
    assert!(refused(&mut rig, to_version("v2")).contains("its driver cannot create"));
}

#[test]
fn a_clock_that_is_set_back_changes_no_order_and_uses_no_id_again() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    let set_back = |mut rig: Rig| {
        let (wall, at) = (rig.now.wall.date().0 - 86_400_000, rig.now.at.0 - 900_000);
        rig.now = Now { wall: WallTime(wall), at: Timestamp(at) };
        rig.restart()
    };
    let mut rig = set_back(rig);
    rig.all_healthy();
    assert_eq!(rig.upgrade().id.as_str(), "orders-1");
    rig.start("v3");
    assert_eq!(rig.upgrade().id.as_str(), "orders-2");
    let operation = rig.asked().remove(0).operation;
    let mut rig = set_back(rig);
    assert_eq!(rig.upgrade().id.as_str(), "orders-2", "what is in flight is not lost");
    let asked = rig.asked().remove(0);
    assert_eq!(asked.operation, operation);
    rig.ask(Command::Wish(name("orders"), crate::rollout::Wish::Cancel));
    let instance = asked.instance.id.clone();
    rig.done(asked, Ok(()));
    rig.all_healthy();
    rig.judge(instance.as_str(), decision(0));
    rig.run_to_the_end();
    let mut rig = set_back(rig);
    rig.all_healthy();
    rig.start("v4");
    assert_eq!((rig.upgrade().id.as_str(), rig.upgrade().number), ("orders-3", 3));
    let seqs: Vec<u64> = rig.disk.trail().map(|entry| entry.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
}

#[test]
fn what_is_there_already_is_done_again_when_a_person_wants_it() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    let again = StartOptions { extent: Extent::Everything, ..to_version("v2") };
    assert!(rig.ask(Command::Start(name("orders"), again)).unwrap().is_ok());
    rig.run_to_the_end();
    assert_eq!((rig.upgrade().members.len(), rig.upgrade().already), (3, 0));
    let parts = rig.upgrade().members.values().flat_map(|member| &member.parts);
    let mut parts = parts;
    assert!(parts.all(|part| part.target == version("v2") && part.way_back().is_none()));
}

#[test]
fn a_repair_brings_each_instance_what_it_has() {
    let mut rig = Rig::healthy();
    let asked = rig.questions();
    assert!(asked.is_empty());
    let one = StartOptions { manual: Some(Selection::These(vec![id("1")])), ..to_version("v2") };
    assert!(rig.ask(Command::Start(name("orders"), one)).unwrap().is_ok());
    rig.run_to_the_end();
    let repair = StartOptions { extent: Extent::Repair, ..StartOptions::default() };
    assert!(rig.ask(Command::Start(name("orders"), repair)).unwrap().is_ok());
    let (mut brought, ids) = (Vec::new(), ["0", "1", "2"]);
    for _ in 0..20 {
        for asked in rig.questions() {
            let recorded = asked.expected.clone().unwrap();
            rig.sees(asked, crate::domain::Seen::Version(recorded));
        }
        for asked in rig.asked() {
            let instance = asked.instance.id.clone();
            brought.push(format!("{instance} {}", asked.version));
            rig.done(asked, Ok(()));
            rig.judge(instance.as_str(), decision(0));
        }
        rig.pass(std::time::Duration::from_secs(1));
        // A batch is admitted on answers that began after the one before it.
        ids.iter().for_each(|one| rig.judge(one, decision(0)));
        rig.turn(Vec::new());
    }
    assert_eq!(brought, ["0 v1", "1 v2", "2 v1"]);
    assert_eq!(rig.set().model, Goal::application(version("v1")), "what is wanted stays as it was");
    assert!(rig.disk.stored().quarantined.is_empty());
}

/// `orders` with things that an urgent upgrade does not wait for.
fn patient() -> SetConfig {
    let mut set = orders();
    let bake = Bake { duration: Duration::from_secs(400), probes: 1, on_failure: OnBakeFailure::Stop };
    set.spec.policy.bake = Some(bake);
    set.spec.policy.rolling.pause_time_between_batches = Duration::from_secs(40);
    set
}

fn urgent(urgency: Urgency) -> StartOptions {
    let options = to_version("v2");
    StartOptions { wanted: Wanted { urgency, ..options.wanted.clone() }, ..options }
}

#[test]
fn an_urgent_upgrade_waits_less_and_so_does_what_follows_it() {
    let mut rig = Rig::new(vec![patient()]);
    rig.all_healthy();
    let goal = wanted(rig.set(), &to_version("v2").wanted).unwrap();
    let digest = |urgency| plan_now(rig.set(), &goal, Extent::Missing, urgency, rig.now).digest;
    let all: BTreeSet<Digest> = Urgency::ALL.into_iter().map(digest).collect();
    assert_eq!(all.len(), 3, "the digest tells them apart");
    let shown = digest(Urgency::Security);
    let routine = StartOptions { plan: Some(shown), ..to_version("v2") };
    assert!(matches!(
        rig.ask(Command::Start(name("orders"), routine)),
        Some(Err(Refusal::PlanChanged { .. }))
    ));

    rig.ask(Command::Start(name("orders"), StartOptions { plan: Some(shown), ..urgent(Urgency::Security) }));
    let policy = rig.upgrade().policy.clone();
    assert_eq!(policy, rig.set().spec.policy.clone().at(Urgency::Security));
    assert_eq!(policy.rolling.pause_time_between_batches, Duration::from_secs(10));

    rig.ask(Command::Wish(name("orders"), Wish::Cancel));
    rig.pass(Duration::from_secs(1));
    rig.run_to_the_end();
    rig.ask(Command::Wish(name("orders"), Wish::Retry));
    assert_eq!(rig.upgrade().policy, policy, "what is tried again is as urgent");
}

#[test]
fn what_is_refused_uses_up_no_id() {
    let mut rig = Rig::healthy();
    let past = StartOptions { not_before: Some(rig.now.wall.date()), ..to_version("v2") };
    assert!(refused(&mut rig, past).contains("past"));
    rig.start("v2");
    assert_eq!(rig.upgrade().id.to_string(), "orders-1");
}

#[test]
fn a_rollback_that_is_tried_again_still_takes_back_what_it_took_back() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.run_to_the_end();
    let wish = |rig: &mut Rig, wish| rig.ask(Command::Wish(name("orders"), wish)).unwrap().unwrap();
    wish(&mut rig, Wish::RollBack);
    wish(&mut rig, Wish::Cancel);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    rig.run_to_the_end();
    assert_eq!(rig.upgrade().state, crate::rollout::UpgradeState::Cancelled);
    wish(&mut rig, Wish::Retry);
    let begun: Vec<String> =
        rig.disk.trail().filter(|entry| entry.what.code() == "start").map(ToString::to_string).collect();
    let back = "takes `orders-1` (to v2) back to what each instance had before";
    assert_eq!(begun, ["upgrade to v2 was asked for", back, back]);
}

/// The site says that nothing runs anywhere, and nobody answers until that is known.
fn nothing_runs(rig: &mut Rig) {
    for asked in rig.questions() {
        rig.sees(asked, Seen::Nothing);
    }
    for _ in 0..10 {
        for instance in ["0", "1", "2"] {
            rig.judge(instance, claims(Claim::Unknown));
        }
        rig.pass(Duration::from_secs(1));
    }
}

/// Goes on until the upgrade has ended: who has been deployed is healthy, nobody else answers. Gives who was deployed.
fn deployed(rig: &mut Rig) -> Vec<String> {
    deployed_where(rig, |_, _| Seen::Nothing)
}

/// The same, where a look finds this on an instance, given who was deployed before.
fn deployed_where(rig: &mut Rig, finds: impl Fn(&str, &[String]) -> Seen) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for _ in 0..200 {
        for asked in rig.questions() {
            let id = asked.instance.id.to_string();
            let is_there = order.contains(&id);
            rig.sees(asked, if is_there { Seen::Version(version("v2")) } else { finds(&id, &order) });
        }
        for asked in rig.asked() {
            order.push(asked.instance.id.to_string());
            rig.done(asked, Ok(()));
        }
        for instance in ["0", "1", "2"] {
            let is_there = order.iter().any(|id| id == instance);
            if rig.instance(instance).busy.is_empty() {
                rig.judge(instance, if is_there { decision(0) } else { claims(Claim::Unknown) });
            }
        }
        rig.pass(Duration::from_secs(1));
        if rig.set().upgrade.is_some() && rig.set().active().is_none() {
            break;
        }
    }
    order
}

#[test]
fn where_nothing_runs_it_is_deployed_by_the_plan_although_nobody_can_answer() {
    let mut rig = Rig::new(vec![orders()]);
    nothing_runs(&mut rig);
    rig.start("v2");
    assert_eq!(deployed(&mut rig), ["0", "1", "2"], "one batch after the other: {:?}", rig.upgrade());
    assert_eq!(rig.upgrade().state, crate::rollout::UpgradeState::Completed);
}

#[test]
fn whoever_is_to_be_deployed_is_looked_at_again_when_its_turn_has_come() {
    for late in [Seen::Version(version("v1")), Seen::Unknown] {
        let mut rig = Rig::new(vec![orders()]);
        nothing_runs(&mut rig);
        rig.start("v2");
        let begun_by_hand = |id: &str, order: &[String]| match (id, order.is_empty()) {
            ("1", false) => late.clone(),
            (_, _) => Seen::Nothing,
        };
        let order = deployed_where(&mut rig, begun_by_hand);
        assert_eq!(order, ["0", "2"], "of the other nobody knows how it is: {late:?}");
        let held: Vec<String> = rig.upgrade().holds.iter().map(|hold| hold.instance.to_string()).collect();
        assert_eq!(held, ["1"], "{late:?}");
    }
}

#[test]
fn a_batch_waits_for_the_look_at_whom_it_would_deploy_and_says_so() {
    let mut rig = Rig::new(vec![orders()]);
    nothing_runs(&mut rig);
    rig.start("v2");
    for _ in 0..3 {
        rig.pass(Duration::from_secs(5));
        for instance in ["0", "1", "2"] {
            rig.judge(instance, claims(Claim::Unknown));
        }
    }
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.asked(), [], "nobody has looked since it was asked for");
    let waits = waiting_now(rig.upgrade(), &rig.set().view(rig.now), rig.now.at);
    assert_eq!(waits, Some(Waiting::Look));
    let mut looks = rig.questions();
    assert_eq!(looks.len(), 1, "only at the next one, and once");
    rig.sees(looks.remove(0), Seen::Nothing);
    let asked: Vec<String> = rig.asked().iter().map(|asked| asked.instance.id.to_string()).collect();
    assert_eq!(asked, ["0"]);
}

#[test]
fn what_an_instance_said_before_nothing_ran_there_stands() {
    let mut rig = Rig::healthy();
    rig.judge("1", Decision { participation: Participation::Skip, ..decision(0) });
    rig.pass(Duration::from_secs(1));
    nothing_runs(&mut rig);
    rig.start("v2");
    assert!(!deployed(&mut rig).contains(&"1".to_owned()), "it said skip");
}
