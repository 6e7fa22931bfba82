//! Hooks from end to end: in which order they are run, what follows when they fail, and what a crash and a person do.

use std::time::Duration;

use super::effect::{HookCall, HookRound};
use super::event::{HookSays, Hooked};
use super::report::{self, DriverGoes, WaitsFor};
use super::testing::{DiskMood, Rig, decision, name, orders};
use super::{Command, Effect, Event};
use crate::domain::{
    Decision, Decisions, DriverPace, DriverWord, HookKind, OnBreach, OnInstanceFailure, OperationId,
    Participation, Percent,
};
use crate::record::audit::Wait;
use crate::rollout::{Member, UpgradeState, Wish};

mod ended;
mod unlisted;

const FAILS: Result<(), &str> = Err("exit code 1");

/// A healthy fleet with these hooks, in which any number may fail.
fn rig(hooks: &[HookKind]) -> Rig {
    let mut set = orders();
    set.spec.policy.hooks = hooks.iter().copied().collect();
    set.spec.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(100);
    set.spec.policy.failure.instance = OnInstanceFailure::Restore;
    set.spec.policy.failure.breach = OnBreach::Stop;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig
}

/// What went out to drivers and hooks, as the lines of a log.
fn taken(rig: &mut Rig) -> Vec<(String, Effect)> {
    let all = std::mem::take(&mut rig.effects);
    let line = |effect: &Effect| match effect {
        Effect::Hook(call) => Some(shown(call)),
        Effect::Ensure(asked) => Some(format!("{}={}", asked.instance.id, asked.version)),
        Effect::End(_, operation) => Some(format!("end {}", operation.0)),
        _ => None,
    };
    let kept = all.into_iter().filter_map(|effect| Some((line(&effect)?, effect)));
    kept.collect()
}

fn shown(call: &HookCall) -> String {
    let way = call.direction.name();
    match &call.round {
        HookRound::Batch { number, .. } => format!("{} {number} {way}", call.hook),
        HookRound::Instance { instance, version, .. } => {
            let version = version.as_ref().map_or("-", |version| version.as_str());
            format!("{} {} {version} {way}", call.hook, instance.id)
        }
    }
}

fn over(rig: &mut Rig, call: &HookCall, answer: Result<(), &str>) {
    rig.turn(vec![Event::Hooked(Hooked {
        scale_set: call.scale_set.clone(),
        hook: call.hook,
        instance: call.instance().cloned(),
        operation: call.operation.clone(),
        answer: answer.map_err(str::to_owned),
    })]);
}

