//! The only file that reads a clock.
//!
//! Everything else is given a [`Timestamp`]. The clock is anchored to wall time once and then follows the
//! boot clock, which runs on while the machine sleeps and which no person sets: time never goes back while
//! the host runs, whatever happens to the machine's date. Whoever needs the date itself asks for
//! [`ReadClock::now`].

#![expect(clippy::disallowed_methods, reason = "this is the file that may read the clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phasegate_core::domain::{Now, ReadClock, Timestamp, WallTime};
use rustix::time::ClockId;

/// Runs on while the machine sleeps.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
/// Elsewhere there is none; a sleep of the machine then counts for nothing.
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// CPU time that the calling thread has used since it began; what a guest is charged, so that a
/// busy machine does not make a good plugin look slow.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn wall() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Gives the time. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Timestamp,
    /// On the boot clock.
    started: Duration,
}

impl Clock {
    /// Reads the wall clock once.
    #[must_use]
    pub fn start() -> Self {
        Self { anchor: wall().date(), started: read(BOOT) }
    }

    /// A new one, for what is given a clock.
    #[must_use]
    pub fn shared() -> Arc<dyn ReadClock> {
        Arc::new(Self::start())
    }

    /// When the clock was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.anchor
    }

    /// Time since the clock was started, for measuring.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        read(BOOT).saturating_sub(self.started)
    }

    /// The time now, on the boot clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor + self.elapsed()
    }
}

impl ReadClock for Clock {
    fn now(&self) -> Now {
        Now { wall: wall(), at: Clock::now(self) }
    }

    fn elapsed(&self) -> Duration {
        Clock::elapsed(self)
    }

    fn thread_cpu(&self) -> Duration {
        thread_cpu_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_begin_with_the_date_and_only_go_on() {
        let clock = Clock::start();
        let first = ReadClock::now(&clock);
        let second = ReadClock::now(&clock);
        assert!(first.at >= clock.started_at() && second.at >= first.at);
        let apart = first.wall.date().since(first.at).max(first.at.since(first.wall.date()));
        assert!(apart < Duration::from_secs(3600), "the anchor is the date: {first:?}");
        assert!(ReadClock::elapsed(&clock) >= first.at.since(clock.started_at()));
    }

    #[test]
    fn a_thread_is_charged_for_what_it_does() {
        let clock = Clock::start();
        let before = clock.thread_cpu();
        let mut sum = 0u64;
        while clock.thread_cpu() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(clock.thread_cpu() > before);
    }
}
