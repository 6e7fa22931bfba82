//! Looks at the file itself: whether it is a file that can be read to its end, and in which language it is.
//!
//! Never waits for a pipe and never reads a device: whatever is named, the answer is one line.

use std::fs::{FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::{Config, Problem, Problems, parse};
use crate::keys::Place;

/// Largest file: ten times that of the largest fleet with all its labels.
const FILE_MAX: u64 = 256 << 20;

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file could not be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else than a file.
    #[error("cannot read `{}`: it is {what}, and a configuration is a regular file", path.display())]
    NotAFile {
        /// As it was named.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// It cannot be a configuration.
    #[error("cannot read `{}`: it has {len} bytes, and a configuration at most {FILE_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, as far as it was looked at.
        len: u64,
    },
    /// The file was read and is wrong.
    #[error("{} in `{}`", count(.0.list.len()), .0.path.display())]
    Invalid(#[source] Problems),
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// Reads and validates the file.
///
/// # Errors
/// When it is no file that can be read, is not UTF-8, or has problems.
pub fn load(path: &Path) -> Result<Config, LoadConfigError> {
    let bytes = read(path)?;
    let text = String::from_utf8(bytes).map_err(|error| LoadConfigError::Invalid(not_utf8(&error, path)))?;
    parse(&text, path).map_err(LoadConfigError::Invalid)
}

fn read(path: &Path) -> Result<Vec<u8>, LoadConfigError> {
    let unreadable = |source| LoadConfigError::Unreadable { path: path.to_owned(), source };
    let too_large = |len| LoadConfigError::TooLarge { path: path.to_owned(), len };
    let checked = |metadata: &Metadata| match what_else(metadata.file_type()) {
        Some(what) => Err(LoadConfigError::NotAFile { path: path.to_owned(), what }),
        None if metadata.len() > FILE_MAX => Err(too_large(metadata.len())),
        None => Ok(()),
    };
    // Opening comes second: it would wait for the other end of a pipe.
    checked(&std::fs::metadata(path).map_err(unreadable)?)?;
    let file = std::fs::File::open(path).map_err(unreadable)?;
    checked(&file.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if len > FILE_MAX { Err(too_large(len)) } else { Ok(bytes) }
}

/// What something is that is no regular file.
fn what_else(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// The one problem of a file that is not text.
fn not_utf8(error: &std::string::FromUtf8Error, path: &Path) -> Problems {
    let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let before = good.get(start..).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let place = Place { line, column: before.chars().count() + 1 };
    let problem = Problem::new(place, "", "is not UTF-8 text from here on".to_owned(), None);
    Problems { path: path.to_owned(), list: vec![problem] }
}

/// The one problem of a text that is no TOML because it is meant to be something else.
pub(super) fn other_language(text: &str) -> Option<Problem> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (index, first) = lines.find(|(_, line)| is_content(line))?;
    let language = if first.trim_start().starts_with('{') || is_json(text) {
        "JSON"
    } else if is_yaml(text.lines().skip(index).filter(|line| is_content(line))) {
        "YAML"
    } else {
        return None;
    };
    let place = Place { line: index + 1, column: 1 };
    let message = format!("this looks like {language}; phasegate reads TOML");
    let hint = "README.md and CONFIGURATION.md have examples".to_owned();
    Some(Problem::new(place, "", message, Some(hint)))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Whether lines are those of YAML: a document's beginning, or `name:` first, and nowhere `name =`.
fn is_yaml<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> bool {
    let Some(first) = lines.clone().next() else { return false };
    let name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.\"' ".contains(c));
    let is_key = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        line.split_once(':')
            .is_some_and(|(key, rest)| name(key) && (rest.is_empty() || rest.starts_with(' ')))
    };
    let is_toml = |line: &str| {
        line.trim_start().starts_with('[') || line.split_once('=').is_some_and(|(key, _)| name(key.trim()))
    };
    let begins = first.trim_end() == "---" || first.starts_with("%YAML") || is_key(first);
    begins && !lines.clone().any(is_toml)
}
