//! The JSON about plans: what an upgrade would do, and what to know before it starts.

use serde::{Deserialize, Serialize};

use crate::fleet::{FileDiffers, Participation, VersionState};
use crate::words::words;

/// `upgrade plan --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The scale set.
    pub scale_set: String,
    /// The wanted version.
    pub to: String,
    /// `sha256:…` of all that decides the course of the upgrade.
    pub digest: String,
    /// In order.
    pub batches: Vec<PlanBatch>,
    /// Instances left alone.
    pub holds: Vec<Hold>,
    /// Who goes up, back and up again before anybody else; left out where there is no round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<String>,
    /// Hooks that are run round it, on both ways, by their keys and in their order; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// Planned instances of which nobody can tell what they run, and on which nothing runs; left out when there
    /// are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
    /// Keys of the file that say something else than what is wanted; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_differs: Vec<FileDiffers>,
}

/// A planned instance that runs no version that is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// Its id.
    pub instance: String,
    /// `absent` or `unknown`.
    pub version_state: VersionState,
    /// What it is brought back to if it fails: the version that was recorded last. Null: it has no way back.
    pub way_back: Option<String>,
}

/// `GET /v1/scale-sets/NAME/plan`, `upgrade plan --json --detail`: a [`Plan`] with what to know
/// before a start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanDetail {
    /// The plain plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// The policy's percentages as counts.
    pub limits: Limits,
    /// What each batch takes beside the work of the driver.
    pub batch_time: BatchTime,
    /// The freeze in force; null when there is none.
    pub frozen: Option<Frozen>,
    /// What to know before a start.
    pub warnings: Vec<Warning>,
}

/// Percentages of a policy and what they are for a fleet of this size.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// All instances; what the percentages refer to.
    pub instances: usize,
    /// How many of them no upgrade may touch.
    pub protected: usize,
    /// As configured.
    pub max_batch_instance_percent: u8,
    /// Largest batch.
    pub batch_max: usize,
    /// As configured.
    pub max_unhealthy_instance_percent: u8,
    /// So many may be unhealthy when a batch starts.
    pub unhealthy_max: usize,
    /// As configured; of what has been upgraded so far, so it is no fixed count.
    pub max_unhealthy_upgraded_instance_percent: u8,
    /// Sizes of the first batches; the last one goes on.
    pub batch_sizes: Vec<usize>,
}

/// What a batch takes beside the work of the driver, in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchTime {
    /// Until everybody has answered a probe that began after the batch before had ended: an interval and the time limit
    /// of a probe, at most.
    pub evidence_seconds_max: f64,
    /// `healthGate.wait`.
    pub wait_seconds: f64,
    /// `healthGate.stableFor`.
    pub stable_for_seconds: f64,
    /// `pauseTimeBetweenBatches`.
    pub pause_seconds: f64,
}

/// A freeze: nothing begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Frozen {
    /// RFC 3339, UTC.
    pub until: String,
    /// One line for people.
    pub reason: String,
}

/// Something to know that is no error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Warning {
    /// Stable code.
    pub code: WarningCode,
    /// One line for people.
    pub message: String,
}

/// One planned batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanBatch {
    /// Null is the last phase.
    pub phase: Option<u32>,
    /// Null without zones, or when zones may be crossed.
    pub zone: Option<String>,
    /// Update domain.
    pub update_domain: Option<u32>,
    /// Members in order.
    pub instances: Vec<String>,
}

/// An instance that is left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Its id.
    pub instance: String,
    /// One line for people.
    pub reason: String,
    /// Why, for programs; left out where it is not left alone but only not upgraded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<HoldCode>,
    /// Its phase, where its plugin has named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<u32>,
    /// What its plugin says of its taking part, which is something else than why the host leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participation: Option<Participation>,
}

