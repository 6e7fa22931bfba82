//! A plugin's life with hands that do as they are told: by default everything goes well at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::compare::Summary;
use super::super::*;
use crate::domain::{
    Digest, Gate, Generation, Isolation, Now, OnFailure, PluginLimits, PluginName, PluginSpec, RequestId,
    Strategy, SwapRules, Timestamp,
};
use crate::record::StoredPlugin;

/// The component of this letter.
pub(super) fn component(letter: u8) -> Digest {
    Digest([letter; 32])
}

/// A plugin that rehearses, without a gate, and watches for a minute.
pub(super) fn spec() -> PluginSpec {
    PluginSpec {
        name: PluginName::parse("db").unwrap(),
        source: "db.wasm".to_owned(),
        settings: "{}".to_owned(),
        limits: PluginLimits::DEFAULT,
        isolation: Isolation::PerBatch,
        on_failure: OnFailure::Hold,
        digest: None,
        asks: String::new(),
        swap: SwapRules { strategy: Strategy::Rehearse, gate: None, watch_time: Duration::from_secs(60) },
    }
}

/// A gate that lets half of the instances change.
pub(super) fn gate() -> Gate {
    Gate { changed_max: Some(50), forbid: Vec::new(), observations_min: 4, time_min: Duration::from_secs(10) }
}

/// Four instances, all compared and the same.
pub(super) fn same() -> Summary {
    Summary { instances: 4, judged: 4, compared: 4, observations: 4, ..Summary::default() }
}

/// All four change.
pub(super) fn changed() -> Summary {
    Summary { changed: 4, ..same() }
}

pub(super) struct Desk {
    pub(super) life: PluginLife,
    pub(super) now: Now,
    /// As the store has it.
    pub(super) stored: Option<StoredPlugin>,
    /// What the place of the configuration holds; none where it is away.
    pub(super) place: Option<u8>,
    /// What a rehearsal shows.
    pub(super) shows: Summary,
    /// Stages that do not answer.
    pub(super) silent: BTreeSet<&'static str>,
    /// Answers that stages give in place of the good one.
    pub(super) fails: BTreeMap<&'static str, HandError>,
    /// Everything that was asked of the hands.
    pub(super) done: Vec<Effect>,
    pub(super) said: Vec<Said>,
    pub(super) replies: Vec<(RequestId, Result<Reply, Refusal>)>,
    pub(super) judges: Option<Generation>,
    requests: u64,
}

impl Desk {
    /// Before its start.
    pub(super) fn new(spec: PluginSpec) -> Self {
        Self {
            life: PluginLife::new(Arc::new(spec)),
            now: Now::same(Timestamp(1_000_000)),
            stored: None,
            place: Some(b'a'),
            shows: same(),
            silent: BTreeSet::new(),
            fails: BTreeMap::new(),
            done: Vec::new(),
            said: Vec::new(),
            replies: Vec::new(),
            judges: None,
            requests: 0,
        }
    }

    /// Started, with component `a` as generation 1.
    pub(super) fn started(spec: PluginSpec) -> Self {
        let mut desk = Self::new(spec);
        desk.happens(Event::Booted(None));
        assert_eq!(desk.judges, Some(Generation(1)));
        desk
    }

    /// The host ends and starts again.
    pub(super) fn restart(&mut self) {
        self.life = PluginLife::new(Arc::clone(self.life.spec()));
        self.judges = None;
        let stored = self.stored.clone().map(Arc::new);
        self.happens(Event::Booted(stored));
    }

