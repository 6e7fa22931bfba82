//! The JSON of what an upgrade waits for.

use serde::{Deserialize, Serialize};

use crate::words::words;

/// What an upgrade waits for at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// For what, for programs.
    pub code: WaitingCode,
    /// One line for people, with what helps.
    pub text: String,
    /// Since when, RFC 3339, UTC. In the moment before that is recorded, when the upgrade looked last; null only of an
    /// upgrade of the past.
    pub since: Option<String>,
    /// Until when at the latest, RFC 3339, UTC; null where that is open.
    pub until: Option<String>,
    /// Who made it wait: the name of a token or of a user where a person did, else `policy`, `plugin NAME`, `driver`,
    /// `record` or `host`.
    pub actor: Option<String>,
    /// Why, in the words of the one who made it wait.
    pub detail: Option<String>,
}

words! {
    /// What an upgrade waits for.
    WaitingCode {
        /// The record, which takes no writes.
        Record = "record",
        /// A person, to adopt the record.
        Holding = "holding",
        /// Answers of instances: the first ones, or those to probes that began after the batch before had ended.
        Evidence = "evidence",
        /// A look at what instances run.
        Look = "look",
        /// A person, who stopped the line.
        Line = "line",
        /// The end of a freeze window.
        Freeze = "freeze",
        /// The time for which its start was asked for.
        Scheduled = "scheduled",
        /// The pause between two batches.
        PauseBetweenBatches = "pauseBetweenBatches",
        /// A person, after `pause`, or at `pauseAfterPhase`.
        Paused = "paused",
        /// A person, at `approvalBeforePhase`.
        Approval = "approval",
        /// Instances that are Initializing.
        Initializing = "initializing",
        /// Instances that said "not now".
        Deferral = "deferral",
        /// Instances that the host cannot ask, being short of something.
        NotAsked = "notAsked",
        /// The host, which doubts what it sees: most instances that nothing has touched went silent at once.
        SelfDoubt = "selfDoubt",
        /// The release that it belongs to: a pause, a halt, or an earlier region phase that is not well.
        Release = "release",
        /// Another zone of its region, in which something is in flight or comes first.
        Zone = "zone",
        /// Other stand-alone machines of its subscription and location, as many of which are in flight as may be.
        MachineGroup = "machineGroup",
        /// The bake of what was upgraded.
        Bake = "bake",
        /// A fleet that is not healthy again after the host's restart.
        Health = "health",
        /// A driver that has an effect in hand.
        Driver = "driver",
        /// A driver, whose program or agent is busy; `detail` has its last words.
        DriverBusy = "driverBusy",
        /// A driver, of which nothing was heard for long; `detail` has its last words.
        DriverHanging = "driverHanging",
        /// A hook round instances or a batch, such as a gate that says "not yet"; `detail` is what it said last.
        Hook = "hook",
        /// The health of upgraded instances.
        Gate = "gate",
    }
}
