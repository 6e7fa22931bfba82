//! Why a request was not granted. Each message is a whole sentence and says what to do next.

mod release;

use crate::domain::{
    Digest, ExtensionName, Goal, InstanceId, PluginName, RequestKey, ScaleSetName, TEXT_BYTES_MAX, Timestamp,
    UpgradeId,
};
use crate::lifecycle;
use crate::rollout::WishRefusal;
pub use release::ReleaseRefusal;

/// Kinds of refusals; a door turns them into status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

/// Why a request was not granted. Nothing was changed by it, except where it says that this is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No scale set has this name.
    #[error("there is no scale set `{name}`; the configuration has: {}", listed(known))]
    NoScaleSet {
        /// The name.
        name: ScaleSetName,
        /// All that there are.
        known: Vec<ScaleSetName>,
    },
    /// Another upgrade of the set runs.
    #[error(
        "upgrade `{id}` of scale set `{scale_set}` to {goal} is still running; wait for it or cancel it first"
    )]
    StillRunning {
        /// The set.
        scale_set: ScaleSetName,
        /// What runs.
        id: UpgradeId,
        /// To where.
        goal: Goal,
    },
    /// It could not be recorded, so it was not done.
    #[error("nothing was done: it cannot be recorded: {why}")]
    NotRecorded {
        /// The record's word.
        why: String,
    },
    /// The catalogue says that nobody gets the version.
    #[error("{change} is not for scale set `{scale_set}`: {reason}; start it all the same with --force")]
    Unreleased {
        /// Of what.
        scale_set: ScaleSetName,
        /// What.
        change: String,
        /// Why.
        reason: String,
    },
    /// The version is not in quarantine.
    #[error("{change} is not in quarantine for scale set `{scale_set}`; in quarantine: {}", listed(known))]
    NotQuarantined {
        /// The set.
        scale_set: ScaleSetName,
        /// What was named.
        change: String,
        /// What is.
        known: Vec<String>,
    },
    /// The version faulted before.
    #[error(
        "{change} is in quarantine for scale set `{scale_set}`: {reason}; try it again with --force, or let it out with `phasegate quarantine lift`"
    )]
    Quarantined {
        /// The set.
        scale_set: ScaleSetName,
        /// What of the goal.
        change: String,
        /// How it faulted.
        reason: String,
    },
    /// The first instance has nothing to go back to.
    #[error(
        "scale set `{scale_set}` wants a round trip (canary.roundTrip), and `{instance}` cannot go up and back: {why}; set roundTrip = false for this upgrade, or bring this instance up by name first"
    )]
    RoundTrip {
        /// The set.
        scale_set: ScaleSetName,
        /// The instance that would make it.
        instance: InstanceId,
        /// Why it cannot.
        why: String,
    },
    /// The driver cannot create instances.
    #[error("scale set `{0}` wants maxSurge, and its driver cannot create")]
    CannotCreate(ScaleSetName),
    /// The name of the set is too long for an id of an upgrade.
    #[error("the id `{id}` of the upgrade {why}")]
    UpgradeId {
        /// The id.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// The plan is another one than the one that was shown.
    #[error(
        "the fleet has changed since plan {wanted} was shown, and nothing was started: this host has not shown \
         it; {planned} instances would be upgraded in {batches} batches and {held} left alone; the plan is \
         now {now}"
    )]
    PlanChanged {
        /// Digest of the one that was shown.
        wanted: Digest,
        /// Digest of the one of now.
        now: Digest,
        /// How many instances it would upgrade now.
        planned: usize,
        /// In so many batches.
        batches: usize,
        /// How many it would leave alone.
        held: usize,
    },
    /// The model has no such extension.
    #[error(
        "scale set `{scale_set}` has no extension `{name}`; extensions of its model: {}",
        if known.is_empty() { "none".to_owned() } else { listed(known) }
    )]
    NoExtension {
        /// The set.
        scale_set: ScaleSetName,
        /// The extension.
        name: ExtensionName,
        /// All that there are.
        known: Vec<String>,
    },
    /// An extension is named twice.
    #[error("extension `{0}` is named twice; name it once")]
    ExtensionTwice(ExtensionName),
    /// No instance is named.
    #[error("no instance is named; name them, or `*` for all")]
    NoInstanceNamed,
    /// There are no such instances.
    #[error(
        "scale set `{scale_set}` has no instance {}; it has: {}{}",
        listed(unknown),
        listed(known),
        if *more == 0 { String::new() } else { format!(" and {more} more") }
    )]
    NoInstances {
        /// The set.
        scale_set: ScaleSetName,
        /// Those that were named.
        unknown: Vec<InstanceId>,
        /// Some of those that there are.
        known: Vec<InstanceId>,
        /// How many more there are.
        more: usize,
    },
    /// A named instance is protected.
    #[error(
        "instance `{instance}` of scale set `{scale_set}` is protected (protectFromScaleSetActions); take the \
         protection away or leave it out"
    )]
    Protected {
        /// The set.
        scale_set: ScaleSetName,
        /// The instance.
        instance: InstanceId,
    },
    /// Nobody has said anything about the instance.
    #[error("nobody has said anything about instance `{instance}` of scale set `{scale_set}`")]
    NoWord {
        /// The set.
        scale_set: ScaleSetName,
        /// The instance.
        instance: InstanceId,
    },
    /// A person holds a named instance or leaves it out.
    #[error(
        "instance `{instance}` of scale set `{scale_set}` is {word}; take that back with `phasegate instance release \
         {scale_set} {instance}`, or leave it out"
    )]
    HeldByPerson {
        /// The set.
        scale_set: ScaleSetName,
        /// The instance.
        instance: InstanceId,
        /// Who said what.
        word: String,
    },
    /// An ended upgrade has left nothing to start again with.
    #[error("upgrade `{0}` has left nothing: every instance has what it was to bring")]
    NothingToRetry(UpgradeId),
    /// A start was asked for at a time that is over.
    #[error("a start at {at} lies in the past: it is {now}; leave the time out to start at once")]
    StartInThePast {
        /// When.
        at: Timestamp,
        /// What time it is.
        now: Timestamp,
    },
    /// There is nothing to cancel; Azure's words.
    #[error("There is no ongoing Rolling Upgrade to cancel.")]
    NothingToCancel,
    /// No upgrade of the set runs.
    #[error("scale set `{0}` has no running upgrade")]
    NoRunningUpgrade(ScaleSetName),
    /// The wish makes no sense now.
    #[error("scale set `{scale_set}`: {why}")]
    Wish {
        /// The set.
        scale_set: ScaleSetName,
        /// Why.
        why: WishRefusal,
    },
    /// What was to be rolled back was a rollback.
    #[error(
        "upgrade `{0}` was a rollback itself; go on with what it has left with `--continue`, go back further with `--to ID`, or \
         start an upgrade"
    )]
    WasRollback(UpgradeId),
    /// There is no way back to what it had brought.
    #[error(
        "there is no way back to `{0}`: it is no upgrade of this scale set that completed; `phasegate upgrade list` has \
         those"
    )]
    NotCompleted(UpgradeId),
    /// Everybody has what it had brought.
    #[error("every instance that upgrade `{0}` had brought something to has it")]
    AlreadyBack(UpgradeId),
    /// A rollback has nothing left to bring back.
    #[error("rollback `{0}` has left nothing that could be brought back")]
    NothingToContinue(UpgradeId),
    /// The upgrade left nothing behind.
    #[error(
        "upgrade `{0}` left nothing that could be rolled back; the ones before it are taken back with `--to ID`"
    )]
    NothingToRollBack(UpgradeId),
    /// A reason is missing or no line.
    #[error("the reason must be one line of 1 to {TEXT_BYTES_MAX} bytes")]
    Reason,
    /// The record may not be the one that the fleet was run by last.
    #[error(
        "nothing was done: the host holds: {why}; see that no other host runs this fleet, then let this one go on \
         with `phasegate data adopt`"
    )]
    Holding {
        /// What speaks against the record.
        why: String,
    },
    /// Nothing speaks against the record.
    #[error("the host does not hold: nothing speaks against its record")]
    NotHolding,
    /// The line is not stopped.
    #[error("the line is not stopped")]
    LineNotStopped,
    /// The key was used for another request.
    #[error("request key `{}` was used for another request; give this one a key of its own", key.as_str())]
    KeyTaken {
        /// The key.
        key: RequestKey,
        /// What was asked for under it.
        asked: String,
    },
    /// No plugin has this name.
    #[error("there is no plugin `{name}`; the configuration has: {}", listed(known))]
    NoPlugin {
        /// The name.
        name: PluginName,
        /// All that there are.
        known: Vec<PluginName>,
    },
    /// The catalogue or a release does not grant it.
    #[error("{0}")]
    Release(Box<ReleaseRefusal>),
    /// The plugin's life does not grant it.
    #[error("{0}")]
    Plugin(Box<lifecycle::Refusal>),
    /// The host ends.
    #[error("the host is shutting down")]
    Ending,
    /// Another host writes the record.
    #[error("another host has taken over; ask that one")]
    Deposed,
    /// The record has not said whether it took it, and the request waits no longer.
    #[error(
        "it is not known whether this was done: {why}; ask again under the same Idempotency-Key, which does \
         nothing twice, or look at what runs"
    )]
    NotKnown {
        /// What was waited for, and how it ended.
        why: String,
    },
}

