//! How far a replica of the demonstration is behind its leader.
//!
//! A picture of catching up, not a simulation of replication.

use std::time::Duration;

/// Bytes behind at the start: far above the MiB that the policy of the demonstration accepts.
const LAG_AT_START: u64 = 48 * 1024 * 1024;

/// The lag halves in this time, so that it passes one MiB after about 1.4 s.
const HALF_LIFE: Duration = Duration::from_millis(250);

/// What never goes away: the leader writes on.
const LAG_MIN: u64 = 512;

/// Bytes behind the leader after running for so long.
#[must_use]
pub fn replication_lag(uptime: Duration) -> u64 {
    let half_lives = uptime.as_millis() / HALF_LIFE.as_millis();
    let shift = u32::try_from(half_lives).unwrap_or(u32::MAX);
    let at_step = LAG_AT_START.checked_shr(shift).unwrap_or(0);
    // A straight line between one halving and the next.
    let into_step = uptime.as_millis() % HALF_LIFE.as_millis();
    let into_step = u64::try_from(into_step).unwrap_or(0);
    let step = u64::try_from(HALF_LIFE.as_millis()).unwrap_or(u64::MAX);
    let lag = at_step.saturating_sub(at_step / 2 * into_step / step);
    lag.max(LAG_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_below_a_mebibyte_within_two_seconds_and_never_rises() {
        let lag = |milliseconds| replication_lag(Duration::from_millis(milliseconds));
        assert_eq!(lag(0), 48 << 20);
        assert_eq!(lag(250), 24 << 20);
        assert_eq!(lag(125), 36 << 20);
        assert!(lag(1000) > 1 << 20);
        assert!(lag(1500) < 1 << 20);
        assert_eq!(lag(60_000), 512);
        assert_eq!(replication_lag(Duration::MAX), 512);
        assert!((0..5000).all(|at| lag(at + 1) <= lag(at)));
    }
}
