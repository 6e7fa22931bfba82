//! Who listens on a port, as far as `/proc` tells: a process that left its group survives the end of its group, and
//! may keep the port and answer for the one that is to come.
//!
//! Ends nobody: what left its group on purpose is somebody's. Elsewhere than on Linux nothing is known.

use std::collections::BTreeSet;
use std::path::Path;

/// Set for every process of an instance, and for all that those start: by it one is known again that left its group.
pub(in crate::drivers) const INSTANCE: &str = "PHASEGATE_INSTANCE";

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::drivers) struct Holder {
    /// Its process id.
    pub(in crate::drivers) pid: u32,
    /// What it runs.
    pub(in crate::drivers) command: String,
}

/// The process that listens on a port and was started for this instance before.
pub(in crate::drivers) fn holder(port: u16, instance: &str) -> Option<Holder> {
    let inodes = listening(port);
    if inodes.is_empty() {
        return None;
    }
    let mark = format!("{INSTANCE}={instance}");
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| is_of(*pid, &mark) && holds_any(*pid, &inodes))?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let command: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Holder { pid, command: command.join(" ") })
}

/// The inodes of sockets that listen on a port, at any address.
fn listening(port: u16) -> BTreeSet<String> {
    const LISTEN: &str = "0A";
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let here = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (here == port && *state == LISTEN).then(|| (*inode).to_owned())
    };
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(of_line).collect()
}

fn is_of(pid: u32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

fn holds_any(pid: u32, inodes: &BTreeSet<String>) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let target = |path: &Path| Some(std::fs::read_link(path).ok()?.to_str()?.to_owned());
    let is_one = |text: String| {
        let inode = text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.contains(inode))
    };
    open.filter_map(Result::ok).filter_map(|entry| target(&entry.path())).any(is_one)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_found_by_the_port_and_the_mark() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening(port).len(), 1);
        assert!(holds_any(std::process::id(), &listening(port)));
        assert_eq!(holder(port, "orders/0"), None, "this process was not started for an instance");
        drop(listener);
        assert!(listening(port).is_empty());
    }
}
