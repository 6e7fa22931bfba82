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
        /// Phase that the plugin gives, or else that of the last answered decision.
        phase: Option<Phase>,
        /// What the plugin says of its taking part: that is not why it is left alone.
        says: Option<Participation>,
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

    /// What the planner will do with it. Unknown and failed mean skip.
    #[must_use]
    pub fn participation(&self) -> Option<Participation> {
        match self {
            Self::Undecided => None,
            Self::PluginFailed { .. } | Self::Unknown { .. } => Some(Participation::Skip),
            Self::Decided { participation, .. } => Some(*participation),
        }
    }

    /// What the plugin says of its taking part, whatever the host makes of it. A plugin that fails says nothing.
    #[must_use]
    pub fn said(&self) -> Option<Participation> {
        match self {
            Self::Undecided | Self::PluginFailed { .. } => None,
            Self::Unknown { says, .. } => *says,
            Self::Decided { participation, .. } => Some(*participation),
        }
    }
}

/// On which of its answers an instance stands as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The latest round.
    Latest,
    /// The last one that rested on a word of the application.
    Answered,
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
/// - A phase that comes with a health that nobody knows is one all the same: it orders, and permits nothing.
#[must_use]
pub fn standing(input: &StandingInput<'_>) -> Standing {
    judged(input).0
}

/// As [`standing`], and on which answer that rests.
#[must_use]
pub fn judged(input: &StandingInput<'_>) -> (Standing, Basis) {
    let counts = |by: Option<Generation>| input.in_force.is_none() || by == input.in_force;
    let latest = input.latest.filter(|latest| counts(Some(latest.stamp.generation)));
    let Some(latest) = latest else { return (Standing::Undecided, Basis::Latest) };
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
        let says = input.answered.map(|(decision, _)| decision.participation);
        return (Standing::Unknown { detail, phase: answered_phase, says }, Basis::Answered);
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
        return (decided(decision), Basis::Latest);
    }
    let (detail, phase) = (reason_line(decision), decision.phase.or(answered_phase));
    let stands_in = |before: &Decision| {
        let (participation, detail) = (before.participation, reason_line(before));
        (Standing::Decided { phase, participation, detail }, Basis::Answered)
    };
    match input.answered {
        Some((before, _)) if before.participation != Participation::Proceed => stands_in(before),
        Some((before, at)) if input.health != Health::Unknown && input.now.since(at) <= input.freshness => {
            stands_in(before)
        }
        Some(_) | None if input.prioritize_unhealthy => {
            (Standing::Decided { phase, participation: Participation::Proceed, detail }, Basis::Latest)
        }
        Some(_) | None => {
            (Standing::Unknown { detail, phase, says: Some(decision.participation) }, Basis::Latest)
        }
    }
}

/// Whether a decision rests on a word of the application: it made a health claim, or it asked to
/// be left alone.
#[must_use]
pub fn is_answered(decision: &Decision) -> bool {
    decision.claim != Claim::Unknown || decision.participation != Participation::Proceed
}

fn failed(input: &StandingInput<'_>, failure: String, phase: Option<Phase>) -> (Standing, Basis) {
    let fresh = input.answered.filter(|(_, at)| input.now.since(*at) <= input.freshness);
    let kept = input.answered.filter(|(before, _)| before.participation != Participation::Proceed);
    match (input.on_failure, fresh, kept) {
        (OnFailure::LastGood, Some((before, _)), _) => (decided(before), Basis::Answered),
        (OnFailure::Azure, _, None) => {
            let standing =
                Standing::Decided { phase: None, participation: Participation::Proceed, detail: failure };
            (standing, Basis::Latest)
        }
        (OnFailure::Hold | OnFailure::LastGood | OnFailure::Azure, _, _) => {
            (Standing::PluginFailed { failure, phase }, Basis::Latest)
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
