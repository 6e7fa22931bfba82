//! The guard: a process beside the host that ends the host's processes when the host is killed.
//!
//! It reads lines from the host: `+PGID` for a group that now exists, `-PGID` for one that is
//! gone. The input ends when the host does, and a host that ended in good order has taken back
//! every group. Whatever is still listed gets SIGTERM, and SIGKILL after the timeout. The guard
//! never looks for processes by itself.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::former;
use super::group::{Group, KILL_WAIT};

/// First argument of the host's program that makes it a guard.
pub const GUARD_COMMAND: &str = "__guard";
/// Option of that command: milliseconds between SIGTERM and SIGKILL.
pub const GUARD_TIMEOUT_OPTION: &str = "--stop-timeout-ms";

/// Option of that command: the file that it holds while it lives, see `former`.
pub const GUARD_HOLDS_OPTION: &str = "--holds";

/// A sign and ten digits; longer lines are not from a host.
const LINE_LEN_MAX: usize = 16;

/// Runs the guard until the input ends, then ends what is still listed. Blocks.
///
/// SIGINT, SIGTERM, SIGHUP and SIGQUIT do nothing from here on: the guard must outlive the host.
///
/// # Errors
/// When the runtime or the signal handlers cannot be set up.
pub fn run(input: impl Read, stop_timeout: Duration, holds: Option<&Path>) -> io::Result<()> {
    // A guard that cannot say that it is there guards all the same.
    let _held = holds.map(former::hold).transpose().ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ignored = Vec::new();
        for kind in
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
        {
            ignored.push(signal(kind)?);
        }
        end_groups(&read_groups(input), stop_timeout).await;
        Ok(())
    })
}

/// Follows the input to its end; the groups that are listed then. An error ends it too.
fn read_groups(mut input: impl Read) -> BTreeSet<i32> {
    let mut groups = BTreeSet::new();
    let mut line = Vec::with_capacity(LINE_LEN_MAX);
    let mut buffer = [0_u8; 1024];
    loop {
        let count = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => return groups,
            Ok(count) => count,
        };
        for byte in buffer.iter().take(count) {
            if *byte == b'\n' {
                apply_line(&line, &mut groups);
                line.clear();
            } else if line.len() < LINE_LEN_MAX {
                line.push(*byte);
            }
        }
    }
}

/// Lines that are not understood change nothing: a wrong kill is worse than a missed one.
fn apply_line(line: &[u8], groups: &mut BTreeSet<i32>) {
    let Ok(text) = str::from_utf8(line) else { return };
    let Some((sign, digits)) = text.split_at_checked(1) else { return };
    // `parse` alone would take another sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    let Some(group) = digits.parse().ok().and_then(Group::new) else { return };
    match sign {
        "+" => _ = groups.insert(group.id()),
        "-" => _ = groups.remove(&group.id()),
        _ => {}
    }
}

async fn end_groups(ids: &BTreeSet<i32>, stop_timeout: Duration) {
    let mut groups: Vec<Group> = ids.iter().copied().filter_map(Group::new).collect();
    groups.retain(|group| group.is_alive());
    for group in &groups {
        group.terminate();
    }
    if tokio::time::timeout(stop_timeout, all_gone(&groups)).await.is_ok() {
        return;
    }
    groups.retain(|group| group.is_alive());
    for group in &groups {
        group.signal(Signal::KILL);
    }
    // What outlives SIGKILL hangs in the kernel; waiting longer would not help.
    _ = tokio::time::timeout(KILL_WAIT, all_gone(&groups)).await;
}

async fn all_gone(groups: &[Group]) {
    for group in groups {
        group.gone().await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn listed(input: &str) -> Vec<i32> {
        read_groups(input.as_bytes()).into_iter().collect()
    }

    #[test]
    fn only_groups_not_taken_back_remain() {
        assert_eq!(listed(""), [] as [i32; 0]);
        assert_eq!(listed("+12\n+13\n-12\n+14\n-14\n+14\n"), [13, 14]);
        // Without its end a line may be a shorter number than the host meant.
        assert_eq!(listed("+12\n+1234"), [12]);
    }

    #[test]
    fn nothing_misread_becomes_a_group() {
        for input in ["+0\n", "+1\n", "+-5\n", "12\n", "++12\n", "+\n", "\n", "é12\n", "+99999999999\n"] {
            assert_eq!(listed(input), [] as [i32; 0], "{input:?}");
        }
        assert_eq!(listed(&format!("+{}\n+7\n", "9".repeat(100_000))), [7]);
    }

    #[tokio::test]
    async fn what_is_listed_is_ended_by_force_if_need_be() {
        let script = "trap '' TERM; sleep 300 & echo deaf; while :; do sleep 300; done";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Group::new(i32::try_from(child.id()).unwrap()).unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
        end_groups(&BTreeSet::from([group.id()]), Duration::from_millis(200)).await;
        assert!(!group.is_alive());
        _ = child.wait();
    }
}
