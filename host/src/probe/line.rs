//! One plain probe (http or tcp) on a socket that never waits: whoever holds it says when there may be more.
//!
//! Knows no times, and no TLS.

use std::io::{self, ErrorKind, Read as _, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use rustix::net::sockopt::set_socket_linger;

use super::failure::{ProbeError, unreachable};
use super::http;
use super::raw::Raw;
use crate::net::exchange::{Answer, ExchangeError, Reader, ResponseError};
use crate::net::shortage::{is_short_of_ports, shortage_at_connect};
use phasegate_core::domain::{Address, HealthSettings, ProbeConnection, Profile, Response};

/// Most bytes that are read at one turn: then it is another one's.
const BYTES_A_TURN: usize = 64 * 1024;

/// What one target is asked, made once.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) endpoint: Address,
    /// Where that is, if it is no name.
    pub(super) at: Option<SocketAddr>,
    /// None for tcp, where a connection is the answer.
    pub(super) request: Option<Vec<u8>>,
    pub(super) settings: Arc<HealthSettings>,
}

/// How far a probe is.
#[derive(Debug)]
pub(super) enum Progress {
    /// The socket will say when there is more.
    Waits,
    /// There is more at once; others come first.
    More,
    /// It has ended; with the bytes of its answer, where the same can be known again.
    Ended(Result<Response, ProbeError>, Option<Raw>),
    /// It has ended, and its answer is the one before.
    Same,
    /// The connection was kept from a probe before, and was closed meanwhile: that says nothing.
    Stale,
}

/// One probe on its connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    is_connected: bool,
    sent: usize,
    /// Why not all was sent. An answer may be there all the same.
    unsent: Option<io::Error>,
    reader: Reader,
    ends_in_order: bool,
    /// From a probe before.
    is_kept: bool,
    /// Another one may follow.
    keeps: bool,
    /// Nothing more had come when it was read last.
    is_drained: bool,
    /// Its peer has said that nothing more comes.
    has_ended: bool,
}

impl Line {
    /// Begins to connect.
    ///
    /// # Errors
    /// When that fails at once.
    pub(super) fn open(question: &Question, to: SocketAddr) -> Result<Self, ProbeError> {
        let stream = TcpStream::connect(to).map_err(|error| refused(&question.endpoint, &error))?;
        Ok(Self {
            stream,
            is_connected: false,
            sent: 0,
            unsent: None,
            reader: Reader::new(),
            ends_in_order: false,
            is_kept: false,
            keeps: false,
            is_drained: true,
            has_ended: false,
        })
    }

    /// Whether another probe may follow on the connection.
    pub(super) fn keeps(&self) -> bool {
        self.keeps && !self.has_ended
    }

    /// Its peer says nothing more. The end is not read where the answer was whole before it, and is told of once.
    pub(super) fn has_ended(&mut self) {
        self.has_ended = true;
    }

