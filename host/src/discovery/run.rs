//! The thread that looks at all sources, each in its own rhythm, and tells whoever holds the members what is another.
//!
//! A look that finds the same bytes ends before they are read. What was told and not taken counts as not found: it is
//! told again at the next look. Nothing here can end because of what a source says.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::entries::{self, Found, Instances};
use super::keep::{self, Before, Delta, Held, Kept, Why};
use super::read::{self, Brought, ReadSourceError, Stamp};
use super::targets;
use super::view::{HeldView, Seen, Shared, View};
use super::{DiscoveryConfig, Source};
use crate::clock::Clock;
use phasegate_core::domain::{By, Instance, InstanceId, ScaleSetName};

/// Between two looks at whether a file was written.
const FILES_EVERY: Duration = Duration::from_millis(500);

/// Ids that are named in a line.
const IDS_SHOWN: usize = 10;

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

/// The discoveries of a host; they end when this is stopped or dropped.
pub struct Discoveries {
    sets: BTreeMap<ScaleSetName, Asks>,
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
            let (behind, last) = (behind.clone(), None);
            let looked = Looked { read: None, seen: None };
            let Before { instances: before, held } = before;
            tasks.push((
                Looker {
                    name,
                    config,
                    behind,
                    clock,
                    view,
                    before,
                    last,
                    held: None,
                    held_before: held,
                    looked,
                },
                accepted,
                done,
            ));
        }
        if tasks.is_empty() {
            return Ok(Self { sets: asks, running: Mutex::new(None) });
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
        Ok(Self { sets: asks, running: Mutex::new(Some(Running { stop, thread })) })
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

/// Looks at one source.
struct Looker {
    name: ScaleSetName,
    config: DiscoveryConfig,
    behind: Behind,
    clock: Clock,
    view: Shared,
    /// What was found before, and is recorded.
    before: Instances,
    /// What the last look found, while nothing of it is left to be told.
    last: Option<Last>,
    held: Option<Held>,
    /// Who was held when the host before this one ended, until the first look.
    held_before: BTreeSet<InstanceId>,
    looked: Looked,
}

/// By which a look that finds the same is known.
struct Last {
    bytes: [u8; 32],
    listed: Listed,
}

/// A file as it was when it was last read, and last looked at.
struct Looked {
    read: Option<Stamp>,
    seen: Option<Stamp>,
}

impl Looker {
    async fn run(mut self, mut accepted: mpsc::Receiver<Accept>, done: watch::Sender<bool>) {
        let mut due = Instant::now() + self.config.refresh;
        self.remember_file();
        // How a first look went is in the view.
        _ = self.look(None).await;
        done.send_replace(true);
        let every = FILES_EVERY.min(self.config.refresh);
        let mut files_at = Instant::now() + every;
        loop {
            let is_file = matches!(self.config.source, Source::File(_));
            tokio::select! {
                Some(Accept { by, reply }) = accepted.recv() => {
                    let answer = self.accept(by).await;
                    // Nobody may wait for it any more.
                    _ = reply.send(answer);
                }
                () = tokio::time::sleep_until(files_at), if is_file => {
                    files_at = Instant::now() + every;
                    if self.was_written() {
                        _ = self.look(None).await;
                    }
                }
                () = tokio::time::sleep_until(due) => {
                    due = Instant::now() + self.config.refresh;
                    // A file that is being written is read when it has settled.
                    if !is_file || self.has_settled() {
                        _ = self.look(None).await;
                    }
                }
                () = pending() => {}
            }
        }
    }

    fn remember_file(&mut self) {
        if let Source::File(path) = &self.config.source {
            let stamp = Stamp::of(path);
            self.looked = Looked { read: stamp.clone(), seen: stamp };
        }
    }

    /// Whether the file was written since it was read, and looks as it looked last time.
    fn was_written(&mut self) -> bool {
        let Source::File(path) = &self.config.source else { return false };
        let now = Stamp::of(path);
        let settled = now == self.looked.seen;
        self.looked.seen.clone_from(&now);
        if settled && now != self.looked.read {
            self.looked.read = now;
            return true;
        }
        false
    }

    fn has_settled(&self) -> bool {
        let Source::File(path) = &self.config.source else { return true };
        Stamp::of(path) == self.looked.read
    }

    /// Lets those go who are held and are not there now either.
    async fn accept(&mut self, by: By) -> Result<usize, AcceptError> {
        let Some(held) = self.held.clone() else {
            let source = &self.view.read().source;
            return Err(AcceptError::NothingHeld(format!("every instance stands as {source} says")));
        };
        self.last = None;
        let before = self.before.len();
        self.look(Some((held.gone, by))).await?;
        if self.held.as_ref().is_some_and(|held| held.why == Why::Empty) {
            return Err(AcceptError::Source("names nobody any more".to_owned()));
        }
        Ok(before.saturating_sub(self.before.len()))
    }

    /// One look, and what follows from it.
    async fn look(&mut self, accepted: Option<(BTreeSet<InstanceId>, By)>) -> Result<(), AcceptError> {
        let listed = (self.behind.listed)(&self.name);
        let brought = tokio::time::timeout(self.config.timeout, read::look(&self.config.source)).await;
        let brought = brought.unwrap_or_else(|_| Err(ReadSourceError::Slow(self.config.timeout)));
        let read = match brought {
            Ok(brought) => self.understand(brought, &listed, accepted.as_ref().map(|(ids, _)| ids)).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) => {
                self.failed(&error.to_string());
                Err(AcceptError::Source(error.to_string()))
            }
            Ok(None) => {
                self.succeeded();
                Ok(())
            }
            Ok(Some((bytes, found, kept))) => {
                let by = accepted.map(|(_, by)| by);
                self.take_over(found, kept, by).await?;
                self.last = bytes.map(|bytes| Last { bytes, listed });
                Ok(())
            }
        }
    }

    /// What was brought, compared with what was there; none where it is what was brought before.
    async fn understand(
        &self,
        brought: Brought,
        listed: &Listed,
        accepted: Option<&BTreeSet<InstanceId>>,
    ) -> Result<Option<(Option<[u8; 32]>, Found, Kept)>, ReadSourceError> {
        let known =
            self.last.as_ref().filter(|last| Arc::ptr_eq(&last.listed, listed)).map(|last| last.bytes);
        let (config, before, listed) = (self.config.clone(), self.before.clone(), Arc::clone(listed));
        let mut held = keep::too_many(self.held.as_ref());
        held.extend(self.held_before.iter().cloned());
        let accepted = accepted.cloned().unwrap_or_default();
        // So many entries take a while, and other sets are looked at meanwhile.
        let work = move || {
            let (bytes, groups) = match brought {
                Brought::Groups(groups) => (None, groups),
                Brought::Bytes(bytes, language) => {
                    let digest: [u8; 32] = Sha256::digest(&bytes).into();
                    if known == Some(digest) {
                        return Ok(None);
                    }
                    (Some(digest), targets::parse(&bytes, language)?)
                }
            };
            let found = entries::instances(groups, &config, (&listed, &before))?;
            let kept = keep::keep((&before, &held), &found, config.max_removed, &accepted);
            Ok(Some((bytes, found, kept)))
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.map_err(|error| ReadSourceError::Ended(error.to_string()))?
    }

    /// Tells what is another, and notes what is held.
    async fn take_over(&mut self, found: Found, kept: Kept, by: Option<By>) -> Result<(), AcceptError> {
        let Kept { delta, held } = kept;
        if !delta.is_empty() || keep::too_many(held.as_ref()) != keep::too_many(self.held.as_ref()) {
            let (scale_set, source) = (self.name.clone(), self.config.source.to_string());
            let counts = (delta.added.len(), delta.removed.len(), delta.changed.len());
            let told =
                Told { scale_set, delta: delta.clone(), held: keep::too_many(held.as_ref()), by, source };
            if let Err(why) = (self.behind.tell)(told).await {
                self.last = None;
                self.failed(&format!("says something new that could not be taken over: {why}"));
                return Err(AcceptError::Refused(why));
            }
            self.before = keep::apply(&self.before, &delta);
            self.held_before.clear();
            let (added, removed, changed) = counts;
            if !delta.is_empty() {
                tracing::info!(
                    "discovery of scale set `{}`: {added} added, {removed} removed, {changed} changed",
                    self.name
                );
            }
        }
        self.succeeded();
        self.note_refused(&found);
        self.note_held(held);
        Ok(())
    }

    fn failed(&self, why: &str) {
        let now = self.clock.date();
        let is_new = self.view.change(|view| {
            view.failures += 1;
            let is_new = view.failure.as_ref().is_none_or(|before| before.text != why);
            let since = view.failure.as_ref().map_or(now, |before| before.since);
            view.failure = Some(Seen { since, text: why.to_owned() });
            is_new
        });
        if is_new {
            tracing::warn!(
                "discovery of scale set `{}`: {} {why}; its {} instances stay",
                self.name,
                self.config.source,
                self.before.len()
            );
        }
    }

    fn succeeded(&self) {
        let now = self.clock.date();
        let ended = self.view.change(|view| {
            view.looks += 1;
            view.refreshed_at = Some(now);
            view.instances = self.before.len();
            view.failure.take()
        });
        if ended.is_some() {
            tracing::info!("discovery of scale set `{}`: {} answers again", self.name, self.config.source);
        }
    }

    fn note_refused(&self, found: &Found) {
        let entries::Refused { count, told, unknown: _ } = &found.refused;
        let is_new = self.view.change(|view| {
            view.refused = *count;
            let is_new = view.problems != *told;
            view.problems.clone_from(told);
            is_new
        });
        if is_new && *count > 0 {
            let all = told.join("; ");
            tracing::warn!("discovery of scale set `{}`: {count} entries: {all}", self.name);
        }
    }

    fn note_held(&mut self, held: Option<Held>) {
        if self.held == held {
            return;
        }
        let now = self.clock.date();
        let shown = held.as_ref().map(|held| shown(&self.name, held));
        self.view.change(|view| {
            view.held = held.as_ref().zip(shown.clone()).map(|(held, text)| HeldView {
                seen: Seen { since: view.held.as_ref().map_or(now, |before| before.seen.since), text },
                removed: held.gone.len(),
                of: held.of,
                ids: held.gone.iter().take(IDS_SHOWN).map(ToString::to_string).collect(),
            });
        });
        match shown {
            Some(text) => tracing::warn!("discovery of scale set `{}`: {text}", self.name),
            None => tracing::info!("discovery of scale set `{}`: nobody is held any more", self.name),
        }
        self.held = held;
    }
}

/// Why instances stay that a source does not name, and what to do.
fn shown(set: &ScaleSetName, held: &Held) -> String {
    let Held { gone, of, why } = held;
    let count = gone.len();
    let first: Vec<&str> = gone.iter().take(IDS_SHOWN).map(InstanceId::as_str).collect();
    let more = if count > first.len() { ", …" } else { "" };
    let who = format!("{count} of {of} instances are named no longer ({}{more})", first.join(", "));
    match why {
        Why::TooMany(max) => format!(
            "{who}, more than maxRemovedPercent = {} allows at once; they stay until they are named again, or \
             `phasegate discovery accept {set}`",
            max.get()
        ),
        Why::Empty => format!("{who}, and nobody else is; a source that names nobody removes nobody"),
        Why::Unclear(entries) => format!(
            "{who}, and {entries} entries do not say whom they mean; they stay until that is put right, or \
             `phasegate discovery accept {set}`"
        ),
    }
}

#[cfg(test)]
mod tests;
