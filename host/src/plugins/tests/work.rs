//! The worker: order, memory, swaps, overload, stopping.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::clock::Clock;
use phasegate_core::domain::{
    Decided, Generation, InstanceId, Observation, PluginFailure, PluginName, Round, ScaleSetName, Timestamp,
};

use super::{each, load, observation};
use crate::plugins::{PluginWorker, QUEUE_MAX};
use phasegate_wasm::LoadedPlugin;

fn round(id: usize, body: &str, epoch: u64) -> Round {
    Round {
        observation: observation(id, body).into(),
        epoch,
        started_at: Timestamp(1),
        finished_at: Timestamp(2),
    }
}

fn spawn(plugin: LoadedPlugin) -> (PluginWorker, Receiver<Decided>) {
    let (sender, decided) = mpsc::channel();
    let name = PluginName::parse("test").unwrap();
    let on_decided = Box::new(each(sender));
    let worker = PluginWorker::spawn(name, plugin, Generation(1), on_decided, Clock::start()).unwrap();
    (worker, decided)
}

fn next(decided: &Receiver<Decided>) -> Decided {
    decided.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn phase(decided: &Decided) -> Option<u32> {
    decided.outcome.result.as_ref().ok()?.phase.map(|phase| phase.get())
}

#[test]
fn memory_is_kept_for_each_instance() {
    let (worker, decided) = spawn(load("counter"));
    let mut seen = Vec::new();
    // All are submitted at once: rounds of one instance must still see each other's memory.
    let bodies = ["", "", "X", "", "F", ""];
    for (epoch, body) in bodies.iter().enumerate() {
        worker.submit(round(1, body, epoch as u64)).unwrap();
        worker.submit(round(2, "", epoch as u64)).unwrap();
    }
    for _ in 0..bodies.len() * 2 {
        seen.push(next(&decided));
    }
    let of = |id: &str| {
        let of_instance: Vec<&Decided> = seen.iter().filter(|d| d.instance.as_str() == id).collect();
        assert!(of_instance.iter().map(|d| d.epoch).eq(0..6), "{of_instance:?}");
        of_instance.into_iter().map(phase).collect::<Vec<_>>()
    };
    assert_eq!(of("1"), [Some(1), Some(2), None, Some(3), Some(4), Some(1)]);
    assert_eq!(of("2"), [Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)]);
    assert_eq!(seen[0].started_at, Timestamp(1));
    worker.stop();
}

#[test]
fn memory_can_be_put_back_and_dropped() {
    let (worker, decided) = spawn(load("counter"));
    let name = || (ScaleSetName::parse("web").unwrap(), InstanceId::parse("1").unwrap());
    let (scale_set, instance) = name();
    worker.remember(scale_set, instance, vec![41]);
    worker.submit(round(1, "", 0)).unwrap();
    assert_eq!(phase(&next(&decided)), Some(42));
    let (scale_set, instance) = name();
    worker.forget(scale_set, instance);
    worker.submit(round(1, "", 0)).unwrap();
    assert_eq!(phase(&next(&decided)), Some(1));
}

#[test]
fn a_swap_keeps_memory_and_stamps_every_decision() {
    let (worker, decided) = spawn(load("counter"));
    let before = worker.stamp();
    worker.submit(round(1, "", 0)).unwrap();
    worker.submit(round(1, "", 1)).unwrap();
    let next_plugin = load("global-state");
    let digest = next_plugin.digest();
    worker.swap(next_plugin, Generation(2));
    worker.submit(round(1, "", 2)).unwrap();
    let third = load("counter");
    worker.swap(third, Generation(3));
    let stamps: Vec<_> = (0..3).map(|_| next(&decided).outcome.stamp.clone()).collect();
    assert_eq!(stamps[0], before);
    assert_eq!(stamps[1], before);
    assert_eq!((stamps[2].digest, stamps[2].generation), (digest, Generation(2)));
    worker.submit(round(2, "", 3)).unwrap();
    assert_eq!(next(&decided).outcome.stamp.generation, Generation(3));
    assert_eq!(worker.stamp().generation, Generation(3));
    worker.stop();
}

#[test]
fn memory_survives_a_swap() {
    let (worker, decided) = spawn(load("counter"));
    worker.submit(round(1, "", 0)).unwrap();
    worker.swap(load("counter"), Generation(2));
    worker.submit(round(1, "", 1)).unwrap();
    assert_eq!(phase(&next(&decided)), Some(1));
    assert_eq!(phase(&next(&decided)), Some(2));
}

