//! The log file of an instance: both output streams of its processes, appended.
//!
//! The process writes into the file itself, so that its output survives the host. The file is set
//! aside at a start, and cut while a process runs, when it has grown too large.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{KeepError, OpenLogError};
use phasegate_core::domain::ids::{ID_LEN_MAX, NUMBERED_LEN_MAX};
use phasegate_core::domain::shown::visible;
use phasegate_core::domain::{InstanceId, ScaleSetName};

/// A log file larger than this is set aside at the next start, or cut; one older file is kept.
const LOG_LEN_MAX: u64 = 4 * 1024 * 1024;

/// How much of the end of a log that is cut is kept beside it.
const END_LEN: u64 = 256 * 1024;

/// Longest name of a file that every file system takes, in bytes.
const FILE_NAME_MAX: usize = 255;

/// No name of a set and no id makes the name of a log too long, also of one that was set aside.
const _: () = assert!(NUMBERED_LEN_MAX + 1 + ID_LEN_MAX + ".log.1".len() <= FILE_NAME_MAX);

/// How much of the end of the output is looked at for a message.
const TAIL_LEN_MAX: usize = 2048;
const TAIL_LINES_MAX: usize = 5;

/// The log file of an instance.
pub(in crate::drivers) fn log_path(
    log_dir: &Path,
    scale_set: &ScaleSetName,
    instance: &InstanceId,
) -> PathBuf {
    log_dir.join(format!("{scale_set}-{instance}.log"))
}

/// Makes the folder of logs; what programs print is for its owner alone.
pub(in crate::drivers) fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens the log for appending; somebody may have removed its folder.
pub(in crate::drivers) fn open_log(path: &Path) -> Result<File, OpenLogError> {
    // A pipe that nobody reads would be waited for.
    let at_once = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let open = || OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(at_once).open(path);
    let opened = open().or_else(|error| match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder)?;
            open()
        }
        Some(_) | None => Err(error),
    });
    let is_file = |file: &File| file.metadata().is_ok_and(|found| found.is_file());
    let opened = opened.and_then(|file| {
        if is_file(&file) { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
    });
    opened.map_err(|error| OpenLogError { path: path.to_owned(), error })
}

/// Where the output of a process goes.
#[derive(Debug)]
pub(in crate::drivers) struct Log {
    /// For the process.
    pub(in crate::drivers) file: File,
    /// Its length, which is where the output of the new process begins.
    pub(in crate::drivers) start: u64,
    /// For the host, which keeps it small.
    pub(in crate::drivers) kept: Written,
}

/// Opens the log for a new process, after setting a large one aside. One that cannot be opened costs what would be in it:
/// it is no reason to leave the instance without a process.
///
/// # Errors
/// When there is not even a place to which nothing goes.
pub(in crate::drivers) fn open_log_for_start(path: &Path) -> io::Result<Log> {
    let large = std::fs::metadata(path).is_ok_and(|found| found.len() > LOG_LEN_MAX);
    if large && let Err(error) = std::fs::rename(path, set_aside(path)) {
        tracing::warn!(path = %path.display(), %error, "could not set a large log file aside");
    }
    let file = match open_log(path) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!("{error}; what the process prints is lost until it is started again");
            OpenOptions::new().append(true).open("/dev/null")?
        }
    };
    let start = file.metadata().map_or(0, |found| found.len());
    Ok(Log { start, kept: Written::at(path), file })
}

/// Appends a text, after setting a large log aside.
pub(in crate::drivers) fn append(path: &Path, text: &[u8]) -> Result<(), KeepError> {
    let mut log = open_log_for_start(path)?;
    Ok(log.file.write_all(text)?)
}

/// The file into which a process writes, whatever it is called by now: somebody may have renamed or removed it, and the
/// process goes on writing into it.
#[derive(Debug)]
pub(in crate::drivers) struct Written {
    path: PathBuf,
    file: Option<File>,
}

impl Written {
    /// The file that has this name now.
    pub(in crate::drivers) fn at(path: &Path) -> Self {
        let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
        let file = is_file.then(|| OpenOptions::new().read(true).write(true).open(path).ok()).flatten();
        Self { path: path.to_owned(), file }
    }

    /// Cuts the file when the process has made it too large, and keeps its end beside the log. What is written in between
    /// is lost: a process that writes megabytes a second is not read line by line.
    pub(in crate::drivers) fn keep_small(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let length = file.metadata()?.len();
        if length <= LOG_LEN_MAX {
            return Ok(());
        }
        file.seek(SeekFrom::Start(length.saturating_sub(END_LEN)))?;
        let mut end = Vec::new();
        (&mut *file).take(END_LEN).read_to_end(&mut end)?;
        let set_aside = set_aside(&self.path);
        let aside = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&set_aside);
        let kept = aside.and_then(|mut aside| aside.write_all(&end));
        // The process appends, so it goes on at the new end.
        file.set_len(0)?;
        kept
    }
}

fn set_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The last lines of the output since `start`, as one line; empty when there are none.
pub(in crate::drivers) fn tail(path: &Path, start: u64) -> String {
    in_one_line(&read_tail(path, start).unwrap_or_default())
}

