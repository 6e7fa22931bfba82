//! What a policy answers, with builders for the usual cases.
//!
//! Deliberately without checks of the contract's bounds: the host checks every claim, and a
//! silent repair here would hide the mistake from the author.

use std::fmt;

/// What the policy claims about the instance in this probe round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The application works.
    Healthy,
    /// The application says that it does not work.
    Unhealthy,
    /// It could not be found out. Never read as healthy.
    Unknown,
}

/// Whether the instance takes part in a rolling upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Participation {
    /// Upgrade it in its phase.
    Proceed,
    /// Leave it out of this upgrade.
    Skip,
    /// Not now: ask again before its batch; when the time for asking is over, leave it out.
    Defer,
}

/// Why the policy decided as it did; shown to the operator beside the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable, lower-case-with-hyphens, at most 64 bytes, few different ones: a metric label.
    pub code: String,
    /// One line for people, at most 1,024 bytes.
    pub detail: String,
}

/// The answer for one observation. Start with [`Decision::healthy`], [`Decision::unhealthy`] or
/// [`Decision::unknown`]; without more it means: last phase, takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Health claim of this probe round.
    pub health: Health,
    /// Phase number, at most 2,147,483,647; lower ones are upgraded first. `None`: last phase.
    pub phase: Option<u32>,
    /// Whether the instance takes part.
    pub participation: Participation,
    /// Why.
    pub reason: Option<Reason>,
    /// Handed back with the next observation of this instance; at most 4,096 bytes.
    pub memory: Option<Vec<u8>>,
    /// Further output; at most 16 entries, names up to 64 bytes, values up to 16 KiB.
    pub attributes: Vec<(String, String)>,
}

impl Decision {
    /// Takes part in the last phase, with the given health and no reason.
    #[must_use]
    pub fn new(health: Health) -> Self {
        Self {
            health,
            phase: None,
            participation: Participation::Proceed,
            reason: None,
            memory: None,
            attributes: Vec::new(),
        }
    }

    /// The application works.
    #[must_use]
    pub fn healthy() -> Self {
        Self::new(Health::Healthy)
    }

    /// The application says that it does not work.
    #[must_use]
    pub fn unhealthy() -> Self {
        Self::new(Health::Unhealthy)
    }

    /// The health could not be found out.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Health::Unknown)
    }

    /// Puts the instance into a phase, or with `None` into the last one.
    #[must_use]
    pub fn phase(mut self, phase: impl Into<Option<u32>>) -> Self {
        self.phase = phase.into();
        self
    }

    /// Says why; replaces an earlier reason.
    #[must_use]
    pub fn reason(mut self, code: impl Into<String>, detail: impl Into<String>) -> Self {
        self.reason = Some(Reason { code: code.into(), detail: detail.into() });
        self
    }

    /// Leaves the instance out of this upgrade and says why.
    #[must_use]
    pub fn skip(mut self, code: impl Into<String>, detail: impl Into<String>) -> Self {
        self.participation = Participation::Skip;
        self.reason(code, detail)
    }

    /// Asks to be asked again before the instance's batch, and says why.
    #[must_use]
    pub fn defer(mut self, code: impl Into<String>, detail: impl Into<String>) -> Self {
        self.participation = Participation::Defer;
        self.reason(code, detail)
    }

    /// Says how far an instance that defers has come: a number that moves while it comes nearer, such as what it has
    /// left to do. The host says so when it does not move for long.
    #[must_use]
    pub fn progress(self, left: i64) -> Self {
        self.attribute("defer-progress", left.to_string())
    }

    /// Says by when an instance that defers expects to be ready, as RFC 3339 has a date.
    #[must_use]
    pub fn until(self, date: impl Into<String>) -> Self {
        self.attribute("defer-until", date)
    }

    /// Keeps bytes for the next observation of this instance; the only state to rely on.
    #[must_use]
    pub fn remember(mut self, memory: impl Into<Vec<u8>>) -> Self {
        self.memory = Some(memory.into());
        self
    }

    /// Adds one further output, such as `custom-metrics`.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

/// One observation could not be judged. Never read as permission: the host holds the instance
/// back and counts its health as unknown. The text is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The application's answer makes no sense to this policy.
    Unreadable(String),
    /// The policy understands the answer but does not handle such a case.
    Unsupported(String),
    /// The policy itself went wrong.
    Internal(String),
}

impl Failure {
    /// `unreadable`, `unsupported` or `internal`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Unsupported(_) => "unsupported",
            Self::Internal(_) => "internal",
        }
    }

    /// The line for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Unreadable(detail) | Self::Unsupported(detail) | Self::Internal(detail) => detail,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.detail())
    }
}

impl std::error::Error for Failure {}
