//! What drivers that run local programs have in common: programs in groups of their own that do
//! not outlive the host.
//!
//! A host that ends in good order stops its programs; one that is killed leaves it to the kernel
//! (on Linux) and to the [`guard`]. Processes that are to outlive their host have a [`keeper`]. Deliberately blind to what a program does, and to programs
//! that leave their group (`setsid`).

mod command;
mod error;
pub mod former;
mod group;
pub mod guard;
mod guard_link;
pub mod keeper;
pub mod kept;
mod leader;
pub(in crate::drivers) mod listener;
pub(super) mod output;
mod runner;
mod thread;
mod watched;

pub use self::command::Command;
pub(super) use self::error::{OpenLogError, ResolveError, RunError, StartError, StillAliveError};
#[cfg(test)]
pub(super) use self::group::Group;
pub use self::guard_link::GuardCommand;
pub(super) use self::guard_link::GuardLink;
#[cfg(test)]
pub(super) use self::guard_link::keep_guard;
pub(super) use self::leader::{Leader, Starting, describe};
pub(super) use self::runner::{Capture, Cut, Finished, Job, Runner};
pub(super) use self::thread::{OwnThread, Stage, reached};
