//! Why a driver could not do what it was asked for. Knows no kind: each keeps the words of its own.

use std::error::Error;
use std::time::Duration;

use phasegate_core::domain::{DeposedError, Fence, Version};

/// Why an instance could not be made to run a version, or be created or deleted; one line for people.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A person wanted it to end.
    #[error("it was ended, because a person asked for that")]
    EndedOnWish,
    /// The same, and what works on it did not end in time.
    #[error("it was given up, because a person asked for its end and it did not end within {} s", .0.as_secs())]
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
}
