//! Hooks: what a site wants run round its instances and batches, whatever the kind of the driver.
//!
//! Each is a program or a URL. It is asked again while it says "not yet", until its time is over, and a person's wish
//! ends it. Deliberately without order and without memory: when a hook is run, and what follows, the core decides.

mod config;
mod error;
mod keys;
mod run;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;

use tokio::sync::mpsc;

pub use self::config::{Hook, Hooks};
pub use self::keys::{ReadHooks, read, shape};
use self::run::Runs;
use super::ends::Ends;
use super::kind::{Premises, StartDriverError};
use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure, Observe};
use phasegate_core::domain::{Address, OperationId, Seen, Sight};
use phasegate_core::kernel::effect::HookCall;

/// Where a hook says what it waits for. What nobody takes is dropped: the next thing that it says is newer.
#[derive(Debug, Clone)]
pub struct Says(mpsc::Sender<String>);

impl Says {
    /// A place to say something, and where it is heard.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<String>) {
        let (says, heard) = mpsc::channel(4);
        (Self(says), heard)
    }

    fn say(&self, text: &str) {
        _ = self.0.try_send(text.to_owned());
    }
}

/// A driver with hooks beside it.
pub struct WithHooks {
    inner: Arc<dyn Driver>,
    runs: Arc<Runs>,
    ends: Ends,
}

impl WithHooks {
    /// Puts hooks beside a driver.
    ///
    /// # Errors
    /// When the thread that runs programs, or its guard, cannot be had.
    pub fn start(
        inner: Arc<dyn Driver>,
        hooks: Hooks,
        premises: &Premises,
    ) -> Result<Self, StartDriverError> {
        let runs = Arc::new(Runs::start(hooks, premises)?);
        Ok(Self { inner, runs, ends: Ends::default() })
    }
}

impl Driver for WithHooks {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        self.inner.ensure(request)
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        self.inner.observe(question)
    }

    fn sight(&self) -> Sight {
        self.inner.sight()
    }

    fn creation(&self) -> Creation {
        self.inner.creation()
    }

    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        self.inner.create(request)
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.inner.delete(request)
    }

    fn hook(&self, call: HookCall, says: Says) -> BoxFuture<Result<(), String>> {
        let runs = Arc::clone(&self.runs);
        let in_hand = self.ends.begin(&call.operation);
        Box::pin(
            async move { runs.run(&call, &says, &in_hand.end()).await.map_err(|error| error.to_string()) },
        )
    }

    fn end(&self, operation: &OperationId) {
        self.ends.end(operation);
        self.inner.end(operation);
    }

    fn custody(&self) -> Custody {
        self.inner.custody()
    }

    fn shutdown(&self) -> BoxFuture<()> {
        let (inner, runs) = (self.inner.shutdown(), self.runs.shutdown());
        Box::pin(async move {
            tokio::join!(inner, runs);
        })
    }
}
