//! Records that an upgrade has gone by: they stay when the ring has turned.
//!
//! ```text
//! recording/kept/SCALE-SET/UPGRADE.jsonl   lines of the ring, as they were written there
//! ```
//!
//! A thread of its own copies them: a search through a large ring shall not hold up the writing of
//! records. Bounded by upgrades of a scale set and by bytes of them all; best effort.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Record, ring, segments};
use phasegate_core::domain::{Digest, ScaleSetName, Timestamp, UpgradeId};

/// Upgrades of a scale set whose records are kept.
const UPGRADES_MAX: usize = 3;
/// Lists that wait to be copied; more are dropped.
const WAITING_MAX: usize = 64;
/// Longest line of a segment that is looked at.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub use phasegate_core::kernel::effect::Used;

/// Whether a record is of a decision.
fn is_of(used: &Used, record: &Record) -> bool {
    let facts = record.instance();
    record.at == used.at && facts.id == used.instance && facts.scale_set == used.scale_set
}

/// Copies what is used.
pub(super) struct Keeper {
    /// Of the recording.
    pub(super) folder: PathBuf,
    /// Of all that is kept.
    pub(super) bytes_max: u64,
    /// What kept records name, for whoever removes blobs.
    pub(super) named: Arc<Mutex<BTreeSet<Digest>>>,
}

/// Where the records of an upgrade are.
pub(super) fn path(folder: &Path, scale_set: &ScaleSetName, upgrade: &UpgradeId) -> PathBuf {
    folder.join("kept").join(scale_set.as_str()).join(format!("{upgrade}.jsonl"))
}

/// All files, in the order in which their upgrades began.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let below =
        |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let files = below(folder.join("kept")).flat_map(below);
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
    files.sort_by(|a, b| (a.file_stem(), a).cmp(&(b.file_stem(), b)));
    files
}

/// Bytes of all that is kept.
pub(super) fn size(folder: &Path) -> u64 {
    files(folder).iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
}

impl Keeper {
    /// Starts the thread, which ends with the last sender. `flush` waits until the ring is written.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self, flush: impl Fn() + Send + 'static) -> io::Result<SyncSender<Vec<Used>>> {
        let (used, queue) = mpsc::sync_channel::<Vec<Used>>(WAITING_MAX);
        let run = move || {
            for used in queue {
                flush();
                if let Err(error) = self.keep(&used) {
                    tracing::warn!("records that an upgrade has gone by are not kept: {error}");
                }
            }
        };
        thread::Builder::new().name("kept".to_owned()).spawn(run)?;
        Ok(used)
    }

    pub(super) fn keep(&self, used: &[Used]) -> io::Result<()> {
        let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        for (place, line) in self.find(used)? {
            let Some(Used { scale_set, upgrade, .. }) = used.get(place) else { continue };
            // Each line brings its own end and that of a line that a crash has cut.
            let text = files.entry(path(&self.folder, scale_set, upgrade)).or_insert_with(|| vec![b'\n']);
            text.extend(line);
        }
        for (path, text) in files {
            if let Some(folder) = path.parent() {
                ring::private_folder(folder)?;
            }
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            let size = file.metadata()?.len();
            if size.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX)) <= self.bytes_max {
                file.write_all(&text)?;
            } else {
                let (shown, limit) = (path.display(), self.bytes_max);
                tracing::warn!("`{shown}` would be larger than {limit} bytes; raise recording.maxMiB");
            }
        }
        self.drop_old();
        let named = named(&self.folder);
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = named;
        Ok(())
    }

    /// The lines by their place in the list; the latest where there are several.
    fn find(&self, used: &[Used]) -> io::Result<BTreeMap<usize, Vec<u8>>> {
        let mut moments: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
        for (place, one) in used.iter().enumerate() {
            moments.entry(one.at).or_default().push(place);
        }
        let mut found = BTreeMap::new();
        // Newest first: that is where most of them are.
        for (_, path) in segments::files(&self.folder)?.into_iter().rev() {
            let mut here = BTreeMap::new();
            each_line(&path, |line| {
                let Some(places) = moment(line).and_then(|at| moments.get(&at)) else { return };
                let Ok(record) = serde_json::from_slice::<Record>(line) else { return };
                let fits = |place: &&usize| used.get(**place).is_some_and(|one| is_of(one, &record));
                let places = places.iter().filter(fits).filter(|place| !found.contains_key(*place));
                here.extend(places.map(|place| (*place, line.to_vec())));
            })?;
            found.append(&mut here);
            if found.len() == used.len() {
                break;
            }
        }
        Ok(found)
    }

    /// Removes older upgrades of a scale set, and the oldest of all while they are too much.
    fn drop_old(&self) {
        let mut kept = 0_u64;
        let mut upgrades: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for path in files(&self.folder).into_iter().rev() {
            let count = upgrades.entry(path.parent().map(Path::to_owned).unwrap_or_default()).or_default();
            *count += 1;
            kept = kept.saturating_add(fs::metadata(&path).map_or(0, |metadata| metadata.len()));
            if *count > UPGRADES_MAX || kept > self.bytes_max {
                // A file that stays is tried again with the next upgrade.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The components and settings that kept records name.
pub(super) fn named(folder: &Path) -> BTreeSet<Digest> {
    // What cannot be read cannot be judged again either.
    files(folder).iter().flat_map(|path| segments::names(path).unwrap_or_default()).collect()
}

/// When the plugin was asked: a record begins with it.
fn moment(line: &[u8]) -> Option<Timestamp> {
    let rest = line.strip_prefix(b"{\"at\":")?;
    let end = rest.iter().position(|byte| *byte == b',')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok().map(Timestamp)
}

/// Shows each line with its end; a file that has left the ring meanwhile has none.
fn each_line(path: &Path, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        show(&line);
    }
}
