//! Where components come from, and where their bytes are kept: under their digest in the data
//! directory, so that an upload survives a restart, a former generation can come back, and what was
//! fetched need not be fetched again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hyper::body::Bytes;
use sha2::{Digest as _, Sha256};

use crate::net::reference::RemoteSource;
use crate::plugins::config::{ComponentSource, PluginConfig};
use crate::plugins::{Fetch, FetchError};
use phasegate_core::domain::Digest;
use phasegate_wasm::{builtin, component_digest, read_component};

/// Bytes of a file that are compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

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
    Upload(Bytes),
    /// Where whoever swaps it in says.
    Named(RemoteSource),
    /// Kept from a former generation.
    Kept(Digest),
}

/// What a candidate is read with.
pub(super) struct Reading<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) config: &'a PluginConfig,
    /// Is told how many bytes have been fetched.
    pub(super) on_bytes: &'a (dyn Fn(u64) + Sync),
}

/// The bytes of a candidate.
pub(super) struct Read {
    pub(super) bytes: Bytes,
    /// How they came, where that is worth a word.
    pub(super) note: Option<String>,
}

impl Candidate {
    /// What the configuration names.
    pub(super) fn configured(config: &PluginConfig) -> Self {
        let source = match &config.component {
            ComponentSource::Builtin(name) => format!("builtin:{name}"),
            ComponentSource::File(path) => path.display().to_string(),
            ComponentSource::Remote(source) => source.to_string(),
        };
        let origin = Origin::Configured(config.component.clone());
        Self { origin, source, settings: config.spec.settings.clone() }
    }

    /// Reads or fetches its bytes. Blocks.
    pub(super) fn read(&self, reading: &Reading<'_>) -> Result<Read, FetchError> {
        let plain = |bytes| Ok(Read { bytes, note: None });
        match &self.origin {
            Origin::Configured(ComponentSource::Builtin(_)) => {
                plain(Bytes::from_static(builtin::AZURE_HEALTH))
            }
            Origin::Configured(ComponentSource::File(path)) => match read_component(path) {
                Ok(bytes) => plain(bytes.into()),
                Err(error) => Err(FetchError::Unreadable(format!("cannot be read: {error}"))),
            },
            Origin::Configured(ComponentSource::Remote(source)) | Origin::Named(source) => {
                fetch(source, reading)
            }
            Origin::Upload(bytes) => plain(bytes.clone()),
            Origin::Kept(digest) => match kept(reading.data_dir, *digest) {
                Some(bytes) => plain(bytes.into()),
                None => {
                    let why = "is missing from the data directory or damaged";
                    Err(FetchError::Unreadable(why.to_owned()))
                }
            },
        }
    }

    /// Folder of the cases beside it.
    pub(super) fn cases(&self) -> Option<PathBuf> {
        let Origin::Configured(ComponentSource::File(path)) = &self.origin else { return None };
        let folder = path.parent()?.join("cases");
        folder.is_dir().then_some(folder)
    }
}

/// Fetches a component, unless the very bytes that the configuration asks for in this place are here.
/// Of another place nothing is known before it was asked.
fn fetch(source: &RemoteSource, reading: &Reading<'_>) -> Result<Read, FetchError> {
    let Reading { data_dir, config, on_bytes } = reading;
    let is_configured = config.component == ComponentSource::Remote(source.clone());
    let pinned = config.spec.digest.filter(|_| is_configured);
    if let Some(bytes) = pinned.and_then(|wanted| kept(data_dir, wanted)) {
        return Ok(Read { bytes: bytes.into(), note: Some("kept; no request was made".to_owned()) });
    }
    let fetch = Fetch {
        source,
        settings: &config.fetch_of(source),
        wanted: config.spec.digest,
        kept: &|digest| kept(data_dir, digest),
        on_bytes: *on_bytes,
    };
    fetch.run().map(|fetched| Read { bytes: fetched.bytes.into(), note: Some(fetched.note) })
}

/// Digest of what the configuration says: when it changes, the configuration wins over an upload.
pub(super) fn configured(component: Digest, settings: &str) -> Digest {
    let mut hash = Sha256::new();
    hash.update(component.0);
    hash.update(settings.as_bytes());
    Digest(hash.finalize().into())
}

/// Where the bytes of a component are kept.
pub(super) fn kept_path(data_dir: &Path, digest: Digest) -> PathBuf {
    data_dir.join("components").join(format!("{}.wasm", digest.to_string().trim_start_matches("sha256:")))
}

/// Keeps bytes under their digest; written beside and renamed, so never half.
pub(super) fn keep(data_dir: &Path, digest: Digest, bytes: &[u8]) -> std::io::Result<()> {
    let path = kept_path(data_dir, digest);
    if holds(&path, bytes) {
        return Ok(());
    }
    let folder = data_dir.join("components");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    // Fetched with credentials, perhaps.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    let beside = path.with_extension("part");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    // Before a record that names it is durable.
    file.sync_all()?;
    fs::rename(beside, path)
}

/// Whether a file has these very bytes: cheaper than its digest, and than reading it at once.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let Ok(mut file) = fs::File::open(path) else { return false };
    let mut block = vec![0; COMPARED_BYTES];
    let same = |wanted: &[u8]| {
        let read = block.get_mut(..wanted.len()).unwrap_or_default();
        file.read_exact(read).is_ok() && read == wanted
    };
    bytes.chunks(COMPARED_BYTES).all(same) && file.read(&mut block).is_ok_and(|more| more == 0)
}

/// Reads kept bytes back; what no longer has its digest is not there.
pub(super) fn kept(data_dir: &Path, digest: Digest) -> Option<Vec<u8>> {
    read_component(&kept_path(data_dir, digest)).ok().filter(|bytes| component_digest(bytes) == digest)
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
