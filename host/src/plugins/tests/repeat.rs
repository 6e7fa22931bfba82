//! Fuel, unchanged observations, many plugins, swaps under load.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::clock::Clock;
use crate::plugins::{Counts, PluginWorker, Watchers};
use phasegate_core::domain::{
    Decided, Digest, Generation, Origin, PluginFailure, PluginName, Round, Timestamp,
};
use phasegate_wasm::{Isolation, Limits, LoadedPlugin};

use super::{batch, each, guests, load, load_as, observation, one, phases};

fn round(id: usize, body: &str) -> Round {
    let observation = observation(id, body).into();
    Round { observation, epoch: 0, started_at: Timestamp(1), finished_at: Timestamp(2) }
}

fn with_fuel(name: &str, fuel: u64) -> LoadedPlugin {
    let limits = Limits { fuel, timeout: Duration::from_secs(20), ..super::LIMITS };
    let bytes = guests::component(name).unwrap();
    super::runtime().load(&bytes, "{}", limits, Isolation::PerBatch).unwrap()
}

#[test]
fn fuel_ends_an_endless_loop_wherever_it_runs() {
    let failure = one(&mut with_fuel("loop-evaluate", 1_000_000)).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "used more than 1000000 fuel; raise limits.fuel or make the plugin do less"
    );
}

#[test]
fn company_changes_nothing_for_an_observation() {
    let seen = batch(&["ok", "ok", "L", "ok"]);
    let alone = with_fuel("body-health", 1_000_000).judge(&batch(&["ok"]), 0).costs[0].fuel;
    assert!(alone > 0 && alone < 10_000, "{alone}");
    assert_eq!(with_fuel("body-health", 1_000_000).judge(&batch(&["ok"]), 0).costs[0].fuel, alone);
    // Enough for each alone, and too little for all together.
    let mut tight = with_fuel("body-health", alone + alone / 2);
    let judged = tight.judge(&vec![observation(1, "ok"); 128], 0);
    assert!(judged.results.iter().all(Result::is_ok), "{:?}", judged.results.iter().find(|r| r.is_err()));
    assert!(judged.costs.iter().all(|cost| cost.fuel > 0));
    let results = with_fuel("poison", 1_000_000).evaluate(&seen, 0);
    let late: Vec<bool> =
        results.iter().map(|r| matches!(r, Err(PluginFailure::OutOfFuel { limit: 1_000_000 }))).collect();
    assert_eq!(late, [false, false, true, false]);
}

#[test]
fn a_nan_is_the_same_everywhere() {
    assert_eq!(phases(&[one(&mut load("nan"))]), [Some(0x7fc0_0000)]);
}

#[test]
fn a_component_of_the_first_release_loads_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/v1/azure-health.wasm");
    let bytes = std::fs::read(path).unwrap();
    let limits = Limits::DEFAULT;
    let mut plugin = super::runtime().load(&bytes, "{}", limits, Isolation::PerBatch).unwrap();
    let body = r#"{"ApplicationHealthState":"Healthy","CustomMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":3}}"}"#;
    let results = plugin.evaluate(&batch(&[body]), 0);
    assert_eq!(phases(&results), [Some(3)]);
    assert_eq!(plugin.world(), Some("phasegate:policy/policy@1.0.0"));
}

/// A worker, and a way to hand it one round and wait for its decision.
struct Desk {
    worker: PluginWorker,
    decided: mpsc::Receiver<Decided>,
}

impl Desk {
    fn new(plugin: LoadedPlugin) -> Self {
        let (sender, decided) = mpsc::channel();
        let on_decided = Box::new(each(sender));
        let name = PluginName::parse("test").unwrap();
        let worker = PluginWorker::spawn(name, plugin, Generation(1), on_decided, Clock::start()).unwrap();
        Self { worker, decided }
    }

    fn ask(&self, id: usize, body: &str) -> (Origin, Option<u32>) {
        self.worker.submit(round(id, body)).unwrap();
        let decided = self.decided.recv_timeout(Duration::from_secs(20)).unwrap();
        let phase = decided.outcome.result.as_ref().ok().and_then(|decision| decision.phase);
        (decided.outcome.evaluation.origin, phase.map(|phase| phase.get()))
    }
}

