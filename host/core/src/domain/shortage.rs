//! What a host may be short of, so that it cannot ask an instance how it is.
//!
//! Deliberately no kind of probe failure: it says nothing about the instance, and no plugin judges it.

use std::fmt;
use std::time::Duration;

use super::ids::ScaleSetName;
use super::instance_id::InstanceId;
use super::time::Timestamp;

/// What the host is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shortage {
    /// File descriptors, of the process or of the whole machine.
    Descriptors,
    /// Memory for one more connection.
    Memory,
    /// Local ports or addresses for one more connection.
    Ports,
}

impl Shortage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Descriptors, Self::Memory, Self::Ports];

    /// The word by which a program tells them apart.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Memory => "memory",
            Self::Ports => "ports",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "file descriptors",
            Self::Memory => "memory for connections",
            Self::Ports => "local ports or addresses",
        })
    }
}

/// A round that was due and in which nobody was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsked {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// Which life of the instance was to be asked.
    pub epoch: u64,
    /// When the round began.
    pub started_at: Timestamp,
    /// What the host was short of.
    pub short_of: Shortage,
}

/// Since when an instance has not been asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unasked {
    /// When the first round began in which it was not.
    pub since: Timestamp,
    /// What the host was short of last.
    pub short_of: Shortage,
}

/// How long an instance could not be asked in its present life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unheard {
    /// All such times together, up to now.
    pub length: Duration,
    /// Whether it cannot be asked now.
    pub goes_on: bool,
}
