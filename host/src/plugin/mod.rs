//! The plugin runtime: loads policy components, runs them within limits, checks what they say.
//!
//! Reading order: `engine` (how code is compiled and interrupted), `shape` and `world` (what bytes
//! are, and whether they fit), `load` (bytes to a plugin), `call` (one call into a guest), `batch`
//! (a call that fails costs only the observation that made it fail), `output` (checks), `v1` (the
//! generated types of `wit/v1`), `worker` (a thread for each plugin), `stage` and `cache` (what a
//! load went through, and what of it is kept), `fetch` (components of other machines), `registry` (the plugins of a running host).
//!
//! Everything here is synchronous and blocks for as long as the guest may run, so it never runs
//! on the async reactor. It gives a guest no files, sockets, environment or randomness; `wasi` are
//! the stubs for languages that cannot do without.

mod batch;
pub mod builtin;
mod cache;
mod call;
mod capability;
mod componentize;
pub mod config;
mod deadline;
mod difference;
mod engine;
mod error;
pub mod fetch;
mod file;
mod inspect;
mod limits;
mod load;
mod output;
mod recent;
pub mod registry;
mod shape;
mod stage;
mod text;
mod trap;
mod v1;
mod wasi;
mod worker;
mod world;

#[cfg(test)]
pub(crate) mod tests;

pub use batch::{BATCH_MAX, Judged};
pub use cache::CodeCache;
pub use componentize::{ComponentizeError, componentize, finish};
pub use engine::{Runtime, RuntimeError};
pub use error::LoadPluginError;
pub use fetch::{Fetch, FetchError, Fetched};
pub use file::read_component;
pub use inspect::{Inspection, Kind, inspect};
pub use limits::{Isolation, Limits};
pub use load::{CompiledPlugin, LoadedPlugin};
pub use stage::{LoadTrace, OnStage, Stage, Step, StepState};
pub use worker::{
    Counts, Known, OnDecided, OnTrouble, PluginTrouble, PluginWorker, QUEUE_MAX, Repeats, Watchers,
};
pub use world::{Import, ImportVerdict};
