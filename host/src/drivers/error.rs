//! Why a driver could not do what it was asked for. Knows no kind: each keeps the words of its own.

use std::error::Error;
use std::time::Duration;

use phasegate_core::domain::{DeposedError, Fence, Touched, Version};

/// Why an instance could not be made to run a version, or be created or deleted; one line for people.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A person wanted it to end.
    #[error("it was ended, because its upgrade is to end")]
    EndedOnWish,
    /// The same, and what works on it did not end in time.
    #[error("it was given up, because its upgrade is to end and it did not end within {} s", .0.as_secs())]
    GivenUp(Duration),
    /// It takes no requests any more.
    #[error("the driver has ended")]
    Ended,
    /// A newer host is in charge.
    #[error(transparent)]
    Deposed(#[from] DeposedError),
    /// A higher generation has told the same instance something. It may be asked for again.
    #[error("generation {0} has told the instance something, and this host is an earlier one")]
    Superseded(Fence),
    /// It has failed and has touched nothing, in the words of the kind of driver.
    #[error(transparent)]
    Untouched(Box<dyn Error + Send + Sync>),
    /// What was said to be done is not so: the instance has nothing.
    #[error("it was said to be done, and the instance says that nothing runs {} s later", within.as_secs_f64())]
    NothingThere {
        /// For how long that was looked at.
        within: Duration,
    },
    /// Nobody can tell whether what was said to be done is so.
    #[error("it was said to be done, and for {} s nobody could tell whether it runs {wanted}: {why}", within.as_secs_f64())]
    NotConfirmed {
        /// What was wanted.
        wanted: Version,
        /// For how long that was looked at.
        within: Duration,
        /// Why not.
        why: String,
    },
    /// Old and new answer, and do not stop.
    #[error("it was said to be done, and {wanted} and another version answer side by side for {} s", within.as_secs_f64())]
    SideBySide {
        /// What was wanted.
        wanted: Version,
        /// For how long that was looked at.
        within: Duration,
    },
    /// What was said to be done is not so.
    #[error("it was said to be done, and the instance still runs {seen} {} s later", within.as_secs_f64())]
    NotSo {
        /// What it runs.
        seen: Version,
        /// For how long that was looked at.
        within: Duration,
    },
    /// In the words of the kind of driver.
    #[error(transparent)]
    OfKind(Box<dyn Error + Send + Sync>),
}

impl DriverError {
    pub(super) fn of_kind(error: impl Error + Send + Sync + 'static) -> Self {
        Self::OfKind(Box::new(error))
    }

    pub(super) fn untouched(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Untouched(Box::new(error))
    }

    /// Whether the driver has done anything.
    #[must_use]
    pub fn touched(&self) -> Touched {
        match self {
            Self::Untouched(_) | Self::Deposed(_) => Touched::No,
            Self::EndedOnWish
            | Self::GivenUp(_)
            | Self::Ended
            | Self::Superseded(_)
            | Self::NothingThere { .. }
            | Self::NotConfirmed { .. }
            | Self::SideBySide { .. }
            | Self::NotSo { .. }
            | Self::OfKind(_) => Touched::Perhaps,
        }
    }
}
