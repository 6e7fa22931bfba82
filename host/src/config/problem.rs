//! What is wrong with a configuration: where, which key, what was seen, what would be right.
//!
//! Does not find problems; see `source.rs` for how they are collected.

use std::fmt;
use std::path::PathBuf;

/// A position in the configuration file, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
}

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// Path of the key, for example `scaleSets[0].health.port`; empty when the file is not TOML.
    pub key: String,
    /// What was seen; a fragment that follows the key.
    pub message: String,
    /// What would be right, when the message does not say it already.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { line, column }, key, message, hint } = self;
        write!(f, "{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)?;
        match hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All problems of one file in the order of its lines. Displayed one per line, each starting with
/// the file and the line, without a line break at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file as it was named on the command line.
    pub path: PathBuf,
    /// The problems, sorted by place.
    pub list: Vec<Problem>,
}

impl Problem {
    /// Whether it is about a file with the component of a plugin: a host that has run that plugin before
    /// starts without it.
    #[must_use]
    pub fn is_about_a_component(&self) -> bool {
        self.key.starts_with("plugins[") && self.key.ends_with("].component")
    }
}

impl Problems {
    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}:{problem}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file could not be read, or is not UTF-8.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was read and is wrong.
    #[error("{} in `{}`", count(.0.list.len()), .0.path.display())]
    Invalid(#[source] Problems),
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}
