//! The hand-out of requests to the instances, each of which has a task of its own.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::error::ProcessError;
use super::instance::{Answer, Handle, InstanceKey, Order, Shared, supervise_instance};
use crate::drivers::local::Stage;
use crate::drivers::local::kept::{self, Kept};
use crate::drivers::{DriverError, Ensure};
use phasegate_core::domain::{Fence, Version};

/// Requests to one instance that may wait for their turn; more is a runaway caller.
const INSTANCE_QUEUE_LEN: usize = 16;

/// What callers want.
pub(super) enum Request {
    /// See `Driver::ensure`.
    Ensure(Box<Ensure>, Answer),
    /// See `Driver::delete`; with the fence of the host.
    Delete(InstanceKey, Fence, Answer),
    /// See `Driver::observe`.
    Observe(InstanceKey, oneshot::Sender<Option<Version>>),
}

/// The work of the thread: hands out requests until the stage says to end and nothing runs any
/// more.
pub(super) async fn supervise(
    shared: Shared,
    mut inbox: mpsc::Receiver<Request>,
    mut stage: watch::Receiver<Stage>,
) {
    let mut dispatcher = Dispatcher {
        shared: Rc::new(shared),
        stage: stage.clone(),
        instances: BTreeMap::new(),
        tasks: JoinSet::new(),
        highest: Fence::NONE,
    };
    loop {
        tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage > Stage::Running) => break,
            request = inbox.recv() => match request {
                Some(Request::Ensure(request, answer)) => dispatcher.ensure(*request, answer),
                Some(Request::Delete(key, fence, answer)) => dispatcher.delete(&key, fence, answer),
                Some(Request::Observe(key, answer)) => _ = answer.send(dispatcher.observe(&key)),
                None => break,
            },
        }
    }
    // Requests from here on, and those not begun, are answered by their answer being dropped.
    drop(inbox);
    drop(dispatcher.instances);
    while dispatcher.tasks.join_next().await.is_some() {}
}

struct Dispatcher {
    shared: Rc<Shared>,
    stage: watch::Receiver<Stage>,
    instances: BTreeMap<InstanceKey, Handle>,
    tasks: JoinSet<()>,
    /// Highest fence that has been seen.
    highest: Fence,
}

impl Dispatcher {
    fn ensure(&mut self, request: Ensure, answer: Answer) {
        let Some(answer) = self.admit(request.fence, answer) else { return };
        let key = (request.scale_set.clone(), request.instance.id.clone());
        let Self { shared, stage, instances, tasks, .. } = self;
        // One that was ended comes again: its task is over.
        if instances.get(&key).is_some_and(|handle| handle.requests.is_closed()) {
            instances.remove(&key);
        }
        let handle = instances.entry(key).or_insert_with_key(|key| {
            let (requests, inbox) = mpsc::channel(INSTANCE_QUEUE_LEN);
            let (version, observed_version) = watch::channel(None);
            let shared = Rc::clone(shared);
            tasks.spawn_local(supervise_instance(shared, key.clone(), inbox, version, stage.clone()));
            Handle { requests, observed_version }
        });
        hand_over(handle, Order::Ensure(Box::new(request), answer));
    }

    /// Ends what runs; what never ran is gone.
    fn delete(&mut self, key: &InstanceKey, fence: Fence, answer: Answer) {
        let Some(answer) = self.admit(fence, answer) else { return };
        match self.instances.get(key) {
            // Its task has ended, which it does when it was deleted.
            Some(handle) if handle.requests.is_closed() => _ = answer.send(Ok(())),
            Some(handle) => hand_over(handle, Order::Delete(answer)),
            None => _ = answer.send(Ok(())),
        }
    }

    /// Refuses a host that has been replaced.
    fn admit(&mut self, fence: Fence, answer: Answer) -> Option<Answer> {
        if let Err(deposed) = fence.admit(&mut self.highest) {
            _ = answer.send(Err(deposed.into()));
            return None;
        }
        Some(answer)
    }

    /// Of one that nobody has asked for yet, what a host before this one has left running.
    fn observe(&self, key: &InstanceKey) -> Option<Version> {
        match self.instances.get(key) {
            Some(handle) => handle.observed_version.borrow().clone(),
            None => {
                let left = Kept::read(&kept::path(&self.shared.kept, &key.0, &key.1)).ok()?;
                left.is_alive().then_some(left.about.version)
            }
        }
    }
}

/// Puts an order at the end of an instance's queue. One whose task has ended drops its answer.
fn hand_over(handle: &Handle, order: Order) {
    if let Err(mpsc::error::TrySendError::Full(order)) = handle.requests.try_send(order) {
        let error = ProcessError::TooMany { max: INSTANCE_QUEUE_LEN };
        let (Order::Ensure(_, answer) | Order::Delete(answer)) = order;
        _ = answer.send(Err(DriverError::of_kind(error)));
    }
}
