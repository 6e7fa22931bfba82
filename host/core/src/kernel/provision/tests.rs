//! New instances: in which order they get their extensions, what a crash, a failure and the end of the time come to,
//! and that nobody is ready before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::SetConfig;
use super::super::testing::*;
use crate::domain::*;
use crate::kernel::effect::{Effect, Ensure};

fn extension(text: &str) -> ExtensionName {
    ExtensionName::parse(text).unwrap()
}

/// `orders` with these extensions, each after others; kept running by the host.
fn new(all: &[(&str, &[&str])]) -> SetConfig {
    let mut set = orders();
    set.driver.custody = Custody::Host;
    set.spec.model.extensions = all.iter().map(|(name, _)| (extension(name), version("1"))).collect();
    let after =
        all.iter().map(|(name, before)| (extension(name), before.iter().map(|it| extension(it)).collect()));
    set.spec.provisioning.after = after.filter(|(_, before): &(_, BTreeSet<_>)| !before.is_empty()).collect();
    set
}

/// What drivers were told of one instance, `component=version`.
fn told(asked: &[Ensure], instance: &str) -> Vec<String> {
    let of = asked.iter().filter(|asked| asked.instance.id == id(instance));
    of.map(|asked| format!("{}={}", asked.component, asked.version)).collect()
}

/// Everything is done that is asked for, except by those whose component is named; gives what was asked of `0`.
fn deploy(rig: &mut Rig, fails: &str) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..20 {
        let asked = rig.asked();
        all.extend(told(&asked, "0"));
        for asked in asked {
            let answer = if asked.component.as_str() == fails { Err("exit code 4") } else { Ok(()) };
            rig.done(asked, answer);
        }
        rig.everybody_answers();
    }
    all
}

fn health(rig: &Rig, instance: &str) -> Health {
    rig.instance(instance).fold.health()
}

#[test]
fn extensions_are_installed_in_their_order_before_anybody_counts() {
    let mut rig = Rig::new(vec![new(&[("app", &["base"]), ("logs", &[]), ("base", &[])])]);
    let mut asked = rig.asked();
    assert_eq!(told(&asked, "0"), ["application=v1"], "there is nothing to install them on before");
    for expected in ["logs=1", "base=1", "app=1"] {
        for asked in asked {
            rig.done(asked, Ok(()));
        }
        rig.judge("0", decision(0));
        assert_eq!(health(&rig, "0"), Health::Initializing, "before {expected}");
        assert_eq!(rig.set().census().of(Health::Healthy), 0);
        let reason = rig.instance("0").provision.as_ref().unwrap().to_string();
        assert!(reason.contains("is being installed"), "{reason}");
        asked = rig.asked();
        assert_eq!(told(&asked, "0"), [expected]);
    }
    for asked in asked {
        rig.done(asked, Ok(()));
    }
    assert!(rig.asked().is_empty() && rig.disk.stored().provisions.is_empty(), "nothing is left to be done");
    rig.everybody_answers();
    assert_eq!(rig.set().census().of(Health::Healthy), 3);
    let mut rig = rig.restart();
    assert_eq!(deploy(&mut rig, ""), ["application=v1"], "one that ran before is started, and that is all");
}

#[test]
fn one_that_fails_stops_those_that_come_after_it_alone_and_is_said() {
    let mut rig =
        Rig::new(vec![new(&[("base", &[]), ("app", &["base"]), ("more", &["app"]), ("logs", &[])])]);
    assert_eq!(deploy(&mut rig, "base"), ["application=v1", "base=1", "logs=1"]);
    assert_eq!(health(&rig, "0"), Health::Healthy, "it serves without it");
    let said = rig.instance("0").provision.as_ref().unwrap().to_string();
    assert!(
        said.starts_with("extension `base` could not be installed: exit code 4; extension `app` was"),
        "{said}"
    );
    let lines: Vec<String> = rig.disk.trail().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("`app`, which is not there")), "{lines:?}");
    let mut rig = rig.restart();
    assert_eq!(deploy(&mut rig, ""), ["application=v1"], "nobody tries again by himself");
    assert!(rig.instance("0").provision.is_some(), "and it is still said");
}

