//! One change of the durable state, what a commit is, and what a start reads back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::audit::Entry;
use super::hold::Hold;
use super::stored::{
    OptOut, Registered, Retry, StoppedLine, StoredMemory, StoredModel, StoredPlugin, StoredRequest,
};
use crate::domain::{
    Change, Component, ExtensionType, Fence, Instance, InstanceId, Membership, PersonsWord, PluginName,
    Provision, RequestKey, Runs, ScaleSetName, Subscription, Timestamp, UpgradeId, WallTime,
};
use crate::release::{Part, Published, Release};
use crate::rollout::{BatchProgress, LeftOut, Member, Upgrade};

/// An instance that a source has found, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundInstance {
    /// As it was found last.
    #[serde(flatten)]
    pub instance: Instance,
    /// Whether its source still names it.
    #[serde(default, skip_serializing_if = "StillNamed::is_yes")]
    pub named: StillNamed,
}

/// Whether a source still names an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StillNamed {
    /// It does.
    #[default]
    Yes,
    /// It does not: the instance stays until it is named again, or a person lets it go.
    Held,
}

impl StillNamed {
    /// Whether it does.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// One change of the durable state. Applied twice it gives what it gives once, and none names a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Write {
    /// The head of an upgrade: all but batches, members and those left out.
    Upgrade(Box<Upgrade>),
    /// An upgrade that never began: it was refused after it may have been recorded.
    UpgradeGone(UpgradeId),
    /// Numbers of an upgrade's batches, in order.
    Order(UpgradeId, Vec<u32>),
    /// One batch of an upgrade by its number; none when it is no longer in the order.
    Batch(UpgradeId, u32, Option<Box<BatchProgress>>),
    /// Instances that an upgrade leaves out.
    LeftOut(UpgradeId, Box<LeftOut>),
    /// One member of an upgrade.
    Member(UpgradeId, InstanceId, Box<Member>),
    /// A member that left the plan before its turn.
    MemberLeft(UpgradeId, InstanceId),
    /// What an instance has of a component.
    Runs(ScaleSetName, InstanceId, Component, Runs),
    /// An instance that was created or deleted; none when it was never to be.
    Membership(ScaleSetName, InstanceId, Option<Box<Membership>>),
    /// Everything of an instance that nobody has listed for long enough: its row, what it had, what was said of it and
    /// what a plugin asked to remember.
    Forgotten(ScaleSetName, InstanceId),
    /// An instance that a source has found, as it was found last; none when it names it no longer.
    Discovered(ScaleSetName, InstanceId, Option<Box<FoundInstance>>),
    /// What a plugin asked to remember of an instance; none when it forgets.
    Memory(ScaleSetName, InstanceId, Option<StoredMemory>),
    /// What is wanted of a component in a scale set.
    Model(ScaleSetName, Component, StoredModel),
    /// Which component a plugin runs.
    Plugin(PluginName, Box<StoredPlugin>),
    /// A version that faulted, and why; none lifts the quarantine.
    Quarantine(ScaleSetName, Change, Option<String>),
    /// When a faulted upgrade is tried again; none drops the plan.
    Retry(ScaleSetName, Option<Retry>),
    /// The first deployment of an instance; none when all of it is there.
    Provision(ScaleSetName, InstanceId, Option<Box<Provision>>),
    /// What a person has said about an instance; none when it is over.
    Word(ScaleSetName, InstanceId, Option<PersonsWord>),
    /// A stopped line; none lets it go on.
    Line(Option<StoppedLine>),
    /// A request that was granted; none when it is too old to be asked for again.
    Request(RequestKey, Option<StoredRequest>),
    /// What speaks against the record; none adopts it, so that whatever keeps it writes down that it is the one
    /// that lies where it lies.
    Hold(Option<Hold>),
    /// The generation of the host that writes, when it has risen while it runs.
    Fence(Fence),
    /// What was published of a type; none when nothing is.
    Published(ExtensionType, Option<Box<Published>>),
    /// A release without its sets; none when it never began or is too old to be told of.
    Release(u64, Option<Box<Release>>),
    /// One set of a release; none when it is no part of it.
    ReleaseSet(u64, ScaleSetName, Option<Box<Part>>),
    /// A person keeps a type in a set as it is; none takes that back.
    OptOut(ScaleSetName, ExtensionType, Option<OptOut>),
    /// A subscription has registered the feature; none takes that back.
    Feature(Subscription, Option<Registered>),
    /// A line of the audit trail.
    Audit(Box<Entry>),
    /// The trail ends with this line: what may have been recorded behind it never happened.
    TrailEnds(u64),
}

