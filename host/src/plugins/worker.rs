//! A thread for each plugin: rounds in, decisions out, in order.
//!
//! A slow or broken plugin delays only its own instances: nobody waits for its queue, and a round
//! that does not fit is handed back. The worker keeps the plugin's memory of each instance. It
//! loads nothing and writes nothing to disk.

mod batch;
mod circuit;
mod pace;
mod repeat;
mod run;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::clock::Clock;
use crate::recording::Recorder;
use phasegate_core::domain::{
    Decided, Digest, Evaluation, Generation, InstanceId, Observation, Outcome, PluginFailure, PluginName,
    PluginStamp, Round, ScaleSetName,
};
use phasegate_wasm::{LoadedPlugin, settings_digest};

use batch::Ticket;
use circuit::Circuit;
pub use circuit::PluginTrouble;
pub use repeat::{Known, Repeats};
use run::Worker;

/// Rounds that wait at most: more than a minute of work for a plugin in trouble is stale anyway.
pub const QUEUE_MAX: usize = 16_384;

/// Stack of a worker; the guest has its own limit of 512 KiB within it.
pub const STACK_BYTES: usize = 4 << 20;

/// How much a worker gives way to the rest of the host.
const NICE: i32 = 5;

/// Receives decisions and what they rest on, those of one batch at a time, on the worker's thread.
/// Must not block for long.
pub type OnDecided = Box<dyn Fn(Vec<(Arc<Observation>, Decided)>) + Send>;

type Key = (ScaleSetName, InstanceId);

/// Hears of a plugin that fails for most of its instances, on the worker's thread. Once for each
/// generation.
pub type OnTrouble = Box<dyn Fn(PluginTrouble) + Send>;

/// Who is told what a worker does.
pub struct Watchers {
    /// Gets the decisions.
    pub on_decided: OnDecided,
    /// Hears of trouble.
    pub on_trouble: OnTrouble,
    /// Keeps what was judged.
    pub recorder: Option<Recorder>,
}

/// What a worker has done since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Observations that the plugin was asked about.
    pub evaluated: u64,
    /// Observations that were the same as the ones before, byte for byte; the plugin was not asked.
    pub unchanged: u64,
    /// Observations that brought no decision.
    pub failed: u64,
    /// Log lines of the plugin that were dropped because they came too fast.
    pub log_lines_dropped: u64,
}

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
    evaluated: AtomicU64,
    unchanged: AtomicU64,
    failed: AtomicU64,
    log_lines_dropped: AtomicU64,
}

enum Job {
    Round(Round),
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
        plugin: LoadedPlugin,
        generation: Generation,
        on_decided: OnDecided,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let watchers = Watchers { on_decided, on_trouble: Box::new(drop), recorder: None };
        Self::spawn_watched(name, plugin, generation, watchers, clock)
    }

    /// As [`Self::spawn`], with everybody who wants to hear of it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_watched(
        name: PluginName,
        mut plugin: LoadedPlugin,
        generation: Generation,
        watchers: Watchers,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            stop: Arc::new(AtomicBool::new(false)),
            active: Mutex::new((plugin.digest(), generation)),
            evaluated: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            log_lines_dropped: AtomicU64::new(0),
        });
        run::adopt(&mut plugin, &name, &shared);
        let worker = Worker {
            name: name.clone(),
            settings: settings_digest(plugin.settings()),
            plugin,
            generation,
            watchers,
            clock,
            queue,
            set_aside: None,
            shared: Arc::clone(&shared),
            repeats: Repeats::new(),
            circuit: Circuit::new(),
            pace: pace::Pace::default(),
            latest_failure: String::new(),
            dropped_seen: 0,
            outdated: Vec::new(),
        };
        let thread = thread::Builder::new().name(format!("plugin-{name}")).stack_size(STACK_BYTES).spawn(
            move || {
                // Of its threads only: probes, the loop and the API come first. One that stays as important works, too.
                let _ = rustix::process::nice(NICE);
                worker.run();
            },
        )?;
        Ok(Self { name, jobs, shared, thread: Some(thread) })
    }

    /// Hands in a round; its `memory` is filled in by the worker. Never blocks.
    ///
    /// # Errors
    /// Gives the round back when the queue is full or the worker has ended; see
    /// [`Self::overloaded`].
    pub fn submit(&self, round: Round) -> Result<(), Round> {
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
        let evaluation = Evaluation { at: round.finished_at, ..Evaluation::default() };
        let result = Err(PluginFailure::Overloaded);
        let outcome = Arc::new(Outcome { stamp: self.stamp(), evaluation, result });
        let Round { epoch, started_at, finished_at, .. } = *round;
        let heard = round.observation.heard();
        Ticket { epoch, started_at, finished_at, again: false, heard }.decided(batch::key(round), outcome)
    }

    /// Exchanges the plugin, after the rounds that wait. Memory survives, and the latest round of each
    /// instance is judged again.
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

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Shared { evaluated, unchanged, failed, log_lines_dropped, .. } = &*self.shared;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            evaluated: read(evaluated),
            unchanged: read(unchanged),
            failed: read(failed),
            log_lines_dropped: read(log_lines_dropped),
        }
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
        // Not waited for: a guest may use its whole time, and the end of a host is not to.
        if self.thread.is_some() {
            self.shared.stop.store(true, Ordering::Relaxed);
            self.tell(Job::Stop);
        }
    }
}
