//! What an upgrade can wait for, in a word. Deliberately without the reason: that stands beside it.

use serde::{Deserialize, Serialize};

/// What an upgrade can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wait {
    /// The record, which takes no writes.
    Record,
    /// A person, to adopt the record.
    Adoption,
    /// The first decision about instances.
    Evidence,
    /// The first look at what instances run.
    Look,
    /// A person, who stopped the line.
    Line,
    /// The end of a freeze window.
    Freeze,
    /// The time that a person has named for its start.
    Scheduled,
    /// The pause between two batches.
    PauseBetweenBatches,
    /// A person, after a pause or at a checkpoint.
    Paused,
    /// A person, who is to approve the next phase.
    Approval,
    /// Instances that are Initializing.
    Initializing,
    /// Instances that said "not now".
    Deferral,
    /// Instances that the host cannot ask.
    NotAsked,
    /// The host, which doubts what it sees.
    SelfDoubt,
    /// The release that it belongs to.
    Release,
    /// Another zone of its region.
    Zone,
    /// Other stand-alone machines of its group.
    Group,
    /// The bake of what was upgraded.
    Bake,
    /// A fleet that is not healthy again after the host's restart.
    Health,
    /// A driver.
    Driver,
    /// A driver, whose program or agent is busy.
    DriverBusy,
    /// A driver, of which nothing was heard for long.
    DriverHanging,
    /// A hook.
    Hook,
    /// The health of upgraded instances.
    Gate,
}
