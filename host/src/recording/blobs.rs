//! Components and settings by digest, for as long as a record names them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

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

/// Removes the blobs that nobody names any more; best effort.
pub(super) fn prune(folder: &Path, used: &BTreeSet<Digest>) {
    let Ok(files) = fs::read_dir(folder.join("blobs")) else { return };
    for path in files.flatten().map(|file| file.path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let digest = stem.and_then(|stem| Digest::parse(&format!("sha256:{stem}")));
        let named = digest.is_some_and(|digest| used.contains(&digest));
        if !named && let Err(error) = fs::remove_file(&path) {
            tracing::debug!("`{}` stays: {error}", path.display());
        }
    }
}
