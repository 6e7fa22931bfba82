//! Instances that come, go or move while upgrades come and go: with which version a new one starts, and what becomes of
//! those that the configuration no longer has, or has somewhere else.

use std::sync::Arc;
use std::time::Duration;

use super::testing::*;
use super::{Command, SetConfig};
use crate::domain::*;
use crate::plan::{Hold, HoldReason};
use crate::rollout::{MemberState, UpgradeState, Waiting, Wish, waiting_now};

/// The host keeps its instances running.
fn kept_by_the_host() -> SetConfig {
    let mut set = orders();
    set.driver.custody = Custody::Host;
    set
}

fn started(set: SetConfig) -> Rig {
    let mut rig = Rig::new(vec![set]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    rig.everybody_answers();
    rig
}

/// Another instance in the file, and a restart.
fn with_another(mut rig: Rig, change: impl Fn(&mut SetConfig)) -> (Rig, String) {
    let mut spec = (*rig.instance("0").spec).clone();
    (spec.id, spec.address.port) = (id("7"), 9007);
    for set in &mut rig.sets {
        set.spec.instances.insert(id("7"), Arc::new(spec.clone()));
        change(set);
    }
    let mut rig = rig.restart();
    let mut asked = rig.asked();
    asked.retain(|asked| asked.instance.id == id("7"));
    let version = asked.remove(0).version.to_string();
    (rig, version)
}

/// The first batch of an upgrade to v2 has failed, and v2 is in quarantine.
fn refused_at_v2(set: SetConfig) -> Rig {
    let mut rig = started(set);
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    for _ in 0..2 {
        for asked in rig.asked() {
            let answer = if asked.version == version("v2") { Err("broken") } else { Ok(()) };
            rig.done(asked, answer);
        }
    }
    assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
    assert!(!rig.set().quarantined.is_empty());
    rig
}

#[test]
fn a_new_instance_starts_with_what_last_completed() {
    let mut rig = started(kept_by_the_host());
    rig.start("v2");
    rig.run_to_the_end();
    let (rig, version) = with_another(rig, |_| {});
    assert_eq!(version, "v2");
    // The file asks for something that nobody has admitted yet.
    let (_, version) = with_another(rig, |set| set.spec.model.version = super::testing::version("v3"));
    assert_eq!(version, "v2");
}

#[test]
fn what_is_in_quarantine_or_was_cancelled_starts_on_no_new_instance() {
    let (_, version) = with_another(refused_at_v2(kept_by_the_host()), |_| {});
    assert_eq!(version, "v1");
    let (_, version) = with_another(refused_at_v2(kept_by_the_host()), |set| {
        set.spec.model.version = super::testing::version("v2")
    });
    assert_eq!(version, "v1", "also when the file names it by now");
    let mut rig = started(kept_by_the_host());
    rig.start("v2");
    rig.ask(Command::Wish(name("orders"), Wish::Cancel));
    let (_, version) = with_another(rig, |_| {});
    assert_eq!(version, "v1");
}

#[test]
fn what_nobody_has_run_starts_on_no_new_instance() {
    let mut rig = started(kept_by_the_host());
    let skip = Decision { participation: Participation::Skip, ..decision(0) };
    let says = |rig: &mut Rig| ["0", "1", "2"].iter().for_each(|one| rig.judge(one, skip.clone()));
    says(&mut rig);
    rig.start("v2");
    for _ in 0..3 {
        rig.pass(Duration::from_secs(1));
        says(&mut rig);
    }
    assert_eq!((rig.upgrade().state, rig.upgrade().progress().successful), (UpgradeState::Completed, 0));
    assert_eq!(with_another(rig, |_| {}).1, "v1", "everybody said skip");
}

#[test]
fn what_is_wanted_starts_from_the_moment_that_the_last_phase_is_admitted() {
    let in_flight = |phase_of_2: u32| {
        let mut rig = started(kept_by_the_host());
        let phases = [("0", 0), ("1", 0), ("2", phase_of_2)];
        for (instance, phase) in phases {
            rig.judge(instance, decision(phase));
        }
        rig.start("v2");
        rig.pass(Duration::from_secs(1));
        for (instance, phase) in phases {
            rig.judge(instance, decision(phase));
        }
        assert_eq!(rig.asked().len(), 1, "one is in flight");
        rig
    };
    assert_eq!(with_another(in_flight(1), |_| {}).1, "v1", "phase 1 has not begun");
    assert_eq!(with_another(in_flight(0), |_| {}).1, "v2");
}

#[test]
fn who_vanishes_is_named_and_no_failure_of_the_rest() {
    for gone in ["0", "1"] {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
        assert_eq!(rig.asked().len(), 1);
        for set in &mut rig.sets {
            set.spec.instances.remove(&id(gone));
        }
        let mut rig = rig.restart();
        for _ in 0..20 {
            for asked in rig.questions() {
                let runs = asked.expected.clone().unwrap_or_else(|| version("v1"));
                rig.sees(asked, Seen::Version(runs));
            }
            for asked in rig.asked() {
                rig.done(asked, Ok(()));
            }
            rig.pass(Duration::from_secs(1));
            for instance in ["0", "1", "2"].into_iter().filter(|one| *one != gone) {
                rig.judge(instance, decision(0));
            }
        }
        let is_named = |hold: &Hold| hold.instance == id(gone) && hold.reason == HoldReason::Vanished;
        assert!(rig.upgrade().holds.iter().any(is_named), "{gone}");
        let told = |line: String| line.contains("removed from the configuration");
        assert!(rig.disk.trail().any(|entry| told(entry.to_string())), "{gone}");
        let progress = rig.upgrade().progress();
        assert_eq!(
            (rig.upgrade().state, progress.successful, progress.failed),
            (UpgradeState::Completed, 2, 0),
            "{gone}"
        );
    }
}

#[test]
fn who_moves_to_another_zone_goes_with_a_batch_of_its_own() {
    let mut set = orders();
    for instance in set.spec.instances.values_mut() {
        Arc::make_mut(instance).zone = Some("a".to_owned());
    }
    let batches = vec![BatchSize::Count(1), BatchSize::Count(2)];
    set.spec.policy.rolling = RollingUpgradePolicy { batches, ..testing::limits(67) };
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    for set in &mut rig.sets {
        let instance = set.spec.instances.get_mut(&id("1")).unwrap();
        Arc::make_mut(instance).zone = Some("b".to_owned());
    }
    let rig = rig.restart().restart();
    let batches: Vec<String> = (0..rig.upgrade().batches.len())
        .map(|index| {
            let members: Vec<&str> =
                rig.upgrade().batch_members(index).into_iter().map(InstanceId::as_str).collect();
            format!(
                "{}: {}",
                rig.upgrade().batches[index].zone.clone().unwrap_or_default(),
                members.join(" ")
            )
        })
        .collect();
    assert_eq!(batches, ["a: 0", "a: 2", "b: 1"], "and it is recorded");
}

/// Phase 0 has a checkpoint behind it, and its one instance says this.
fn canary(participation: Participation, at: &str, claim: Claim) -> Rig {
    let mut set = orders();
    set.spec.policy.checkpoints.pause_after = [PhaseName::Number(Phase::new(0).unwrap())].into();
    let mut rig = Rig::new(vec![set]);
    for asked in rig.questions() {
        let runs = if asked.instance.id == id("0") { at } else { "v1" };
        rig.sees(asked, Seen::Version(version(runs)));
    }
    let says = |rig: &mut Rig| {
        rig.judge("0", Decision { participation, claim, ..decision(0) });
        rig.judge("1", decision(1));
        rig.judge("2", decision(1));
    };
    says(&mut rig);
    rig.start("v2");
    for asked in rig.questions() {
        let runs = if asked.instance.id == id("0") { at } else { "v1" };
        rig.sees(asked, Seen::Version(version(runs)));
    }
    rig.pass(Duration::from_secs(1));
    says(&mut rig);
    rig
}

#[test]
fn an_empty_canary_phase_keeps_its_checkpoint_unless_it_is_there_and_healthy() {
    let waits = |rig: &Rig| waiting_now(rig.upgrade(), &rig.set().view(rig.now), rig.now.at);
    let resume = Some(Waiting::Resume { after: PhaseName::Number(Phase::new(0).unwrap()) });
    let mut rig = canary(Participation::Skip, "v1", Claim::Healthy);
    assert_eq!(waits(&rig), resume, "its one instance was left out, and has shown nothing");
    assert_eq!(rig.asked(), []);
    assert!(rig.ask(Command::Wish(name("orders"), Wish::Resume)).unwrap().is_ok());
    assert_eq!(rig.asked().len(), 1, "a person goes on all the same");
    let mut rig = canary(Participation::Proceed, "v2", Claim::Healthy);
    assert_eq!(rig.asked().len(), 1, "it is there and well");
    let rig = canary(Participation::Proceed, "v2", Claim::Unhealthy);
    assert_eq!(waits(&rig), resume, "it is there and is not well");
    assert!(rig.upgrade().members.values().all(|member| member.state == MemberState::Pending));
}
