//! The way into the recording: what plugins say is handed over and never waited for.
//!
//! Writes nothing by itself but the components that records name; `ring` writes the records.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use phasegate_core::domain::{Digest, Observation, PluginName};

use super::blobs::{self, Kind, Room};
use super::kept::{Keeper, Used};
use super::redact::Pointer;
use super::repeats::{MayRepeat, Repeats, Say};
use super::ring::{Ring, private_folder};
use super::segments::Segments;
use super::{Judgement, Record, RecordingConfig};

/// Records that wait to be written; more are dropped.
const WAITING_MAX: usize = 4096;

/// Components may take this part of the folder, and records that are kept for upgrades that part of it; the ring has
/// what they leave.
const BLOBS_SHARE: u64 = 2;
const KEPT_SHARE: u64 = 4;

/// The way into the recording. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    lines: SyncSender<Message>,
    used: SyncSender<Vec<Used>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    redact: Vec<Pointer>,
    /// Of the whole folder.
    bytes_max: u64,
    pub(super) segment: AtomicU64,
    pub(super) lost: AtomicU64,
    /// What each plugin runs: component and settings.
    pub(super) active: Mutex<BTreeMap<PluginName, (Digest, Digest)>>,
    repeats: Mutex<Repeats>,
    clock: Clock,
    /// What the records name that an upgrade has gone by.
    pub(super) kept: Arc<Mutex<BTreeSet<Digest>>>,
}

#[derive(Debug)]
pub(super) enum Message {
    Record(Box<Record>),
    Flush(SyncSender<()>),
}

impl Shared {
    fn keeper(&self, bytes_max: u64) -> Keeper {
        Keeper { folder: self.folder.clone(), bytes_max, named: Arc::clone(&self.kept) }
    }
}

impl Recorder {
    /// Opens the folder and starts the thread, which ends with the last copy of the recorder.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or the system gives no thread.
    pub fn start(folder: &Path, config: &RecordingConfig, clock: Clock) -> io::Result<Self> {
        private_folder(folder)?;
        let segments = Segments::open(folder)?;
        let newest = segments.newest().unwrap_or(0);
        let (lines, queue) = mpsc::sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            redact: config.redact.clone(),
            bytes_max: config.bytes_max,
            segment: AtomicU64::new(newest + 1),
            lost: AtomicU64::new(0),
            active: Mutex::new(BTreeMap::new()),
            repeats: Mutex::new(Repeats::new(clock.now())),
            clock,
            kept: Arc::default(),
        });
        Ring::start(Arc::clone(&shared), config, clock, segments, queue)?;
        let keeper = shared.keeper(config.bytes_max / KEPT_SHARE);
        let for_keeper = lines.clone();
        let used = keeper.start(move || flush(&for_keeper))?;
        Ok(Self { lines, used, shared })
    }

    /// Writes an evaluation down, some time soon. Never blocks; what does not fit is lost.
    pub fn record(&self, judged: Judgement<'_>) {
        let record = Message::Record(Box::new(Record::new(&judged, &self.shared.redact)));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.lines.try_send(record) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a record of this may be written again, because the one that there is is about to leave the ring.
    #[must_use]
    pub fn may_repeat(&self, observation: &Observation) -> MayRepeat {
        let bytes = u64::try_from(Record::size(observation)).unwrap_or(u64::MAX);
        let now = self.shared.clock.now();
        let (may, say) = self.shared.repeats.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now);
        if say == Say::TooSmall {
            tracing::warn!(
                "recording.maxMiB = {} is too small to keep a record of every instance: some are not repeated before \
                 they leave it, and what was decided on them cannot be judged again; raise recording.maxMiB",
                self.shared.bytes_max >> 20
            );
        }
        may
    }

    /// Keeps the records of decisions that an upgrade has gone by, some time soon. Never blocks.
    pub fn keep_used(&self, used: Vec<Used>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.used.try_send(used) {
            tracing::warn!("records that an upgrade has gone by are not kept: too many upgrades at once");
        }
    }

    /// Copies at once, for tests.
    #[cfg(test)]
    pub(super) fn keeper(&self, bytes_max: u64) -> Keeper {
        self.shared.keeper(bytes_max)
    }

    /// Keeps what a plugin is about to run, so that it can be run again.
    pub fn keep(&self, plugin: &PluginName, component: (Digest, &[u8]), settings: &str) {
        let settings_digest = phasegate_wasm::settings_digest(settings);
        let folder = &self.shared.folder;
        // Held while it is written: the ring would remove what nobody names yet.
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        let run: BTreeSet<Digest> = active
            .iter()
            .filter(|(name, _)| *name != plugin)
            .flat_map(|(_, (component, settings))| [*component, *settings])
            .chain([component.0, settings_digest])
            .collect();
        let more = [
            (component.0, Kind::Component, component.1.len()),
            (settings_digest, Kind::Settings, settings.len()),
        ]
        .into_iter()
        .filter(|(digest, kind, _)| !blobs::path(folder, *digest, *kind).exists())
        .fold(0_u64, |all, (_, _, bytes)| all.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
        let limit = self.shared.bytes_max / BLOBS_SHARE;
        if blobs::make_room(folder, more, limit, &run) == Room::TooLittle {
            tracing::warn!(
                %plugin,
                "its component of {} bytes is not kept beside the recording, where components may have {limit} bytes in \
                 all: what it decides is recorded, and cannot be judged again; raise recording.maxMiB",
                component.1.len()
            );
            active.insert(plugin.clone(), (component.0, settings_digest));
            return;
        }
        let kept = blobs::keep(folder, component.0, Kind::Component, component.1)
            .and_then(|()| blobs::keep(folder, settings_digest, Kind::Settings, settings.as_bytes()));
        if let Err(error) = kept {
            tracing::warn!(%plugin, "the component cannot be kept beside the recording: {error}");
        }
        active.insert(plugin.clone(), (component.0, settings_digest));
    }

    /// The segment that is written to. Rises; a record that is `SEGMENTS` behind is gone.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.shared.segment.load(Ordering::Relaxed)
    }

    /// Records that were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Waits until everything that was handed in is written.
    pub fn flush(&self) {
        flush(&self.lines);
    }
}

fn flush(lines: &SyncSender<Message>) {
    let (done, wait) = mpsc::sync_channel(1);
    if lines.send(Message::Flush(done)).is_ok() {
        // The thread is gone only with its queue; then there is nothing to wait for.
        let _ = wait.recv();
    }
}
