//! The words of the domain as types. Everything else speaks in them.
//!
//! Deliberately free of I/O, clocks, randomness and wire formats: JSON names live in `api::wire`
//! and `config`, generated WIT types in `phasegate_wasm::contract`.

pub mod backoff;
pub mod component;
pub mod decision;
pub mod driver;
pub mod duration;
pub mod estate;
pub mod extension_type;
pub mod fence;
pub mod fleet;
pub mod fresh_id;
pub mod health;
pub mod hook;
pub mod ids;
pub mod instance_id;
pub mod limits;
pub mod membership;
pub mod natural;
pub mod now;
pub mod observation;
pub mod plugin_spec;
pub mod policy;
pub mod provision;
pub mod release_version;
pub mod request;
pub mod rules;
pub mod runs;
pub mod shortage;
pub mod shown;
pub mod source;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod upgrade_policy;
pub mod urgency;
pub mod window;
pub mod word;

pub use backoff::Backoff;
pub use component::{APPLICATION, Change, Component, Goal};
pub use decision::{
    Cost, DEFER_PROGRESS, DEFER_UNTIL, Decision, Evaluation, Origin, Outcome, Participation, PluginFailure,
    PluginStamp, Reason, Verdict,
};
pub use driver::{
    Creation, Custody, DriverNote, DriverPace, DriverTraits, DriverWord, ProcessState, Touched,
};
pub use duration::parse_iso_duration;
pub use estate::{Enrolment, Estate, SetKind};
pub use extension_type::{ExtensionType, InvalidExtensionType};
pub use fence::{DeposedError, Fence, InvalidFenceError};
pub use fleet::{Address, Instance, Model, Protection, ScaleSet};
pub use fresh_id::FreshIds;
pub use health::{
    Claim, Health, HealthSettings, ProbeConnection, ProbeIdentity, ProbeProtocol, Profile, freshness,
    prepare_max,
};
pub use hook::{Direction, HookKind, HookKinds, Moment};
pub use ids::{
    Digest, ExtensionName, Generation, InvalidIdError, Location, OperationId, Phase, PluginName, ReleaseId,
    ResourceGroup, ScaleSetName, Subscription, UpgradeId, Version,
};
pub use instance_id::InstanceId;
pub use limits::{CompileLimits, Isolation, OnFailure, PluginLimits};
pub use membership::{Located, Membership};
pub use natural::natural_cmp;
pub use now::{Now, ReadClock, WallTime};
pub use observation::{Answer, Decided, Heard, InstanceFacts, Observation, ProbeFailure, Response, Round};
pub use plugin_spec::{Forbidden, Gate, PluginSpec, Strategy, SwapRules};
pub use policy::{BatchOf, BatchSize, HealthGate, Percent, RollingUpgradePolicy};
pub use provision::{Provision, ProvisionPart, Provisioned, Provisioning};
pub use release_version::{HandlerVersion, InvalidReleaseVersion, ReleaseVersion};
pub use request::{Actor, By, InvalidRequestKey, RequestId, RequestKey, TEXT_BYTES_MAX};
pub use rules::{
    Bake, Checkpoints, Decisions, FailureRules, OnBakeFailure, OnBreach, OnInstanceFailure, OnTimeout,
    PhaseName, RetryRule, Timeouts, UpgradeMode,
};
pub use runs::{CanTell, Look, Looks, Runs, Seen, Sight};
pub use shortage::{NotAsked, Shortage, Unasked, Unheard};
pub use time::Timestamp;
pub use upgrade_policy::UpgradePolicy;
pub use urgency::Urgency;
pub use window::{ClockTime, FreezeWindow, FreezeWindows, Frozen, HORIZON, Weekdays};
pub use word::{PersonsWord, WordKind};
