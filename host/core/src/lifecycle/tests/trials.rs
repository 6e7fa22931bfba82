//! Shadows and watches.

use super::super::compare::{Banned, Example};
use super::super::*;
use super::desk::{Desk, changed, component, gate, same, spec};
use crate::domain::{Forbidden, Generation, InstanceId, PluginFailure, PluginSpec, ScaleSetName, Strategy};
use crate::record::StoredHeed;

fn shadowing() -> PluginSpec {
    let mut spec = spec();
    spec.swap.gate = Some(gate());
    spec.swap.strategy = Strategy::Shadow;
    spec
}

fn instance() -> Key {
    (ScaleSetName::parse("orders").unwrap(), InstanceId::parse("0").unwrap())
}

/// Two more failures than the one before.
fn failing() -> Summary {
    let example = Example { instance: instance(), failure: PluginFailure::Trapped("unreachable".to_owned()) };
    Summary { failed_new: 2, failure: Some(example), ..same() }
}

#[test]
fn a_gate_opens_when_it_has_seen_enough() {
    let mut desk = Desk::started(shadowing());
    let request = desk.uploads(b'b');
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'a'));
    assert_eq!(desk.stored.as_ref().unwrap().shadow.as_ref().unwrap().digest, component(b'b'));
    desk.compares(same());
    assert_eq!(desk.runs(), b'a', "not before its time");
    desk.waits(10);
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(2))));
    let stored = desk.stored.clone().unwrap();
    assert_eq!((stored.shadow, stored.watch.unwrap().heeds), (None, StoredHeed::Everything));
}

#[test]
fn a_gate_refuses_what_has_seen_enough_and_at_once_what_is_forbidden() {
    let banned = Banned { instance: instance(), change: Forbidden::PhaseDecrease };
    for (seen, seconds, why) in [
        (changed(), 10, "changes 4 of 4 instances"),
        (
            Summary { forbidden: Some(banned), ..same() },
            0,
            "would make of instance `orders/0` phase-decrease",
        ),
    ] {
        let mut desk = Desk::started(shadowing());
        desk.uploads(b'b');
        desk.compares(seen);
        desk.waits(seconds);
        assert!(desk.last_error().unwrap().contains(why));
        assert_eq!((desk.runs(), desk.stored.as_ref().unwrap().shadow.clone()), (b'a', None));
        let promote = desk.wants(Command::Promote);
        assert!(desk.reply(promote).contains("has no shadow"));
    }
}

#[test]
fn a_person_promotes_and_only_failures_are_watched_then() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    desk.compares(changed());
    let request = desk.wants(Command::Promote);
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'b'));
    assert_eq!(desk.stored.as_ref().unwrap().watch.as_ref().unwrap().heeds, StoredHeed::Failures);
    desk.compares(changed());
    assert_eq!(desk.runs(), b'b');
    desk.compares(failing());
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(3))));
}

#[test]
fn a_person_discards_a_shadow() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    let ticket = desk.beside().unwrap();
    let request = desk.wants(Command::Discard);
    assert_eq!(desk.reply(request), "ok");
    assert!(desk.done.contains(&Effect::EndShadow(ticket)));
    desk.happens(Event::Hand(ticket, Answer::Compared(Box::new(same()))));
    desk.waits(100);
    assert_eq!((desk.runs(), desk.stored.as_ref().unwrap().shadow.clone()), (b'a', None));
    let request = desk.wants(Command::Discard);
    assert!(desk.reply(request).contains("has no shadow"));
}

#[test]
fn a_shadow_that_cannot_begin_is_refused() {
    let mut desk = Desk::started(shadowing());
    desk.fails.insert("shadow", HandError::Broken("no thread".to_owned()));
    let request = desk.uploads(b'b');
    assert!(desk.reply(request).contains("stage shadow: upload could not be loaded: no thread"));
    desk.fails.clear();
    desk.silent.insert("shadow");
    let request = desk.uploads(b'b');
    assert_eq!(desk.reply(request), "none");
    desk.waits(ANSWER_WITHIN.as_secs());
    assert!(desk.reply(request).contains("given up after 60 min"));
}

#[test]
fn a_gate_that_nothing_proves_yet_makes_a_shadow_of_a_swap() {
    let mut rehearsing = shadowing();
    rehearsing.swap.strategy = Strategy::Rehearse;
    let mut desk = Desk::started(rehearsing);
    desk.shows = Summary { judged: 2, compared: 2, ..same() };
    desk.uploads(b'b');
    assert_eq!(desk.runs(), b'a');
    let note = desk
        .life
        .report()
        .load
        .unwrap()
        .trace
        .stages()
        .iter()
        .find(|run| run.stage == Stage::Rehearse)
        .unwrap()
        .note
        .clone();
    assert!(
        note.unwrap().contains("2 of 4 instances were judged so far; it judges beside the active one first")
    );
    assert_eq!(desk.life.report().stage, Some(Stage::Shadow));
}

#[test]
fn another_shadow_takes_the_place_of_the_first() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    let first = desk.beside().unwrap();
    desk.uploads(b'c');
    assert!(desk.done.contains(&Effect::EndShadow(first)));
    assert!(matches!(
        desk.said.iter().rev().find_map(|said| match &said.fact {
            Fact::TrialEnded { why, .. } => Some(why.clone()),
            _ => None,
        }),
        Some(EndedFor::Replaced(_))
    ));
    assert_eq!(desk.stored.as_ref().unwrap().shadow.as_ref().unwrap().digest, component(b'c'));
}

