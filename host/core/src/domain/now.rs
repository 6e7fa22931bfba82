//! The two clocks of a moment.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The date: milliseconds since 1970-01-01T00:00:00Z as the machine's wall clock says it. A person may set
/// it at any time, so it orders nothing and measures nothing: it is for freeze windows, the trail and what
/// plugins are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// The date as a point in time, to compare with other dates.
    #[must_use]
    pub fn date(self) -> Timestamp {
        Timestamp(self.0)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

/// One moment, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The date.
    pub wall: WallTime,
    /// The fleet's own time: durations, deadlines and wake-ups. It follows the boot clock, which runs on
    /// while the machine sleeps and which no person sets, and goes on over a restart of the host.
    pub at: Timestamp,
}

/// Clocks that are no further apart count as one.
const APART: i64 = 2_000;

impl Now {
    /// The date of a moment of the fleet's own time, which no person's setting of the clock has moved. While the clocks
    /// go together it is what was written down then; one that is slewed wanders by milliseconds.
    #[must_use]
    pub fn date_of(self, at: Timestamp) -> Timestamp {
        let ahead = self.wall.0.saturating_sub(self.at.0);
        if ahead.abs() < APART { at } else { Timestamp(at.0.saturating_add(ahead)) }
    }

    /// A moment at which both clocks say the same, as in an invented world.
    #[must_use]
    pub fn same(at: Timestamp) -> Self {
        Self { wall: WallTime(at.0), at }
    }
}

/// Reads the clocks. The core is only ever given times; what runs guests measures with this.
pub trait ReadClock: fmt::Debug + Send + Sync {
    /// This moment.
    fn now(&self) -> Now;
    /// Time since the clock was made, for measuring.
    fn elapsed(&self) -> std::time::Duration;
    /// CPU time that the calling thread has used since it began: what a guest is charged, so that a busy
    /// machine does not make a good plugin look slow.
    fn thread_cpu(&self) -> std::time::Duration;
}
