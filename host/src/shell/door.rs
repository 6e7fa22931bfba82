//! The way to the loop, for everything else. Cheap to clone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use phasegate_core::domain::{By, RequestId};
use phasegate_core::kernel::{Answer, Command, Event, Refusal, Request};

use super::View;
use super::feed::{Announcer, Feed};
use super::publish::Publisher;

/// Capacity of the channel to the loop. Senders wait when it is full, which slows probing down rather than
/// losing answers.
const EVENTS_MAX: usize = 16_384;

/// Who waits for an answer.
pub(super) type Waiting = Arc<Mutex<BTreeMap<RequestId, oneshot::Sender<Answer>>>>;

/// The loop's end of a door.
pub struct Inside {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) waiting: Waiting,
    pub(super) publisher: Publisher,
    pub(super) announcer: Announcer,
}

/// The way to the loop.
#[derive(Debug, Clone)]
pub struct Door {
    events: mpsc::Sender<Event>,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    views: watch::Receiver<View>,
    feed: Feed,
}

impl Door {
    /// A door, and the loop's end of it. What comes before the loop turns waits.
    #[must_use]
    pub fn new() -> (Self, Inside) {
        let (publisher, views) = Publisher::new();
        let (announcer, feed) = Announcer::new();
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let waiting = Waiting::default();
        let door = Self { events, waiting: Arc::clone(&waiting), next: Arc::default(), views, feed };
        (door, Inside { events: receiver, waiting, publisher, announcer })
    }

    /// Hands over an event; waits while the channel is full.
    pub async fn send(&self, event: Event) {
        // After the loop has ended the event has no meaning any more.
        let _ = self.events.send(event).await;
    }

    /// As [`Self::send`], from a thread that is not part of a runtime.
    pub fn send_blocking(&self, event: Event) {
        let _ = self.events.blocking_send(event);
    }

    /// Asks for something and waits until it is recorded and begun, or refused.
    ///
    /// # Errors
    /// What the kernel answers, or that the host ends.
    pub async fn ask(&self, by: By, command: Command) -> Answer {
        self.ask_named(by, command).await.1
    }

    /// As [`Self::ask`], with the name under which it was asked: a plugin that has prepared something takes
    /// it up under the same one.
    pub async fn ask_named(&self, by: By, command: Command) -> (RequestId, Answer) {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let _waits = Waits::new(&self.waiting, id, reply);
        let By { actor, reason, request: key } = by;
        self.send(Event::Request(Request { id, actor, reason, key, command })).await;
        let answer = tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(Err(Refusal::Ending)),
            // The loop has ended, and what came after that it has not seen.
            () = self.events.closed() => Err(Refusal::Ending),
        };
        (id, answer)
    }

    /// As [`Self::ask`], and waits so long at most. The loop answers at once, unless the record does not say
    /// whether it has taken what was asked for.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`Refusal::NotKnown`] when the time is over.
    pub async fn ask_within(&self, limit: Duration, by: By, command: Command) -> Answer {
        let over = |_| {
            let why = format!("the record has not said for {} s that it took it", limit.as_secs());
            Err(Refusal::NotKnown { why })
        };
        tokio::time::timeout(limit, self.ask(by, command)).await.unwrap_or_else(over)
    }

    /// The fleet as it was recorded last.
    #[must_use]
    pub fn view(&self) -> View {
        Arc::clone(&self.views.borrow())
    }

    /// Where one can follow what is recorded.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Follows the fleet.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<View> {
        self.views.clone()
    }
}

/// A place among those who wait for an answer; given up when they wait no longer, whatever the reason.
struct Waits<'a> {
    waiting: &'a Waiting,
    id: RequestId,
}

impl<'a> Waits<'a> {
    fn new(waiting: &'a Waiting, id: RequestId, reply: oneshot::Sender<Answer>) -> Self {
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, reply);
        Self { waiting, id }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