#[test]
fn an_unchanged_observation_is_not_judged_again() {
    use Origin::{Evaluated, Unchanged};
    let desk = Desk::new(load("body-health"));
    assert_eq!(desk.ask(1, "7"), (Evaluated, Some(7)));
    assert_eq!(desk.ask(1, "7"), (Unchanged, Some(7)));
    assert_eq!(desk.ask(2, "7"), (Evaluated, Some(7)), "another instance");
    assert_eq!(desk.ask(1, "8"), (Evaluated, Some(8)), "another body");
    assert_eq!(desk.ask(1, "7"), (Evaluated, Some(7)), "only the last one is known");
    let mut labelled = round(1, "7");
    Arc::make_mut(&mut Arc::make_mut(&mut labelled.observation).instance).version =
        Some(phasegate_core::domain::Version::parse("v2").unwrap());
    desk.worker.submit(labelled).unwrap();
    assert_eq!(desk.decided.recv().unwrap().outcome.evaluation.origin, Evaluated, "another fact");
    assert_eq!(desk.worker.counts(), Counts { evaluated: 5, unchanged: 1, ..Counts::default() });

    desk.worker.swap(load("good"), Generation(2));
    assert_eq!(desk.ask(1, "7"), (Evaluated, None), "another plugin");
    assert_eq!(desk.ask(1, "7"), (Unchanged, None));
}

/// Time and random numbers that a language imports and a policy does not use make no difference.
#[test]
fn what_used_no_time_and_no_randomness_is_known() {
    let desk = Desk::new(load("wasi"));
    for (body, again) in [("e", Origin::Unchanged), ("w", Origin::Unchanged), ("p", Origin::Unchanged)] {
        assert_eq!(desk.ask(1, body).0, Origin::Evaluated, "{body}");
        assert_eq!(desk.ask(1, body).0, again, "{body}");
    }
    for body in ["t", "m", "r"] {
        for _ in 0..3 {
            assert_eq!(desk.ask(1, body).0, Origin::Evaluated, "{body}");
        }
    }
    desk.ask(1, "e");
    assert_eq!(desk.ask(1, "e").0, Origin::Unchanged, "a new instance knows nothing of the time");
}

#[test]
fn memory_is_part_of_the_question() {
    let desk = Desk::new(load("counter"));
    let phases: Vec<_> = (0..4).map(|_| desk.ask(1, "")).collect();
    assert_eq!(phases, (1..=4).map(|n| (Origin::Evaluated, Some(n))).collect::<Vec<_>>());
}

#[test]
fn failures_and_clocks_are_never_known() {
    let desk = Desk::new(load("poison"));
    assert_eq!(desk.ask(1, "ok").0, Origin::Evaluated);
    for body in ["X", "X", "ok", "U", "U", "ok"] {
        assert_eq!(desk.ask(1, body).0, Origin::Evaluated, "{body}");
    }
    assert_eq!(desk.worker.counts().failed, 4);
    let timed = Desk::new(load("clock"));
    assert_eq!((timed.ask(1, "").0, timed.ask(1, "").0), (Origin::Evaluated, Origin::Evaluated));
}

#[test]
fn log_lines_that_came_too_fast_are_counted() {
    let desk = Desk::new(load("log-flood"));
    desk.ask(1, "a");
    let dropped = desk.worker.counts().log_lines_dropped;
    assert!(dropped >= 900, "{dropped}");
    desk.ask(1, "b");
    assert!(desk.worker.counts().log_lines_dropped > dropped);
}

