//! Everything that a kernel may be told.

use std::time::Duration;

use crate::domain::{
    Address, Component, Decided, Digest, DriverNote, DriverWord, Fence, Generation, HookKind, InstanceId,
    NotAsked, OperationId, PluginName, ScaleSetName, Seen, Timestamp, Touched, UpgradeId,
};

use super::Turn;
use super::command::Request;
use crate::lifecycle;
use crate::record::Made;
use crate::record::audit::Wait;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// Probe rounds were judged. Each says when its probe began, and in which life of the instance.
    Judged(Vec<Decided>),
    /// A round was due in which nobody was asked: the host was short of something.
    NotAsked(NotAsked),
    /// The host itself stood still for so long: nobody was looked at, and nothing was decided.
    StoodStill(Duration),
    /// A driver has answered.
    Done(Done),
    /// A driver has answered to a creation.
    Created(Created),
    /// A driver has answered to a deletion.
    Deleted(Deleted),
    /// A hook is over.
    Hooked(Hooked),
    /// A hook says something and is not over.
    HookSays(HookSays),
    /// A driver has looked at an instance that the site keeps running.
    Observed(Observed),
    /// A driver was refused because a higher generation has been there.
    Superseded(Superseded),
    /// A driver reports something that no request was about.
    Note(DriverNote),
    /// A driver tells of something that it has in hand.
    DriverSays(DriverWord),
    /// An upgrade was seen to wait for something else than before.
    Waits(Box<Waits>),
    /// A plugin fails for most of its instances.
    PluginTrouble(PluginTrouble),
    /// Something happened to a plugin.
    Plugin(PluginName, lifecycle::Event),
    /// A person or a program wants something.
    Request(Request),
    /// What the turn before wanted recorded was refused, and nothing of it was done; the turn comes back.
    /// Always the first event of its turn.
    CommitRefused(Box<RefusedCommit>),
    /// The host is ending: what is only remembered is to be recorded now, and nothing is begun by itself any more.
    /// Comes with every turn from then on, which hands tell how their work has ended.
    Ending,
}

/// What an upgrade waits for, as it was seen in a published view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Which upgrade; one that has ended meanwhile waits for nothing.
    pub upgrade: UpgradeId,
    /// For what.
    pub on: Wait,
    /// The first instances that it is about.
    pub instances: Vec<InstanceId>,
    /// How many these are.
    pub count: usize,
    /// When it is over by itself.
    pub until: Option<Timestamp>,
    /// What the one that it waits for has said last.
    pub says: Option<String>,
}

/// A commit that was refused.
#[derive(Debug)]
pub struct RefusedCommit {
    /// What was to be recorded and done.
    pub turn: Turn,
    /// Why, one line.
    pub why: String,
    /// Whether it was recorded all the same.
    pub made: Made,
}

/// A driver's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What of it.
    pub component: Component,
    /// Which effect.
    pub operation: OperationId,
    /// How it went; one line for people when badly.
    pub answer: Result<(), String>,
    /// Whether anything was done to it; asked where it failed.
    pub touched: Touched,
    /// What the driver saw running afterwards; unknown where nobody can be asked, too.
    pub seen: Seen,
}

/// An operation that was refused because a higher generation has told the same instance something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What of it.
    pub component: Component,
    /// Which effect.
    pub operation: OperationId,
    /// The highest generation that has been there.
    pub seen: Fence,
}

/// The end of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooked {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Which.
    pub hook: HookKind,
    /// Round which instance; none where it was a batch.
    pub instance: Option<InstanceId>,
    /// Its identity.
    pub operation: OperationId,
    /// How it went; one line for people when badly.
    pub answer: Result<(), String>,
}

/// What a hook says that is not over, such as "not yet" and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSays {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Its identity.
    pub operation: OperationId,
    /// One line for people.
    pub text: String,
}

/// A driver's answer to a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The new instance.
    pub instance: InstanceId,
    /// Which effect.
    pub operation: OperationId,
    /// Where it is; one line for people when it failed.
    pub answer: Result<Address, String>,
    /// What the driver saw running there.
    pub seen: Seen,
}

/// A driver's answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// Which effect.
    pub operation: OperationId,
    /// How it went; one line for people when badly.
    pub answer: Result<(), String>,
}

/// What an instance was seen to run, outside of any effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What of it.
    pub component: Component,
    /// The life in which the question was asked.
    pub epoch: u64,
    /// The answer.
    pub seen: Seen,
}

/// A plugin that fails for most of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginTrouble {
    /// Which.
    pub plugin: PluginName,
    /// Its component.
    pub digest: Digest,
    /// Its generation.
    pub generation: Generation,
    /// For so many of them.
    pub failed: usize,
    /// Of so many.
    pub judged: usize,
    /// So many rounds in a row.
    pub rounds: u32,
    /// How, one line.
    pub cause: String,
}
