//! Host names to addresses, off the path of whoever asks: for probes, agents, fetches and the command line alike.
//!
//! One thread asks the servers of names. What they answered is kept as long as they say, and asked for again before
//! that is over while it is in use. A server that does not answer touches names alone: not the one who asks for an
//! address, and not the end of the program. Lists of names (SRV, and all addresses of one) are asked for anew each time, and
//! whole: who counts members by them must not miss one. Connects to nothing.

mod ask;
mod known;
mod lists;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use known::{Known, Standing};

/// Addresses of a name; at least one.
pub(crate) type Found = Arc<[IpAddr]>;

/// How long an answer is waited for where there is an older one that will do.
const OLD_AFTER: Duration = Duration::from_millis(500);

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookUpError {
    /// A server of names says so.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name is there for something else.
    #[error("the name has no address")]
    NoAddress,
    /// None of the servers has said anything.
    #[error("no server of names answers for it")]
    Silent,
    /// The server, or the way to it.
    #[error("the name cannot be looked up: {0}")]
    Failed(String),
    /// There is no thread for it.
    #[error("names cannot be looked up: the machine gives no thread for it")]
    NoThread,
}

impl LookUpError {
    /// Whether a server has said that there is none: then what was known before is over.
    fn is_answer(&self) -> bool {
        match self {
            Self::NoSuchName | Self::NoAddress => true,
            Self::Silent | Self::Failed(_) | Self::NoThread => false,
        }
    }
}

impl From<LookUpError> for io::Error {
    fn from(error: LookUpError) -> Self {
        Self::new(io::ErrorKind::NotFound, error)
    }
}

/// The names of this process.
static OF_THE_PROCESS: OnceLock<Names> = OnceLock::new();

/// Says which servers of names this process asks; none are those of the system. Counts when nothing was looked up
/// before.
pub fn use_resolvers(resolvers: &[SocketAddr]) {
    _ = OF_THE_PROCESS.set(Names::new(resolvers.to_vec()));
}

/// Looks a name up as this process does.
///
/// # Errors
/// When it has no address, or nobody says which.
pub(crate) async fn look_up(host: &str) -> Result<Found, LookUpError> {
    OF_THE_PROCESS.get_or_init(|| Names::new(Vec::new())).look_up(host).await
}

/// The addresses of a name, where they are known and count: nobody waits for that.
pub(crate) fn at_hand(host: &str) -> Option<Found> {
    OF_THE_PROCESS.get_or_init(|| Names::new(Vec::new())).at_hand(host)
}

/// The services that a name has (SRV): host and port of each, anew.
///
/// # Errors
/// When there are none, or nobody says which.
pub(crate) async fn services(name: &str) -> Result<Vec<(String, u16)>, LookUpError> {
    lists::services(&OF_THE_PROCESS.get_or_init(|| Names::new(Vec::new())).resolvers, name).await
}

/// All addresses of a name, of both families, anew.
///
/// # Errors
/// When it has none, or it is not known whether those are all.
pub(crate) async fn all_addresses(host: &str) -> Result<Vec<IpAddr>, LookUpError> {
    lists::addresses(&OF_THE_PROCESS.get_or_init(|| Names::new(Vec::new())).resolvers, host).await
}

/// A question for the thread.
struct Ask {
    host: Box<str>,
    /// None where an answer is at hand, and is only asked for anew.
    reply: Option<oneshot::Sender<Result<Found, LookUpError>>>,
}

/// What is known of names, and the thread that asks for them.
struct Names {
    resolvers: Vec<SocketAddr>,
    known: Arc<Known>,
    /// Started by the first name: most fleets are addresses.
    asks: OnceLock<Option<mpsc::UnboundedSender<Ask>>>,
}

impl Names {
    fn new(resolvers: Vec<SocketAddr>) -> Self {
        Self { resolvers, known: Arc::default(), asks: OnceLock::new() }
    }

    fn at_hand(&self, host: &str) -> Option<Found> {
        match self.known.standing(host, Instant::now()) {
            Standing::Fresh(found) => Some(found),
            Standing::Ageing(found) => {
                // The thread is there, or there would be no answer.
                _ = self.ask(Ask { host: host.into(), reply: None });
                Some(found)
            }
            Standing::Failed(_) | Standing::Old(_) | Standing::Unknown => None,
        }
    }

    async fn look_up(&self, host: &str) -> Result<Found, LookUpError> {
        let old = match self.known.standing(host, Instant::now()) {
            Standing::Fresh(found) => return Ok(found),
            Standing::Ageing(found) => {
                // The thread is there, or there would be no answer.
                _ = self.ask(Ask { host: host.into(), reply: None });
                return Ok(found);
            }
            Standing::Failed(error) => return Err(error),
            Standing::Old(found) => Some(found),
            Standing::Unknown => None,
        };
        let (reply, mut answer) = oneshot::channel();
        self.ask(Ask { host: host.into(), reply: Some(reply) })?;
        let given = match old {
            None => (&mut answer).await,
            Some(old) => match tokio::time::timeout(OLD_AFTER, &mut answer).await {
                Ok(given) => given,
                Err(_) => return Ok(old),
            },
        };
        given.unwrap_or(Err(LookUpError::Silent))
    }

    fn ask(&self, ask: Ask) -> Result<(), LookUpError> {
        let asks = self.asks.get_or_init(|| {
            let started = thread::start(&self.resolvers, Arc::clone(&self.known));
            started.map_err(|error| tracing::warn!("names cannot be looked up: {error}")).ok()
        });
        let asks = asks.as_ref().ok_or(LookUpError::NoThread)?;
        asks.send(ask).map_err(|_| LookUpError::NoThread)
    }
}
