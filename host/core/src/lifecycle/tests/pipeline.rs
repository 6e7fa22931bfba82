//! From a candidate to what becomes of it: rows of the tables of `prepare` and `promote`.

use super::super::*;
use super::desk::{Desk, changed, component, gate, same, spec};
use crate::domain::{Generation, Strategy};

/// Every stage with every answer: only the one that is waited for goes on.
#[test]
fn a_stage_goes_on_with_its_own_answer_alone() {
    let answers = || {
        [
            ("fetch", Answer::Fetched { digest: component(b'b'), size: 1 }),
            ("compile", Answer::Compiled(Facts::default())),
            ("configure", Answer::Configured),
            ("self-test", Answer::SelfTested(Some(3))),
            ("rehearse", Answer::Rehearsed(Box::new(same()))),
            ("keep", Answer::Kept),
            ("shadow", Answer::ShadowBegan { size: 1, facts: Facts::default() }),
        ]
    };
    let next = |effects: &[Effect]| -> Vec<&'static str> {
        let name = |effect: &Effect| match effect {
            Effect::Compile(_) => Some("compile"),
            Effect::Configure(..) => Some("configure"),
            Effect::SelfTest(..) => Some("self-test"),
            Effect::Rehearse { .. } => Some("rehearse"),
            Effect::Keep(_) => Some("keep"),
            Effect::Activate { .. } => Some("activate"),
            _ => None,
        };
        effects.iter().filter_map(name).collect()
    };
    let order = ["fetch", "compile", "configure", "self-test", "rehearse", "keep"];
    let follows = ["compile", "configure", "self-test", "rehearse", "keep", "activate"];
    for (at, stage) in order.iter().enumerate() {
        for (name, answer) in answers() {
            let mut desk = Desk::started(spec());
            desk.silent.insert(stage);
            desk.uploads(b'b');
            let ticket = desk.latest();
            let step = step(&mut desk.life, Event::Hand(ticket, answer), desk.now);
            let expected = if name == *stage { vec![follows[at]] } else { vec![] };
            assert_eq!(next(&step.effects), expected, "at {stage}, {name}");
        }
    }
}

#[test]
fn each_stage_may_fail_and_leaves_the_active_one() {
    for stage in ["fetch", "compile", "configure", "self-test", "rehearse", "keep"] {
        let mut desk = Desk::started(spec());
        desk.fails.insert(stage, HandError::Unfit("is no good".to_owned()));
        let request = desk.uploads(b'b');
        let shown = match stage {
            "keep" => "promote",
            "compile" => "shape",
            stage => stage,
        };
        let expected = format!(
            "plugin `db`, stage {shown}: upload is no good; generation 1 ({}) stays active",
            component(b'a').short()
        );
        assert_eq!(desk.reply(request), expected);
        assert_eq!(desk.last_error(), Some(expected));
        assert_eq!((desk.runs(), desk.judges), (b'a', Some(Generation(1))));
        assert!(desk.done.contains(&Effect::Cancel(desk.latest())));
        assert_eq!(desk.life.report().counters.refused, 1);
    }
}

#[test]
fn a_swap_is_recorded_before_it_decides_and_is_watched() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("keep");
    let request = desk.uploads(b'b');
    assert_eq!(desk.stored.as_ref().unwrap().generation, Generation(1));
    let ticket = desk.latest();
    let step = step(&mut desk.life, Event::Hand(ticket, Answer::Kept), desk.now);
    let record = step.record.clone().unwrap();
    assert_eq!((record.generation, record.digest), (Generation(2), component(b'b')));
    assert_eq!(record.watch.unwrap().former, Generation(1));
    assert_eq!(record.configured, configured(component(b'a'), "{}"), "what the file names, not the upload");
    assert_eq!(step.in_force, Some(Generation(2)));
    assert!(step.effects.contains(&Effect::Activate { ticket, generation: Generation(2) }));
    assert_eq!(step.replies.len(), 1);
    assert_eq!(step.replies[0].0, request);
}

#[test]
fn a_gate_refuses_and_shows_why() {
    let mut desk = Desk::started(spec_with_gate());
    desk.shows = changed();
    let request = desk.uploads(b'b');
    assert!(desk.reply(request).contains("changes 4 of 4 instances (gate.maxChangedPercent is 50)"));
    let diff = desk.life.report().diff.unwrap();
    assert_eq!((diff.stage, diff.seen.changed), (Stage::Rehearse, 4));
    assert!(diff.refusal.unwrap().to_string().starts_with("changes 4 of 4"));
    // By force it takes over all the same, and nothing watches it.
    let forced = SwapOptions { strategy: None, mode: SwapMode::Force };
    assert!(desk.uploads_with(b'b', forced) != request);
    assert_eq!((desk.runs(), desk.beside()), (b'b', None));
}