/// Goes on until the upgrade has ended; hooks and drivers answer as `answer` says of their line.
fn walk(rig: &mut Rig, answer: impl Fn(&str) -> Result<(), &'static str>) -> Vec<String> {
    let mut log = Vec::new();
    for _ in 0..60 {
        for (line, effect) in taken(rig) {
            match effect {
                Effect::Hook(call) => over(rig, &call, answer(&line)),
                Effect::Ensure(asked) => {
                    let instance = asked.instance.id.clone();
                    rig.done(*asked, answer(&line));
                    rig.judge(instance.as_str(), decision(0));
                }
                _ => {}
            }
            log.push(line);
        }
        if rig.set().active().is_none() {
            return log;
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    panic!("no end after {log:?}: {:?}", rig.upgrade());
}

/// A rig with these hooks in which an upgrade has come to its first one, and that one.
fn at_the_first(hooks: &[HookKind]) -> (Rig, String, HookCall) {
    let mut rig = rig(hooks);
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let (line, Effect::Hook(call)) = taken(&mut rig).remove(0) else { panic!("a hook comes first") };
    (rig, line, *call)
}

fn failure(rig: &Rig, instance: &str) -> Option<String> {
    rig.upgrade().members.get(&super::testing::id(instance)).and_then(Member::failure)
}

#[test]
fn hooks_are_run_in_their_order_round_each_batch_and_each_instance() {
    let mut rig = rig(&HookKind::ALL);
    rig.start("v2");
    let log = walk(&mut rig, |_| Ok(()));
    let expected: Vec<String> = ["0", "1", "2"]
        .iter()
        .enumerate()
        .flat_map(|(index, id)| {
            let batch = index + 1;
            [
                format!("beforeBatch {batch} forward"),
                format!("beforeInstance {id} v2 forward"),
                format!("{id}=v2"),
                format!("afterInstance {id} v2 forward"),
                format!("afterBatch {batch} forward"),
            ]
        })
        .collect();
    assert_eq!(log, expected);
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
}

#[test]
fn a_failed_hook_before_an_instance_fails_it_untouched_and_the_one_after_is_run() {
    let mut rig = rig(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    rig.start("v2");
    let log = walk(&mut rig, |line| if line.starts_with("beforeInstance 1") { FAILS } else { Ok(()) });
    assert!(!log.iter().any(|line| line == "1=v2" || line == "1=v1"), "the driver is not asked: {log:?}");
    assert!(log.contains(&"afterInstance 1 v2 forward".to_owned()), "{log:?}");
    assert!(log.contains(&"2=v2".to_owned()), "the others go on: {log:?}");
    assert_eq!(failure(&rig, "1").as_deref(), Some("beforeInstance: exit code 1; nothing was touched"));
    assert!(rig.trail().contains(&"hook"));
}

#[test]
fn what_the_hook_after_finds_is_brought_back_between_hooks_of_its_own() {
    let mut rig = rig(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    rig.start("v2");
    let log = walk(&mut rig, |line| if line == "afterInstance 0 v2 forward" { FAILS } else { Ok(()) });
    let first: Vec<&str> = log.iter().map(String::as_str).take(6).collect();
    let expected = [
        "beforeInstance 0 v2 forward",
        "0=v2",
        "afterInstance 0 v2 forward",
        "beforeInstance 0 v1 back",
        "0=v1",
        "afterInstance 0 v1 back",
    ];
    assert_eq!(first, expected);
    assert_eq!(failure(&rig, "0").as_deref(), Some("afterInstance: exit code 1; v1 was brought back"));
}

#[test]
fn a_failed_driver_has_its_hook_after_too() {
    let mut rig = rig(&[HookKind::AfterInstance]);
    rig.start("v2");
    let log = walk(&mut rig, |line| if line == "0=v2" { FAILS } else { Ok(()) });
    let first: Vec<&str> = log.iter().map(String::as_str).take(4).collect();
    assert_eq!(first, ["0=v2", "afterInstance 0 v2 forward", "0=v1", "afterInstance 0 v1 back"]);
}

#[test]
fn a_failed_hook_of_a_batch_fails_the_batch() {
    let mut before = rig(&[HookKind::BeforeBatch, HookKind::AfterBatch]);
    before.start("v2");
    let log = walk(&mut before, |line| if line.starts_with("beforeBatch 2") { FAILS } else { Ok(()) });
    assert!(!log.contains(&"1=v2".to_owned()), "{log:?}");
    assert!(log.contains(&"afterBatch 2 forward".to_owned()), "{log:?}");
    assert_eq!(failure(&before, "1").as_deref(), Some("beforeBatch: exit code 1; nothing was touched"));

    let mut after = rig(&[HookKind::AfterBatch]);
    after.start("v2");
    let log = walk(&mut after, |line| if line.starts_with("afterBatch 1") { FAILS } else { Ok(()) });
    let first: Vec<&str> = log.iter().map(String::as_str).take(4).collect();
    assert_eq!(first, ["0=v2", "afterBatch 1 forward", "0=v1", "1=v2"]);
    assert_eq!(failure(&after, "0").as_deref(), Some("afterBatch: exit code 1; v1 was brought back"));
}

#[test]
fn a_crash_asks_for_the_same_hook_again_and_for_nothing_that_was_done() {
    for stop in 0..10 {
        let mut rig = rig(&HookKind::ALL);
        rig.start("v2");
        let mut done = Vec::new();
        let mut again = None;
        for _ in 0..40 {
            rig.pass(Duration::from_secs(1));
            rig.everybody_answers();
            let Some((line, effect)) = taken(&mut rig).into_iter().next() else { continue };
            if done.len() == stop {
                again = Some((line, effect));
                break;
            }
            match effect {
                Effect::Hook(call) => over(&mut rig, &call, Ok(())),
                Effect::Ensure(asked) => {
                    rig.done((*asked).clone(), Ok(()));
                    rig.judge(asked.instance.id.as_str(), decision(0));
                }
                other => panic!("{other:?}"),
            }
            done.push(line);
        }
        let (line, before) = again.unwrap_or_else(|| panic!("nothing went out after {done:?}"));
        let mut rig = rig.restart();
        let repeated = taken(&mut rig);
        let is_it = |effect: &Effect| match (effect, &before) {
            (Effect::Hook(one), Effect::Hook(other)) => one.operation == other.operation,
            (Effect::Ensure(one), Effect::Ensure(other)) => one.operation == other.operation,
            _ => false,
        };
        assert_eq!(repeated.iter().map(|(line, _)| line.clone()).collect::<Vec<_>>(), [line]);
        assert!(repeated.iter().all(|(_, effect)| is_it(effect)), "{repeated:?}");
    }
}

#[test]
fn a_hook_is_recorded_before_it_is_run() {
    let (mut rig, _, call) = at_the_first(&[HookKind::BeforeInstance]);
    rig.mood = DiskMood::Refuses;
    over(&mut rig, &call, FAILS);
    rig.pass(Duration::from_secs(1));
    assert!(taken(&mut rig).is_empty(), "what cannot be recorded is not run");
    rig.mood = DiskMood::Takes;
    let next = (0..100).find_map(|_| {
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        taken(&mut rig).into_iter().next()
    });
    assert_eq!(next.map(|(line, _)| line).as_deref(), Some("beforeInstance 1 v2 forward"));
}

#[test]
fn a_rollback_ends_the_hook_that_is_run_and_gives_back_what_it_took() {
    let (mut rig, _, call) = at_the_first(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
    let ended: Vec<String> = taken(&mut rig).into_iter().map(|(line, _)| line).collect();
    assert_eq!(ended, [format!("end {}", call.operation.0)]);
    over(&mut rig, &call, Err("it was ended"));
    let log = walk(&mut rig, |_| Ok(()));
    assert_eq!(log, ["afterInstance 0 v2 forward"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
}

#[test]
fn a_crash_in_the_hook_before_a_way_back_runs_it_again_and_goes_back() {
    let mut rig = rig(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    for _ in 0..3 {
        match taken(&mut rig).remove(0).1 {
            Effect::Hook(call) => over(&mut rig, &call, Ok(())),
            Effect::Ensure(asked) => rig.done((*asked).clone(), Ok(())),
            other => panic!("{other:?}"),
        }
    }
    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
    let (line, before) = taken(&mut rig).remove(0);
    assert_eq!(line, "beforeInstance 0 v1 back");
    let mut rig = rig.restart();
    let mut again = taken(&mut rig);
    assert_eq!(again.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>(), [line.as_str()]);
    let (Effect::Hook(call), Effect::Hook(former)) = (again.remove(0).1, before) else { panic!() };
    assert_eq!(call.operation, former.operation);
    over(&mut rig, &call, Ok(()));
    assert_eq!(walk(&mut rig, |_| Ok(()))[..2], ["0=v1", "afterInstance 0 v1 back"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    let runs = rig.instance("0").runs.version().map(ToString::to_string);
    assert_eq!(runs.as_deref(), Some("v1"));
}

#[test]
fn a_hook_of_a_batch_that_is_ended_ends_the_upgrade_and_has_the_one_after_it() {
    let (mut rig, line, call) = at_the_first(&HookKind::ALL);
    assert_eq!(line, "beforeBatch 1 forward");
    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
    assert_eq!(taken(&mut rig).len(), 1, "it is ended");
    over(&mut rig, &call, Err("it was ended"));
    let log = walk(&mut rig, |_| Ok(()));
    assert_eq!(log, ["afterBatch 1 forward"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
}

#[test]
fn what_a_hook_says_that_is_not_over_is_what_the_upgrade_waits_for() {
    let (mut rig, _, call) = at_the_first(&[HookKind::BeforeBatch]);
    let (scale_set, operation) = (call.scale_set.clone(), call.operation.clone());
    rig.turn(vec![Event::HookSays(HookSays { scale_set, operation, text: "error rate 2 %".to_owned() })]);
    let fleet = rig.kernel.fleet();
    let waits = report::waiting(fleet, rig.set(), rig.now).unwrap();
    let WaitsFor::Hook { hook, batch, says, .. } = waits else { panic!("{waits:?}") };
    assert_eq!((hook, batch, says), (HookKind::BeforeBatch, Some(1), Some("error rate 2 %")));
    over(&mut rig, &call, Ok(()));
    assert!(rig.set().hooks_say.is_empty());
}

#[test]
fn a_cancel_waits_for_no_batch_that_has_not_begun() {
    let (mut rig, line, call) = at_the_first(&HookKind::ALL);
    assert_eq!(line, "beforeBatch 1 forward");
    rig.ask(Command::Wish(name("orders"), Wish::Cancel));
    let ended: Vec<String> = taken(&mut rig).into_iter().map(|(line, _)| line).collect();
    assert_eq!(ended, [format!("end {}", call.operation.0)], "it may say \"not yet\" for a day");
    over(&mut rig, &call, Err("it was ended"));
    assert_eq!(walk(&mut rig, |_| Ok(())), ["afterBatch 1 forward"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    assert_eq!(rig.upgrade().members.progress().failed, 0, "nobody was touched");
}

#[test]
fn a_cancel_ends_the_hooks_before_instances_of_which_none_is_touched() {
    let (mut rig, _, call) = at_the_first(&[HookKind::BeforeInstance, HookKind::AfterInstance]);
    rig.ask(Command::Wish(name("orders"), Wish::Cancel));
    let ended: Vec<String> = taken(&mut rig).into_iter().map(|(line, _)| line).collect();
    assert_eq!(ended, [format!("end {}", call.operation.0)]);
    over(&mut rig, &call, Err("it was ended"));
    assert_eq!(walk(&mut rig, |_| Ok(())), ["afterInstance 0 v2 forward"]);
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    assert!(rig.set().quarantined.is_empty(), "a person has ended it");
}

#[test]
fn what_a_driver_says_that_is_not_done_is_what_the_upgrade_waits_for() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let asked = rig.asked().remove(0);
    let says = |pace, text: &str, operation: &OperationId| {
        Event::DriverSays(DriverWord {
            scale_set: name("orders"),
            instance: asked.instance.id.clone(),
            operation: operation.clone(),
            pace,
            text: text.to_owned(),
        })
    };
    let waits = |rig: &Rig| {
        let waits = report::waiting(rig.kernel.fleet(), rig.set(), rig.now).unwrap();
        let WaitsFor::Driver { goes, says, .. } = &waits else { panic!("{waits:?}") };
        (*goes, says.map(str::to_owned), waits.wait())
    };
    assert_eq!(waits(&rig), (DriverGoes::On, None, Wait::Driver));
    // Of an operation that is none of this upgrade.
    rig.turn(vec![says(DriverPace::Busy, "no room", &OperationId("orders-99/0/1".to_owned()))]);
    assert_eq!(waits(&rig), (DriverGoes::On, None, Wait::Driver));
    rig.turn(vec![says(DriverPace::Works, "copying\n1 of 3", &asked.operation)]);
    assert_eq!(waits(&rig), (DriverGoes::On, Some("copying\\n1 of 3".to_owned()), Wait::Driver));
    let since = rig.now.at;
    rig.pass(Duration::from_secs(20));
    let words = Some("copying\\n1 of 3".to_owned());
    assert_eq!(waits(&rig), (DriverGoes::Silent { since }, words, Wait::DriverHanging));
    rig.turn(vec![says(DriverPace::Busy, &"x".repeat(1000), &asked.operation)]);
    assert_eq!(waits(&rig), (DriverGoes::Busy, Some("x".repeat(300)), Wait::DriverBusy));
    rig.done(asked.clone(), Ok(()));
    assert!(rig.set().drivers_say.is_empty());
    rig.turn(vec![says(DriverPace::Works, "too late", &asked.operation)]);
    assert!(rig.set().drivers_say.is_empty());
}

#[test]
fn what_a_hook_before_has_taken_away_is_given_back_whenever_a_person_ends_it() {
    // A rollback of all, cancelled in the hook that gives the traffic back.
    let mut rig = rig(&HookKind::ALL);
    rig.start("v2");
    walk(&mut rig, |_| Ok(()));
    rig.ask(Command::Wish(name("orders"), Wish::RollBack));
    let mut log = Vec::new();
    'walk: for _ in 0..60 {
        for (line, effect) in taken(&mut rig) {
            match effect {
                Effect::Hook(call) if call.hook == HookKind::AfterInstance => {
                    log.push(line);
                    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
                    assert_eq!(taken(&mut rig), [], "it is not ended");
                    over(&mut rig, &call, Ok(()));
                    break 'walk;
                }
                Effect::Hook(call) => over(&mut rig, &call, Ok(())),
                Effect::Ensure(asked) => rig.done(*asked, Ok(())),
                _ => {}
            }
            log.push(line);
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    log.extend(walk(&mut rig, |_| Ok(())));
    let expected = [
        "beforeBatch 1 back",
        "beforeInstance 2 v1 back",
        "2=v1",
        "afterInstance 2 v1 back",
        "afterBatch 1 back",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_hook_after_a_batch_that_is_ended_half_way_is_run_again_when_the_batch_is_back() {
    let mut rig = rig(&[HookKind::BeforeBatch, HookKind::AfterBatch]);
    rig.start("v2");
    let mut after = None;
    for _ in 0..20 {
        for (_, effect) in taken(&mut rig) {
            match effect {
                Effect::Hook(call) if call.hook == HookKind::AfterBatch => after = Some(call),
                Effect::Hook(call) => over(&mut rig, &call, Ok(())),
                Effect::Ensure(asked) => rig.done(*asked, Ok(())),
                _ => {}
            }
        }
        if after.is_some() {
            break;
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    let after = after.unwrap();
    rig.ask(Command::Wish(name("orders"), Wish::CancelNow));
    let ended = taken(&mut rig).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(ended, [format!("end {}", after.operation.0)]);
    over(&mut rig, &after, Err("signal 15"));
    assert_eq!(walk(&mut rig, |_| Ok(())), ["0=v1", "afterBatch 1 back"]);
}

#[test]
fn what_a_hook_has_permitted_goes_stale_while_somebody_holds_the_batch() {
    for hooks in [&[HookKind::BeforeBatch, HookKind::AfterBatch][..], &[HookKind::BeforeBatch][..]] {
        let (mut rig, _, call) = at_the_first(hooks);
        rig.ask(Command::Wish(name("orders"), Wish::Pause));
        over(&mut rig, &call, Ok(()));
        let mut lines = Vec::new();
        for (line, effect) in taken(&mut rig) {
            let Effect::Hook(call) = effect else { panic!("{line}") };
            over(&mut rig, &call, Ok(()));
            lines.push(line);
        }
        rig.pass(Duration::from_secs(3600));
        rig.everybody_answers();
        rig.ask(Command::Wish(name("orders"), Wish::Resume));
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        lines.extend(taken(&mut rig).into_iter().map(|(line, _)| line));
        let closed = hooks.len() == 2;
        let expected: &[&str] = if closed {
            &["afterBatch 1 forward", "beforeBatch 1 forward"]
        } else {
            &["beforeBatch 1 forward"]
        };
        assert_eq!(lines, expected);
    }
}

#[test]
fn live_nobody_goes_on_the_word_of_a_hook_that_was_told_of_another() {
    let mut set = orders();
    set.spec.policy.hooks = [HookKind::BeforeBatch, HookKind::AfterBatch].into_iter().collect();
    set.spec.policy.decisions = Decisions::Live;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let (_, Effect::Hook(first)) = taken(&mut rig).remove(0) else { panic!("a hook comes first") };
    rig.judge("0", Decision { participation: Participation::Skip, ..decision(0) });
    over(&mut rig, &first, Ok(()));
    let mut told = Vec::new();
    for _ in 0..2 {
        for (line, effect) in taken(&mut rig) {
            let Effect::Hook(call) = effect else { panic!("{line} before its hook") };
            let HookRound::Batch { instances, .. } = &call.round else { panic!("{line}") };
            told.push((call.hook, instances.iter().map(ToString::to_string).collect::<Vec<_>>()));
            if call.hook == HookKind::AfterBatch {
                over(&mut rig, &call, Ok(()));
            }
        }
        rig.pass(Duration::from_secs(1));
        rig.judge("1", decision(0));
        rig.judge("2", decision(0));
        rig.judge("0", Decision { participation: Participation::Skip, ..decision(0) });
    }
    let one = |hook, id: &str| (hook, vec![id.to_owned()]);
    assert_eq!(told, [one(HookKind::AfterBatch, "0"), one(HookKind::BeforeBatch, "1")]);
}