words! {
    /// Why an instance is left alone.
    HoldCode {
        /// Its plugin says skip.
        Skip = "skip",
        /// Its plugin says not now.
        Defer = "defer",
        /// `protectFromScaleSetActions` is set.
        Protected = "protected",
        /// A person says: not now.
        PersonHold = "person-hold",
        /// A person says: not it.
        PersonSkip = "person-skip",
        /// It was planned, and the configuration does not have it any more.
        Vanished = "vanished",
        /// It was upgraded or planned, and stands at another address since.
        Replaced = "replaced",
        /// A rollback leaves it: nothing ran there before.
        NoWayBack = "no-way-back",
        /// Its plugin has not judged it.
        Undecided = "undecided",
        /// Its plugin failed.
        PluginFailed = "plugin-failed",
        /// Its health is unknown.
        Unknown = "unknown",
    }
}

words! {
    /// What to know before a start, or about a configuration.
    WarningCode {
        /// The version faulted before.
        Quarantined = "quarantined",
        /// The data directory belongs to another user than the one who checks.
        ForeignDataDir = "foreign-data-dir",
        /// What decides was recorded before the configuration asked for what it lacks, and gives way at the next start.
        RunsUnfit = "runs-unfit",
        /// The first instance cannot make the round trip that is wanted.
        RoundTrip = "round-trip",
        /// No instance may be touched.
        AllProtected = "all-protected",
        /// The plugins together may take more memory than the machine has.
        Memory = "memory",
        /// The recording has no room for a record of every instance.
        RecordingSmall = "recording-small",
        /// The plugin has never let an instance go.
        NeverProceeds = "never-proceeds",
        /// A limit can never pass.
        Unsatisfiable = "unsatisfiable",
        /// A limit makes batches smaller than they are configured.
        BatchesShrink = "batches-shrink",
        /// Growing batches are cut off.
        BatchesCut = "batches-cut",
        /// One failure is enough for a rollback.
        FirstFailureRollsBack = "first-failure-rolls-back",
        /// A pause after the last phase has no effect.
        PauseAfterLast = "pause-after-last",
        /// Less time for an upgraded instance than its probes and the gate take.
        ShortDeadline = "short-deadline",
        /// No instance can be Healthy long enough before `healthGate.deadline`.
        GateNeverPasses = "gate-never-passes",
        /// `batchTimeout` ends a batch before its slowest instance has failed.
        ShortBatchTimeout = "short-batch-timeout",
        /// `upgradeTimeout` can never be kept.
        ShortUpgradeTimeout = "short-upgrade-timeout",
        /// `upgradeTimeout` is over before the first batch is late.
        UpgradeBelowBatch = "upgrade-below-batch",
        /// `approvalTimeout` without an approval.
        NoApproval = "no-approval",
        /// `onTimeout` without a time.
        NoTimeout = "no-timeout",
        /// The windows leave no time in which anything may begin.
        NeverOpens = "never-opens",
        /// A phase with a checkpoint of which the plan upgrades nobody.
        EmptyCheckpoint = "empty-checkpoint",
        /// Less time between freezes than an upgrade needs.
        ShortOpening = "short-opening",
        /// The fleet is unhealthier than a start allows.
        FleetUnhealthy = "fleet-unhealthy",
        /// The line is stopped.
        LineStopped = "line-stopped",
        /// Nobody is asked what instances run, so that the driver's word counts.
        NotObserved = "not-observed",
        /// The application can say nothing of itself, phases and skips among it.
        PortAlone = "port-alone",
        /// Processes of the set end with the host.
        EndsWithHost = "ends-with-host",
        /// Nothing pins a component that is fetched.
        Unpinned = "unpinned",
        /// A component was not fetched, so it was not checked.
        NotFetched = "not-fetched",
        /// A source of instances says nothing that can be read.
        DiscoveryFailed = "discovery-failed",
        /// A source of instances names nobody.
        DiscoveryEmpty = "discovery-empty",
        /// An entry of a source makes no instance.
        DiscoveryEntry = "discovery-entry",
    }
}
