//! Writes records, from a thread of its own, into a ring of segments.
//!
//! A segment is closed when it is full or old and never opened again, so a line that a crash left
//! half written is the last one of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use phasegate_core::domain::{Digest, PluginName, Timestamp};

use super::blobs::{self, Kind};
use super::kept::{self, Keeper, Used};
use super::redact::Pointer;
use super::segments::Segments;
use super::{Judgement, Record, RecordingConfig};

/// Segments that the ring is made of.
pub const SEGMENTS: u64 = 8;

/// Records that wait to be written; more are dropped.
const WAITING_MAX: usize = 4096;
/// Records of one write.
const WRITE_MAX: usize = 256;
/// How often the age of segments is looked at, and how often trouble is said again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The way into the recording. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    lines: SyncSender<Message>,
    used: SyncSender<Vec<Used>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    redact: Vec<Pointer>,
    segment: AtomicU64,
    lost: AtomicU64,
    /// What each plugin runs: component and settings.
    active: Mutex<BTreeMap<PluginName, (Digest, Digest)>>,
    /// What the records name that an upgrade has gone by.
    kept: Arc<Mutex<BTreeSet<Digest>>>,
}

#[derive(Debug)]
enum Message {
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
            segment: AtomicU64::new(newest + 1),
            lost: AtomicU64::new(0),
            active: Mutex::new(BTreeMap::new()),
            kept: Arc::default(),
        });
        let ring = Ring {
            shared: Arc::clone(&shared),
            config: config.clone(),
            clock,
            segments,
            open: None,
            said_at: None,
            begun_at: clock.now(),
        };
        thread::Builder::new().name("recording".to_owned()).spawn(move || ring.run(&queue))?;
        let keeper = shared.keeper(config.bytes_max);
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
        let settings_digest = super::settings_digest(settings);
        let folder = &self.shared.folder;
        // Held while it is written: the ring would remove what nobody names yet.
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Makes a folder that nobody else can read: bodies may hold secrets.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The writing end.
struct Ring {
    shared: Arc<Shared>,
    config: RecordingConfig,
    clock: Clock,
    segments: Segments,
    /// The present segment, once something is written to it.
    open: Option<File>,
    said_at: Option<Timestamp>,
    /// When the present segment was begun, or could have been.
    begun_at: Timestamp,
}

/// Records on their way into a segment.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// Components and settings that they name.
    named: BTreeSet<Digest>,
}

impl Batch {
    fn add(&mut self, record: &Record) {
        let before = self.lines.len();
        match serde_json::to_writer(&mut self.lines, record) {
            Ok(()) => self.lines.push(b'\n'),
            Err(_) => self.lines.truncate(before),
        }
        self.named.extend([record.digest, record.settings]);
    }
}

impl Ring {
    fn run(mut self, queue: &Receiver<Message>) {
        self.drop_old();
        self.segments.read_names();
        self.kept().extend(kept::named(&self.shared.folder));
        self.prune();
        loop {
            let first = match queue.recv_timeout(LOOK_EVERY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let more = std::iter::from_fn(|| queue.try_recv().ok()).take(WRITE_MAX);
            let mut batch = Batch::default();
            let mut waiting = Vec::new();
            for message in first.into_iter().chain(more) {
                match message {
                    Message::Record(record) => batch.add(&record),
                    Message::Flush(done) => waiting.push(done),
                }
            }
            self.turn(batch);
            for done in waiting {
                // Who does not wait any more needs no answer.
                let _ = done.send(());
            }
        }
    }

    fn turn(&mut self, batch: Batch) {
        let segment_max = self.config.bytes_max / SEGMENTS;
        let full = self.segments.bytes(self.present()) >= segment_max;
        let share = self.config.age_max / u32::try_from(SEGMENTS).unwrap_or(1);
        if full || self.clock.now().since(self.begun_at) >= share {
            self.begin_next();
            self.begun_at = self.clock.now();
            self.drop_old();
            self.prune();
        }
        if batch.lines.is_empty() {
            return;
        }
        let lost = batch.lines.iter().filter(|byte| **byte == b'\n').count();
        if let Err(error) = self.write(batch) {
            self.shared.lost.fetch_add(u64::try_from(lost).unwrap_or(0), Ordering::Relaxed);
            self.say(&error);
        }
    }

    fn present(&self) -> u64 {
        self.shared.segment.load(Ordering::Relaxed)
    }

    fn begin_next(&mut self) {
        self.open = None;
        self.shared.segment.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&mut self, batch: Batch) -> io::Result<()> {
        let number = self.present();
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.append(true).create(true).mode(0o600);
                self.open.insert(options.open(self.segments.path(number))?)
            }
        };
        let before = file.metadata()?.len();
        let written = file.write_all(&batch.lines);
        if written.is_err() {
            // All of it or nothing: while the disk is full, the same segment is tried again and again.
            let _ = file.set_len(before);
        }
        let bytes = file.metadata()?.len();
        self.segments.wrote(number, bytes, batch.named, self.clock.now());
        if written.is_err() && bytes > before {
            // Half a line stays: the next one goes elsewhere.
            self.begin_next();
        }
        written
    }

    /// Removes the segments that are too old or too much.
    fn drop_old(&mut self) {
        let room = self.config.bytes_max - self.config.bytes_max / SEGMENTS;
        self.segments.drop_old(room, self.config.age_max, self.clock.now());
    }

    /// Removes the blobs that neither a record nor a plugin names any more.
    fn prune(&self) {
        let active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        let run = active.values().flat_map(|(component, settings)| [*component, *settings]);
        let mut used: BTreeSet<Digest> = run.chain(self.segments.named()).collect();
        used.extend(self.kept().iter());
        blobs::prune(&self.shared.folder, &used);
    }

    fn kept(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&mut self, error: &io::Error) {
        let now = self.clock.now();
        if self.said_at.is_none_or(|at| now.since(at) >= LOOK_EVERY) {
            self.said_at = Some(now);
            tracing::warn!("records of decisions are lost, decisions are not: {error}");
        }
    }
}
