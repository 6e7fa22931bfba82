//! The thread that looks at all sources, each in its own rhythm, and tells whoever holds the members what is another.
//!
//! A look that finds the same bytes ends before they are read. What was told and not taken counts as not found: it is
//! told again at the next look. Nothing here can end because of what a source says.

mod looker;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use self::looker::Looker;
use super::DiscoveryConfig;
use super::keep::{Before, Delta};
use super::view::{Shared, View};
use crate::clock::Clock;
use phasegate_core::domain::{By, Instance, InstanceId, ScaleSetName};

/// What is told of one set.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whose instances they are.
    pub scale_set: ScaleSetName,
    /// What is another.
    pub delta: Delta,
    /// All that the source does not name and that stay.
    pub held: BTreeSet<InstanceId>,
    /// Who said so; none where the source did.
    pub by: Option<By>,
    /// Who says where they are.
    pub source: String,
}

/// Ends when what was told is recorded, or with why it is not.
pub type Telling = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The instances that a configuration lists.
pub type Listed = Arc<BTreeMap<InstanceId, Arc<Instance>>>;

/// Who holds the members.
#[derive(Clone)]
pub struct Behind {
    /// The instances that the configuration lists for a set.
    pub listed: Arc<dyn Fn(&ScaleSetName) -> Listed + Send + Sync>,
    /// Takes over what is another.
    pub tell: Arc<dyn Fn(Told) -> Telling + Send + Sync>,
}

/// Why a person cannot let instances go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The set has none.
    #[error("scale set `{0}` has no discovery")]
    NoDiscovery(ScaleSetName),
    /// Nobody is held.
    #[error("nothing is held: {0}")]
    NothingHeld(String),
    /// The source says nothing now.
    #[error("the source {0}, so nobody goes")]
    Source(String),
    /// It could not be recorded.
    #[error("{0}")]
    Refused(String),
    /// The host ends.
    #[error("the host ends")]
    Ending,
}

/// Who asks that those who are held may go.
struct Accept {
    by: By,
    reply: oneshot::Sender<Result<usize, AcceptError>>,
}

/// Asks one set.
struct Asks {
    view: Shared,
    accepts: mpsc::Sender<Accept>,
    /// Whether the first look is over.
    first: watch::Receiver<bool>,
    /// Whether anybody was recorded when the host started.
    had_any: HadAny,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HadAny {
    Yes,
    No,
}

/// What the configuration says of all sets.
type Configs = Arc<BTreeMap<ScaleSetName, DiscoveryConfig>>;

/// The discoveries of a host; they end when this is stopped or dropped.
pub struct Discoveries {
    sets: BTreeMap<ScaleSetName, Asks>,
    gives: watch::Sender<Configs>,
    running: Mutex<Option<Running>>,
}

/// The thread, and what ends it when it is dropped.
struct Running {
    stop: watch::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Discoveries {
    /// Starts to look, with what was found before.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(
        sets: Vec<(ScaleSetName, DiscoveryConfig, Before)>,
        clock: Clock,
        behind: &Behind,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(());
        let configs = sets.iter().map(|(name, config, _)| (name.clone(), config.clone())).collect();
        let (gives, given) = watch::channel(Arc::new(configs));
        let mut asks = BTreeMap::new();
        let mut tasks = Vec::new();
        for (name, config, before) in sets {
            let (accepts, accepted) = mpsc::channel(8);
            let (done, first) = watch::channel(false);
            let view = Shared::new(View {
                source: config.source.to_string(),
                instances: before.instances.len(),
                ..View::default()
            });
            let had_any = if before.instances.is_empty() { HadAny::No } else { HadAny::Yes };
            asks.insert(name.clone(), Asks { view: view.clone(), accepts, first, had_any });
            let looker = Looker::new((name, config), given.clone(), before, clock, (behind.clone(), view));
            tasks.push((looker, accepted, done));
        }
        if tasks.is_empty() {
            return Ok(Self { sets: asks, gives, running: Mutex::new(None) });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(async move {
                let mut all = tokio::task::JoinSet::new();
                for (looker, accepted, done) in tasks {
                    all.spawn(looker.run(accepted, done));
                }
                let mut stopped = stopped;
                // Only its end says something.
                _ = stopped.changed().await;
            });
            // A name or a file that hangs is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("discovery".to_owned()).spawn(run)?;
        Ok(Self { sets: asks, gives, running: Mutex::new(Some(Running { stop, thread })) })
    }

    /// Goes by what the configuration says now; those that say something else look at once.
    pub fn go_by(&self, configs: &BTreeMap<ScaleSetName, DiscoveryConfig>) {
        self.gives.send_replace(Arc::new(configs.clone()));
    }

    /// Waits until every set without a record was looked at once, well or not.
    pub async fn first_looks(&self) {
        for asks in self.sets.values().filter(|asks| asks.had_any == HadAny::No) {
            let mut first = asks.first.clone();
            // One whose thread has ended looks no more.
            _ = first.wait_for(|done| *done).await;
        }
    }

    /// What is known of one set.
    #[must_use]
    pub fn view(&self, set: &ScaleSetName) -> Option<View> {
        self.sets.get(set).map(|asks| asks.view.read())
    }

    /// Lets those go that are held; gives how many went.
    ///
    /// # Errors
    /// When there are none, the source says nothing, or it cannot be recorded.
    pub async fn accept(&self, set: &ScaleSetName, by: By) -> Result<usize, AcceptError> {
        let asks = self.sets.get(set).ok_or_else(|| AcceptError::NoDiscovery(set.clone()))?;
        let (reply, answer) = oneshot::channel();
        let sent = asks.accepts.send(Accept { by, reply }).await;
        sent.map_err(|_| AcceptError::Ending)?;
        answer.await.unwrap_or(Err(AcceptError::Ending))
    }

    /// Ends it; waits for no source.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            drop(stop);
            // One that panicked has said so on stderr.
            _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
