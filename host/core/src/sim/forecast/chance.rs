//! Waiting times out of seeded numbers, in whole numbers only: the same on every machine.
//!
//! Rare things are not asked for at every chance that they have: the gap to the next one is drawn.

use crate::sim::Rng;

/// Bits behind the point of a logarithm.
const FRACTION: u32 = 40;

/// ln 2 with that many bits behind the point.
const LN_2: u128 = 762_123_384_786;

/// A share in millionths.
pub(in crate::sim) const MILLION: u32 = 1_000_000;

/// Microseconds of an hour.
const HOUR: u128 = 3_600_000_000;

/// `-ln(x / 2^64)` in fixed point; `x` of zero is taken as one.
fn minus_ln(x: u64) -> u128 {
    let x = x.max(1);
    let zeros = x.leading_zeros();
    // The mantissa in [1, 2) with 63 bits behind the point.
    let mut mantissa = u128::from(x << zeros);
    let mut log2 = u128::from(63 - zeros) << FRACTION;
    for bit in (0..FRACTION).rev() {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            log2 += 1 << bit;
        }
    }
    (((64_u128 << FRACTION) - log2) * LN_2) >> FRACTION
}

/// Things that happen at so many millionths an hour to each of many.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Hourly {
    rng: Rng,
    many: u64,
    /// Mean time between two, in microseconds.
    mean: u128,
    /// Time so far, in microseconds.
    at: u128,
}

impl Hourly {
    /// None when it never happens.
    pub(in crate::sim) fn new(seed: u64, per_hour: u64, many: usize) -> Option<Self> {
        let many = u64::try_from(many).ok()?;
        let rate = u128::from(per_hour) * u128::from(many);
        (rate > 0).then(|| Self { rng: Rng::new(seed), many, mean: HOUR * u128::from(MILLION) / rate, at: 0 })
    }

    /// When the next one happens, in milliseconds from the beginning.
    pub(in crate::sim) fn next_ms(&mut self) -> u64 {
        self.at += (minus_ln(self.rng.next_u64()) * self.mean) >> FRACTION;
        u64::try_from(self.at / 1000).unwrap_or(u64::MAX)
    }

    /// To whom it happens.
    pub(in crate::sim) fn whom(&mut self) -> usize {
        usize::try_from(self.rng.between(0, self.many - 1)).unwrap_or(0)
    }

    /// A number that belongs to it.
    pub(in crate::sim) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.between(low, high)
    }
}

/// Which of a long row of trials come off, each with the same chance.
#[derive(Debug, Clone)]
pub(super) struct Trials {
    rng: Rng,
    /// `-ln(1 - chance)`; none when all come off.
    decay: Option<u128>,
    next: u64,
}

impl Trials {
    /// None when none ever comes off.
    pub(super) fn new(seed: u64, chance: u32) -> Option<Self> {
        let fails = u128::from(MILLION.saturating_sub(chance)) << 64;
        let decay = u64::try_from(fails / u128::from(MILLION)).ok()?;
        let mut trials = Self { rng: Rng::new(seed), decay: (decay > 0).then(|| minus_ln(decay)), next: 0 };
        trials.next = trials.gap();
        Some(trials)
    }

    fn gap(&mut self) -> u64 {
        let drawn = minus_ln(self.rng.next_u64());
        self.decay.map_or(0, |decay| u64::try_from(drawn / decay).unwrap_or(u64::MAX))
    }

    /// Those below `end` that come off, one after the other.
    pub(super) fn next_before(&mut self, end: u64) -> Option<u64> {
        let found = self.next;
        if found >= end {
            return None;
        }
        let gap = self.gap();
        self.next = found.saturating_add(1).saturating_add(gap);
        Some(found)
    }
}

/// One number for one purpose of one thing.
pub(super) fn draw(seed: u64, purpose: u64, thing: u64) -> Rng {
    let mut rng = Rng::new(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    Rng::new(rng.next_u64() ^ thing.wrapping_mul(0xA076_1D64_78BD_642F))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_textbook() {
        for x in [1, 2, 3, 1 << 20, u64::MAX / 3, u64::MAX / 2, u64::MAX] {
            let expected = -((x as f64) / 18_446_744_073_709_551_616.0).ln();
            let got = minus_ln(x) as f64 / f64::from(1_u32 << 20) / f64::from(1_u32 << 20);
            assert!((got - expected).abs() < 1e-9, "{x}: {got} {expected}");
        }
    }

    #[test]
    fn rates_come_out_as_asked() {
        let mut crashes = Hourly::new(7, 500_000, 1000).unwrap();
        let hours = (0..5000).map(|_| crashes.next_ms()).last().unwrap() as f64 / 3_600_000.0;
        assert!((9.5..10.5).contains(&hours), "5000 events at 500 an hour took {hours} h");

        let mut lost = Trials::new(7, 20_000).unwrap();
        let count = std::iter::from_fn(|| lost.next_before(1_000_000)).count();
        assert!((19_000..21_000).contains(&count), "{count}");
        assert_eq!(Trials::new(7, MILLION).unwrap().next_before(3), Some(0));
        assert!(Trials::new(7, 0).is_none());
        assert!(Hourly::new(7, 0, 10).is_none());
    }
}
