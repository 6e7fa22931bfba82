//! Probing: asks every instance again and again, and hands each finished round on.
//!
//! `schedule` (pure) says when, `runner` is the one task that keeps the times, `http` and `tcp`
//! ask one instance once. Deliberately says nothing about health: what an answer means is the
//! plugin's word, and what follows from many answers is `health`'s.

mod ask;
mod connect;
mod failure;
mod http;
mod lateness;
mod runner;
mod schedule;
mod tcp;
mod tls;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use phasegate_core::domain::{Address, HealthSettings, InstanceFacts, Round};

pub use lateness::LatenessStats;
pub use runner::Prober;

/// One instance to be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What the plugin is told about it; scale set and id in it name the target.
    pub facts: Arc<InstanceFacts>,
    /// Where it listens; the port of `settings` goes before the one in here.
    pub address: Address,
    /// How it is asked.
    pub settings: Arc<HealthSettings>,
    /// Which life of the instance this is; see [`Round::epoch`].
    pub epoch: u64,
}

impl Target {
    /// Where the probe connects.
    #[must_use]
    pub fn endpoint(&self) -> Address {
        Address { host: self.address.host.clone(), port: self.settings.port.unwrap_or(self.address.port) }
    }
}

/// Takes finished rounds. Called from the runner's task, one round at a time: it must not block,
/// and a receiver that is full has to drop the round itself.
pub type RoundSink = Arc<dyn Fn(Round) + Send + Sync>;
