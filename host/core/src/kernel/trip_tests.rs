//! The round trip from end to end: up, back and up again, what is refused, and what a crash does.

use std::time::Duration;

use super::effect::Ensure;
use super::report;
use super::testing::{Rig, decision, id, name, orders, to_version, version};
use super::{Command, Refusal};
use crate::domain::{Claim, Decision, Participation, Percent, Seen, WordKind};
use crate::plan::Finding;
use crate::rollout::{Extent, Stage, Trip, UpgradeErrorCode, UpgradeState};

fn rig(instances_per_batch: u64) -> Rig {
    let mut set = orders();
    set.spec.policy.round_trip = true;
    set.spec.policy.rolling.max_batch_instance_percent = Percent::clamped(instances_per_batch);
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(100);
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig
}

/// Goes on until the upgrade has ended. `well` says whether the driver does it, `healthy` whether it comes up.
fn walk(
    rig: &mut Rig,
    well: impl Fn(&str, usize) -> bool,
    healthy: impl Fn(&str, usize) -> bool,
) -> Vec<String> {
    let mut log: Vec<String> = Vec::new();
    let mut sick: Vec<String> = Vec::new();
    for _ in 0..400 {
        for asked in rig.asked() {
            let line = format!("{}={}", asked.instance.id, asked.version);
            let nth = log.iter().filter(|before| **before == line).count();
            let instance = asked.instance.id.to_string();
            sick.retain(|one| *one != instance);
            if !healthy(&line, nth) {
                sick.push(instance);
            }
            rig.done(asked, if well(&line, nth) { Ok(()) } else { Err("exit code 1") });
            log.push(line);
        }
        if rig.set().active().is_none() {
            return log;
        }
        rig.pass(Duration::from_secs(1));
        for instance in ["0", "1", "2"] {
            let claim =
                if sick.iter().any(|one| one == instance) { Claim::Unhealthy } else { Claim::Healthy };
            if rig.instance(instance).busy.is_empty() {
                rig.judge(instance, Decision { claim, ..decision(0) });
            }
        }
    }
    panic!("no end after {log:?}: {:?}", rig.upgrade());
}

#[test]
fn one_goes_up_back_and_up_again_before_anybody_else() {
    let mut rig = rig(100);
    assert!(rig.start("v2").unwrap().is_ok());
    let log = walk(&mut rig, |_, _| true, |_, _| true);
    assert_eq!(log[..3], ["0=v2", "0=v1", "0=v2"], "{log:?}");
    assert_eq!(log.len(), 5, "the others go up once: {log:?}");
    assert_eq!(rig.upgrade().state, UpgradeState::Completed);
    let trail: Vec<&str> =
        rig.trail().into_iter().filter(|code| ["apply", "restore", "applied"].contains(code)).collect();
    assert_eq!(trail[..6], ["apply", "applied", "restore", "applied", "apply", "applied"], "{trail:?}");
}

fn refused(rig: &Rig, log: &[String]) {
    assert!(log.iter().all(|line| line.starts_with("0=")), "nobody else is touched: {log:?}");
    let upgrade = rig.upgrade();
    assert_eq!(upgrade.state, UpgradeState::Faulted);
    assert_eq!(
        upgrade.error.as_ref().map(|error| error.code),
        Some(UpgradeErrorCode::RollingUpgradeRoundTripFailed)
    );
    assert_eq!(rig.set().quarantined.len(), 1);
}

#[test]
fn a_version_whose_way_back_fails_is_refused_and_the_one_instance_is_held() {
    let mut driver = rig(100);
    driver.start("v2");
    let log = walk(&mut driver, |line, _| line != "0=v1", |_, _| true);
    refused(&driver, &log);
    let word = driver.set().words.get(&id("0")).expect("it is held");
    assert_eq!(word.kind, WordKind::Hold);
    assert!(word.reason.contains("its way back from v2 failed"), "{}", word.reason);
    assert!(word.reason.contains("runs on it"), "{}", word.reason);

    let mut health = rig(100);
    health.start("v2");
    let log = walk(&mut health, |_, _| true, |line, _| line != "0=v1");
    assert_eq!(log, ["0=v2", "0=v1"], "it is not brought anywhere else");
    refused(&health, &log);
    assert!(health.set().words.get(&id("0")).unwrap().reason.contains("v1 runs on it"));
    let again = health.restart();
    assert!(again.set().words.contains_key(&id("0")), "it is recorded");
}

