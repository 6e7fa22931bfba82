//! Reads the body of Azure's rich application health: state, custom metrics, phase and skip.
//!
//! Follows what the Application Health extension and the upgrade documentation do, quirks
//! included: names ignore ASCII case at all three levels, the state's value does not, the last of
//! duplicates counts, `null` leaves the earlier value, and `customMetrics` is JSON inside a
//! string. Stricter than the extension in two points: a body that is not UTF-8 and a lone
//! surrogate in a name or value that matters make the body invalid.
//!
//! Deliberately no decision and no HTTP status: [`read`] tells what the body says, and the policy
//! decides what follows. No input makes it panic.

mod body;
mod diagnostic;
mod metrics;
#[cfg(test)]
mod tests;

pub use body::read;
pub use diagnostic::{Diagnostic, Unclear};

/// The highest phase number: the contract's bound and that of a signed 32-bit integer.
pub const PHASE_MAX: u32 = 2_147_483_647;

/// How to read what Azure's own documents disagree on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// What to do with `customMetrics` that is an object and not a string.
    pub object_metrics: ObjectMetrics,
    /// What to do with a `SkipUpgrade` that is neither true nor false.
    pub invalid_skip: InvalidSkip,
}

/// What to do with `customMetrics` that is an object and not a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectMetrics {
    /// Accept it as if its compact text had been the string; the documentation's own Bash
    /// examples answer so.
    #[default]
    Tolerant,
    /// As the extension does: the health is unknown and there are no metrics.
    Strict,
}

/// What to do with a `SkipUpgrade` that is neither true nor false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvalidSkip {
    /// Leave the instance out: that delays one instance, while a wrong upgrade may break it.
    #[default]
    Hold,
    /// As if it were absent.
    Ignore,
}

/// What one body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The state, or why it is unknown.
    pub state: State,
    /// The custom metrics; they count whatever the state is.
    pub metrics: Option<Metrics>,
    /// What was odd, in the order it was met.
    pub diagnostics: Vec<Diagnostic>,
}

/// `ApplicationHealthState`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Exactly `Healthy`.
    Healthy,
    /// Exactly `Unhealthy`.
    Unhealthy,
    /// Anything else, and why.
    Unknown(Unclear),
}

/// `CustomMetrics`, present and not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The text verbatim; the compact text of an object that was accepted.
    pub raw: String,
    /// Whether the text is a JSON object with at least one member.
    pub status: MetricsStatus,
    /// Phase number, at most [`PHASE_MAX`].
    pub phase: Option<u32>,
    /// Whether to leave the instance out.
    pub skip: Skip,
}

/// What Azure's status document calls the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsStatus {
    /// A JSON object with at least one member.
    Success,
    /// Anything else; it tells neither phase nor skip.
    Error,
}

impl MetricsStatus {
    /// `success` or `error`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// `SkipUpgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Takes part: false, absent, or not understood and [`InvalidSkip::Ignore`].
    No,
    /// The application asks to be left out.
    Yes,
    /// Not understood, so the instance is left out to be safe.
    Held,
}
