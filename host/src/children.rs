//! The host's own processes, and the orphans that it inherits as the first process of a container: here those
//! orphans are collected that have ended.
//!
//! Never those that it has started itself: how they ended is what somebody waits for. Deliberately ends nothing.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, getpid, waitid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// Processes that this one has started and waits for by itself. Held while one is being started, so that it is
/// never seen before it is known.
static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Shortest time between two looks: each goes through all processes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Longest time between two looks, should a signal have been lost in the crowd.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(10);

fn own() -> MutexGuard<'static, BTreeSet<i32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of our own that is waited for elsewhere.
#[derive(Debug)]
pub struct OwnChild(i32);

impl Drop for OwnChild {
    fn drop(&mut self) {
        own().remove(&self.0);
    }
}

/// Starts a process that is waited for elsewhere, for as long as what comes with it is kept.
///
/// # Errors
/// When the system does not start it.
pub fn spawn(command: &mut tokio::process::Command) -> io::Result<(tokio::process::Child, Option<OwnChild>)> {
    keep_page_map(command);
    if !*INHERITS {
        return Ok((command.spawn()?, None));
    }
    let mut own = own();
    let child = command.spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    own.extend(id);
    Ok((child, id.map(OwnChild)))
}

/// The same for a program that a thread waits for.
///
/// # Errors
/// When the system does not start it.
pub fn spawn_plain(
    command: &mut std::process::Command,
) -> io::Result<(std::process::Child, Option<OwnChild>)> {
    if !*INHERITS {
        return Ok((command.spawn()?, None));
    }
    let mut own = own();
    let child = command.spawn()?;
    let id = i32::try_from(child.id()).ok();
    own.extend(id);
    Ok((child, id.map(OwnChild)))
}

/// The descriptor of the page map that Wasmtime keeps open for the whole life of this process.
static PAGE_MAP: OnceLock<RawFd> = OnceLock::new();

/// Keeps the page map from a program. Wasmtime opens it anew in each child, between fork and exec, in the place of the one of
/// this process, and then it is no longer closed on exec.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the hook runs between fork and exec and makes one system call")]
fn keep_page_map(command: &mut tokio::process::Command) {
    let Some(map) = PAGE_MAP.get().copied().or_else(find_page_map) else { return };
    let map = *PAGE_MAP.get_or_init(|| map);
    let hook = move || {
        // SAFETY: whatever has this number now is open in the child, or the call fails.
        let map = unsafe { BorrowedFd::borrow_raw(map) };
        _ = fcntl_setfd(map, FdFlags::CLOEXEC);
        Ok(())
    };
    // SAFETY: the hook neither allocates nor takes locks; it captures one number.
    unsafe { command.pre_exec(hook) };
}

#[cfg(not(target_os = "linux"))]
fn keep_page_map(_: &mut tokio::process::Command) {}

#[cfg(target_os = "linux")]
fn find_page_map() -> Option<RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    let is_it = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/proc") && to.ends_with("pagemap"))
    };
    entries.flatten().find(is_it)?.file_name().to_str()?.parse().ok()
}

/// Whether orphans come to this process.
static INHERITS: LazyLock<bool> = LazyLock::new(inherits);

/// It is the first one, or somebody has asked for them in its name.
fn inherits() -> bool {
    #[cfg(target_os = "linux")]
    let asked = rustix::process::child_subreaper().is_ok_and(|asked| asked.is_some());
    #[cfg(not(target_os = "linux"))]
    let asked = false;
    getpid().is_init() || asked
}

/// Collects orphans for as long as it is polled; ends at once where none come to this process.
///
/// # Errors
/// When the system refuses the signal.
pub async fn collect() -> io::Result<()> {
    if !*INHERITS {
        return Ok(());
    }
    let mut ended = signal(SignalKind::child())?;
    loop {
        let seen = tokio::task::spawn_blocking(collect_once).await.unwrap_or_default();
        if seen > 0 {
            tracing::debug!("collected {seen} orphans");
        }
        tokio::time::sleep(LOOK_EVERY).await;
        // One that has ended meanwhile has left its signal.
        let _ = tokio::time::timeout(LOOK_AT_LEAST_EVERY, ended.recv()).await;
    }
}

/// Collects every orphan that has ended; gives how many.
fn collect_once() -> usize {
    let own = own();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(waitid(WaitId::All, options), Ok(Some(_))) {
        return 0;
    }
    let ended = ended_children().into_iter().filter(|pid| !own.contains(&pid.as_raw_nonzero().get()));
    ended.filter(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(Some(_)))).count()
}

/// Children of this process that have ended and that nobody has collected.
fn ended_children() -> Vec<Pid> {
    let parent = getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let child = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read(entry.path().join("stat")).ok()?;
        let ended = state_and_parent(&String::from_utf8_lossy(&stat))? == ('Z', parent);
        if ended { Pid::from_raw(pid) } else { None }
    };
    entries.flatten().filter_map(child).collect()
}

/// State and parent from a line of `/proc/PID/stat`, whose name may hold anything.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_with_odd_names_are_read() {
        assert_eq!(state_and_parent("4711 (a) Z 9 (b) Z 1 77 4710 0"), Some(('Z', 1)));
        for bad in ["", "4711 (sleep", "4711 (sleep)", "4711 (sleep) S", "4711 (sleep) S x"] {
            assert_eq!(state_and_parent(bad), None, "{bad}");
        }
    }
}
