//! Everything that a kernel may want done. Each is plain data and is done after its turn was recorded.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Address, Component, Direction, Fence, Goal, HealthSettings, HookKind, Instance, InstanceFacts,
    InstanceId, Located, OperationId, PluginName, ScaleSet, ScaleSetName, Timestamp, UpgradeId, Version,
};
use crate::lifecycle;

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A driver is to bring an instance to a version.
    Ensure(Box<Ensure>),
    /// A driver is to say what an instance runs.
    Observe(Box<Observe>),
    /// A driver is to create an instance.
    Create(Box<Create>),
    /// A driver is to delete an instance.
    Delete(Box<Delete>),
    /// Nobody lists an instance any more: its driver ends what the host keeps running of it, and answers as to a
    /// deletion. What the site keeps running goes on.
    Dismiss(Box<Delete>),
    /// The driver of a set that has been made ready takes over; what the one before has in hand it finishes.
    Drive(ScaleSetName),
    /// A hook is to be run.
    Hook(Box<HookCall>),
    /// A driver is to end what it has in hand under an operation; it answers to that operation all the same.
    End(ScaleSetName, OperationId),
    /// An instance is to be probed so from now on.
    Probe(Announced),
    /// An instance is gone: it is probed no longer, and what plugins remember of it is dropped.
    Forget(ScaleSetName, InstanceId),
    /// An instance is back: the plugin of its set gets what it had asked to remember of it.
    Remember(ScaleSetName, InstanceId, Arc<[u8]>),
    /// Instances are to be asked out of turn.
    Ask(Ask),
    /// The decisions that an upgrade has gone by are to be kept.
    Keep(Vec<Used>),
    /// The hands of a plugin have something to do.
    Plugin(PluginName, Vec<lifecycle::Effect>),
}

/// A request that one instance is to run one version. Idempotent: a repeat of the same operation that was done is
/// done at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensure {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance, with address and labels.
    pub instance: Instance,
    /// What of it.
    pub component: Component,
    /// The version that it is to have.
    pub version: Version,
    /// The version that it had before as far as the host knows.
    pub previous: Option<Version>,
    /// Whether it is done also where it seems to be there.
    pub again: Again,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower one than seen before is refused.
    pub fence: Fence,
}

/// Whether a driver does once more what it has done before under another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// What is there stays as it is.
    No,
    /// A person wants it done again for what is there: what runs is exchanged for one of the same version.
    Yes,
}

/// A hook to be run. A repeat of the same operation is the same hook, which may be run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Which.
    pub hook: HookKind,
    /// Whether something is brought, or brought back.
    pub direction: Direction,
    /// Round what.
    pub round: HookRound,
    /// What the upgrade is to bring.
    pub goal: Goal,
    /// Identity of the hook.
    pub operation: OperationId,
    /// Which host speaks.
    pub fence: Fence,
}

impl HookCall {
    /// The instance round which it is run; none where it is a batch.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        match &self.round {
            HookRound::Instance { instance, .. } => Some(&instance.id),
            HookRound::Batch { .. } => None,
        }
    }
}

/// What a hook is run round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookRound {
    /// An instance.
    Instance {
        /// Which; one that is yet to be created is where the one is whose place it takes.
        instance: Box<Instance>,
        /// Whether its address is its own.
        located: Located,
        /// The version that is brought.
        version: Option<Version>,
    },
    /// A batch.
    Batch {
        /// Its number, from 1.
        number: usize,
        /// Its members.
        instances: Vec<InstanceId>,
    },
}

/// A question what an instance runs; begins no new life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observe {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: Arc<Instance>,
    /// What of it.
    pub component: Component,
    /// What is recorded: an answer that says otherwise has to be repeated before it counts.
    pub expected: Option<Version>,
    /// The life in which it is asked.
    pub epoch: u64,
}

/// A request that an instance comes into being that runs a version. Idempotent: a repeat of the same
/// operation gives the same instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The new instance; its address is still that of the one whose place it takes.
    pub instance: Instance,
    /// Whose place it takes.
    pub replaces: InstanceId,
    /// The version that it is to have.
    pub version: Version,
    /// Where other instances are, those of all sets.
    pub taken: Vec<Address>,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower one than seen before is refused.
    pub fence: Fence,
}

/// A request that an instance goes for good. Idempotent: what is not there is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: Instance,
    /// Whether its address is its own: the driver may never have said where it is.
    pub located: Located,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower one than seen before is refused.
    pub fence: Fence,
}

/// One instance to be probed, and what the host knows of it. Shares everything: a start tells the prober of a
/// whole fleet at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its scale set.
    pub(super) set: Arc<ScaleSet>,
    /// The instance.
    pub(super) instance: Arc<Instance>,
    /// The version that it runs, where there is one and it is known.
    pub(super) version: Option<Version>,
    /// The version that the model wants.
    pub(super) wanted: Option<Version>,
    /// Which life of the instance this is; see [`crate::domain::Round::epoch`].
    pub epoch: u64,
}

impl Announced {
    /// The scale set and the instance.
    #[must_use]
    pub fn name(&self) -> (&ScaleSetName, &InstanceId) {
        (&self.set.name, &self.instance.id)
    }

    /// As the prober wants it.
    #[must_use]
    pub fn target(&self) -> Target {
        let versions = (self.version.clone(), self.wanted.clone());
        let facts = InstanceFacts::of(&self.instance, &self.set.name, versions);
        Target {
            plugin: self.set.plugin.clone(),
            facts: Arc::new(facts),
            address: self.instance.address.clone(),
            settings: Arc::new(self.set.health.clone()),
            epoch: self.epoch,
        }
    }
}

/// One instance to be probed, with all that a probe needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which plugin judges it.
    pub plugin: PluginName,
    /// What the plugin is told about it; scale set and id in it name the target.
    pub facts: Arc<InstanceFacts>,
    /// Where it listens; the port of `settings` goes before the one in here.
    pub address: Address,
    /// How it is asked.
    pub settings: Arc<HealthSettings>,
    /// Which life of the instance this is; see [`crate::domain::Round::epoch`].
    pub epoch: u64,
}

impl Target {
    /// Where the probe connects.
    #[must_use]
    pub fn endpoint(&self) -> Address {
        Address { host: self.address.host.clone(), port: self.settings.port.unwrap_or(self.address.port) }
    }
}

/// Instances to be asked out of turn: each once its running probe has ended, and nobody else sooner or later for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// Which.
    pub instances: Vec<InstanceId>,
    /// So long from now, unless their turn comes before.
    pub after: Duration,
}

/// A decision that an upgrade has gone by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The upgrade.
    pub upgrade: UpgradeId,
    /// The instance.
    pub instance: InstanceId,
    /// When the plugin was asked.
    pub at: Timestamp,
}

impl Effect {
    /// The instance whose application a driver is told to change.
    #[must_use]
    pub(super) fn of_application(&self) -> Option<(&ScaleSetName, &InstanceId)> {
        match self {
            Self::Ensure(ensure) if ensure.component == Component::Application => {
                Some((&ensure.scale_set, &ensure.instance.id))
            }
            Self::Create(create) => Some((&create.scale_set, &create.instance.id)),
            Self::Delete(delete) => Some((&delete.scale_set, &delete.instance.id)),
            Self::Ensure(_)
            | Self::End(..)
            | Self::Hook(_)
            | Self::Observe(_)
            | Self::Probe(_)
            | Self::Dismiss(_)
            | Self::Drive(_)
            | Self::Forget(..)
            | Self::Remember(..)
            | Self::Ask(_)
            | Self::Keep(_)
            | Self::Plugin(..) => None,
        }
    }
}
