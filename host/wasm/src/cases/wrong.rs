//! What can be wrong with a case.

use phasegate_core::domain::InvalidIdError;

use super::base64::InvalidBase64Error;

/// Why a text is no case; one line that follows the file.
#[derive(Debug, thiserror::Error)]
pub enum WrongCaseError {
    /// It is no JSON, or has other keys and types.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Neither an object nor an array.
    #[error("a file is one case or an array of cases")]
    NoCase,
    /// A case of the file.
    #[error("case {name:?}: {error}")]
    Case {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// A name that was there before.
    #[error("two cases are named {0:?}")]
    Twice(String),
    /// Settings twice.
    #[error("give one of `settings` and `settingsText`")]
    Settings,
    /// Nothing to judge, and something to be decided.
    #[error("`observation` is missing")]
    NoObservation,
    /// An observation without an answer.
    #[error("`answers` is empty; an observation has at least one answer")]
    NoAnswers,
    /// An id or a version of the instance.
    #[error("instance.{key} {error}")]
    Instance {
        /// Which.
        key: &'static str,
        /// Why it is none.
        error: InvalidIdError,
    },
    /// An answer with a wrong response.
    #[error("answer `{source_name}`: {error}")]
    Answer {
        /// The probe that gave it.
        source_name: String,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// An answer that is none, or two.
    #[error("answer `{0}` needs `response` or `failure`, and not both")]
    ResponseOrFailure(String),
    /// No status of HTTP.
    #[error("`status` is {0}; it is 100 to 599, or 0 for a TCP connection that opened")]
    Status(u16),
    /// More than one body.
    #[error("give one of `body`, `bodyJson` and `bodyBase64`")]
    Bodies,
    /// Bytes that cannot be decoded.
    #[error(transparent)]
    Base64(#[from] InvalidBase64Error),
    /// A timeout that is none.
    #[error("`timeout` can only be true")]
    NoTimeout,
    /// More or less than one thing is expected.
    #[error("`expect` needs exactly one of `decision`, `failure` and `configureError`")]
    Expect,
    /// A time that cannot be read.
    #[error("`now` is {0:?}, expected a time such as 2026-01-01T12:00:00Z")]
    NoTime(String),
    /// A time that a plugin's clock cannot show.
    #[error("`now` is before 1970")]
    Before1970,
}
