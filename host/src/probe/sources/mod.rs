//! Further sources of an observation: requests, dialogues and programs beside the probe of the health settings, or in
//! its place, all in the same round.
//!
//! Tasks of the runtime; the thread of the probes knows them as one probe that takes as long as the slowest of them.
//! Judges nothing: what an answer means is the plugin's word. Follows no redirect and trusts no unknown certificate,
//! because what is sent here may be a secret.

mod dialogue;
mod exec;
mod request;
mod room;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Target;
use super::failure::{self, ProbeError};
use crate::net::dial::dial;
use crate::net::placed::{Facts, in_text};
use crate::net::shortage::shortage_at_connect;
use phasegate_core::domain::source::{Source, SourceKind, SourcePlace};
use phasegate_core::domain::{Address, Answer, ProbeFailure, Response, Shortage};

/// What came of a source: an answer, or why there is none.
pub(super) type Outcome = Result<Response, ProbeError>;

/// How many sources that are programs have waited for a place for longer than they may run.
pub(super) fn kept_waiting() -> u64 {
    room::kept_waiting()
}

/// What the files of these sources say now: for those who show answers, in which some of it may come back. A file that
/// cannot be read says nothing.
pub async fn secrets(sources: &[Source]) -> Vec<String> {
    let mut all = Vec::new();
    for source in sources {
        let credentials = match &source.ask {
            SourceKind::Http(http) => http.credentials.as_ref(),
            SourceKind::Tcp(tcp) => tcp.credentials.as_ref(),
            SourceKind::Exec(_) => None,
        };
        let Some(credentials) = credentials else { continue };
        if let Ok(secret) = secret::read(credentials).await {
            all.extend(secret.texts());
        }
    }
    all
}

/// Asks all further sources of a target side by side; the answers come in the order of the configuration.
///
/// # Errors
/// When the host is short of what it takes to ask.
pub(super) async fn ask_all(target: &Arc<Target>) -> Result<Vec<Answer>, Shortage> {
    let mut asking = JoinSet::new();
    for index in 0..target.settings.sources.len() {
        let target = Arc::clone(target);
        asking.spawn(async move {
            let outcome = match target.settings.sources.get(index) {
                Some(source) => one(source, &target).await,
                None => Err(ProbeFailure::Timeout.into()),
            };
            (index, outcome)
        });
    }
    let mut outcomes: Vec<Option<Outcome>> = target.settings.sources.iter().map(|_| None).collect();
    // One whose task broke down has no outcome: that it did not answer is all that is known.
    while let Some(ended) = asking.join_next().await {
        if let Ok((index, outcome)) = ended
            && let Some(place) = outcomes.get_mut(index)
        {
            *place = Some(outcome);
        }
    }
    let named = target.settings.sources.iter().zip(outcomes);
    let answer = |(source, outcome): (&Source, Option<Outcome>)| {
        let outcome = match outcome.unwrap_or_else(|| Err(ProbeFailure::Timeout.into())) {
            Ok(response) => Ok(response),
            Err(ProbeError::Instance(failure)) => Err(failure),
            Err(ProbeError::Host(short_of)) => return Err(short_of),
        };
        Ok(Answer { source: source.name.clone(), outcome })
    };
    named.map(answer).collect()
}

/// Asks one source once, within its time.
async fn one(source: &Source, target: &Target) -> Outcome {
    let _room = match &source.ask {
        SourceKind::Exec(_) => Some(room::ROOM.place(&target.facts.scale_set, source.timeout).await),
        SourceKind::Http(_) | SourceKind::Tcp(_) => None,
    };
    let asking = async {
        match &source.ask {
            SourceKind::Http(http) => request::ask(http, source.body_max, target).await,
            SourceKind::Tcp(tcp) => dialogue::ask(tcp, source.body_max, target).await,
            SourceKind::Exec(exec) => exec::run(exec, source.body_max, target).await,
        }
    };
    timeout(source.timeout, asking).await.unwrap_or_else(|_| Err(ProbeFailure::Timeout.into()))
}

/// What an instance is, for what is put into texts.
fn facts(target: &Target) -> Facts<'_> {
    Facts { id: &target.facts.id, address: &target.address, labels: &target.facts.labels }
}

/// Where a source of this instance is.
fn place(at: &SourcePlace, target: &Target) -> Address {
    let host = at.host.as_deref().map(|host| in_text(host, facts(target)));
    Address {
        host: host.unwrap_or_else(|| target.address.host.clone()),
        port: at.port.unwrap_or(target.address.port),
    }
}

/// A new connection.
async fn connect(address: &Address) -> Result<TcpStream, ProbeError> {
    dial(address).await.map_err(|error| match shortage_at_connect(&error) {
        Some(short_of) => ProbeError::Host(short_of),
        None => failure::unreachable(address, &error),
    })
}
