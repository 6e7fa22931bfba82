//! The sockets of probes: which is whose, and until when each may take. A connection that is kept stays where it is
//! until the next probe, so that nothing has to be said of it to the system in between.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use tokio::time::Instant;

use crate::probe::failure::{ProbeError, unreachable};
use crate::probe::line::{Line, Progress, Question};
use crate::probe::raw::Raw;
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
    pub(super) came: Came,
    /// Its connection, where another probe may follow on it; whoever does not want it closes it.
    pub(super) kept: Option<Place>,
}

/// What came of a probe.
pub(super) enum Came {
    /// This; with the bytes of the answer, where the same can be known again.
    This(Result<Response, ProbeError>, Option<Raw>),
    /// The answer before.
    Same,
}

/// Whether everything that happened on sockets has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// It has.
    AtAll,
    /// There was more than is looked at in one turn.
    AtSome,
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
    looked: Looked,
}

struct Open {
    /// Where it leads.
    to: SocketAddr,
    /// None where it was closed while nobody was asked.
    line: Option<Box<Line>>,
    /// None while nobody is asked.
    asking: Option<Asking>,
}

struct Asking {
    ticket: Ticket,
    question: Arc<Question>,
    before: Option<Arc<Raw>>,
    deadline: Instant,
}

/// What is asked, and where.
pub(super) struct Call<'a> {
    pub(super) question: &'a Arc<Question>,
    /// The answer before.
    pub(super) before: Option<&'a Arc<Raw>>,
    pub(super) to: SocketAddr,
    /// The connection that was kept for it.
    pub(super) kept: Option<Place>,
}

/// How a probe began.
pub(super) enum Began {
    /// It goes on here.
    At(Place),
    /// It is over as soon as it began.
    Over(Result<Response, ProbeError>),
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
            looked: Looked::AtAll,
        }
    }

    /// Begins a probe, on a connection that was kept or on a new one.
    pub(super) fn open(&mut self, ticket: Ticket, call: &Call<'_>, now: Instant) -> Began {
        let Call { question, before, to, kept } = *call;
        let deadline = now + question.settings.timeout;
        let asking = |line| {
            let (question, before) = (Arc::clone(question), before.cloned());
            Open { to, line: Some(line), asking: Some(Asking { ticket, question, before, deadline }) }
        };
        if let Some((place, line)) = kept.and_then(|place| Some((place, self.again((question, to), place)?)))
        {
            self.put(place, asking(line));
            self.deadlines.insert((deadline, place));
            return Began::At(place);
        }
        let mut line = match Line::open(question, to) {
            Ok(line) => Box::new(line),
            Err(error) => return Began::Over(Err(error)),
        };
        // On this machine a connection is often there at once; its request then needs no waiting for it.
        if let Progress::Ended(outcome, _) = line.start(question) {
            return Began::Over(outcome);
        }
        let place = Place(self.free.pop().unwrap_or(self.all.len()));
        if place.0 == self.all.len() {
            self.all.push(None);
        }
        if let Err(error) = register(&self.registry, &mut line, place) {
            self.free.push(place.0);
            return Began::Over(Err(unreachable(&question.endpoint, &error)));
        }
        self.put(place, asking(line));
        self.deadlines.insert((deadline, place));
        Began::At(place)
    }

    /// A connection that was kept, with the next request on its way. One that is of no use any more is closed: also
    /// one that leads elsewhere than its target's name does by now.
    fn again(&mut self, (question, to): (&Question, SocketAddr), place: Place) -> Option<Box<Line>> {
        let open = self.all.get_mut(place.0).and_then(Option::as_mut).filter(|open| open.to == to);
        let line = open.and_then(|open| open.line.take());
        let looked = self.looked;
        let usable = line.and_then(|mut line| {
            // What has not been looked at may be an end, or something unasked.
            if looked == Looked::AtSome && !line.is_quiet() {
                return None;
            }
            line.again();
            matches!(line.start(question), Progress::Waits).then_some(line)
        });
        if usable.is_none() {
            self.close(place);
        }
        usable
    }

    fn put(&mut self, place: Place, open: Open) {
        if let Some(there) = self.all.get_mut(place.0) {
            *there = Some(open);
        }
    }

    /// What happened on sockets was looked at.
    pub(super) fn looked(&mut self, looked: Looked) {
        self.looked = looked;
    }

    /// The peer of a socket says nothing more; what it has said is still to be read.
    pub(super) fn peer_has_ended(&mut self, token: Token) {
        let open = self.all.get_mut(token.0).and_then(Option::as_mut);
        open.and_then(|open| open.line.as_mut()).into_iter().for_each(|line| line.has_ended());
    }

    /// Something happened on a socket. Gives the probe when it has ended.
    pub(super) fn advance(&mut self, token: Token) -> Option<Over> {
        let place = Place(token.0);
        let Open { line, asking, .. } = self.all.get_mut(place.0)?.as_mut()?;
        let Some(Asking { question, before, .. }) = asking else {
            // Its peer has closed it, or says something unasked: none may follow on it.
            line.take_if(|line| !line.is_quiet());
            return None;
        };
        let mut progress = line.as_mut()?.advance(question, before.as_deref(), &mut self.room);
        if let Progress::Stale = progress {
            progress = self.renew(place)?;
        }
        let came = match progress {
            // A new connection is never stale.
            Progress::Waits | Progress::Stale => return None,
            Progress::More => {
                self.more.push(place);
                return None;
            }
            Progress::Ended(outcome, raw) => Came::This(outcome, raw),
            Progress::Same => Came::Same,
        };
        let (ticket, kept) = self.end(place)?;
        Some(Over { ticket, came, kept })
    }

    /// A probe has ended; its connection stays where another one may follow.
    fn end(&mut self, place: Place) -> Option<(Ticket, Option<Place>)> {
        let open = self.all.get_mut(place.0)?.as_mut()?;
        let asking = open.asking.take()?;
        let keeps = open.line.as_ref().is_some_and(|line| line.keeps());
        self.deadlines.remove(&(asking.deadline, place));
        if !keeps {
            self.close(place);
        }
        Some((asking.ticket, keeps.then_some(place)))
    }

    /// A connection that was kept was closed meanwhile: once more on a new one, in what is left of the time.
    fn renew(&mut self, place: Place) -> Option<Progress> {
        let open = self.all.get_mut(place.0)?.as_mut()?;
        let Asking { question, .. } = open.asking.as_ref()?;
        let mut line = match Line::open(question, open.to) {
            Ok(line) => Box::new(line),
            Err(error) => return Some(Progress::Ended(Err(error), None)),
        };
        let progress = line.start(question);
        if let Err(error) = register(&self.registry, &mut line, place) {
            return Some(Progress::Ended(Err(unreachable(&question.endpoint, &error)), None));
        }
        open.line = Some(line);
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
        while let Some((deadline, place)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            // Whatever else is there by now: an entry that stayed would hold up all that come after it.
            self.deadlines.remove(&(deadline, place));
            let open = self.all.get(place.0).and_then(Option::as_ref);
            let asking = open.and_then(|open| open.asking.as_ref()).filter(|it| it.deadline == deadline);
            let Some(ticket) = asking.map(|asking| asking.ticket) else {
                debug_assert!(false, "a time limit of nobody");
                continue;
            };
            self.close(place);
            return Some(Over {
                ticket,
                came: Came::This(Err(ProbeFailure::Timeout.into()), None),
                kept: None,
            });
        }
        None
    }

    /// When that is.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Ends a probe, whatever would have come of it, or a connection that was kept.
    pub(super) fn close(&mut self, place: Place) {
        let Some(open) = self.all.get_mut(place.0).and_then(Option::take) else { return };
        if let Some(asking) = open.asking {
            self.deadlines.remove(&(asking.deadline, place));
        }
        self.more.retain(|more| *more != place);
        self.free.push(place.0);
        // The socket leaves what waits for it when it is closed.
    }
}

