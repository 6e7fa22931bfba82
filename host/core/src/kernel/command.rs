//! Everything that a person or a program may ask a kernel for, and what it answers: plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use super::release::ReleaseRules;
use crate::domain::{
    Actor, By, Change, Digest, DriverTraits, ExtensionName, ExtensionType, Instance, InstanceId, OnFailure,
    PluginName, ReleaseId, ReleaseVersion, RequestId, RequestKey, ScaleSet, ScaleSetName, Subscription,
    Timestamp, UpgradeId, Urgency, Version, WordKind,
};
use crate::lifecycle;
use crate::record::{StoppedLine, StoredReload};
use crate::rollout::{Extent, Upgrade, Wish};

/// A command, and who gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// By which the reply is found.
    pub id: RequestId,
    /// Who asks.
    pub actor: Actor,
    /// Why, one line.
    pub reason: Option<String>,
    /// Under which key; the same request is granted once.
    pub key: Option<RequestKey>,
    /// What is wanted.
    pub command: Command,
}

impl Request {
    /// What the trail says of it.
    pub(super) fn by(&self) -> By {
        By { actor: self.actor.clone(), reason: self.reason.clone(), request: self.key.clone() }
    }
}

/// What may be asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Whether the loop still turns.
    Ping,
    /// Start an upgrade.
    Start(ScaleSetName, StartOptions),
    /// Tell the running upgrade something; a rollback also goes for an ended one.
    Wish(ScaleSetName, Wish),
    /// Let a version that faulted be tried again.
    LiftQuarantine(ScaleSetName, Change),
    /// Bring instances to what a former upgrade of the set had brought, which is handed in as it is kept; what runs is
    /// stopped at once.
    RollBackTo(ScaleSetName, Box<Upgrade>),
    /// Say something about an instance, for the request's reason, for a time or until it is taken back.
    Word(ScaleSetName, InstanceId, WordKind, Option<Duration>),
    /// Take back what was said about an instance.
    Release(ScaleSetName, InstanceId),
    /// Something is wanted of the catalogue, or of a release.
    Releases(Box<ReleaseCommand>),
    /// Stop the line for the request's reason.
    StopLine,
    /// Let the line go on.
    StartLine,
    /// Go on with this record, whatever speaks against it.
    Adopt,
    /// Something is wanted of a plugin. It is answered when it has come to its end.
    Plugin(PluginName, Box<lifecycle::Command>),
    /// Go by a changed configuration from now on.
    Reconfigure(Reconfiguration),
    /// Go by what a source of instances says now.
    Discovered(ScaleSetName, Box<Discovered>),
    /// Say what a reload under this request's key has changed, if one was granted; it changes nothing. A
    /// reload begins with it: what it prepares would be in vain.
    Recall,
}

/// What a source of instances says that it did not say before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovered {
    /// Those that are new, or of which something is another.
    pub found: Vec<Arc<Instance>>,
    /// Those that it names no longer.
    pub gone: Vec<InstanceId>,
    /// All that it does not name either, and that stay until they are named again or a person lets them go.
    pub held: BTreeSet<InstanceId>,
}

/// What may be wanted of the catalogue, and of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseCommand {
    /// Take a version into the catalogue.
    Publish {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// Of its bytes, where the publisher gives one.
        digest: Option<Digest>,
        /// Whether a release of it begins at once, where sets are enrolled.
        begins: Begins,
    },
    /// Nobody gets a version any more.
    Withdraw {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// What becomes of those that have it.
        then: ThenBack,
    },
    /// Start a release.
    Start {
        /// Of what.
        subject: ExtensionType,
        /// Which.
        version: ReleaseVersion,
        /// Exactly the plan with this digest.
        plan: Option<Digest>,
        /// Whether a quarantined version may be tried again.
        quarantined: Quarantined,
    },
    /// Tell a release something.
    Wish(ReleaseId, ReleaseWish),
    /// Keep a type in a set as it is, or let releases move it again.
    Enrol(ScaleSetName, ExtensionType, Enrol),
    /// Register the feature for a subscription, or take that back.
    Feature(Subscription, Enrol),
}

