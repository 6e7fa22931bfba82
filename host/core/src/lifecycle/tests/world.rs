//! Seeded worlds: hands that never answer, fail, die, answer late, twice or after a discard; requests of every
//! kind; a store that refuses; and the end of the host after any write.
//!
//! What must hold in each of them stands in [`World::take`], [`World::starts`] and [`World::ends`]. A seed that
//! fails is named by the test: try it alone with `PHASEGATE_LIFE_SEED=17`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::compare::{Example, Summary};
use super::super::*;
use super::desk::{component, gate, spec};
use super::rng::Rng;
use crate::domain::{
    Digest, Generation, InstanceId, Now, PluginFailure, PluginSpec, RequestId, ScaleSetName, Strategy,
    Timestamp,
};
use crate::record::StoredPlugin;

/// Seeds of a test run.
const SEEDS: u64 = 2_000;
/// Things that happen in each world.
const TURNS: u32 = 300;

/// What the hands of one life of the host were asked and have not answered.
#[derive(Default)]
struct Hands {
    waiting: Vec<Effect>,
    /// Said already, to be said again.
    said: Vec<Event>,
    /// What each job holds.
    holds: BTreeMap<Ticket, Digest>,
    /// Jobs that are over.
    over: BTreeSet<Ticket>,
    /// What judges beside the active component.
    beside: BTreeSet<Ticket>,
    /// What each shadow was told to run.
    orders: BTreeMap<Ticket, Digest>,
}

/// What must hold; a seed in which it does not is named.
macro_rules! holds {
    ($world:expr, $holds:expr, $what:expr) => {
        assert!($holds, "seed {0}: {1}; PHASEGATE_LIFE_SEED={0} tries it alone", $world.seed, $what)
    };
}

