//! Watches the component files of the configuration and replaces what has changed.
//!
//! By looking, twice a second: it works on every file system, and whether a tool writes in place
//! or renames makes no difference. A file is taken once it has looked the same twice, so that a
//! copy in progress is not read half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::entry::Entry;
use super::source::Candidate;
use super::take_over::{Afterwards, Order, WhenBusy};
use super::{PluginRegistry, SwapOptions};
use crate::config::ComponentSource;
use crate::control::CommandErrorKind;
use crate::domain::PluginName;

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
        let candidate = Candidate::configured(&entry.config());
        if self.bring_in(entry, candidate, "its file changed").await == Outcome::Again {
            seen.read = None;
            seen.rest = RETRY_LOOKS;
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
        let outcome = self.replace(entry, candidate, order).await;
        let passes = [CommandErrorKind::Unavailable, CommandErrorKind::Conflict];
        match outcome {
            Err(error) if passes.contains(&error.kind) => Outcome::Again,
            Ok(_) | Err(_) => Outcome::Final,
        }
    }
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