#[test]
fn a_killed_host_asks_again_under_the_same_name_and_for_nothing_that_is_done() {
    let mut rig = Rig::new(vec![new(&[("base", &[]), ("app", &["base"])])]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    let before = rig.asked();
    assert_eq!(told(&before, "0"), ["app=1"]);
    let mut rig = rig.restart();
    for asked in rig.asked() {
        assert_eq!(asked.component, Component::Application);
        rig.done(asked, Ok(()));
    }
    let after = rig.asked();
    assert_eq!(told(&after, "0"), ["app=1"]);
    let operation = |all: &[Ensure]| all.iter().map(|one| one.operation.clone()).collect::<BTreeSet<_>>();
    assert_eq!(operation(&after), operation(&before));
}

#[test]
fn nothing_goes_out_that_is_not_recorded() {
    let mut rig = Rig::new(vec![new(&[("base", &[])])]);
    let started = rig.asked();
    for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
        rig.mood = mood;
        for asked in started.clone() {
            rig.done(asked, Ok(()));
        }
        rig.pass(Duration::from_secs(6));
        assert!(rig.asked().is_empty(), "{mood:?}");
    }
    rig.mood = DiskMood::Takes;
    rig.pass(Duration::from_secs(6));
    rig.pass(Duration::from_secs(6));
    let asked = rig.asked();
    assert_eq!(asked.len(), 3);
    for one in &asked {
        let row = rig.disk.stored().provisions.get(&(name("orders"), one.instance.id.clone())).unwrap();
        let part = row.parts.first().unwrap();
        assert_eq!((&part.operation, &part.state), (&one.operation, &Provisioned::Installing));
    }
}

