//! The thread of the probes: takes messages, starts what is due, goes on where a socket has something, hands rounds on.
//!
//! Never waits for anything but the sockets, the bell and the next due time.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Name;
use super::flight::{Ask, By, Flights, Limits, ended, send_out};
use super::inbox::{BELL, Inbox, Message, Messages, inbox};
use super::lines::{Began, Lines, Over, registry};
use crate::clock::Clock;
use crate::net::dial::literal;
use crate::net::names;
use crate::probe::ask::Asked;
use crate::probe::failure::{ProbeError, unreachable};
use crate::probe::http;
use crate::probe::lateness::{Keeping, Lateness};
use crate::probe::line::{Line, Question};
use crate::probe::schedule::{Group, Lane, Schedule, Slot, Start, Ticket, first_due};
use crate::probe::{Ended, RoundSink, Target};
use phasegate_core::domain::{ProbeFailure, ProbeProtocol, ScaleSetName};

/// Events that are taken at once.
const EVENTS_MAX: usize = 1_024;

/// An answer that takes longer comes from a slow instance. Those have a lane of their own.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Rounds that follow each other sooner are handed on together: each hand-over wakes the one who judges.
const HAND_OVER_EVERY: Duration = Duration::from_millis(4);

/// Most rounds that wait for it.
const HAND_OVER_MAX: usize = 256;

/// Longest wait for the sockets; only so that a lost bell is no end.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Who makes plain probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// The thread itself.
    OnSockets,
    /// A task for each, as for all others.
    #[cfg(test)]
    ByTasks,
}

/// One target.
struct Known {
    target: Arc<Target>,
    /// None when a task has to ask.
    question: Option<Arc<Question>>,
}

/// What the thread holds.
pub(super) struct Reactor {
    clock: Clock,
    runtime: Handle,
    sink: RoundSink,
    lateness: Arc<Lateness>,
    keeping: Keeping,
    ask: Ask,
    plain: Plain,
    poll: Poll,
    inbox: Inbox,
    messages: Messages,
    /// The schedule's times count from here.
    zero: Instant,
    slots: BTreeMap<Name, Slot>,
    targets: BTreeMap<Slot, Known>,
    slots_used: u64,
    groups: BTreeMap<ScaleSetName, Group>,
    schedule: Schedule,
    flights: Flights,
    lines: Lines,
    /// Connections for the next probe, with the life that they are of.
    kept: BTreeMap<Slot, (u64, Box<Line>)>,
    kept_max: usize,
    /// Rounds that are over and not handed on.
    rounds: Vec<Ended>,
    handed_on: Instant,
}

impl Reactor {
    /// Everything that can fail is done here.
    pub(super) fn new(
        (clock, runtime): (Clock, Handle),
        (sink, lateness): (RoundSink, Arc<Lateness>),
        (ask, plain): (Ask, Plain),
        limits: Limits,
    ) -> io::Result<(Self, Inbox)> {
        let poll = Poll::new()?;
        let (inbox, messages) = inbox(&poll)?;
        let lines = Lines::new(registry(&poll)?);
        let reactor = Self {
            clock,
            runtime,
            sink,
            lateness,
            keeping: Keeping::default(),
            ask,
            plain,
            poll,
            inbox: inbox.clone(),
            messages,
            zero: Instant::now(),
            slots: BTreeMap::new(),
            targets: BTreeMap::new(),
            slots_used: 0,
            groups: BTreeMap::new(),
            schedule: Schedule::default(),
            flights: Flights::new(limits),
            lines,
            kept: BTreeMap::new(),
            kept_max: limits.kept_max,
            rounds: Vec::new(),
            handed_on: Instant::now(),
        };
        Ok((reactor, inbox))
    }