struct World {
    seed: u64,
    rng: Rng,
    life: PluginLife,
    now: Now,
    hands: Hands,
    /// What the place of the configuration holds.
    place: u8,
    store: Option<StoredPlugin>,
    disk: BTreeSet<Digest>,
    /// Which component each generation was.
    numbers: BTreeMap<Generation, Digest>,
    forced: BTreeSet<Generation>,
    judges: Option<(Generation, Digest)>,
    requests: u64,
    /// Requests without an answer; each gets one.
    open: BTreeMap<RequestId, Option<SwapMode>>,
    prepared: Option<RequestId>,
    wake_at: Option<Timestamp>,
    /// Generations that were left for being worse.
    went_back: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut spec = spec();
        spec.swap.strategy =
            [Strategy::Immediate, Strategy::Rehearse, Strategy::Shadow][rng.below(3) as usize];
        spec.swap.gate = (!rng.one_in(3)).then(gate);
        if rng.one_in(6) {
            spec.swap.watch_time = Duration::ZERO;
        }
        Self {
            seed,
            rng,
            life: PluginLife::new(Arc::new(spec)),
            now: Now::same(Timestamp(1_000_000)),
            hands: Hands::default(),
            place: b'a',
            store: None,
            disk: BTreeSet::new(),
            numbers: BTreeMap::new(),
            forced: BTreeSet::new(),
            judges: None,
            requests: 0,
            open: BTreeMap::new(),
            prepared: None,
            wake_at: None,
            went_back: 0,
        }
    }

    /// The host starts; the hands know of nothing.
    fn starts(&mut self) {
        self.life = PluginLife::new(Arc::clone(self.life.spec()));
        self.hands = Hands::default();
        self.open.clear();
        self.prepared = None;
        self.judges = None;
        self.wake_at = None;
        let stored = self.store.clone().map(Arc::new);
        self.happens(Event::Booted(stored));
    }

    /// A start goes to its end with hands that do their part: what is recorded decides.
    fn comes_up(&mut self) {
        let recorded = self.store.clone();
        for _ in 0..60 {
            if *self.life.standing() != Standing::Starting {
                break;
            }
            let Some(effect) = self.hands.waiting.pop() else { break };
            if let Some(event) = self.good(&effect) {
                self.happens(event);
            }
        }
        holds!(self, *self.life.standing() == Standing::Running, "a start with good hands ends");
        if let (Some(recorded), Some(judges)) = (recorded, self.judges)
            && self.disk.contains(&recorded.digest)
        {
            let (generation, digest) = (recorded.generation, recorded.digest);
            holds!(self, judges == (generation, digest), "what was recorded judges after a restart");
        }
    }

    fn happens(&mut self, event: Event) {
        let before = self.life.clone();
        let step = step(&mut self.life, event.clone(), self.now);
        // A record may be refused, whole.
        if step.record.is_some() && before.in_force().is_some() && self.rng.one_in(8) {
            self.life = before;
            let undone = step_unrecorded(&mut self.life, event, "the disk is full", self.now);
            holds!(self, undone.record.is_none() && undone.in_force.is_none(), "nothing took over");
            return self.take(undone);
        }
        self.take(step);
    }

    fn take(&mut self, step: Step) {
        let Step { record, audit, effects, replies, in_force, wake_at } = step;
        if let Some(record) = record {
            let is_kept = self.disk.contains(&record.digest);
            holds!(self, is_kept, "bytes are on the disk before a record names them");
            let shadow = record.shadow.as_ref().map(|shadow| shadow.digest);
            holds!(self, shadow.is_none_or(|digest| self.disk.contains(&digest)), "those of a shadow, too");
            let rows: Vec<Generation> = record.history.iter().map(|row| row.generation).collect();
            holds!(self, rows.is_sorted_by(|a, b| a < b), "the history goes up");
            holds!(self, rows.last() == Some(&record.generation), "and ends with what is active");
            self.store = Some(record);
        }
        for (request, reply) in replies {
            let open = self.open.remove(&request);
            holds!(self, open.is_some(), "a request is answered once");
            if let Ok(Reply::Prepared) = reply {
                self.prepared = Some(request);
            }
        }
        let mut activated = None;
        for effect in &effects {
            self.performed(effect, &mut activated);
        }
        holds!(self, activated == in_force, "one generation takes over at a time, and it is said");
        holds!(self, self.judges.map(|(judges, _)| judges) == self.life.in_force(), "one is in force");
        let stored = self.store.as_ref().map(|stored| stored.generation);
        holds!(self, self.life.in_force().is_none() || stored == self.life.in_force(), "it is recorded");
        for said in audit {
            if let Fact::WentBack { bad, .. } = said.fact {
                self.went_back += 1;
                holds!(self, !self.forced.contains(&bad.generation), "what was forced is not taken back");
            }
        }
        holds!(self, wake_at.is_none_or(|at| at > self.now.at), "it is woken later");
        self.wake_at = wake_at;
    }

    fn performed(&mut self, effect: &Effect, activated: &mut Option<Generation>) {
        let ticket = match effect {
            Effect::Fetch(ticket, _)
            | Effect::Compile(ticket)
            | Effect::Configure(ticket, _)
            | Effect::SelfTest(ticket, _)
            | Effect::Rehearse { ticket, .. }
            | Effect::Keep(ticket)
            | Effect::BeginShadow(ticket, _)
            | Effect::Activate { ticket, .. } => Some(*ticket),
            Effect::EndShadow(_) | Effect::Cancel(_) | Effect::DropComparison(_) | Effect::Retain(_) => None,
        };
        let is_over = ticket.is_some_and(|ticket| self.hands.over.contains(&ticket));
        holds!(self, !is_over, "a job that is over is asked for nothing");
        match effect {
            Effect::Activate { ticket, generation } => {
                let digest = self.hands.holds.get(ticket).or(self.hands.orders.get(ticket)).copied();
                let Some(digest) = digest else {
                    panic!("seed {}: what takes over was fetched", self.seed);
                };
                let known = self.numbers.insert(*generation, digest);
                holds!(self, known.is_none_or(|known| known == digest), "a number is used once");
                holds!(self, activated.is_none(), "one takes over in a step");
                let is_later = self.judges.is_none_or(|(before, _)| before < *generation);
                holds!(self, is_later, "numbers rise");
                self.judges = Some((*generation, digest));
                *activated = Some(*generation);
                self.hands.beside.remove(ticket);
                self.hands.over.insert(*ticket);
                let history = self.life.report().history;
                if history.last().is_some_and(|last| last.forced == crate::record::Forced::Yes) {
                    self.forced.insert(*generation);
                }
            }
            Effect::BeginShadow(ticket, order) => {
                holds!(self, self.hands.beside.is_empty(), "one judges beside the active one");
                self.hands.beside.insert(*ticket);
                self.hands.orders.insert(*ticket, order.digest);
                self.hands.waiting.push(effect.clone());
            }
            Effect::EndShadow(ticket) => {
                self.hands.beside.remove(ticket);
            }
            Effect::Cancel(ticket) => {
                self.hands.over.insert(*ticket);
                self.hands.beside.remove(ticket);
            }
            Effect::Retain(used) => {
                let active = self.judges.map(|(_, digest)| digest);
                holds!(self, active.is_none_or(|digest| used.contains(&digest)), "what judges is kept");
                self.disk.retain(|digest| used.contains(digest));
            }
            Effect::DropComparison(_) => {}
            Effect::Fetch(..)
            | Effect::Compile(_)
            | Effect::Configure(..)
            | Effect::SelfTest(..)
            | Effect::Rehearse { .. }
            | Effect::Keep(_) => self.hands.waiting.push(effect.clone()),
        }
    }

    /// What a hand says that does its part.
    fn good(&mut self, effect: &Effect) -> Option<Event> {
        let (ticket, answer) = match effect {
            Effect::Fetch(ticket, from) => {
                let digest = match from {
                    From::Configured | From::Proposed => component(self.place),
                    From::Held(digest) => *digest,
                    From::Kept(digest) if !self.disk.contains(digest) => {
                        let gone = HandError::Missing("a file".to_owned());
                        return Some(Event::Hand(*ticket, Answer::Failed(gone)));
                    }
                    From::Kept(digest) => *digest,
                    From::Reference(_) => component(b'r'),
                };
                self.hands.holds.insert(*ticket, digest);
                (*ticket, Answer::Fetched { digest, size: 10 })
            }
            Effect::Compile(ticket) => (*ticket, Answer::Compiled(Facts::default())),
            Effect::Configure(ticket, _) => (*ticket, Answer::Configured),
            Effect::SelfTest(ticket, _) => (*ticket, Answer::SelfTested(None)),
            Effect::Rehearse { ticket, .. } => (*ticket, Answer::Rehearsed(Box::new(self.summary()))),
            Effect::Keep(ticket) => {
                let digest = self.hands.holds.get(ticket).copied()?;
                // A job that is over keeps nothing that another one would miss.
                if !self.hands.over.contains(ticket) {
                    self.disk.insert(digest);
                }
                (*ticket, Answer::Kept)
            }
            Effect::BeginShadow(ticket, order) if !self.disk.contains(&order.digest) => {
                let gone = HandError::Missing("a file".to_owned());
                (*ticket, Answer::Failed(gone))
            }
            Effect::BeginShadow(ticket, _) => (*ticket, Answer::ShadowBegan),
            Effect::EndShadow(_)
            | Effect::Activate { .. }
            | Effect::Cancel(_)
            | Effect::DropComparison(_)
            | Effect::Retain(_) => return None,
        };
        Some(Event::Hand(ticket, answer))
    }

    /// Four instances, on which anything may have been seen.
    fn summary(&mut self) -> Summary {
        let failed = |rng: &mut Rng| if rng.one_in(4) { rng.below(4) } else { 0 };
        let (failed_new, failed_old) = (failed(&mut self.rng), failed(&mut self.rng));
        let judged = if self.rng.one_in(6) { self.rng.below(4) as usize } else { 4 };
        let instance = (ScaleSetName::parse("orders").unwrap(), InstanceId::parse("0").unwrap());
        let failure = Example { instance, failure: PluginFailure::Overloaded };
        Summary {
            instances: 4,
            judged,
            compared: judged,
            observations: self.rng.below(10),
            changed: if self.rng.one_in(3) { self.rng.below(5) as usize } else { 0 },
            failed_new,
            failed_old,
            failure: (failed_new > 0).then_some(failure),
            ..Summary::default()
        }
    }

    fn turns(&mut self) {
        match self.rng.below(100) {
            0..=54 => self.a_hand_answers(),
            55..=62 => self.seconds_go_by(),
            63..=70 => self.a_comparison_goes_on(),
            71..=84 => self.somebody_wants_something(),
            85..=88 => {
                self.place = b'a' + self.rng.below(4) as u8;
                self.happens(Event::FileSeen(component(self.place)));
            }
            89..=92 => self.a_generation_fails(),
            93..=94 => {
                // After any write: what was not recorded never was.
                self.starts();
                self.comes_up();
            }
            _ => self.a_hand_repeats_itself(),
        }
    }

    fn a_hand_answers(&mut self) {
        if self.hands.waiting.is_empty() {
            return;
        }
        let at = self.rng.below(self.hands.waiting.len() as u64) as usize;
        let effect = self.hands.waiting.swap_remove(at);
        // Some never answer.
        if self.rng.one_in(50) {
            return;
        }
        let Some(mut event) = self.good(&effect) else { return };
        if self.rng.one_in(20)
            && let Event::Hand(ticket, _) = event
        {
            let errors = [
                HandError::Away("it is away".to_owned()),
                HandError::Unfit("is no good".to_owned()),
                HandError::Broken("the thread died".to_owned()),
            ];
            let error = errors[self.rng.below(3) as usize].clone();
            event = Event::Hand(ticket, Answer::Failed(error));
        }
        if self.rng.one_in(5) {
            self.hands.said.push(event.clone());
        }
        self.happens(event);
    }

    /// Twice, late, or after a discard.
    fn a_hand_repeats_itself(&mut self) {
        if self.hands.said.is_empty() {
            return;
        }
        let at = self.rng.below(self.hands.said.len() as u64) as usize;
        let event = self.hands.said.swap_remove(at);
        self.happens(event);
    }

    fn seconds_go_by(&mut self) {
        let seconds = [1, 10, 30, 70, 4_000][self.rng.below(5) as usize];
        self.passes(Duration::from_secs(seconds));
    }

    fn passes(&mut self, time: Duration) {
        let until = self.now.at + time;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.now = Now::same(at);
            self.happens(Event::Tick);
        }
        self.now = Now::same(until);
    }

    fn a_comparison_goes_on(&mut self) {
        let Some(ticket) = self.hands.beside.first().copied() else { return };
        let seen = self.summary();
        self.happens(Event::Hand(ticket, Answer::Compared(Box::new(seen))));
    }

    fn a_generation_fails(&mut self) {
        let Some(active) = self.life.in_force() else { return };
        let failing = Failing { failed: self.rng.below(5) as usize, instances: 4, cause: "x".to_owned() };
        let generation = if self.rng.one_in(4) { Generation(active.0.saturating_sub(1)) } else { active };
        let event = if self.rng.one_in(2) {
            Event::Trouble(generation, failing)
        } else {
            Event::Failing(generation, (!self.rng.one_in(3)).then_some(failing))
        };
        self.happens(event);
    }

    fn somebody_wants_something(&mut self) {
        let letter = b'a' + self.rng.below(6) as u8;
        let command = match self.rng.below(12) {
            0..=4 => {
                let mode = match self.rng.below(6) {
                    0 => SwapMode::Force,
                    1 => SwapMode::DryRun,
                    _ => SwapMode::Heed,
                };
                let strategy = self.rng.one_in(3).then_some(Strategy::Shadow);
                let offer = Offer::Held { digest: component(letter), source: "upload".to_owned() };
                Command::Swap(offer, SwapOptions { strategy, mode })
            }
            5 => Command::Rollback(None),
            6 => Command::Rollback(Some(Generation(1 + self.rng.below(9)))),
            7 => Command::Promote,
            8 => Command::Discard,
            9 => Command::Prepare(Arc::new(self.other_spec()), Place::MayMove),
            _ => return self.takes_up(),
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        self.open.insert(request, None);
        self.happens(Event::Wanted(request, command));
    }

    fn other_spec(&mut self) -> PluginSpec {
        let mut spec = (**self.life.spec()).clone();
        if self.rng.one_in(2) {
            spec.settings = format!("{{\"a\":{}}}", self.rng.below(3));
        }
        if self.rng.one_in(2) {
            spec.source = format!("{}.wasm", self.rng.below(3));
        }
        spec
    }

    fn takes_up(&mut self) {
        let Some(request) = self.prepared.take() else { return };
        self.open.insert(request, None);
        let command = if self.rng.one_in(3) { Command::Abandon } else { Command::TakeUp };
        self.happens(Event::Wanted(request, command));
    }

    /// No hand says anything any more: everything comes to its end all the same.
    fn ends(&mut self) {
        self.hands.waiting.clear();
        for _ in 0..50 {
            self.passes(ANSWER_WITHIN);
            self.hands.waiting.clear();
        }
        holds!(self, self.open.is_empty(), "every request is answered");
        let report = self.life.report();
        let judges_beside = matches!(report.stage, Some(Stage::Shadow | Stage::Watch) | None);
        holds!(self, judges_beside, "no load is under way for ever");
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    world.starts();
    world.comes_up();
    for _ in 0..TURNS {
        world.turns();
    }
    world.ends();
    world
}

#[test]
fn whatever_the_hands_do_the_rules_hold() {
    if let Some(seed) = option_env!("PHASEGATE_LIFE_SEED").and_then(|seed| seed.parse().ok()) {
        run(seed);
        return;
    }
    let (mut generations, mut back) = (0, 0);
    for seed in 0..SEEDS {
        let world = run(seed);
        generations += world.numbers.len() as u64;
        back += world.went_back;
    }
    // Worlds in which nothing happens prove nothing.
    assert!(generations > 4 * SEEDS, "{generations} generations");
    assert!(back > SEEDS / 8, "{back} went back");
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        let (one, other) = (run(seed), run(seed));
        assert_eq!((one.store, one.numbers, one.now), (other.store, other.numbers, other.now));
    }
}
