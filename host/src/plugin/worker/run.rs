//! The inside of a worker's thread.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use crate::clock::Clock;
use crate::domain::{
    Decided, Decision, Generation, Observation, Outcome, PluginFailure, PluginName, PluginStamp, Round,
    Timestamp,
};
use crate::plugin::batch::BATCH_MAX;
use crate::plugin::call::guarded;
use crate::plugin::load::LoadedPlugin;

use super::{Job, Key, OnDecided, Shared};

/// State of the thread.
pub(super) struct Worker {
    pub(super) name: PluginName,
    pub(super) plugin: LoadedPlugin,
    pub(super) generation: Generation,
    pub(super) on_decided: OnDecided,
    pub(super) clock: Clock,
    pub(super) queue: Receiver<Job>,
    /// A job that was taken from the queue too early.
    pub(super) set_aside: Option<Job>,
    pub(super) shared: Arc<Shared>,
    pub(super) memories: BTreeMap<Key, Vec<u8>>,
}

impl Worker {
    pub(super) fn run(mut self) {
        while !self.stopped() {
            let next = self.set_aside.take().map_or_else(|| self.queue.recv(), Ok);
            match next {
                Ok(Job::Round(round)) => self.decide(*round),
                Ok(Job::Swap(plugin, generation)) => self.swap(*plugin, generation),
                Ok(Job::Remember(key, memory)) => {
                    self.memories.insert(key, memory);
                }
                Ok(Job::Forget(key)) => {
                    self.memories.remove(&key);
                }
                Ok(Job::Stop) | Err(_) => return,
            }
        }
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn swap(&mut self, mut plugin: LoadedPlugin, generation: Generation) {
        adopt(&mut plugin, &self.name, &self.shared);
        self.plugin = plugin;
        self.generation = generation;
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        *active = (self.plugin.digest(), generation);
    }

    fn decide(&mut self, first: Round) {
        let rounds = self.drain(first);
        self.shared.waiting.fetch_sub(rounds.len(), Ordering::Relaxed);
        let mut tickets = Vec::with_capacity(rounds.len());
        let mut observations = Vec::with_capacity(rounds.len());
        for (key, round) in rounds {
            let Round { mut observation, epoch, started_at, finished_at } = round;
            observation.memory = self.memories.get(&key).cloned();
            observations.push(observation);
            tickets.push((key, Ticket { epoch, started_at, finished_at }));
        }
        let results = self.evaluate(&observations);
        if self.stopped() {
            return;
        }
        let stamp = PluginStamp {
            name: self.name.clone(),
            digest: self.plugin.digest(),
            generation: self.generation,
        };
        for (((key, ticket), result), observation) in tickets.into_iter().zip(results).zip(observations) {
            self.keep_memory(&key, &result);
            (self.on_decided)(observation, ticket.decided(key, Outcome { stamp: stamp.clone(), result }));
        }
    }

    /// The round and those that wait behind it, up to the next other job, each instance once:
    /// a second round of an instance needs the memory that the first one brings.
    fn drain(&mut self, first: Round) -> BTreeMap<Key, Round> {
        let mut rounds = BTreeMap::from([(key(&first), first)]);
        while rounds.len() < BATCH_MAX {
            match self.queue.try_recv() {
                Ok(Job::Round(round)) if !rounds.contains_key(&key(&round)) => {
                    rounds.insert(key(&round), *round);
                }
                Ok(other) => {
                    self.set_aside = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        rounds
    }

    fn evaluate(&mut self, observations: &[Observation]) -> Vec<Result<Decision, PluginFailure>> {
        let now_ms = u64::try_from(self.clock.now().0).unwrap_or(0);
        let plugin = &mut self.plugin;
        match guarded("the evaluation", || plugin.evaluate(observations, now_ms)) {
            Ok(results) => results,
            Err(said) => {
                tracing::error!(plugin = self.name.as_str(), "{said}");
                self.plugin.drop_instance();
                vec![Err(PluginFailure::Trapped(said)); observations.len()]
            }
        }
    }

    /// After a failure the last memory stays.
    fn keep_memory(&mut self, key: &Key, result: &Result<Decision, PluginFailure>) {
        match result.as_ref().map(|decision| &decision.memory) {
            Ok(Some(memory)) => {
                self.memories.insert(key.clone(), memory.clone());
            }
            Ok(None) => {
                self.memories.remove(key);
            }
            Err(_) => {}
        }
    }
}

/// Makes a plugin part of a worker.
pub(super) fn adopt(plugin: &mut LoadedPlugin, name: &PluginName, shared: &Shared) {
    plugin.set_label(name.as_str());
    plugin.stop_with(Arc::clone(&shared.stop));
}

/// What a decision keeps of its round, besides the instance.
pub(super) struct Ticket {
    pub(super) epoch: u64,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
}

impl Ticket {
    pub(super) fn decided(self, (scale_set, instance): Key, outcome: Outcome) -> Decided {
        let Self { epoch, started_at, finished_at } = self;
        Decided { scale_set, instance, epoch, started_at, finished_at, outcome }
    }
}

/// Whom a round is about.
pub(super) fn key(round: &Round) -> Key {
    let facts = &round.observation.instance;
    (facts.scale_set.clone(), facts.id.clone())
}
