//! The sockets of running probes: which is whose, and until when each may take.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use tokio::time::Instant;

use crate::probe::failure::{ProbeError, unreachable};
use crate::probe::line::{Line, Progress, Question};
use crate::probe::schedule::Ticket;
use phasegate_core::domain::{ProbeFailure, Response};

/// Bytes that are read at once.
const ROOM: usize = 16 * 1024;

/// The place of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

/// A probe that has ended.
pub(super) type Over = (Ticket, Result<Response, ProbeError>);

/// All sockets.
pub(super) struct Lines {
    registry: Registry,
    all: Vec<Option<Open>>,
    free: Vec<usize>,
    deadlines: BTreeSet<(Instant, Place)>,
    /// Those that have more to read than one turn took.
    more: Vec<Place>,
    room: Vec<u8>,
}

struct Open {
    line: Line,
    ticket: Ticket,
    question: Arc<Question>,
    deadline: Instant,
}

impl Lines {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            all: Vec::new(),
            free: Vec::new(),
            deadlines: BTreeSet::new(),
            more: Vec::new(),
            room: vec![0; ROOM],
        }
    }

    /// Begins a probe. Gives where it is, or what has come of it at once.
    pub(super) fn open(
        &mut self,
        ticket: Ticket,
        question: &Arc<Question>,
        to: SocketAddr,
        now: Instant,
    ) -> Result<Place, Result<Response, ProbeError>> {
        let mut line = Line::open(question, to).map_err(Err)?;
        // On this machine a connection is often there at once; its request then needs no waiting for it.
        match line.advance(question, &mut self.room) {
            Progress::Ended(outcome) => return Err(outcome),
            Progress::Waits | Progress::More => {}
        }
        let place = Place(self.free.pop().unwrap_or(self.all.len()));
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(line.stream(), Token(place.0), both) {
            self.free.push(place.0);
            if place.0 == self.all.len() {
                self.all.push(None);
            }
            return Err(Err(unreachable(&question.endpoint, &error)));
        }
        let deadline = now + question.settings.timeout;
        self.deadlines.insert((deadline, place));
        let open = Open { line, ticket, question: Arc::clone(question), deadline };
        match self.all.get_mut(place.0) {
            Some(free) => *free = Some(open),
            None => self.all.push(Some(open)),
        }
        Ok(place)
    }

    /// Something happened on a socket. Gives the probe when it has ended.
    pub(super) fn advance(&mut self, token: Token) -> Option<Over> {
        let place = Place(token.0);
        let Open { line, question, .. } = self.all.get_mut(place.0)?.as_mut()?;
        match line.advance(question, &mut self.room) {
            Progress::Waits => None,
            Progress::More => {
                self.more.push(place);
                None
            }
            Progress::Ended(outcome) => self.take(place).map(|open| (open.ticket, outcome)),
        }
    }

    /// Goes on with those that have more to read; once for each.
    pub(super) fn resume(&mut self) -> Vec<Over> {
        let more = std::mem::take(&mut self.more);
        more.into_iter().filter_map(|place| self.advance(Token(place.0))).collect()
    }

    /// Whether somebody has more to read.
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// The next probe whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Over> {
        let (deadline, place) = self.deadlines.first().copied()?;
        if now < deadline {
            return None;
        }
        self.take(place).map(|open| (open.ticket, Err(ProbeFailure::Timeout.into())))
    }

    /// When that is.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Ends a probe, whatever would have come of it.
    pub(super) fn abandon(&mut self, place: Place) {
        self.take(place);
    }

    fn take(&mut self, place: Place) -> Option<Open> {
        let open = self.all.get_mut(place.0)?.take()?;
        self.deadlines.remove(&(open.deadline, place));
        self.more.retain(|more| *more != place);
        self.free.push(place.0);
        // The socket leaves what waits for it when it is closed.
        Some(open)
    }
}

/// What can be waited for, and a registry of it for the sockets.
pub(super) fn registry(poll: &mio::Poll) -> io::Result<Registry> {
    poll.registry().try_clone()
}
