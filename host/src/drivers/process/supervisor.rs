//! The one thread that starts all processes, and the hand-out of requests to the instances.
//!
//! A thread of its own, because the kernel ties the death signal of a child to the thread that
//! started it: one that ends early, as threads of a pool do, would take the processes along.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::mpsc as blocking;

use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use super::guard_link::{GuardCommand, keep_guard};
use super::instance::{Answer, Handle, InstanceKey, Shared, supervise_instance};
use crate::domain::Version;
use crate::drivers::{DriverError, Ensure};

/// Requests to one instance that may wait for their turn; more is a runaway caller.
const INSTANCE_QUEUE_LEN: usize = 16;

/// How far the end of the driver has come. Only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Working.
    Running,
    /// Processes are asked to end.
    Ending,
    /// Processes are ended by force.
    Forced,
}

/// What callers want.
pub(super) enum Request {
    /// See `Driver::ensure`.
    Ensure(Box<Ensure>, Answer),
    /// See `Driver::observe`.
    Observe(InstanceKey, oneshot::Sender<Option<Version>>),
}

/// What the thread starts with.
pub(super) struct Start {
    pub(super) shared: Shared,
    pub(super) guard: Option<GuardCommand>,
    pub(super) inbox: mpsc::Receiver<Request>,
    pub(super) stage: watch::Receiver<Stage>,
}

/// Body of the thread: says through `ready` whether it could start, then works until the stage
/// says to end and nothing runs any more.
pub(super) fn run(start: Start, ready: &blocking::Sender<io::Result<()>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            _ = ready.send(Err(error));
            return;
        }
    };
    let Start { shared, guard, inbox, stage } = start;
    LocalSet::new().block_on(&runtime, async {
        let first = guard.map(|command| match shared.guard.start(&command) {
            Ok(child) => Ok((command, child)),
            Err(error) => Err(error),
        });
        match first.transpose() {
            Err(error) => _ = ready.send(Err(error)),
            Ok(first) => {
                _ = ready.send(Ok(()));
                supervise(Rc::new(shared), first, inbox, stage).await;
            }
        }
    });
}

async fn supervise(
    shared: Rc<Shared>,
    guard: Option<(GuardCommand, Child)>,
    mut inbox: mpsc::Receiver<Request>,
    mut stage: watch::Receiver<Stage>,
) {
    let (close_guard, closing) = oneshot::channel();
    let guard = guard.map(|(command, child)| {
        let link = Rc::clone(&shared.guard);
        tokio::task::spawn_local(keep_guard(link, command, child, closing, shared.clock))
    });
    let mut dispatcher = Dispatcher {
        shared,
        stage: stage.clone(),
        instances: BTreeMap::new(),
        tasks: JoinSet::new(),
        generation: 0,
    };
    loop {
        tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage > Stage::Running) => break,
            request = inbox.recv() => match request {
                Some(Request::Ensure(request, answer)) => dispatcher.ensure(*request, answer),
                Some(Request::Observe(key, answer)) => _ = answer.send(dispatcher.observe(&key)),
                None => break,
            },
        }
    }
    // Requests from here on, and those not begun, are answered by their answer being dropped.
    drop(inbox);
    drop(dispatcher.instances);
    while dispatcher.tasks.join_next().await.is_some() {}
    if let Some(guard) = guard {
        _ = close_guard.send(());
        _ = guard.await;
    }
}

struct Dispatcher {
    shared: Rc<Shared>,
    stage: watch::Receiver<Stage>,
    instances: BTreeMap<InstanceKey, Handle>,
    tasks: JoinSet<()>,
    generation: u64,
}

impl Dispatcher {
    fn ensure(&mut self, request: Ensure, answer: Answer) {
        if request.generation < self.generation {
            let text = format!(
                "the request is of generation {} and {} has been seen: a newer host is in charge",
                request.generation, self.generation
            );
            _ = answer.send(Err(DriverError(text)));
            return;
        }
        self.generation = request.generation;
        let key = (request.scale_set.clone(), request.instance.id.clone());
        let Self { shared, stage, instances, tasks, .. } = self;
        let handle = instances.entry(key).or_insert_with_key(|key| {
            let (requests, inbox) = mpsc::channel(INSTANCE_QUEUE_LEN);
            let (version, observed_version) = watch::channel(None);
            let shared = Rc::clone(shared);
            tasks.spawn_local(supervise_instance(shared, key.clone(), inbox, version, stage.clone()));
            Handle { requests, observed_version }
        });
        match handle.requests.try_send((request, answer)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full((_, answer))) => {
                let text = format!("more than {INSTANCE_QUEUE_LEN} requests wait for this instance");
                _ = answer.send(Err(DriverError(text)));
            }
        }
    }

    fn observe(&self, key: &InstanceKey) -> Option<Version> {
        self.instances.get(key).and_then(|handle| handle.observed_version.borrow().clone())
    }
}
