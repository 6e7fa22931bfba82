//! Ways back that a person takes.

use super::super::*;
use super::desk::{Desk, component, spec};
use crate::domain::Generation;

#[test]
fn a_person_goes_back_and_to_a_generation_by_its_number() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.uploads(b'c');
    let request = desk.wants(Command::Rollback(None));
    assert_eq!((desk.reply(request).as_str(), desk.runs(), desk.judges), ("ok", b'b', Some(Generation(4))));
    assert_eq!(desk.stored.as_ref().unwrap().watch, None, "a way back is not watched");
    let request = desk.wants(Command::Rollback(Some(Generation(1))));
    assert_eq!((desk.reply(request).as_str(), desk.runs(), desk.judges), ("ok", b'a', Some(Generation(5))));
    let request = desk.wants(Command::Rollback(Some(Generation(9))));
    assert_eq!(desk.reply(request), "plugin `db` has no generation 9 to go back to; it keeps 1, 2, 3, 4, 5");
    let same = desk.wants(Command::Rollback(Some(Generation(5))));
    assert_eq!((desk.reply(same).as_str(), desk.judges), ("ok", Some(Generation(5))));
}

#[test]
fn a_way_back_goes_past_a_load_which_then_ends() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.silent.insert("configure");
    let waiting = desk.uploads(b'c');
    let ticket = desk.latest();
    desk.silent.clear();
    let request = desk.wants(Command::Rollback(None));
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'a'));
    let said = desk.reply(waiting);
    assert!(said.contains("stage promote: upload was loaded beside generation 2, and generation 3 (616161616161) took over meanwhile and stays active; try again"), "{said}");
    desk.happens(Event::Hand(ticket, Answer::Configured));
    assert_eq!(desk.runs(), b'a');
}

#[test]
fn a_way_back_passes_over_what_cannot_run() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.uploads(b'c');
    // The bytes of the second one are gone.
    desk.silent.insert("fetch");
    let request = desk.wants(Command::Rollback(None));
    let gone = HandError::Missing("/data/b.wasm".to_owned());
    desk.happens(Event::Hand(desk.latest(), Answer::Failed(gone.clone())));
    assert_eq!(desk.reply(request), "none", "the first one is tried");
    desk.happens(Event::Hand(desk.latest(), Answer::Failed(gone)));
    let said = desk.reply(request);
    assert!(said.starts_with("plugin `db`: generation 2 cannot come back: `/data/b.wasm` is missing or does not hold its component any more; generation 1 cannot come back"), "{said}");
    assert!(said.contains("it keeps 1, 2, 3: see `phasegate plugin history db`"), "{said}");
}

#[test]
fn a_generation_that_runs_and_fails_to_is_said_at_once() {
    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.fails.insert("configure", HandError::SettingsRefused("refuses them".to_owned()));
    let request = desk.wants(Command::Rollback(None));
    assert!(
        desk.reply(request).contains("stage configure: upload refuses them")
            || desk.reply(request).contains("stage configure: db.wasm refuses them")
    );
    assert_eq!(desk.runs(), b'b');
}

#[test]
fn a_pin_of_the_configuration_holds_for_ways_back_too() {
    let mut pinned = spec();
    pinned.digest = Some(component(b'a'));
    let mut desk = Desk::started(pinned);
    let request = desk.wants(Command::Rollback(None));
    assert!(desk.reply(request).contains("has no former generation"));
}
