//! Compiled code on disk, so that a restart does not compile again.
//!
//! Compiled code runs as it is: whoever can put a file here could run anything in the host. So the
//! folder is private, a file is named after the component and the engine that it is for, and it
//! counts only with the right seal over its name and all of its bytes; the very bytes that were
//! checked are the ones that are used. Whatever does not fit is compiled again. The seal's key is
//! in the same folder: it keeps out damage, mix-ups and files from elsewhere, not somebody who can
//! read the folder already.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use phasegate_core::domain::Digest;

use super::compiler;

/// All files together; the least recently used go first.
const BYTES_MAX: u64 = 512 << 20;
/// As many files at most.
const COUNT_MAX: usize = 128;
/// Begins every file; another layout gets another one.
const MAGIC: &[u8; 8] = b"PGCODE01";
const SEAL_BYTES: usize = 32;
const KEY_BYTES: usize = 32;

/// The folder with compiled code.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    bytes_max: u64,
    /// Held while a file is written and old ones go.
    writing: Mutex<()>,
}

impl CodeCache {
    /// Opens the folder `compiled` in a directory, or makes it; the directory, too.
    ///
    /// # Errors
    /// When it cannot be made private, or its key can be neither read nor written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let folder = directory.join("compiled");
        match fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if !fs::symlink_metadata(&folder)?.is_dir() {
            return Err(io::Error::other("it is no folder"));
        }
        is_ours(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let key = read_key(&folder.join("key"))?;
        Ok(Self { folder, key, bytes_max: BYTES_MAX, writing: Mutex::new(()) })
    }

    /// Opens the folder of somebody else's host, if it is there: to look into it. Nothing is made or changed.
    #[must_use]
    pub fn existing(directory: &Path) -> Option<Self> {
        let folder = directory.join("compiled");
        let is_ours = fs::symlink_metadata(&folder).ok()?.is_dir() && is_ours(&folder).is_ok();
        let path = folder.join("key");
        let key = fs::read(&path).ok().filter(|_| is_ours && self::is_ours(&path).is_ok())?;
        Some(Self { key: key.try_into().ok()?, folder, bytes_max: BYTES_MAX, writing: Mutex::new(()) })
    }

    /// Whether there is compiled code of a component, harmed or not.
    pub(super) fn has(&self, engine: &Engine, digest: Digest) -> bool {
        self.folder.join(name(engine, digest)).exists()
    }

    /// The compiled code of a component, if it is here and unharmed.
    pub(super) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let name = name(engine, digest);
        let path = self.folder.join(&name);
        let mut file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let code = self.unsealed(&name, &bytes).and_then(|code| deserialize(engine, code));
        if code.is_none() {
            tracing::warn!("compiled code `{}` is damaged or not ours; compiling again", path.display());
            let _ = fs::remove_file(&path);
            return None;
        }
        // Least recently used is by this time; without it the order is merely worse.
        let now = || Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = futimens(&file, &Timestamps { last_access: now(), last_modification: now() });
        code
    }

    /// Keeps compiled code. A cache that cannot be written is slower, nothing worse.
    pub(super) fn store(&self, engine: &Engine, digest: Digest, code: &[u8]) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name(engine, digest);
        if let Err(error) = self.write(&name, code) {
            tracing::warn!("compiled code is not kept in `{}`: {error}", self.folder.display());
        }
        self.shrink(&name);
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        // Two commands of one user may keep the same at the same time.
        let beside = self.folder.join(format!("{name}.{}.part", std::process::id()));
        let write = || {
            let mut file = private().truncate(true).open(&beside)?;
            file.write_all(MAGIC)?;
            file.write_all(&self.seal(name, code))?;
            file.write_all(code)?;
            // No sync: a file that a crash cuts off has no seal.
            drop(file);
            fs::rename(&beside, self.folder.join(name))
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
    }

    fn unsealed<'a>(&self, name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (seal, code) = rest.split_at_checked(SEAL_BYTES)?;
        let differs = self.seal(name, code).iter().zip(seal).fold(0, |all, (a, b)| all | (a ^ b));
        (differs == 0).then_some(code)
    }

    /// HMAC-SHA-256 over the name and the code.
    fn seal(&self, name: &str, code: &[u8]) -> [u8; SEAL_BYTES] {
        let padded = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(&self.key).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let mut inner = Sha256::new();
        inner.update(padded(0x36));
        inner.update(name.as_bytes());
        inner.update([0]);
        inner.update(code);
        let mut outer = Sha256::new();
        outer.update(padded(0x5c));
        outer.update(inner.finalize());
        outer.finalize().into()
    }

    /// Removes what was used least recently until the rest fits; never the file `newest`.
    fn shrink(&self, newest: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name() != *"key")
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let mut count = files.len();
        for (_, bytes, path) in files {
            if total <= self.bytes_max && count <= COUNT_MAX {
                return;
            }
            if !path.ends_with(newest) && fs::remove_file(&path).is_ok() {
                total = total.saturating_sub(bytes);
                count -= 1;
            }
        }
    }
}

