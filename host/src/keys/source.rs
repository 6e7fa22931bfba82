//! The text of the file and the problems found in it so far.
//!
//! Knows nothing of keys and their meaning.

use std::cell::{Cell, RefCell};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeValue;

use super::changes::{Noted, says};
use super::key::Key;
use super::problem::{Place, Problem, Problems};
use super::value::{Spot, Value};

/// Whether a problem still holds when another part of the file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The value is wrong by itself.
    Value,
    /// Something is missing, unknown, or at odds with another part. Not reported while the file is
    /// not valid TOML: what could not be read may be exactly what it is at odds with.
    Whole,
}

/// The file while it is being read.
pub struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    /// Directory of the file; relative paths start there.
    pub(crate) directory: &'a Path,
    syntax: Vec<Problem>,
    found: RefCell<Vec<(Basis, Problem)>>,
    noted: RefCell<BTreeMap<String, Noted>>,
    notes: Cell<Notes>,
}

/// Whether keys are noted that are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notes {
    Taken,
    /// There are too many of them, and they are told of as a whole.
    Left,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, directory: &'a Path, errors: &[toml::de::Error]) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let mut source = Self {
            text,
            line_starts: std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect(),
            directory,
            syntax: Vec::new(),
            found: RefCell::default(),
            noted: RefCell::default(),
            notes: Cell::new(Notes::Taken),
        };
        source.syntax = errors.iter().map(|error| source.syntax_problem(error)).collect();
        source.syntax.sort();
        // The parser often stumbles again over the rest of a line.
        source.syntax.dedup_by_key(|problem| problem.place.line);
        source
    }

    /// Where the byte with this index is.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let before = before.trim_start_matches('\u{feff}');
        Place { line: line.max(1), column: before.chars().count() + 1 }
    }

    /// Notes a problem.
    pub(crate) fn report(
        &self,
        basis: Basis,
        offset: usize,
        key: &str,
        message: String,
        hint: Option<String>,
    ) {
        let problem = Problem::new(self.place(offset), key, message, hint);
        self.found.borrow_mut().push((basis, problem));
    }

    /// Reports that what is there is wrong by itself.
    pub(crate) fn problem(&self, spot: &Spot, message: impl Into<String>, hint: Option<String>) {
        self.report(Basis::Value, spot.offset, &spot.key, message.into(), hint);
    }

    /// Reports that what is there is at odds with another part of the file.
    pub(crate) fn conflict(&self, spot: &Spot, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Basis::Whole, spot.offset, &spot.key, message.into(), Some(hint.into()));
    }

    /// Whether `identity` was not there before; a second one is reported with both places. `seen` holds
    /// where the first one is.
    pub(crate) fn unique<K: Ord>(
        &self,
        spot: &Spot,
        shown: &str,
        identity: K,
        seen: &mut BTreeMap<K, Spot>,
    ) -> bool {
        match seen.entry(identity) {
            Entry::Vacant(entry) => {
                entry.insert(spot.clone());
                true
            }
            Entry::Occupied(entry) => {
                let Spot { key, offset } = entry.get();
                let line = self.place(*offset).line;
                self.conflict(spot, format!("is \"{shown}\", as is {key} in line {line}"), "must be unique");
                false
            }
        }
    }

    /// The line of something.
    pub(crate) fn line(&self, spot: &Spot) -> usize {
        self.place(spot.offset).line
    }

    /// Notes a key with its place and what it says, for checks and comparisons that come after reading.
    pub(super) fn note<T>(&self, value: &Value<'_>, key: &Key<T>) {
        if self.notes.get() == Notes::Taken {
            let place = Some(value.place());
            let noted = Noted { place, says: says(value.raw, key), reload: key.reload };
            self.noted.borrow_mut().insert(value.key.clone(), noted);
        }
    }

    /// The same for a key that is not there.
    pub(super) fn note_preset<T>(&self, table: &Spot, key: &Key<T>, text: &str) {
        if let (Notes::Taken, Ok(raw)) = (self.notes.get(), DeValue::parse(text)) {
            let noted = Noted { place: None, says: says(raw.get_ref(), key), reload: key.reload };
            self.noted.borrow_mut().insert(table.within(key.name).key, noted);
        }
    }

    /// Reads something whose keys are not noted.
    pub(crate) fn without_notes<R>(&self, read: impl FnOnce() -> R) -> R {
        let before = self.notes.replace(Notes::Left);
        let result = read();
        self.notes.set(before);
        result
    }

    /// The problems, and the keys that were noted.
    pub(crate) fn finish(self, path: &Path) -> (Problems, BTreeMap<String, Noted>) {
        let mut list = self.syntax;
        let broken: BTreeSet<usize> = list.iter().map(|problem| problem.place.line).collect();
        let found = self.found.into_inner().into_iter();
        list.extend(found.filter_map(|(basis, problem)| {
            let holds = basis == Basis::Value && !broken.contains(&problem.place.line);
            (broken.is_empty() || holds).then_some(problem)
        }));
        (Problems::new(path, list), self.noted.into_inner())
    }

    fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let cause = error.message().replace('\n', ", ");
        // The parser takes `127.0.0.1` for a number.
        let looks_bare = ["invalid float", "invalid integer", "invalid datetime"];
        let looks_bare = looks_bare.iter().any(|start| cause.starts_with(start));
        let message = format!("is not valid TOML: {cause}");
        Problem::new(self.place(offset), "", message, looks_bare.then(|| "text goes in quotes".to_owned()))
    }
}