/// Whether a release begins at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// It does, where sets are enrolled.
    ByItself,
    /// A person starts it.
    WhenStarted,
}

/// What becomes of instances that have a version which nobody is to get any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThenBack {
    /// They keep it.
    Stay,
    /// They go back.
    GoBack,
}

/// In or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrol {
    /// In.
    In,
    /// Out.
    Out,
}

/// What may be wanted of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseWish {
    /// Begin nothing more for now.
    Pause,
    /// Go on, also past the sets that failed.
    Resume,
    /// Let a region phase begin, whatever the ones before have shown; from 0.
    Approve(usize),
    /// End after the batches in flight.
    Stop,
    /// End, and take everything back.
    RollBack,
}

/// How an upgrade is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// What is wanted.
    pub wanted: Wanted,
    /// These instances now, without phases, batches and limits.
    pub manual: Option<Selection>,
    /// Whether stops hold it.
    pub stops: Stops,
    /// Exactly the plan with this digest.
    pub plan: Option<Digest>,
    /// Whether a quarantined version may be tried again.
    pub quarantined: Quarantined,
    /// What of the instances it is about.
    pub extent: Extent,
    /// The date before which it does not begin.
    pub not_before: Option<Timestamp>,
}

/// What an upgrade is to bring, and how urgent that is; nothing named means the whole model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Version of the application.
    pub to: Option<Version>,
    /// Extensions; without a version that of the model.
    pub extensions: Vec<(ExtensionName, Option<Version>)>,
    /// What of the policy's waiting is left.
    pub urgency: Urgency,
}

/// Instances that a person names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `*`
    All,
    /// By id.
    These(Vec<InstanceId>),
}

/// What a start does about freeze windows and a stopped line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stops {
    /// They hold it.
    #[default]
    Hold,
    /// It goes on in spite of them, for the request's reason.
    Bypassed,
}

/// What a start does about a version that faulted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quarantined {
    /// Refuse it.
    #[default]
    Refuse,
    /// Try it again.
    Allow,
}

/// What of a file is no business of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rest {
    /// It says the same as before.
    #[default]
    Same,
    /// It says something else.
    Other,
}

/// What a reload changes; all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconfiguration {
    /// Scale sets that changed, as they are from now on.
    pub sets: Vec<ScaleSet>,
    /// Sets that another driver drives from now on, and what it is.
    pub drivers: BTreeMap<ScaleSetName, DriverTraits>,
    /// What becomes of an instance while its plugin fails.
    pub on_failure: BTreeMap<PluginName, OnFailure>,
    /// Plugins that take up what was prepared, and under which request.
    pub plugins: Vec<(PluginName, RequestId)>,
    /// Whether anything else of the file is another one.
    pub rest: Rest,
    /// What releases go by from now on, where that is another one.
    pub releases: Option<Box<ReleaseRules>>,
    /// What of each scale set is another one, as the configuration calls it; remembered for a repeat.
    pub changed: BTreeMap<ScaleSetName, Vec<String>>,
}

impl Reconfiguration {
    /// Whether the file says what it has said before; of plugins only their taking up tells.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.changed.is_empty() && self.rest == Rest::Same
    }
}

/// What was granted.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The loop turns.
    Pong,
    /// An upgrade was started, or told something: the latest one of the set.
    Upgrade {
        /// The scale set.
        scale_set: ScaleSetName,
        /// The upgrade.
        id: UpgradeId,
    },
    /// How the line is from now on.
    Line(Option<StoppedLine>),
    /// It is recorded and in force.
    Recorded,
    /// A changed configuration is in force; what became of each plugin of it.
    Reconfigured(Vec<(PluginName, Box<lifecycle::TakenUp>)>),
    /// What was changed by the reload that was granted under this key; none when none was.
    Recalled(Option<StoredReload>),
    /// What a plugin was wanted to do is done.
    Plugin(lifecycle::Reply),
}

/// What became of a request.
pub type Answer = Result<Reply, Refusal>;