#[test]
fn when_the_time_is_over_what_is_in_hand_is_ended_and_who_needs_it_is_left_out() {
    let mut set = new(&[("base", &[]), ("app", &["base"]), ("logs", &[])]);
    set.spec.provisioning.budget = Duration::from_secs(900);
    let mut rig = Rig::new(vec![set]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    let asked = rig.asked().remove(0);
    for _ in 0..29 {
        rig.pass(Duration::from_secs(31));
        rig.everybody_answers();
        assert_eq!(health(&rig, "0"), Health::Initializing, "whatever it answers");
    }
    assert_eq!(rig.set().census().of(Health::Healthy), 0, "nobody counts as ready");
    assert!(rig.instance("0").is_provisioned_first() && rig.wake_at.is_some());
    rig.pass(Duration::from_secs(2));
    let ended = rig.effects.iter().filter(|effect| matches!(effect, Effect::End(..))).count();
    assert_eq!(ended, 3, "a driver has one of each in hand");
    assert!(!rig.instance("0").is_provisioned_first());
    assert_eq!(health(&rig, "0"), Health::Initializing, "what was answered before counts no more");
    let said = rig.instance("0").trouble.as_ref().unwrap().text.clone();
    for part in [
        "`base` could not be installed: was not done within extensionsTimeBudget (900 s)",
        "`app` was not installed: it comes after `base`",
        "`logs` could not be installed: was not begun within extensionsTimeBudget (900 s)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let lines: Vec<String> = rig.disk.trail().map(ToString::to_string).collect();
    let left_out = lines.iter().filter(|line| line.contains("`base`, which is not there")).count();
    assert_eq!(left_out, 3, "one for each instance: {lines:?}");
    // Nobody begins by himself what is left, at a restart neither.
    rig.pass(Duration::from_secs(3600));
    assert!(rig.asked().is_empty());
    rig.done(asked, Ok(()));
    assert!(rig.asked().is_empty());
    let states: Vec<_> = rig.instance("0").provision.iter().flat_map(|it| it.parts.clone()).collect();
    assert!(
        states.iter().any(|part| part.state == Provisioned::Installed),
        "it came late, and is there: {states:?}"
    );
    let mut rig = rig.restart();
    assert_eq!(deploy(&mut rig, ""), ["application=v1"]);
    let app = Component::Extension(extension("app"));
    assert!(rig.instance("0").runs_of(&app).version().is_none());
}

#[test]
fn time_in_which_the_host_stood_still_is_nobodys() {
    let mut rig = Rig::new(vec![new(&[("base", &[])])]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    rig.now = Now { at: rig.now.at + Duration::from_secs(7200), ..rig.now };
    rig.turn(vec![crate::kernel::Event::StoodStill(Duration::from_secs(7200))]);
    assert!(rig.instance("0").is_provisioned_first());
    let row = rig.disk.stored().provisions.get(&(name("orders"), id("0"))).unwrap();
    assert_eq!(row, &**rig.instance("0").provision.as_ref().unwrap());
}

#[test]
fn an_upgrade_waits_for_new_ones_and_later_ones_heed_no_order() {
    let mut rig = Rig::new(vec![new(&[("app", &["base"]), ("base", &[])])]);
    for asked in rig.asked() {
        rig.done(asked, Ok(()));
    }
    let options = crate::kernel::command::StartOptions {
        wanted: crate::kernel::command::Wanted {
            to: None,
            extensions: vec![(extension("app"), Some(version("2"))), (extension("base"), Some(version("2")))],
            ..Default::default()
        },
        ..Default::default()
    };
    rig.ask(crate::kernel::Command::Start(name("orders"), options)).unwrap().unwrap();
    rig.pass(Duration::from_secs(1));
    let asked = rig.asked();
    assert!(asked.iter().all(|asked| asked.version == version("1")), "{asked:?}");
    for asked in asked {
        rig.done(asked, Ok(()));
    }
    let mut seen = deploy(&mut rig, "");
    for _ in 0..5 {
        rig.pass(Duration::from_secs(2));
        rig.everybody_answers();
        seen.extend(deploy(&mut rig, ""));
    }
    assert_eq!(seen, ["app=1", "app=2", "base=2"], "as the file has them");
}

#[test]
fn one_that_comes_later_is_new_and_one_that_comes_back_goes_on() {
    let mut rig = Rig::new(vec![new(&[("base", &[]), ("app", &[])])]);
    deploy(&mut rig, "");
    let mut spec = (*rig.instance("0").spec).clone();
    (spec.id, spec.address.port) = (id("7"), 9007);
    let found = |all: Vec<Arc<Instance>>, gone: Vec<InstanceId>| {
        let change = crate::kernel::command::Discovered { found: all, gone, ..Default::default() };
        crate::kernel::Command::Discovered(name("orders"), Box::new(change))
    };
    rig.ask(found(vec![Arc::new(spec.clone())], vec![])).unwrap().unwrap();
    assert!(rig.instance("7").is_provisioned_first());
    for expected in ["application=v1", "base=1"] {
        let asked = rig.asked();
        assert_eq!(told(&asked, "7"), [expected]);
        for asked in asked {
            rig.done(asked, Ok(()));
        }
    }
    rig.effects.clear();
    rig.ask(found(vec![], vec![id("7")])).unwrap().unwrap();
    rig.effects.clear();
    rig.ask(found(vec![Arc::new(spec)], vec![])).unwrap().unwrap();
    let asked = rig.asked();
    assert_eq!(told(&asked, "7"), ["application=v1"]);
    let kept = rig.instance("7").provision.as_ref().unwrap();
    let states: Vec<&Provisioned> = kept.parts.iter().map(|part| &part.state).collect();
    assert_eq!(states, [&Provisioned::Installed, &Provisioned::Installing]);
}

#[test]
fn where_the_site_keeps_them_what_is_there_is_not_installed_again() {
    let mut set = new(&[("base", &[]), ("app", &["base"])]);
    set.driver.custody = Custody::Site;
    set.driver.sight = Sight { extensions: CanTell::Yes, ..Sight::APPLICATION };
    let mut rig = Rig::new(vec![set]);
    assert!(rig.asked().is_empty(), "nobody has said what runs");
    for asked in rig.questions() {
        let one = asked.instance.id.as_str().to_owned();
        let seen = match (one.as_str(), asked.component.as_str()) {
            ("0", "base") => Seen::Version(version("1")),
            ("0" | "1", "application") => Seen::Version(version("v1")),
            ("2", "application") => Seen::Unknown,
            (_, _) => Seen::Nothing,
        };
        rig.sees(asked, seen);
    }
    let asked = rig.asked();
    assert_eq!((told(&asked, "0"), told(&asked, "1")), (vec!["app=1".to_owned()], vec!["base=1".to_owned()]));
    assert!(told(&asked, "2").is_empty(), "unknown is never consent");
}
