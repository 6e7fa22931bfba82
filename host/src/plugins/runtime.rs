//! The runtime of plugins as a host and as a command has it: compiling outside, and keeping what was compiled.
//!
//! A host keeps it in its data directory, a command in the folder that the user's other programs use for such
//! things, where hosts keep what comes with the program itself, too; without one a start takes longer, nothing worse.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compiler::Outside;
use crate::clock::Clock;
use phasegate_wasm::{CodeCache, Runtime, RuntimeError};

/// The runtime of a host.
///
/// # Errors
/// When the engine does not run on this machine.
pub fn of_host(data_dir: &Path, clock: Clock) -> Result<Runtime, RuntimeError> {
    let runtime = outside(clock)?;
    tracing::info!("memory of plugin instances comes from {}", runtime.allocation());
    let runtime = match users_cache() {
        Some(cache) => runtime.with_shared(cache),
        None => runtime,
    };
    Ok(match CodeCache::open(data_dir) {
        Ok(cache) => runtime.with_cache(cache),
        Err(error) => {
            tracing::warn!("compiled code cannot be kept in the data directory: {error}");
            runtime
        }
    })
}

/// The runtime of a command. What a host has compiled in `data_dir` is used; nothing is written there.
///
/// # Errors
/// When the engine does not run on this machine.
pub fn of_command(clock: Clock, data_dir: Option<&Path>) -> Result<Runtime, RuntimeError> {
    let runtime = outside(clock)?;
    let runtime = match users_cache() {
        Some(cache) => runtime.with_cache(cache),
        None => runtime,
    };
    Ok(match data_dir.and_then(CodeCache::existing) {
        Some(cache) => runtime.with_cache(cache),
        None => runtime,
    })
}

fn outside(clock: Clock) -> Result<Runtime, RuntimeError> {
    Ok(Runtime::new(Arc::new(clock))?.with_compiler(Arc::new(Outside::default())))
}

/// That of the user; a user without a home, or with one that cannot be written to, compiles each time.
fn users_cache() -> Option<CodeCache> {
    let folder = users_folder(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))?;
    CodeCache::open(&folder).ok()
}

/// Where programs keep what they can make again. Only absolute paths count, as the XDG rules say.
fn users_folder(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let base = cache.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".cache")))?;
    Some(base.join("phasegate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_is_where_such_things_are() {
        let folder = |cache: &str, home: &str| {
            let given = |text: &str| (!text.is_empty()).then(|| OsString::from(text));
            users_folder(given(cache), given(home)).map(|path| path.display().to_string())
        };
        assert_eq!(folder("/c", "/h").as_deref(), Some("/c/phasegate"));
        assert_eq!(folder("c", "/h").as_deref(), Some("/h/.cache/phasegate"));
        assert_eq!(folder("", "/h").as_deref(), Some("/h/.cache/phasegate"));
        assert_eq!(folder("", ""), None);
    }
}
