//! The inside of a worker's thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use crate::clock::Clock;
use crate::domain::{
    Cost, Decided, Digest, Evaluation, Generation, Observation, Origin, Outcome, PluginFailure, PluginName,
    PluginStamp, Round, Timestamp,
};
use crate::plugin::batch::{BATCH_MAX, Judged};
use crate::plugin::call::guarded;
use crate::plugin::load::LoadedPlugin;
use crate::recording::{Judgement, Recorder, SEGMENTS, settings_digest};

use super::circuit::{Broken, Circuit, PluginTrouble};
use super::repeat::{Known, Repeats};
use super::{Job, Key, Shared, Watchers};

/// State of the thread.
pub(super) struct Worker {
    pub(super) name: PluginName,
    pub(super) plugin: LoadedPlugin,
    pub(super) generation: Generation,
    /// Digest of the plugin's settings.
    pub(super) settings: Digest,
    pub(super) watchers: Watchers,
    pub(super) clock: Clock,
    pub(super) queue: Receiver<Job>,
    /// A job that was taken from the queue too early.
    pub(super) set_aside: Option<Job>,
    pub(super) shared: Arc<Shared>,
    pub(super) repeats: Repeats,
    pub(super) circuit: Circuit,
    pub(super) latest_failure: String,
}

impl Worker {
    pub(super) fn run(mut self) {
        while !self.stopped() {
            let next = self.set_aside.take().map_or_else(|| self.queue.recv(), Ok);
            match next {
                Ok(Job::Round(round)) => self.decide(*round),
                Ok(Job::Swap(plugin, generation)) => self.swap(*plugin, generation),
                Ok(Job::Remember(key, memory)) => {
                    self.repeats.remember(key, memory);
                }
                Ok(Job::Forget(key)) => {
                    self.repeats.forget(&key);
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
        self.settings = settings_digest(self.plugin.settings());
        self.repeats.swapped();
        self.circuit = Circuit::new();
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        *active = (self.plugin.digest(), generation);
    }

    fn decide(&mut self, first: Round) {
        let rounds = self.drain(first);
        self.shared.waiting.fetch_sub(rounds.len(), Ordering::Relaxed);
        let judged = rounds.len();
        let mut tickets = Vec::with_capacity(judged);
        let mut observations = Vec::with_capacity(judged);
        let repeatable = self.plugin.is_repeatable();
        for (key, round) in rounds {
            let Round { mut observation, epoch, started_at, finished_at } = round;
            observation.memory = self.repeats.memory(&key).cloned();
            let ticket = Ticket { epoch, started_at, finished_at };
            if repeatable && let Some((seen, outcome)) = self.unchanged(&key, &observation) {
                (self.watchers.on_decided)(seen, ticket.decided(key, outcome));
                continue;
            }
            observations.push(observation);
            tickets.push((key, ticket));
        }
        let unchanged = judged - observations.len();
        add(&self.shared.unchanged, unchanged);
        let failed = if observations.is_empty() { 0 } else { self.ask(tickets, observations) };
        if !self.stopped() {
            self.watch(judged, failed);
        }
    }

    /// The decision on an observation that is the same as the one before, with that one.
    fn unchanged(&mut self, key: &Key, seen: &Observation) -> Option<(Arc<Observation>, Outcome)> {
        let segment = self.watchers.recorder.as_ref().map_or(0, Recorder::segment);
        let stamp = self.stamp();
        let now = self.clock.now();
        let known = self.repeats.known(key, seen)?;
        if segment.saturating_sub(known.segment) >= SEGMENTS / 2 {
            // Its record is about to leave the ring.
            (known.segment, known.evaluation.at) = (segment, now);
            if let Some(recorder) = &self.watchers.recorder {
                recorder.record(Judgement {
                    stamp: &stamp,
                    settings: self.settings,
                    limits: self.plugin.limits(),
                    evaluation: known.evaluation,
                    observation: known.observation(),
                    result: &Ok(known.decision.clone()),
                });
            }
        }
        let evaluation = Evaluation { origin: Origin::Unchanged, ..known.evaluation };
        let outcome = Outcome { stamp, evaluation, result: Ok(known.decision.clone()) };
        Some((Arc::clone(known.observation()), outcome))
    }

    /// Asks the plugin; gives how many observations failed.
    fn ask(&mut self, tickets: Vec<(Key, Ticket)>, observations: Vec<Observation>) -> usize {
        let at = self.clock.now();
        let Judged { results, costs } = self.evaluate(&observations, at);
        if self.stopped() {
            return 0;
        }
        let failed = results.iter().filter(|result| result.is_err()).count();
        if let Some(Err(failure)) = results.iter().rfind(|result| result.is_err()) {
            self.latest_failure = failure.to_string();
        }
        add(&self.shared.evaluated, results.len());
        add(&self.shared.failed, failed);
        let (stamp, repeatable) = (self.stamp(), self.plugin.is_repeatable());
        let segment = self.watchers.recorder.as_ref().map_or(0, Recorder::segment);
        let judged = tickets.into_iter().zip(observations).zip(results.into_iter().zip(costs));
        for (((key, ticket), observation), (result, cost)) in judged {
            let evaluation = Evaluation { at, cost, origin: Origin::Evaluated };
            let observation = Arc::new(observation);
            self.repeats.keep_memory(&key, &result);
            if let Some(recorder) = &self.watchers.recorder
                && result != Err(PluginFailure::Overloaded)
            {
                recorder.record(Judgement {
                    stamp: &stamp,
                    settings: self.settings,
                    limits: self.plugin.limits(),
                    evaluation,
                    observation: &observation,
                    result: &result,
                });
            }
            if repeatable {
                let known = result
                    .as_ref()
                    .ok()
                    .cloned()
                    .map(|decision| Known::new(Arc::clone(&observation), decision, evaluation, segment));
                self.repeats.learn(&key, known);
            }
            let outcome = Outcome { stamp: stamp.clone(), evaluation, result };
            (self.watchers.on_decided)(observation, ticket.decided(key, outcome));
        }
        failed
    }

    /// Tells who wants to know that the plugin fails for most of its instances.
    fn watch(&mut self, judged: usize, failed: usize) {
        let Some(broken) = self.circuit.count(judged, failed, self.repeats.len()) else { return };
        let PluginStamp { name, digest, generation } = self.stamp();
        let Broken { failed, judged, rounds } = broken;
        let cause = self.latest_failure.clone();
        (self.watchers.on_trouble)(PluginTrouble {
            plugin: name,
            digest,
            generation,
            failed,
            judged,
            rounds,
            cause,
        });
    }

    fn stamp(&self) -> PluginStamp {
        PluginStamp { name: self.name.clone(), digest: self.plugin.digest(), generation: self.generation }
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

    fn evaluate(&mut self, observations: &[Observation], at: Timestamp) -> Judged {
        let now_ms = u64::try_from(at.0).unwrap_or(0);
        let plugin = &mut self.plugin;
        match guarded("the evaluation", || plugin.judge(observations, now_ms)) {
            Ok(judged) => judged,
            Err(said) => {
                tracing::error!(plugin = self.name.as_str(), "{said}");
                self.plugin.drop_instance();
                let count = observations.len();
                let results = vec![Err(PluginFailure::Trapped(said)); count];
                Judged { results, costs: vec![Cost::default(); count] }
            }
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
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
