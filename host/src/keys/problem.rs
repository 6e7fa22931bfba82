//! What is wrong with a file: where, which key, what was seen, what would be right.
//!
//! Does not find problems; see `source.rs` for how they are collected.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// So many times may a mistake be told one by one; more of the same are one problem with a count.
const ALIKE_MAX: usize = 3;

/// The same, where each time another value is wrong.
const OF_A_KIND_MAX: usize = 10;

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
    /// Whether it is the same to the letter, or the same about other values.
    pub values: Values,
}

/// Whether a mistake that is made again is about the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Values {
    /// Always the same.
    Same,
    /// Each time another one.
    Other,
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
        let Self { times, lines, values } = self;
        let shown: Vec<String> = lines.iter().map(usize::to_string).collect();
        let with = match values {
            Values::Same => "",
            Values::Other => " with other values",
        };
        write!(f, "{times} times{with}, also in lines {}", shown.join(", "))?;
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
        let same = |problem: &Problem| (problem.message.clone(), problem.hint.clone());
        let list = gathered(found, Values::Same, same);
        let kind = |problem: &Problem| {
            (without_values(&problem.message), problem.hint.as_deref().map(without_values))
        };
        let (once, again): (Vec<Problem>, Vec<Problem>) =
            list.into_iter().partition(|problem| problem.again.is_none());
        let mut list = gathered(once, Values::Other, kind);
        list.extend(again);
        list.sort();
        Self { path: path.to_owned(), list }
    }

    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Makes one of those that are the same by what is told of them.
fn gathered<T: Ord>(found: Vec<Problem>, values: Values, of: impl Fn(&Problem) -> T) -> Vec<Problem> {
    let mut alike: BTreeMap<(String, T), Vec<Problem>> = BTreeMap::new();
    for problem in found {
        alike.entry((without_numbers(&problem.key), of(&problem))).or_default().push(problem);
    }
    alike.into_values().flat_map(|alike| once(alike, values)).collect()
}

/// The first of many that are alike.
fn once(mut alike: Vec<Problem>, values: Values) -> Vec<Problem> {
    let max = match values {
        Values::Same => ALIKE_MAX,
        Values::Other => OF_A_KIND_MAX,
    };
    if alike.len() <= max {
        return alike;
    }
    alike.sort();
    let times = alike.len();
    let lines: Vec<usize> = alike.iter().skip(1).take(LINES_MAX).map(|problem| problem.place.line).collect();
    alike.truncate(1);
    alike.iter_mut().for_each(|first| first.again = Some(Again { times, lines: lines.clone(), values }));
    alike
}

/// A message without what is quoted in it, and without numbers.
fn without_values(text: &str) -> String {
    let outside = |(index, piece): (usize, &str)| (index % 2 == 0).then(|| piece.to_owned());
    let quotes = ['`', '"'];
    let pieces = text.split(quotes).enumerate().filter_map(outside);
    pieces.collect::<String>().chars().filter(|c| !c.is_ascii_digit()).collect()
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
