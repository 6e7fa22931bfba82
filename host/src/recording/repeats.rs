//! How much of what is written already may be written again, so that it does not leave the ring.
//!
//! An answer that does not change has a record, which is repeated before its segment goes. Where the ring is too small for
//! the fleet that would be without end: each repeat drives another record out. So repeats have a rate of their own, and
//! whoever must wait is asked again with the next answer. Knows no record and no file.

use std::time::Duration;

use phasegate_core::domain::Timestamp;

/// Bytes in a second, over time. Less than any disk notices; a ring that is large enough needs a tenth of that.
const RATE: u64 = 32 * 1024;

/// Bytes at once, after a time without repeats: those of a small fleet come together.
const BURST: u64 = 1024 * 1024;

/// From one warning to the next.
const SAY_EVERY: Duration = Duration::from_secs(3600);

/// What repeats may still write.
#[derive(Debug)]
pub(super) struct Repeats {
    left: u64,
    counted_at: Timestamp,
    /// Since when not one moment had room for all.
    short_since: Option<Timestamp>,
    said_at: Option<Timestamp>,
}

/// Whether a record may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayRepeat {
    /// Now.
    Yes,
    /// With a later answer.
    Later,
}

/// Whether people are to be told that the ring is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    TooSmall,
    Nothing,
}

impl Repeats {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { left: BURST, counted_at: now, short_since: None, said_at: None }
    }

    /// Whether so many bytes may be written again now.
    pub(super) fn take(&mut self, bytes: u64, now: Timestamp) -> (MayRepeat, Say) {
        let gained = u64::try_from(now.since(self.counted_at).as_millis()).unwrap_or(u64::MAX);
        let gained = gained.saturating_mul(RATE) / 1000;
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(BURST);
            self.counted_at = now;
        }
        if self.left == BURST {
            self.short_since = None;
        }
        // Larger than all that there ever is: then with all of it.
        if let Some(left) = self.left.checked_sub(bytes.min(BURST)) {
            self.left = left;
            return (MayRepeat::Yes, Say::Nothing);
        }
        let since = *self.short_since.get_or_insert(now);
        // Short for minutes on end is no crowd that came together.
        let is_long = now.since(since) >= SAY_EVERY / 12;
        if is_long && self.said_at.is_none_or(|at| now.since(at) >= SAY_EVERY) {
            self.said_at = Some(now);
            return (MayRepeat::Later, Say::TooSmall);
        }
        (MayRepeat::Later, Say::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_fleet_comes_together_and_a_large_one_has_a_rate() {
        let mut repeats = Repeats::new(Timestamp(0));
        let mut at = |millis: i64| {
            let mut written = 0;
            while repeats.take(1024, Timestamp(millis)).0 == MayRepeat::Yes {
                written += 1024;
            }
            written
        };
        assert_eq!(at(0), BURST);
        let hour: u64 = (1..=3600).map(|second| at(second * 1000)).sum();
        assert_eq!(hour, 3600 * RATE);
        assert_eq!(at(10_000_000), BURST, "no more than that after any time");
    }

    #[test]
    fn it_is_said_once_an_hour_that_the_ring_is_too_small() {
        let mut repeats = Repeats::new(Timestamp(0));
        let mut said = Vec::new();
        for second in 0..7200 {
            for _ in 0..100 {
                if repeats.take(1024, Timestamp(second * 1000)).1 == Say::TooSmall {
                    said.push(second);
                }
            }
        }
        assert_eq!(said, [314, 3914], "the first seconds go from what there was");
    }
}