fn spec_with_gate() -> crate::domain::PluginSpec {
    let mut spec = spec();
    spec.swap.gate = Some(gate());
    spec
}

#[test]
fn a_dry_run_swaps_nothing() {
    let mut desk = Desk::started(spec_with_gate());
    desk.shows = changed();
    let request = desk.uploads_with(b'b', SwapOptions { strategy: None, mode: SwapMode::DryRun });
    assert_eq!((desk.reply(request).as_str(), desk.runs()), ("ok", b'a'));
    let Some((_, Ok(Reply::Swapped(Some(diff))))) = desk.replies.last() else { panic!("a diff") };
    assert!(diff.refusal.is_some());
}

#[test]
fn what_is_active_already_changes_nothing() {
    let mut desk = Desk::started(spec());
    let request = desk.uploads(b'a');
    assert_eq!((desk.reply(request).as_str(), desk.judges), ("ok", Some(Generation(1))));
}

#[test]
fn one_load_at_a_time() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("fetch");
    desk.uploads(b'b');
    let second = desk.uploads(b'c');
    assert_eq!(
        desk.reply(second),
        "plugin `db` is being loaded already from upload (stage fetch); try again when `phasegate plugin list` shows that this has ended"
    );
}

#[test]
fn a_discarded_load_is_over_whatever_its_hand_says() {
    for stage in ["fetch", "compile", "configure", "self-test", "rehearse", "keep"] {
        let mut desk = Desk::started(spec());
        desk.silent.insert(stage);
        let request = desk.uploads(b'b');
        let ticket = desk.latest();
        let discard = desk.wants(Command::Discard);
        assert_eq!(desk.reply(discard), "ok");
        assert!(desk.reply(request).contains("upload was discarded by hand"), "{}", desk.reply(request));
        desk.silent.clear();
        for answer in [Answer::Fetched { digest: component(b'b'), size: 1 }, Answer::Kept, Answer::Configured]
        {
            let step = step(&mut desk.life, Event::Hand(ticket, answer), desk.now);
            assert_eq!((step.effects, step.record), (vec![], None));
        }
        let again = desk.uploads(b'c');
        assert_eq!((desk.reply(again).as_str(), desk.runs()), ("ok", b'c'));
    }
}

#[test]
fn another_digest_than_the_configuration_asks_for_is_not_run() {
    let mut pinned = spec();
    pinned.digest = Some(component(b'a'));
    let mut desk = Desk::started(pinned);
    let request = desk.uploads(b'b');
    let said = desk.reply(request);
    assert!(said.contains("stage digest: upload has the digest sha256:6262"), "{said}");
    assert!(!desk.done.contains(&Effect::Compile(desk.latest())));
}

#[test]
fn a_hand_that_never_answers_is_given_up() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("compile");
    let request = desk.uploads(b'b');
    desk.waits(ANSWER_WITHIN.as_secs());
    assert!(desk.reply(request).contains("given up after 60 min without an answer of stage compile"));
    desk.silent.clear();
    assert!(desk.uploads(b'b') != request && desk.runs() == b'b');
}

#[test]
fn a_file_that_was_written_is_taken_up_and_a_refused_one_only_once() {
    let mut desk = Desk::started(spec());
    desk.place = Some(b'b');
    desk.happens(Event::FileSeen(component(b'b')));
    assert_eq!((desk.runs(), desk.judges), (b'b', Some(Generation(2))));
    desk.place = Some(b'c');
    desk.fails.insert("configure", HandError::SettingsRefused("refuses them".to_owned()));
    desk.happens(Event::FileSeen(component(b'c')));
    assert_eq!(
        desk.stored.as_ref().unwrap().refused.as_ref().unwrap().configured,
        configured(component(b'c'), "{}")
    );
    let loads = desk.life.report().counters.loads;
    desk.happens(Event::FileSeen(component(b'c')));
    assert_eq!(desk.life.report().counters.loads, loads, "the same bytes say nothing new");
    assert!(matches!(desk.said.last().unwrap().fact, Fact::NothingNew { .. }));
}

