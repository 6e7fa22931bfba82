//! What a batch is made of: rounds on their way in, and what a decision keeps of its round.

use std::sync::Arc;

use super::Key;
use super::repeat::Place;
use phasegate_core::domain::{Decided, Heard, Observation, Outcome, PluginStamp, Round, Timestamp};

/// What the rounds of a batch have in common.
pub(super) struct Now {
    pub(super) at: Timestamp,
    pub(super) stamp: PluginStamp,
    /// Which segment of the recording is being written.
    pub(super) segment: u64,
    pub(super) repeatable: bool,
}

/// A round that is part of the batch.
pub(super) struct Entered {
    pub(super) key: Key,
    pub(super) place: Place,
    pub(super) round: Round,
}

/// Rounds that the plugin is asked about: whose, and what was seen.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) tickets: Vec<(Key, Place, Ticket)>,
    pub(super) seen: Vec<Arc<Observation>>,
}

/// What a decision keeps of its round, besides the instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) epoch: u64,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    pub(super) again: bool,
    pub(super) heard: Heard,
}

impl Ticket {
    pub(super) fn decided(self, (scale_set, instance): Key, outcome: Arc<Outcome>) -> Decided {
        let Self { epoch, started_at, finished_at, again, heard } = self;
        Decided { scale_set, instance, epoch, started_at, finished_at, again, heard, outcome }
    }
}

/// Whom a round is about.
pub(super) fn key(round: &Round) -> Key {
    let facts = &round.observation.instance;
    (facts.scale_set.clone(), facts.id.clone())
}
