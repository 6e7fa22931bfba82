//! A process group: signalling it, and knowing when nothing of it is left.
//!
//! Deliberately blind to processes that leave their group (`setsid`): nothing portable finds them.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid};

/// How long everything left after SIGKILL may take to vanish. Only a process stuck in the kernel
/// needs more than a moment.
pub(in crate::drivers) const KILL_WAIT: Duration = Duration::from_secs(5);

/// Shortest and longest time between two looks at a group that is ending.
const LOOK_MIN: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(100);

/// Id of a process group that the driver created; equals the pid of its first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers) struct Group(Pid);

impl Group {
    /// The group with this id; none for ids that mean something else to `kill`: 0 is the caller's
    /// own group and 1 every process there is.
    pub(in crate::drivers) fn new(id: i32) -> Option<Self> {
        if id > 1 { Pid::from_raw(id).map(Self) } else { None }
    }

    /// The number.
    pub(in crate::drivers) fn id(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Sends a signal to all members. That there are none left is fine.
    pub(in crate::drivers) fn signal(self, signal: Signal) {
        if let Err(error) = kill_process_group(self.0, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(group = self.id(), %error, "could not signal a process group");
        }
    }

    /// Asks all members to end; also wakes the stopped ones, which would not see it otherwise.
    pub(in crate::drivers) fn terminate(self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Whether a member still runs. One that has ended and was not collected by its parent does
    /// not count: it holds nothing but its number, possibly for ever.
    pub(in crate::drivers) fn is_alive(self) -> bool {
        match test_kill_process_group(self.0) {
            Err(rustix::io::Errno::SRCH) => false,
            Ok(()) => has_running_member(self.id()).unwrap_or(true),
            // Members of another user exist. Elsewhere than on Linux this is also the answer for
            // a group of ended processes.
            Err(_) => has_running_member(self.id()).unwrap_or(cfg!(target_os = "linux")),
        }
    }

    /// Ends when no member runs. Only for a group whose first process has been collected: it also
    /// collects what was handed to this process, which is where orphans go when it is pid 1.
    pub(in crate::drivers) async fn gone(self) {
        let mut pause = LOOK_MIN;
        loop {
            while let Ok(Some(_)) = waitpgid(self.0, WaitOptions::NOHANG) {}
            if !self.is_alive() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }
}

/// Looks through `/proc`; none where that cannot be read.
fn has_running_member(group: i32) -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let mut seen_any = false;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        // A process that ends between the listing and the reading is not running.
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        let Some((state, pgrp)) = state_and_group(&String::from_utf8_lossy(&stat)) else { continue };
        seen_any = true;
        if pgrp == group && !matches!(state, 'Z' | 'X') {
            return Some(true);
        }
    }
    seen_any.then_some(false)
}

/// State and process group from a line of `/proc/PID/stat`. The name before them stands in
/// parentheses and may hold anything, also spaces and parentheses.
fn state_and_group(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let pgrp = fields.nth(1)?.parse().ok()?;
    Some((state, pgrp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_a_special_meaning_are_refused() {
        for id in [i32::MIN, -5, -1, 0, 1] {
            assert_eq!(Group::new(id), None, "{id}");
        }
        assert_eq!(Group::new(2).unwrap().id(), 2);
    }

    #[test]
    fn stat_lines_with_odd_names_are_read() {
        assert_eq!(state_and_group("4711 (sleep) S 1 4710 4710 0"), Some(('S', 4710)));
        assert_eq!(state_and_group("4711 (a) Z 9 (b) Z 1 77 4710 0"), Some(('Z', 77)));
        for bad in ["", "4711 (sleep", "4711 (sleep)", "4711 (sleep) S", "4711 (sleep) S 1 x"] {
            assert_eq!(state_and_group(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_own_group_is_alive() {
        let own = Group::new(rustix::process::getpgrp().as_raw_nonzero().get()).unwrap();
        assert!(own.is_alive());
    }
}
