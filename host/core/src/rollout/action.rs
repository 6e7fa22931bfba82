//! What is to be done, after the new state has been recorded. Performs nothing: `control` does.

use crate::domain::{Component, Direction, HookKind, InstanceId, OperationId, Version};

/// What is to be done, after the new state has been recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the instance have the version of the component.
    Apply {
        /// The instance.
        instance: InstanceId,
        /// The component.
        component: Component,
        /// The version.
        version: Version,
        /// Identity of the effect.
        operation: OperationId,
    },
    /// Create an instance that has the version.
    Create {
        /// The new one.
        instance: InstanceId,
        /// Whose place it takes.
        replaces: InstanceId,
        /// The version of its application.
        version: Version,
        /// Identity of the effect.
        operation: OperationId,
    },
    /// Delete an instance.
    Delete {
        /// Which.
        instance: InstanceId,
        /// Who stands in its place from now on; none for a new one that failed.
        successor: Option<InstanceId>,
        /// Identity of the effect.
        operation: OperationId,
    },
    /// Run a hook.
    Hook(HookAction),
    /// End a hook round a batch; it answers all the same.
    EndHook {
        /// Which.
        operation: OperationId,
    },
    /// End what the driver, or a hook, has in hand for an instance; it answers to that operation all the same.
    End {
        /// Which instance.
        instance: InstanceId,
        /// The effect that is to end.
        operation: OperationId,
    },
}

/// A hook to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAction {
    /// Which.
    pub hook: HookKind,
    /// Whether something is brought, or brought back.
    pub direction: Direction,
    /// Round what.
    pub about: HookAbout,
    /// Identity of the hook.
    pub operation: OperationId,
}

/// What a hook is run round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookAbout {
    /// An instance.
    Instance {
        /// Which.
        instance: InstanceId,
        /// Whose place it is to take.
        replaces: Option<InstanceId>,
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

impl Action {
    /// Identity of the effect.
    #[must_use]
    pub fn operation(&self) -> &OperationId {
        match self {
            Self::Apply { operation, .. }
            | Self::Create { operation, .. }
            | Self::Delete { operation, .. }
            | Self::End { operation, .. }
            | Self::Hook(HookAction { operation, .. })
            | Self::EndHook { operation } => operation,
        }
    }

    /// The instance to which it happens; none where it is about a batch.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Apply { instance, .. }
            | Self::Create { instance, .. }
            | Self::Delete { instance, .. }
            | Self::End { instance, .. }
            | Self::Hook(HookAction { about: HookAbout::Instance { instance, .. }, .. }) => Some(instance),
            Self::Hook(HookAction { about: HookAbout::Batch { .. }, .. }) | Self::EndHook { .. } => None,
        }
    }
}