#[test]
fn a_version_that_fails_on_its_way_up_is_refused_too() {
    for second in [0, 1] {
        let mut rig = rig(100);
        rig.start("v2");
        let log = walk(&mut rig, |_, _| true, |line, nth| line != "0=v2" || nth != second);
        refused(&rig, &log);
        assert_eq!(log.last().map(String::as_str), Some("0=v1"), "it is brought back: {log:?}");
        assert!(rig.set().words.is_empty(), "it has its way back");
    }
}

#[test]
fn a_crash_on_any_way_goes_on_with_it() {
    for stop in 0..3 {
        let mut rig = rig(100);
        rig.start("v2");
        let mut log = Vec::new();
        for _ in 0..200 {
            rig.pass(Duration::from_secs(1));
            rig.everybody_answers();
            let Some(asked) = rig.asked().into_iter().next() else { continue };
            let line = format!("{}={}", asked.instance.id, asked.version);
            if log.len() == stop {
                rig = rig.restart();
                let again: Vec<Ensure> = rig.asked();
                assert_eq!(again.iter().map(|one| &one.operation).collect::<Vec<_>>(), [&asked.operation]);
                rig.done(again[0].clone(), Ok(()));
            } else {
                rig.done(asked, Ok(()));
            }
            log.push(line);
            if log.len() > 3 {
                break;
            }
        }
        assert_eq!(log[..3], ["0=v2", "0=v1", "0=v2"], "{log:?}");
    }
}

#[test]
fn who_has_nothing_to_go_back_to_makes_no_round_trip() {
    let mut set = orders();
    set.spec.policy.round_trip = true;
    let mut rig = Rig::new(vec![set]);
    for asked in rig.questions() {
        rig.sees(asked, Seen::Nothing);
    }
    rig.all_healthy();
    let plan = report::plan(rig.set(), &to_version("v2").wanted, Extent::Missing, rig.now).unwrap();
    assert!(
        plan.findings.iter().any(|finding| matches!(finding, Finding::RoundTrip { .. })),
        "{:?}",
        plan.findings
    );
    let answer = rig.ask(Command::Start(name("orders"), to_version("v2"))).unwrap();
    assert!(matches!(answer, Err(Refusal::RoundTrip { .. })), "{answer:?}");
    assert!(rig.set().upgrade.is_none() && rig.asked().is_empty());
}

#[test]
fn a_person_who_cancels_at_once_leaves_the_one_at_what_it_had() {
    let mut rig = rig(100);
    rig.start("v2");
    for _ in 0..60 {
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        let asked = rig.asked();
        let back = asked.iter().any(|one| one.version == version("v1"));
        for one in asked {
            rig.done(one, Ok(()));
        }
        if back {
            break;
        }
    }
    let trip = rig.upgrade().members.get(&id("0")).map(|member| member.trip);
    assert_eq!((trip, rig.upgrade().stage), (Some(Trip::Back), Stage::InBatch));
    rig.ask(Command::Wish(name("orders"), crate::rollout::Wish::CancelNow));
    assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
    assert!(rig.asked().is_empty(), "it has what it had");
}

#[test]
fn who_says_skip_after_its_way_back_stays_there_and_the_version_is_not_blamed() {
    let mut rig = rig(100);
    rig.start("v2");
    let mut log: Vec<String> = Vec::new();
    for _ in 0..400 {
        for asked in rig.asked() {
            log.push(format!("{}={}", asked.instance.id, asked.version));
            rig.done(asked, Ok(()));
        }
        if rig.set().active().is_none() {
            break;
        }
        rig.pass(Duration::from_secs(1));
        let participation = if log.len() < 2 { Participation::Proceed } else { Participation::Skip };
        rig.judge("0", Decision { participation, ..decision(0) });
        rig.judge("1", decision(0));
        rig.judge("2", decision(0));
    }
    assert_eq!(log, ["0=v2", "0=v1"]);
    let upgrade = rig.upgrade();
    let error = upgrade.error.as_ref().expect("it is not over");
    assert_eq!(error.code, UpgradeErrorCode::RollingUpgradeRoundTripImpossible, "{error:?}");
    assert!(error.message.contains("skip"), "{}", error.message);
    assert!(rig.set().quarantined.is_empty() && rig.set().words.is_empty());
}
