//! What may happen, as values, and the stable code of each.

use serde::{Deserialize, Serialize};

use super::{
    Admission, HookEnd, Leaves, LineState, ProvisionNote, RetryNote, Several, Stall, StartWhy, Wait, Word,
    WordNote,
};
use crate::domain::{
    Change, Component, Digest, Direction, Generation, Goal, HookKind, InstanceId, Phase, PluginName,
    ProcessState, Runs, Timestamp, Urgency, Version,
};
use crate::plan::HoldReason;
use crate::rollout::{BatchState, UpgradeState, Wish};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum What {
    /// An upgrade starts.
    Start {
        /// What it is to bring.
        goal: Goal,
        /// Why.
        why: StartWhy,
        /// How urgent it is.
        #[serde(default, skip_serializing_if = "Urgency::is_routine")]
        urgency: Urgency,
    },
    /// It has a plan.
    Plan {
        /// Planned instances.
        instances: usize,
        /// Batches.
        batches: usize,
        /// The plan.
        digest: Digest,
    },
    /// An instance is part of the plan.
    Decision {
        /// Number of its batch, from 1.
        batch: usize,
        /// Its phase.
        phase: Option<Phase>,
        /// The plugin's reason; empty when there is none.
        detail: String,
    },
    /// An instance is let go, with its batch.
    Admitted(Admission),
    /// An instance that was asked again says something else.
    MindChanged {
        /// What now.
        now: Word,
        /// What before.
        was: Word,
    },
    /// An instance is left out.
    Hold {
        /// Why.
        reason: HoldReason,
    },
    /// An instance that is waited for comes no nearer.
    Stalls(Stall),
    /// An instance leaves a running upgrade.
    Leaves {
        /// Why.
        why: Leaves,
    },
    /// A driver is told to bring an instance to a version.
    Apply {
        /// Of what.
        component: Component,
        /// From there, as far as known.
        from: Option<Version>,
        /// To there.
        to: Version,
        /// Which attempt.
        attempt: u32,
    },
    /// A driver has answered for all parts of an instance.
    Applied {
        /// What it has.
        has: Vec<Change>,
        /// What failed.
        failed: Vec<Change>,
    },
    /// An instance came back healthy.
    Succeeded {
        /// With this.
        has: Vec<Change>,
    },
    /// An instance failed and gets its previous version back.
    Restore {
        /// Of what.
        component: Component,
        /// How it failed.
        reason: String,
        /// From there.
        from: Version,
        /// To there.
        to: Option<Version>,
        /// Which attempt.
        attempt: u32,
    },
    /// An instance failed.
    Failed {
        /// How.
        reason: String,
    },
    /// A driver is told to create an instance in the place of another.
    Create {
        /// The new one.
        by: InstanceId,
        /// Which attempt.
        attempt: u32,
    },
    /// A driver is told to bring a new instance to a version.
    ApplyBeside {
        /// The new one.
        by: InstanceId,
        /// Of what, to where.
        change: Change,
        /// Which attempt.
        attempt: u32,
    },
    /// A driver has answered for all parts of a new instance.
    AppliedBeside {
        /// The new one.
        by: InstanceId,
        /// What it has.
        has: Vec<Change>,
    },
    /// A new instance is healthy and waits for the others of its batch.
    Ready {
        /// The new one.
        by: InstanceId,
    },
    /// A new instance takes over, and the old one is deleted.
    Replace {
        /// The new one.
        by: InstanceId,
        /// Which attempt.
        attempt: u32,
    },
    /// A new instance failed and is deleted.
    Remove {
        /// The new one.
        by: InstanceId,
        /// How it failed.
        reason: String,
        /// Which attempt.
        attempt: u32,
    },
    /// A new instance has taken over.
    Replaced {
        /// The new one.
        by: InstanceId,
        /// With this.
        has: Vec<Change>,
    },
    /// A hook is to be run.
    Hook {
        /// Which.
        hook: HookKind,
        /// Whether something is brought, or brought back.
        direction: Direction,
        /// Of which batch, from 1; none where it is run round an instance.
        batch: Option<usize>,
    },
    /// A hook has not done well.
    HookEnded {
        /// Which.
        hook: HookKind,
        /// How it ended.
        end: HookEnd,
    },
    /// A batch has ended.
    Batch {
        /// Its number, from 1.
        number: usize,
        /// Its members.
        members: Vec<InstanceId>,
        /// How.
        state: BatchState,
    },
    /// An upgrade has ended.
    End {
        /// How.
        state: UpgradeState,
        /// Why, when a limit ended it.
        because: Option<String>,
    },
    /// One extension has ended for itself, and the rest goes on.
    ExtensionEnds {
        /// Which, and to which version it was to be brought.
        change: Change,
        /// Why.
        why: String,
    },
    /// The next try of an upgrade that faulted.
    Retry {
        /// What is said of it.
        note: RetryNote,
    },
    /// An upgrade was told something.
    Wish {
        /// What.
        wish: Wish,
    },
    /// An upgrade waits for something else than before.
    Waits {
        /// For what.
        on: Wait,
        /// The first instances that it is about.
        instances: Vec<InstanceId>,
        /// How many these are.
        count: usize,
        /// When it is over by itself.
        until: Option<Timestamp>,
        /// What the one that it waits for has said last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        says: Option<String>,
    },
    /// A person has said something about an instance, or that is over.
    Word {
        /// What.
        note: WordNote,
    },
    /// The line was stopped for all scale sets, or goes on.
    Line {
        /// Which of them.
        state: LineState,
    },
    /// The host doubts what it sees, or did not look for a while.
    SelfDoubt {
        /// Which of them.
        doubt: Doubt,
    },
    /// The host holds because of its record, or a person adopted it.
    Record {
        /// Which of them.
        state: HoldState,
    },
    /// An instance has something else than was recorded, and no upgrade did that.
    Seen {
        /// Of what.
        component: Component,
        /// What was recorded.
        was: Runs,
        /// What is there.
        now: Runs,
    },
    /// A version is in quarantine, or no longer.
    Quarantine {
        /// Which.
        change: Change,
        /// Which of them.
        state: QuarantineState,
    },
    /// The first deployment of an instance.
    Provision {
        /// What is said of it.
        note: ProvisionNote,
    },
    /// A process ended by itself, or a new one runs.
    Process {
        /// Which of them.
        state: ProcessState,
        /// The driver's line.
        text: String,
    },
    /// The configuration lists an instance that was deleted; it stays away.
    StaysDeleted {
        /// What is there in its place.
        replaced_by: Option<InstanceId>,
    },
    /// A plugin fails for most of its instances.
    PluginTrouble {
        /// Which.
        plugin: PluginName,
        /// Its component.
        digest: Digest,
        /// Its generation.
        generation: Generation,
        /// For so many of them.
        failed: usize,
        /// Of so many.
        judged: usize,
        /// So many rounds in a row.
        rounds: u32,
        /// How.
        cause: String,
    },
    /// A person or a program wanted something of a plugin.
    PluginAsked {
        /// Which.
        plugin: PluginName,
        /// What.
        wish: PluginWish,
    },
    /// The configuration was read again, and is gone by from now on.
    Reloaded {
        /// The parts of the scale set that say something else.
        changed: Vec<String>,
    },
    /// A scale set has other instances from now on.
    Members {
        /// Those that are new, or came back.
        added: Several,
        /// Those that nobody lists any more.
        removed: Several,
        /// Those that stand somewhere else, or of which something else is said.
        changed: Several,
    },
    /// A plugin went back to a former generation by itself.
    PluginReverted {
        /// Which.
        plugin: PluginName,
        /// To which and why.
        text: String,
    },
}

