//! One change of the durable state, and what a start reads back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::stored::{Retry, StoppedLine, StoredMemory, StoredModel, StoredPlugin};
use crate::domain::{
    Change, Component, Fence, InstanceId, Membership, PluginName, ScaleSetName, Timestamp, UpgradeId, Version,
};
use crate::rollout::{Member, Upgrade};

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Which scale set.
    pub scale_set: ScaleSetName,
    /// Which upgrade, if any.
    pub upgrade: Option<UpgradeId>,
    /// Which instance, if any.
    pub instance: Option<InstanceId>,
    /// Stable code of what happened.
    pub kind: Cow<'static, str>,
    /// One line for people.
    pub text: String,
}

/// One change of the durable state.
#[derive(Debug, Clone)]
pub enum Write {
    /// The upgrade without its members.
    Upgrade(Box<Upgrade>),
    /// One member of an upgrade.
    Member(UpgradeId, InstanceId, Member),
    /// A member that left the plan before its turn.
    MemberLeft(UpgradeId, InstanceId),
    /// The version that an instance has of a component.
    Version(ScaleSetName, InstanceId, Component, Option<Version>),
    /// An instance that was created or deleted.
    Membership(ScaleSetName, InstanceId, Membership),
    /// What a plugin asked to remember of an instance; none when it forgets.
    Memory(ScaleSetName, InstanceId, Option<StoredMemory>),
    /// What is wanted of a component in a scale set.
    Model(ScaleSetName, Component, StoredModel),
    /// Which component a plugin runs.
    Plugin(PluginName, StoredPlugin),
    /// A version that faulted, and why; none lifts the quarantine.
    Quarantine(ScaleSetName, Change, Option<String>),
    /// When a faulted upgrade is tried again; none drops the plan.
    Retry(ScaleSetName, Option<Retry>),
    /// A stopped line; none lets it go on.
    Line(Option<StoppedLine>),
    /// A line of the audit trail.
    Audit(AuditEntry),
}

/// Everything that a starting host needs to go on.
#[derive(Debug, Default)]
pub struct Stored {
    /// Rises with each start; tells a driver which host speaks.
    pub fence: Fence,
    /// Wanted versions.
    pub models: BTreeMap<(ScaleSetName, Component), StoredModel>,
    /// Versions that instances have; none where an effect failed half-way.
    pub versions: BTreeMap<(ScaleSetName, InstanceId, Component), Option<Version>>,
    /// Instances that were created or deleted.
    pub memberships: BTreeMap<(ScaleSetName, InstanceId), Membership>,
    /// What plugins asked to remember.
    pub memories: BTreeMap<(ScaleSetName, InstanceId), StoredMemory>,
    /// The latest upgrade of each scale set, with its members.
    pub upgrades: BTreeMap<ScaleSetName, Upgrade>,
    /// Versions that faulted and are not tried again unless somebody insists, with the reason.
    pub quarantined: BTreeMap<(ScaleSetName, Change), String>,
    /// Faulted upgrades that are tried again.
    pub retries: BTreeMap<ScaleSetName, Retry>,
    /// Whether the line is stopped.
    pub line: Option<StoppedLine>,
    /// Components in use.
    pub plugins: BTreeMap<PluginName, StoredPlugin>,
}
