//! What a plugin may use, and how long an instance of it lives.

use std::time::Duration;

/// What one plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginLimits {
    /// Memory of one instance in MiB, 1 to 4096: all linear memories and tables together.
    pub memory_mib: u32,
    /// CPU time of one call, 1 ms to 60 s; at least, since deadlines pass in ticks. The backstop.
    pub timeout: Duration,
    /// Work for one evaluation, about one for each instruction: the same on every machine. A batch
    /// has no more than this either and is split when it is too little, so that company changes
    /// nothing for an observation.
    pub fuel: u64,
    /// Log lines in one minute; also the burst.
    pub log_lines_per_minute: u32,
    /// What its compiler may use.
    pub compile: CompileLimits,
}

/// What turning a component into machine code may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time of all its threads, 1 to 86,400 seconds.
    pub cpu_seconds: u32,
    /// Memory of the compiler in MiB, 64 to 65,536.
    pub memory_mib: u32,
}

impl CompileLimits {
    /// Several times what honest components take that carry a whole language runtime (12 to 18 MB of Python or
    /// JavaScript: 14 to 41 seconds, 373 MiB).
    pub const DEFAULT: Self = Self { cpu_seconds: 300, memory_mib: 2048 };
}

impl PluginLimits {
    /// Far above what a normal policy takes: 64 MiB hold any component with its body buffers,
    /// 50 million instructions are a thousand times the work of an ordinary decision and take less
    /// than the 100 ms that stop what fuel cannot see.
    pub const DEFAULT: Self = Self {
        memory_mib: 64,
        timeout: Duration::from_millis(100),
        fuel: 50_000_000,
        log_lines_per_minute: 600,
        compile: CompileLimits::DEFAULT,
    };
}

/// What becomes of an instance while its plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Health Unknown, and held back from upgrades.
    #[default]
    Hold,
    /// The last good decision stands in while it is fresh; then as [`Self::Hold`].
    LastGood,
    /// As Azure would: health Unknown, the last phase, and *not* held back. Dangerous: an upgrade
    /// may touch what the plugin would have kept it from.
    Azure,
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// A new instance for each batch: nothing survives.
    PerBatch,
    /// One instance until it fails or has served 10,000 calls. Cheaper for small batches.
    Reused,
}
