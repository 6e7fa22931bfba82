//! What a plugin may use, and how long an instance of it lives.

use std::time::Duration;

/// What one plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginLimits {
    /// Memory of one instance in MiB, 1 to 4096: all linear memories and tables together.
    pub memory_mib: u32,
    /// CPU time of one call, 1 ms to 60 s; at least, since deadlines pass in ticks.
    pub timeout: Duration,
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// A new instance for each batch: nothing survives.
    PerBatch,
    /// One instance until it fails or has served 10,000 calls. Cheaper for small batches.
    Reused,
}
