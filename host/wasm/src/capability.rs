//! What the host gives to a guest: a bounded log and the time of the evaluation.
//!
//! There is nothing else but the stubs of `wasi`, and nothing can block.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phasegate_core::domain::{ReadClock, Timestamp};

use super::deadline::Deadline;
use super::limits::{Limiter, Limits};
use super::text;
use super::wasi;

/// Longest log line in bytes, as `wit/v1` promises.
const LINE_BYTES_MAX: usize = 1024;
/// Longest part of a line that goes into the message of a trap.
const LAST_WORDS_BYTES_MAX: usize = 256;
/// Length of the window in which lines are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// How much a line matters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// What one store holds for the host.
pub(super) struct HostState {
    pub(super) limiter: Limiter,
    pub(super) deadline: Deadline,
    pub(super) now_ms: u64,
    pub(super) wasi: wasi::State,
    log: Arc<GuestLog>,
    /// The latest warning or error of this call: should it end in a trap, that says more than the trap.
    last_words: Option<String>,
}

impl HostState {
    pub(super) fn new(limits: Limits, log: Arc<GuestLog>) -> Self {
        Self {
            limiter: Limiter::new(limits),
            deadline: Deadline::new(limits.timeout, Arc::clone(&log.clock)),
            now_ms: 0,
            wasi: wasi::State::new(),
            log,
            last_words: None,
        }
    }

    pub(super) fn write_line(&mut self, level: Level, message: &str) {
        // Stack frames are indented, and stand above the exception or below it; Rust adds a note about more
        // of them.
        let beside = message.starts_with([' ', '\t']) || message.starts_with("note: ");
        if matches!(level, Level::Warn | Level::Error) && !beside {
            self.last_words = Some(text::one_line(message, LAST_WORDS_BYTES_MAX));
        }
        self.log.write(level, message);
    }

    /// Begins a call, in which nothing was said yet.
    pub(super) fn begin_words(&mut self) {
        self.last_words = None;
    }

    pub(super) fn last_words(&self) -> Option<&str> {
        self.last_words.as_deref()
    }

    /// Takes what the guest writes to stdout or stderr.
    pub(super) fn print(&mut self, stream: wasi::Stream, bytes: &[u8]) {
        for line in self.wasi.lines(stream, bytes) {
            self.print_line(stream, &line);
        }
    }

    /// Writes the lines that a call has begun and not ended.
    pub(super) fn finish_lines(&mut self) {
        for (stream, line) in self.wasi.rest() {
            if let Some(line) = line {
                self.print_line(stream, &line);
            }
        }
    }

    fn print_line(&mut self, stream: wasi::Stream, line: &str) {
        let level = match stream {
            wasi::Stream::Out => Level::Info,
            wasi::Stream::Err => Level::Warn,
        };
        if !line.trim().is_empty() {
            self.write_line(level, line);
        }
    }
}

/// The log of one plugin; shared by all its instances, so that a new instance has no new budget.
pub(super) struct GuestLog {
    clock: Arc<dyn ReadClock>,
    state: Mutex<State>,
}

struct State {
    label: String,
    meter: Meter,
}

impl GuestLog {
    pub(super) fn new(label: String, lines_max: u32, clock: Arc<dyn ReadClock>) -> Self {
        Self { clock, state: Mutex::new(State { label, meter: Meter::new(lines_max) }) }
    }

    /// Names the plugin in its lines.
    pub(super) fn set_label(&self, label: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        label.clone_into(&mut state.label);
    }

    /// Lines that were dropped so far because they came too fast.
    pub(super) fn dropped(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).meter.dropped
    }

    fn write(&self, level: Level, message: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let admission = state.meter.admit(self.clock.now().at);
        let (plugin, lines_max) = (state.label.as_str(), state.meter.lines_max);
        match admission {
            Admission::Pass { missed: 0 } => {}
            Admission::Pass { missed } => {
                tracing::warn!(plugin, missed, "log lines of the plugin were dropped")
            }
            Admission::FirstDropped => {
                tracing::warn!(
                    plugin,
                    "log lines of the plugin are dropped: more than {lines_max} in a minute; \
                     raise limits.logLinesPerMinute or make the plugin log less"
                );
                return;
            }
            Admission::Dropped => return,
        }
        let line = text::one_line(message, LINE_BYTES_MAX);
        match level {
            Level::Debug => tracing::debug!(plugin, "{line}"),
            Level::Info => tracing::info!(plugin, "{line}"),
            Level::Warn => tracing::warn!(plugin, "{line}"),
            Level::Error => tracing::error!(plugin, "{line}"),
        }
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It is written; so many were dropped since the last one that was.
    Pass { missed: u64 },
    /// It is the first of its window that is dropped.
    FirstDropped,
    /// It is dropped.
    Dropped,
}

/// Counts lines in windows.
struct Meter {
    lines_max: u32,
    window_at: Timestamp,
    lines: u32,
    dropped: u64,
    reported: u64,
}

impl Meter {
    fn new(lines_max: u32) -> Self {
        Self { lines_max, window_at: Timestamp::default(), lines: 0, dropped: 0, reported: 0 }
    }

    fn admit(&mut self, now: Timestamp) -> Admission {
        if now.since(self.window_at) >= WINDOW {
            self.window_at = now;
            self.lines = 0;
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > self.lines_max {
            self.dropped = self.dropped.saturating_add(1);
            let is_first = self.lines - 1 == self.lines_max;
            return if is_first { Admission::FirstDropped } else { Admission::Dropped };
        }
        let missed = self.dropped - self.reported;
        self.reported = self.dropped;
        Admission::Pass { missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_counted_not_written() {
        let mut meter = Meter::new(20);
        let passes = |admission| matches!(admission, Admission::Pass { .. });
        let passed = (0..20).filter(|_| passes(meter.admit(Timestamp(100_000)))).count();
        assert_eq!(meter.admit(Timestamp(100_000)), Admission::FirstDropped);
        let dropped = (0..29).filter(|_| meter.admit(Timestamp(100_000)) == Admission::Dropped).count();
        assert_eq!((passed, dropped, meter.dropped), (20, 29, 30));
        assert_eq!(meter.admit(Timestamp(159_999)), Admission::Dropped);
        assert_eq!(meter.admit(Timestamp(160_000)), Admission::Pass { missed: 31 });
        assert_eq!(meter.admit(Timestamp(160_000)), Admission::Pass { missed: 0 });
    }
}
