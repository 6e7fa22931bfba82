//! What is to be done, after the new state has been recorded. Performs nothing: `control` does.

use crate::domain::{Component, InstanceId, OperationId, Version};

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
    /// End what the driver has in hand for an instance; it answers to that operation all the same.
    End {
        /// Which instance.
        instance: InstanceId,
        /// The effect that is to end.
        operation: OperationId,
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
            | Self::End { operation, .. } => operation,
        }
    }

    /// The instance to which it happens.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        match self {
            Self::Apply { instance, .. }
            | Self::Create { instance, .. }
            | Self::Delete { instance, .. }
            | Self::End { instance, .. } => instance,
        }
    }
}
