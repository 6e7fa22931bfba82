//! What a plugin's answers amount to, for one instance, at the moment of planning.
//!
//! Here "unknown is never consent" becomes code: an instance is a target only while its own
//! answer permits it. Pure; knows nothing of batches.

use std::time::Duration;

use crate::domain::{
    Claim, Decision, Generation, Health, OnFailure, Outcome, Participation, Phase, Timestamp, Unasked,
};

/// What the planner may assume about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No round has been judged yet by the generation of the plugin that is in force.
    Undecided,
    /// The plugin failed on the latest round.
    PluginFailed {
        /// Names plugin, digest and cause.
        failure: String,
        /// Phase of the last good decision.
        phase: Option<Phase>,
    },
    /// The application's word is missing.
    Unknown {
        /// The latest reason.
        detail: String,
        /// Phase of the last answered decision.
        phase: Option<Phase>,
    },
    /// The application has spoken.
    Decided {
        /// Its phase; none is the last.
        phase: Option<Phase>,
        /// Whether it takes part.
        participation: Participation,
        /// The reason as one line; empty when there is none.
        detail: String,
    },
}

impl Standing {
    /// Phase to show.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Undecided => None,
            Self::PluginFailed { phase, .. } | Self::Unknown { phase, .. } | Self::Decided { phase, .. } => {
                *phase
            }
        }
    }

    /// Participation to show: what the planner will do with it. Unknown and failed mean skip.
    #[must_use]
    pub fn participation(&self) -> Option<Participation> {
        match self {
            Self::Undecided => None,
            Self::PluginFailed { .. } | Self::Unknown { .. } => Some(Participation::Skip),
            Self::Decided { participation, .. } => Some(*participation),
        }
    }
}

/// Input of [`standing`].
#[derive(Debug, Clone, Copy)]
pub struct StandingInput<'a> {
    /// The latest round's outcome.
    pub latest: Option<&'a Outcome>,
    /// The last decision that rested on an answer of the application, and when it was made.
    pub answered: Option<(&'a Decision, Timestamp)>,
    /// Which generation of the plugin made that decision.
    pub answered_by: Option<Generation>,
    /// The generation whose decisions count; none where there was no other one.
    pub in_force: Option<Generation>,
    /// What a failed evaluation means.
    pub on_failure: OnFailure,
    /// Committed health.
    pub health: Health,
    /// The operator wants unhealthy instances upgraded first; that is permission for an instance
    /// whose health is unknown, unless it said skip before.
    pub prioritize_unhealthy: bool,
    /// Since when it could not be asked, if it cannot.
    pub unasked: Option<Unasked>,
    /// How long an answered decision stands in for a missing one.
    pub freshness: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Judges one instance.
///
/// - What another generation than the one in force has said is no permission, neither now nor where a word is
///   missing. What it held back stays held back, and as a last good decision it stands in for a failure.
/// - What was said before the host could not ask any more is no permission once it is no longer fresh.
/// - A failed evaluation holds the instance, unless the configuration says otherwise: then the last
///   good decision stands in while it is fresh, or the instance takes part in the last phase. Not
///   even then is it touched after it said skip or defer.
/// - A skip or defer stands until an answer takes it back, however long the instance is silent.
/// - One missed probe does not undo a permission: while the committed health is not Unknown, the
///   last answered decision stands in, as long as it is fresh.
/// - Otherwise, without an answer there is no permission.
#[must_use]
pub fn standing(input: &StandingInput<'_>) -> Standing {
    let counts = |by: Option<Generation>| input.in_force.is_none() || by == input.in_force;
    let latest = input.latest.filter(|latest| counts(Some(latest.stamp.generation)));
    let Some(latest) = latest else { return Standing::Undecided };
    let holds = |(before, _): &(&Decision, Timestamp)| before.participation != Participation::Proceed;
    let stands =
        |one: &(&Decision, Timestamp)| counts(input.answered_by) || holds(one) || latest.result.is_err();
    let input = &StandingInput { answered: input.answered.filter(stands), ..*input };
    let answered_phase = input.answered.and_then(|(decision, _)| decision.phase);
    let kept = input.answered.filter(holds);
    if let Some(unasked) = input.unasked.filter(|unasked| input.now.since(unasked.since) > input.freshness)
        && kept.is_none()
    {
        let detail = format!("was not asked lately: the host is short of {}", unasked.short_of);
        return Standing::Unknown { detail, phase: answered_phase };
    }
    let decision = match &latest.result {
        Err(failure) => {
            let stamp = &latest.stamp;
            let failure = format!("plugin `{}` ({}) {failure}", stamp.name, stamp.digest.short());
            return failed(input, failure, answered_phase);
        }
        Ok(decision) => decision,
    };
    if is_answered(decision) {
        return decided(decision);
    }
    let detail = reason_line(decision);
    match input.answered {
        Some((before, _)) if before.participation != Participation::Proceed => decided(before),
        Some((before, at)) if input.health != Health::Unknown && input.now.since(at) <= input.freshness => {
            decided(before)
        }
        Some(_) | None if input.prioritize_unhealthy => {
            Standing::Decided { phase: answered_phase, participation: Participation::Proceed, detail }
        }
        Some(_) | None => Standing::Unknown { detail, phase: answered_phase },
    }
}

/// Whether a decision rests on a word of the application: it made a health claim, or it asked to
/// be left alone.
#[must_use]
pub fn is_answered(decision: &Decision) -> bool {
    decision.claim != Claim::Unknown || decision.participation != Participation::Proceed
}

fn failed(input: &StandingInput<'_>, failure: String, phase: Option<Phase>) -> Standing {
    let fresh = input.answered.filter(|(_, at)| input.now.since(*at) <= input.freshness);
    let kept = input.answered.filter(|(before, _)| before.participation != Participation::Proceed);
    match (input.on_failure, fresh, kept) {
        (OnFailure::LastGood, Some((before, _)), _) => decided(before),
        (OnFailure::Azure, _, None) => {
            Standing::Decided { phase: None, participation: Participation::Proceed, detail: failure }
        }
        (OnFailure::Hold | OnFailure::LastGood | OnFailure::Azure, _, _) => {
            Standing::PluginFailed { failure, phase }
        }
    }
}

fn decided(decision: &Decision) -> Standing {
    Standing::Decided {
        phase: decision.phase,
        participation: decision.participation,
        detail: reason_line(decision),
    }
}

/// The reason as one line for people, its code where it says no more; empty when the plugin gave
/// none.
#[must_use]
pub fn reason_line(decision: &Decision) -> String {
    let reason = decision.reason.as_ref();
    reason.map_or_else(String::new, |reason| {
        if reason.detail.is_empty() { reason.code.clone() } else { reason.detail.clone() }
    })
}
