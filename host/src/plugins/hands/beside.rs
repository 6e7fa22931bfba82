//! A second component that judges the same observations as the active one, without effect.
//!
//! It has a thread and a queue of its own. When it does not keep up, it sees less, and what it misses is
//! counted; the active one never waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use super::job::{self, At, STACK_BYTES, code, configured};
use super::lock;
use super::tap::{Seen, Tap, evaluate};
use crate::clock::Clock;
use phasegate_core::domain::{Gate, Generation, Observation};
use phasegate_core::lifecycle::{Answer, Comparison, HandError, Key, Role, ShadowOrder, Summary};
use phasegate_wasm::{BATCH_MAX, LoadedPlugin};

/// Observations that wait for the second component.
const QUEUE_MAX: usize = 1024;

/// A second component at work. Dropping it ends its thread after the call that is under way.
pub(super) struct Shadow {
    tap: Arc<Tap>,
    stop: Arc<AtomicBool>,
    comparison: Arc<Mutex<Comparison>>,
    /// What others had missed before it began.
    missed_before: u64,
    /// A second instance of it, to take over, where its job has none.
    spare: Option<LoadedPlugin>,
}

impl Shadow {
    /// What was seen so far, in numbers.
    pub(super) fn summary(&self) -> Summary {
        let missed = self.tap.missed().saturating_sub(self.missed_before);
        let (instances, judged) = (self.tap.all(), self.tap.judged());
        lock(&self.comparison).summary(instances, judged, missed)
    }

    /// The instance that takes over; the shadow ends.
    pub(super) fn spare(mut self) -> Option<LoadedPlugin> {
        self.spare.take()
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The queue closes, which ends the thread.
        self.tap.send_to(None);
    }
}

/// Begins to judge, in place of the one that did so before.
pub(super) fn begin(at: &At<'_>, order: &ShadowOrder) -> Result<Answer, HandError> {
    let compiled = code(at, order.digest)?;
    let mut plugin = configured(&compiled, &order.setting)?;
    let facts = job::facts(&compiled);
    let size = at.shared.disk.kept(order.digest).map_or(0, |bytes| bytes.len());
    // The instance that its load has configured waits to take over; one that goes on after a restart has none.
    let waits = at.with(|job| job.has_plugin()).unwrap_or(false);
    let (spare, what) = match order.role {
        Role::Candidate if waits => (None, "shadow"),
        Role::Candidate => (Some(configured(&compiled, &order.setting)?), "shadow"),
        Role::Former => (None, "former"),
    };
    let label = format!("{} ({what})", at.plugin.name);
    let (beside, queue) = mpsc::sync_channel(QUEUE_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let comparison = Arc::<Mutex<Comparison>>::default();
    plugin.set_label(&label);
    plugin.stop_with(Arc::clone(&stop));
    let run = Run {
        plugin,
        role: order.role,
        live: order.live,
        gate: order.gate.clone(),
        clock: at.shared.clock,
        memories: BTreeMap::new(),
        comparison: Arc::clone(&comparison),
    };
    let stopped = Arc::clone(&stop);
    // Held until it stands in its place, so that a cancel comes before or after, not between.
    let mut place = lock(&at.plugin.shadow);
    if at.with(|_| ()).is_none() {
        return Err(HandError::Broken("nobody wants it any more".to_owned()));
    }
    thread::Builder::new()
        .name(format!("shadow-{label}"))
        .stack_size(STACK_BYTES)
        .spawn(move || run.run(&queue, &stopped))
        .map_err(|error| HandError::Broken(error.to_string()))?;
    let tap = Arc::clone(&at.plugin.tap);
    *place = None;
    let missed_before = tap.missed();
    tap.send_to(Some(beside));
    lock(&at.plugin.comparisons).insert(at.ticket, Arc::clone(&comparison));
    *place = Some((at.ticket, Shadow { tap, stop, comparison, missed_before, spare }));
    Ok(Answer::ShadowBegan { size, facts })
}

struct Run {
    plugin: LoadedPlugin,
    role: Role,
    live: Generation,
    gate: Option<Gate>,
    clock: Clock,
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
        let results = evaluate(&mut self.plugin, &observations, &self.clock);
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

fn key(seen: &Seen) -> Key {
    let facts = &seen.observation.instance;
    (facts.scale_set.clone(), facts.id.clone())
}
