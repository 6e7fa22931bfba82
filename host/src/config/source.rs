//! The text of the file and the problems found in it so far.
//!
//! Knows nothing of keys and their meaning.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::problem::{Place, Problem, Problems};

/// Whether a problem still holds when another part of the file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// The value is wrong by itself.
    Value,
    /// Something is missing, unknown, or at odds with another part. Not reported while the file is
    /// not valid TOML: what could not be read may be exactly what it is at odds with.
    Whole,
}

/// The file while it is being read.
pub(super) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    /// Directory of the file; relative paths start there.
    pub(super) directory: &'a Path,
    syntax: Vec<Problem>,
    found: RefCell<Vec<(Basis, Problem)>>,
    places: RefCell<BTreeMap<String, Place>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, directory: &'a Path, errors: &[toml::de::Error]) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let mut source = Self {
            text,
            line_starts: std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect(),
            directory,
            syntax: Vec::new(),
            found: RefCell::default(),
            places: RefCell::default(),
        };
        source.syntax = errors.iter().map(|error| source.syntax_problem(error)).collect();
        source.syntax.sort();
        // The parser often stumbles again over the rest of a line.
        source.syntax.dedup_by_key(|problem| problem.place.line);
        source
    }

    /// Where the byte with this index is.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let before = before.trim_start_matches('\u{feff}');
        Place { line: line.max(1), column: before.chars().count() + 1 }
    }

    /// Notes a problem.
    pub(super) fn report(
        &self,
        basis: Basis,
        offset: usize,
        key: &str,
        message: String,
        hint: Option<String>,
    ) {
        let problem = Problem { place: self.place(offset), key: key.to_owned(), message, hint };
        self.found.borrow_mut().push((basis, problem));
    }

    /// Keeps the place of a key for checks that come after reading.
    pub(super) fn remember(&self, key: &str, offset: usize) {
        self.places.borrow_mut().insert(key.to_owned(), self.place(offset));
    }

    /// The problems, and the places that were remembered.
    pub(super) fn finish(self, path: &Path) -> (Problems, BTreeMap<String, Place>) {
        let mut list = self.syntax;
        let broken: BTreeSet<usize> = list.iter().map(|problem| problem.place.line).collect();
        let found = self.found.into_inner().into_iter();
        list.extend(found.filter_map(|(basis, problem)| {
            let holds = basis == Basis::Value && !broken.contains(&problem.place.line);
            (broken.is_empty() || holds).then_some(problem)
        }));
        list.sort();
        (Problems { path: path.to_owned(), list }, self.places.into_inner())
    }

    fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let cause = error.message().replace('\n', ", ");
        // The parser takes `127.0.0.1` for a number.
        let looks_bare = ["invalid float", "invalid integer", "invalid datetime"];
        let looks_bare = looks_bare.iter().any(|start| cause.starts_with(start));
        Problem {
            place: self.place(offset),
            key: String::new(),
            message: format!("is not valid TOML: {cause}"),
            hint: looks_bare.then(|| "text goes in quotes".to_owned()),
        }
    }
}
