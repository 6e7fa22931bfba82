//! What `phasegate demo` runs: a small replicated database, and a fleet of it.

pub mod database;
pub mod fleet;
