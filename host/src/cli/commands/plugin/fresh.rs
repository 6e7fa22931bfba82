//! Whether the component of a project is as new as its source.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What tools write, and what is no source of the component.
const NOT_SOURCE: [&str; 8] =
    ["build", "target", "node_modules", "cases", "zig-cache", "__pycache__", "README.md", "Cargo.lock"];
/// Deepest folder that is looked into.
const DEPTH_MAX: u32 = 4;

/// A file of a project that is newer than its component.
pub(super) fn newer_source(folder: &Path, component: &Path) -> Option<PathBuf> {
    let built = modified(component)?;
    newer(folder, built, DEPTH_MAX)
}

/// The files of a project of which its component is made.
pub(super) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(folder, DEPTH_MAX, &mut files);
    files
}

fn collect(folder: &Path, depth: u32, files: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        match (is_source(&path), path.is_dir()) {
            (true, true) if depth > 0 => collect(&path, depth - 1, files),
            (true, false) => files.push(path),
            (true, true) | (false, _) => {}
        }
    }
}

fn newer(folder: &Path, built: SystemTime, depth: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().filter(|path| is_source(path)).find_map(|path| match path.is_dir() {
        true if depth > 0 => newer(&path, built, depth - 1),
        true => None,
        false => modified(&path).filter(|at| *at > built).map(|_| path),
    })
}

fn is_source(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let made = path.extension().is_some_and(|extension| extension == "wasm" || extension == "tmp");
    !made && !name.starts_with('.') && !NOT_SOURCE.contains(&name) && !path.is_symlink()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_source_that_is_newer_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, age: u64| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(at).unwrap();
            path
        };
        let component = write("game.wasm", 10);
        for name in ["cases/a.json", "target/x", "build/core.wasm", "README.md", ".gitignore", "old.c"] {
            write(name, if name == "old.c" { 20 } else { 0 });
        }
        assert_eq!(newer_source(folder.path(), &component), None);
        let newer = write("src/policy.c", 9);
        assert_eq!(newer_source(folder.path(), &component), Some(newer));
    }
}
