//! What the core must know of a driver. How it does its work is its own business.

use serde::{Deserialize, Serialize};

use super::ids::{OperationId, ScaleSetName};
use super::instance_id::InstanceId;
use super::runs::Sight;
use super::time::Timestamp;

/// Who keeps instances running between requests, and therefore what a starting host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// The host: nothing runs unless this driver started it, so a starting host starts everything.
    Host,
    /// The site, in whatever way: a starting host only looks.
    Site,
}

/// Whether a driver can create instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It was told how.
    Possible,
    /// It was not.
    NotTold,
}

impl Creation {
    /// Whether it was told.
    #[must_use]
    pub fn told<T>(how: Option<&T>) -> Self {
        if how.is_some() { Self::Possible } else { Self::NotTold }
    }
}

/// What a driver is, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverTraits {
    /// Who keeps instances running.
    pub custody: Custody,
    /// Whether it can create instances.
    pub creation: Creation,
    /// What it can be asked about instances that the site keeps running.
    pub sight: Sight,
}

/// Something that happened to an instance outside of any request, for example a process that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverNote {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// When.
    pub at: Timestamp,
    /// What became of its process.
    pub state: ProcessState,
    /// One line for people, for example "process 4711 exited with code 1; restarting in 2 s".
    pub text: String,
}

/// What a driver tells of something that it has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverWord {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What it has in hand.
    pub operation: OperationId,
    /// How it goes.
    pub pace: DriverPace,
    /// One line, in the words of what it has asked: a program, an agent.
    pub text: String,
}

/// How something goes that a driver has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverPace {
    /// What it asks says that it works.
    Works,
    /// What it asks is busy, or cannot be reached: the driver asks it again.
    Busy,
}

/// What became of a process that no request was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessState {
    /// It ended by itself, or a new one could not be started: nothing runs, and another start follows. The
    /// instance starts a new life.
    Exited,
    /// A new one runs after an exit.
    Restarted,
}

/// Whether a driver that failed has done anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// It has, or may have.
    Perhaps,
    /// It says that it has not: all is as it was.
    No,
}
