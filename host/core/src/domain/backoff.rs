//! How long to wait before trying again: longer after each try, and not at the same moment as others.

use std::time::Duration;

/// A wait between two bounds, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first try.
    pub first: Duration,
    /// At most.
    pub max: Duration,
}

impl Backoff {
    /// How long to wait after `tries` of them, from 1. Doubles with each try; of the result, a quarter at
    /// most is taken away, by a number that `salt` decides: two who began together do not go on together.
    #[must_use]
    pub fn after(self, tries: u32, salt: u64) -> Duration {
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
        let full = doubled.min(self.max);
        let share = u32::try_from(mix(salt ^ u64::from(tries)) % 1_000).unwrap_or(0);
        full - full / 4 * share / 1_000
    }
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_limit_and_never_falls_below_three_quarters() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) };
        for (tries, full) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (40, 30), (u32::MAX, 30)] {
            for salt in 0..100 {
                let wait = backoff.after(tries, salt);
                let full = Duration::from_secs(full);
                assert!(wait <= full && wait >= full * 3 / 4, "{tries} {salt}: {wait:?}");
            }
        }
    }

    #[test]
    fn two_who_began_together_do_not_go_on_together() {
        let backoff = Backoff { first: Duration::from_secs(5), max: Duration::from_secs(60) };
        let waits: std::collections::BTreeSet<Duration> =
            (0..100).map(|salt| backoff.after(1, salt)).collect();
        assert!(waits.len() > 80, "{}", waits.len());
    }
}
