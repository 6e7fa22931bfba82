//! What is kept of each instance between rounds: the plugin's memory, and the last observation with
//! its decision. Where the plugin is pure and the next observation is the same, byte for byte, its
//! decision is known and the plugin need not be asked.
//!
//! The observations themselves are compared, not hashes of them, so there is nothing to collide.

#[expect(
    clippy::disallowed_types,
    reason = "found by key alone, never walked through in any order that shows"
)]
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::Ticket;
use phasegate_core::domain::{
    Decision, Evaluation, InstanceId, Observation, Origin, Outcome, PluginStamp, ScaleSetName, Timestamp,
    Verdict,
};

pub(super) type Key = (ScaleSetName, InstanceId);

/// Decisions that others may share.
const DECISIONS_MAX: usize = 16;

/// Memory and last observation of every instance of a plugin.
#[derive(Debug, Default)]
pub struct Repeats {
    #[expect(clippy::disallowed_types, reason = "as above; each round looks its instance up once")]
    places: HashMap<Key, Place>,
    last: Vec<Last>,
    /// Places of instances that were forgotten.
    free: Vec<Place>,
    /// Decisions of late, to be shared: most are the same as many others.
    decisions: VecDeque<Arc<Decision>>,
    /// Number of the batch that is being put together.
    batch: u64,
    /// How often the plugin was exchanged.
    swaps: u64,
}

/// Where an instance is kept, until it is forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Place(usize);

#[derive(Debug, Default)]
struct Last {
    /// The batch that it was in.
    batch: u64,
    memory: Option<Vec<u8>>,
    /// The last observation as it came, and with the memory that there was then.
    joined: Option<(Arc<Observation>, Arc<Observation>)>,
    known: Option<Known>,
    latest: Option<Latest>,
}

/// The round that was judged last. Its observation is shared with whoever compares components.
#[derive(Debug)]
struct Latest {
    observation: Arc<Observation>,
    ticket: Ticket,
    /// As the count of exchanges was then.
    swaps: u64,
}

/// An observation that was judged.
#[derive(Debug)]
pub struct Known {
    observation: Arc<Observation>,
    /// What the plugin decided.
    pub decision: Arc<Decision>,
    /// When, and what it took.
    pub evaluation: Evaluation,
    /// Which segment of the recording has it.
    pub segment: u64,
    /// What is told of the same again, once it was.
    told: Option<Arc<Outcome>>,
}

impl Repeats {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Instances that were judged or have a memory.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Begins a batch, which has each instance once.
    pub fn begin_batch(&mut self) {
        self.batch = self.batch.wrapping_add(1);
    }

    /// Takes an instance into the batch; none when it is there already.
    pub fn enter(&mut self, key: &Key) -> Option<Place> {
        let batch = self.batch;
        let place = self.place(key);
        let before = self.last.get_mut(place.0).map(|last| std::mem::replace(&mut last.batch, batch));
        (before != Some(batch)).then_some(place)
    }