#[test]
fn a_new_plugin_judges_the_latest_rounds_again() {
    let (sender, decided) = mpsc::channel();
    let on_decided = Box::new(move |batch: Vec<(_, Decided)>| {
        batch.into_iter().for_each(|(_, decided)| sender.send(decided).unwrap_or_default());
    });
    let name = PluginName::parse("test").unwrap();
    let first = load("counter");
    let worker = PluginWorker::spawn(name, first, Generation(1), on_decided, Clock::start()).unwrap();
    const FLEET: usize = 300;
    let judge = |epoch| {
        (0..FLEET).for_each(|id| worker.submit(round(id, "", epoch)).unwrap());
        let all: Vec<Decided> = (0..FLEET).map(|_| next(&decided)).collect();
        assert!(all.iter().all(|one| !one.again && one.epoch == epoch));
        all
    };
    judge(7);
    judge(8);
    worker.swap(load("counter"), Generation(2));
    let mut again: Vec<Decided> = (0..FLEET).map(|_| next(&decided)).collect();
    for one in &again {
        assert_eq!((one.again, one.epoch, one.outcome.stamp.generation), (true, 8, Generation(2)));
        assert_eq!(phase(one), Some(2), "with the memory that there was then");
    }
    again.sort_by(|a, b| a.instance.cmp(&b.instance));
    again.dedup_by(|a, b| a.instance == b.instance);
    assert_eq!(again.len(), FLEET, "each once");
    assert!(judge(9).iter().all(|one| phase(one) == Some(3)), "nothing was counted twice");

    // Whom the new one has judged already, it does not judge again.
    (0..FLEET).for_each(|id| worker.submit(round(id, "", 10)).unwrap());
    worker.swap(load("counter"), Generation(3));
    (0..FLEET).for_each(|id| worker.submit(round(id, "", 11)).unwrap());
    let (gone, web) = (InstanceId::parse("0").unwrap(), ScaleSetName::parse("web").unwrap());
    worker.forget(web, gone);
    let mut last = vec![0; FLEET];
    while last.iter().any(|epoch| *epoch < 11) {
        let one = next(&decided);
        let id: usize = one.instance.as_str().parse().unwrap();
        assert!(!(one.again && last[id] == 11), "older than what is known of {id}");
        last[id] = one.epoch;
    }
    worker.stop();
    assert!(decided.try_iter().all(|one| !one.again), "nothing is left to judge again");
}

#[test]
fn a_full_queue_hands_the_round_back() {
    let (worker, decided) = spawn(load("poison"));
    worker.submit(round(0, "L", 0)).unwrap();
    let mut rejected = None;
    for id in 1..=QUEUE_MAX + 1000 {
        if let Err(back) = worker.submit(round(id, "", 7)) {
            rejected = Some(back);
            break;
        }
    }
    let back = rejected.unwrap();
    assert!(worker.waiting() > QUEUE_MAX - 200, "{}", worker.waiting());
    let answer = worker.overloaded(&back);
    assert_eq!(answer.outcome.result, Err(PluginFailure::Overloaded));
    assert_eq!((answer.epoch, &answer.instance), (7, &back.observation.instance.id));
    assert!(matches!(next(&decided).outcome.result, Err(PluginFailure::OutOfTime { .. })));
    worker.stop();
}

#[test]
fn stopping_waits_for_one_call_only() {
    let clock = Clock::start();
    let (worker, _decided) = spawn(load("loop-evaluate"));
    for id in 0..128 {
        worker.submit(round(id, "", 0)).unwrap();
    }
    let begun_at = clock.now();
    drop(worker);
    assert!(clock.now().since(begun_at) < super::LIMITS.timeout * 5);
}

#[test]
fn a_panic_in_the_callback_ends_only_its_own_worker() {
    let name = PluginName::parse("bad").unwrap();
    let bug = Box::new(|_: Vec<(std::sync::Arc<Observation>, Decided)>| panic!("a bug"));
    let broken = PluginWorker::spawn(name, load("good"), Generation(1), bug, Clock::start()).unwrap();
    let (worker, decided) = spawn(load("good"));
    broken.submit(round(1, "", 0)).unwrap();
    while broken.is_alive() {
        std::thread::yield_now();
    }
    assert!(broken.submit(round(1, "", 0)).is_err());
    broken.stop();
    worker.submit(round(1, "", 0)).unwrap();
    assert!(next(&decided).outcome.result.is_ok());
}
