//! The thread that removes what is no longer to be kept of the record. It only waits and asks for the next step; how
//! much goes in one, and what, is the store's and the core's affair.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{Left, Tender};
use phasegate_core::record::{Retention, StoreError};

/// Between two steps while there is something to do: the loop has the record most of the time.
const BETWEEN_STEPS: Duration = Duration::from_millis(25);

/// Between two looks when there was nothing.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

/// After a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The thread; it ends when this is dropped or stopped.
pub(super) struct Tending {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Tending {
    pub(super) fn start(mut tender: Tender, retention: Retention, clock: Clock) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("retention".to_owned()).spawn(move || {
            let (mut wait, mut failed) = (BETWEEN_STEPS, false);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = match tender.step(&retention, clock.date()) {
                    Ok(Left::More) => BETWEEN_STEPS,
                    Ok(Left::Nothing) => BETWEEN_LOOKS,
                    // Another host tends it now.
                    Err(StoreError::Deposed) => return,
                    Err(error) => {
                        // Once: the loop says it, too, where it cannot record.
                        if !failed {
                            tracing::warn!(
                                "what is no longer to be kept of the record stays for now: {error}"
                            );
                        }
                        failed = true;
                        AFTER_FAILURE
                    }
                };
                failed = failed && wait == AFTER_FAILURE;
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it after the step that it is at.
    pub(super) fn stop(self) {
        let Self { stop, thread } = self;
        drop(stop);
        // One that panicked has said so on stderr.
        let _ = thread.join();
    }
}
