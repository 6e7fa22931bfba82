//! Finds records again.

use std::io;
use std::path::{Path, PathBuf};

use super::{Record, Used, kept, segments};
use phasegate_core::domain::{InstanceId, ScaleSetName, Timestamp};

/// A recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read recording `{}`", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// The records of a recording.
#[derive(Debug, Default)]
pub struct Reading {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// Lines that are no records: what a crash left, or damage.
    pub damaged: usize,
    /// Files that were looked at; a folder without any is no recording.
    pub files: usize,
}

/// Reads a folder of segments, or one file.
///
/// # Errors
/// When it is not there or cannot be read. Damaged lines are counted, not refused.
pub fn read(path: &Path) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    reading.files = each(path, |line| match serde_json::from_slice(line) {
        Ok(record) => reading.records.push(record),
        Err(_) => reading.damaged += 1,
    })?;
    Ok(reading)
}

/// The record of one evaluation of an instance; of several at one moment the last.
///
/// # Errors
/// As [`read`].
pub fn find(
    path: &Path,
    scale_set: &ScaleSetName,
    instance: &InstanceId,
    at: Timestamp,
) -> Result<Option<Record>, ReadError> {
    let mut found = None;
    // Cheaper than to parse them all.
    let begin = format!("{{\"at\":{},", at.0);
    each(path, |line| {
        if line.starts_with(begin.as_bytes())
            && let Ok(record) = serde_json::from_slice::<Record>(line)
            && record.instance().scale_set == *scale_set
            && record.instance().id == *instance
        {
            found = Some(record);
        }
    })?;
    Ok(found)
}

/// The record of a decision that an upgrade has gone by: from what was kept for it, or from the ring.
///
/// # Errors
/// As [`read`].
pub fn find_used(folder: &Path, used: &Used) -> Result<Option<Record>, ReadError> {
    let Used { scale_set, upgrade, instance, at } = used;
    let kept = kept::path(folder, scale_set, upgrade);
    let found = if kept.is_file() { find(&kept, scale_set, instance, *at)? } else { None };
    if found.is_some() { Ok(found) } else { find(folder, scale_set, instance, *at) }
}

/// Shows every line; gives how many files there are.
fn each(path: &Path, mut line: impl FnMut(&[u8])) -> Result<usize, ReadError> {
    let unreadable = |source| ReadError { path: path.to_owned(), source };
    let files = if path.is_dir() {
        segments::files(path).map_err(unreadable)?.into_iter().map(|(_, path)| path).collect()
    } else {
        vec![path.to_owned()]
    };
    let count = files.len();
    for file in files {
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            // It was the oldest, and has left the ring meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_dir() => continue,
            Err(error) => return Err(unreadable(error)),
        };
        text.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).for_each(&mut line);
    }
    Ok(count)
}
