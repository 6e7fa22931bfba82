//! Drivers make one instance run one version, in whatever way the site does that.
//!
//! A driver decides nothing: it is told instance, version, operation and fence, does it, and
//! says how it went. Order, limits and retries belong to the core.

mod backoff;
pub mod command;
mod extensions;
pub mod http;
pub mod kind;
pub mod local;
pub mod process;
mod site;
pub mod template;
#[cfg(test)]
mod testing;

pub use self::extensions::WithExtensions;
pub use self::kind::DriverConfig;

use std::future::Future;
use std::pin::Pin;

use phasegate_core::domain::{
    Address, Component, Fence, Instance, InstanceId, Located, OperationId, ScaleSetName, Timestamp, Version,
};

/// A future on the heap, so that drivers of different kinds share one trait.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// A request that one instance shall run one version. Idempotent: a repeat of the same operation,
/// or of the version that already runs, is done at once.
#[derive(Debug, Clone)]
pub struct Ensure {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance, with address and labels.
    pub instance: Instance,
    /// What of it.
    pub component: Component,
    /// The version that it shall have.
    pub version: Version,
    /// The version that it had before as far as the host knows.
    pub previous: Option<Version>,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower fence than one seen before is refused.
    pub fence: Fence,
}

/// A request that an instance comes into being that runs a version. Idempotent: a repeat of the same
/// operation gives the same instance.
#[derive(Debug, Clone)]
pub struct Create {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The new instance; its address is still that of the one whose place it takes.
    pub instance: Instance,
    /// Whose place it takes.
    pub replaces: InstanceId,
    /// The version that it shall have.
    pub version: Version,
    /// Where other instances are, those of all sets.
    pub taken: Vec<Address>,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower fence than one seen before is refused.
    pub fence: Fence,
}

/// A request that an instance goes for good. Idempotent: what is not there is deleted.
#[derive(Debug, Clone)]
pub struct Delete {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: Instance,
    /// Whether its address is its own: the driver may never have said where it is.
    pub located: Located,
    /// Identity of the effect.
    pub operation: OperationId,
    /// Which host speaks; a lower fence than one seen before is refused.
    pub fence: Fence,
}

/// Why an instance could not be made to run a version; one line for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DriverError(pub String);

/// Something that happened to an instance outside of any request, for example a process that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverNote {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: DriverNoteKind,
    /// One line for people, for example "process 4711 exited with code 1; restarting in 2 s".
    pub text: String,
}

/// Kinds of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverNoteKind {
    /// The process ended by itself, or a new one could not be started: nothing runs, and another
    /// start follows. The instance starts a new life.
    Exited,
    /// A new process runs after an exit.
    Restarted,
}

/// Who keeps instances running between requests, and therefore what a starting host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// The host: nothing runs unless this driver started it, so a starting host starts everything.
    Host,
    /// The site, in whatever way: a starting host only looks.
    Site,
}

/// Whether a driver can create instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It was told how.
    Possible,
    /// It was not.
    NotTold,
}

impl Creation {
    /// Whether it was told.
    #[must_use]
    pub fn told<T>(how: Option<&T>) -> Self {
        if how.is_some() { Self::Possible } else { Self::NotTold }
    }
}

/// Makes instances run versions.
pub trait Driver: Send + Sync {
    /// Brings the instance to the version. Ends when the version has been applied, not when the
    /// application is healthy: that is the health gate's business.
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<(), DriverError>>;

    /// The version that the instance runs. None when it runs nothing, where the host has custody;
    /// where the site has, none means that the driver cannot tell.
    fn observe(&self, scale_set: &ScaleSetName, instance: &Instance) -> BoxFuture<Option<Version>>;

    /// Whether `create` and `delete` can work at all. Always the same.
    fn creation(&self) -> Creation;

    /// Creates an instance at a place that the driver chooses, and gives its address. Ends when the
    /// version has been applied, as `ensure` does.
    fn create(&self, request: Create) -> BoxFuture<Result<Address, DriverError>>;

    /// Deletes an instance. What a failed `create` may have left is deleted, too.
    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>>;

    /// Who keeps the instances running. Always the same.
    fn custody(&self) -> Custody;

    /// Ends everything that the driver started, gracefully and then by force. Idempotent.
    fn shutdown(&self) -> BoxFuture<()>;
}
