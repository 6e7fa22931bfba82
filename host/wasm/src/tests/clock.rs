//! A clock for tests that runs as the machine's does.

use std::time::Duration;

use phasegate_core::domain::{Now, ReadClock, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Begins when it is made, at 2026-01-01T12:00:00Z.
#[derive(Debug)]
pub(crate) struct TestClock {
    began: Duration,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { began: read(ClockId::Monotonic) }
    }
}

impl ReadClock for TestClock {
    fn now(&self) -> Now {
        Now::same(Timestamp(1_767_268_800_000) + self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        read(ClockId::Monotonic).saturating_sub(self.began)
    }

    fn thread_cpu(&self) -> Duration {
        read(ClockId::ThreadCPUTime)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
