//! The hands of the plugins' lives: fetching components, running them, replacing them.
//!
//! Reading order: `worker` (a thread for each plugin), `fetch` (components of other machines), `hands`
//! (what the lives of plugins want done), `compiler` (a process for what may eat memory and time), `check` (what
//! can be said without a host), `signature` (who has signed a component). What a component is and how it runs is in the crate `phasegate-wasm`.

pub mod check;
pub mod compiler;
pub mod config;
pub mod fetch;
pub mod hands;
pub mod runtime;
pub mod signature;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

pub use fetch::{Fetch, FetchError, Fetched};
pub use worker::{
    Counts, Known, OnDecided, OnTrouble, PluginTrouble, PluginWorker, QUEUE_MAX, Repeats,
    STACK_BYTES as WORKER_STACK_BYTES, Watchers,
};
