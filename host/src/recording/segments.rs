//! What is known of the segments of a ring: how large each is, how old, and which blobs it names.
//!
//! They are looked at once, when the ring is opened; from then on this follows what is written, so
//! that a new segment costs the same however many gigabytes lie beside it. Writes no records.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use phasegate_core::domain::{Digest, Timestamp};

/// All segments of a folder.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    by_number: BTreeMap<u64, Segment>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: u64,
    written_at: Timestamp,
    /// Components and settings that its records name.
    named: BTreeSet<Digest>,
}

/// The segment files of a folder, oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let number = |path: PathBuf| {
        let is_segment = path.extension().is_some_and(|extension| extension == "jsonl");
        let number = path.file_stem()?.to_str()?.parse().ok().filter(|_| is_segment)?;
        Some((number, path))
    };
    let mut found: Vec<_> = fs::read_dir(folder)?.flatten().filter_map(|file| number(file.path())).collect();
    found.sort();
    Ok(found)
}

impl Segments {
    /// Looks at the segments that are there, not into them: [`Self::read_names`] does that.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let known = |(number, path): (u64, PathBuf)| {
            let metadata = fs::metadata(path).ok()?;
            let written = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let written_at = Timestamp::default() + written.unwrap_or_default();
            Some((number, Segment { bytes: metadata.len(), written_at, named: BTreeSet::new() }))
        };
        let by_number = files(folder)?.into_iter().filter_map(known).collect();
        Ok(Self { folder: folder.to_owned(), by_number })
    }

    /// Learns which blobs the segments name. Reads all of them, so it takes its time.
    pub(super) fn read_names(&mut self) {
        for (number, segment) in &mut self.by_number {
            // What cannot be read cannot be judged again either, and needs no blobs.
            segment.named = names(&path(&self.folder, *number)).unwrap_or_default();
        }
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.by_number.keys().next_back().copied()
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        path(&self.folder, number)
    }

    pub(super) fn bytes(&self, number: u64) -> u64 {
        self.by_number.get(&number).map_or(0, |segment| segment.bytes)
    }

    /// Takes in that a segment now has so many bytes, and records that name these blobs.
    pub(super) fn wrote(&mut self, number: u64, bytes: u64, named: BTreeSet<Digest>, at: Timestamp) {
        let segment = self.by_number.entry(number).or_default();
        segment.bytes = bytes;
        segment.written_at = at;
        segment.named.extend(named);
    }

    /// Removes what is older than `age_max`, and of the rest the oldest that do not fit into `room`;
    /// best effort.
    pub(super) fn drop_old(&mut self, room: u64, age_max: Duration, now: Timestamp) {
        let mut kept = 0_u64;
        let mut gone = Vec::new();
        for (number, segment) in self.by_number.iter().rev() {
            kept = kept.saturating_add(segment.bytes);
            if kept <= room && now.since(segment.written_at) <= age_max {
                continue;
            }
            match fs::remove_file(path(&self.folder, *number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It is tried again with the next new segment.
                    tracing::debug!("segment {number} of the recording stays: {error}");
                }
                Ok(()) | Err(_) => gone.push(*number),
            }
        }
        for number in gone {
            self.by_number.remove(&number);
        }
    }

    /// The blobs that some segment names.
    pub(super) fn named(&self) -> impl Iterator<Item = Digest> {
        self.by_number.values().flat_map(|segment| segment.named.iter().copied())
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.jsonl"))
}

/// The digests in a file of records, a line at a time: a segment may be larger than the memory. What looks like
/// one in a body counts too, which only keeps a blob for longer.
pub(super) fn names(path: &Path) -> io::Result<BTreeSet<Digest>> {
    const WRITTEN: usize = "sha256:".len() + 64;
    let mut file = BufReader::new(File::open(path)?);
    let mut named = BTreeSet::new();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let found = memchr::memmem::find_iter(&line, b"\"sha256:").filter_map(|at| {
            let text = line.get(at + 1..at + 1 + WRITTEN)?;
            Digest::parse(std::str::from_utf8(text).ok()?)
        });
        named.extend(found);
        line.clear();
    }
    Ok(named)
}
