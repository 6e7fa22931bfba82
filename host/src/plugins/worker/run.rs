//! The inside of a worker's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError};

use crate::clock::Clock;
use crate::recording::{Judgement, MayRepeat, Recorder, SEGMENTS};
use phasegate_core::domain::{
    Cost, Digest, Evaluation, Generation, Observation, Origin, Outcome, PluginFailure, PluginName,
    PluginStamp, Round, Timestamp, Verdict,
};
use phasegate_wasm::LoadedPlugin;
use phasegate_wasm::{BATCH_MAX, Judged};
use phasegate_wasm::{guarded, settings_digest};

use super::batch::{Asked, Entered, Now, Ticket, key};
use super::circuit::{Broken, Circuit, PluginTrouble};
use super::pace::{self, Pace, Turn};
use super::repeat::{Known, Place, Repeats};
use super::{Job, Shared, Watchers};

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
    pub(super) pace: Pace,
    pub(super) latest_failure: String,
    /// Log lines of the active plugin that were dropped and are counted.
    pub(super) dropped_seen: u64,
    /// Instances that another plugin has judged last, perhaps.
    pub(super) outdated: Vec<Place>,
}

impl Worker {
    pub(super) fn run(mut self) {
        while !self.stopped() {
            match self.next() {
                Next::Job(Job::Round(round)) => self.decide(round),
                Next::Job(Job::Swap(plugin, generation)) => self.swap(*plugin, generation),
                Next::Job(Job::Remember(key, memory)) => self.repeats.remember(&key, memory),
                Next::Job(Job::Forget(key)) => self.repeats.forget(&key),
                Next::Again => self.judge_again(),
                Next::Job(Job::Stop) | Next::Nothing => return,
            }
        }
    }

