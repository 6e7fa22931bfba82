//! The JSON of the HTTP API, version 1, and of every `--json`: what the host sends and the command line
//! reads.
//!
//! One file per subject. Field order is the order on the wire. Absent values are null, never left out,
//! unless the field says so. Deliberately without any type of the core: what is promised to others
//! changes only here, on purpose.

mod check;
pub mod codes;
mod data;
mod decision;
mod discovery;
mod error;
mod event;
mod fleet;
mod host;
mod line;
mod log;
mod past;
mod plan;
mod plugin;
mod quarantine;
mod release;
mod reload;
#[cfg(feature = "schema")]
mod schema;
mod upgrade;
mod waiting;
mod word;
mod words;

pub use check::{Check, CheckProbing, CheckProblem, CheckReserved, CheckScaleSet, CheckWarning};
pub use data::{Data, DataCheck};
pub use decision::{Admission, Evaluation, Explanation, PluginCounts};
pub use discovery::{CheckDiscovery, Discovery, DiscoveryFailing, DiscoveryHeld};
pub use error::{Error, ErrorBody, ErrorCode, ErrorDetail};
pub use event::{
    CurrentBatch, Ending, Event, Following, HealthChange, NotYet, Recorded, ReleaseProgress, UpgradeProgress,
};
pub use fleet::{
    CustomMetrics, FileDiffers, Fleet, Health, HeldBack, Instance, Participation, ProvisionedExtension,
    ProvisionedState, Provisioning, ProvisioningState, ScaleSet, Stamp, StandsIn, VersionState,
    WantedAndWithdrawn,
};
pub use host::{HealthCounts, HostStanding, ScaleSetSummary, ScaleSets, UpgradeSummary, Version};
pub use line::Line;
pub use log::{Log, LogEntry, LogKind};
pub use past::{
    LatestUpgrade, LatestUpgrades, PastUpgrade, PastUpgrades, QuarantinedVersion, UpgradeInBrief, UpgradeKind,
};
pub use plan::{
    BatchTime, Frozen, Hold, HoldCode, Limits, Plan, PlanBatch, PlanDetail, Unseen, Warning, WarningCode,
};
pub use plugin::{
    Claim, Plugin, PluginChange, PluginCounters, PluginDiff, PluginFailing, PluginGeneration, PluginHistory,
    PluginLoad, PluginStage, PluginStageName, PluginStageState, PluginSwap, PluginVerdict, Plugins,
    SwapStrategy,
};
pub use quarantine::{Lift, Quarantine, Repair};
pub use release::{
    DurationFrom, EnrolRequest, ExtensionSource, ExtensionType, ExtensionTypes, ExtensionUse,
    ExtensionVersion, Feature, Features, PublishRequest, RefusedVersion, ReleaseDetail, ReleaseInBrief,
    ReleaseLog, ReleaseLogEntry, ReleasePhase, ReleasePlan, ReleaseRequest, ReleaseSet, ReleaseSetState,
    ReleaseState, ReleaseStrategy, ReleaseWishRequest, Releases, WithdrawRequest,
};
pub use reload::Reload;
pub use upgrade::{
    BatchState, ComponentStatus, Estimate, Help, Progress, ReasonRequest, RollsBack, RunsWhere, StartRequest,
    Status, StatusBatch, StatusDetail, UpgradeState, WishRequest,
};
pub use waiting::{Waiting, WaitingCode};
pub use word::{InstanceOverride, Override, OverrideKind, OverrideRequest};