    /// Whether its peer has neither closed it nor said something unasked.
    pub(super) fn is_quiet(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Err(error) if waits(&error))
    }

    /// Begins another probe on the same connection.
    pub(super) fn again(&mut self) {
        self.sent = 0;
        (self.ends_in_order, self.is_kept, self.keeps) = (false, true, false);
    }

    /// The socket, to wait for it.
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Does what can be done without waiting. `room` is for what comes; `before` is the answer before.
    pub(super) fn advance(&mut self, question: &Question, before: Option<&Raw>, room: &mut [u8]) -> Progress {
        let Some(request) = &question.request else { return self.connect(question) };
        if let Some(progress) = self.send(question, request) {
            return progress;
        }
        let may_keep = question.settings.connection == ProbeConnection::Keep && self.sent == request.len();
        match self.read(question, before, room) {
            Ok(Read::Same { keeps }) => {
                self.keeps = keeps && may_keep && self.is_drained;
                self.ends_in_order = true;
                Progress::Same
            }
            // A server that gave up waiting on a connection that lay idle did not hear the question.
            Ok(Read::Whole(answer, _)) if self.is_kept && answer.status == REQUEST_TIMEOUT => Progress::Stale,
            Ok(Read::Whole(answer, at_once)) => {
                let keeps = answer.keeps;
                let response = http::response(&question.endpoint, Ok(answer));
                self.ends_in_order = response.is_ok();
                self.keeps = keeps && may_keep && response.is_ok() && self.is_drained;
                let bytes = at_once.filter(|_| response.is_ok()).and_then(|length| room.get(..length));
                let raw = bytes.map(|bytes| Raw::new((bytes, keeps), &question.settings.headers));
                Progress::Ended(response, raw)
            }
            Ok(Read::Part) => Progress::Waits,
            Err(Stopped::Turn) => Progress::More,
            Err(Stopped::Failed(error)) => {
                if self.is_kept && self.reader.is_untouched() {
                    return Progress::Stale;
                }
                let error = match (error, self.unsent.take()) {
                    // It was closed at once: why, the write knows better.
                    (ExchangeError::Response(ResponseError::Nothing), Some(unsent)) => {
                        ExchangeError::Io(unsent)
                    }
                    (error, _) => error,
                };
                Progress::Ended(http::response(&question.endpoint, Err(error)), None)
            }
        }
    }

    /// Does what comes first, before anybody waits for the socket: what has come by then is told of as soon as somebody
    /// does, and so is what comes later.
    pub(super) fn start(&mut self, question: &Question) -> Progress {
        let Some(request) = &question.request else { return self.connect(question) };
        match self.send(question, request) {
            Some(progress) => progress,
            None if self.unsent.is_some() => self.advance(question, None, &mut [0; 1024]),
            None => Progress::Waits,
        }
    }

    /// Sends what is left of the request. None where an answer may be read.
    fn send(&mut self, question: &Question, request: &[u8]) -> Option<Progress> {
        if self.unsent.is_some() || self.sent == request.len() {
            return None;
        }
        match self.write(request) {
            Ok(()) => {}
            Err(error) if !self.is_connected && is_of_connecting(&error) => {
                return Some(Progress::Ended(Err(refused(&question.endpoint, &error)), None));
            }
            Err(_) if self.is_kept => return Some(Progress::Stale),
            Err(error) => self.unsent = Some(error),
        }
        // Nothing comes before a connection is there.
        (!self.is_connected && self.unsent.is_none()).then_some(Progress::Waits)
    }

    /// A connection is all that is asked for.
    fn connect(&mut self, question: &Question) -> Progress {
        let failed = match self.stream.take_error() {
            Ok(None) => match self.stream.peer_addr() {
                Ok(_) => None,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Progress::Waits,
                Err(error) => Some(error),
            },
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = failed {
            return Progress::Ended(Err(refused(&question.endpoint, &error)), None);
        }
        // As the real extension does in its profile.
        self.ends_in_order = question.settings.profile == Profile::Fleet;
        Progress::Ended(Ok(Response { status: 0, headers: Vec::new(), body: Vec::new() }), None)
    }

    fn write(&mut self, request: &[u8]) -> io::Result<()> {
        while let Some(rest) = request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.is_connected = true;
                    self.sent += written;
                }
                Err(error) if waits(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; an answer when it is whole.
    fn read(&mut self, question: &Question, before: Option<&Raw>, room: &mut [u8]) -> Result<Read, Stopped> {
        let reading = http::reading(&question.settings);
        let mut taken = 0;
        loop {
            let length = match self.stream.read(room) {
                Ok(0) if self.is_kept && self.reader.is_untouched() => {
                    return Err(ResponseError::Nothing.into());
                }
                Ok(0) => return Ok(Read::Whole(self.reader().closed(reading)?, None)),
                Ok(length) => length,
                Err(error) if waits(&error) => return Ok(Read::Part),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Stopped::Failed(ExchangeError::Io(error))),
            };
            self.is_connected = true;
            self.is_drained = length < room.len();
            let bytes = room.get(..length).unwrap_or_default();
            let is_first = self.reader.is_untouched();
            if is_first && let Some(before) = before.filter(|before| before.is_same(bytes)) {
                return Ok(Read::Same { keeps: before.keeps });
            }
            self.reader.buffer().extend_from_slice(bytes);
            if self.reader.take(reading)? {
                return Ok(Read::Whole(self.reader().whole(reading)?, is_first.then_some(length)));
            }
            taken += length;
            if taken >= BYTES_A_TURN {
                return Err(Stopped::Turn);
            }
        }
    }

    /// What was read; it is over with this one.
    fn reader(&mut self) -> Reader {
        std::mem::replace(&mut self.reader, Reader::new())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.ends_in_order || is_short_of_ports() {
            // Refused only when the peer is gone already.
            _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}

/// What was read.
enum Read {
    /// The answer before, byte for byte.
    Same { keeps: bool },
    /// A whole answer; with how many bytes it was, where these came at once.
    Whole(Answer, Option<usize>),
    /// Not all of it.
    Part,
}

/// Says a server that has waited for a request for too long.
const REQUEST_TIMEOUT: u16 = 408;

/// Why nothing more is read now.
enum Stopped {
    Turn,
    Failed(ExchangeError),
}

impl From<ResponseError> for Stopped {
    fn from(error: ResponseError) -> Self {
        Self::Failed(error.into())
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// Whether a write failed because there is no connection. A reset may also come after an answer.
fn is_of_connecting(error: &io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn refused(address: &Address, error: &io::Error) -> ProbeError {
    match shortage_at_connect(error) {
        Some(short_of) => ProbeError::Host(short_of),
        None => unreachable(address, error),
    }
}
