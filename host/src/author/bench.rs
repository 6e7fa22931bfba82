//! What an evaluation costs: time and fuel for each observation, memory, and the time to compile.
//!
//! CPU time of this thread, so that a busy machine does not make a plugin look slow.

use std::time::Duration;

use crate::clock::thread_cpu_time;
use phasegate_core::domain::{Observation, PluginFailure};
use phasegate_wasm::{BATCH_MAX, CompiledPlugin, Isolation, Limits, LoadPluginError, LoadedPlugin};

use phasegate_wasm::cases::NOW_MS;

/// Time that each figure is measured for.
const MEASURE_TIME: Duration = Duration::from_millis(300);
/// Calls that are not counted, while code and caches warm up.
const WARM_CALLS: u32 = 3;
/// Calls of one figure at most.
const CALLS_MAX: usize = 20_000;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Figures {
    /// New instance for each call, one observation.
    pub fresh_one: Timing,
    /// The same instance again, one observation.
    pub reused_one: Timing,
    /// New instance for each call, a full batch.
    pub fresh_batch: Timing,
    /// The same instance again, a full batch.
    pub reused_batch: Timing,
    /// The most memory that an instance had.
    pub memory_bytes: usize,
    /// Work for one observation: the median and the most.
    pub fuel: (u64, u64),
    /// Observations of a full batch that failed.
    pub failed: usize,
    /// The first of them.
    pub failure: Option<PluginFailure>,
}

/// Time for one observation.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Median, in nanoseconds.
    pub median_ns: u64,
    /// 99 of 100 are not above it.
    pub p99_ns: u64,
    /// Calls that were measured.
    pub calls: usize,
}

/// Measures a plugin on observations, which are taken in turn.
///
/// # Errors
/// When it does not come up.
pub fn run(
    plugin: &CompiledPlugin,
    settings: &str,
    observations: &[Observation],
    limits: Limits,
) -> Result<Figures, LoadPluginError> {
    let mut fresh = plugin.configure(settings, limits, Isolation::PerBatch)?;
    let mut reused = plugin.configure(settings, limits, Isolation::Reused)?;
    let full: Vec<Observation> = observations.iter().cycle().take(BATCH_MAX).cloned().collect();
    // First of all, in a new instance: later it depends on how long the others were measured.
    let fuel = fuel(&mut plugin.configure(settings, limits, Isolation::Reused)?, observations);
    let failures: Vec<PluginFailure> =
        reused.evaluate(&full, NOW_MS).into_iter().filter_map(Result::err).collect();
    let figures = Figures {
        fresh_one: singles(&mut fresh, observations),
        reused_one: singles(&mut reused, observations),
        fresh_batch: batches(&mut fresh, &full),
        reused_batch: batches(&mut reused, &full),
        memory_bytes: fresh.memory_bytes().max(reused.memory_bytes()),
        fuel,
        failed: failures.len(),
        failure: failures.into_iter().next(),
    };
    Ok(figures)
}

fn fuel(loaded: &mut LoadedPlugin, observations: &[Observation]) -> (u64, u64) {
    let alone = |seen| loaded.judge(std::slice::from_ref(seen), NOW_MS).costs;
    let mut used: Vec<u64> = observations.iter().flat_map(alone).map(|cost| cost.fuel).collect();
    used.sort_unstable();
    (used.get(used.len() / 2).copied().unwrap_or(0), used.last().copied().unwrap_or(0))
}

fn singles(loaded: &mut LoadedPlugin, observations: &[Observation]) -> Timing {
    let mut turn = observations.iter().cycle();
    sample(1, || {
        if let Some(seen) = turn.next() {
            let _ = loaded.evaluate(std::slice::from_ref(seen), NOW_MS);
        }
    })
}

fn batches(loaded: &mut LoadedPlugin, full: &[Observation]) -> Timing {
    sample(full.len(), || {
        let _ = loaded.evaluate(full, NOW_MS);
    })
}

fn sample(size: usize, mut call: impl FnMut()) -> Timing {
    for _ in 0..WARM_CALLS {
        call();
    }
    let began = thread_cpu_time();
    let mut before = began;
    let mut times: Vec<u64> = Vec::new();
    while times.len() < CALLS_MAX && before.saturating_sub(began) < MEASURE_TIME {
        call();
        let after = thread_cpu_time();
        let took = after.saturating_sub(before).as_nanos() / u128::try_from(size.max(1)).unwrap_or(1);
        times.push(u64::try_from(took).unwrap_or(u64::MAX));
        before = after;
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0);
    Timing { median_ns: at(50), p99_ns: at(99), calls: times.len() }
}
