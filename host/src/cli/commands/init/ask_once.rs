//! Each instance asked once, for a first impression: whether it can be reached as the configuration says.
//!
//! No judgement: the host's own probes and its plugins do that.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::answers::Given;
use crate::cli::args::InitProtocol;
use phasegate_core::domain::Address;

/// Longest wait for one step of one instance.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many are asked at once.
const AT_ONCE: usize = 32;

/// What the default plugin reads.
const STATE: &str = "ApplicationHealthState";

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    answered: usize,
    /// Answered with something that `azure-health` has no word for.
    plain: usize,
    /// The first that did not answer, and why.
    silent: Vec<String>,
}

enum Answer {
    Good,
    Plain,
}

/// Asks all of them.
pub(super) fn all(given: &Given) -> Reached {
    let mut reached = Reached::default();
    for some in given.addresses.chunks(AT_ONCE) {
        let answers = std::thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|one| scope.spawn(|| ask(one, given))).collect();
            asked.into_iter().map(|one| one.join()).collect::<Vec<_>>()
        });
        for (address, answer) in some.iter().zip(answers) {
            match answer {
                Ok(Ok(answer)) => {
                    reached.answered += 1;
                    reached.plain += usize::from(matches!(answer, Answer::Plain));
                }
                Ok(Err(error)) => reached.silent.push(format!("{address}: {error}")),
                Err(_) => reached.silent.push(format!("{address}: could not be asked")),
            }
        }
    }
    reached
}

impl Reached {
    /// For people.
    pub(super) fn said(&self, of: usize) -> String {
        let Self { answered, plain, silent } = self;
        let mut text = format!("{answered} of {of} instances answered\n");
        for line in silent.iter().take(5) {
            text.push_str(&format!("  {line}\n"));
        }
        if silent.len() > 5 {
            text.push_str(&format!("  and {} more\n", silent.len() - 5));
        }
        if *plain > 0 {
            text.push_str(&format!(
                "{plain} of them did not say {{\"{STATE}\": \"Healthy\"}}, which the plugin azure-health reads: choose \
                 another path, --protocol tcp, or a plugin of your own\n"
            ));
        }
        text
    }
}

fn ask(address: &Address, given: &Given) -> std::io::Result<Answer> {
    let mut stream = connect(address)?;
    if given.protocol != InitProtocol::Http {
        return Ok(Answer::Good);
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let slash = if given.path.starts_with('/') { "" } else { "/" };
    let request =
        format!("GET {slash}{} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", given.path);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Who closes late has answered all the same.
    let ended = stream.take(64 * 1024).read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).map(str::to_owned);
    match status {
        Some(status) if status.starts_with('2') && text.contains(STATE) => Ok(Answer::Good),
        Some(_) => Ok(Answer::Plain),
        None => Err(ended.err().unwrap_or_else(|| std::io::Error::other("does not speak HTTP"))),
    }
}

fn connect(address: &Address) -> std::io::Result<TcpStream> {
    let mut last = None;
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("has no address")))
}
