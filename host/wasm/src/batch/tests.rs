//! The splitting, with a caller that only pretends.

use super::*;
use std::sync::Arc;

use phasegate_core::domain::{Claim, Decision, InstanceFacts, InstanceId, Participation, ScaleSetName};

const TIMEOUT: Duration = Duration::from_secs(1);

/// Fails when the batch holds a poison, is longer than it can do in time, or is the wrong call.
#[derive(Default)]
struct Fake {
    poisons: Vec<usize>,
    /// Zero: any length is in time.
    in_time_max: usize,
    broken: bool,
    calls: Vec<(usize, Freshness)>,
    stop_after: Option<usize>,
}

impl Caller for Fake {
    fn call(&mut self, batch: &[Observation], freshness: Freshness) -> Result<Vec<Verdict>, CallError> {
        self.calls.push((batch.len(), freshness));
        let error =
            |failure, lost, blames_batch| CallError { failure, lost, blames_batch, was_reused: false };
        if self.broken {
            return Err(error(PluginFailure::Trapped("start".to_owned()), Duration::ZERO, false));
        }
        if self.in_time_max > 0 && batch.len() > self.in_time_max {
            return Err(error(PluginFailure::OutOfTime { limit_ms: 1000 }, TIMEOUT, true));
        }
        let id = |seen: &Observation| seen.instance.id.as_str().parse().unwrap();
        if batch.iter().any(|seen| self.poisons.contains(&id(seen))) {
            return Err(error(PluginFailure::Trapped("poison".to_owned()), Duration::ZERO, true));
        }
        Ok(batch.iter().map(|seen| Ok(decision(id(seen)))).collect())
    }

    fn spent(&self) -> Cost {
        Cost::default()
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn stopped(&self) -> bool {
        self.stop_after.is_some_and(|calls| self.calls.len() >= calls)
    }
}

fn decision(id: usize) -> Arc<Decision> {
    Arc::new(Decision {
        claim: Claim::Healthy,
        phase: None,
        participation: Participation::Proceed,
        reason: None,
        memory: Some(id.to_le_bytes().to_vec()),
        attributes: Vec::new(),
    })
}

fn observations(count: usize) -> Vec<Observation> {
    let observation = |id: usize| Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse(&id.to_string()).unwrap(),
            scale_set: ScaleSetName::parse("a").unwrap(),
            region: None,
            zone: None,
            fault_domain: None,
            update_domain: None,
            version: None,
            desired_version: None,
            labels: std::collections::BTreeMap::new(),
        }),
        answers: [].into(),
        memory: None,
        attributes: Vec::new(),
    };
    (0..count).map(observation).collect()
}

/// Every result is at its observation's place; the places of those that failed.
fn failed(results: &[Verdict]) -> Vec<usize> {
    let failed = |(id, result): (usize, &Verdict)| match result {
        Ok(said) => {
            assert_eq!(*said, decision(id));
            None
        }
        Err(_) => Some(id),
    };
    results.iter().enumerate().filter_map(failed).collect()
}

#[test]
fn every_set_of_poisons_is_isolated() {
    for count in 1..=7 {
        for set in 0..1_u32 << count {
            let poisons: Vec<usize> = (0..count).filter(|id| set & (1 << id) != 0).collect();
            let mut fake = Fake { poisons: poisons.clone(), ..Fake::default() };
            let results = evaluate(&mut fake, &mut BatchSize::new(), &observations(count)).results;
            assert_eq!(results.len(), count);
            assert_eq!(failed(&results), poisons);
        }
    }
}

#[test]
fn one_poison_costs_fifteen_calls_with_fresh_instances() {
    let mut fake = Fake { poisons: vec![77], ..Fake::default() };
    let results = evaluate(&mut fake, &mut BatchSize::new(), &observations(128)).results;
    assert_eq!(failed(&results), [77]);
    assert_eq!(fake.calls.len(), 15);
    assert_eq!(fake.calls[0], (128, Freshness::Any));
    assert!(fake.calls[1..].iter().all(|(_, freshness)| *freshness == Freshness::Required));
}

#[test]
fn a_plugin_that_does_not_start_is_called_once_for_a_batch() {
    let mut fake = Fake { broken: true, ..Fake::default() };
    let results = evaluate(&mut fake, &mut BatchSize::new(), &observations(128)).results;
    assert_eq!((results.len(), failed(&results).len(), fake.calls.len()), (128, 128, 1));
}

#[test]
fn a_slow_plugin_gets_smaller_batches_and_later_larger_ones() {
    let mut fake = Fake { in_time_max: 40, ..Fake::default() };
    let mut size = BatchSize::new();
    let all = observations(128);
    assert!(failed(&evaluate(&mut fake, &mut size, &all).results).is_empty());
    assert_eq!(size.size, 32);
    fake.calls.clear();
    for _ in 0..10 {
        evaluate(&mut fake, &mut size, &all);
    }
    assert!(fake.calls.iter().all(|(length, _)| *length == 32), "no timeout while it is remembered");
    // It is tried again, each time after twice as long.
    fake.calls.clear();
    for _ in 0..1000 {
        evaluate(&mut fake, &mut size, &all);
    }
    let tries = fake.calls.iter().filter(|(length, _)| *length > 40).count();
    assert!((1..=12).contains(&tries), "{tries}");
    fake.in_time_max = 0;
    for _ in 0..4096 {
        evaluate(&mut fake, &mut size, &all);
    }
    assert_eq!(size.size, BATCH_MAX);
}

#[test]
fn a_poison_that_fails_quickly_leaves_the_batch_size() {
    let mut size = BatchSize::new();
    let mut fake = Fake { poisons: vec![77], ..Fake::default() };
    evaluate(&mut fake, &mut size, &observations(128));
    assert_eq!(size, BatchSize::new());
}

#[test]
fn small_batches_do_not_count_as_good() {
    let mut size = BatchSize { size: 32, good: 0, grow_after: 2 };
    (0..100).for_each(|_| size.good(31));
    assert_eq!(size.size, 32);
    (0..2).for_each(|_| size.good(32));
    assert_eq!(size.size, 64);
}

#[test]
fn a_plugin_that_never_answers_costs_ten_timeouts() {
    let mut fake = Fake { in_time_max: 1, poisons: (0..300).collect(), ..Fake::default() };
    let mut endless = |batch: usize| {
        fake.calls.clear();
        let judged = evaluate(&mut NeverInTime(&mut fake), &mut BatchSize::new(), &observations(batch));
        let results = judged.results;
        assert_eq!(failed(&results).len(), batch);
        fake.calls.len()
    };
    assert_eq!([endless(1), endless(128), endless(300)], [1, 10, 10]);
}

struct NeverInTime<'a>(&'a mut Fake);

impl Caller for NeverInTime<'_> {
    fn call(&mut self, batch: &[Observation], freshness: Freshness) -> Result<Vec<Verdict>, CallError> {
        self.0.calls.push((batch.len(), freshness));
        let failure = PluginFailure::OutOfTime { limit_ms: 1000 };
        Err(CallError { failure, lost: TIMEOUT, blames_batch: true, was_reused: false })
    }

    fn spent(&self) -> Cost {
        Cost::default()
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn stopped(&self) -> bool {
        false
    }
}

#[test]
fn a_stop_ends_after_the_call_under_way() {
    let mut fake = Fake { stop_after: Some(1), ..Fake::default() };
    let results = evaluate(&mut fake, &mut BatchSize::new(), &observations(300)).results;
    assert_eq!((results.len(), failed(&results).len(), fake.calls.len()), (300, 172, 1));
}
