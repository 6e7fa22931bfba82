//! Bytes that are kept under their digest in the data directory, so that an upload survives a restart and a
//! former generation can come back; and uploads that are held until their swap has an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

use super::lock;
use crate::plugins::signature::Signed;
use phasegate_core::domain::{Digest, PluginName};
use phasegate_wasm::{component_digest, read_component};

/// Bytes of a file that are compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// The folder of kept bytes.
pub(super) struct Disk {
    data_dir: PathBuf,
    /// What each plugin needs; none of one that has not said so since the host started.
    used: Mutex<BTreeMap<PluginName, Option<BTreeSet<Digest>>>>,
    /// Held while files come or go.
    writing: Mutex<()>,
}

impl Disk {
    pub(super) fn new(data_dir: PathBuf, names: Vec<PluginName>) -> Self {
        Self {
            data_dir,
            used: Mutex::new(names.into_iter().map(|name| (name, None)).collect()),
            writing: Mutex::default(),
        }
    }

    /// Where the bytes of a component are kept.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        kept_path(&self.data_dir, digest)
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.join("components")
    }

    /// Reads kept bytes back; what no longer has its digest is not there.
    pub(super) fn kept(&self, digest: Digest) -> Option<Vec<u8>> {
        read_component(&self.path(digest)).ok().filter(|bytes| component_digest(bytes) == digest)
    }

    /// Keeps bytes for a plugin; written beside and renamed, so never half. No other plugin tidies them up
    /// from then on.
    pub(super) fn keep(&self, name: &PluginName, digest: Digest, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(Some(used)) = lock(&self.used).get_mut(name) {
            used.insert(digest);
        }
        let _writing = lock(&self.writing);
        self.put(&self.path(digest), bytes)
    }

    /// Keeps what was signed of kept bytes, so that it can be looked at again; of nothing, nothing changes.
    pub(super) fn keep_signatures(&self, digest: Digest, signed: &[Signed]) -> std::io::Result<()> {
        let mut counting = signed.iter().filter(|one| one.void.is_none()).peekable();
        if counting.peek().is_none() {
            return Ok(());
        }
        let kept: Vec<KeptSignature> = counting.map(KeptSignature::of).collect();
        let text = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
        let _writing = lock(&self.writing);
        self.put(&self.signatures_path(digest), &text)
    }

    /// Signatures of kept bytes; none where none are kept. What cannot be read was signed by nobody.
    pub(super) fn signatures(&self, digest: Digest) -> Vec<Signed> {
        let text = fs::read(self.signatures_path(digest)).unwrap_or_default();
        let kept: Vec<KeptSignature> = serde_json::from_slice(&text).unwrap_or_default();
        kept.iter().filter_map(KeptSignature::signed).collect()
    }

    fn signatures_path(&self, digest: Digest) -> PathBuf {
        self.path(digest).with_extension("signatures")
    }

    /// Written beside and renamed, so never half.
    fn put(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        if holds(path, bytes) {
            return Ok(());
        }
        let folder = self.folder();
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

    /// Takes note of what a plugin needs.
    pub(super) fn needs(&self, name: &PluginName, needs: BTreeSet<Digest>) {
        lock(&self.used).insert(name.clone(), Some(needs));
    }

    /// Removes what no plugin needs any more; best effort. Nothing goes before every plugin has said what it
    /// needs.
    pub(super) fn prune(&self) {
        let _writing = lock(&self.writing);
        let all = lock(&self.used).values().cloned().collect::<Option<Vec<_>>>();
        let Some(all) = all else { return };
        let needed: BTreeSet<PathBuf> = all
            .into_iter()
            .flatten()
            .flat_map(|digest| [self.path(digest), self.signatures_path(digest)])
            .collect();
        let Ok(files) = fs::read_dir(self.folder()) else { return };
        for path in files.flatten().map(|file| file.path()).filter(|path| !needed.contains(path)) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!("`{}` stays: {error}", path.display());
            }
        }
    }
}

/// A signature as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptSignature {
    /// Base64.
    signature: String,
    /// Base64; none of a signature of the component itself.
    payload: Option<String>,
}

impl KeptSignature {
    fn of(signed: &Signed) -> Self {
        let Signed { signature, payload, void: _ } = signed;
        Self {
            signature: BASE64.encode(signature),
            payload: payload.as_deref().map(|bytes| BASE64.encode(bytes)),
        }
    }

