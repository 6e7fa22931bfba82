//! Why an instance has not been upgraded yet, in words: one line for people, made when it is shown.

use std::fmt;

use super::{After, Surging, WhyNot};
use crate::domain::{Health, PhaseName, Timestamp};

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(PhaseName::Number(phase)) => write!(f, "phase {} comes first", phase.get()),
            Self::Phase(PhaseName::Last) => write!(f, "the last phase comes first"),
            Self::Zone(Some(zone)) => write!(f, "zone {zone} comes first"),
            Self::Zone(None) => write!(f, "instances without a zone come first"),
            Self::UpdateDomain(Some(domain)) => write!(f, "update domain {domain} comes first"),
            Self::UpdateDomain(None) => write!(f, "instances without an update domain come first"),
            Self::Batch => write!(f, "a batch takes no more at once"),
        }
    }
}

impl WhyNot {
    /// One line for people.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        let seconds = |until: Timestamp| until.since(now).as_secs_f32().ceil();
        match self {
            Self::Held(reason) => reason.to_string(),
            Self::Deferred { detail, until, nearer } => {
                let said = match detail.as_str() {
                    "" => "said \"not now\"".to_owned(),
                    detail => format!("not now: {detail}"),
                };
                let nearer = nearer.as_ref().map_or_else(String::new, |nearer| format!("; {nearer}"));
                format!("{said}; is asked again for {} s at most{nearer}", seconds(*until))
            }
            Self::Hooking { hook, since } => {
                format!("hook {hook} is being run, since {} s", now.since(*since).as_secs())
            }
            Self::WithDriver { to, since } => {
                format!("the driver brings it to {to}, since {} s", now.since(*since).as_secs())
            }
            Self::Surging { by, how } => match how {
                Surging::Creating(since) => {
                    format!(
                        "{by} is being created to take its place, since {} s",
                        now.since(*since).as_secs()
                    )
                }
                Surging::Completing(to) => format!("{by}, which will take its place, is brought to {to}"),
                Surging::InGate(health, deadline) => format!(
                    "{by}, which will take its place, is {} in the health gate, {} s left",
                    health.name(),
                    seconds(*deadline)
                ),
                Surging::Ready => {
                    format!("{by} is ready to take its place, and waits for the others of the batch")
                }
                Surging::TakenOver(since) => format!(
                    "{by} has taken its place; this one is being deleted, since {} s",
                    now.since(*since).as_secs()
                ),
                Surging::Removing(reason) => format!("stays: {reason}; that one is being deleted"),
            },
            Self::InGate { looked_at, .. } if now < *looked_at => {
                format!("health gate: its health is looked at in {} s", seconds(*looked_at))
            }
            Self::InGate { health: Health::Healthy, stable_at: Some(stable_at), .. } if now < *stable_at => {
                format!("health gate: Healthy, and must stay so for {} s more", seconds(*stable_at))
            }
            Self::InGate { health, deadline, .. } => {
                let health = health.name();
                format!(
                    "health gate: {health}; it has failed unless it is Healthy in {} s",
                    seconds(*deadline)
                )
            }
            Self::Unplanned => "the upgrade has not been planned yet".to_owned(),
            Self::Ending => "the upgrade was cancelled and ends before its turn".to_owned(),
            Self::Restoring { to, since, reason } => {
                format!(
                    "failed: {reason}; the driver brings {to} back, since {} s",
                    now.since(*since).as_secs()
                )
            }
            Self::Next => "is in the next batch".to_owned(),
            Self::Later { batches, after } => {
                format!(
                    "{batches} {} before its own: {after}",
                    if *batches == 1 { "batch" } else { "batches" }
                )
            }
            Self::Failed(reason) => format!("failed: {reason}"),
            Self::Ended(state) => format!("the upgrade ended before its turn: {state}"),
        }
    }
}