/// What may be wanted of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PluginWish {
    /// Another component.
    Swap {
        /// Where it comes from.
        source: String,
    },
    /// An earlier generation; none named is the latest that differs.
    Rollback {
        /// Which.
        to: Option<Generation>,
    },
    /// What judges beside the active component.
    Promote,
    /// Not what is loaded, or judges beside the active component.
    Discard,
}

/// Whether the host holds because of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldState {
    /// It touches nothing.
    Holds {
        /// What speaks against the record.
        why: String,
    },
    /// A person says that this is the record to go on with.
    Adopted {
        /// What spoke against it.
        was: String,
    },
}

/// Why what a host sees says nothing of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// Most of those that nothing has touched went silent within one interval.
    Began {
        /// So many are silent.
        silent: usize,
        /// Of so many that nothing has touched.
        of: usize,
    },
    /// Most of those of all sets did.
    BeganOverAll {
        /// So many are silent.
        silent: usize,
        /// Of so many that nothing has touched.
        of: usize,
    },
    /// They answer again, or a person says that the host is well.
    Ended,
    /// It stood still.
    StoodStill {
        /// For so many seconds.
        seconds: u64,
    },
}

/// Whether a version is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuarantineState {
    /// It faulted, and is not tried again by itself.
    Begins {
        /// How.
        why: String,
    },
    /// A person lets it be tried again.
    Lifted {
        /// How it had faulted.
        was: String,
    },
}

