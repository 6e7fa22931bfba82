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

    fn turns(&mut self) {
        match self.rng.below(100) {
            0..=54 => self.a_hand_answers(),
            55..=62 => self.seconds_go_by(),
            63..=70 => self.a_comparison_goes_on(),
            71..=84 => self.a_person_wants_something(),
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

    fn a_person_wants_something(&mut self) {
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

mod hands;
mod rules;