/// The last lines of some output, as one line; empty when there are none.
pub(in crate::drivers) fn in_one_line(bytes: &[u8]) -> String {
    let bytes = bytes.split_at(bytes.len().saturating_sub(TAIL_LEN_MAX)).1;
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let lines = lines.split_off(lines.len().saturating_sub(TAIL_LINES_MAX));
    visible(&lines.join(" | ")).into_owned()
}

/// The last line of some output that says something; empty when there is none.
pub(in crate::drivers) fn last_line(bytes: &[u8]) -> String {
    let bytes = bytes.split_at(bytes.len().saturating_sub(TAIL_LEN_MAX)).1;
    let text = String::from_utf8_lossy(bytes);
    // A bar that is drawn over itself ends its pieces so.
    let mut lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    visible(lines.next_back().unwrap_or_default()).into_owned()
}

fn read_tail(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(Vec::new());
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let limit = TAIL_LEN_MAX as u64;
    // It was cut since the process started.
    let start = if start > length { 0 } else { start };
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(limit))))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_that_grows_too_large_is_cut_under_the_writer() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("db-1.log");
        let Log { file: mut writer, mut kept, .. } = open_log_for_start(&path).unwrap();
        writer.write_all(&vec![b'x'; usize::try_from(LOG_LEN_MAX).unwrap()]).unwrap();
        kept.keep_small().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), LOG_LEN_MAX, "at the limit it stays");
        writer.write_all(b"the end\n").unwrap();
        kept.keep_small().unwrap();
        writer.write_all(b"and on\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"and on\n");
        assert!(std::fs::read(temp.path().join("db-1.log.1")).unwrap().ends_with(b"the end\n"));
        assert_eq!(tail(&path, LOG_LEN_MAX), "and on");
    }

    #[test]
    fn a_log_that_was_renamed_or_removed_is_cut_all_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("logs/db-1.log");
        let too_much = vec![b'x'; usize::try_from(LOG_LEN_MAX + 1).unwrap()];
        let Log { file: mut writer, mut kept, .. } = open_log_for_start(&path).unwrap();
        let renamed = temp.path().join("renamed");
        std::fs::rename(&path, &renamed).unwrap();
        writer.write_all(&too_much).unwrap();
        kept.keep_small().unwrap();
        assert_eq!(std::fs::metadata(&renamed).unwrap().len(), 0);
        assert_eq!(std::fs::metadata(temp.path().join("logs/db-1.log.1")).unwrap().len(), END_LEN);
        std::fs::remove_dir_all(temp.path().join("logs")).unwrap();
        writer.write_all(&too_much).unwrap();
        assert!(kept.keep_small().is_err(), "its end is kept nowhere");
        assert_eq!(writer.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_process_begins_also_where_its_log_cannot_be_opened() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("file"), "").unwrap();
        let nowhere = temp.path().join("file/db-1.log");
        assert!(open_log(&nowhere).is_err());
        let mut log = open_log_for_start(&nowhere).unwrap();
        log.file.write_all(b"lost").unwrap();
        assert_eq!(log.start, 0);
        log.kept.keep_small().unwrap();
        let pipe = temp.path().join("db-2.log");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        open_log_for_start(&pipe).unwrap().file.write_all(b"lost").unwrap();
    }

    #[test]
    fn a_large_log_is_set_aside_at_the_next_start() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("db-1.log");
        std::fs::write(&path, "old\n").unwrap();
        let Log { mut file, start, .. } = open_log_for_start(&path).unwrap();
        file.write_all(b"new\n").unwrap();
        assert_eq!(start, 4);
        assert_eq!(tail(&path, start), "new");

        File::options().write(true).open(&path).unwrap().set_len(LOG_LEN_MAX + 1).unwrap();
        assert_eq!(open_log_for_start(&path).unwrap().start, 0);
        assert_eq!(std::fs::metadata(temp.path().join("db-1.log.1")).unwrap().len(), LOG_LEN_MAX + 1);
    }

    #[test]
    fn the_tail_is_one_short_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("db-1.log");
        std::fs::write(&path, "1\n2\n\n  3\n4\x1b[31m\n5\n6\n").unwrap();
        assert_eq!(tail(&path, 0), "2 | 3 | 4\\u{1b}[31m | 5 | 6");
        std::fs::write(&path, "x".repeat(100_000)).unwrap();
        assert_eq!(tail(&path, 0).len(), 2048);
        assert_eq!(tail(&temp.path().join("absent"), 0), "");
        for (output, last) in [
            ("", ""),
            ("\n \n", ""),
            ("one\ntwo", "two"),
            ("one\r\n", "one"),
            ("10 %\r20 %\r", "20 %"),
            ("\x1b[1mred\n\n", "\\u{1b}[1mred"),
        ] {
            assert_eq!(last_line(output.as_bytes()), last, "{output:?}");
        }
        assert_eq!(last_line(&[b'x'; 5000]).len(), TAIL_LEN_MAX);
    }
}
