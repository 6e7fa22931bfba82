//! The clock of deadlines: a thread that ticks while guests run, and sleeps when none has run for a while.
//!
//! A host whose instances say the same again and again runs no guest for hours, and then wakes for nothing.
//! Deliberately not started and stopped with each call: waking a thread costs as much as a small decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

use super::engine::RuntimeError;

/// Length of one tick of the epoch. A deadline is late by at most two of them.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// Ticks without any call after which it sleeps.
const IDLE_TICKS: u32 = 200;

/// The way to the thread. It ends with the last copy.
#[derive(Debug, Clone)]
pub(super) struct Ticker(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    calls: Arc<Calls>,
    thread: Thread,
}

/// What both sides see.
#[derive(Debug, Default)]
struct Calls {
    /// Those under way.
    running: AtomicU64,
    /// All that have begun.
    begun: AtomicU64,
    /// The thread sleeps until it is woken.
    sleeps: AtomicBool,
    /// Nobody is there any more.
    over: AtomicBool,
}

/// A call that is under way: the clock ticks while it is held.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Calls);

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(engine: EngineWeak) -> Result<Self, RuntimeError> {
        let calls = Arc::new(Calls::default());
        let seen = Arc::clone(&calls);
        let tick = move || engine.upgrade().map(|engine| engine.increment_epoch()).is_some();
        let thread = thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || run(&seen, tick))
            .map_err(|error| RuntimeError::no_thread(&error))?;
        Ok(Self(Arc::new(Handle { calls, thread: thread.thread().clone() })))
    }

    /// A call begins; its time runs until this is dropped.
    pub(super) fn call(&self) -> Running<'_> {
        let Handle { calls, thread } = &*self.0;
        // Before the look at `sleeps`, as the thread looks at these after it has said that it sleeps: one of both sees it.
        calls.running.fetch_add(1, Ordering::SeqCst);
        calls.begun.fetch_add(1, Ordering::SeqCst);
        if calls.sleeps.swap(false, Ordering::SeqCst) {
            thread.unpark();
        }
        Running(calls)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.calls.over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn run(calls: &Calls, mut tick: impl FnMut() -> bool) {
    let mut idle = 0;
    let mut begun = calls.begun.load(Ordering::SeqCst);
    while !calls.over.load(Ordering::SeqCst) {
        thread::park_timeout(TICK);
        if !tick() {
            return;
        }
        let is_quiet =
            |begun| calls.running.load(Ordering::SeqCst) == 0 && calls.begun.load(Ordering::SeqCst) == begun;
        if !is_quiet(begun) {
            (idle, begun) = (0, calls.begun.load(Ordering::SeqCst));
            continue;
        }
        idle += 1;
        if idle < IDLE_TICKS {
            continue;
        }
        calls.sleeps.store(true, Ordering::SeqCst);
        while is_quiet(begun) && !calls.over.load(Ordering::SeqCst) {
            thread::park();
        }
        calls.sleeps.store(false, Ordering::SeqCst);
        idle = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn started() -> (Arc<Calls>, Thread, mpsc::Receiver<()>) {
        let calls = Arc::new(Calls::default());
        let (told, ticks) = mpsc::channel();
        let seen = Arc::clone(&calls);
        let thread = thread::spawn(move || run(&seen, || told.send(()).is_ok()));
        (calls, thread.thread().clone(), ticks)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn it_sleeps_when_nobody_calls_and_wakes_for_the_next_call() {
        let (calls, thread, ticks) = started();
        let ticker = Ticker(Arc::new(Handle { calls: Arc::clone(&calls), thread }));
        for _ in 0..3 {
            let mut seen = 0;
            while !calls.sleeps.load(Ordering::SeqCst) {
                seen += u32::from(ticks.recv_timeout(LONG).is_ok());
            }
            assert!(seen >= IDLE_TICKS / 2, "after {seen} ticks");
            while ticks.try_recv().is_ok() {}
            let running = ticker.call();
            (0..2 * IDLE_TICKS).for_each(|_| ticks.recv_timeout(LONG).unwrap());
            drop(running);
        }
    }

    #[test]
    fn it_ends_with_the_last_copy_also_in_its_sleep() {
        let (calls, thread, ticks) = started();
        let ticker = Ticker(Arc::new(Handle { calls: Arc::clone(&calls), thread }));
        while !calls.sleeps.load(Ordering::SeqCst) {
            _ = ticks.recv_timeout(LONG);
        }
        drop(ticker.clone());
        drop(ticker);
        while ticks.recv_timeout(LONG).is_ok() {}
        assert_eq!(ticks.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