/// Waits for a socket from now on.
fn register(registry: &Registry, line: &mut Line, place: Place) -> io::Result<()> {
    registry.register(line.stream(), Token(place.0), Interest::READABLE | Interest::WRITABLE)
}

/// What can be waited for, and a registry of it for the sockets.
pub(super) fn registry(poll: &mio::Poll) -> io::Result<Registry> {
    poll.registry().try_clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::http;
    use crate::probe::testing::{PATIENCE, settings};
    use mio::{Events, Poll};
    use phasegate_core::domain::{Address, HealthSettings, ProbeConnection, ProbeProtocol};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    /// Says who it is, to everybody, on connections that stay.
    fn server(name: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move |mut stream: std::net::TcpStream| {
            while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || serve(stream))))
        });
        address
    }

    /// Asks there, on a connection that was kept if there is one; what was answered, and the connection.
    fn asked(
        lines: &mut Lines,
        poll: &mut Poll,
        to: SocketAddr,
        kept: Option<Place>,
    ) -> (String, Option<Place>) {
        let settings =
            Arc::new(HealthSettings { connection: ProbeConnection::Keep, ..settings(ProbeProtocol::Http) });
        let endpoint = Address { host: "db.example".to_owned(), port: 80 };
        let request = Some(http::request(&endpoint, &settings).unwrap());
        let question = Arc::new(Question { endpoint, at: None, request, settings });
        let call = Call { question: &question, before: None, to, kept };
        assert!(matches!(lines.open(Ticket::numbered(1), &call, Instant::now()), Began::At(_)));
        let mut events = Events::with_capacity(16);
        loop {
            poll.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(!events.is_empty(), "nobody answers");
            for event in &events {
                if let Some(Over { came: Came::This(Ok(response), _), kept, .. }) =
                    lines.advance(event.token())
                {
                    return (String::from_utf8(response.body).unwrap(), kept);
                }
            }
        }
    }

    #[test]
    fn a_connection_is_kept_for_as_long_as_the_name_leads_there() {
        let mut poll = Poll::new().unwrap();
        let mut lines = Lines::new(registry(&poll).unwrap());
        let (before, after) = (server("before"), server("after"));
        let (said, kept) = asked(&mut lines, &mut poll, before, None);
        let first = kept.unwrap();
        assert_eq!(said, "before");
        let (said, kept) = asked(&mut lines, &mut poll, before, kept);
        assert_eq!((said.as_str(), kept), ("before", Some(first)));
        let (said, _) = asked(&mut lines, &mut poll, after, kept);
        assert_eq!(said, "after");
    }
}
