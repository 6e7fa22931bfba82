//! The edge of the component: generated bindings on one side, plain types on the other.
//!
//! The only file that knows generated names. Values are moved, never copied: a body crosses the
//! boundary once. Deliberately without decisions of its own, except that an evaluation before
//! `configure` fails.

use core::cell::OnceCell;

use crate::policy::configure;
use crate::{Answer, Decision, Failure, Health, Instance, Observation, Participation};
use crate::{Policy, ProbeFailure, Reason, Response};

/// What `wit-bindgen` makes of the contract.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/v1",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "phasegate_sdk::__private::bindings",
    });
}

use bindings::exports::phasegate::policy::evaluator::Guest;
use bindings::phasegate::policy::types as wit;

/// Where the author's crate keeps its one policy; implemented by `export_policy!`, because a
/// static cannot be generic.
#[doc(hidden)]
pub trait Slot {
    /// The policy.
    type Policy: Policy;

    /// Lends the cell that holds it.
    fn with<R>(use_it: impl FnOnce(&OnceCell<Self::Policy>) -> R) -> R;
}

impl<S: Slot> Guest for S {
    fn configure(settings: String) -> Result<(), String> {
        // A panic ends in a trap without a text; the log line is what tells the author where.
        std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
        let policy = configure::<S::Policy>(&settings)?;
        S::with(|slot| slot.set(policy)).map_err(|_| "already configured".to_owned())
    }

    fn evaluate(batch: Vec<wit::Observation>) -> Vec<Result<wit::Decision, wit::Failure>> {
        S::with(|slot| match slot.get() {
            Some(policy) => batch
                .into_iter()
                .map(|observation| match policy.decide(&observation.into()) {
                    Ok(decision) => Ok(decision.into()),
                    Err(failure) => Err(failure.into()),
                })
                .collect(),
            None => batch.iter().map(|_| Err(not_configured())).collect(),
        })
    }
}

fn not_configured() -> wit::Failure {
    wit::Failure::Internal("evaluated before `configure` succeeded".to_owned())
}

impl From<wit::Observation> for Observation {
    fn from(from: wit::Observation) -> Self {
        let wit::Observation { instance, answers, memory, attributes } = from;
        Self {
            instance: instance.into(),
            answers: answers.into_iter().map(Answer::from).collect(),
            memory,
            attributes,
        }
    }
}

impl From<wit::Instance> for Instance {
    fn from(from: wit::Instance) -> Self {
        let wit::Instance {
            id,
            scale_set,
            region,
            zone,
            fault_domain,
            update_domain,
            version,
            desired_version,
            labels,
        } = from;
        Self { id, scale_set, region, zone, fault_domain, update_domain, version, desired_version, labels }
    }
}

impl From<wit::Answer> for Answer {
    fn from(from: wit::Answer) -> Self {
        let wit::Answer { source, outcome } = from;
        let outcome = match outcome {
            Ok(wit::Response { status, headers, body }) => Ok(Response { status, headers, body }),
            Err(failure) => Err(failure.into()),
        };
        Self { source, outcome }
    }
}

impl From<wit::ProbeFailure> for ProbeFailure {
    fn from(from: wit::ProbeFailure) -> Self {
        match from {
            wit::ProbeFailure::Timeout => Self::Timeout,
            wit::ProbeFailure::Unreachable(why) => Self::Unreachable(why),
            wit::ProbeFailure::Tls(why) => Self::Tls(why),
            wit::ProbeFailure::InvalidResponse(why) => Self::InvalidResponse(why),
            wit::ProbeFailure::BodyTooLarge(cap) => Self::BodyTooLarge(cap),
        }
    }
}

impl From<Decision> for wit::Decision {
    fn from(from: Decision) -> Self {
        let Decision { health, phase, participation, reason, memory, attributes } = from;
        Self {
            health: match health {
                Health::Healthy => wit::Health::Healthy,
                Health::Unhealthy => wit::Health::Unhealthy,
                Health::Unknown => wit::Health::Unknown,
            },
            phase,
            participation: match participation {
                Participation::Proceed => wit::Participation::Proceed,
                Participation::Skip => wit::Participation::Skip,
                Participation::Defer => wit::Participation::Defer,
            },
            reason: reason.map(|Reason { code, detail }| wit::Reason { code, detail }),
            memory,
            attributes,
        }
    }
}

impl From<Failure> for wit::Failure {
    fn from(from: Failure) -> Self {
        match from {
            Failure::Unreadable(detail) => Self::Unreadable(detail),
            Failure::Unsupported(detail) => Self::Unsupported(detail),
            Failure::Internal(detail) => Self::Internal(detail),
        }
    }
}
