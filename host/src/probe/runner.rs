//! The prober: one thread keeps all due times and the sockets of all plain probes.
//!
//! ```text
//!  set, remove, ask ──> inbox ──> the thread: schedule ──> sockets (http, tcp)
//!                         ^            │         └───────> tasks of the runtime (TLS, HTTP/2, names)
//!                         │            └──> sink(round)            │
//!                         └────────────────────────────────────────┘
//! ```
//!
//! Deliberately no task and no timer per target: a target at rest is a few entries in maps.
//! Rounds leave from the thread alone, hence none after it has stopped.

mod flight;
mod inbox;
mod lines;
mod places;
mod targets;
mod thread;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use self::flight::{Ask, Limits};
use self::inbox::{Inbox, Message};
use self::thread::{Plain, Reactor};
use super::ask::ask;
use super::lateness::{Lateness, LatenessStats};
use super::tls::Tls;
use super::{Ended, RoundSink, Target};
use crate::clock::Clock;
use crate::measure::ProbesSeen;
use crate::net::shortage::{Missed, Shortages};
use phasegate_core::domain::{InstanceId, ScaleSetName};

/// Probes a changing set of targets until it is stopped or dropped.
#[derive(Debug)]
pub struct Prober {
    inbox: Inbox,
    /// Closes when the thread has ended.
    ended: Option<oneshot::Receiver<()>>,
    lateness: Arc<Lateness>,
}

/// Names a target: instance ids are unique within their scale set only.
type Name = (ScaleSetName, InstanceId);

impl Prober {
    /// Starts without targets. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the machine gives no thread, or nothing to wait for sockets with.
    pub fn start(clock: Clock, shortages: Arc<Shortages>, sink: RoundSink) -> io::Result<Self> {
        let tls = Tls::new();
        let ask: Ask = Arc::new(move |target| Box::pin(ask(target, tls.clone())));
        let sink: RoundSink = Arc::new(move |ended| {
            match &ended {
                Ended::Round(_) => shortages.worked(),
                Ended::NotAsked(missed) => shortages.met(Missed::Probe, missed.short_of),
            }
            sink(ended);
        });
        Self::start_with(clock, sink, (ask, Plain::OnSockets), Limits::for_process())
    }

    fn start_with(
        clock: Clock,
        sink: RoundSink,
        (ask, plain): (Ask, Plain),
        limits: Limits,
    ) -> io::Result<Self> {
        let lateness = Arc::new(Lateness::default());
        let runtime = tokio::runtime::Handle::current();
        let (reactor, inbox) =
            Reactor::new((clock, runtime), (sink, Arc::clone(&lateness)), (ask, plain), limits)?;
        let (tell, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("probes".to_owned()).spawn(move || {
            reactor.run();
            // Only now: nobody calls the sink any more.
            drop(tell);
        })?;
        Ok(Self { inbox, ended: Some(ended), lateness })
    }

    /// Adds a target, or replaces the one of the same scale set and id.
    ///
    /// A new target is first probed within one interval, at a time that its name fixes. A
    /// replaced one keeps its times; but when the epoch rose it is probed at once, even while a
    /// probe of the old epoch is running. That one still ends in a round, with its old epoch.
    pub fn set(&self, target: Target) {
        self.inbox.tell(Message::Set(target));
    }

    /// Forgets a target and abandons its running probe. A round that was already under way to
    /// the sink may still arrive.
    pub fn remove(&self, scale_set: &ScaleSetName, instance: &InstanceId) {
        self.inbox.tell(Message::Remove((scale_set.clone(), instance.clone())));
    }

    /// Probes a target so long from now at the latest, or as soon as its running probe has ended.
    pub fn ask(&self, scale_set: &ScaleSetName, instance: &InstanceId, after: Duration) {
        self.inbox.tell(Message::Ask((scale_set.clone(), instance.clone()), after));
    }

    /// How late probes start.
    #[must_use]
    pub fn lateness(&self) -> LatenessStats {
        self.lateness.stats()
    }

    /// How they go.
    #[must_use]
    pub fn seen(&self) -> ProbesSeen {
        self.lateness.seen()
    }

    /// Abandons all running probes. The sink is not called after this has returned.
    pub async fn stop(mut self) {
        self.inbox.tell(Message::Stop);
        if let Some(ended) = self.ended.take() {
            // Nothing is ever sent; the end of the thread closes the channel.
            let _ = ended.await;
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.inbox.tell(Message::Stop);
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