    fn signed(&self) -> Option<Signed> {
        let payload = self.payload.as_ref().map(|text| BASE64.decode(text.as_bytes())).transpose().ok()?;
        Some(Signed { signature: BASE64.decode(self.signature.as_bytes()).ok()?, payload, void: None })
    }
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

/// Uploads by their digest, each with how often it is held.
#[derive(Default)]
pub(super) struct Holding(Mutex<BTreeMap<Digest, Upload>>);

struct Upload {
    bytes: Bytes,
    signed: Vec<Signed>,
    /// How often it is held.
    count: usize,
}

impl Holding {
    pub(super) fn get(&self, digest: Digest) -> Option<(Bytes, Vec<Signed>)> {
        lock(&self.0).get(&digest).map(|upload| (upload.bytes.clone(), upload.signed.clone()))
    }
}

/// An upload that the hands hold.
pub struct Held {
    digest: Digest,
    holding: Arc<Holding>,
}

impl Held {
    /// What was uploaded.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = lock(&self.holding.0);
        if let Some(upload) = all.get_mut(&self.digest) {
            upload.count = upload.count.saturating_sub(1);
            if upload.count == 0 {
                all.remove(&self.digest);
            }
        }
    }
}

/// Of the same bytes, all signatures that came with them count.
pub(super) fn hold(holding: &Arc<Holding>, bytes: Bytes, signed: Vec<Signed>) -> Held {
    let digest = component_digest(&bytes);
    let mut all = lock(&holding.0);
    let upload = all.entry(digest).or_insert(Upload { bytes, signed: Vec::new(), count: 0 });
    upload.signed.extend(signed);
    upload.count += 1;
    drop(all);
    Held { digest, holding: Arc::clone(holding) }
}

/// Where the bytes of a component are kept in a data directory.
pub(crate) fn kept_path(data_dir: &Path, digest: Digest) -> PathBuf {
    let name = format!("{}.wasm", digest.to_string().trim_start_matches("sha256:"));
    data_dir.join("components").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> PluginName {
        PluginName::parse(name).unwrap()
    }

    fn retain(disk: &Disk, of: &str, needs: BTreeSet<Digest>) {
        disk.needs(&name(of), needs);
        disk.prune();
    }

    #[test]
    fn nothing_is_removed_that_another_plugin_needs_or_may_need() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned(), vec![name("a"), name("b")]);
        let (one, two) = (component_digest(b"one"), component_digest(b"two"));
        disk.keep(&name("a"), one, b"one").unwrap();
        retain(&disk, "a", BTreeSet::new());
        assert!(disk.kept(one).is_some(), "the other one has not said what it needs");
        retain(&disk, "b", BTreeSet::from([one]));
        disk.keep(&name("a"), two, b"two").unwrap();
        retain(&disk, "b", BTreeSet::from([one]));
        assert!(disk.kept(one).is_some() && disk.kept(two).is_some());
        retain(&disk, "a", BTreeSet::new());
        assert!(disk.kept(two).is_none() && disk.kept(one).is_some());
        fs::write(disk.path(one), b"other").unwrap();
        assert!(disk.kept(one).is_none(), "damaged is not there");
    }

    #[test]
    fn signatures_stay_with_the_bytes_and_go_with_them() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned(), vec![name("a")]);
        let digest = component_digest(b"one");
        disk.keep(&name("a"), digest, b"one").unwrap();
        assert_eq!(disk.signatures(digest), []);
        let signed = [
            Signed { signature: vec![1, 2], payload: None, void: None },
            Signed { signature: vec![3], payload: Some(vec![4, 5]), void: None },
        ];
        disk.keep_signatures(digest, &signed).unwrap();
        disk.keep_signatures(digest, &[]).unwrap();
        retain(&disk, "a", BTreeSet::from([digest]));
        assert_eq!(disk.signatures(digest), signed);
        fs::write(disk.signatures_path(digest), b"[{").unwrap();
        assert_eq!(disk.signatures(digest), [], "damaged is signed by nobody");
        retain(&disk, "a", BTreeSet::new());
        assert_eq!(fs::read_dir(disk.folder()).unwrap().count(), 0);
    }

    #[test]
    fn an_upload_is_held_for_as_long_as_one_waits_for_it() {
        let holding = Arc::<Holding>::default();
        let (one, other) =
            (hold(&holding, Bytes::from("x"), Vec::new()), hold(&holding, Bytes::from("x"), Vec::new()));
        let digest = one.digest();
        drop(one);
        assert!(holding.get(digest).is_some());
        drop(other);
        assert!(holding.get(digest).is_none());
    }
}
