//! What is expected, what came, and where they differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::base64;
use super::wrong::WrongCaseError;
use phasegate_core::domain::{Claim, Decision, Participation, PluginFailure, Verdict};

/// What is expected, as typed: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "what is expected, an object")]
pub(super) struct TypedExpect {
    decision: Option<ExpectedDecision>,
    failure: Option<ExpectedFailure>,
    configure_error: Option<String>,
}

/// What must come.
#[derive(Debug)]
pub enum Expectation {
    /// A decision.
    Decision(ExpectedDecision),
    /// The plugin's own word that it cannot judge.
    Failure(ExpectedFailure),
    /// The settings are refused with a text that contains this.
    ConfigureError(String),
}

/// A decision; what is absent may be anything, but for the phase.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a decision")]
pub struct ExpectedDecision {
    health: Health,
    phase: Option<u32>,
    participation: Participation,
    reason: Option<ExpectedReason>,
    #[serde(default)]
    attributes: BTreeMap<String, Option<String>>,
    memory: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Healthy,
    Unhealthy,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a reason")]
struct ExpectedReason {
    code: String,
    detail: Option<String>,
}

/// A failure.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a failure")]
pub struct ExpectedFailure {
    kind: FailureKind,
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FailureKind {
    Unreadable,
    Unsupported,
    Internal,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// A decision or a failure.
    Judged(Verdict),
    /// The settings were refused, in these words.
    Refused(String),
    /// The settings were accepted, and there is nothing to judge.
    Accepted,
    /// It did not get so far.
    Broken(String),
}

/// One member that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which, as case files write it.
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Expectation {
    pub(super) fn build(typed: TypedExpect) -> Result<Self, WrongCaseError> {
        let TypedExpect { decision, failure, configure_error } = typed;
        match (decision, failure, configure_error) {
            (Some(expected), None, None) => {
                expected.memory.as_deref().map(base64::decode).transpose()?;
                Ok(Self::Decision(expected))
            }
            (None, Some(expected), None) => Ok(Self::Failure(expected)),
            (None, None, Some(part)) => Ok(Self::ConfigureError(part)),
            _ => Err(WrongCaseError::Expect),
        }
    }

    /// Everything that differs; empty when the case passes.
    #[must_use]
    pub fn compare(&self, got: &Got) -> Vec<Difference> {
        match (self, got) {
            (Self::Decision(expected), Got::Judged(Ok(decision))) => expected.compare(decision),
            (Self::Failure(expected), Got::Judged(Err(PluginFailure::Refused { kind, detail }))) => {
                let mut found = Found::default();
                found.same("failure.kind", expected.kind.name(), kind);
                found.contains("failure.detail", expected.detail.as_deref(), detail);
                found.0
            }
            (Self::ConfigureError(part), Got::Refused(said)) => {
                let mut found = Found::default();
                found.contains("configureError", Some(part), said);
                found.0
            }
            (expected, got) => {
                let mut found = Found::default();
                found.add("outcome", expected.outline(), show(got));
                found.0
            }
        }
    }

    fn outline(&self) -> String {
        match self {
            Self::Decision(expected) => format!(
                "{}, {}, {}",
                expected.health.name(),
                phase(expected.phase),
                expected.participation.name()
            ),
            Self::Failure(expected) => format!("failure {}", expected.kind.name()),
            Self::ConfigureError(part) => format!("settings refused with {part:?}"),
        }
    }
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, what: &str, expected: String, got: String) {
        self.0.push(Difference { what: what.to_owned(), expected, got });
    }

    fn same(&mut self, what: &str, expected: &str, got: &str) {
        if expected != got {
            self.add(what, expected.to_owned(), got.to_owned());
        }
    }

    fn contains(&mut self, what: &str, part: Option<&str>, got: &str) {
        if let Some(part) = part
            && !got.contains(part)
        {
            self.add(what, format!("…{part}…"), got.to_owned());
        }
    }
}

impl ExpectedDecision {
    fn compare(&self, got: &Decision) -> Vec<Difference> {
        let Self { health, phase: wanted, participation, reason, attributes, memory } = self;
        let mut found = Found::default();
        found.same("health", health.name(), claim(got.claim));
        found.same("phase", &phase(*wanted), &phase(got.phase.map(phasegate_core::domain::Phase::get)));
        found.same("participation", participation.name(), got.participation.name());
        match (reason, &got.reason) {
            (None, _) => {}
            (Some(wanted), None) => found.add("reason.code", wanted.code.clone(), "(none)".to_owned()),
            (Some(wanted), Some(got)) => {
                found.same("reason.code", &wanted.code, &got.code);
                found.contains("reason.detail", wanted.detail.as_deref(), &got.detail);
            }
        }
        let absent = || "(absent)".to_owned();
        for (name, wanted) in attributes {
            let value = got.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            if wanted.as_ref() != value {
                let wanted = wanted.clone().unwrap_or_else(absent);
                found.add(&format!("attributes.{name}"), wanted, value.cloned().unwrap_or_else(absent));
            }
        }
        if let Some(wanted) = memory {
            let value = got.memory.as_deref().map_or_else(absent, base64::encode);
            found.same("memory", wanted, &value);
        }
        found.0
    }
}

/// One line about an outcome.
#[must_use]
pub fn show(got: &Got) -> String {
    match got {
        Got::Refused(said) if said.is_empty() => "settings refused, without a word about why".to_owned(),
        Got::Refused(said) => format!("settings refused: {said}"),
        Got::Accepted => "settings accepted".to_owned(),
        Got::Broken(said) => format!("it {said}"),
        Got::Judged(Err(PluginFailure::Refused { kind, detail })) => format!("failure {kind}: {detail}"),
        Got::Judged(Err(failure)) => failure.to_string(),
        Got::Judged(Ok(decision)) => {
            let Decision { claim: health, phase: number, participation, reason, memory, attributes } =
                &**decision;
            let number = phase(number.map(phasegate_core::domain::Phase::get));
            let mut line = format!("{}, {number}, {}", claim(*health), participation.name());
            if let Some(reason) = reason {
                line.push_str(&format!(", {}: {}", reason.code, reason.detail));
            }
            for (name, value) in attributes {
                line.push_str(&format!(", {name} = {value}"));
            }
            if let Some(memory) = memory {
                line.push_str(&format!(", memory {}", base64::encode(memory)));
            }
            line
        }
    }
}

fn phase(number: Option<u32>) -> String {
    number.map_or_else(|| "no phase".to_owned(), |number| format!("phase {number}"))
}

fn claim(claim: Claim) -> &'static str {
    match claim {
        Claim::Healthy => Health::Healthy.name(),
        Claim::Unhealthy => Health::Unhealthy.name(),
        Claim::Unknown => Health::Unknown.name(),
    }
}

impl Health {
    fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

impl FailureKind {
    fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}
