//! Why agents did not do what was asked for, and what was heard of them meanwhile.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::drivers::DriverError;
use crate::drivers::settings::SettingsError;
use crate::drivers::template::RenderError;
use crate::net::address::InvalidAddressError;
use crate::net::exchange::ResponseError;
use crate::net::url::{HttpUrl, InvalidUrlError};
use phasegate_core::domain::{Address, Fence};

/// Why an operation or a question came to nothing; one line for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("the driver has not been told how to create instances")]
    NoCreation,
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Body(#[from] serde_json::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the agent has seen generation {0}")]
    Superseded(Fence),
    #[error("not done within {} s: {latest}", within.as_secs_f64())]
    NotDone { within: Duration, latest: Heard },
    #[error("{url} is done, and did not name an address")]
    NoAddress { url: HttpUrl },
    #[error("{url} named the address `{shown}`, which {error}")]
    BadAddress { url: HttpUrl, shown: String, error: InvalidAddressError },
    #[error("{url} does not answer")]
    Silent { url: HttpUrl },
    #[error("{url} answered {status}")]
    Status { url: HttpUrl, status: u16 },
    #[error(
        "{url} answered with something else than {{\"version\": …}}, or {{\"version\": null, \"state\": \"absent\"}}"
    )]
    NoVersion { url: HttpUrl },
    #[error("{url} answered with `{shown}`, which is no version")]
    BadVersion { url: HttpUrl, shown: String },
}

impl From<AgentError> for DriverError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Superseded(seen) => Self::Superseded(seen),
            AgentError::Settings(error) => Self::untouched(error),
            AgentError::Refused(refusal @ Refusal::Untouched(_)) => Self::untouched(refusal),
            other => Self::of_kind(other),
        }
    }
}

/// What ends an operation without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the agent points to `{place}`, which {error}")]
    Elsewhere { place: String, error: InvalidUrlError },
    #[error("the agent answered {status}, and redirects are not followed")]
    Redirect { status: u16 },
    #[error("{0}")]
    Answered(Answered),
    #[error("no more room: {0}")]
    NoRoom(Answered),
    /// With what it says of it, if anything.
    #[error("the agent says that it failed{}", after_colon(.0))]
    Failed(String),
    /// With what it says of it, if anything.
    #[error("the agent says that it failed and that nothing was touched{}", after_colon(.0))]
    Untouched(String),
    #[error("the agent answered with the unknown state `{0}`")]
    UnknownState(String),
    #[error("the agent answered 200 to a poll without a state")]
    NoState,
    /// It cannot be asked.
    #[error(transparent)]
    Send(SendError),
}

/// A status that says no, and the first line that came with it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) line: String,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the agent answered {}{}", self.status, after_colon(&self.line))
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// What was heard last of an operation that goes on.
#[derive(Debug)]
pub(super) enum Heard {
    Nothing,
    Busy(Busy),
    /// With what the agent says of it, if anything.
    Running(String),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there was no answer yet"),
            Self::Busy(why) => why.fmt(f),
            Self::Running(message) if message.is_empty() => f.write_str("it is under way"),
            Self::Running(message) => f.write_str(message),
        }
    }
}

/// Why an agent is asked the same again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Busy {
    #[error("{0}")]
    Answered(Answered),
    #[error("the agent does not answer")]
    Silent,
    #[error(transparent)]
    Send(SendError),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("{0} does not accept a connection")]
    NotAccepted(Address),
    /// In the words of the system.
    #[error("{0}")]
    Broken(String),
    #[error("{text}")]
    Handshake { text: String, retry: Retry },
    #[error("{url} is https, and no certificates are trusted")]
    NoCertificates { url: HttpUrl },
    #[error("{what} of {url} cannot be sent")]
    Unsendable { what: &'static str, url: HttpUrl },
    #[error(transparent)]
    Token(#[from] ReadTokenError),
    #[error("{address} answered with status {status}")]
    Status { address: Address, status: u16 },
    #[error("{address} answered with more than {limit} bytes")]
    BodyTooLarge { address: Address, limit: u64 },
    #[error("the answer of {address} is not valid HTTP: {error}")]
    NotHttp { address: Address, error: ResponseError },
}

/// Whether the same request may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Later,
    Never,
}

impl SendError {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::NotAccepted(_) | Self::Broken(_) => Retry::Later,
            Self::Handshake { retry, .. } => *retry,
            Self::NoCertificates { .. }
            | Self::Unsendable { .. }
            | Self::Token(_)
            | Self::Status { .. }
            | Self::BodyTooLarge { .. }
            | Self::NotHttp { .. } => Retry::Never,
        }
    }
}

/// Why a token file cannot be used; its content is never shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadTokenError {
    #[error("token file `{}`: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("token file `{}` does not hold one line of text", .0.display())]
    NoLine(PathBuf),
}
