//! What comes by the active component: the last observation of each instance, for rehearsals and for whoever
//! judges beside it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex};

use super::lock;
use phasegate_core::domain::{
    Decided, Gate, Generation, Observation, Origin, PluginFailure, ReadClock, Verdict,
};
use phasegate_core::lifecycle::{Comparison, Failing, Key};
use phasegate_wasm::{BATCH_MAX, LoadedPlugin, guarded};

/// A rehearsal ends early when it fails on so many more: it is refused anyway.
const FAILURES_MAX: u64 = 256;

/// One observation, and what the active component said of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) observation: Arc<Observation>,
    pub(super) verdict: Verdict,
    pub(super) generation: Generation,
}

/// What a candidate can be rehearsed on.
#[derive(Default)]
pub(super) struct Evidence {
    /// The last observation of each instance.
    pub(super) last: Vec<(Key, Arc<Seen>)>,
    /// Instances that are probed and have not been judged yet.
    pub(super) unseen: usize,
}

/// Stands where the decisions of a worker come out.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// Every instance that is probed, and what it said last.
    last: Mutex<BTreeMap<Key, Option<Arc<Seen>>>>,
    /// The latest generation that failed for most of its instances, round after round.
    troubled: Mutex<Option<Generation>>,
    beside: Mutex<Option<SyncSender<Arc<Seen>>>>,
    /// Observations that did not fit into the queue of a second component, since the host started.
    missed: AtomicU64,
}

impl Tap {
    /// Takes in a decision, on the worker's thread.
    pub(super) fn take(&self, observation: Arc<Observation>, decided: &Decided) {
        let outcome = &decided.outcome;
        // What is said again is kept since it was said first; only who judges beside has to hear it again.
        if outcome.evaluation.origin == Origin::Unchanged && lock(&self.beside).is_none() {
            return;
        }
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
        lock(&self.last).insert((decided.scale_set.clone(), decided.instance.clone()), Some(seen));
    }

    /// Takes note of a generation that fails for most of its instances.
    pub(super) fn trouble(&self, generation: Generation) {
        *lock(&self.troubled) = Some(generation);
    }

    /// The latest generation that was in trouble.
    pub(super) fn troubled(&self) -> Option<Generation> {
        *lock(&self.troubled)
    }

    /// Takes note of an instance that is probed from now on.
    pub(super) fn expect(&self, key: Key) {
        lock(&self.last).entry(key).or_default();
    }

    fn unseen(&self) -> usize {
        lock(&self.last).values().filter(|seen| seen.is_none()).count()
    }

    /// What a candidate can be rehearsed on.
    pub(super) fn evidence(&self) -> Evidence {
        let seen = |(key, seen): (&Key, &Option<Arc<Seen>>)| Some((key.clone(), Arc::clone(seen.as_ref()?)));
        let last = lock(&self.last).iter().filter_map(seen).collect();
        Evidence { last, unseen: self.unseen() }
    }

    /// How many instances had no decision when they were judged last; none where all had one.
    pub(super) fn failing(&self) -> Option<Failing> {
        let last = lock(&self.last);
        let mut failures = last.values().flatten().filter_map(|seen| seen.verdict.as_ref().err());
        let cause = failures.next()?.to_string();
        let failed = 1 + failures.count();
        Some(Failing { failed, instances: last.values().flatten().count(), cause })
    }

    /// Instances that were judged.
    pub(super) fn judged(&self) -> usize {
        lock(&self.last).values().flatten().count()
    }

    /// Instances that the plugin judges, be it that some have not been judged since the host started.
    pub(super) fn all(&self) -> usize {
        lock(&self.last).len()
    }

    /// Observations that second components have missed because they did not keep up.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Drops what an instance said that is gone.
    pub(super) fn forget(&self, key: &Key) {
        lock(&self.last).remove(key);
    }

    /// Lets a second component see what comes by from now on, in place of the one before.
    pub(super) fn send_to(&self, beside: Option<SyncSender<Arc<Seen>>>) {
        *lock(&self.beside) = beside;
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

/// Evaluates as a worker does; a panic costs the batch its decisions.
pub(super) fn evaluate(
    plugin: &mut LoadedPlugin,
    observations: &[Observation],
    clock: &dyn ReadClock,
) -> Vec<Verdict> {
    let now_ms = u64::try_from(clock.now().wall.0).unwrap_or(0);
    guarded("the evaluation", || plugin.evaluate(observations, now_ms)).unwrap_or_else(|panic| {
        plugin.drop_instance();
        vec![Err(PluginFailure::Trapped(panic.to_string())); observations.len()]
    })
}