    /// New rounds go first: they make it needless to judge older ones again.
    fn next(&mut self) -> Next {
        if let Some(job) = self.set_aside.take() {
            return Next::Job(job);
        }
        if self.outdated.is_empty() {
            return self.queue.recv().map_or(Next::Nothing, Next::Job);
        }
        match self.queue.try_recv() {
            Ok(job) => Next::Job(job),
            Err(TryRecvError::Empty) => Next::Again,
            Err(TryRecvError::Disconnected) => Next::Nothing,
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
        self.outdated = self.repeats.swapped();
        self.circuit = Circuit::new();
        self.pace = Pace::default();
        self.dropped_seen = 0;
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        *active = (self.plugin.digest(), generation);
    }

    /// Judges what the plugin before has judged last: until then its decisions are in force nowhere, and
    /// the next probe may be an hour away. With the memory that there was then: nothing is counted twice.
    fn judge_again(&mut self) {
        let now = self.now();
        let mut asked = Asked::default();
        while let Some(place) = self.outdated.pop() {
            let Some((observation, ticket)) = self.repeats.outdated(place) else { continue };
            let facts = &observation.instance;
            let key = (facts.scale_set.clone(), facts.id.clone());
            asked.tickets.push((key, place, Ticket { again: true, ..ticket }));
            asked.seen.push(Arc::clone(observation));
            if asked.tickets.len() == BATCH_MAX {
                break;
            }
        }
        if !asked.tickets.is_empty() {
            self.ask(asked, &now);
        }
    }

    fn decide(&mut self, first: Round) {
        let rounds = self.drain(first);
        let judged = rounds.len();
        self.shared.waiting.fetch_sub(judged, Ordering::Relaxed);
        let now = self.now();
        let mut known = Vec::new();
        let mut asked = Asked::default();
        for Entered { key, place, round } in rounds {
            let Round { observation, epoch, started_at, finished_at } = round;
            let observation = self.repeats.joined(place, observation);
            let heard = observation.heard();
            let ticket = Ticket { epoch, started_at, finished_at, again: false, heard };
            match self.unchanged(place, &observation, &now) {
                Some((seen, outcome)) => {
                    self.repeats.judged(place, &seen, ticket);
                    known.push((seen, ticket.decided(key, outcome)));
                }
                None => {
                    asked.seen.push(observation);
                    asked.tickets.push((key, place, ticket));
                }
            }
        }
        add(&self.shared.unchanged, known.len());
        if !known.is_empty() {
            // Those who are known do not wait for those who must be asked.
            (self.watchers.on_decided)(known);
        }
        let failed = if asked.tickets.is_empty() { 0 } else { self.ask(asked, &now) };
        if !self.stopped() {
            self.watch(judged, failed);
        }
    }

    /// What a whole batch has in common.
    fn now(&self) -> Now {
        Now {
            at: self.clock.now(),
            stamp: self.stamp(),
            segment: self.watchers.recorder.as_ref().map_or(0, Recorder::segment),
            repeatable: self.plugin.may_be_pure(),
        }
    }

    /// The decision on an observation that is the same as the one before, with that one.
    fn unchanged(
        &mut self,
        place: Place,
        seen: &Arc<Observation>,
        now: &Now,
    ) -> Option<(Arc<Observation>, Arc<Outcome>)> {
        let known = if now.repeatable { self.repeats.known(place, seen)? } else { return None };
        // Its record is about to leave the ring.
        let ages = now.segment.saturating_sub(known.segment) >= SEGMENTS / 2
            && self
                .watchers
                .recorder
                .as_ref()
                .is_some_and(|recorder| recorder.may_repeat(known.observation()) == MayRepeat::Yes);
        if ages {
            known.recorded(now.segment, now.at);
        }
        let (seen, evaluation, outcome) =
            (Arc::clone(known.observation()), known.evaluation, known.told(&now.stamp));
        if ages {
            self.record(now, evaluation, &seen, &outcome.result);
        }
        Some((seen, outcome))
    }

    /// Asks the plugin; gives how many observations failed.
    fn ask(&mut self, asked: Asked, now: &Now) -> usize {
        let Asked { tickets, seen } = asked;
        let observations: Vec<Observation> = seen.iter().map(|seen| (**seen).clone()).collect();
        let Judged { results, costs } = self.evaluate_in_turn(&observations, now.at);
        if self.stopped() {
            return 0;
        }
        let failed = results.iter().filter(|result| result.is_err()).count();
        let is_word =
            |result: &&Verdict| matches!(result, Err(failure) if *failure != PluginFailure::Resting);
        if let Some(Err(failure)) = results.iter().rfind(is_word) {
            self.latest_failure = failure.to_string();
        }
        add(&self.shared.evaluated, results.len());
        let dropped = self.plugin.log_lines_dropped();
        self.shared.log_lines_dropped.fetch_add(dropped - self.dropped_seen, Ordering::Relaxed);
        self.dropped_seen = dropped;
        add(&self.shared.failed, failed);
        let was_pure = self.plugin.was_pure();
        let judged = tickets.into_iter().zip(seen).zip(results.into_iter().zip(costs));
        let decided = judged.map(|(((key, place, ticket), observation), (verdict, cost))| {
            let evaluation = Evaluation { at: now.at, cost, origin: Origin::Evaluated };
            let verdict = verdict.map(|decision| self.repeats.shared(decision));
            self.repeats.keep_memory(place, &verdict);
            self.repeats.judged(place, &observation, ticket);
            if !matches!(verdict, Err(PluginFailure::Overloaded | PluginFailure::Resting)) {
                self.record(now, evaluation, &observation, &verdict);
            }
            if now.repeatable {
                let known = verdict.as_ref().ok().filter(|_| was_pure);
                let known = known.map(|decision| {
                    Known::new(Arc::clone(&observation), Arc::clone(decision), evaluation, now.segment)
                });
                self.repeats.learn(place, known);
            }
            let outcome = Arc::new(Outcome { stamp: now.stamp.clone(), evaluation, result: verdict });
            (observation, ticket.decided(key, outcome))
        });
        let decided = decided.collect();
        (self.watchers.on_decided)(decided);
        failed
    }

    fn record(&self, now: &Now, evaluation: Evaluation, observation: &Arc<Observation>, result: &Verdict) {
        if let Some(recorder) = &self.watchers.recorder {
            let (stamp, settings, limits) = (&now.stamp, self.settings, self.plugin.limits());
            recorder.record(Judgement { stamp, settings, limits, evaluation, observation, result });
        }
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
    fn drain(&mut self, first: Round) -> Vec<Entered> {
        self.repeats.begin_batch();
        let mut rounds: Vec<Entered> = Vec::new();
        let mut next = Some(first);
        while let Some(round) = next.take() {
            let key = key(&round);
            let Some(place) = self.repeats.enter(&key) else {
                self.set_aside = Some(Job::Round(round));
                break;
            };
            rounds.push(Entered { key, place, round });
            if rounds.len() < BATCH_MAX {
                match self.queue.try_recv() {
                    Ok(Job::Round(round)) => next = Some(round),
                    Ok(other) => self.set_aside = Some(other),
                    Err(_) => {}
                }
            }
        }
        rounds
    }

    /// One that runs into its limits again and again is asked less often.
    fn evaluate_in_turn(&mut self, observations: &[Observation], at: Timestamp) -> Judged {
        let rests = |judged: &mut Judged, count: usize| {
            judged.results.extend(std::iter::repeat_n(Err(PluginFailure::Resting), count));
            judged.costs.extend(std::iter::repeat_n(Cost::default(), count));
        };
        let whole = match self.pace.turn(self.clock.now()) {
            Turn::Whole => return self.evaluate_timed(observations, at),
            Turn::One => observations.split_at_checked(1),
            Turn::None => None,
        };
        let mut judged = Judged::default();
        let Some((first, others)) = whole else {
            rests(&mut judged, observations.len());
            return judged;
        };
        judged = self.evaluate_timed(first, at);
        if self.pace.is_slow() {
            rests(&mut judged, others.len());
        } else if !others.is_empty() {
            let more = self.evaluate_timed(others, at);
            judged.results.extend(more.results);
            judged.costs.extend(more.costs);
        }
        judged
    }

    /// Those that ran into their limits before leave a processor to the others.
    fn evaluate_timed(&mut self, observations: &[Observation], at: Timestamp) -> Judged {
        let _place = if self.pace.is_slow() { pace::place(|| self.stopped()) } else { None };
        let from = self.clock.now();
        let judged = self.evaluate(observations, at);
        self.pace.heard(&judged.results, from, self.clock.now());
        judged
    }

    fn evaluate(&mut self, observations: &[Observation], at: Timestamp) -> Judged {
        let now_ms = u64::try_from(at.0).unwrap_or(0);
        let plugin = &mut self.plugin;
        match guarded("the evaluation", || plugin.judge(observations, now_ms)) {
            Ok(judged) => judged,
            Err(panic) => {
                tracing::error!(plugin = self.name.as_str(), "{panic}");
                self.plugin.drop_instance();
                let count = observations.len();
                let results = vec![Err(PluginFailure::Trapped(panic.to_string())); count];
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

/// What is next.
enum Next {
    Job(Job),
    /// Something is to be judged again.
    Again,
    /// Nobody is there any more.
    Nothing,
}
