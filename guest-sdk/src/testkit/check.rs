//! Runs one case and compares.
//!
//! Deliberately compares text in one form for expected and actual, so that a failing case shows
//! both side by side.

use std::fmt::Write as _;

use super::base64;
use super::case::{Case, Expect, ExpectedDecision, ExpectedFailure};
use crate::policy::configure;
use crate::{Decision, Failure, Health, Participation, Policy};

/// What became of a case.
enum Outcome {
    Decided(Decision),
    Failed(Failure),
    Refused(String),
}

/// Runs a case; the error shows what was expected and what came.
pub(super) fn check<P: Policy>(case: &Case) -> Result<(), String> {
    let outcome = run::<P>(case)?;
    let met = match (&case.expect, &outcome) {
        (Expect::Decision(expected), Outcome::Decided(got)) => decision_matches(expected, got),
        (Expect::Failure(expected), Outcome::Failed(got)) => {
            let ExpectedFailure { kind, detail } = expected;
            got.kind() == kind && contains(got.detail(), detail.as_deref())
        }
        (Expect::ConfigureError(expected), Outcome::Refused(got)) => got.contains(expected),
        _ => false,
    };
    match met {
        true => Ok(()),
        false => Err(format!("  expected {}\n  got      {}", show(&case.expect), outcome.show())),
    }
}

fn run<P: Policy>(case: &Case) -> Result<Outcome, String> {
    let settings = match (&case.settings, &case.settings_text) {
        (None, None) => "{}".to_owned(),
        (Some(settings), None) => settings.to_string(),
        (None, Some(text)) => text.clone(),
        (Some(_), Some(_)) => return Err("  give one of `settings` and `settingsText`".to_owned()),
    };
    let policy = match configure::<P>(&settings) {
        Ok(policy) => policy,
        Err(why) => return Ok(Outcome::Refused(why)),
    };
    let Some(observation) = &case.observation else {
        return Err("  the settings were accepted, and there is no `observation`".to_owned());
    };
    Ok(match policy.decide(&observation.build().map_err(|why| format!("  {why}"))?) {
        Ok(decision) => Outcome::Decided(decision),
        Err(failure) => Outcome::Failed(failure),
    })
}

fn decision_matches(expected: &ExpectedDecision, got: &Decision) -> bool {
    let ExpectedDecision { health, phase, participation, reason, attributes, memory } = expected;
    let reason_matches = match (reason, &got.reason) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(want), Some(have)) => want.code == have.code && contains(&have.detail, want.detail.as_deref()),
    };
    let attributes_match = attributes.iter().all(|(name, want)| {
        let have = got.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        want.as_ref() == have
    });
    let have_memory = got.memory.as_deref().map(base64::encode);
    health_name(got.health) == health
        && got.phase == *phase
        && participation_name(got.participation) == participation
        && reason_matches
        && attributes_match
        && (memory.is_none() || *memory == have_memory)
}

fn contains(text: &str, part: Option<&str>) -> bool {
    part.is_none_or(|part| text.contains(part))
}

fn health_name(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        Health::Unknown => "unknown",
    }
}

fn participation_name(participation: Participation) -> &'static str {
    match participation {
        Participation::Proceed => "proceed",
        Participation::Skip => "skip",
        Participation::Defer => "defer",
    }
}

impl Outcome {
    fn show(&self) -> String {
        match self {
            Self::Refused(why) => format!("configure error: {why}"),
            Self::Failed(failure) => format!("failure {failure}"),
            Self::Decided(got) => {
                let Decision { health, phase, participation, reason, memory, attributes } = got;
                let (health, part) = (health_name(*health), participation_name(*participation));
                let reason = reason.as_ref().map(|r| (r.code.as_str(), Some(r.detail.as_str())));
                let mut line = show_decision(health, *phase, part, reason);
                for (name, value) in attributes {
                    // Writing to a string cannot fail.
                    let _ = write!(line, ", {name} = {value}");
                }
                if let Some(memory) = memory {
                    let _ = write!(line, ", memory {}", base64::encode(memory));
                }
                line
            }
        }
    }
}

fn show(expect: &Expect) -> String {
    match expect {
        Expect::ConfigureError(part) => format!("configure error with: {part}"),
        Expect::Failure(ExpectedFailure { kind, detail }) => {
            format!("failure {kind}: {}", detail.as_deref().unwrap_or("(any)"))
        }
        Expect::Decision(expected) => {
            let ExpectedDecision { health, phase, participation, reason, attributes, memory } = expected;
            let reason = reason.as_ref().map(|r| (r.code.as_str(), r.detail.as_deref()));
            let mut line = show_decision(health, *phase, participation, reason);
            for (name, value) in attributes {
                let _ = write!(line, ", {name} = {}", value.as_deref().unwrap_or("(absent)"));
            }
            if let Some(memory) = memory {
                let _ = write!(line, ", memory {memory}");
            }
            line
        }
    }
}

fn show_decision(
    health: &str,
    phase: Option<u32>,
    participation: &str,
    reason: Option<(&str, Option<&str>)>,
) -> String {
    let phase = phase.map_or_else(|| "no phase".to_owned(), |phase| format!("phase {phase}"));
    let mut line = format!("{health}, {phase}, {participation}");
    if let Some((code, detail)) = reason {
        let _ = write!(line, ", {code}: {}", detail.unwrap_or("(any)"));
    }
    line
}
