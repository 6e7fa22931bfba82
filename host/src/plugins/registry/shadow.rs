//! What comes by the active component: the last observation of each instance, and a second
//! component that judges the same observations beside it, without effect.
//!
//! The second one has a thread and a queue of its own. When it does not keep up, it sees less, and
//! what it misses is counted; the active one never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::compare::{Comparison, Key};
use super::prepare::Evidence;
use phasegate_core::domain::Gate;
use phasegate_core::domain::ReadClock;
use phasegate_core::domain::{Decided, Generation, Observation, PluginFailure, Verdict};
use phasegate_wasm::{BATCH_MAX, LoadedPlugin, guarded};

/// Observations that wait for the second component.
const QUEUE_MAX: usize = 1024;
/// Stack of its thread, as that of a worker.
const STACK_BYTES: usize = 4 << 20;
/// A rehearsal ends early when it fails on so many more: it is refused anyway.
const FAILURES_MAX: u64 = 256;

/// One observation, and what the active component said of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) observation: Arc<Observation>,
    pub(super) verdict: Verdict,
    pub(super) generation: Generation,
}

/// Stands where the decisions of a worker come out.
#[derive(Debug, Default)]
pub(super) struct Tap {
    last: Mutex<BTreeMap<Key, Arc<Seen>>>,
    /// The latest generation that failed for most of its instances, round after round.
    troubled: Mutex<Option<Generation>>,
    /// Instances that are probed.
    expected: Mutex<BTreeSet<Key>>,
    beside: Mutex<Option<SyncSender<Arc<Seen>>>>,
    /// Observations that did not fit into the queue of a second component, since the host started.
    missed: AtomicU64,
}

impl Tap {
    /// Takes in a decision, on the worker's thread.
    pub(super) fn take(&self, observation: Arc<Observation>, decided: &Decided) {
        let outcome = &decided.outcome;
        let seen = Arc::new(Seen {
            observation,
            verdict: outcome.result.clone(),
            generation: outcome.stamp.generation,
        });
        // What was judged before is no observation more: what judges beside has had it.
        if let Some(beside) = lock(&self.beside).as_ref().filter(|_| !decided.again) {
            // One that has ended misses nothing.
            if let Err(TrySendError::Full(_)) = beside.try_send(Arc::clone(&seen)) {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
        lock(&self.last).insert((decided.scale_set.clone(), decided.instance.clone()), seen);
    }

    /// Takes note of a generation that fails for most of its instances.
    pub(super) fn trouble(&self, generation: Generation) {
        *lock(&self.troubled) = Some(generation);
    }

    /// Whether this generation has failed for most of its instances, round after round.
    pub(super) fn was_in_trouble(&self, generation: Generation) -> bool {
        *lock(&self.troubled) == Some(generation)
    }

    /// Takes note of an instance that is probed from now on.
    pub(super) fn expect(&self, key: Key) {
        lock(&self.expected).insert(key);
    }

    /// Instances that are probed and have not been judged yet.
    pub(super) fn unseen(&self) -> usize {
        let last = lock(&self.last);
        lock(&self.expected).iter().filter(|key| !last.contains_key(key)).count()
    }

    /// What a candidate can be rehearsed on.
    pub(super) fn evidence(&self) -> Evidence {
        Evidence { last: self.last(), unseen: self.unseen() }
    }

    /// The last of each instance.
    pub(super) fn last(&self) -> Vec<(Key, Arc<Seen>)> {
        lock(&self.last).iter().map(|(key, seen)| (key.clone(), Arc::clone(seen))).collect()
    }

    /// How many instances had no decision when they were judged last; none where all had one.
    pub(super) fn failing(&self) -> Option<Failing> {
        let last = lock(&self.last);
        let mut failures = last.values().filter_map(|seen| seen.verdict.as_ref().err());
        let cause = failures.next()?.to_string();
        Some(Failing { failed: 1 + failures.count(), instances: last.len(), cause })
    }

    /// Instances that were judged.
    pub(super) fn instances(&self) -> usize {
        lock(&self.last).len()
    }

    /// Instances that the plugin judges, be it that some have not been judged since the host started.
    pub(super) fn all(&self) -> usize {
        self.instances() + self.unseen()
    }

    /// Observations that second components have missed because they did not keep up.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Drops what an instance said that is gone.
    pub(super) fn forget(&self, key: &Key) {
        lock(&self.expected).remove(key);
        lock(&self.last).remove(key);
    }

    fn send_to(&self, beside: Option<SyncSender<Arc<Seen>>>) {
        *lock(&self.beside) = beside;
    }
}

/// How many instances the active component fails for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) failed: usize,
    pub(super) instances: usize,
    /// The failure of one of them.
    pub(super) cause: String,
}

/// Which of the two components is the second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The new one: it may take over.
    Candidate,
    /// The old one: it may come back.
    Former,
}

