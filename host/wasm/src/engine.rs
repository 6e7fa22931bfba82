//! The engine that compiles and runs all plugins.
//!
//! One function builds the engine's configuration, because code compiled with one configuration
//! does not run with another. Fuel limits the work of a call, the same on every machine; deadlines,
//! which pass in ticks, are the backstop, see `deadline` and `ticker`.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use phasegate_core::domain::ReadClock;

use super::cache::CodeCache;
use super::compiler::{Compiler, Here};
use super::limits::{INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use super::making::Making;
use super::recent::Recent;
use super::text;
use super::ticker::{TICK, Ticker};

/// Linear memories of all plugins together; a plugin has one to three for each of its instances,
/// of which there are two while another component judges beside it. Address space, not memory.
const POOL_MEMORIES: u32 = 1000;
/// The largest memory that a configuration may allow.
const POOL_MEMORY_BYTES: usize = 4 << 30;
/// Elements of a table.
const POOL_TABLE_ELEMENTS: usize = 1 << 20;
/// Size of what the engine keeps of an instance besides memories and tables.
const POOL_INSTANCE_BYTES: usize = 16 << 20;
/// Memory of an instance that is wiped and kept for the next one, where the system says which pages
/// were written to.
const KEPT_BYTES: usize = 1 << 20;
/// The same of a table.
const KEPT_TABLE_BYTES: usize = 64 << 10;
/// Memories that wait for a component which may not come back.
const KEPT_MEMORIES: u32 = 8;

/// Guest frames kept of a trap: where a language panics, its runtime alone is ten deep. Few are shown.
const FRAMES_MAX: usize = 24;

/// The plugin runtime of one process: compiles components and keeps the clock of their deadlines.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) ticker: Ticker,
    pub(super) clock: Arc<dyn ReadClock>,
    /// The first one keeps what is compiled; in all of them it is looked for.
    pub(super) caches: Vec<Arc<CodeCache>>,
    /// Where components of the program itself are kept for all hosts of a user.
    pub(super) shared: Option<Arc<CodeCache>>,
    pub(super) compiler: Arc<dyn Compiler>,
    pub(super) making: Arc<Making>,
    /// What was loaded last; none where nothing is kept.
    pub(super) recent: Option<Arc<Recent>>,
    /// Why instances do not come from a pool, if they do not.
    no_pool: Option<Arc<str>>,
}

/// Why the runtime cannot run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot start the WebAssembly engine: {0}")]
pub struct RuntimeError(String);

impl RuntimeError {
    pub(super) fn no_thread(error: &std::io::Error) -> Self {
        Self(format!("no thread for its clock: {error}"))
    }
}

impl Runtime {
    /// Starts the engine and its ticker. The ticker ends by itself when the last plugin and the
    /// last copy of the runtime are gone. `clock` is what guests are told and what their calls are
    /// measured with.
    ///
    /// # Errors
    /// When the engine does not support this machine, or no thread can be started.
    pub fn new(clock: Arc<dyn ReadClock>) -> Result<Self, RuntimeError> {
        let mut pooled = config();
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        // The pool needs terabytes of address space, which some machines and limits do not have.
        let (engine, no_pool) = match Engine::new(&pooled) {
            Ok(engine) => (engine, None),
            Err(error) => (plain()?, Some(text::summary(&error).into())),
        };
        let ticker = Ticker::start(engine.weak())?;
        Ok(Self {
            engine,
            ticker,
            clock,
            caches: Vec::new(),
            shared: None,
            compiler: Arc::new(Here),
            making: Arc::default(),
            recent: None,
            no_pool,
        })
    }

    /// Where the memory of a new instance comes from, in words: decides what one costs.
    #[must_use]
    pub fn allocation(&self) -> String {
        match &self.no_pool {
            None if wipes() => "a pool, wiped between uses".to_owned(),
            None => "a pool, returned to the system between uses (wiping needs Linux 6.7)".to_owned(),
            Some(why) => format!("the system, one by one, because there can be no pool: {why}"),
        }
    }

    /// The same runtime, which keeps compiled code, on disk and the latest of it in memory too. Of several
    /// caches the first keeps what is compiled; the others are only looked into.
    #[must_use]
    pub fn with_cache(mut self, cache: CodeCache) -> Self {
        self.caches.push(Arc::new(cache));
        Self { recent: Some(Arc::default()), ..self }
    }

    /// The same runtime, which keeps the compiled code of the components that are part of the program here, too: a
    /// host that begins with an empty folder then has them at once.
    #[must_use]
    pub fn with_shared(self, cache: CodeCache) -> Self {
        Self { shared: Some(Arc::new(cache)), ..self }
    }

    /// The same runtime with another compiler than a thread of this process.
    #[must_use]
    pub fn with_compiler(self, compiler: Arc<dyn Compiler>) -> Self {
        Self { compiler, ..self }
    }
}

/// Ticks after which a call of this length is over; never less than asked for.
pub(super) fn ticks(timeout: Duration) -> u64 {
    let ticks = timeout.as_millis().div_ceil(TICK.as_millis()).saturating_add(1);
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}

/// An engine for compiling only: what it makes runs on that of [`Runtime::new`].
pub(super) fn plain() -> Result<Engine, RuntimeError> {
    Engine::new(&config()).map_err(|error| RuntimeError(error.to_string()))
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // The contract has no async; without it a call costs 1.7 times less.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.consume_fuel(true);
    // Same input, same answer, on every machine.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // Not the default, which reads an environment variable.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES_MAX));
    // Threads need no line: wasmtime is built without them.
    config
}

/// Memory for instances that is reserved once: a new one costs a quarter of what it costs otherwise.
/// Its bounds are not below those of `limits`, which are the ones that a plugin meets; only a table ends at
/// a million elements whatever memory the plugin may have.
fn pool() -> PoolingAllocationConfig {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(POOL_MEMORIES)
        .total_tables(4 * POOL_MEMORIES)
        .total_core_instances(20 * POOL_MEMORIES)
        .total_component_instances(POOL_MEMORIES)
        .max_memory_size(POOL_MEMORY_BYTES)
        .table_elements(POOL_TABLE_ELEMENTS)
        .max_core_instance_size(POOL_INSTANCE_BYTES)
        .max_component_instance_size(POOL_INSTANCE_BYTES)
        .max_core_instances_per_component(count(INSTANCES_MAX))
        .max_memories_per_component(count(MEMORIES_MAX))
        .max_memories_per_module(count(MEMORIES_MAX))
        .max_tables_per_component(count(TABLES_MAX))
        .max_tables_per_module(count(TABLES_MAX))
        .max_unused_warm_slots(KEPT_MEMORIES);
    if wipes() {
        // Without knowing what was written, wiping costs more than new pages.
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEPT_BYTES)
            .table_keep_resident(KEPT_TABLE_BYTES);
    }
    pool
}

fn wipes() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
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
        let runtime = super::super::tests::runtime();
        assert_eq!(runtime.engine.get_wasm_features(), super::super::shape::features());
    }
}