/// Where the fleet's own time stood on the boot clock, so that a host that starts goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// Which boot of the machine.
    pub boot: String,
    /// Milliseconds since that boot.
    pub since_boot: i64,
    /// The fleet's own time at that moment.
    pub at: Timestamp,
    /// The date at that moment; none of a record from before this was kept. Over a boot of the machine only the date
    /// goes on, and the fleet's own time may be apart from it since somebody set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<WallTime>,
}

/// What is made durable together, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// Format of the writes.
    pub version: u32,
    /// Rises with each commit of a record. One that was applied before changes nothing.
    pub seq: u64,
    /// When.
    pub anchor: Anchor,
    /// In order; a later one wins.
    pub writes: Vec<Write>,
}

impl Commit {
    /// Format of the writes of this program.
    pub const VERSION: u32 = 1;
}

/// Everything that a starting host needs to go on.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Stored {
    /// Rises with each start; tells a driver which host speaks.
    pub fence: Fence,
    /// What speaks against the record: until a person adopts it nothing is done.
    pub hold: Option<Hold>,
    /// The latest commit.
    pub seq: u64,
    /// The latest line of the trail.
    pub audit_seq: u64,
    /// Highest number of an upgrade.
    pub upgrade_number: u64,
    /// Where the fleet's own time stood; none in a new record.
    pub anchor: Option<Anchor>,
    /// Wanted versions.
    pub models: BTreeMap<(ScaleSetName, Component), StoredModel>,
    /// What instances have.
    pub versions: BTreeMap<(ScaleSetName, InstanceId, Component), Runs>,
    /// Instances that were created or deleted.
    pub memberships: BTreeMap<(ScaleSetName, InstanceId), Membership>,
    /// Instances that sources have found, as they were found last.
    pub discovered: BTreeMap<(ScaleSetName, InstanceId), Arc<FoundInstance>>,
    /// What plugins asked to remember.
    pub memories: BTreeMap<(ScaleSetName, InstanceId), StoredMemory>,
    /// The latest upgrade of each scale set, with its members.
    pub upgrades: BTreeMap<ScaleSetName, Upgrade>,
    /// The latest upgrade of each scale set that did anything, where the latest of all did not.
    pub touched: BTreeMap<ScaleSetName, Upgrade>,
    /// Versions that faulted and are not tried again unless a person insists, with the reason.
    pub quarantined: BTreeMap<(ScaleSetName, Change), String>,
    /// Faulted upgrades that are tried again.
    pub retries: BTreeMap<ScaleSetName, Retry>,
    /// What persons have said about single instances.
    pub words: BTreeMap<(ScaleSetName, InstanceId), PersonsWord>,
    /// First deployments that go on, or of which something has failed.
    pub provisions: BTreeMap<(ScaleSetName, InstanceId), Provision>,
    /// Whether the line is stopped.
    pub line: Option<StoppedLine>,
    /// Components in use.
    pub plugins: BTreeMap<PluginName, StoredPlugin>,
    /// What was published.
    pub published: BTreeMap<ExtensionType, Published>,
    /// Releases by number, with their sets.
    pub releases: BTreeMap<u64, Release>,
    /// What persons keep as it is.
    pub opted_out: BTreeMap<(ScaleSetName, ExtensionType), OptOut>,
    /// Subscriptions that have registered the feature.
    pub registered: BTreeMap<Subscription, Registered>,
    /// Requests that were granted, by their keys.
    pub requests: BTreeMap<RequestKey, StoredRequest>,
}
