//! Running probes: at most so many at once, each with the answer's way back.
//!
//! Deliberately knows no times; who may start, and when, is the schedule's word.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::probe::failure::ProbeError;
use crate::probe::schedule::{Admit, Lane, Slot, Start, Ticket};
use crate::probe::{Ended, Target};
use phasegate_core::domain::{Answer, NotAsked, Observation, Response, Round};

/// Asks one target once; a function so that tests can answer without a network.
pub(super) type Ask = Arc<dyn Fn(Arc<Target>) -> Asking + Send + Sync>;

/// The answer to come.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Response, ProbeError>> + Send>>;

/// Most probes at once: keeps memory and file descriptors within bounds.
const IN_FLIGHT_MAX: usize = 1_024;

/// Source name of the health probe in an observation.
const SOURCE: &str = "health";

/// How many probes may run at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// All together.
    pub(super) in_flight_max: usize,
    /// Of those, targets that hung last time. Less than all, so that however many instances
    /// hang, the others are probed in time.
    pub(super) hung_max: usize,
}

impl Limits {
    /// As many as this process can afford: at most half of its file descriptors, since a probe
    /// that gets none would blame the instance.
    pub(super) fn for_process() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = descriptors.map_or(u64::MAX, |count| count / 2);
        let in_flight_max = usize::try_from(half).unwrap_or(usize::MAX).clamp(2, IN_FLIGHT_MAX);
        Self { in_flight_max, hung_max: in_flight_max / 2 }
    }
}

/// A probe that has ended; nothing came of it when the probe itself broke down.
pub(super) struct Landed {
    pub(super) slot: Slot,
    pub(super) ticket: Ticket,
    pub(super) ended: Option<Ended>,
}

/// The running probes.
pub(super) struct Flights {
    clock: Clock,
    ask: Ask,
    limits: Limits,
    running: BTreeMap<Ticket, Flight>,
    hung: usize,
    tasks: JoinSet<(Ticket, Ended)>,
}

struct Flight {
    slot: Slot,
    lane: Lane,
    task: AbortHandle,
}

impl Flights {
    pub(super) fn new(clock: Clock, ask: Ask, limits: Limits) -> Self {
        Self { clock, ask, limits, running: BTreeMap::new(), hung: 0, tasks: JoinSet::new() }
    }

    /// Nothing will land.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Which lanes have room.
    pub(super) fn admit(&self) -> Admit {
        if self.running.len() >= self.limits.in_flight_max {
            Admit::Neither
        } else if self.hung >= self.limits.hung_max {
            Admit::PromptOnly
        } else {
            Admit::Both
        }
    }

    /// Starts a probe.
    pub(super) fn launch(&mut self, start: Start, target: Arc<Target>) {
        let Start { slot, ticket, lane, due: _ } = start;
        let asking = (self.ask)(Arc::clone(&target));
        let clock = self.clock;
        let task = self.tasks.spawn(async move { (ticket, probe(clock, &target, asking).await) });
        self.running.insert(ticket, Flight { slot, lane, task });
        self.hung += usize::from(lane == Lane::Hung);
    }

    /// Waits for a probe to end; none for one that was abandoned.
    pub(super) async fn next_landing(&mut self) -> Option<Landed> {
        let (ticket, ended) = match self.tasks.join_next().await? {
            Ok((ticket, ended)) => (ticket, Some(ended)),
            // A panic is a bug, but its target must be probed again all the same.
            Err(error) => {
                let mut all = self.running.iter();
                let (ticket, _) = all.find(|(_, flight)| flight.task.id() == error.id())?;
                (*ticket, None)
            }
        };
        self.take(ticket).map(|flight| Landed { slot: flight.slot, ticket, ended })
    }

    /// Abandons the probes of a target.
    pub(super) fn abandon(&mut self, slot: Slot) {
        let all = self.running.iter().filter(|(_, flight)| flight.slot == slot);
        let tickets: Vec<Ticket> = all.map(|(ticket, _)| *ticket).collect();
        for ticket in tickets {
            if let Some(flight) = self.take(ticket) {
                flight.task.abort();
            }
        }
    }

    /// Abandons everything and waits until it is gone.
    pub(super) async fn abandon_all(&mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }

    fn take(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.running.remove(&ticket)?;
        self.hung -= usize::from(flight.lane == Lane::Hung);
        Some(flight)
    }
}

async fn probe(clock: Clock, target: &Target, asking: Asking) -> Ended {
    let started_at = clock.now();
    let outcome = match asking.await {
        Ok(response) => Ok(response),
        Err(ProbeError::Instance(failure)) => Err(failure),
        Err(ProbeError::Host(short_of)) => {
            let facts = &target.facts;
            let (scale_set, instance) = (facts.scale_set.clone(), facts.id.clone());
            return Ended::NotAsked(NotAsked {
                scale_set,
                instance,
                epoch: target.epoch,
                started_at,
                short_of,
            });
        }
    };
    let protocol = target.settings.protocol.name();
    Ended::Round(Round {
        observation: Observation {
            instance: Arc::clone(&target.facts),
            answers: vec![Answer { source: SOURCE.to_owned(), outcome }],
            memory: None,
            attributes: vec![("probe-protocol".to_owned(), protocol.to_owned())],
        },
        epoch: target.epoch,
        started_at,
        finished_at: clock.now(),
    })
}
