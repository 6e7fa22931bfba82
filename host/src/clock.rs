//! The only file that reads a clock.
//!
//! Everything else is given a [`Timestamp`]. The clock is anchored to wall time once and then
//! follows the monotonic clock, so that time never goes back while the host runs, whatever
//! happens to the machine's date.

#![expect(clippy::disallowed_methods, reason = "this is the file that may read the clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use phasegate_core::domain::Timestamp;

/// CPU time that the calling thread has used since it began; what a guest is charged, so that a
/// busy machine does not make a good plugin look slow.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Gives the time. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Timestamp,
    started_at: Instant,
}

impl Clock {
    /// Reads the wall clock once.
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let anchor = Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
        Self { anchor, started_at: Instant::now() }
    }

    /// When the clock was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.anchor
    }

    /// Time since the clock was started, for measuring.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor + self.started_at.elapsed()
    }
}
