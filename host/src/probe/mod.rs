//! Probing: asks every instance again and again, and hands each finished round on.
//!
//! `schedule` (pure) says when, `runner` is the one thread that keeps the times and the sockets of plain http and
//! tcp (`line`); `http`, `http2`, `grpc` and `tcp` ask one instance once on a runtime: those with TLS or frames, those
//! whose name has still to be looked up, and those of targets with further `sources`. Deliberately says nothing about
//! health: what an answer means is the
//! plugin's word, and what follows from many answers is `health`'s.

mod ask;
mod connect;
mod failure;
mod grpc;
mod http;
mod http2;
mod identity;
mod lateness;
mod line;
mod placed;
mod raw;
mod runner;
mod schedule;
mod sources;
mod tcp;
mod tls;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use phasegate_core::domain::{NotAsked, Round};
pub use phasegate_core::kernel::effect::Target;

pub use ask::{once, once_of_all};
pub use lateness::LatenessStats;
pub use placed::placed;
pub use runner::Prober;
pub use sources::secrets;

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The instance was asked.
    Round(Round),
    /// It was not: the host was short of something.
    NotAsked(NotAsked),
}

/// Takes finished rounds. Called from the runner's task, one round at a time: it must not block,
/// and a receiver that is full has to drop the round itself.
pub type RoundSink = Arc<dyn Fn(Ended) + Send + Sync>;