impl Refusal {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoScaleSet { .. } | Self::NoInstances { .. } | Self::NoPlugin { .. } => Kind::NotFound,
            Self::Release(refusal) => refusal.kind(),
            Self::Plugin(refusal) => match refusal.kind() {
                lifecycle::RefusalKind::NotFound => Kind::NotFound,
                lifecycle::RefusalKind::Refused => Kind::Refused,
                lifecycle::RefusalKind::Conflict => Kind::Conflict,
                lifecycle::RefusalKind::Unavailable => Kind::Unavailable,
            },
            Self::StillRunning { .. }
            | Self::RoundTrip { .. }
            | Self::Quarantined { .. }
            | Self::Unreleased { .. }
            | Self::NotQuarantined { .. }
            | Self::PlanChanged { .. }
            | Self::Protected { .. }
            | Self::NoWord { .. }
            | Self::HeldByPerson { .. }
            | Self::NothingToRetry(_)
            | Self::NothingToCancel
            | Self::NoRunningUpgrade(_)
            | Self::Wish { .. }
            | Self::WasRollback(_)
            | Self::NothingToRollBack(_)
            | Self::NothingToContinue(_)
            | Self::NotCompleted(_)
            | Self::AlreadyBack(_)
            | Self::Holding { .. }
            | Self::NotHolding
            | Self::LineNotStopped
            | Self::KeyTaken { .. } => Kind::Conflict,
            Self::CannotCreate(_)
            | Self::UpgradeId { .. }
            | Self::NoExtension { .. }
            | Self::ExtensionTwice(_)
            | Self::NoInstanceNamed
            | Self::StartInThePast { .. }
            | Self::Reason => Kind::Invalid,
            Self::NotRecorded { .. } | Self::Ending | Self::Deposed | Self::NotKnown { .. } => {
                Kind::Unavailable
            }
        }
    }
}

fn listed<T: ToString>(all: &[T]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
