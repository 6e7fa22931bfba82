//! Why a hook was not run to a good end. Which hook it was, whoever asked for it knows.

use std::time::Duration;

use crate::drivers::local::{ResolveError, RunError};
use crate::drivers::template::RenderError;
use crate::net::tls::LoadCertificatesError;

/// One line for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Certificates(#[from] LoadCertificatesError),
    #[error("`{0}` cannot be asked")]
    Unsendable(String),
    #[error("{0}")]
    Failed(String),
    #[error("said \"not yet\" for {} s: {said}", within.as_secs_f64())]
    NotYet { within: Duration, said: String },
    #[error("did not end within {} s", .0.as_secs_f64())]
    TooLong(Duration),
    #[error("it was ended, because its upgrade is to end")]
    EndedOnWish,
}
