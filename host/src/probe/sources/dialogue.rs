//! A source that is a dialogue over a connection: a text is sent, and read until what is expected has come.
//!
//! What came after the last text is the answer, up to and with what was expected, or up to the close of the other
//! side. Knows no protocol: how Redis or memcached speak stands in the configuration.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::secret::{self, Secret};
use super::{Outcome, connect, facts, place};
use crate::net::placed::in_text;
use crate::net::text::one_line;
use crate::probe::Target;
use crate::probe::failure::{self, ProbeError};
use phasegate_core::domain::source::TcpSource;
use phasegate_core::domain::{Address, ProbeFailure, Response};

/// Status of a dialogue that went as it was to go.
const STATUS_DONE: u16 = 200;

/// Status of a connection that opened, where nothing was to be said or heard.
const STATUS_OPEN: u16 = 0;

/// How much is read at once.
const READ_AT_ONCE: usize = 4 * 1024;

/// How much of an answer that was not expected is quoted.
const QUOTED: usize = 80;

/// Holds the dialogue.
pub(super) async fn ask(source: &TcpSource, body_max: usize, target: &Target) -> Outcome {
    let TcpSource { at, send, expect, credentials } = source;
    let secret = match credentials {
        Some(credentials) => Some(secret::read(credentials).await?),
        None => None,
    };
    let address = place(at, target);
    let mut stream = connect(&address).await?;
    let turns = send.len().max(expect.len());
    let mut heard = Heard { all: 0, body_max, rest: Vec::new() };
    let mut body = Vec::new();
    for turn in 0..turns {
        if let Some(text) = send.get(turn) {
            let text = in_text(text, facts(target));
            let text = secret.as_ref().map_or(text.clone(), |secret| secret.placed(&text));
            match stream.write_all(text.as_bytes()).await {
                // It has closed because of what it was told before; why, it may have said.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                sent => sent.map_err(|error| failure::broken(&address, &error))?,
            }
        }
        let expected = expect.get(turn).map(|text| in_text(text, facts(target)));
        body = match &expected {
            Some(expected) => until(&mut stream, &mut heard, expected, (&address, secret.as_ref())).await?,
            // In the last turn everything up to the close is the answer; in one before nothing is waited for.
            None if turn + 1 == turns => to_the_end(&mut stream, &mut heard, &address).await?,
            None => Vec::new(),
        };
    }
    let status = if turns == 0 { STATUS_OPEN } else { STATUS_DONE };
    Ok(Response { status, headers: Vec::new(), body })
}

/// What has been read.
struct Heard {
    /// How many bytes in all.
    all: usize,
    body_max: usize,
    /// Not looked at yet.
    rest: Vec<u8>,
}

impl Heard {
    /// Reads some more; gives whether there was any.
    async fn more(&mut self, stream: &mut TcpStream, address: &Address) -> Result<bool, ProbeError> {
        self.rest.reserve(READ_AT_ONCE);
        let count =
            stream.read_buf(&mut self.rest).await.map_err(|error| failure::broken(address, &error))?;
        self.all += count;
        if self.all > self.body_max {
            return Err(ProbeFailure::BodyTooLarge(u64::try_from(self.body_max).unwrap_or(u64::MAX)).into());
        }
        Ok(count > 0)
    }
}

/// Reads until the text has come, with it.
async fn until(
    stream: &mut TcpStream,
    heard: &mut Heard,
    expected: &str,
    (address, secret): (&Address, Option<&Secret>),
) -> Result<Vec<u8>, ProbeError> {
    let wanted = expected.as_bytes();
    let mut searched = 0;
    loop {
        let fresh = heard.rest.get(searched..).unwrap_or_default();
        if let Some(found) = fresh.windows(wanted.len().max(1)).position(|window| window == wanted) {
            let rest = heard.rest.split_off(searched + found + wanted.len());
            return Ok(std::mem::replace(&mut heard.rest, rest));
        }
        searched = heard.rest.len().saturating_sub(wanted.len());
        if !heard.more(stream, address).await? {
            return Err(unexpected(expected, &heard.rest, secret));
        }
    }
}

/// The other side has closed without saying it. What it said is quoted, but for secrets that it may have repeated.
fn unexpected(expected: &str, said: &[u8], secret: Option<&Secret>) -> ProbeError {
    let said = String::from_utf8_lossy(said.get(..said.len().min(QUOTED)).unwrap_or_default()).into_owned();
    let parts = match secret {
        None => Vec::new(),
        Some(Secret::Token(token)) => vec![token],
        Some(Secret::Password { username: _, password }) => vec![password],
    };
    let said = parts.into_iter().fold(said, |said, secret| said.replace(secret.as_str(), "…"));
    failure::invalid(&one_line(&format!(
        "expected {expected:?} before the connection was closed, got {said:?}"
    )))
}

/// Reads up to the close.
async fn to_the_end(
    stream: &mut TcpStream,
    heard: &mut Heard,
    address: &Address,
) -> Result<Vec<u8>, ProbeError> {
    while heard.more(stream, address).await? {}
    Ok(std::mem::take(&mut heard.rest))
}