#[test]
fn a_watch_ends_well_only_after_it_has_seen_something() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.waits(61);
    assert!(desk.stored.as_ref().unwrap().watch.is_some());
    desk.compares(same());
    assert!(desk.stored.as_ref().unwrap().watch.is_none());
    assert!(matches!(desk.said.last().unwrap().fact, Fact::Stays { observations: 4, .. }));
    assert_eq!(desk.life.report().stage, None);
}

#[test]
fn a_watched_generation_that_fails_gives_way_and_is_not_gone_back_to() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.compares(failing());
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(3))));
    let stored = desk.stored.clone().unwrap();
    assert!(stored.history[1].left_because.as_ref().unwrap().contains("fails on more observations"));
    assert_eq!(stored.watch, None);
    let said = desk.said.iter().find(|said| said.audit_kind().is_some()).unwrap();
    assert_eq!(said.audit_kind(), Some("plugin-reverted"));
    assert!(said.to_string().contains("stage watch: generation 2 (626262626262) fails on more observations than the one before (2 more), as on instance `orders/0`"));
    let request = desk.wants(Command::Rollback(None));
    assert!(desk.reply(request).contains("has no former generation that differs"));
}

#[test]
fn a_generation_stays_when_the_one_before_cannot_come_back() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.fails.insert("fetch", HandError::Missing("/data/a.wasm".to_owned()));
    desk.compares(failing());
    assert_eq!(desk.runs(), b'b');
    let error = desk.last_error().unwrap();
    assert!(
        error.contains(
            "and stays active: generation 1 (616161616161) cannot come back, because its component is missing"
        ),
        "{error}"
    );
    assert_eq!(desk.stored.as_ref().unwrap().watch, None);
}

#[test]
fn what_is_ready_waits_for_a_way_back() {
    let going_back = || {
        let mut desk = Desk::started(spec());
        desk.uploads(b'b');
        desk.silent.insert("keep");
        let request = desk.uploads(b'c');
        let load = desk.latest();
        desk.silent.insert("fetch");
        desk.compares(failing());
        desk.happens(Event::Hand(load, Answer::Kept));
        assert_eq!((desk.runs(), desk.reply(request).as_str()), (b'b', "none"));
        (desk, request)
    };
    let (mut desk, request) = going_back();
    desk.silent.clear();
    desk.happens(Event::Hand(desk.latest(), Answer::Fetched { digest: component(b'a'), size: 1 }));
    assert_eq!(desk.runs(), b'a');
    assert!(desk.reply(request).contains("took over meanwhile"));
    let (mut desk, request) = going_back();
    desk.silent.clear();
    let gone = Answer::Failed(HandError::Missing("a file".to_owned()));
    desk.happens(Event::Hand(desk.latest(), gone));
    assert_eq!((desk.runs(), desk.reply(request).as_str()), (b'c', "ok"));
}

#[test]
fn without_time_or_a_former_one_there_is_no_watch() {
    let mut unwatched = spec();
    unwatched.swap.watch_time = std::time::Duration::ZERO;
    let mut desk = Desk::started(unwatched);
    desk.uploads(b'b');
    assert_eq!(desk.beside(), None);
    let mut desk = Desk::started(spec());
    desk.fails.insert("shadow", HandError::Unfit("does not start".to_owned()));
    desk.uploads(b'b');
    assert_eq!((desk.runs(), desk.stored.as_ref().unwrap().watch.clone()), (b'b', None));
    assert_eq!(desk.last_error(), None);
}

#[test]
fn shadows_and_watches_go_on_after_a_restart() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    desk.restart();
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(1))));
    assert_eq!(desk.life.report().stage, Some(Stage::Shadow));
    desk.compares(same());
    desk.waits(10);
    assert_eq!(desk.judges, Some(Generation(2)));
    desk.restart();
    assert_eq!((desk.judges, desk.life.report().stage), (Some(Generation(2)), Some(Stage::Watch)));
    // Of those that were not compared since, the one before may fail on some.
    desk.compares(Summary { compared: 2, ..failing() });
    assert_eq!(desk.judges, Some(Generation(2)));
    desk.compares(failing());
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(3))));
}

#[test]
fn a_pin_ends_what_judged_beside_when_the_host_stopped() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    let mut pinned = shadowing();
    pinned.digest = Some(component(b'a'));
    desk.life = PluginLife::new(std::sync::Arc::new(pinned));
    let stored = desk.stored.clone().map(std::sync::Arc::new);
    desk.happens(Event::Booted(stored));
    assert_eq!((desk.life.report().stage, desk.stored.as_ref().unwrap().shadow.clone()), (None, None));
    let error = desk.last_error().unwrap();
    assert!(error.contains("does not any more: its component has the digest sha256:6262"), "{error}");
}

#[test]
fn what_judged_beside_another_generation_ends_with_a_restart() {
    let mut desk = Desk::started(shadowing());
    desk.uploads(b'b');
    desk.place = Some(b'c');
    let stored = desk.stored.as_mut().unwrap();
    stored.history.clear();
    desk.fails.insert("configure", HandError::Unfit("is no good".to_owned()));
    desk.restart();
    assert!(matches!(desk.life.standing(), Standing::Failed(_)));
}
