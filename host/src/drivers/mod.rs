//! Drivers make one instance run one version, in whatever way the site does that.
//!
//! A driver decides nothing: it is told instance, version, operation and fence, does it, and
//! says how it went. Order, limits and retries belong to the core.

mod awake;
mod backoff;
pub mod command;
mod ends;
mod error;
mod extensions;
pub mod hooks;
pub mod http;
pub mod kind;
pub mod local;
pub mod looking;
pub mod process;
pub mod relay;
pub mod settings;
mod site;
pub mod template;
#[cfg(test)]
mod testing;
mod words;

pub use self::error::DriverError;
pub use self::kind::DriverConfig;
use self::kind::Kind;
pub use self::words::Words;

use std::future::Future;
use std::pin::Pin;

use self::hooks::Says;
use phasegate_core::domain::{Address, OperationId, Seen, Sight};
pub use phasegate_core::domain::{Creation, Custody, DriverNote, DriverTraits, ProcessState};
pub use phasegate_core::kernel::effect::{Again, Create, Delete, Ensure, HookCall, Observe};

/// The kinds of drivers. One more is a folder of its own, and a line here.
pub const KINDS: [Kind; 3] = [process::KIND, command::KIND, http::KIND];

/// Longest time for anything that a driver waits for: a day, as in no other place of the file.
const WAIT_MAX_SECONDS: f64 = 86_400.0;

/// Seconds, as the file would write them: long enough to copy and install something, short enough for a
/// person to come and look.
const WAIT_DEFAULT: &str = "600";

/// How much a driver does at once, as the file would write it: what a small machine with small limits can
/// carry.
const MAX_CONCURRENT: &str = "64";

/// A future on the heap, so that drivers of different kinds share one trait.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Makes instances run versions.
pub trait Driver: Send + Sync {
    /// Brings the instance to the version. Ends when the version has been applied, not when the
    /// application is healthy: that is the health gate's business. Gives what was seen there, which
    /// is unknown where nobody can be asked; where somebody can, what cannot be confirmed has failed.
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>>;

    /// What the instance has of a component.
    fn observe(&self, question: Observe) -> BoxFuture<Seen>;

    /// What can be seen. Always the same.
    fn sight(&self) -> Sight;

    /// Whether `create` and `delete` can work at all. Always the same.
    fn creation(&self) -> Creation;

    /// Creates an instance at a place that the driver chooses, and gives its address. Ends when the
    /// version has been applied, as `ensure` does.
    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>>;

    /// Deletes an instance. What a failed `create` may have left is deleted, too.
    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>>;

    /// A person wants an operation to end that is in hand: it answers soon, well or badly, and does nothing more
    /// afterwards. Does not wait; nothing happens when it is not in hand.
    fn end(&self, operation: &OperationId);

    /// Runs a hook to its end; one line for people when it ended badly. A driver without hooks has none to run.
    fn hook(&self, _: HookCall, _: Says) -> BoxFuture<Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Who keeps the instances running. Always the same.
    fn custody(&self) -> Custody;

    /// What the kernel must know of it.
    fn traits(&self) -> DriverTraits {
        DriverTraits { custody: self.custody(), creation: self.creation(), sight: self.sight() }
    }

    /// Ends everything that the driver started, gracefully and then by force. Idempotent. What is cut short by it
    /// answers [`DriverError::Ended`], which says nothing about the instance.
    fn shutdown(&self) -> BoxFuture<()>;
}