    /// Probes until it is told to stop.
    pub(super) fn run(mut self) {
        // Whoever takes a round may want to spawn.
        let runtime = self.runtime.clone();
        let _within = runtime.enter();
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.messages.look();
            while let Some(message) = self.messages.next() {
                if matches!(message, Message::Stop) {
                    self.abandon_all();
                    return;
                }
                self.obey(message);
            }
            self.start_due();
            for over in self.lines.resume() {
                self.land(over);
            }
            match self.poll.poll(&mut events, Some(self.wait())) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
                Err(error) => {
                    tracing::error!("probes cannot wait for their sockets: {error}");
                    self.abandon_all();
                    return;
                }
            }
            for event in &events {
                if event.token() != BELL
                    && let Some(over) = self.lines.advance(event.token())
                {
                    self.land(over);
                }
            }
            let now = Instant::now();
            while let Some(over) = self.lines.expire(now) {
                self.land(over);
            }
            self.hand_on();
        }
    }

    /// Hands on what is over: at once after a quiet time, and else together with what comes soon.
    fn hand_on(&mut self) {
        let now = Instant::now();
        let is_soon = now.saturating_duration_since(self.handed_on) < HAND_OVER_EVERY;
        if self.rounds.is_empty() || (is_soon && self.rounds.len() < HAND_OVER_MAX) {
            return;
        }
        self.handed_on = now;
        for round in self.rounds.drain(..) {
            (self.sink)(round);
        }
    }

    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// How long there is nothing to do unless something happens.
    fn wait(&self) -> Duration {
        if self.lines.has_more() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let due = self.schedule.next_due(&self.flights).map(|due| self.zero + due);
        let hand_on = (!self.rounds.is_empty()).then(|| self.handed_on + HAND_OVER_EVERY);
        let next = [due, self.lines.next_deadline(), hand_on].into_iter().flatten().min();
        next.map_or(WAIT_MAX, |next| next.saturating_duration_since(now)).min(WAIT_MAX)
    }

    fn start_due(&mut self) {
        let now = self.now();
        while let Some(start) = self.schedule.take_due(now, &self.flights) {
            let late = now.saturating_sub(start.due);
            self.lateness.record(late);
            if let Some(Known { target, .. }) = self.targets.get(&start.slot) {
                let interval = target.settings.interval;
                self.keeping.started(late, interval, self.zero + now);
                let skipped = late.as_nanos() / interval.as_nanos().max(1);
                self.lateness.skipped(u64::try_from(skipped).unwrap_or(u64::MAX));
            }
            self.launch(start);
        }
        self.lateness.under_way(self.flights.count());
    }

    fn launch(&mut self, start: Start) {
        let Some(Known { target, question }) = self.targets.get(&start.slot) else { return };
        let (target, question) = (Arc::clone(target), question.clone());
        let started_at = self.clock.now();
        let ticket = start.ticket;
        let by = match question.map(|question| (address(&question), question)) {
            Some((Some(to), question)) => {
                let kept = self.kept.remove(&start.slot).filter(|(epoch, _)| *epoch == target.epoch);
                let kept = kept.map(|(_, line)| line);
                let began = match to {
                    Ok(to) => self.lines.open(ticket, &question, (to, kept), Instant::now()),
                    Err(error) => Began::Over(Err(unreachable(&question.endpoint, &error)), None),
                };
                match began {
                    Began::At(place) => By::Line(place),
                    Began::Over(outcome, line) => {
                        self.flights.add(start, target, started_at, By::Nobody);
                        return self.land(Over { ticket, outcome, line });
                    }
                }
            }
            Some((None, _)) | None => {
                let asking = (self.ask)(Arc::clone(&target));
                By::Task(send_out(&self.runtime, &self.inbox, ticket, asking))
            }
        };
        self.flights.add(start, target, started_at, by);
    }

    fn land(&mut self, over: Over) {
        self.over(over.ticket, Some(Asked::alone(over.outcome)), over.line);
    }

    fn over(&mut self, ticket: Ticket, asked: Option<Asked>, line: Option<Box<Line>>) {
        let Some(landed) = self.flights.land(ticket) else { return };
        let finished_at = self.clock.now();
        let took = finished_at.since(landed.started_at);
        let has_hung = asked
            .as_ref()
            .is_some_and(|asked| matches!(asked.outcome, Err(ProbeError::Instance(ProbeFailure::Timeout))));
        let lane = if has_hung || took > SLOW_AFTER { Lane::Slow } else { Lane::Prompt };
        let now = self.now();
        if let Some(group) = self.schedule.finish(landed.slot, ticket, now, lane) {
            self.count(group);
        }
        if let Some(line) = line
            && self.kept.len() < self.kept_max
        {
            self.kept.insert(landed.slot, (landed.target.epoch, line));
        }
        if let Some(asked) = asked {
            self.lateness.ended(took, &asked.outcome);
            self.rounds.push(ended(&landed, asked, finished_at));
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Set(target) => self.set(target),
            Message::Remove(name) => {
                if let Some(slot) = self.slots.remove(&name) {
                    self.targets.remove(&slot);
                    self.kept.remove(&slot);
                    self.schedule.remove(slot);
                    let left = self.flights.abandon(slot);
                    self.give_up(left);
                    let group = self.group(&name.0);
                    self.count(group);
                }
            }
            Message::Ask(name, after) => {
                if let Some(slot) = self.slots.get(&name) {
                    let latest = self.now().saturating_add(after);
                    self.schedule.hasten(*slot, latest);
                }
            }
            Message::Over(ticket, outcome) => self.over(ticket, outcome, None),
            Message::Stop => {}
        }
    }

    fn set(&mut self, target: Target) {
        let now = self.now();
        let interval = target.settings.interval;
        let name = (target.facts.scale_set.clone(), target.facts.id.clone());
        let epoch = target.epoch;
        let question = self.question(&target);
        let known = Known { target: Arc::new(target), question };
        if let Some(slot) = self.slots.get(&name).copied() {
            let old = self.targets.insert(slot, known);
            // It may be elsewhere now, or be asked in another way.
            self.kept.remove(&slot);
            self.schedule.set_interval(slot, interval, now);
            if old.is_some_and(|old| epoch > old.target.epoch) {
                self.schedule.renew(slot, now);
                let group = self.group(&name.0);
                self.count(group);
            }
            return;
        }
        let due = first_due(&name.0, &name.1, interval, now);
        self.slots_used += 1;
        let slot = Slot(self.slots_used);
        let group = self.group(&name.0);
        self.slots.insert(name, slot);
        self.targets.insert(slot, known);
        self.schedule.insert((slot, group), interval, due);
        self.count(group);
    }

    /// The number of a scale set; there are few of them, and each keeps its own.
    fn group(&mut self, scale_set: &ScaleSetName) -> Group {
        let next = Group(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        *self.groups.entry(scale_set.clone()).or_insert(next)
    }

    /// Says how many of a scale set want places.
    fn count(&mut self, group: Group) {
        let prompt = self.schedule.members(group, Lane::Prompt);
        let slow = self.schedule.members(group, Lane::Slow);
        self.flights.wanted(group, prompt, slow);
    }

    /// What the thread asks a target by itself; none where that is a task's affair.
    fn question(&self, target: &Target) -> Option<Arc<Question>> {
        if self.plain != Plain::OnSockets || !target.settings.sources.is_empty() {
            return None;
        }
        let (endpoint, settings) = (target.endpoint(), Arc::clone(&target.settings));
        let request = match settings.protocol {
            ProbeProtocol::Tcp => None,
            // A request that cannot be made is told of by the task.
            ProbeProtocol::Http => Some(http::request(&endpoint, &settings).ok()?),
            ProbeProtocol::Https
            | ProbeProtocol::H2
            | ProbeProtocol::H2c
            | ProbeProtocol::Grpc
            | ProbeProtocol::Grpcs => return None,
        };
        Some(Arc::new(Question { endpoint, request, settings }))
    }

    fn abandon_all(&mut self) {
        let left = self.flights.abandon_all();
        self.give_up(left);
    }

    fn give_up(&mut self, left: Vec<By>) {
        for by in left {
            match by {
                By::Line(place) => self.lines.abandon(place),
                By::Task(task) => task.abort(),
                By::Nobody => {}
            }
        }
    }
}

/// Where to connect, as far as that is known now; several addresses are a task's affair, which tries them in turn.
fn address(question: &Question) -> Option<io::Result<SocketAddr>> {
    let endpoint = &question.endpoint;
    literal(endpoint).or_else(|| match *names::at_hand(&endpoint.host)? {
        [ip] => Some(Ok(SocketAddr::new(ip, endpoint.port))),
        _ => None,
    })
}
