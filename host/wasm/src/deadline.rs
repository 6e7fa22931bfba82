//! The deadline of one call: CPU time of the guest, with a backstop in wall-clock time.
//!
//! The engine's ticks pass in wall-clock time. When they run out, the guest has not necessarily
//! run: on a busy machine its thread may have waited for a core. Then it gets the rest of its time,
//! at most a fixed number of times over. A guest that spins is stopped on time either way.
//!
//! Reading the CPU time is a system call, which costs as much as a small decision. So it is read
//! only by calls that last: the first alarm comes after one tick, and CPU time counts from there.

use std::sync::Arc;
use std::time::Duration;

use phasegate_core::domain::ReadClock;
use wasmtime::UpdateDeadline;

use super::engine::ticks;

/// Wall-clock time that a call may take, as a multiple of its CPU time.
const WALL_TIMES: u32 = 20;

/// What is left of the time of one call.
#[derive(Debug)]
pub(super) struct Deadline {
    clock: Arc<dyn ReadClock>,
    limit: Duration,
    /// CPU time at the first alarm of the call; none before.
    begun: Option<Duration>,
    extensions: u32,
}

impl Deadline {
    pub(super) fn new(limit: Duration, clock: Arc<dyn ReadClock>) -> Self {
        Self { clock, limit, begun: None, extensions: 0 }
    }

    /// Starts the clock of a call; gives the ticks until the first alarm.
    pub(super) fn begin_call(&mut self) -> u64 {
        self.begun = None;
        self.extensions = 0;
        ticks(Duration::ZERO)
    }

    /// CPU time of a call that has lasted; none of one that was over before the first alarm.
    pub(super) fn used(&self) -> Option<Duration> {
        self.begun.map(|begun| self.clock.thread_cpu().saturating_sub(begun))
    }

    /// The ticks have run out: stop, or go on for what is left. Runs on the thread of the call.
    pub(super) fn reached(&mut self) -> UpdateDeadline {
        let now = self.clock.thread_cpu();
        let Some(begun) = self.begun else {
            self.begun = Some(now);
            return UpdateDeadline::Continue(ticks(self.limit));
        };
        let left = self.limit.saturating_sub(now.saturating_sub(begun));
        if left.is_zero() || self.extensions >= WALL_TIMES {
            return UpdateDeadline::Interrupt;
        }
        self.extensions += 1;
        UpdateDeadline::Continue(ticks(left))
    }
}
