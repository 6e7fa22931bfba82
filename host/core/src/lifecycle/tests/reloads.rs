//! A changed configuration: everything that can fail first, and then all of it or nothing.

use std::sync::Arc;

use super::super::*;
use super::desk::{Desk, changed, component, gate, spec};
use crate::domain::{Generation, PluginSpec, RequestId};

fn prepared(desk: &mut Desk, spec: PluginSpec, place: Place) -> RequestId {
    desk.wants(Command::Prepare(Arc::new(spec), place))
}

fn take_up(desk: &mut Desk, request: RequestId) {
    desk.happens(Event::Wanted(request, Command::TakeUp));
}

fn taken(desk: &Desk) -> TakenUp {
    match desk.replies.last() {
        Some((_, Ok(Reply::TakenUp(taken)))) => (**taken).clone(),
        other => panic!("{other:?}"),
    }
}

fn named(source: &str) -> PluginSpec {
    PluginSpec { source: source.to_owned(), ..spec() }
}

#[test]
fn another_component_is_prepared_without_effect_and_taken_up() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    let request = prepared(&mut desk, named("other.wasm"), Place::Fixed);
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'a'));
    let busy = desk.uploads(b'c');
    assert!(desk.reply(busy).contains("is being loaded already"));
    take_up(&mut desk, request);
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(2))));
    let taken = taken(&desk);
    assert_eq!((taken.from, taken.to, taken.changed), (component(b'a'), component(b'b'), Part::Changed));
    let stored = desk.stored.clone().unwrap();
    assert_eq!(stored.configured, configured(component(b'b'), "{}"));
    assert_eq!((stored.considered, stored.history[1].why.as_str()), (Some(component(b'b')), "reload"));
    assert_eq!(desk.life.spec().source, "other.wasm");
}

#[test]
fn what_is_abandoned_changes_nothing() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    let request = prepared(&mut desk, named("other.wasm"), Place::Fixed);
    desk.happens(Event::Wanted(request, Command::Abandon));
    take_up(&mut desk, request);
    assert!(desk.reply(request).contains("has nothing prepared"));
    assert_eq!((desk.runs(), desk.life.spec().source.as_str()), (b'a', "db.wasm"));
}

#[test]
fn a_gate_refuses_a_reload() {
    let mut gated = spec();
    gated.swap.gate = Some(gate());
    let mut desk = Desk::started(gated.clone());
    desk.shows = changed();
    desk.place = Some(b'b');
    let other = PluginSpec { source: "other.wasm".to_owned(), ..gated.clone() };
    let request = prepared(&mut desk, other.clone(), Place::Fixed);
    assert!(desk.reply(request).contains("changes 4 of 4"));
    desk.shows = Summary { judged: 1, compared: 1, changed: 0, ..changed() };
    let request = prepared(&mut desk, other, Place::Fixed);
    assert!(desk.reply(request).contains("1 of 4 instances were judged so far; reload again when"));
}

#[test]
fn other_settings_are_taken_by_what_runs() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'u');
    let other = PluginSpec { settings: "{\"a\":1}".to_owned(), ..spec() };
    let request = prepared(&mut desk, other, Place::Fixed);
    take_up(&mut desk, request);
    let active = desk.life.report().active.unwrap();
    assert_eq!((active.digest, &*active.settings), (component(b'u'), "{\"a\":1}"));
    let hint = Said { plugin: desk.life.name().clone(), fact: left_alone(&desk.life).unwrap() };
    assert!(hint.to_string().contains("component 757575757575 stays; `db.wasm` has 616161616161"));
}

#[test]
fn what_runs_beside_the_file_is_named_whatever_the_reason() {
    let mut desk = Desk::started(spec());
    assert_eq!(left_alone(&desk.life), None);
    desk.uploads(b'u');
    for _ in 0..2 {
        let request = prepared(&mut desk, spec(), Place::Fixed);
        take_up(&mut desk, request);
        let Some(fact @ Fact::Left { .. }) = left_alone(&desk.life) else { panic!("an upload runs") };
        let said = Said { plugin: desk.life.name().clone(), fact }.to_string();
        assert!(said.contains("component 757575757575 stays; `db.wasm` has 616161616161"), "{said}");
    }
}

#[test]
fn rules_alone_are_taken_up_without_a_load() {
    let mut desk = Desk::started(spec());
    let loads = desk.life.report().counters.loads;
    let mut other = spec();
    other.swap.gate = Some(gate());
    let request = prepared(&mut desk, other, Place::Fixed);
    take_up(&mut desk, request);
    assert_eq!((desk.judges, desk.life.report().counters.loads), (Some(Generation(1)), loads));
    assert!(desk.life.spec().swap.gate.is_some());
}

#[test]
fn a_tag_that_moved_is_taken_up_and_one_that_is_away_is_a_warning() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    let request = prepared(&mut desk, spec(), Place::MayMove);
    take_up(&mut desk, request);
    assert_eq!(desk.runs(), b'b');
    desk.place = None;
    let request = prepared(&mut desk, spec(), Place::MayMove);
    take_up(&mut desk, request);
    assert_eq!(desk.runs(), b'b');
    assert!(matches!(taken(&desk).warning, Some(Fact::NotLookedAt { .. })));
    desk.place = Some(b'b');
    let request = prepared(&mut desk, spec(), Place::MayMove);
    take_up(&mut desk, request);
    let taken = taken(&desk);
    assert_eq!((taken.warning, taken.changed), (None, Part::Same));
}