#[test]
fn trouble_is_said_once() {
    let (sender, trouble) = mpsc::channel();
    let (decided, decisions) = mpsc::channel();
    let watchers = Watchers {
        on_decided: Box::new(each(decided)),
        on_trouble: Box::new(move |said| sender.send(said).unwrap_or_default()),
        recorder: None,
    };
    let name = PluginName::parse("test").unwrap();
    let worker =
        PluginWorker::spawn_watched(name, load("trap-evaluate"), Generation(4), watchers, Clock::start())
            .unwrap();
    for _ in 0..10 {
        for id in 0..3 {
            worker.submit(round(id, "")).unwrap();
        }
        (0..3).for_each(|_| drop(decisions.recv_timeout(Duration::from_secs(20)).unwrap()));
    }
    worker.stop();
    let said: Vec<_> = trouble.iter().collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].generation, Generation(4));
    assert!(said[0].cause.contains("trapped"), "{said:?}");
}

#[test]
fn fifty_plugins_at_once() {
    let fuel = 200_000;
    let desks: Vec<(Desk, bool)> = (0..50)
        .map(|n| {
            let hostile = ["loop-evaluate", "memory-bomb", "trap-evaluate", "stack-overflow"];
            let good = n % 2 == 0;
            let name = if good { "body-health" } else { hostile[n / 2 % hostile.len()] };
            (Desk::new(with_fuel(name, fuel)), good)
        })
        .collect();
    for (desk, good) in &desks {
        for body in ["7", "8"] {
            desk.worker.submit(round(1, body)).unwrap();
            let result = desk.decided.recv_timeout(Duration::from_secs(20)).unwrap().outcome.result.clone();
            assert_eq!(result.is_ok(), *good);
        }
    }
}

/// Bytes that the process has in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// In a process of its own: what other tests have in memory meanwhile is not to be counted.
#[test]
fn a_hundred_swaps_under_load_lose_nothing() {
    const NAME: &str = "plugins::tests::repeat::a_hundred_swaps_under_load_lose_nothing";
    if std::env::var_os("PHASEGATE_TEST_ALONE").is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let ran = alone.args(["--exact", NAME]).env("PHASEGATE_TEST_ALONE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    const INSTANCES: usize = 32;
    const TURNS: usize = 12;
    let runtime = super::runtime();
    let components: Vec<Vec<u8>> = ["body-health", "trap-configure", "counter", "trap-evaluate"]
        .iter()
        .map(|name| guests::component(name).unwrap())
        .collect();
    let load =
        |n: usize| runtime.load(&components[n % components.len()], "{}", super::LIMITS, Isolation::PerBatch);
    let desk = Desk::new(load(0).unwrap());
    let mut digests = BTreeMap::from([(1, load(0).unwrap().digest())]);
    let (mut generation, mut refused, mut asked) = (1, 0, 0_u64);
    let mut memory_after_warm_up = 0;
    let mut seen: Vec<(u64, Digest)> = Vec::new();
    for swap in 1..=100 {
        for turn in 0..TURNS {
            for id in 0..INSTANCES {
                desk.worker.submit(round(id, &(turn % 7).to_string())).unwrap();
                asked += 1;
            }
            if turn == TURNS / 2 {
                match load(swap) {
                    Ok(plugin) => {
                        generation += 1;
                        digests.insert(generation, plugin.digest());
                        desk.worker.swap(plugin, Generation(generation));
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        while u64::try_from(seen.len()).unwrap() < asked {
            let decided = desk.decided.recv_timeout(Duration::from_secs(20)).unwrap();
            let stamp = decided.outcome.stamp.clone();
            assert_ne!(decided.outcome.result, Err(PluginFailure::Overloaded));
            seen.push((stamp.generation.0, stamp.digest));
        }
        if swap == 20 {
            memory_after_warm_up = resident();
        }
    }
    assert_eq!((seen.len(), refused), (100 * TURNS * INSTANCES, 25), "no round is lost");
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "generations never mix");
    assert!(seen.iter().all(|(generation, digest)| digests.get(generation) == Some(digest)));
    let grown = resident().saturating_sub(memory_after_warm_up);
    assert!(grown < 48 << 20, "{grown} bytes more after 80 swaps");
}

#[test]
fn isolation_makes_no_difference_to_fuel() {
    let spent = |isolation| load_as("body-health", isolation).unwrap().judge(&batch(&["7"]), 0).costs[0].fuel;
    assert_eq!(spent(Isolation::PerBatch), spent(Isolation::Reused));
}
