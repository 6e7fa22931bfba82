//! The adapter for version 1 of the contract: generated types to domain types and back.
//!
//! The only file that mentions generated types. A later version gets a file of its own that implements
//! the same traits.

use std::sync::Arc;

use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Store};

use phasegate_core::domain::{self, Claim, PluginFailure, Verdict};

use super::{Contract, Guest, Linked, SettingsRefused, StartError};
use crate::capability::{HostState, Level};
use crate::{output, wasi};

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/v1",
        world: "timed-policy",
        // Inputs are lent to the guest, not copied first.
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

use generated::exports::phasegate::policy::evaluator as wit_evaluator;
use generated::phasegate::policy::types as wit;
use generated::phasegate::policy::{clock as wit_clock, log as wit_log};

/// Name and value side by side, as the contract has them.
type Pair<'a> = (&'a str, &'a str);

/// Version 1 of the contract.
pub(super) struct V1;

struct Linked1 {
    pre: InstancePre<HostState>,
    indices: generated::TimedPolicyIndices,
}

struct Guest1(generated::TimedPolicy);

impl Contract for V1 {
    fn link(&self, engine: &Engine, component: &Component) -> wasmtime::Result<Box<dyn Linked>> {
        let mut linker = Linker::<HostState>::new(engine);
        generated::TimedPolicy::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
        wasi::link(&mut linker, engine, component)?;
        let pre = linker.instantiate_pre(component)?;
        let indices = generated::TimedPolicyIndices::new(&pre)?;
        Ok(Box::new(Linked1 { pre, indices }))
    }
}

impl Linked for Linked1 {
    fn start(&self, store: &mut Store<HostState>) -> Result<Box<dyn Guest>, StartError> {
        let instance = self.pre.instantiate(&mut *store).map_err(StartError::Failed)?;
        let guest = self.indices.load(&mut *store, &instance).map_err(StartError::Types)?;
        Ok(Box::new(Guest1(guest)))
    }
}

impl Guest1 {
    fn evaluator(&self) -> &wit_evaluator::Guest {
        self.0.phasegate_policy_evaluator()
    }
}

impl Guest for Guest1 {
    fn configure(
        &self,
        store: &mut Store<HostState>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), SettingsRefused>> {
        Ok(self.evaluator().call_configure(store, settings)?.map_err(SettingsRefused))
    }

    fn evaluate(
        &self,
        store: &mut Store<HostState>,
        batch: &[domain::Observation],
    ) -> wasmtime::Result<Vec<Verdict>> {
        let lists = Lists::of(batch);
        let answers = answers(batch, &lists.headers);
        let observations = observations(batch, &lists.pairs, &answers);
        let results = self.evaluator().call_evaluate(store, &observations)?;
        Ok(results.into_iter().map(|result| result.map_or_else(|f| Err(failure(&f)), decision)).collect())
    }
}

impl wit::Host for HostState {}

impl wit_clock::Host for HostState {
    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }
}

impl wit_log::Host for HostState {
    fn write(&mut self, level: wit_log::Level, message: String) {
        let level = match level {
            wit_log::Level::Debug => Level::Debug,
            wit_log::Level::Info => Level::Info,
            wit_log::Level::Warn => Level::Warn,
            wit_log::Level::Error => Level::Error,
        };
        self.write_line(level, &message);
    }
}

/// The lists of all observations of a batch, one after the other, in the form that the guest is
/// lent: an observation has a handful, and an allocation for each would cost as much as its call.
struct Lists<'a> {
    /// Labels, then attributes, of each observation.
    pairs: Vec<Pair<'a>>,
    /// Of each answer of each observation.
    headers: Vec<Pair<'a>>,
}

/// What has not been taken of a list yet.
struct Rest<'a, T>(&'a [T]);

impl<'a, T> Rest<'a, T> {
    fn take(&mut self, count: usize) -> &'a [T] {
        self.0.split_off(..count).unwrap_or_default()
    }
}

