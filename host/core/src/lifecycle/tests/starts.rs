//! The table of `startup`.

use super::super::*;
use super::desk::{Desk, component, spec};
use crate::domain::Generation;

#[test]
fn the_first_start_runs_what_the_configuration_names() {
    let desk = Desk::started(spec());
    let stored = desk.stored.clone().unwrap();
    assert_eq!((stored.generation, stored.digest), (Generation(1), component(b'a')));
    assert_eq!(stored.configured, configured(component(b'a'), "{}"));
    assert_eq!(stored.considered, Some(component(b'a')));
    assert_eq!(stored.history[0].why, "start of the host");
}

#[test]
fn a_host_does_not_begin_with_less_than_it_was_told_to() {
    for stage in ["fetch", "compile", "configure", "self-test"] {
        let mut desk = Desk::new(spec());
        desk.fails.insert(stage, HandError::Unfit("is no good".to_owned()));
        desk.happens(Event::Booted(None));
        let Standing::Failed(refusal) = desk.life.standing() else { panic!("at {stage}") };
        let shown = if stage == "compile" { "shape" } else { stage };
        assert_eq!(refusal.to_string(), format!("plugin `db`, stage {shown}: db.wasm is no good"));
        assert_eq!(desk.stored, None);
    }
}

#[test]
fn a_full_disk_keeps_no_host_from_starting() {
    let mut desk = Desk::new(spec());
    desk.fails.insert("keep", HandError::NotKept("full".to_owned()));
    desk.happens(Event::Booted(None));
    assert_eq!(desk.judges, Some(Generation(1)));
}

#[test]
fn a_start_that_cannot_be_recorded_is_none() {
    let mut desk = Desk::new(spec());
    desk.silent.insert("keep");
    desk.happens(Event::Booted(None));
    let event = Event::Hand(desk.latest(), Answer::Kept);
    let step = step_unrecorded(&mut desk.life, event, "the disk is full", desk.now);
    assert_eq!((step.in_force, step.record), (None, None));
    let Standing::Failed(refusal) = desk.life.standing() else { panic!("it runs") };
    assert_eq!(refusal.kind(), RefusalKind::Unavailable);
}

#[test]
fn the_same_goes_on_as_the_same_generation() {
    let mut desk = Desk::started(spec());
    let before = desk.stored.clone();
    desk.restart();
    assert_eq!((desk.judges, desk.stored.clone()), (Some(Generation(1)), before));
}

#[test]
fn what_changed_while_the_host_was_off_goes_through_the_stages() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.restart();
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(2))));
    assert_eq!(desk.stored.as_ref().unwrap().history[1].why, "it changed while the host was off");
    assert!(desk.stored.as_ref().unwrap().watch.is_some());
}

#[test]
fn what_was_refused_is_not_tried_again() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.silent.insert("nothing");
    let mut gated = spec();
    gated.swap.gate = Some(super::desk::gate());
    desk.life = PluginLife::new(std::sync::Arc::new(gated));
    desk.shows = super::desk::changed();
    let stored = desk.stored.clone().map(std::sync::Arc::new);
    desk.happens(Event::Booted(stored));
    assert_eq!(desk.runs(), b'a');
    assert!(desk.last_error().unwrap().contains("changes 4 of 4"));
    let loads = desk.life.report().counters.loads;
    desk.restart();
    assert!(desk.life.report().counters.loads < loads);
    assert!(desk.last_error().unwrap().contains("changes 4 of 4"), "it is said");
}

#[test]
fn an_upload_survives_a_restart_and_the_configuration_does_not_come_up_again() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'u');
    desk.compares(super::desk::same());
    desk.waits(61);
    desk.restart();
    assert_eq!((desk.runs(), desk.judges), (b'u', Some(Generation(2))));
}

#[test]
fn what_cannot_be_fetched_leaves_the_recorded_one() {
    let mut desk = Desk::started(spec());
    desk.place = None;
    desk.restart();
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(1))));
    let error = desk.last_error().unwrap();
    assert_eq!(
        error,
        "plugin `db`: component `db.wasm` cannot be used (stage fetch): it cannot be fetched; the bytes of its last load, generation 1 (616161616161), are used"
    );
    assert_eq!(desk.life.report().load.unwrap().trace.failed(), Some(Stage::Fetch));
}

#[test]
fn a_recorded_generation_that_cannot_run_gives_way_to_the_configuration() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.silent.extend(["fetch"]);
    desk.restart();
    let look = desk.latest();
    desk.happens(Event::Hand(look, Answer::Fetched { digest: component(b'b'), size: 1 }));
    let gone = Answer::Failed(HandError::Missing("/data/a.wasm".to_owned()));
    desk.silent.clear();
    desk.happens(Event::Hand(desk.latest(), gone));
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(2))));
    let error = desk.last_error().unwrap();
    assert_eq!(
        error,
        "plugin `db`: generation 1 (616161616161) cannot go on, because its component is missing from the data directory or damaged; db.wasm decides in its place, as the configuration names it"
    );
}

#[test]
fn the_recorded_one_runs_where_its_own_bytes_do_not_pass_their_cases_any_more() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("self-test");
    desk.restart();
    let failed = Answer::Failed(HandError::Unfit("fails 1 of its 2 cases".to_owned()));
    desk.silent.clear();
    desk.happens(Event::Hand(desk.latest(), failed));
    assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(1))));
    assert!(desk.last_error().unwrap().contains("fails 1 of its 2 cases; generation 1 stays active"));
}

#[test]
fn other_settings_are_for_what_runs() {
    let mut desk = Desk::started(spec());
    let mut other = spec();
    other.settings = "{\"a\":1}".to_owned();
    desk.life = PluginLife::new(std::sync::Arc::new(other));
    let stored = desk.stored.clone().map(std::sync::Arc::new);
    desk.happens(Event::Booted(stored));
    let active = desk.life.report().active.unwrap();
    assert_eq!((&*active.settings, active.generation), ("{\"a\":1}", Generation(2)));
    assert_eq!(active.digest, component(b'a'));
}
