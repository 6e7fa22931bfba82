//! Runs real components on the thread of a plugin.

#[path = "../../../tests/support/guests.rs"]
pub(crate) mod guests;

mod repeat;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use phasegate_core::domain::{
    Answer, Decided, InstanceFacts, InstanceId, Observation, ReadClock, Response, ScaleSetName, Verdict,
};

use phasegate_wasm::{Isolation, Limits, LoadPluginError, LoadedPlugin, Runtime};

/// So much fuel that it is time that runs out.
const LIMITS: Limits = Limits {
    memory_mib: 8,
    timeout: Duration::from_millis(300),
    fuel: u64::MAX / 16,
    log_lines_per_minute: 60,
};

/// A clock to measure with.
pub(crate) fn clock() -> Arc<dyn ReadClock> {
    Arc::new(crate::clock::Clock::start())
}

/// An engine that keeps nothing.
pub(crate) fn runtime() -> Runtime {
    Runtime::new(clock()).unwrap()
}

fn load_as(name: &str, isolation: Isolation) -> Result<LoadedPlugin, LoadPluginError> {
    let bytes = guests::component(name).unwrap();
    runtime().load(&bytes, "{}", LIMITS, isolation)
}

fn load(name: &str) -> LoadedPlugin {
    load_as(name, Isolation::PerBatch).unwrap()
}

pub(crate) fn observation(id: usize, body: &str) -> Observation {
    Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse(&id.to_string()).unwrap(),
            scale_set: ScaleSetName::parse("web").unwrap(),
            region: None,
            zone: Some("1".to_owned()),
            fault_domain: Some(2),
            update_domain: None,
            version: None,
            desired_version: None,
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        }),
        answers: vec![Answer {
            source: "health".to_owned(),
            outcome: Ok(Response {
                status: 200,
                headers: vec![("x-phase".to_owned(), "1".to_owned())],
                body: body.as_bytes().to_vec(),
            }),
        }],
        memory: None,
        attributes: Vec::new(),
    }
}

fn batch(bodies: &[&str]) -> Vec<Observation> {
    bodies.iter().enumerate().map(|(id, body)| observation(id, body)).collect()
}

/// Sends on each decision of a batch on a new round.
fn each(sender: Sender<Decided>) -> impl Fn(Vec<(Arc<Observation>, Decided)>) + Send {
    move |batch| {
        let new = batch.into_iter().map(|(_, decided)| decided).filter(|decided| !decided.again);
        new.for_each(|decided| sender.send(decided).unwrap_or_default());
    }
}

/// Evaluates one observation with an empty body.
fn one(plugin: &mut LoadedPlugin) -> Verdict {
    plugin.evaluate(&batch(&[""]), 0).pop().unwrap()
}

fn phases(results: &[Verdict]) -> Vec<Option<u32>> {
    results.iter().map(|result| result.as_ref().unwrap().phase.map(|phase| phase.get())).collect()
}
