//! Where components come from, and where their bytes are kept: under their digest in the data
//! directory, so that an upload survives a restart and a former generation can come back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::config::{ComponentSource, PluginConfig};
use crate::domain::Digest;
use crate::plugin::{builtin, inspect, read_component};

/// A component on its way in.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) origin: Origin,
    /// As people are shown it.
    pub(super) source: String,
    /// What it is given, as JSON.
    pub(super) settings: String,
}

/// Where the bytes of a candidate are.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Where the configuration says.
    Configured(ComponentSource),
    /// Handed in.
    Upload(Vec<u8>),
    /// Kept from a former generation.
    Kept(Digest),
}

impl Candidate {
    /// What the configuration names.
    pub(super) fn configured(config: &PluginConfig) -> Self {
        let source = match &config.component {
            ComponentSource::Builtin(name) => format!("builtin:{name}"),
            ComponentSource::File(path) => path.display().to_string(),
        };
        let origin = Origin::Configured(config.component.clone());
        Self { origin, source, settings: config.settings.clone() }
    }

    /// Reads its bytes; an error is a fragment that follows the source.
    pub(super) fn fetch(&self, data_dir: &Path) -> Result<Vec<u8>, String> {
        match &self.origin {
            Origin::Configured(ComponentSource::Builtin(_)) => Ok(builtin::AZURE_HEALTH.to_vec()),
            Origin::Configured(ComponentSource::File(path)) => {
                read_component(path).map_err(|error| format!("cannot be read: {error}"))
            }
            Origin::Upload(bytes) => Ok(bytes.clone()),
            Origin::Kept(digest) => kept(data_dir, *digest)
                .ok_or_else(|| "is missing from the data directory or damaged".to_owned()),
        }
    }

    /// Whether its digest must be the one that the configuration asks for. A generation that is kept
    /// was what was asked for in its time.
    pub(super) fn is_pinned(&self) -> bool {
        !matches!(self.origin, Origin::Kept(_))
    }

    /// Folder of the cases beside it.
    pub(super) fn cases(&self) -> Option<PathBuf> {
        let Origin::Configured(ComponentSource::File(path)) = &self.origin else { return None };
        let folder = path.parent()?.join("cases");
        folder.is_dir().then_some(folder)
    }
}

/// Digest of what the configuration says: when it changes, the configuration wins over an upload.
pub(super) fn configured(component: Digest, settings: &str) -> Digest {
    let mut hash = Sha256::new();
    hash.update(component.0);
    hash.update(settings.as_bytes());
    Digest(hash.finalize().into())
}

fn kept_path(data_dir: &Path, digest: Digest) -> PathBuf {
    data_dir.join("components").join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
}

/// Keeps bytes under their digest; written beside and renamed, so never half.
pub(super) fn keep(data_dir: &Path, digest: Digest, bytes: &[u8]) -> std::io::Result<()> {
    if kept(data_dir, digest).is_some() {
        return Ok(());
    }
    let path = kept_path(data_dir, digest);
    fs::create_dir_all(data_dir.join("components"))?;
    let beside = path.with_extension("part");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    // Before a record that names it is durable.
    file.sync_all()?;
    fs::rename(beside, path)
}

/// Reads kept bytes back; what no longer has its digest is not there.
pub(super) fn kept(data_dir: &Path, digest: Digest) -> Option<Vec<u8>> {
    read_component(&kept_path(data_dir, digest)).ok().filter(|bytes| inspect::digest(bytes) == digest)
}

/// Removes kept bytes that nothing uses any more; best effort.
pub(super) fn prune(data_dir: &Path, used: &BTreeSet<Digest>) {
    let used: BTreeSet<PathBuf> = used.iter().map(|digest| kept_path(data_dir, *digest)).collect();
    let Ok(files) = fs::read_dir(data_dir.join("components")) else { return };
    for path in files.flatten().map(|file| file.path()).filter(|path| !used.contains(path)) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!("`{}` stays: {error}", path.display());
        }
    }
}