    /// The place of an instance, which has one then.
    fn place(&mut self, key: &Key) -> Place {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.last.push(Last::default());
            Place(self.last.len() - 1)
        });
        self.places.insert(key.clone(), place);
        place
    }

    /// An observation with the plugin's memory of its instance; the same value for the same two.
    pub(super) fn joined(&mut self, place: Place, seen: Arc<Observation>) -> Arc<Observation> {
        let Some(last) = self.last.get_mut(place.0) else { return seen };
        if last.memory == seen.memory {
            return seen;
        }
        if let Some((came, joined)) = &last.joined
            && Arc::ptr_eq(came, &seen)
            && joined.memory == last.memory
        {
            return Arc::clone(joined);
        }
        let joined = Arc::new(Observation { memory: last.memory.clone(), ..(*seen).clone() });
        last.joined = Some((seen, Arc::clone(&joined)));
        joined
    }

    /// The decision on this very observation, memory included, if it was the last one.
    pub fn known(&mut self, place: Place, seen: &Arc<Observation>) -> Option<&mut Known> {
        let is_it =
            |known: &&mut Known| Arc::ptr_eq(&known.observation, seen) || *known.observation == **seen;
        self.last.get_mut(place.0)?.known.as_mut().filter(is_it)
    }

    /// Puts back a memory from before.
    pub(super) fn remember(&mut self, key: &Key, memory: Vec<u8>) {
        let place = self.place(key);
        if let Some(last) = self.last.get_mut(place.0) {
            last.memory = Some(memory);
        }
    }

    /// Drops an instance.
    pub(super) fn forget(&mut self, key: &Key) {
        let Some(place) = self.places.remove(key) else { return };
        if let Some(last) = self.last.get_mut(place.0) {
            *last = Last::default();
        }
        self.free.push(place);
    }

    /// Other code: its answers are not known. Memory stays. Gives whom it has to judge again.
    pub(super) fn swapped(&mut self) -> Vec<Place> {
        self.last.iter_mut().for_each(|last| last.known = None);
        self.swaps += 1;
        self.places.values().copied().collect()
    }

    /// Takes note of a round that is judged now.
    pub(super) fn judged(&mut self, place: Place, observation: &Arc<Observation>, ticket: Ticket) {
        let (observation, swaps) = (Arc::clone(observation), self.swaps);
        if let Some(last) = self.last.get_mut(place.0) {
            last.latest = Some(Latest { observation, ticket, swaps });
        }
    }

    /// The latest round of an instance, if the plugin that judged it is not there any more.
    pub(super) fn outdated(&self, place: Place) -> Option<(&Arc<Observation>, Ticket)> {
        let Latest { observation, ticket, swaps } = self.last.get(place.0)?.latest.as_ref()?;
        (*swaps != self.swaps).then_some((observation, *ticket))
    }

    /// Takes in the memory that a decision brought. After a failure the last one stays.
    pub(super) fn keep_memory(&mut self, place: Place, verdict: &Verdict) {
        if let (Some(last), Ok(decision)) = (self.last.get_mut(place.0), verdict) {
            last.memory.clone_from(&decision.memory);
        }
    }

    /// The same decision, shared with those who got it lately.
    pub(super) fn shared(&mut self, decision: Arc<Decision>) -> Arc<Decision> {
        if let Some(known) = self.decisions.iter().find(|known| **known == decision) {
            return Arc::clone(known);
        }
        self.decisions.truncate(DECISIONS_MAX - 1);
        self.decisions.push_front(Arc::clone(&decision));
        decision
    }

    /// Makes a decision known, in place of the one before; none after a failure.
    pub fn learn(&mut self, place: Place, known: Option<Known>) {
        if let Some(last) = self.last.get_mut(place.0) {
            last.known = known;
        }
    }
}

impl Known {
    /// A judged observation.
    #[must_use]
    pub fn new(
        observation: Arc<Observation>,
        decision: Arc<Decision>,
        evaluation: Evaluation,
        segment: u64,
    ) -> Self {
        Self { observation, decision, evaluation, segment, told: None }
    }

    /// What was judged.
    pub(super) fn observation(&self) -> &Arc<Observation> {
        &self.observation
    }

    /// It was written down again, in this segment.
    pub(super) fn recorded(&mut self, segment: u64, at: Timestamp) {
        (self.segment, self.evaluation.at) = (segment, at);
        self.told = None;
    }

    /// What is told of the same observation; the same value each time.
    pub(super) fn told(&mut self, stamp: &PluginStamp) -> Arc<Outcome> {
        let told = self.told.get_or_insert_with(|| {
            let evaluation = Evaluation { origin: Origin::Unchanged, ..self.evaluation };
            Arc::new(Outcome { stamp: stamp.clone(), evaluation, result: Ok(Arc::clone(&self.decision)) })
        });
        Arc::clone(told)
    }
}
