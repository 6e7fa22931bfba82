//! The runtime of policy plugins: loads components, runs them within limits, checks what they say.
//!
//! How to read this crate: `engine` (how code is compiled and interrupted), `shape` and `world` (what bytes
//! are, and whether they fit), `compiler` and `load` (bytes to a plugin), `call` (one call into a guest), `batch` (a call
//! that fails costs only the observation that made it fail), `output` (checks), `contract` (the one place
//! that knows a version of the contract), `stage` and `cache` (what a load went through, and what of it is
//! kept), `cases` and `trial` (what a component must answer, and whether it does), `lines` (which code is of which line of
//! its author's source) and `mutants` (what its cases are worth).
//!
//! Everything here is synchronous and blocks for as long as the guest may run, so it never runs on an async
//! reactor. It gives a guest no files, sockets, environment or randomness; `wasi` are the stubs for languages
//! that cannot do without. It fetches nothing and knows no generations.

mod batch;
pub mod builtin;
mod cache;
mod call;
mod capability;
pub mod cases;
mod compiler;
mod componentize;
mod contract;
mod deadline;
mod difference;
mod engine;
mod error;
mod file;
mod inspect;
mod limits;
mod lines;
mod load;
mod making;
pub mod mutants;
mod output;
mod recent;
mod shape;
mod stage;
mod text;
mod ticker;
mod trap;
pub mod trial;
mod wasi;
mod world;

#[cfg(test)]
mod tests;

pub use batch::{BATCH_MAX, Judged};
pub use cache::CodeCache;
pub use call::{PanicError, guarded};
pub use compiler::{Compiler, CompilerError, machine_code};
pub use componentize::{ComponentizeError, EncoderError, componentize};
pub use contract::{CONTRACT, World};
pub use engine::{Runtime, RuntimeError};
pub use error::{COMPONENT_BYTES_MAX, LoadPluginError};
pub use file::read_component;
pub use inspect::{Inspection, Kind, component_digest, inspect, settings_digest};
pub use limits::{Isolation, Limits};
pub use lines::{Own, OwnFile};
pub use load::{CompiledPlugin, LoadedPlugin};
pub use stage::{LoadTrace, OnStage, Stage, Step, StepState};
pub use text::one_line;
pub use world::{Import, ImportVerdict};
