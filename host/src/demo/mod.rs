//! What `phasegate demo` runs: a small replicated database as real processes, and a fleet of it.

pub mod database;
pub mod fleet;
pub mod lag;
pub mod ports;