/// Component and engine: another wasmtime, another configuration or another processor is another
/// name.
fn name(engine: &Engine, digest: Digest) -> String {
    let mut hash = EngineHash(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hash);
    let engine: Digest = Digest(hash.0.finalize().into());
    let short = |digest: Digest| digest.to_string().trim_start_matches("sha256:").to_owned();
    format!("{}-{}", short(digest), short(engine).get(..16).unwrap_or_default())
}

/// Takes what a type hashes into SHA-256, which stays the same from one process to the next.
struct EngineHash(Sha256);

impl Hasher for EngineHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// What our own compiler gave a moment ago.
pub(super) fn of_our_compiler(engine: &Engine, code: &[u8]) -> Option<Component> {
    if compiler::is_machine_code(code) { deserialize(engine, code) } else { None }
}

#[expect(unsafe_code, reason = "compiled code can only be loaded so; its seal was checked")]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes come from our compiler or carry our seal, so they are what `precompile_component` gave
    // this host or an earlier run of it, and they are in memory that nobody else writes to.
    unsafe { Component::deserialize(engine, code) }.ok()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Whether a path is ours and no link. With a key that another user knows, code of theirs would have our seal.
fn is_ours(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let us = rustix::process::geteuid().as_raw();
    if found.is_symlink() || found.uid() != us {
        let text = format!(
            "`{}` belongs to user {} or leads elsewhere, and this is user {us}",
            path.display(),
            found.uid()
        );
        return Err(io::Error::other(text));
    }
    Ok(())
}

/// The key of the seals; a new one makes all older files worthless, which is safe.
fn read_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    match is_ours(path).and_then(|()| fs::read(path)) {
        Ok(bytes) if bytes.len() == KEY_BYTES => {
            key.copy_from_slice(&bytes);
            return Ok(key);
        }
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let beside = path.with_extension("part");
    let mut file = private().truncate(true).open(&beside)?;
    file.write_all(&key)?;
    drop(file);
    fs::rename(beside, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{builtin, inspect};

    fn engine() -> Engine {
        crate::tests::runtime().engine
    }

    fn filled() -> (tempfile::TempDir, CodeCache, Engine, Digest, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(directory.path()).unwrap();
        let engine = engine();
        let digest = inspect::component_digest(builtin::AZURE_HEALTH);
        let code = compiler::machine_code(builtin::AZURE_HEALTH).unwrap();
        assert!(cache.load(&engine, digest).is_none());
        cache.store(&engine, digest, &code);
        let path = cache.folder.join(name(&engine, digest));
        (directory, cache, engine, digest, path)
    }

    #[test]
    fn what_was_kept_comes_back_in_another_process() {
        let (directory, cache, engine_1, digest, path) = filled();
        assert!(cache.load(&engine_1, digest).is_some());
        let reopened = CodeCache::open(directory.path()).unwrap();
        assert!(reopened.load(&engine(), digest).is_some());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&cache.folder), mode(&path), mode(&cache.folder.join("key"))),
            (0o700, 0o600, 0o600)
        );
    }

    #[test]
    fn a_file_that_is_not_whole_and_ours_is_never_used() {
        let (directory, cache, engine, digest, path) = filled();
        let good = fs::read(&path).unwrap();
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        let end = good.len();
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("cut in the head", good[..20].to_vec()),
            ("cut in the middle", good[..end / 2].to_vec()),
            ("cut at the end", good[..end - 1].to_vec()),
            ("another layout", flipped(0)),
            ("another seal", flipped(10)),
            ("other code", flipped(end / 2)),
            ("longer", [good.clone(), vec![0]].concat()),
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(cache.load(&engine, digest).is_none(), "{what}");
            assert!(!path.exists(), "{what}");
        }
        // The code of one component under the name of another.
        let other = Digest([7; 32]);
        fs::write(cache.folder.join(name(&engine, other)), &good).unwrap();
        assert!(cache.load(&engine, other).is_none());
        // From a host with another key.
        fs::write(&path, &good).unwrap();
        fs::remove_file(cache.folder.join("key")).unwrap();
        assert!(CodeCache::open(directory.path()).unwrap().load(&engine, digest).is_none());
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (_directory, mut cache, engine, digest, path) = filled();
        let one = fs::metadata(&path).unwrap().len();
        cache.bytes_max = one * 2;
        let old = cache.folder.join("old");
        fs::write(&old, vec![0; usize::try_from(one).unwrap()]).unwrap();
        File::open(&old).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let code = compiler::machine_code(builtin::AZURE_HEALTH).unwrap();
        assert!(cache.load(&engine, digest).is_some());
        cache.store(&engine, Digest([7; 32]), &code);
        assert!(!old.exists());
        assert!(path.exists() && cache.load(&engine, digest).is_some());
        cache.bytes_max = BYTES_MAX;
        for name in 0..200 {
            fs::write(cache.folder.join(format!("small-{name}")), b"x").unwrap();
        }
        cache.store(&engine, Digest([8; 32]), &code);
        assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), COUNT_MAX + 1, "and the key");
    }
}