#[test]
fn a_moved_tag_that_is_refused_is_remembered() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.fails.insert("configure", HandError::SettingsRefused("refuses them".to_owned()));
    let request = prepared(&mut desk, spec(), Place::MayMove);
    assert!(desk.reply(request).contains("refuses them"));
    assert_eq!(
        desk.stored.as_ref().unwrap().refused.as_ref().unwrap().configured,
        configured(component(b'b'), "{}")
    );
    assert!(not_in_force(&desk.life).unwrap().contains("refuses them"));
}

#[test]
fn what_took_over_meanwhile_stays() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'u');
    desk.place = Some(b'b');
    let request = prepared(&mut desk, named("other.wasm"), Place::Fixed);
    desk.wants(Command::Rollback(None));
    take_up(&mut desk, request);
    assert!(desk.reply(request).contains("took over meanwhile"));
    assert_eq!((desk.runs(), desk.life.spec().source.as_str()), (b'a', "db.wasm"));
}

#[test]
fn a_reload_waits_for_the_load_before_it_and_is_given_up_at_last() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("fetch");
    desk.uploads(b'b');
    let first = desk.latest();
    desk.place = Some(b'c');
    let request = prepared(&mut desk, named("other.wasm"), Place::Fixed);
    assert_eq!(desk.reply(request), "none");
    desk.silent.clear();
    desk.happens(Event::Hand(first, Answer::Fetched { digest: component(b'b'), size: 1 }));
    assert_eq!(desk.reply(request), "ok");
    desk.waits(ANSWER_WITHIN.as_secs());
    take_up(&mut desk, request);
    assert!(desk.reply(request).contains("nothing prepared"));
}

/// Components must carry cases from now on.
fn asks_more(spec: PluginSpec) -> PluginSpec {
    PluginSpec { asks: "cases".to_owned(), ..spec }
}

#[test]
fn what_is_asked_of_components_is_asked_of_what_the_file_holds_before_it_is_taken_up() {
    let mut desk = Desk::started(spec());
    desk.fails.insert("self-test", HandError::Unfit("carries no cases".to_owned()));
    let request = prepared(&mut desk, asks_more(spec()), Place::Fixed);
    assert!(desk.reply(request).contains("carries no cases"), "{}", desk.reply(request));
    take_up(&mut desk, request);
    assert!(desk.reply(request).contains("has nothing prepared"));
    assert_eq!(
        (desk.runs(), desk.life.spec().asks.as_str()),
        (b'a', ""),
        "the next start is as the one before"
    );
    desk.fails.clear();
    // It takes over from nothing, whatever it would decide.
    desk.shows = changed();
    let mut gated = asks_more(spec());
    gated.swap.gate = Some(gate());
    desk.uploads(b'u');
    let request = prepared(&mut desk, gated, Place::Fixed);
    take_up(&mut desk, request);
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'u'));
    assert_eq!(desk.life.spec().asks, "cases");
}

#[test]
fn what_judges_beside_ends_when_something_else_is_asked_of_components() {
    for other in [asks_more as fn(PluginSpec) -> PluginSpec, |spec| PluginSpec {
        digest: Some(component(b'a')),
        ..spec
    }] {
        let mut shadowing = spec();
        shadowing.swap.strategy = crate::domain::Strategy::Shadow;
        shadowing.swap.gate = Some(gate());
        let mut desk = Desk::started(shadowing.clone());
        desk.uploads(b'b');
        assert!(desk.life.shadowed().is_some());
        let request = prepared(&mut desk, other(shadowing), Place::Fixed);
        take_up(&mut desk, request);
        assert!(desk.life.shadowed().is_none(), "{}", desk.reply(request));
        let promoted = desk.wants(Command::Promote);
        assert!(desk.reply(promoted).contains("no shadow"), "{}", desk.reply(promoted));
        assert_eq!((desk.runs(), desk.stored.as_ref().unwrap().shadow.is_none()), (b'a', true));
    }
}

#[test]
fn a_person_ends_what_a_reload_compiles_and_the_reload_is_refused() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.silent.insert("compile");
    let request = prepared(&mut desk, named("other.wasm"), Place::Fixed);
    let discarded = desk.wants(Command::Discard);
    assert_eq!(desk.reply(discarded), "ok");
    assert!(desk.reply(request).contains("was discarded by hand"), "{}", desk.reply(request));
    assert_eq!((desk.runs(), desk.life.spec().source.as_str()), (b'a', "db.wasm"));
}

#[test]
fn what_was_refused_before_and_takes_over_now_is_no_trouble_any_more() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.fails.insert("compile", HandError::Unfit("does not compile".to_owned()));
    desk.happens(Event::FileSeen(component(b'b')));
    assert!(desk.life.report().last_error.is_some());
    desk.fails.clear();
    let other =
        PluginSpec { limits: crate::domain::PluginLimits { memory_mib: 99, ..spec().limits }, ..spec() };
    let request = prepared(&mut desk, other, Place::MayMove);
    take_up(&mut desk, request);
    assert_eq!((desk.runs(), taken(&desk).warning), (b'b', None));
    assert!(desk.life.report().last_error.is_none(), "{:?}", desk.life.report().last_error);
}
