//! A step costs what changed: it asks the fleet about the batch in flight, and about nothing else.

use std::cell::Cell;

use super::*;

/// A fleet that counts what it is asked, all of it healthy but those of the batch in flight.
struct Counting {
    total: usize,
    starting: Cell<usize>,
    of_all: Cell<usize>,
    of_one: Cell<usize>,
}

impl Counting {
    fn new(total: usize) -> Self {
        Self { total, starting: Cell::new(0), of_all: Cell::new(0), of_one: Cell::new(0) }
    }

    fn candidate_of(number: usize) -> Candidate {
        Candidate {
            held: None,
            id: id(number),
            zone: None,
            update_domain: None,
            fault_domain: None,
            protection: Protection::default(),
            runs: Runs::at(version("v1")),
            extensions: BTreeMap::new(),
            health: Health::Healthy,
            standing: Standing::Decided {
                phase: Phase::new(0),
                participation: if number % 10 == 9 { Participation::Skip } else { Participation::Proceed },
                detail: String::new(),
            },
        }
    }
}

impl FleetView for Counting {
    fn candidates(&self) -> Vec<Candidate> {
        self.of_all.set(self.of_all.get() + 1);
        (0..self.total).map(Self::candidate_of).collect()
    }

    fn candidate(&self, instance: &InstanceId) -> Option<Candidate> {
        instance.as_str().parse().ok().map(Self::candidate_of)
    }

    fn health(&self, _: &InstanceId) -> Health {
        self.of_one.set(self.of_one.get() + 1);
        if self.starting.get() > 0 { Health::Initializing } else { Health::Healthy }
    }

    fn total(&self) -> usize {
        self.total
    }

    fn unhealthy_count(&self) -> usize {
        0
    }

    fn initializing_count(&self) -> usize {
        self.starting.get()
    }

    fn unhealthy(&self) -> Vec<InstanceId> {
        panic!("there is none to ask for")
    }

    fn initializing(&self) -> Vec<InstanceId> {
        panic!("only a restarted host asks who they are")
    }

    fn any_undecided(&self) -> bool {
        false
    }
}

/// Upgrades the first batches of a fleet, and gives the size of the head as it is recorded.
fn head_after_three_batches(total: usize) -> usize {
    const BATCH: usize = 10;
    let counting = Counting::new(total);
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(100).unwrap();
    policy.max_unhealthy_instance_percent = Percent::new(100).unwrap();
    policy.batches = vec![crate::domain::BatchSize::Count(10)];
    let World { mut upgrade, mut now, .. } = world(fleet(&[]), policy, GATE);
    let mut step = |event: Event, now| step(&mut upgrade, &counting, &[event], now);
    let mut asked = step(Event::Look, now).actions;
    assert_eq!((counting.of_all.get(), asked.len()), (1, BATCH), "planned once, a batch admitted");
    for _ in 0..3 {
        counting.starting.set(BATCH);
        for action in std::mem::take(&mut asked) {
            counting.of_one.set(0);
            let (instance, operation) = (action.instance().unwrap().clone(), action.operation().clone());
            let out = step(Event::EffectDone { operation, instance, result: Ok(()) }, now);
            assert_eq!((out.changed.len(), out.actions.len(), out.head_changed), (1, 0, false));
            assert!(counting.of_one.get() <= BATCH, "asked about {}", counting.of_one.get());
        }
        counting.of_one.set(0);
        counting.starting.set(0);
        now = now + Duration::from_secs(1);
        let out = step(Event::Look, now);
        assert_eq!((out.changed.len(), out.actions.len()), (2 * BATCH, BATCH), "one ends, the next begins");
        assert_eq!((out.batches_changed.len(), out.order_changed, out.left_out_changed), (2, false, false));
        assert!(counting.of_one.get() <= 2 * BATCH, "asked about {}", counting.of_one.get());
        asked = out.actions;
    }
    assert_eq!(counting.of_all.get(), 1, "a snapshot asks all of them once");
    serde_json::to_string(&upgrade.head()).unwrap().len()
}

#[test]
fn a_step_costs_what_changed_and_not_what_exists() {
    let (small, large) = (head_after_three_batches(100), head_after_three_batches(5000));
    // Counts have more digits.
    assert!(small.abs_diff(large) < 8, "the head of 100 has {small} bytes, that of 5000 {large}");
}

#[test]
fn a_batch_that_is_cut_to_the_budget_moves_only_what_is_admitted() {
    let counting = Counting::new(1000);
    let mut policy = policy();
    policy.max_batch_instance_percent = Percent::new(100).unwrap();
    policy.max_unhealthy_instance_percent = Percent::new(5).unwrap();
    let World { mut upgrade, now, .. } = world(fleet(&[]), policy, GATE);
    let planned = step(&mut upgrade, &counting, &[Event::Look], now);
    assert_eq!((planned.actions.len(), upgrade.batches.len()), (50, 2), "5 % of 1000");
    counting.of_one.set(0);
    let finished = planned.actions.iter().map(|action| Event::EffectDone {
        operation: action.operation().clone(),
        instance: action.instance().unwrap().clone(),
        result: Ok(()),
    });
    let out = step(&mut upgrade, &counting, &finished.collect::<Vec<_>>(), now);
    assert_eq!((out.actions.len(), out.changed.len()), (50, 100), "850 are left and stay where they are");
    assert!(counting.of_one.get() <= 151, "asked about {}", counting.of_one.get());
}
