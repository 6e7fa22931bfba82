//! Watches the component files of the configuration and replaces what has changed.
//!
//! By looking, twice a second: it works on every file system, and whether a tool writes in place
//! or renames makes no difference. A file is taken once it has looked the same twice, so that a
//! copy in progress is not read half.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{Candidate, PluginRegistry};
use crate::config::ComponentSource;
use crate::control::CommandErrorKind;
use crate::domain::PluginName;
use crate::plugin::read_component;

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

/// Looks left out before the host tries again what it could not record: five seconds.
const RETRY_LOOKS: u32 = 10;

impl PluginRegistry {
    /// Watches until `stop` turns true.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut seen: BTreeMap<PluginName, Seen> = BTreeMap::new();
        for (name, entry) in &self.entries {
            if let ComponentSource::File(path) = &entry.config.component {
                let stamp = stamp(path);
                seen.insert(name.clone(), Seen { read: stamp.clone(), looked: stamp, rest: 0 });
            }
        }
        if seen.is_empty() {
            return;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            for (name, seen) in &mut seen {
                self.look(name, seen).await;
            }
        }
    }

    async fn look(&self, name: &PluginName, seen: &mut Seen) {
        let Some(entry) = self.entries.get(name) else { return };
        let ComponentSource::File(path) = &entry.config.component else { return };
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
        let bytes = match read_component(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot read component `{}`: {error}", path.display());
                tracing::warn!(plugin = %name, "{message}");
                entry.change(|active| active.last_error = Some(message));
                return;
            }
        };
        // The outcome is logged and listed; there is nobody else to tell.
        let outcome =
            self.replace(name, entry, Candidate { bytes, source: path.display().to_string() }).await;
        if outcome.is_err_and(|error| error.kind == CommandErrorKind::Unavailable) {
            // Nothing against the bytes: the host could not record them, on a full disk for example.
            seen.read = None;
            seen.rest = RETRY_LOOKS;
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok(), len: metadata.len(), inode: metadata.ino() })
}
