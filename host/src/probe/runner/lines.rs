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
pub(super) struct Over {
    pub(super) ticket: Ticket,
    pub(super) outcome: Result<Response, ProbeError>,
    /// Its connection, where another probe may follow on it.
    pub(super) line: Option<Box<Line>>,
}

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
    line: Box<Line>,
    ticket: Ticket,
    question: Arc<Question>,
    to: SocketAddr,
    deadline: Instant,
}

/// How a probe began.
pub(super) enum Began {
    /// It goes on here.
    At(Place),
    /// It is over, and its connection may be used again.
    Over(Result<Response, ProbeError>, Option<Box<Line>>),
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

    /// Begins a probe, on a connection that was kept or on a new one.
    pub(super) fn open(
        &mut self,
        ticket: Ticket,
        question: &Arc<Question>,
        (to, kept): (SocketAddr, Option<Box<Line>>),
        now: Instant,
    ) -> Began {
        let (mut line, progress) = match self.begin(question, to, kept.and_then(|line| line.again())) {
            Ok(begun) => begun,
            Err(error) => return Began::Over(Err(error), None),
        };
        if let Progress::Ended(outcome) = progress {
            let line = line.keeps().then_some(line);
            return Began::Over(outcome, line);
        }
        let place = Place(self.free.pop().unwrap_or(self.all.len()));
        if place.0 == self.all.len() {
            self.all.push(None);
        }
        if let Err(error) = register(&self.registry, &mut line, place) {
            self.free.push(place.0);
            return Began::Over(Err(unreachable(&question.endpoint, &error)), None);
        }
        let deadline = now + question.settings.timeout;
        self.deadlines.insert((deadline, place));
        let open = Open { line, ticket, question: Arc::clone(question), to, deadline };
        if let Some(free) = self.all.get_mut(place.0) {
            *free = Some(open);
        }
        Began::At(place)
    }

    /// The first step of a probe. On this machine a connection is often there at once; its request then needs no
    /// waiting for it. One that was kept and is closed by now is made anew, once.
    fn begin(
        &mut self,
        question: &Question,
        to: SocketAddr,
        kept: Option<Box<Line>>,
    ) -> Result<(Box<Line>, Progress), ProbeError> {
        if let Some(mut line) = kept {
            match line.advance(question, &mut self.room) {
                Progress::Stale => {}
                progress => return Ok((line, progress)),
            }
        }
        let mut line = Box::new(Line::open(question, to)?);
        let progress = line.advance(question, &mut self.room);
        Ok((line, progress))
    }

    /// Something happened on a socket. Gives the probe when it has ended.
    pub(super) fn advance(&mut self, token: Token) -> Option<Over> {
        let place = Place(token.0);
        let Open { line, question, .. } = self.all.get_mut(place.0)?.as_mut()?;
        let mut progress = line.advance(question, &mut self.room);
        if let Progress::Stale = progress {
            progress = self.renew(place)?;
        }
        match progress {
            // A new connection is never stale.
            Progress::Waits | Progress::Stale => None,
            Progress::More => {
                self.more.push(place);
                None
            }
            Progress::Ended(outcome) => {
                let Open { line, ticket, .. } = self.take(place)?;
                Some(Over { ticket, outcome, line: line.keeps().then_some(line) })
            }
        }
    }

    /// A connection that was kept was closed meanwhile: once more on a new one, in what is left of the time.
    fn renew(&mut self, place: Place) -> Option<Progress> {
        let Open { question, to, .. } = self.all.get(place.0)?.as_ref()?;
        let (question, to) = (Arc::clone(question), *to);
        let (mut line, progress) = match self.begin(&question, to, None) {
            Ok(begun) => begun,
            Err(error) => return Some(Progress::Ended(Err(error))),
        };
        if let Err(error) = register(&self.registry, &mut line, place) {
            return Some(Progress::Ended(Err(unreachable(&question.endpoint, &error))));
        }
        self.all.get_mut(place.0)?.as_mut()?.line = line;
        Some(progress)
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
        let Open { ticket, .. } = self.take(place)?;
        Some(Over { ticket, outcome: Err(ProbeFailure::Timeout.into()), line: None })
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

/// Waits for a socket from now on. One that was kept is known already, under another place.
fn register(registry: &Registry, line: &mut Line, place: Place) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    if line.is_kept() && registry.reregister(line.stream(), Token(place.0), both).is_ok() {
        return Ok(());
    }
    registry.register(line.stream(), Token(place.0), both)
}

/// What can be waited for, and a registry of it for the sockets.
pub(super) fn registry(poll: &mio::Poll) -> io::Result<Registry> {
    poll.registry().try_clone()
}
