//! Why a door does not do what it was asked for: a kind for programs and a line for people.

use phasegate_core::kernel::{Kind, Refusal};

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// Which kind.
    pub kind: CommandErrorKind,
    /// One line for people.
    pub message: String,
}

/// Kinds of refusals; the API turns them into status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandErrorKind {
    /// No such object.
    NotFound,
    /// Not in this state.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// What was handed in is not good enough.
    Refused,
    /// The host cannot do it now.
    Unavailable,
}

impl CommandError {
    pub(crate) fn new(kind: CommandErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind() {
            Kind::NotFound => CommandErrorKind::NotFound,
            Kind::Conflict => CommandErrorKind::Conflict,
            Kind::Invalid => CommandErrorKind::Invalid,
            Kind::Refused => CommandErrorKind::Refused,
            Kind::Unavailable => CommandErrorKind::Unavailable,
        };
        Self::new(kind, refusal.to_string())
    }
}
