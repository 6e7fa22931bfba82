//! What is wrong with a file: where, which key, what was seen, what would be right.
//!
//! Does not find problems; see `source.rs` for how they are collected.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// So many times may a mistake be told one by one; more of the same are one problem with a count.
const ALIKE_MAX: usize = 3;

/// So many further lines are named of a mistake that is told once.
const LINES_MAX: usize = 4;

/// A position in the file, both counted from 1; columns count characters.
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
    /// Where it is; the first place, if it is made at several.
    pub place: Place,
    /// Path of the key, for example `scaleSets[0].health.port`; empty when the file is not TOML.
    pub key: String,
    /// What was seen; a fragment that follows the key.
    pub message: String,
    /// What would be right, when the message does not say it already.
    pub hint: Option<String>,
    /// Where the same mistake is made again.
    pub again: Option<Again>,
}

/// The same mistake at other elements of the same arrays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Again {
    /// How often it is made in all, the first time included.
    pub times: usize,
    /// The lines of the next few.
    pub lines: Vec<usize>,
}

impl Problem {
    /// A mistake that is made once.
    #[must_use]
    pub fn new(place: Place, key: &str, message: String, hint: Option<String>) -> Self {
        Self { place, key: key.to_owned(), message, hint, again: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { line, column }, key, message, hint, again } = self;
        write!(f, "{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)?;
        if let Some(hint) = hint {
            write!(f, " ({hint})")?;
        }
        again.as_ref().map_or(Ok(()), |again| write!(f, "; {again}"))
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, lines } = self;
        let shown: Vec<String> = lines.iter().map(usize::to_string).collect();
        write!(f, "{times} times, also in lines {}", shown.join(", "))?;
        match times.saturating_sub(lines.len().saturating_add(1)) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
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

impl Problems {
    /// Sorts what was found, and makes one of a mistake that is made over and over.
    #[must_use]
    pub fn new(path: &Path, found: Vec<Problem>) -> Self {
        let mut alike: BTreeMap<(String, String, Option<String>), Vec<Problem>> = BTreeMap::new();
        for problem in found {
            let identity = (without_numbers(&problem.key), problem.message.clone(), problem.hint.clone());
            alike.entry(identity).or_default().push(problem);
        }
        let mut list: Vec<Problem> = alike.into_values().flat_map(once).collect();
        list.sort();
        Self { path: path.to_owned(), list }
    }

    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// The first of many that are alike.
fn once(mut alike: Vec<Problem>) -> Vec<Problem> {
    if alike.len() <= ALIKE_MAX {
        return alike;
    }
    alike.sort();
    let times = alike.len();
    let lines = alike.iter().skip(1).take(LINES_MAX).map(|problem| problem.place.line).collect();
    alike.truncate(1);
    alike.iter_mut().for_each(|first| first.again = Some(Again { times, lines: Vec::clone(&lines) }));
    alike
}

/// The path of a key without the numbers of elements, which is the same for all elements of an array.
fn without_numbers(key: &str) -> String {
    let mut inside = false;
    key.chars()
        .filter(|c| {
            inside = (inside || *c == '[') && *c != ']';
            !(inside && c.is_ascii_digit())
        })
        .collect()
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
