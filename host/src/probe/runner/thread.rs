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

use super::flight::{Ask, By, Flights, Landed, Limits, ended, send_out};
use super::inbox::{BELL, Inbox, Message, Messages, inbox};
use super::lines::{Began, Call, Came, Lines, Looked, Over, Place, registry};
use super::targets::{Common, Known, Targets};
use crate::clock::Clock;
use crate::net::dial::literal;
use crate::net::names;
use crate::probe::ask::Asked;
use crate::probe::failure::{ProbeError, unreachable};
use crate::probe::http;
use crate::probe::lateness::{Keeping, Lateness};
use crate::probe::line::Question;
use crate::probe::raw::Raw;
use crate::probe::schedule::{Group, Lane, Schedule, Start, Ticket, first_due};
use crate::probe::{Ended, RoundSink, Target};
use phasegate_core::domain::{ProbeFailure, ProbeProtocol, ScaleSetName};

/// Events that are taken at once.
const EVENTS_MAX: usize = 1_024;

/// An answer that takes longer comes from a slow instance. Those have a lane of their own.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// Rounds that follow each other sooner are handed on together: each hand-over wakes the one who judges.
const HAND_OVER_EVERY: Duration = Duration::from_millis(4);

/// The same where nobody has said anything new and nobody waits for an answer: this part of the interval, and no more
/// than that.
const QUIET_PART: u32 = 20;
const QUIET_MAX: Duration = Duration::from_millis(100);

/// Most rounds that wait for it.
const HAND_OVER_MAX: usize = 512;

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

/// How long a round may wait for others after the hand-over before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hurry {
    /// It is what was said before, in a rhythm of this interval.
    None { interval: Duration },
    /// It is new, or was asked for.
    Some,
}