#[test]
fn a_file_waits_for_the_load_before_it() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("fetch");
    desk.uploads(b'b');
    let first = desk.latest();
    desk.place = Some(b'c');
    desk.happens(Event::FileSeen(component(b'c')));
    assert_eq!(desk.latest(), first);
    desk.silent.clear();
    desk.happens(Event::Hand(first, Answer::Fetched { digest: component(b'b'), size: 1 }));
    assert_eq!((desk.runs(), desk.judges), (b'c', Some(Generation(3))));
}

/// Nothing of an unrecorded step counts; a request that waits is answered, and a file is tried again.
#[test]
fn what_cannot_be_recorded_does_not_take_over() {
    let mut desk = Desk::started(spec());
    desk.silent.insert("keep");
    let request = desk.uploads(b'b');
    let event = Event::Hand(desk.latest(), Answer::Kept);
    let before = desk.life.clone();
    assert!(step(&mut desk.life, event.clone(), desk.now).record.is_some());
    desk.life = before;
    let step = step_unrecorded(&mut desk.life, event, "the disk is full", desk.now);
    assert_eq!((step.record.clone(), step.in_force), (None, None));
    desk.take(step);
    assert!(desk.reply(request).contains("upload cannot be recorded: the disk is full; generation 1"));
    let (_, answer) = desk.replies.last().unwrap();
    assert_eq!(answer.as_ref().unwrap_err().kind(), RefusalKind::Unavailable);

    desk.place = Some(b'c');
    desk.happens(Event::FileSeen(component(b'c')));
    let event = Event::Hand(desk.latest(), Answer::Kept);
    let step = step_unrecorded(&mut desk.life, event, "the disk is full", desk.now);
    assert!(step.wake_at.is_some());
    desk.take(step);
    desk.silent.clear();
    desk.waits(5);
    assert_eq!(desk.runs(), b'c');
}

#[test]
fn nothing_is_wanted_of_a_plugin_that_has_not_started() {
    let mut desk = Desk::new(spec());
    desk.silent.insert("compile");
    desk.happens(Event::Booted(None));
    let request = desk.uploads(b'b');
    assert!(desk.reply(request).contains("is not running yet"));
}

#[test]
fn a_strategy_without_a_rehearsal_asks_for_none() {
    let mut desk = Desk::started(spec());
    let options = SwapOptions { strategy: Some(Strategy::Immediate), mode: SwapMode::Heed };
    desk.uploads_with(b'b', options);
    assert_eq!(desk.runs(), b'b');
    assert!(!desk.done.iter().any(|effect| matches!(effect, Effect::Rehearse { .. })));
    let notes: Vec<String> =
        desk.life.report().load.unwrap().trace.stages().iter().filter_map(|run| run.note.clone()).collect();
    assert_eq!(notes[0], "no cases beside it");
    assert_eq!(notes[1], "strategy immediate");
}

#[test]
fn one_whose_compiler_runs_gives_way_to_a_newer_one() {
    // To a person, whoever had brought it.
    let mut desk = Desk::started(spec());
    desk.silent.insert("compile");
    let first = desk.uploads(b'b');
    let older = desk.latest();
    desk.silent.clear();
    let second = desk.uploads(b'c');
    assert!(desk.reply(first).contains("because a newer one came"), "{}", desk.reply(first));
    assert_eq!(desk.reply(second), "ok");
    assert!(desk.done.contains(&Effect::Cancel(older)));
    assert_eq!(desk.runs(), b'c');

    // A file to the next writing of it, and never the newer to the older.
    let mut desk = Desk::started(spec());
    desk.silent.insert("compile");
    desk.place = Some(b'b');
    desk.happens(Event::FileSeen(component(b'b')));
    let older = desk.latest();
    desk.happens(Event::FileSeen(component(b'b')));
    assert!(!desk.done.contains(&Effect::Cancel(older)), "the same bytes");
    desk.silent.clear();
    desk.place = Some(b'c');
    desk.happens(Event::FileSeen(component(b'c')));
    assert!(desk.done.contains(&Effect::Cancel(older)));
    assert_eq!(desk.runs(), b'c');

    // Once compiled it goes on.
    let mut desk = Desk::started(spec());
    desk.silent.insert("rehearse");
    desk.uploads(b'b');
    let refused = desk.uploads(b'c');
    assert!(desk.reply(refused).contains("is being loaded already"), "{}", desk.reply(refused));
}
