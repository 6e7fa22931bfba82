//! The control loop: the one owner of the state.
//!
//! Everything that happens reaches it as a [`ControlEvent`] through one bounded channel. It calls
//! the pure core, makes the result durable, and only then acts. It probes nothing, runs no guest
//! and serves no request itself.

mod audit;
mod boot;
mod commands;
mod effects;
mod lifecycle;
mod line;
mod memory;
mod reconfigure;
mod report;
mod retry;
mod run;
mod state;
mod surge;
mod tally;

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use crate::drivers::DriverNote;
use crate::plugins::PluginTrouble;
use phasegate_core::domain::{
    Address, Component, Decided, Digest, ExtensionName, InstanceId, OnFailure, OperationId, PluginName,
    ScaleSet, ScaleSetName, Version,
};
use phasegate_core::record::StoredPlugin;
use phasegate_core::rollout::Wish;
use phasegate_wire as wire;

pub(crate) use audit::{read_stamp, read_stand_in};
pub(crate) use report::{limits, rfc3339};
pub use run::{ControlParts, run};
pub use state::SetParts;
pub use tally::{SetTally, Tally};

/// Capacity of the channel to the loop. Senders wait when it is full, which slows probing down
/// rather than losing answers.
pub const EVENTS_MAX: usize = 16_384;

/// Something that the loop must know.
#[derive(Debug)]
pub enum ControlEvent {
    /// Probe rounds were judged.
    Decided(Vec<Decided>),
    /// A driver has answered.
    EffectDone(EffectDone),
    /// A driver has answered to a creation.
    Created(Created),
    /// A driver has answered to a deletion.
    Deleted(Deleted),
    /// A driver has looked at an instance of a set that the site keeps running.
    Observed(Observed),
    /// A plugin fails for most of its instances.
    PluginTrouble(PluginTrouble),
    /// A plugin went back to a former generation by itself: which, and why in one line.
    PluginWentBack(PluginName, String),
    /// A driver reports something that nobody asked for.
    Note(DriverNote),
    /// A person or a program wants something.
    Command(Command),
    /// The host is ending: no more effects.
    Shutdown,
}

/// A driver's answer.
#[derive(Debug, Clone)]
pub struct EffectDone {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What of it.
    pub component: Component,
    /// Which effect.
    pub operation: OperationId,
    /// How it went.
    pub result: Result<(), String>,
    /// What the driver says runs now.
    pub observed: Option<Version>,
}

/// A driver's answer to a creation.
#[derive(Debug, Clone)]
pub struct Created {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The new instance.
    pub instance: InstanceId,
    /// Which effect.
    pub operation: OperationId,
    /// Where it is.
    pub result: Result<Address, String>,
    /// What runs there.
    pub version: Option<Version>,
}

/// A driver's answer to a deletion.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// Which effect.
    pub operation: OperationId,
    /// How it went.
    pub result: Result<(), String>,
}

/// What an instance was seen to run, outside of any effect.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// The life in which the question was asked.
    pub epoch: u64,
    /// The answer; none when the driver cannot tell.
    pub version: Option<Version>,
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// A request to the loop.
#[derive(Debug)]
pub enum Command {
    /// Whether the loop still turns.
    Ping(Reply<()>),
    /// The whole fleet.
    Fleet(Reply<wire::Fleet>),
    /// All of it as counts.
    Tally(Reply<Tally>),
    /// What an upgrade would do now.
    Plan(ScaleSetName, Wanted, Reply<wire::PlanDetail>),
    /// Start one.
    Start(ScaleSetName, StartOptions, Reply<wire::StatusDetail>),
    /// How the latest one stands.
    Status(ScaleSetName, Reply<wire::StatusDetail>),
    /// Tell the running one something; a rollback also goes for an ended one.
    Wish(ScaleSetName, WishFor, Reply<wire::StatusDetail>),
    /// Whether the line is stopped.
    Line(Reply<wire::Line>),
    /// Stop the line with this reason, or let it go on.
    SetLine(Option<String>, Reply<wire::Line>),
    /// The audit trail, or what concerns one instance.
    Log(ScaleSetName, Option<InstanceId>, Reply<wire::Log>),
    /// Record which component a plugin is about to run.
    RecordPlugin(PluginName, StoredPlugin, Reply<()>),
    /// Go by a changed configuration from now on.
    Reconfigure(Reconfiguration, Reply<()>),
}

/// What a reload changes in the loop; all of it or nothing.
#[derive(Debug)]
pub struct Reconfiguration {
    /// Scale sets that changed, as they are from now on.
    pub sets: Vec<ScaleSet>,
    /// What becomes of an instance while its plugin fails.
    pub on_failure: BTreeMap<PluginName, OnFailure>,
    /// What is to be recorded of plugins that take over with them.
    pub plugins: Vec<(PluginName, StoredPlugin)>,
}

/// How an upgrade shall be started.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// What is wanted.
    pub wanted: Wanted,
    /// These instances now, without phases, batches and limits.
    pub manual: Option<Selection>,
    /// In spite of freeze windows and of a stopped line, because of this.
    pub bypass: Option<String>,
    /// Exactly the plan with this digest.
    pub plan: Option<Digest>,
    /// Whether a quarantined version may be tried again.
    pub quarantined: Quarantined,
}

/// What an upgrade shall bring; nothing named means the whole model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Version of the application.
    pub to: Option<Version>,
    /// Extensions; without a version that of the model.
    pub extensions: Vec<(ExtensionName, Option<Version>)>,
}

/// Instances that a person names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `*`
    All,
    /// By id.
    These(Vec<InstanceId>),
}

/// Something that a person tells an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WishFor {
    /// What.
    pub wish: Wish,
    /// Why; goes into the audit trail.
    pub reason: Option<String>,
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

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// Which kind.
    pub kind: CommandErrorKind,
    /// One line for people.
    pub message: String,
}

/// Kinds of refusals; the API turns them into status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandErrorKind {
    /// No such object.
    NotFound,
    /// Not in this state.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// What was handed in is not good enough.
    Refused,
    /// The host cannot do it now.
    Unavailable,
}

impl CommandError {
    pub(crate) fn new(kind: CommandErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The way to the loop, for everybody else. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlHandle {
    events: mpsc::Sender<ControlEvent>,
}

impl ControlHandle {
    /// A handle and the loop's end of the channel.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<ControlEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        (Self { events }, receiver)
    }

    /// Hands over an event; waits while the channel is full. After the loop has ended the event
    /// has no meaning any more and is dropped.
    pub async fn send(&self, event: ControlEvent) {
        let _ = self.events.send(event).await;
    }

    /// As [`Self::send`], from a thread that is not part of a runtime.
    pub fn send_blocking(&self, event: ControlEvent) {
        let _ = self.events.blocking_send(event);
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// What the loop answers, or Unavailable when it has ended.
    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(ControlEvent::Command(command(reply))).await;
        answer.await.unwrap_or_else(|_| {
            Err(CommandError::new(CommandErrorKind::Unavailable, "the host is shutting down"))
        })
    }
}