impl<'a> Lists<'a> {
    fn of(batch: &'a [domain::Observation]) -> Self {
        let (mut pairs, mut headers) = (Vec::new(), Vec::new());
        for seen in batch {
            let labels = seen.instance.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            pairs.extend(labels);
            pairs.extend(seen.attributes.iter().map(pair));
            for response in seen.answers.iter().filter_map(|answer| answer.outcome.as_ref().ok()) {
                headers.extend(response.headers.iter().map(pair));
            }
        }
        Self { pairs, headers }
    }
}

fn pair((name, value): &(String, String)) -> Pair<'_> {
    (name, value)
}

fn answers<'a>(batch: &'a [domain::Observation], headers: &'a [Pair<'a>]) -> Vec<wit::Answer<'a>> {
    let mut headers = Rest(headers);
    let answer = |answer: &'a domain::Answer| wit::Answer {
        source: &answer.source,
        outcome: match &answer.outcome {
            Ok(response) => Ok(wit::Response {
                status: response.status,
                headers: headers.take(response.headers.len()),
                body: &response.body,
            }),
            Err(failure) => Err(probe_failure(failure)),
        },
    };
    batch.iter().flat_map(|seen| seen.answers.iter()).map(answer).collect()
}

fn probe_failure(failure: &domain::ProbeFailure) -> wit::ProbeFailure<'_> {
    match failure {
        domain::ProbeFailure::Timeout => wit::ProbeFailure::Timeout,
        domain::ProbeFailure::Unreachable(why) => wit::ProbeFailure::Unreachable(why),
        domain::ProbeFailure::Tls(why) => wit::ProbeFailure::Tls(why),
        domain::ProbeFailure::InvalidResponse(why) => wit::ProbeFailure::InvalidResponse(why),
        domain::ProbeFailure::BodyTooLarge(cap) => wit::ProbeFailure::BodyTooLarge(*cap),
    }
}

fn observations<'a>(
    batch: &'a [domain::Observation],
    pairs: &'a [Pair<'a>],
    answers: &'a [wit::Answer<'a>],
) -> Vec<wit::Observation<'a>> {
    let (mut pairs, mut answers) = (Rest(pairs), Rest(answers));
    let observation = |seen: &'a domain::Observation| {
        let domain::Observation { instance, answers: own, memory, attributes } = seen;
        wit::Observation {
            instance: wit::Instance {
                id: instance.id.as_str(),
                scale_set: instance.scale_set.as_str(),
                region: instance.region.as_deref(),
                zone: instance.zone.as_deref(),
                fault_domain: instance.fault_domain,
                update_domain: instance.update_domain,
                version: instance.version.as_ref().map(domain::Version::as_str),
                desired_version: instance.desired_version.as_ref().map(domain::Version::as_str),
                labels: pairs.take(instance.labels.len()),
            },
            answers: answers.take(own.len()),
            memory: memory.as_deref(),
            attributes: pairs.take(attributes.len()),
        }
    };
    batch.iter().map(observation).collect()
}

fn decision(said: wit::Decision) -> Verdict {
    let wit::Decision { health, phase, participation, reason, memory, attributes } = said;
    Ok(Arc::new(domain::Decision {
        claim: match health {
            wit::Health::Healthy => Claim::Healthy,
            wit::Health::Unhealthy => Claim::Unhealthy,
            wit::Health::Unknown => Claim::Unknown,
        },
        phase: output::phase(phase)?,
        participation: match participation {
            wit::Participation::Proceed => domain::Participation::Proceed,
            wit::Participation::Skip => domain::Participation::Skip,
            wit::Participation::Defer => domain::Participation::Defer,
        },
        reason: reason.map(|reason| output::reason(reason.code, reason.detail)),
        memory: output::memory(memory)?,
        attributes: output::attributes(attributes)?,
    }))
}

fn failure(said: &wit::Failure) -> PluginFailure {
    match said {
        wit::Failure::Unreadable(why) => output::refused("unreadable", why),
        wit::Failure::Unsupported(why) => output::refused("unsupported", why),
        wit::Failure::Internal(why) => output::refused("internal", why),
    }
}
