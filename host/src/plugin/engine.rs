//! The engine that compiles and runs all plugins, and the thread that makes deadlines pass.
//!
//! One function builds the engine's configuration, because code compiled with one configuration
//! does not run with another. Fuel is not used: deadlines pass in ticks, see `deadline`.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak, WasmBacktraceDetails};

use crate::clock::Clock;

use super::cache::CodeCache;

/// Length of one tick of the epoch. A deadline is late by at most two of them.
const TICK: Duration = Duration::from_millis(5);

/// Guest frames kept of a trap: enough to see where, few enough for one line.
const FRAMES_MAX: usize = 8;

/// The plugin runtime of one process: compiles components and runs the clock of their deadlines.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) cache: Option<Arc<CodeCache>>,
}

/// Why the runtime cannot run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot start the WebAssembly engine: {0}")]
pub struct RuntimeError(String);

impl Runtime {
    /// Starts the engine and its ticker. The ticker ends by itself when the last plugin and the
    /// last copy of the runtime are gone.
    ///
    /// # Errors
    /// When the engine does not support this machine, or no thread can be started.
    pub fn new() -> Result<Self, RuntimeError> {
        let engine = Engine::new(&config()).map_err(|error| RuntimeError(error.to_string()))?;
        start_ticker(engine.weak())?;
        Ok(Self { engine, clock: Clock::start(), cache: None })
    }

    /// The same runtime, which keeps compiled code.
    #[must_use]
    pub fn with_cache(self, cache: CodeCache) -> Self {
        Self { cache: Some(Arc::new(cache)), ..self }
    }
}

/// Ticks after which a call of this length is over; never less than asked for.
pub(super) fn ticks(timeout: Duration) -> u64 {
    let ticks = timeout.as_millis().div_ceil(TICK.as_millis()).saturating_add(1);
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // The contract has no async; without it a call costs 1.7 times less.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    // Same input, same answer, on every machine.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // Not the default, which reads an environment variable.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES_MAX));
    // Threads need no line: wasmtime is built without them.
    config
}

fn start_ticker(engine: EngineWeak) -> Result<(), RuntimeError> {
    let run = move || {
        // Nobody ever sends: the channel is a sleep that keeps its pace.
        let (_keep, never) = mpsc::channel::<()>();
        while never.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    };
    thread::Builder::new()
        .name("plugin-ticker".to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| RuntimeError(format!("no thread for its clock: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_never_early() {
        for (ms, expected) in [(0, 1), (1, 2), (5, 2), (6, 3), (1000, 201)] {
            assert_eq!(ticks(Duration::from_millis(ms)), expected, "{ms} ms");
        }
    }

    #[test]
    fn the_checks_use_the_engines_features() {
        let runtime = Runtime::new().unwrap();
        assert_eq!(runtime.engine.get_wasm_features(), super::super::shape::features());
    }
}
