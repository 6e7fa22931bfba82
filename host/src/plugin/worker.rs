//! A thread for each plugin: rounds in, decisions out, in order.
//!
//! A slow or broken plugin delays only its own instances: nobody waits for its queue, and a round
//! that does not fit is handed back. The worker keeps the plugin's memory of each instance. It
//! loads nothing and writes nothing to disk.

mod run;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::clock::Clock;
use crate::domain::{
    Decided, Digest, Generation, InstanceId, Observation, Outcome, PluginFailure, PluginName, PluginStamp,
    Round, ScaleSetName,
};

use super::load::LoadedPlugin;
use run::{Ticket, Worker};

/// Rounds that wait at most: more than a minute of work for a plugin in trouble is stale anyway.
pub const QUEUE_MAX: usize = 16_384;

/// Stack of a worker; the guest has its own limit of 512 KiB within it.
const STACK_BYTES: usize = 4 << 20;

/// Receives decisions and what they rest on, on the worker's thread. Must not block for long.
pub type OnDecided = Box<dyn Fn(Observation, Decided) + Send>;

type Key = (ScaleSetName, InstanceId);

/// The thread of one plugin. Dropping it stops it.
pub struct PluginWorker {
    name: PluginName,
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What both sides see.
struct Shared {
    waiting: AtomicUsize,
    stop: Arc<AtomicBool>,
    active: Mutex<(Digest, Generation)>,
}

enum Job {
    Round(Box<Round>),
    Swap(Box<LoadedPlugin>, Generation),
    Remember(Key, Vec<u8>),
    Forget(Key),
    Stop,
}

impl PluginWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        name: PluginName,
        mut plugin: LoadedPlugin,
        generation: Generation,
        on_decided: OnDecided,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            stop: Arc::new(AtomicBool::new(false)),
            active: Mutex::new((plugin.digest(), generation)),
        });
        run::adopt(&mut plugin, &name, &shared);
        let worker = Worker {
            name: name.clone(),
            plugin,
            generation,
            on_decided,
            clock,
            queue,
            set_aside: None,
            shared: Arc::clone(&shared),
            memories: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name(format!("plugin-{name}"))
            .stack_size(STACK_BYTES)
            .spawn(move || worker.run())?;
        Ok(Self { name, jobs, shared, thread: Some(thread) })
    }

    /// Hands in a round; its `memory` is filled in by the worker. Never blocks.
    ///
    /// # Errors
    /// Gives the round back when the queue is full or the worker has ended; see
    /// [`Self::overloaded`].
    pub fn submit(&self, round: Round) -> Result<(), Box<Round>> {
        let round = Box::new(round);
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE_MAX {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(round);
        }
        match self.jobs.send(Job::Round(round)) {
            Err(mpsc::SendError(Job::Round(round))) => Err(round),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// What becomes of a round that [`Self::submit`] gave back.
    #[must_use]
    pub fn overloaded(&self, round: &Round) -> Decided {
        let outcome = Outcome { stamp: self.stamp(), result: Err(PluginFailure::Overloaded) };
        let Round { epoch, started_at, finished_at, .. } = *round;
        Ticket { epoch, started_at, finished_at }.decided(run::key(round), outcome)
    }

    /// Exchanges the plugin, after the rounds that wait. Memory survives.
    pub fn swap(&self, plugin: LoadedPlugin, generation: Generation) {
        self.tell(Job::Swap(Box::new(plugin), generation));
    }

    /// Puts back a memory from before a restart, for the next round of the instance.
    pub fn remember(&self, scale_set: ScaleSetName, instance: InstanceId, memory: Vec<u8>) {
        self.tell(Job::Remember((scale_set, instance), memory));
    }

    /// Drops the memory of an instance that is gone.
    pub fn forget(&self, scale_set: ScaleSetName, instance: InstanceId) {
        self.tell(Job::Forget((scale_set, instance)));
    }

    /// Which code decides at the moment; a swap that waits in the queue does not show yet.
    #[must_use]
    pub fn stamp(&self) -> PluginStamp {
        let (digest, generation) = *self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        PluginStamp { name: self.name.clone(), digest, generation }
    }

    /// Rounds that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed).min(QUEUE_MAX)
    }

    /// Whether the thread runs. It ends before `stop` only by a panic in `on_decided`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the thread and waits for it: at most one call into the guest. Rounds that wait are
    /// dropped without a decision.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.tell(Job::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(plugin = self.name.as_str(), "the thread of the plugin had panicked");
        }
    }

    fn tell(&self, job: Job) {
        // A worker that has ended needs to be told nothing; `is_alive` says so.
        let _ = self.jobs.send(job);
    }
}

impl Drop for PluginWorker {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}
