//! Lives of plugins in a kernel: hands that do their part at once, and a record that may refuse.

use std::sync::Arc;
use std::time::Duration;

use super::super::command::{Command, Reconfiguration, Request};
use super::super::{Configured, Effect, Event as Happened, Kernel, RefusedCommit, Reply, Turn};
use crate::domain::*;
use crate::lifecycle::{self, Answer, Offer, Place, SwapMode, SwapOptions};
use crate::record::{Made, Stored, Write};

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).unwrap()
}

fn spec(name: &str, source: &str) -> PluginSpec {
    PluginSpec {
        name: plugin(name),
        source: source.to_owned(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        asks: String::new(),
        swap: SwapRules { strategy: Strategy::Immediate, gate: None, watch_time: Duration::ZERO },
    }
}

/// The component at a place, or what was uploaded: its first letter.
fn fetched(from: &lifecycle::From, source: u8) -> Digest {
    match from {
        lifecycle::From::Held(digest) | lifecycle::From::Kept(digest) => *digest,
        lifecycle::From::Configured => Digest([b'a'; 32]),
        lifecycle::From::Proposed | lifecycle::From::Reference(_) => Digest([source; 32]),
    }
}

fn answer(effect: &lifecycle::Effect) -> Option<lifecycle::Event> {
    let (ticket, answer) = match effect {
        lifecycle::Effect::Fetch(ticket, from) => {
            (ticket, Answer::Fetched { digest: fetched(from, b'n'), size: 1 })
        }
        lifecycle::Effect::Compile(ticket) => (ticket, Answer::Compiled(lifecycle::Facts::default())),
        lifecycle::Effect::Configure(ticket, _) => (ticket, Answer::Configured),
        lifecycle::Effect::SelfTest(ticket, _) => (ticket, Answer::SelfTested(None)),
        lifecycle::Effect::Keep(ticket) => (ticket, Answer::Kept),
        _ => return None,
    };
    Some(lifecycle::Event::Hand(*ticket, answer))
}

struct Two {
    kernel: Kernel,
    now: Now,
    requests: u64,
    /// The latest answer.
    answered: Option<super::Answer>,
}

impl Two {
    /// Two plugins, each with its first generation.
    fn new() -> Self {
        let plugins = ["db", "web"].map(|name| Arc::new(spec(name, "one.wasm"))).to_vec();
        let now = Now::same(Timestamp(1_000_000));
        let configured = Configured { plugins, ..Configured::default() };
        let (kernel, first) = Kernel::boot_with(configured, &Stored::default(), now);
        let mut two = Self { kernel, now, requests: 0, answered: None };
        two.follow(first);
        assert_eq!((two.digest("db"), two.digest("web")), (b'a', b'a'));
        two
    }

    fn turn(&mut self, events: Vec<Happened>) {
        let turn = self.kernel.turn(events, self.now);
        self.follow(turn);
    }

    fn follow(&mut self, turn: Turn) {
        self.answered = turn.replies.into_iter().map(|(_, answer)| answer).last().or(self.answered.take());
        for effect in turn.effects {
            let Effect::Plugin(name, effects) = effect else { continue };
            for event in effects.iter().filter_map(answer) {
                self.turn(vec![Happened::Plugin(name.clone(), event)]);
            }
        }
    }

    fn asks(&mut self, command: Command) -> (RequestId, super::Answer) {
        self.requests += 1;
        let (id, actor) = (RequestId(self.requests), Actor::Host);
        self.turn(vec![Happened::Request(Request { id, actor, reason: None, key: None, command })]);
        (id, self.answered.clone().unwrap())
    }

    fn wants(&mut self, name: &str, command: lifecycle::Command) -> (RequestId, super::Answer) {
        self.asks(Command::Plugin(plugin(name), Box::new(command)))
    }

    fn uploads(&mut self, name: &str, letter: u8) {
        let offer = Offer::Held { digest: Digest([letter; 32]), source: "upload".to_owned() };
        let options = SwapOptions { strategy: None, mode: SwapMode::Heed };
        let (_, answer) = self.wants(name, lifecycle::Command::Swap(offer, options));
        assert!(answer.is_ok(), "{answer:?}");
    }

    fn digest(&self, name: &str) -> u8 {
        let life = self.kernel.fleet().plugin(&plugin(name)).unwrap();
        life.report().active.unwrap().digest.0[0]
    }
}

#[test]
fn a_reload_is_taken_up_by_all_plugins_or_by_none() {
    for overtaken in [false, true] {
        let mut two = Two::new();
        two.uploads("web", b'u');
        let plugins = ["db", "web"].map(|name| {
            let next = Arc::new(spec(name, "two.wasm"));
            let (id, answer) = two.wants(name, lifecycle::Command::Prepare(next, Place::Fixed));
            assert_eq!(answer, Ok(Reply::Plugin(lifecycle::Reply::Prepared)));
            (plugin(name), id)
        });
        if overtaken {
            let (_, answer) = two.wants("web", lifecycle::Command::Rollback(None));
            assert!(answer.is_ok(), "{answer:?}");
        }
        let change = Reconfiguration { plugins: plugins.to_vec(), ..Reconfiguration::default() };
        let (_, answer) = two.asks(Command::Reconfigure(change));
        assert_eq!(answer.is_err(), overtaken, "{answer:?}");
        let expected = if overtaken { (b'a', b'a') } else { (b'n', b'n') };
        assert_eq!((two.digest("db"), two.digest("web")), expected);
        let source = &two.kernel.fleet().plugin(&plugin("db")).unwrap().spec().source;
        assert_eq!(source, if overtaken { "one.wasm" } else { "two.wasm" });
    }
}

#[test]
fn what_waited_for_the_record_is_heard_before_what_came_later() {
    let mut two = Two::new();
    let says = |event| Happened::Plugin(plugin("db"), event);
    let most = lifecycle::Failing { failed: 3, instances: 4, cause: "it trapped".to_owned() };
    let trouble = lifecycle::Event::Trouble(Generation(1), most);
    let no_more = lifecycle::Event::Failing(Generation(1), None);
    // A record that refuses: what comes now waits.
    let stop =
        Request { id: RequestId(9), actor: Actor::Host, reason: None, key: None, command: Command::StopLine };
    let turn = two.kernel.turn(vec![Happened::Request(stop)], two.now);
    let refused = RefusedCommit { turn, why: "the disk is full".to_owned(), made: Made::No };
    drop(two.kernel.turn(vec![Happened::CommitRefused(Box::new(refused)), says(trouble)], two.now));
    two.now = Now::same(two.now.at + Duration::from_secs(60));
    drop(two.kernel.turn(vec![says(no_more)], two.now));
    let report = two.kernel.fleet().plugin(&plugin("db")).unwrap().report();
    assert_eq!(report.last_error, None, "it has found back by itself");
}

#[test]
fn what_was_found_against_a_file_is_recorded_once_the_record_takes_writes() {
    let mut two = Two::new();
    let db = || plugin("db");
    let hand = |ticket, answer| vec![Happened::Plugin(db(), lifecycle::Event::Hand(ticket, answer))];
    let seen = lifecycle::Event::FileSeen(Digest([b'n'; 32]));
    let turn = two.kernel.turn(vec![Happened::Plugin(db(), seen)], two.now);
    let ticket = turn.effects.iter().find_map(|effect| match effect {
        Effect::Plugin(_, effects) => effects.iter().find_map(|effect| match effect {
            lifecycle::Effect::Fetch(ticket, _) => Some(*ticket),
            _ => None,
        }),
        _ => None,
    });
    let ticket = ticket.unwrap();
    drop(two.kernel.turn(hand(ticket, Answer::Fetched { digest: Digest([b'n'; 32]), size: 1 }), two.now));
    let unfit = lifecycle::HandError::Unfit("is no good".to_owned());
    let turn = two.kernel.turn(hand(ticket, Answer::Failed(unfit)), two.now);
    assert!(!turn.writes.is_empty(), "that it was refused is on record");
    let refused = RefusedCommit { turn, why: "the disk is full".to_owned(), made: Made::No };
    drop(two.kernel.turn(vec![Happened::CommitRefused(Box::new(refused))], two.now));
    two.now = Now::same(two.now.at + Duration::from_secs(60));
    let turn = two.kernel.turn(Vec::new(), two.now);
    let written = turn.writes.iter().rev().find_map(|write| match write {
        Write::Plugin(_, stored) => Some(stored.refused.clone()),
        _ => None,
    });
    assert!(written.flatten().is_some(), "{:?}", turn.writes);
}

#[test]
fn who_is_overtaken_by_a_reload_hears_of_it_and_the_reload_is_granted() {
    let mut two = Two::new();
    two.uploads("db", b'u');
    let next = Arc::new(spec("db", "two.wasm"));
    let (prepared, _) = two.wants("db", lifecycle::Command::Prepare(next, Place::Fixed));
    let request = |id, command| {
        Happened::Request(Request { id: RequestId(id), actor: Actor::Host, reason: None, key: None, command })
    };
    // Its hand has not answered yet.
    let back = Command::Plugin(plugin("db"), Box::new(lifecycle::Command::Rollback(None)));
    assert_eq!(two.kernel.turn(vec![request(50, back)], two.now).replies, []);
    let plugins = vec![(plugin("db"), prepared)];
    let reload = Command::Reconfigure(Reconfiguration { plugins, ..Reconfiguration::default() });
    let turn = two.kernel.turn(vec![request(51, reload)], two.now);
    let answered: Vec<(u64, bool)> = turn.replies.iter().map(|(id, answer)| (id.0, answer.is_ok())).collect();
    assert_eq!(answered, [(50, false), (51, true)]);
    assert_eq!(two.digest("db"), b'n');
}

/// The life answers for what it was told; a reload that it was not even told of is answered all the same.
#[test]
fn a_refused_reload_is_answered_also_when_the_record_refuses() {
    let mut two = Two::new();
    let request = |id, command| {
        Happened::Request(Request { id: RequestId(id), actor: Actor::Host, reason: None, key: None, command })
    };
    let plugins = vec![(plugin("db"), RequestId(77))];
    let reload = Command::Reconfigure(Reconfiguration { plugins, ..Reconfiguration::default() });
    let line = Command::StartLine;
    let next = Arc::new(spec("web", "two.wasm"));
    let prepare = Command::Plugin(plugin("web"), Box::new(lifecycle::Command::Prepare(next, Place::Fixed)));
    let mut turn = two.kernel.turn(vec![request(8, reload), request(9, prepare), request(10, line)], two.now);
    turn.writes.push(Write::Line(None));
    let refused = RefusedCommit { turn, why: "the disk is full".to_owned(), made: Made::No };
    let turn = two.kernel.turn(vec![Happened::CommitRefused(Box::new(refused))], two.now);
    let answered: Vec<u64> = turn.replies.iter().map(|(id, _)| id.0).collect();
    assert!(answered.contains(&8) && answered.contains(&10), "{:?}", turn.replies);
}

/// Two refusals in a row: a life that has changed its mind between them.
#[test]
fn what_is_written_over_is_what_the_record_had() {
    let mut two = Two::new();
    let hand = |ticket, answer| Happened::Plugin(plugin("db"), lifecycle::Event::Hand(ticket, answer));
    let seen = lifecycle::Event::FileSeen(Digest([b'n'; 32]));
    let turn = two.kernel.turn(vec![Happened::Plugin(plugin("db"), seen)], two.now);
    let ticket = turn.effects.iter().find_map(fetch).unwrap();
    let fetched = Answer::Fetched { digest: Digest([b'n'; 32]), size: 1 };
    drop(two.kernel.turn(vec![hand(ticket, fetched)], two.now));
    let unfit = lifecycle::HandError::Unfit("is no good".to_owned());
    let mut turn = two.kernel.turn(vec![hand(ticket, Answer::Failed(unfit))], two.now);
    for _ in 0..2 {
        let refused = RefusedCommit { turn, why: "the disk is full".to_owned(), made: Made::No };
        drop(two.kernel.turn(vec![Happened::CommitRefused(Box::new(refused))], two.now));
        two.now = Now::same(two.now.at + Duration::from_secs(60));
        turn = two.kernel.turn(Vec::new(), two.now);
    }
    let written: Vec<bool> = turn.writes.iter().filter_map(refusal_written).collect();
    assert_eq!((written.first(), written.last()), (Some(&false), Some(&true)), "as it was, then as it is");
}

fn fetch(effect: &Effect) -> Option<lifecycle::Ticket> {
    let Effect::Plugin(_, effects) = effect else { return None };
    effects.iter().find_map(|effect| match effect {
        lifecycle::Effect::Fetch(ticket, _) => Some(*ticket),
        _ => None,
    })
}

/// Whether a plugin's record says that something was refused; none of other writes.
fn refusal_written(write: &Write) -> Option<bool> {
    match write {
        Write::Plugin(_, stored) => Some(stored.refused.is_some()),
        _ => None,
    }
}
