//! Made observations, and what guests say to them. For the tests of whatever runs guests.

use std::collections::BTreeMap;
use std::sync::Arc;

use phasegate_core::domain::{
    Answer, InstanceFacts, InstanceId, Observation, Response, ScaleSetName, Verdict,
};

/// What was seen of instance `id` of the set `web`, zone 1: status 200 with this body.
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
        }]
        .into(),
        memory: None,
        attributes: Vec::new(),
    }
}

/// One observation for each body; the ids are their places.
pub(crate) fn batch(bodies: &[&str]) -> Vec<Observation> {
    bodies.iter().enumerate().map(|(id, body)| observation(id, body)).collect()
}

/// The phases of decisions; panics at a failure.
pub(crate) fn phases(results: &[Verdict]) -> Vec<Option<u32>> {
    results.iter().map(|result| result.as_ref().unwrap().phase.map(|phase| phase.get())).collect()
}
