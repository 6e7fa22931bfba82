//! One source: when it is looked at, and what becomes of what it says.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Accept, AcceptError, Behind, Configs, Listed, Told};
use crate::clock::Clock;
use crate::discovery::entries::{self, Found, Instances};
use crate::discovery::keep::{self, Before, Held, Kept, Why};
use crate::discovery::read::{self, Brought, ReadSourceError, Stamp};
use crate::discovery::targets;
use crate::discovery::view::{HeldView, Seen, Shared};
use crate::discovery::{DiscoveryConfig, Source};
use phasegate_core::domain::{By, InstanceId, ScaleSetName};

/// Between two looks at whether a file was written.
const FILES_EVERY: Duration = Duration::from_millis(500);

/// Ids that are named in a line.
const IDS_SHOWN: usize = 10;

/// Looks at one source.
pub(super) struct Looker {
    name: ScaleSetName,
    given: watch::Receiver<Configs>,
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
    judges: Judges,
}

/// What becomes of those that were held for what a look did not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judges {
    /// They stay until they are named again or a person lets them go.
    AsBefore,
    /// Another source, or another limit: the next good look decides by what holds now.
    Anew,
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
    pub(super) fn new(
        (name, config): (ScaleSetName, DiscoveryConfig),
        given: watch::Receiver<Configs>,
        before: Before,
        clock: Clock,
        (behind, view): (Behind, Shared),
    ) -> Self {
        let Before { instances: before, held: held_before } = before;
        let looked = Looked { read: None, seen: None };
        let (last, held) = (None, None);
        let judges = Judges::AsBefore;
        Self { name, given, config, behind, clock, view, before, last, held, held_before, looked, judges }
    }

    pub(super) async fn run(mut self, mut accepted: mpsc::Receiver<Accept>, done: watch::Sender<bool>) {
        // A reload may have come before.
        self.goes_by_another();
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
                Ok(()) = self.given.changed() => {
                    if self.goes_by_another() {
                        due = Instant::now() + self.config.refresh;
                        self.remember_file();
                        _ = self.look(None).await;
                    }
                }
                () = pending() => {}
            }
        }
    }

    /// Takes over what the configuration says now. Whoever was found before is compared with what the source says then:
    /// `maxRemovedPercent` counts for another one, too.
    fn goes_by_another(&mut self) -> bool {
        let next = self.given.borrow_and_update().get(&self.name).cloned();
        let Some(next) = next.filter(|next| *next != self.config) else { return false };
        self.config = next;
        (self.last, self.looked) = (None, Looked { read: None, seen: None });
        self.judges = Judges::Anew;
        self.view.change(|view| view.source = self.config.source.to_string());
        true
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
        let held = match self.judges {
            Judges::AsBefore => {
                let mut held = keep::too_many(self.held.as_ref());
                held.extend(self.held_before.iter().cloned());
                held
            }
            Judges::Anew => BTreeSet::new(),
        };
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
        self.judges = Judges::AsBefore;
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