    /// An event, and everything that the hands make of it.
    pub(super) fn happens(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let step = step(&mut self.life, event, self.now);
            for effect in self.take(step) {
                events.extend(self.answer(&effect));
            }
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Vec<Effect> {
        if let Some(record) = step.record {
            self.stored = Some(record);
        }
        self.said.extend(step.audit);
        self.replies.extend(step.replies);
        for effect in &step.effects {
            if let Effect::Activate { generation, .. } = effect {
                self.judges = Some(*generation);
            }
        }
        self.done.extend(step.effects.clone());
        step.effects
    }

    /// What the hands answer.
    fn answer(&mut self, effect: &Effect) -> Option<Event> {
        let (ticket, stage, good) = match effect {
            Effect::Fetch(ticket, from) => {
                let digest = match from {
                    From::Configured | From::Proposed => self.place.map(component),
                    From::Held(digest) | From::Kept(digest) => Some(*digest),
                    From::Reference(text) => text.bytes().next_back().map(component),
                };
                let away = || Answer::Failed(HandError::Away("cannot be fetched".to_owned()));
                (*ticket, "fetch", digest.map_or_else(away, |digest| Answer::Fetched { digest, size: 10 }))
            }
            Effect::Compile(ticket) => (*ticket, "compile", Answer::Compiled(Facts::default())),
            Effect::Configure(ticket, _) => (*ticket, "configure", Answer::Configured),
            Effect::SelfTest(ticket, _) => (*ticket, "self-test", Answer::SelfTested(None)),
            Effect::Rehearse { ticket, .. } => {
                (*ticket, "rehearse", Answer::Rehearsed(Box::new(self.shows.clone())))
            }
            Effect::Keep(ticket) => (*ticket, "keep", Answer::Kept),
            Effect::BeginShadow(ticket, _) => {
                (*ticket, "shadow", Answer::ShadowBegan { size: 1, facts: Facts::default() })
            }
            Effect::EndShadow(_)
            | Effect::Activate { .. }
            | Effect::Cancel(_)
            | Effect::DropComparison(_)
            | Effect::Retain(_) => return None,
        };
        if self.silent.contains(stage) {
            return None;
        }
        let answer = self.fails.get(stage).cloned().map_or(good, Answer::Failed);
        Some(Event::Hand(ticket, answer))
    }

    /// A request; gives its number.
    pub(super) fn wants(&mut self, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.happens(Event::Wanted(request, command));
        request
    }

    /// An upload of the component of this letter.
    pub(super) fn uploads(&mut self, letter: u8) -> RequestId {
        self.uploads_with(letter, SwapOptions::default())
    }

    pub(super) fn uploads_with(&mut self, letter: u8, options: SwapOptions) -> RequestId {
        let offer = Offer::Held { digest: component(letter), source: "upload".to_owned() };
        self.wants(Command::Swap(offer, options))
    }

    /// Time goes by, and the life is woken when it asked to be.
    pub(super) fn waits(&mut self, seconds: u64) {
        self.now = Now::same(self.now.at + Duration::from_secs(seconds));
        self.happens(Event::Tick);
    }

    /// What judges beside the active component shows this.
    pub(super) fn compares(&mut self, seen: Summary) {
        let ticket = self.beside().expect("something judges beside the active one");
        self.happens(Event::Hand(ticket, Answer::Compared(Box::new(seen))));
    }

    /// The ticket of the latest shadow or watch.
    pub(super) fn beside(&self) -> Option<Ticket> {
        self.done.iter().rev().find_map(|effect| match effect {
            Effect::BeginShadow(ticket, _) => Some(*ticket),
            _ => None,
        })
    }

    /// The ticket of the latest load.
    pub(super) fn latest(&self) -> Ticket {
        let latest = self.done.iter().rev().find_map(|effect| match effect {
            Effect::Fetch(ticket, _) => Some(*ticket),
            _ => None,
        });
        latest.expect("something was loaded")
    }

    /// The component that decides.
    pub(super) fn runs(&self) -> u8 {
        self.life.report().active.unwrap().digest.0[0]
    }

    /// How a request was answered: `ok`, or the refusal as people read it.
    pub(super) fn reply(&self, request: RequestId) -> String {
        let mut of_it = self.replies.iter().filter(|(of, _)| *of == request);
        match of_it.next_back() {
            None => "none".to_owned(),
            Some((_, Ok(_))) => "ok".to_owned(),
            Some((_, Err(refusal))) => refusal.to_string(),
        }
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.life.report().last_error.map(|said| said.to_string())
    }
}
