//! Components and settings by digest, for as long as a record names them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use phasegate_core::domain::Digest;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Component,
    Settings,
}

/// Where a blob is.
pub(super) fn path(folder: &Path, digest: Digest, kind: Kind) -> PathBuf {
    let text = digest.to_string();
    let hex = text.trim_start_matches("sha256:");
    let extension = match kind {
        Kind::Component => "wasm",
        Kind::Settings => "json",
    };
    folder.join("blobs").join(format!("{hex}.{extension}"))
}

/// Writes a blob, unless it is there.
pub(super) fn keep(folder: &Path, digest: Digest, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let path = path(folder, digest, kind);
    if path.exists() {
        return Ok(());
    }
    super::ring::private_folder(&folder.join("blobs"))?;
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(beside, path)
}

/// Bytes of all blobs.
pub(super) fn size(folder: &Path) -> u64 {
    found(folder).into_iter().map(|(_, bytes, _)| bytes).sum()
}

/// Removes the oldest that nobody runs until so many more bytes fit; says whether they do.
pub(super) fn make_room(folder: &Path, more: u64, bytes_max: u64, run: &BTreeSet<Digest>) -> Room {
    let mut files = found(folder);
    files.sort();
    let mut all: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if all.saturating_add(more) <= bytes_max {
            break;
        }
        let is_run = digest_of(&path).is_some_and(|digest| run.contains(&digest));
        if !is_run && fs::remove_file(&path).is_ok() {
            all = all.saturating_sub(bytes);
        }
    }
    if all.saturating_add(more) <= bytes_max { Room::Enough } else { Room::TooLittle }
}

/// Whether something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    TooLittle,
}

/// All blobs: when each was written, and how large it is.
fn found(folder: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let files = fs::read_dir(folder.join("blobs")).into_iter().flatten().flatten();
    let known = |file: fs::DirEntry| {
        let metadata = file.metadata().ok()?;
        Some((metadata.modified().ok()?, metadata.len(), file.path()))
    };
    files.filter_map(known).collect()
}

fn digest_of(path: &Path) -> Option<Digest> {
    Digest::parse(&format!("sha256:{}", path.file_stem()?.to_str()?))
}

/// Removes the blobs that nobody names any more; best effort.
pub(super) fn prune(folder: &Path, used: &BTreeSet<Digest>) {
    let Ok(files) = fs::read_dir(folder.join("blobs")) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let named = digest_of(&path).is_some_and(|digest| used.contains(&digest));
        if !named && let Err(error) = fs::remove_file(&path) {
            tracing::debug!("`{}` stays: {error}", path.display());
        }
    }
}
