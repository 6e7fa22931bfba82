//! Watches the component files of the configuration and replaces what has changed.
//!
//! By looking, twice a second: it works on every file system, and whether a tool writes in place
//! or renames makes no difference. A file is taken once it has looked the same twice, so that a
//! copy in progress is not read half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::entry::{Entry, State};
use super::source::{Candidate, Origin, configured};
use super::take_over::{Afterwards, Order, WhenBusy};
use super::{PluginRegistry, SwapOptions};
use crate::plugins::config::ComponentSource;
use crate::shell::{CommandError, CommandErrorKind};
use phasegate_core::domain::PluginName;
use phasegate_wasm::{component_digest, read_component};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells that a file was written. Includes the inode: a rename over it may keep the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

/// What is known of one file.
struct Seen {
    /// As it was when it was last read.
    read: Option<Stamp>,
    /// As it was at the last look.
    looked: Option<Stamp>,
    /// Looks to leave out.
    rest: u32,
}

/// What came of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It took over, judges beside the active one, or was refused.
    Final,
    /// Nothing against the bytes: the host could not record them, on a full disk for example, or another
    /// generation took over meanwhile.
    Again,
}

/// Looks left out before the host tries again what it could not record: five seconds.
const RETRY_LOOKS: u32 = 10;

impl PluginRegistry {
    /// Watches files, shadows and watches until `stop` turns true.
    pub async fn watch(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(&self).tend(stop.clone()));
        // Each on its own: a component that takes long to compile does not keep the others waiting.
        for name in self.entries.keys() {
            tasks.spawn(Arc::clone(&self).watch_file(name.clone(), stop.clone()));
            tasks.spawn(Arc::clone(&self).break_circuit(name.clone(), stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn watch_file(self: Arc<Self>, name: PluginName, mut stop: watch::Receiver<bool>) {
        let Ok(entry) = self.entry(&name) else { return };
        let mut seen = first_look(entry, None);
        if let Some(candidate) = entry.with(|state| state.pending.take()) {
            self.bring_in(entry, candidate, "it changed while the host was off").await;
        }
        loop {
            seen = first_look(entry, seen);
            if let Some((path, mut known)) = seen.take() {
                self.look(entry, &path, &mut known).await;
                seen = Some((path, known));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn look(&self, entry: &Entry, path: &Path, seen: &mut Seen) {
        seen.rest = seen.rest.saturating_sub(1);
        if seen.rest > 0 {
            return;
        }
        let now = stamp(path);
        let settled = now == seen.looked;
        seen.looked.clone_from(&now);
        // A file that is gone changes nothing: the active component is in memory.
        if now.is_none() || now == seen.read || !settled {
            return;
        }
        seen.read = now;
        if holds_nothing_new(entry, path).await {
            return;
        }
        let candidate = Candidate::configured(&entry.config());
        if self.bring_in(entry, candidate, "its file changed").await == Outcome::Again {
            seen.read = None;
            seen.rest = RETRY_LOOKS;
        }
    }

    /// Puts on record that what runs does not take the settings of the configuration: they are not in force.
    async fn remember_settings(&self, entry: &Entry, error: CommandError) {
        let _taking_over = entry.swapping.lock().await;
        let (considered, settings) =
            entry.with(|state| (state.considered, state.config.spec.settings.clone()));
        if let Some(considered) = considered {
            self.remember_refusal(entry, configured(considered, &settings), error).await;
        }
    }

    /// Sends a candidate through the pipeline. The outcome is logged and listed; there is nobody else to
    /// tell.
    async fn bring_in(&self, entry: &Entry, candidate: Candidate, why: &'static str) -> Outcome {
        let order = Order {
            options: SwapOptions::default(),
            why,
            afterwards: Afterwards::Watch,
            when_busy: WhenBusy::Wait,
        };
        let is_kept = matches!(candidate.origin, Origin::Kept(_));
        let outcome = self.replace(entry, candidate, order).await;
        if let (Err(error), true) = (&outcome, is_kept)
            && error.kind == CommandErrorKind::Refused
        {
            self.remember_settings(entry, error.clone()).await;
        }
        let passes = [CommandErrorKind::Unavailable, CommandErrorKind::Conflict];
        match outcome {
            Err(error) if passes.contains(&error.kind) => Outcome::Again,
            Ok(_) | Err(_) => Outcome::Final,
        }
    }
}

/// Whether a file that was written holds what was looked at before and does not run: it was taken back or
/// refused, and comes up again only with other bytes.
async fn holds_nothing_new(entry: &Entry, path: &Path) -> bool {
    let file = path.to_owned();
    let read =
        tokio::task::spawn_blocking(move || read_component(&file).ok().map(|it| component_digest(&it)));
    let Ok(Some(digest)) = read.await else { return false };
    let known = entry.with(|state| {
        let State { active, config, considered, .. } = state;
        let runs = (active.digest, &active.settings) == (digest, &config.spec.settings);
        *considered == Some(digest) && !runs
    });
    if known {
        tracing::info!(
            plugin = %entry.name,
            "`{file}` was written again with the same bytes, which changes nothing: {} stays active; `phasegate plugin swap {} {file}` takes it up",
            entry.active().shown(),
            entry.name,
            file = path.display(),
        );
    }
    known
}

/// What is known of the file that the configuration names; a new one counts as read.
fn first_look(entry: &Entry, known: Option<(PathBuf, Seen)>) -> Option<(PathBuf, Seen)> {
    let ComponentSource::File(path) = entry.config().component else { return None };
    let known = known.filter(|(known, _)| *known == path);
    Some(known.unwrap_or_else(|| {
        let stamp = stamp(&path);
        (path, Seen { read: stamp.clone(), looked: stamp, rest: 0 })
    }))
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), len: metadata.len(), inode: metadata.ino() })
}