impl Hurry {
    fn patience(self) -> Duration {
        match self {
            Self::None { interval } => (interval / QUIET_PART).clamp(HAND_OVER_EVERY, QUIET_MAX),
            Self::Some => HAND_OVER_EVERY,
        }
    }
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
    targets: Targets,
    groups: BTreeMap<ScaleSetName, Group>,
    schedule: Schedule,
    flights: Flights,
    lines: Lines,
    common: BTreeMap<Group, Common>,
    /// Connections that are kept.
    kept: usize,
    kept_max: usize,
    /// Rounds that are over and not handed on.
    rounds: Vec<Ended>,
    /// When they are to be handed on.
    hand_on_at: Instant,
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
            targets: Targets::default(),
            groups: BTreeMap::new(),
            schedule: Schedule::default(),
            flights: Flights::new(limits),
            lines,
            common: BTreeMap::new(),
            kept: 0,
            kept_max: limits.kept_max,
            rounds: Vec::new(),
            hand_on_at: Instant::now(),
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
            let looked = if events.iter().count() < EVENTS_MAX { Looked::AtAll } else { Looked::AtSome };
            self.lines.looked(looked);
            for event in events.iter().filter(|event| event.token() != BELL) {
                if event.is_read_closed() {
                    self.lines.peer_has_ended(event.token());
                }
                if let Some(over) = self.lines.advance(event.token()) {
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

    /// Takes a round that is over: it is handed on at once after a quiet time, and else together with what comes soon.
    fn push(&mut self, ended: Ended, hurry: Hurry) {
        let at = self.handed_on + hurry.patience();
        self.hand_on_at = if self.rounds.is_empty() { at } else { self.hand_on_at.min(at) };
        self.rounds.push(ended);
    }

    fn hand_on(&mut self) {
        let now = Instant::now();
        if self.rounds.is_empty() || (now < self.hand_on_at && self.rounds.len() < HAND_OVER_MAX) {
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
        let hand_on = (!self.rounds.is_empty()).then_some(self.hand_on_at);
        let next = [due, self.lines.next_deadline(), hand_on].into_iter().flatten().min();
        next.map_or(WAIT_MAX, |next| next.saturating_duration_since(now)).min(WAIT_MAX)
    }

    fn start_due(&mut self) {
        let now = self.now();
        while let Some(start) = self.schedule.take_due(now, &self.flights) {
            let late = now.saturating_sub(start.due);
            self.lateness.record(late);
            if let Some(Known { target, .. }) = self.targets.get(start.slot) {
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
        let Some(known) = self.targets.get_mut(start.slot) else { return };
        let target = Arc::clone(&known.target);
        let started_at = self.clock.now();
        let ticket = start.ticket;
        let asked = known.question.as_ref().and_then(|question| Some((question, address(question)?)));
        let by = match asked {
            Some((question, to)) => {
                let kept = known.kept.take();
                self.kept -= usize::from(kept.is_some());
                let began = match to {
                    Ok(to) => {
                        let call = Call { question, before: known.raw.as_ref(), to, kept };
                        self.lines.open(ticket, &call, Instant::now())
                    }
                    Err(error) => Began::Over(Err(unreachable(&question.endpoint, &error))),
                };
                match began {
                    Began::At(place) => By::Line(place),
                    Began::Over(outcome) => {
                        self.flights.add(start, target, started_at, By::Nobody);
                        return self.land(Over { ticket, came: Came::This(outcome, None), kept: None });
                    }
                }
            }
            None => {
                let asking = (self.ask)(Arc::clone(&target));
                By::Task(send_out(&self.runtime, &self.inbox, ticket, asking))
            }
        };
        self.flights.add(start, target, started_at, by);
    }

    /// A probe of this thread has ended.
    fn land(&mut self, over: Over) {
        let Over { ticket, came, kept } = over;
        let Some(landed) = self.flights.land(ticket) else { return self.close(kept) };
        match came {
            Came::This(outcome, raw) => {
                self.keep(&landed, kept);
                let raw = raw.map(|raw| self.common.entry(landed.group).or_default().raw(raw));
                self.over(&landed, ticket, Some((Asked::alone(outcome), raw)));
            }
            Came::Same => {
                self.keep(&landed, kept);
                self.said_again(&landed, ticket);
            }
        }
    }

    /// Keeps a connection for the next probe of the same life.
    fn keep(&mut self, landed: &Landed, kept: Option<Place>) {
        let known = self.targets.get_mut(landed.slot).filter(|known| landed.is_of(known));
        match (known, kept) {
            (Some(known), Some(place)) if self.kept < self.kept_max && known.kept.is_none() => {
                known.kept = Some(place);
                self.kept += 1;
            }
            (_, kept) => self.close(kept),
        }
    }

    fn close(&mut self, kept: Option<Place>) {
        if let Some(place) = kept {
            self.lines.close(place);
        }
    }

    /// A target has said what it said before.
    fn said_again(&mut self, landed: &Landed, ticket: Ticket) {
        let known = self.targets.get(landed.slot).filter(|known| landed.is_of(known));
        let Some(said) = known.and_then(|known| known.said.clone()) else {
            // It is asked in another way by now.
            self.finished(landed, ticket, Lane::Prompt);
            return self.ask_again(landed);
        };
        let finished_at = self.clock.now();
        let took = finished_at.since(landed.started_at);
        self.finished(landed, ticket, if took > SLOW_AFTER { Lane::Slow } else { Lane::Prompt });
        self.lateness.ended(took, None);
        let began = landed.started_at;
        let known = self.targets.get_mut(landed.slot);
        let is_waited_for =
            known.and_then(|known| known.waited_since.take_if(|since| *since <= began)).is_some();
        let interval = landed.target.settings.interval;
        let hurry = if is_waited_for { Hurry::Some } else { Hurry::None { interval } };
        self.push(Ended::Round(landed.round(said, finished_at)), hurry);
    }

    /// Nothing came of a probe; where its life goes on, the next one does not wait.
    fn ask_again(&mut self, landed: &Landed) {
        let goes_on = |known: &Known| known.target.epoch == landed.target.epoch;
        if self.targets.get(landed.slot).is_some_and(goes_on) {
            self.schedule.hasten(landed.slot, self.now());
        }
    }

    fn finished(&mut self, landed: &Landed, ticket: Ticket, lane: Lane) {
        let now = self.now();
        if let Some(group) = self.schedule.finish(landed.slot, ticket, now, lane) {
            self.count(group);
        }
    }

    /// A probe is over; nothing came of it where the one who made it broke down.
    fn over(&mut self, landed: &Landed, ticket: Ticket, asked: Option<(Asked, Option<Arc<Raw>>)>) {
        let finished_at = self.clock.now();
        let took = finished_at.since(landed.started_at);
        let failure = asked.as_ref().and_then(|(asked, _)| asked.outcome.as_ref().err());
        let has_hung = matches!(failure, Some(ProbeError::Instance(ProbeFailure::Timeout)));
        let lane = if has_hung || took > SLOW_AFTER { Lane::Slow } else { Lane::Prompt };
        self.finished(landed, ticket, lane);
        let Some((asked, raw)) = asked else { return };
        self.lateness.ended(took, asked.outcome.as_ref().err());
        let mut known = self.targets.get_mut(landed.slot).filter(|known| landed.is_of(known));
        let before = known.as_ref().and_then(|known| known.said.as_ref());
        let common = self.common.entry(landed.group).or_default();
        let ended = ended(landed, asked, (before, common), finished_at);
        if let Some(known) = &mut known {
            known.raw = raw;
            if let Ended::Round(round) = &ended {
                known.said = Some(Arc::clone(&round.observation));
            }
        }
        self.push(ended, Hurry::Some);
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Set(target) => self.set(target),
            Message::Remove(name) => {
                if let Some((slot, known)) = self.targets.remove(&name) {
                    self.forget_kept(known.kept);
                    self.schedule.remove(slot);
                    let left = self.flights.abandon(slot);
                    self.give_up(left);
                    let group = self.group(&name.0);
                    self.count(group);
                }
            }
            Message::Ask(name, after) => {
                if let Some(slot) = self.targets.slot(&name) {
                    let latest = self.now().saturating_add(after);
                    self.schedule.hasten(slot, latest);
                    if let Some(known) = self.targets.get_mut(slot) {
                        known.waited_since = Some(self.clock.now());
                    }
                }
            }
            Message::Over(ticket, asked) => {
                if let Some(landed) = self.flights.land(ticket) {
                    self.over(&landed, ticket, asked.map(|asked| (asked, None)));
                }
            }
            Message::Stop => {}
        }
    }

    fn set(&mut self, mut target: Target) {
        let group = self.group(&target.facts.scale_set);
        target.settings = self.common.entry(group).or_default().settings(target.settings);
        let now = self.now();
        let interval = target.settings.interval;
        let name = (target.facts.scale_set.clone(), target.facts.id.clone());
        let epoch = target.epoch;
        let question = self.question(&target);
        let known = Known::new(target, question);
        if let Some(slot) = self.targets.slot(&name) {
            // It may be elsewhere now, or be asked in another way.
            let old = self.targets.put(slot, known);
            self.forget_kept(old.as_ref().and_then(|old| old.kept));
            self.schedule.set_interval(slot, interval, now);
            if old.is_some_and(|old| epoch > old.target.epoch) {
                self.schedule.renew(slot, now);
                self.count(group);
            }
            return;
        }
        let due = first_due(&name.0, &name.1, interval, now);
        let slot = self.targets.add(name, known);
        self.schedule.insert((slot, group), interval, due);
        self.count(group);
    }

    /// A connection that was kept is of no use any more.
    fn forget_kept(&mut self, kept: Option<Place>) {
        self.kept -= usize::from(kept.is_some());
        self.close(kept);
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
        // What an interface is called may change.
        let has_zone = endpoint.host.contains('%');
        let at = if has_zone { None } else { literal(&endpoint).and_then(Result::ok) };
        Some(Arc::new(Question { endpoint, at, request, settings }))
    }

    fn abandon_all(&mut self) {
        let left = self.flights.abandon_all();
        self.give_up(left);
    }

    fn give_up(&mut self, left: Vec<By>) {
        for by in left {
            match by {
                By::Line(place) => self.lines.close(place),
                By::Task(task) => task.abort(),
                By::Nobody => {}
            }
        }
    }
}

/// Where to connect, as far as that is known now; several addresses are a task's affair, which tries them in turn.
fn address(question: &Question) -> Option<io::Result<SocketAddr>> {
    if let Some(at) = question.at {
        return Some(Ok(at));
    }
    let endpoint = &question.endpoint;
    literal(endpoint).or_else(|| match *names::at_hand(&endpoint.host)? {
        [ip] => Some(Ok(SocketAddr::new(ip, endpoint.port))),
        _ => None,
    })
}
