//! The one thread that starts all programs of a driver, beside their guard.
//!
//! A thread of its own, because the kernel ties the death signal of a child to the thread that
//! started it: one that ends early, as threads of a pool do, would take the programs along. Does
//! not know what the driver does on it.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::guard_link::{GuardCommand, GuardLink, keep_guard};
use crate::clock::Clock;
use crate::drivers::BoxFuture;

/// How far the end of the driver has come. Only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::drivers) enum Stage {
    /// Working.
    Running,
    /// Programs are asked to end.
    Ending,
    /// Programs are ended by force.
    Forced,
}

/// Ends when the stage has come that far, or when the driver is gone.
pub(in crate::drivers) async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    _ = stage.wait_for(|stage| *stage >= wanted).await;
}

/// Owner of the thread. Dropping it ends all programs by force and blocks until they are gone.
#[derive(Debug)]
pub(in crate::drivers) struct OwnThread {
    stage: watch::Sender<Stage>,
    finished: watch::Receiver<()>,
    handle: Option<JoinHandle<()>>,
}

impl OwnThread {
    /// Starts the thread and the guard, then `work` on it. `work` ends when the stage says so, and
    /// leaves nothing running.
    ///
    /// # Errors
    /// When the thread, its runtime or the guard cannot be had.
    pub(in crate::drivers) fn start<F, W>(
        name: &str,
        guard: Option<GuardCommand>,
        work: F,
    ) -> io::Result<Self>
    where
        F: FnOnce(Rc<GuardLink>, watch::Receiver<Stage>) -> W + Send + 'static,
        W: Future<Output = ()>,
    {
        let (stage, stage_seen) = watch::channel(Stage::Running);
        let (finish, finished) = watch::channel(());
        let (ready, started) = blocking::channel();
        let body = move || {
            let _finish = finish;
            run(guard, &ready, |link| work(link, stage_seen));
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        let gone = || io::Error::other("its thread ended");
        started.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(Self { stage, finished, handle: Some(handle) })
    }

    /// Asks the work to end; the future ends when the thread has. Idempotent.
    pub(in crate::drivers) fn shutdown(&self) -> BoxFuture<()> {
        self.advance(Stage::Ending);
        let mut finished = self.finished.clone();
        // Nothing is ever sent: the end of the thread drops the sender.
        Box::pin(async move { while finished.changed().await.is_ok() {} })
    }

    /// Moves the stage on; never back.
    fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.advance(Stage::Forced);
        if let Some(handle) = self.handle.take() {
            _ = handle.join();
        }
    }
}

fn run<W: Future<Output = ()>>(
    guard: Option<GuardCommand>,
    ready: &blocking::Sender<io::Result<()>>,
    work: impl FnOnce(Rc<GuardLink>) -> W,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            _ = ready.send(Err(error));
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        let link = Rc::new(GuardLink::default());
        let first = guard.map(|command| link.start(&command).map(|child| (command, child)));
        let first = match first.transpose() {
            Ok(first) => first,
            Err(error) => {
                _ = ready.send(Err(error));
                return;
            }
        };
        _ = ready.send(Ok(()));
        let (close_guard, closing) = oneshot::channel();
        let guard = first.map(|(command, child)| {
            tokio::task::spawn_local(keep_guard(Rc::clone(&link), command, child, closing, Clock::start()))
        });
        work(link).await;
        if let Some(guard) = guard {
            _ = close_guard.send(());
            _ = guard.await;
        }
    });
}
