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
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Clock;
use crate::domain::{Digest, PluginName, Timestamp};

use super::blobs::{self, Kind};
use super::kept::{self, Keeper, Used};
use super::redact::Pointer;
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
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Flush(SyncSender<()>),
}

impl Recorder {
    /// Opens the folder and starts the thread, which ends with the last copy of the recorder.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or the system gives no thread.
    pub fn start(folder: &Path, config: &RecordingConfig, clock: Clock) -> io::Result<Self> {
        private_folder(folder)?;
        let newest = segments(folder)?.last().map_or(0, |(number, _)| *number);
        let (lines, queue) = mpsc::sync_channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            redact: config.redact.clone(),
            segment: AtomicU64::new(newest + 1),
            lost: AtomicU64::new(0),
            active: Mutex::new(BTreeMap::new()),
        });
        let ring = Ring {
            shared: Arc::clone(&shared),
            config: config.clone(),
            clock,
            open: None,
            said_at: None,
            begun_at: clock.now(),
        };
        thread::Builder::new().name("recording".to_owned()).spawn(move || ring.run(&queue))?;
        let keeper = Keeper { folder: folder.to_owned(), bytes_max: config.bytes_max };
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

    /// Keeps what a plugin is about to run, so that it can be run again.
    pub fn keep(&self, plugin: &PluginName, component: (Digest, &[u8]), settings: &str) {
        let settings_digest = super::settings_digest(settings);
        let folder = &self.shared.folder;
        let kept = blobs::keep(folder, component.0, Kind::Component, component.1)
            .and_then(|()| blobs::keep(folder, settings_digest, Kind::Settings, settings.as_bytes()));
        if let Err(error) = kept {
            tracing::warn!(%plugin, "the component cannot be kept beside the recording: {error}");
        }
        let mut active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
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

/// The segments of a folder, oldest first.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let number = |path: PathBuf| {
        let is_segment = path.extension().is_some_and(|extension| extension == "jsonl");
        let number = path.file_stem()?.to_str()?.parse().ok().filter(|_| is_segment)?;
        Some((number, path))
    };
    let mut found: Vec<_> = fs::read_dir(folder)?.flatten().filter_map(|file| number(file.path())).collect();
    found.sort();
    Ok(found)
}

/// The writing end.
struct Ring {
    shared: Arc<Shared>,
    config: RecordingConfig,
    clock: Clock,
    open: Option<Segment>,
    said_at: Option<Timestamp>,
    /// When the present segment was begun, or could have been.
    begun_at: Timestamp,
}

struct Segment {
    file: File,
    bytes: u64,
}

impl Ring {
    fn run(mut self, queue: &Receiver<Message>) {
        self.drop_old();
        loop {
            let first = match queue.recv_timeout(LOOK_EVERY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let more = std::iter::from_fn(|| queue.try_recv().ok()).take(WRITE_MAX);
            let messages: Vec<Message> = first.into_iter().chain(more).collect();
            let mut lines = Vec::new();
            let mut waiting = Vec::new();
            for message in messages {
                match message {
                    Message::Record(record) => {
                        let before = lines.len();
                        match serde_json::to_writer(&mut lines, &record) {
                            Ok(()) => lines.push(b'\n'),
                            Err(_) => lines.truncate(before),
                        }
                    }
                    Message::Flush(done) => waiting.push(done),
                }
            }
            self.turn(&lines);
            for done in waiting {
                // Who does not wait any more needs no answer.
                let _ = done.send(());
            }
        }
    }

    fn turn(&mut self, lines: &[u8]) {
        let segment_max = self.config.bytes_max / SEGMENTS;
        let full = self.open.as_ref().is_some_and(|segment| segment.bytes >= segment_max);
        let share = self.config.age_max / u32::try_from(SEGMENTS).unwrap_or(1);
        if full || self.clock.now().since(self.begun_at) >= share {
            self.open = None;
            self.begun_at = self.clock.now();
            self.shared.segment.fetch_add(1, Ordering::Relaxed);
            self.drop_old();
        }
        if !lines.is_empty()
            && let Err(error) = self.write(lines)
        {
            // What was written of it may be half a line: the next one goes elsewhere.
            if self.open.take().is_some() {
                self.shared.segment.fetch_add(1, Ordering::Relaxed);
            }
            let lost = lines.iter().filter(|byte| **byte == b'\n').count();
            self.shared.lost.fetch_add(u64::try_from(lost).unwrap_or(0), Ordering::Relaxed);
            self.say(&error);
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => {
                let number = self.shared.segment.load(Ordering::Relaxed);
                let path = self.shared.folder.join(format!("{number:016}.jsonl"));
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
                self.open.insert(Segment { file, bytes: 0 })
            }
        };
        segment.file.write_all(lines)?;
        segment.bytes = segment.bytes.saturating_add(u64::try_from(lines.len()).unwrap_or(0));
        Ok(())
    }

    /// Removes what is too old or too much, and what nobody names any more; best effort.
    fn drop_old(&self) {
        let Ok(mut all) = segments(&self.shared.folder) else { return };
        let now = self.clock.now();
        let mut kept = 0_u64;
        let room = self.config.bytes_max - self.config.bytes_max / SEGMENTS;
        // Newest first.
        while let Some((_, path)) = all.pop() {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let written = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let written = Timestamp::default() + written.unwrap_or_default();
            kept = kept.saturating_add(metadata.len());
            if kept > room || now.since(written) > self.config.age_max {
                // A file that stays is tried again at the next turn.
                let _ = fs::remove_file(path);
            }
        }
        let mut used = self.used();
        used.extend(kept::named(&self.shared.folder));
        blobs::prune(&self.shared.folder, &used);
    }

    /// The blobs that a record or a plugin names, by their hexadecimal digits.
    fn used(&self) -> BTreeSet<String> {
        let active = self.shared.active.lock().unwrap_or_else(PoisonError::into_inner);
        let named = active.values().flat_map(|(component, settings)| [component, settings]);
        let hex = |digest: &Digest| digest.to_string().trim_start_matches("sha256:").to_owned();
        let mut used: BTreeSet<String> = named.map(hex).collect();
        for (_, path) in segments(&self.shared.folder).unwrap_or_default() {
            let text = fs::read(path).unwrap_or_default();
            let found = memchr::memmem::find_iter(&text, b"\"sha256:").filter_map(|at| {
                let begin = at + b"\"sha256:".len();
                std::str::from_utf8(text.get(begin..begin + 64)?).ok().map(str::to_owned)
            });
            used.extend(found);
        }
        used
    }

    fn say(&mut self, error: &io::Error) {
        let now = self.clock.now();
        if self.said_at.is_none_or(|at| now.since(at) >= LOOK_EVERY) {
            self.said_at = Some(now);
            tracing::warn!("records of decisions are lost, decisions are not: {error}");
        }
    }
}
