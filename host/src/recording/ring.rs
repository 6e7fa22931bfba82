//! Writes records, from a thread of its own, into a ring of segments.
//!
//! A segment is closed when it is full or old and never opened again, so a line that a crash left
//! half written is the last one of its file.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use phasegate_core::domain::{Digest, Timestamp};

use super::recorder::{Message, Shared};
use super::segments::Segments;
use super::{Record, RecordingConfig, blobs, kept};

/// Segments that the ring is made of.
pub const SEGMENTS: u64 = 8;

/// Records of one write.
const WRITE_MAX: usize = 256;
/// How often the age of segments is looked at, and how often trouble is said again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Makes a folder that nobody else can read: bodies may hold secrets.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The writing end.
pub(super) struct Ring {
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
    /// Starts the thread, which ends with the last sender of its queue.
    pub(super) fn start(
        shared: Arc<Shared>,
        config: &RecordingConfig,
        clock: Clock,
        segments: Segments,
        queue: Receiver<Message>,
    ) -> io::Result<()> {
        let config = config.clone();
        let ring = Self { shared, config, segments, open: None, said_at: None, begun_at: clock.now(), clock };
        thread::Builder::new().name("recording".to_owned()).spawn(move || ring.run(&queue))?;
        Ok(())
    }

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
        let others = blobs::size(&self.shared.folder).saturating_add(kept::size(&self.shared.folder));
        let room = self.config.bytes_max - self.config.bytes_max / SEGMENTS;
        let room = room.saturating_sub(others);
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