/// A second component at work. Dropping it ends its thread after the call that is under way.
pub(super) struct Shadow {
    tap: Arc<Tap>,
    stop: Arc<AtomicBool>,
    comparison: Arc<Mutex<Comparison>>,
    /// What others had missed before it began.
    missed_before: u64,
}

/// What a second component needs.
pub(super) struct ShadowParts {
    pub(super) plugin: LoadedPlugin,
    pub(super) label: String,
    pub(super) role: Role,
    /// Whose decisions it is compared with.
    pub(super) live: Generation,
    pub(super) gate: Option<Gate>,
    pub(super) clock: Arc<dyn ReadClock>,
}

impl Shadow {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(tap: &Arc<Tap>, parts: ShadowParts) -> std::io::Result<Self> {
        let (beside, queue) = mpsc::sync_channel(QUEUE_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let comparison = Arc::<Mutex<Comparison>>::default();
        let ShadowParts { mut plugin, label, role, live, gate, clock } = parts;
        plugin.set_label(&label);
        plugin.stop_with(Arc::clone(&stop));
        let memories = BTreeMap::new();
        let run = Run { plugin, role, live, gate, clock, memories, comparison: Arc::clone(&comparison) };
        let stopped = Arc::clone(&stop);
        thread::Builder::new()
            .name(format!("shadow-{label}"))
            .stack_size(STACK_BYTES)
            .spawn(move || run.run(&queue, &stopped))?;
        let missed_before = tap.missed();
        tap.send_to(Some(beside));
        Ok(Self { tap: Arc::clone(tap), stop, comparison, missed_before })
    }

    /// What was seen so far.
    pub(super) fn comparison(&self) -> MutexGuard<'_, Comparison> {
        lock(&self.comparison)
    }

    /// Observations that it did not see because it did not keep up.
    pub(super) fn missed(&self) -> u64 {
        self.tap.missed() - self.missed_before
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The queue closes, which ends the thread.
        self.tap.send_to(None);
    }
}

struct Run {
    plugin: LoadedPlugin,
    role: Role,
    live: Generation,
    gate: Option<Gate>,
    clock: Arc<dyn ReadClock>,
    /// Its own memories; where it has none yet it begins with the active one's.
    memories: BTreeMap<Key, Option<Vec<u8>>>,
    comparison: Arc<Mutex<Comparison>>,
}

impl Run {
    fn run(mut self, queue: &Receiver<Arc<Seen>>, stop: &AtomicBool) {
        let mut first = queue.recv().ok();
        while let Some(seen) = first.take() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let mut batch = BTreeMap::from([(key(&seen), seen)]);
            while batch.len() < BATCH_MAX {
                match queue.try_recv() {
                    Ok(seen) if !batch.contains_key(&key(&seen)) => {
                        batch.insert(key(&seen), seen);
                    }
                    Ok(seen) => {
                        first = Some(seen);
                        break;
                    }
                    Err(_) => break,
                }
            }
            batch.retain(|_, seen| seen.generation == self.live);
            self.judge(batch, stop);
            first = first.or_else(|| queue.recv().ok());
        }
    }

    fn judge(&mut self, batch: BTreeMap<Key, Arc<Seen>>, stop: &AtomicBool) {
        let observations: Vec<Observation> = batch
            .iter()
            .map(|(key, seen)| {
                let mut observation = (*seen.observation).clone();
                if let Some(memory) = self.memories.get(key) {
                    observation.memory.clone_from(memory);
                }
                observation
            })
            .collect();
        let results = evaluate(&mut self.plugin, &observations, &*self.clock);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut comparison = lock(&self.comparison);
        for ((key, seen), beside) in batch.into_iter().zip(results) {
            if let Ok(decision) = &beside {
                self.memories.insert(key.clone(), decision.memory.clone());
            }
            let live = seen.verdict.clone();
            let (old, new) = match self.role {
                Role::Candidate => (live, beside),
                Role::Former => (beside, live),
            };
            comparison.add(key, old, new, self.gate.as_ref());
        }
    }
}

