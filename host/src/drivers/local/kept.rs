//! What is known of a process that outlives its host: a file beside the record, written by the keeper that waits for
//! the process, and read by the next host.
//!
//! A number alone is no process: with the file stand when the process began and on which boot of the machine, so that
//! another one under the same number is never taken for it.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use phasegate_core::domain::{InstanceId, ScaleSetName, Version};
use serde::{Deserialize, Serialize};

use super::group::Group;

/// Longest file that is one.
const LEN_MAX: u64 = 64 * 1024;

/// Whose a process is, and what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The scale set.
    pub scale_set: ScaleSetName,
    /// The instance.
    pub instance: InstanceId,
    /// What it runs.
    pub version: Version,
    /// Where it listens; not known of one that was begun by a host of before.
    #[serde(default)]
    pub port: Option<u16>,
    /// Where its log file stood when it began, in bytes.
    pub output_start: u64,
}

/// One process that was started to outlive its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Whose it is.
    #[serde(flatten)]
    pub about: About,
    /// Its process id, which is also that of its group.
    pub pid: i32,
    /// When it began, in ticks of the kernel since the boot.
    start_ticks: u64,
    /// Which boot of the machine that was.
    boot: String,
    /// How it ended, as `wait` says it; none while it runs, or when nobody saw it.
    exit: Option<i32>,
}

impl Kept {
    /// A process that has just begun.
    ///
    /// # Errors
    /// When the system does not tell of it.
    pub fn new(about: About, pid: i32) -> io::Result<Self> {
        let gone = || io::Error::other(format!("process {pid} is gone"));
        let start_ticks = start_ticks(pid).ok_or_else(gone)?;
        Ok(Self { about, pid, start_ticks, boot: boot()?, exit: None })
    }

    /// It has ended.
    #[must_use]
    pub fn ended(self, status: ExitStatus) -> Self {
        Self { exit: Some(status.into_raw()), ..self }
    }

    /// How it ended, as far as somebody saw it.
    #[must_use]
    pub fn exit(&self) -> Option<ExitStatus> {
        self.exit.map(ExitStatus::from_raw)
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exit.is_none()
            && boot().is_ok_and(|boot| boot == self.boot)
            && start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Its group; none of a number that means something else.
    pub(in crate::drivers) fn group(&self) -> Option<Group> {
        Group::new(self.pid)
    }

    /// What a file says.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or is none of ours.
    pub fn read(path: &Path) -> io::Result<Self> {
        if std::fs::metadata(path)?.len() > LEN_MAX {
            return Err(io::Error::other(format!("is longer than {LEN_MAX} bytes")));
        }
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    }
}

/// The file of an instance's process.
#[must_use]
pub fn path(folder: &Path, scale_set: &ScaleSetName, instance: &InstanceId) -> PathBuf {
    folder.join(format!("{scale_set}-{instance}.json"))
}

/// Makes the folder of these files; what runs is nobody else's business.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// All that a folder has; what is no such file is passed over.
#[must_use]
pub fn all(folder: &Path) -> Vec<(PathBuf, Kept)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_one = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let paths = entries.flatten().map(|entry| entry.path()).filter(is_one);
    paths.filter_map(|path| Kept::read(&path).ok().map(|kept| (path, kept))).collect()
}

/// Which boot of the machine this is.
fn boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// When a process began, in ticks since the boot; none of one that has ended.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    ticks_of(&String::from_utf8_lossy(&stat))
}

/// The name before the other fields stands in parentheses and may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // It has ended, and nobody has collected it.
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            scale_set: ScaleSetName::parse("orders").unwrap(),
            instance: InstanceId::parse("0").unwrap(),
            version: Version::parse("v1").unwrap(),
            port: Some(9),
            output_start: 7,
        }
    }

    #[test]
    fn the_very_process_is_known_again_and_no_other_one() {
        let own = i32::try_from(std::process::id()).unwrap();
        let kept = Kept::new(about(), own).unwrap();
        assert!(kept.is_alive());
        assert!(
            !Kept { start_ticks: kept.start_ticks + 1, ..kept.clone() }.is_alive(),
            "a number that was reused"
        );
        assert!(!Kept { boot: "another".to_owned(), ..kept.clone() }.is_alive());
        assert!(!kept.clone().ended(ExitStatus::from_raw(256)).is_alive());
        assert!(Kept::new(about(), i32::MAX).is_err());
    }

    #[test]
    fn a_file_tells_how_it_ended_and_garbage_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let kept = Kept::new(about(), own).unwrap().ended(ExitStatus::from_raw(3 << 8));
        let path = path(folder.path(), &kept.about.scale_set, &kept.about.instance);
        kept.write(&path).unwrap();
        assert_eq!(Kept::read(&path).unwrap().exit().and_then(|status| status.code()), Some(3));
        std::fs::write(folder.path().join("x.json"), "{").unwrap();
        assert_eq!(all(folder.path()), [(path, kept)]);
    }

    #[test]
    fn ticks_are_found_behind_odd_names() {
        let stat = "4711 (a) b) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1000 2";
        assert_eq!(ticks_of(stat), Some(9876));
        assert_eq!(ticks_of(&stat.replace(" S ", " Z ")), None);
        assert_eq!(ticks_of("4711 (a) S 1"), None);
    }
}
