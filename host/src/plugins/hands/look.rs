//! The one place that looks again and again: at component files, at what shadows have seen, and at
//! generations in trouble. It says what changed, and nothing while nothing does.
//!
//! By looking, not by the system's events: it works on every file system, and whether a tool writes in place
//! or renames makes no difference. A file is read once it has looked the same twice, so that a copy in
//! progress is not read half.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use super::{Plugin, Shared, lock};
use crate::plugins::config::ComponentSource;
use phasegate_core::domain::{Generation, PluginName};
use phasegate_core::lifecycle::{Answer, Event, Failing, Summary, Ticket};
use phasegate_wasm::{component_digest, read_component};

/// Time between two looks at what has been judged.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Files are looked at each so many of them.
const FILES_EVERY: u32 = 5;

/// What tells that a file was written. Includes the inode: a rename over it may keep the rest; and the time of
/// the last change of the inode, which no tool can set back: a copy that keeps times and length shows in it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
    changed: (i64, i64),
}

/// What is known of one file.
struct File {
    path: PathBuf,
    /// As it was when it was last read.
    read: Option<Stamp>,
    /// As it was at the last look.
    looked: Option<Stamp>,
}

/// What was said last of one plugin.
#[derive(Default)]
struct Said {
    file: Option<File>,
    compared: Option<(Ticket, Summary)>,
    failing: Option<(Generation, Option<Failing>)>,
}

/// Starts the thread; it ends when the hands are gone.
pub(super) fn start(shared: &Weak<Shared>) -> std::io::Result<()> {
    let shared = Weak::clone(shared);
    // Files that are there at the start count as read: the start has read them.
    let mut said = BTreeMap::<PluginName, Said>::new();
    if let Some(shared) = shared.upgrade() {
        for plugin in shared.plugins.values() {
            file(plugin, said.entry(plugin.name.clone()).or_default());
        }
    }
    let run = move || {
        // Nothing is ever sent: the channel is a sleep that keeps its pace.
        let (_keep, never) = mpsc::channel::<()>();
        let mut turn = 0_u32;
        while never.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            let Some(shared) = shared.upgrade() else { return };
            turn = turn.wrapping_add(1);
            for plugin in shared.plugins.values() {
                let said = said.entry(plugin.name.clone()).or_default();
                for event in look(plugin, said, turn) {
                    (shared.on_event)(&plugin.name, event);
                }
            }
        }
    };
    std::thread::Builder::new().name("plugin-looks".to_owned()).spawn(run).map(drop)
}

fn look(plugin: &Plugin, said: &mut Said, turn: u32) -> Vec<Event> {
    let mut events = Vec::new();
    events.extend(compared(plugin, said));
    events.extend(failing(plugin, said));
    if turn.is_multiple_of(FILES_EVERY) {
        events.extend(file(plugin, said));
    }
    events
}

fn compared(plugin: &Plugin, said: &mut Said) -> Option<Event> {
    let (ticket, summary) = lock(&plugin.shadow).as_ref().map(|(ticket, it)| (*ticket, it.summary()))?;
    let now = (ticket, summary);
    if said.compared.as_ref() == Some(&now) {
        return None;
    }
    said.compared = Some(now.clone());
    Some(Event::Hand(now.0, Answer::Compared(Box::new(now.1))))
}

fn failing(plugin: &Plugin, said: &mut Said) -> Option<Event> {
    let generation = plugin.tap.troubled()?;
    let now = (generation, plugin.tap.failing());
    if said.failing.as_ref() == Some(&now) {
        return None;
    }
    said.failing = Some(now.clone());
    Some(Event::Failing(now.0, now.1))
}

/// A file that was written since it was last read, and has settled.
fn file(plugin: &Plugin, said: &mut Said) -> Option<Event> {
    let component = lock(&plugin.configs).now.component.clone();
    let ComponentSource::File(path) = component else {
        said.file = None;
        return None;
    };
    let now = stamp(&path);
    let known = said.file.take_if(|known| known.path == path);
    // A new one counts as read.
    let fresh = || File { path: path.clone(), read: now.clone(), looked: now.clone() };
    let file = said.file.insert(known.unwrap_or_else(fresh));
    let settled = now == file.looked;
    file.looked.clone_from(&now);
    // A file that is gone changes nothing: the active component is in memory.
    if now.is_none() || now == file.read || !settled {
        return None;
    }
    let bytes = read_component(&path).ok()?;
    file.read = now;
    Some(Event::FileSeen(component_digest(&bytes)))
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        len: metadata.len(),
        inode: metadata.ino(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}
