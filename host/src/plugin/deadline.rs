//! The deadline of one call: CPU time of the guest, with a backstop in wall-clock time.
//!
//! The engine's ticks pass in wall-clock time. When they run out, the guest has not necessarily
//! run: on a busy machine its thread may have waited for a core. Then it gets the rest of its time,
//! at most a fixed number of times over. A guest that spins is stopped on time either way.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use super::engine::ticks;
use crate::clock::thread_cpu_time;

/// Wall-clock time that a call may take, as a multiple of its CPU time.
const WALL_TIMES: u32 = 20;

/// What is left of the time of one call.
#[derive(Debug)]
pub(super) struct Deadline {
    limit: Duration,
    begun: Duration,
    extensions: u32,
}

impl Deadline {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, begun: Duration::ZERO, extensions: 0 }
    }

    /// Starts the clock of a call, on the thread that runs it.
    pub(super) fn begin_call(&mut self) {
        self.begun = thread_cpu_time();
        self.extensions = 0;
    }

    /// The ticks have run out: stop, or go on for what is left.
    pub(super) fn reached(&mut self) -> UpdateDeadline {
        let used = thread_cpu_time().saturating_sub(self.begun);
        let left = self.limit.saturating_sub(used);
        if left.is_zero() || self.extensions >= WALL_TIMES {
            return UpdateDeadline::Interrupt;
        }
        self.extensions += 1;
        UpdateDeadline::Continue(ticks(left))
    }
}