impl What {
    /// Stable code of what happened, as the trail has always shown it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Plan { .. } => "plan",
            Self::Decision { .. } | Self::MindChanged { .. } => "decision",
            Self::Admitted(_) => "admitted",
            Self::Hold { .. } | Self::Leaves { .. } => "hold",
            Self::Stalls(_) => "stalled",
            Self::Apply { .. } | Self::ApplyBeside { .. } => "apply",
            Self::Applied { .. } | Self::AppliedBeside { .. } => "applied",
            Self::Succeeded { .. } | Self::Replaced { .. } => "succeeded",
            Self::Restore { .. } => "restore",
            Self::Failed { .. } => "failed",
            Self::Create { .. } => "create",
            Self::Ready { .. } => "ready",
            Self::Replace { .. } => "replace",
            Self::Remove { .. } => "remove",
            Self::Hook { .. } | Self::HookEnded { .. } => "hook",
            Self::Batch { .. } => "batch",
            Self::End { .. } => "end",
            Self::ExtensionEnds { .. } => "extension",
            Self::Retry { .. } => "retry",
            Self::Wish { wish } => match wish {
                Wish::Cancel | Wish::CancelNow => "cancel",
                Wish::RollBack | Wish::RollBackOn => "rollback",
                Wish::Pause => "pause",
                Wish::Resume => "resume",
                Wish::Approve => "approve",
                Wish::Bypass => "bypass",
                Wish::Promote => "promote",
                Wish::Retry => "retry",
            },
            Self::Word { note } => match note {
                WordNote::Said { kind, .. } => kind.name(),
                WordNote::Released { .. } | WordNote::Over { .. } => "release",
            },
            Self::Waits { .. } => "waiting",
            Self::Line { .. } => "line",
            Self::SelfDoubt { .. } => "self-doubt",
            Self::Record { state: HoldState::Holds { .. } } => "held",
            Self::Record { state: HoldState::Adopted { .. } } => "adopted",
            Self::Seen { .. } => "seen",
            Self::Quarantine { .. } => "quarantine",
            Self::Provision { .. } => "provision",
            Self::Process { state: ProcessState::Exited, .. } => "exited",
            Self::Process { state: ProcessState::Restarted, .. } => "restarted",
            Self::StaysDeleted { .. } => "deleted",
            Self::PluginTrouble { .. } => "plugin-trouble",
            Self::PluginAsked { .. } => "plugin",
            Self::Reloaded { .. } => "reload",
            Self::Members { .. } => "members",
            Self::PluginReverted { .. } => "plugin-reverted",
        }
    }
}
