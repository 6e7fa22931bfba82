//! Which host speaks: a number that rises whenever another host, or another life of the same one, takes
//! charge, so that drivers can refuse the one before.
//!
//! On the drivers' wire, in the environment of their programs and in templates it is one number, called
//! `generation`. It is no [`Generation`](super::Generation): that counts the components of a plugin.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits of the packed number that hold the incarnation.
const INCARNATION_BITS: u32 = 24;

/// Which host speaks. A later term is above every incarnation of an earlier one.
///
/// ```text
/// bit   52        24 23             0
///      |    term    |  incarnation   |   below 2^53, which every JSON reader keeps exactly
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Fence {
    // In this order, because it is the order of fences.
    term: u32,
    incarnation: u32,
}

/// Why a number is no fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFenceError {
    /// Too many starts.
    #[error("incarnation {seen} is above {}", Fence::INCARNATION_MAX)]
    Incarnation {
        /// The value.
        seen: u32,
    },
    /// Too many changes of who is in charge.
    #[error("term {seen} is above {}", Fence::TERM_MAX)]
    Term {
        /// The value.
        seen: u32,
    },
    /// Not below 2^53.
    #[error("generation {seen} is not below 2^53")]
    Packed {
        /// The value.
        seen: u64,
    },
}

/// A host that has been replaced asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is of generation {asked} and {seen} has been seen: a newer host is in charge")]
pub struct DeposedError {
    /// The fence of the request.
    pub asked: Fence,
    /// The highest one that has been seen.
    pub seen: Fence,
}

impl Fence {
    /// Largest incarnation: a start every minute for thirty years.
    pub const INCARNATION_MAX: u32 = (1 << INCARNATION_BITS) - 1;

    /// Largest term: another host in charge every second for seventeen years.
    pub const TERM_MAX: u32 = (1 << (53 - INCARNATION_BITS)) - 1;

    /// Below the fence of every host: what a driver has seen before its first request.
    pub const NONE: Self = Self { term: 0, incarnation: 0 };

    /// The fence of a host that starts for the `incarnation`th time, in a term; 0 where hosts do not
    /// take turns.
    ///
    /// # Errors
    /// When a part is above its limit.
    pub fn new(incarnation: u32, term: u32) -> Result<Self, InvalidFenceError> {
        if incarnation > Self::INCARNATION_MAX {
            return Err(InvalidFenceError::Incarnation { seen: incarnation });
        }
        if term > Self::TERM_MAX {
            return Err(InvalidFenceError::Term { seen: term });
        }
        Ok(Self { term, incarnation })
    }

    /// How often the host has started.
    #[must_use]
    pub fn incarnation(self) -> u32 {
        self.incarnation
    }

    /// How often the charge has changed hands.
    #[must_use]
    pub fn term(self) -> u32 {
        self.term
    }

    /// As one number below 2^53, in the same order.
    #[must_use]
    pub fn packed(self) -> u64 {
        (u64::from(self.term) << INCARNATION_BITS) | u64::from(self.incarnation)
    }

    /// Refuses a request of a host that has been replaced, and remembers the highest fence otherwise.
    ///
    /// # Errors
    /// When a higher fence has been seen.
    pub fn admit(self, highest: &mut Self) -> Result<(), DeposedError> {
        if self < *highest {
            return Err(DeposedError { asked: self, seen: *highest });
        }
        *highest = self;
        Ok(())
    }
}

impl TryFrom<u64> for Fence {
    type Error = InvalidFenceError;

    fn try_from(packed: u64) -> Result<Self, InvalidFenceError> {
        let invalid = InvalidFenceError::Packed { seen: packed };
        let term = u32::try_from(packed >> INCARNATION_BITS).map_err(|_| invalid)?;
        let incarnation = u32::try_from(packed & u64::from(Self::INCARNATION_MAX)).map_err(|_| invalid)?;
        Self::new(incarnation, term).map_err(|_| invalid)
    }
}

impl From<Fence> for u64 {
    fn from(fence: Fence) -> Self {
        fence.packed()
    }
}

/// The packed number.
impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.packed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(incarnation: u32, term: u32) -> Fence {
        Fence::new(incarnation, term).unwrap()
    }

    #[test]
    fn a_host_without_terms_counts_its_starts() {
        for starts in [0, 1, 7, Fence::INCARNATION_MAX] {
            assert_eq!(fence(starts, 0).packed(), u64::from(starts));
            assert_eq!(fence(starts, 0).to_string(), starts.to_string());
        }
    }

    #[test]
    fn packing_keeps_parts_and_order() {
        let (i, t) = (Fence::INCARNATION_MAX, Fence::TERM_MAX);
        let rising = [(0, 0), (1, 0), (i, 0), (0, 1), (1, 1), (i, 1), (0, 2), (0, t), (i, t)];
        for pair in rising.map(|(incarnation, term)| fence(incarnation, term)).windows(2) {
            assert!(pair[0] < pair[1] && pair[0].packed() < pair[1].packed(), "{pair:?}");
            assert_eq!(Fence::try_from(pair[1].packed()), Ok(pair[1]));
        }
        assert_eq!(fence(i, t).packed(), (1 << 53) - 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let told = |result: Result<Fence, InvalidFenceError>| result.unwrap_err().to_string();
        assert_eq!(told(Fence::new(1 << 24, 0)), "incarnation 16777216 is above 16777215");
        assert_eq!(told(Fence::new(0, 1 << 29)), "term 536870912 is above 536870911");
        assert_eq!(told(Fence::try_from(1_u64 << 53)), "generation 9007199254740992 is not below 2^53");
        assert_eq!(told(Fence::try_from(u64::MAX)), "generation 18446744073709551615 is not below 2^53");
    }

    #[test]
    fn json_has_the_one_number() {
        assert_eq!(serde_json::to_string(&fence(3, 1)).unwrap(), "16777219");
        assert_eq!(serde_json::from_str::<Fence>("16777219").unwrap(), fence(3, 1));
        assert!(serde_json::from_str::<Fence>("9007199254740992").is_err());
    }

    #[test]
    fn a_host_that_was_replaced_is_refused() {
        let mut highest = Fence::NONE;
        assert_eq!(fence(1, 0).admit(&mut highest), Ok(()));
        assert_eq!(fence(1, 0).admit(&mut highest), Ok(()));
        assert_eq!(fence(7, 0).admit(&mut highest), Ok(()));
        insta::assert_snapshot!(fence(1, 0).admit(&mut highest).unwrap_err(), @"the request is of generation 1 and 7 has been seen: a newer host is in charge");
        assert_eq!(highest, fence(7, 0));
    }
}
