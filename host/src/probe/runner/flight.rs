//! Running probes: at most so many at once, each with the answer's way back.
//!
//! Deliberately knows no times; who may start, and when, is the schedule's word.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::inbox::{Inbox, Message};
use super::lines::Place;
use super::places::Places;
use super::targets::{Common, Known};
use crate::probe::ask::Asked;
use crate::probe::failure::ProbeError;
use crate::probe::schedule::{Admission, Group, Lane, Members, Slot, Start, Ticket};
use crate::probe::{Ended, Target};
use phasegate_core::domain::source::HEALTH_SOURCE;
use phasegate_core::domain::{Answer, NotAsked, Observation, ProbeFailure, Response, Round, Timestamp};

/// Asks one target once, on a runtime; a function so that tests can answer without a network.
pub(super) type Ask = Arc<dyn Fn(Arc<Target>) -> Asking + Send + Sync>;

/// The answer to come.
pub(super) type Asking = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// Most probes at once, however many descriptors there are: each may hold some memory.
const IN_FLIGHT_MAX: usize = 65_536;

/// How many probes may run at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// All together.
    pub(super) in_flight_max: usize,
    /// Of those, targets that were slow last time. Less than all, so that however many instances
    /// hang, the others are probed in time.
    pub(super) slow_max: usize,
    /// Connections that are kept while nobody is asked.
    pub(super) kept_max: usize,
}

impl Limits {
    /// As many as this process can afford: at most half of its file descriptors, since a probe
    /// that gets none would blame the instance.
    pub(super) fn for_process() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = descriptors.map_or(u64::MAX, |count| count / 2);
        let in_flight_max = usize::try_from(half).unwrap_or(usize::MAX).clamp(2, IN_FLIGHT_MAX);
        Self { in_flight_max, slow_max: in_flight_max / 2, kept_max: in_flight_max / 2 }
    }
}

/// A probe that has ended.
pub(super) struct Landed {
    pub(super) slot: Slot,
    pub(super) group: Group,
    pub(super) target: Arc<Target>,
    pub(super) started_at: Timestamp,
}

impl Landed {
    /// Whether its target is still the same, asked in the same way.
    pub(super) fn is_of(&self, known: &Known) -> bool {
        Arc::ptr_eq(&self.target, &known.target)
    }

    /// The round that it was.
    pub(super) fn round(&self, observation: Arc<Observation>, finished_at: Timestamp) -> Round {
        let (epoch, started_at) = (self.target.epoch, self.started_at);
        Round { observation, epoch, started_at, finished_at }
    }
}

/// The running probes.
pub(super) struct Flights {
    running: BTreeMap<Ticket, Flight>,
    all: Places,
    slow: Places,
}

struct Flight {
    slot: Slot,
    group: Group,
    lane: Lane,
    target: Arc<Target>,
    started_at: Timestamp,
    by: By,
}

/// Who makes a probe.
pub(super) enum By {
    /// The thread of the probes, on a socket of its own.
    Line(Place),
    /// A task of the runtime.
    Task(AbortHandle),
    /// It was over as soon as it began.
    Nobody,
}

impl Flights {
    pub(super) fn new(limits: Limits) -> Self {
        let (all, slow) = (Places::new(limits.in_flight_max), Places::new(limits.slow_max));
        Self { running: BTreeMap::new(), all, slow }
    }

    /// A group has these members in each lane.
    pub(super) fn wanted(&mut self, group: Group, prompt: Members, slow: Members) {
        let all = Members { count: prompt.count + slow.count, busy: prompt.busy + slow.busy };
        self.all.wanted(group, all);
        self.slow.wanted(group, slow);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Takes note of a probe that runs.
    pub(super) fn add(&mut self, start: Start, target: Arc<Target>, started_at: Timestamp, by: By) {
        let Start { slot, ticket, group, lane, due: _ } = start;
        self.running.insert(ticket, Flight { slot, group, lane, target, started_at, by });
        self.all.take(group);
        if lane == Lane::Slow {
            self.slow.take(group);
        }
    }

    /// A probe has ended; none for one that was abandoned.
    pub(super) fn land(&mut self, ticket: Ticket) -> Option<Landed> {
        let Flight { slot, group, target, started_at, .. } = self.take(ticket)?;
        Some(Landed { slot, group, target, started_at })
    }

    /// Forgets the probes of a target; those who make them are to stop.
    pub(super) fn abandon(&mut self, slot: Slot) -> Vec<By> {
        let all = self.running.iter().filter(|(_, flight)| flight.slot == slot);
        let tickets: Vec<Ticket> = all.map(|(ticket, _)| *ticket).collect();
        tickets.into_iter().filter_map(|ticket| Some(self.take(ticket)?.by)).collect()
    }

    /// Forgets all.
    pub(super) fn abandon_all(&mut self) -> Vec<By> {
        let tickets: Vec<Ticket> = self.running.keys().copied().collect();
        tickets.into_iter().filter_map(|ticket| Some(self.take(ticket)?.by)).collect()
    }

    fn take(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.running.remove(&ticket)?;
        self.all.give_back(flight.group);
        if flight.lane == Lane::Slow {
            self.slow.give_back(flight.group);
        }
        Some(flight)
    }
}

impl Admission for Flights {
    fn lane(&self, lane: Lane) -> bool {
        self.all.are_free() && (lane == Lane::Prompt || self.slow.are_free())
    }

    fn group(&self, group: Group, lane: Lane) -> bool {
        self.all.admit(group) && (lane == Lane::Prompt || self.slow.admit(group))
    }
}

/// Lets a task make a probe. What comes of it is a message.
pub(super) fn send_out(runtime: &Handle, inbox: &Inbox, ticket: Ticket, asking: Asking) -> AbortHandle {
    let way = Way { inbox: inbox.clone(), ticket, outcome: None };
    let task = runtime.spawn(async move {
        // The whole of it goes along, and back when the task ends.
        let mut way = way;
        way.outcome = Some(asking.await);
    });
    task.abort_handle()
}

/// The way back of an outcome. A panic is a bug, but its target must be probed again all the same.
struct Way {
    inbox: Inbox,
    ticket: Ticket,
    outcome: Option<Asked>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.inbox.tell(Message::Over(self.ticket, self.outcome.take()));
    }
}

/// What is told of a probe that has ended. What is said again is the same value as `before`, so that nobody has to
/// look at it twice.
pub(super) fn ended(
    landed: &Landed,
    asked: Asked,
    (before, common): (Option<&Arc<Observation>>, &mut Common),
    finished_at: Timestamp,
) -> Ended {
    let Asked { outcome, more } = asked;
    let Landed { target, started_at, .. } = landed;
    let started_at = *started_at;
    let outcome = match outcome {
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
    if let Some(before) = before.filter(|before| is_same(before, &outcome, &more)) {
        return Ended::Round(landed.round(Arc::clone(before), finished_at));
    }
    let first = Answer { source: HEALTH_SOURCE.to_owned(), outcome };
    let attributes = vec![
        ("probe-protocol".to_owned(), target.settings.protocol_name().to_owned()),
        ("address".to_owned(), target.address.to_string()),
    ];
    let observation = Observation {
        instance: Arc::clone(&target.facts),
        answers: common.answers(std::iter::once(first).chain(more).collect()),
        memory: None,
        attributes,
    };
    Ended::Round(landed.round(Arc::new(observation), finished_at))
}

/// Whether this was said before, by the same target.
fn is_same(before: &Observation, outcome: &Result<Response, ProbeFailure>, more: &[Answer]) -> bool {
    matches!(&before.answers[..], [first, others @ ..] if first.outcome == *outcome && *others == *more)
}
