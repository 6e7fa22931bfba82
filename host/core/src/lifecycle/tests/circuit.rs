//! Generations that fail for most of their instances.

use super::super::*;
use super::desk::{Desk, same, spec};
use crate::domain::Generation;

fn most() -> Failing {
    Failing { failed: 3, instances: 4, cause: "it trapped".to_owned() }
}

fn better() -> Summary {
    Summary { failed_old: 3, ..same() }
}

/// Three generations; the third one is active and its watch has ended.
fn third() -> Desk {
    let mut desk = Desk::started(spec());
    for letter in [b'b', b'c'] {
        desk.uploads(letter);
        desk.compares(same());
        desk.waits(61);
    }
    assert_eq!(desk.judges, Some(Generation(3)));
    desk
}

#[test]
fn a_former_generation_that_does_better_comes_back() {
    let mut desk = third();
    desk.shows = better();
    desk.happens(Event::Trouble(Generation(3), most()));
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(4))));
    let error = desk.last_error().unwrap();
    assert!(
        error.ends_with("failed for 3 of 4 instances: it trapped; going back to generation 2"),
        "{error}"
    );
    assert_eq!(desk.life.report().counters.reverted, 1);
    assert!(desk.stored.as_ref().unwrap().history[2].left_because.is_some());
    // The rounds of the generation before say nothing of this one.
    desk.happens(Event::Failing(Generation(3), Some(most())));
    assert_eq!(desk.judges, Some(Generation(4)));
}

#[test]
fn they_are_asked_one_after_the_other_and_again_after_a_minute() {
    let mut desk = third();
    desk.happens(Event::Trouble(Generation(3), most()));
    let asked = |desk: &Desk| {
        desk.done.iter().filter(|effect| matches!(effect, Effect::Rehearse { only: Some(_), .. })).count()
    };
    assert_eq!((asked(&desk), desk.judges), (2, Some(Generation(3))));
    assert!(desk.last_error().unwrap().contains("fails for 3 of 4 instances, and no former generation that it could go back to does better: it trapped"));
    desk.waits(59);
    assert_eq!(asked(&desk), 2);
    desk.waits(1);
    assert_eq!(asked(&desk), 4);
    let said = desk.said.iter().filter(|said| matches!(said.fact, Fact::NothingBetter { .. })).count();
    assert_eq!(said, 1, "said once");
    // It finds back by itself.
    desk.happens(Event::Failing(Generation(3), None));
    assert_eq!(desk.last_error(), None);
    desk.waits(600);
    assert_eq!(asked(&desk), 4);
}

#[test]
fn what_was_forced_stays() {
    let mut desk = third();
    desk.uploads_with(b'd', SwapOptions { strategy: None, mode: SwapMode::Force });
    desk.shows = better();
    desk.happens(Event::Trouble(Generation(4), most()));
    assert_eq!(desk.judges, Some(Generation(4)));
    assert!(desk.last_error().unwrap().contains("it was swapped in with --force, so nothing takes it back"));
    desk.restart();
    desk.happens(Event::Trouble(Generation(4), most()));
    assert_eq!(desk.judges, Some(Generation(4)), "after a restart, too");
    // A record of an older host has only the reason.
    let last = desk.stored.as_mut().unwrap().history.last_mut().unwrap();
    last.forced = crate::record::Forced::No;
    desk.restart();
    desk.happens(Event::Trouble(Generation(4), most()));
    assert_eq!(desk.judges, Some(Generation(4)));
}

#[test]
fn a_load_a_watch_and_few_failures_keep_it_waiting() {
    let mut desk = third();
    desk.shows = better();
    desk.happens(Event::Trouble(Generation(3), Failing { failed: 2, ..most() }));
    assert_eq!(desk.judges, Some(Generation(3)), "half is not most");
    desk.silent.insert("compile");
    desk.uploads(b'd');
    desk.happens(Event::Trouble(Generation(3), most()));
    assert_eq!(desk.judges, Some(Generation(3)), "it may be what helps");
    desk.silent.clear();
    desk.wants(Command::Discard);
    assert_eq!(desk.judges, Some(Generation(4)));

    let mut desk = Desk::started(spec());
    desk.uploads(b'b');
    desk.shows = better();
    desk.happens(Event::Trouble(Generation(2), most()));
    assert_eq!(desk.judges, Some(Generation(2)), "its watch decides");
}

#[test]
fn one_that_cannot_be_asked_is_named() {
    let mut desk = third();
    desk.fails.insert("compile", HandError::Unfit("does not load".to_owned()));
    desk.happens(Event::Trouble(Generation(3), most()));
    let error = desk.last_error().unwrap();
    assert!(
        error.contains("does better (generation 2 does not load; generation 1 does not load): it trapped"),
        "{error}"
    );
}