/// Lets a candidate judge the last observation of each instance, once.
pub(super) fn rehearse(
    plugin: &mut LoadedPlugin,
    last: &[(Key, Arc<Seen>)],
    gate: Option<&Gate>,
    clock: &dyn ReadClock,
) -> Comparison {
    let mut comparison = Comparison::default();
    for part in last.chunks(BATCH_MAX) {
        let observations: Vec<Observation> =
            part.iter().map(|(_, seen)| (*seen.observation).clone()).collect();
        let results = evaluate(plugin, &observations, clock);
        for ((key, seen), new) in part.iter().zip(results) {
            comparison.add(key.clone(), seen.verdict.clone(), new, gate);
        }
        if comparison.more_failures() > FAILURES_MAX {
            break;
        }
    }
    comparison
}

fn evaluate(plugin: &mut LoadedPlugin, observations: &[Observation], clock: &dyn ReadClock) -> Vec<Verdict> {
    let now_ms = u64::try_from(clock.now().wall.0).unwrap_or(0);
    guarded("the evaluation", || plugin.evaluate(observations, now_ms)).unwrap_or_else(|said| {
        plugin.drop_instance();
        vec![Err(PluginFailure::Trapped(said)); observations.len()]
    })
}

fn key(seen: &Seen) -> Key {
    let facts = &seen.observation.instance;
    (facts.scale_set.clone(), facts.id.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use phasegate_core::domain::{
        Evaluation, InstanceFacts, InstanceId, Outcome, PluginName, PluginStamp, ScaleSetName, Timestamp,
    };

    fn taken(tap: &Tap, id: &str) {
        let scale_set = ScaleSetName::parse("web").unwrap();
        let instance = InstanceId::parse(id).unwrap();
        let facts = InstanceFacts {
            id: instance.clone(),
            scale_set: scale_set.clone(),
            region: None,
            zone: None,
            fault_domain: None,
            update_domain: None,
            version: None,
            desired_version: None,
            labels: BTreeMap::new(),
        };
        let observation = Observation {
            instance: Arc::new(facts),
            answers: Vec::new(),
            memory: None,
            attributes: Vec::new(),
        };
        let (name, digest) = (PluginName::parse("db").unwrap(), phasegate_core::domain::Digest([0; 32]));
        let stamp = PluginStamp { name, digest, generation: Generation(1) };
        let result = Err(PluginFailure::Overloaded);
        let outcome = Outcome { stamp, evaluation: Evaluation::default(), result };
        let (started_at, finished_at) = (Timestamp(0), Timestamp(0));
        tap.take(
            Arc::new(observation),
            &Decided { scale_set, instance, epoch: 0, started_at, finished_at, again: false, outcome },
        );
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_counted() {
        let tap = Tap::default();
        taken(&tap, "0");
        assert_eq!(tap.missed(), 0, "there is nobody to miss it");
        let (beside, queue) = mpsc::sync_channel(2);
        tap.send_to(Some(beside));
        ["0", "1", "2", "0", "1"].into_iter().for_each(|id| taken(&tap, id));
        assert_eq!((tap.missed(), queue.try_iter().count(), tap.instances()), (3, 2, 3));
        drop(queue);
        taken(&tap, "0");
        assert_eq!(tap.missed(), 3, "one that has ended misses nothing");
    }
}
