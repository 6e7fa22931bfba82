//! Turns one TOML value into a Rust value, or reports why it cannot be one.
//!
//! Every method reports at most one problem and then returns nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::problem::Place;
use super::show::{describe, number_text, quoted};
use super::source::{Basis, Source};
use super::suggest::suggest;
use super::table::Table;
use phasegate_core::domain::ids::InvalidIdError;
use phasegate_core::domain::parse_iso_duration;

/// Longest free text in bytes, such as a zone or a label: fits every table and metric label.
const TEXT_LEN_MAX: usize = 256;

/// A value together with where it is and what its key is.
#[derive(Clone)]
pub(super) struct Value<'a> {
    source: &'a Source<'a>,
    /// Path of the key.
    pub(super) key: String,
    /// Last part of the key.
    pub(super) name: &'a str,
    /// How a right value looks.
    pub(super) example: &'static str,
    /// Why the bounds are as they are; appended to them.
    note: &'static str,
    offset: usize,
    /// The value as parsed.
    pub(super) raw: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        key: String,
        name: &'a str,
        example: &'static str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        let (offset, raw) = (value.span().start, value.get_ref());
        Self { source, key, name, example, note: "", offset, raw }
    }

    /// The same value, whose bounds get a note such as ` in the azure profile`.
    pub(super) fn noted(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Where the value is.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.offset)
    }

    /// Keeps the place for checks after reading.
    pub(super) fn remember(&self) {
        self.source.remember(&self.key, self.offset);
    }

    /// Reports that the value is wrong by itself.
    pub(super) fn problem(&self, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.source.report(Basis::Value, self.offset, &self.key, message.into(), hint.into());
    }

    /// Reports that the value is at odds with another part of the file.
    pub(super) fn conflict(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.source.report(Basis::Whole, self.offset, &self.key, message.into(), Some(hint.into()));
    }

    /// Reports that the value is of the wrong type.
    pub(super) fn wrong_type(&self, wanted: &str) {
        let Self { name, example, note, .. } = self;
        self.problem(
            format!("is {}", describe(self.raw)),
            format!("write {wanted}{note}, for example {name} = {example}"),
        );
    }

    /// Reports that the value is outside its bounds.
    fn out_of_bounds(&self, min: impl Display, max: impl Display) {
        self.problem(
            format!("is {}", number_text(self.raw)),
            format!("allowed: {min} to {max}{}", self.note),
        );
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        let text = self.raw.as_str();
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    /// A string with at least one character.
    pub(super) fn filled(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.problem("is empty", format!("for example {} = {}", self.name, self.example));
            return None;
        }
        Some(text)
    }

    /// Free text for people; numbers and booleans count as their text.
    pub(super) fn text(&self) -> Option<String> {
        let text = match self.raw {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type("a string");
                return None;
            }
        };
        if let Some(seen) = text.chars().find(|c| c.is_control()) {
            self.problem(format!("contains the control character {seen:?}"), None);
            return None;
        }
        if text.len() > TEXT_LEN_MAX {
            self.problem(format!("is {} bytes long", text.len()), format!("at most {TEXT_LEN_MAX}"));
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.raw.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, min: u32, max: u32) -> Option<u32> {
        let DeValue::Integer(number) = self.raw else {
            self.wrong_type("a whole number");
            return None;
        };
        let number = integer(number).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.out_of_bounds(min, max);
        }
        number
    }

    /// A number of seconds within bounds, with or without a fraction.
    pub(super) fn seconds(&self, min: f64, max: f64) -> Option<Duration> {
        let seconds = match self.raw {
            DeValue::Integer(number) => integer(number).map_or(f64::INFINITY, |number| number as f64),
            DeValue::Float(number) => number.as_str().parse().unwrap_or(f64::NAN),
            _ => {
                self.wrong_type("a number");
                return None;
            }
        };
        // Written so that NaN is out of bounds.
        if !(min..=max).contains(&seconds) {
            self.out_of_bounds(min, max);
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// A duration such as `PT30S`.
    pub(super) fn iso_duration(&self) -> Option<Duration> {
        let text = self.string()?;
        self.parsed(text, parse_iso_duration(text))
    }

    /// An identifier.
    pub(super) fn id<T>(&self, parse: impl FnOnce(&str) -> Result<T, InvalidIdError>) -> Option<T> {
        let text = self.string()?;
        if text.is_empty() { self.filled().and(None) } else { self.parsed(text, parse(text)) }
    }

    /// The result of parsing `text`; an error is a fragment that follows the text.
    pub(super) fn parsed<T>(&self, text: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.problem(format!("{} {error}", quoted(text)), None)).ok()
    }

    /// Whether nobody used `identity` before; a second use is reported with both places. `seen`
    /// holds key and place of the first use.
    pub(super) fn unique<K: Ord>(
        &self,
        shown: &str,
        identity: K,
        seen: &mut BTreeMap<K, (String, Place)>,
    ) -> bool {
        match seen.entry(identity) {
            Entry::Vacant(entry) => {
                entry.insert((self.key.clone(), self.place()));
                true
            }
            Entry::Occupied(entry) => {
                let (key, Place { line, .. }) = entry.get();
                self.conflict(format!("is \"{shown}\", as is {key} in line {line}"), "must be unique");
                false
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.string()?;
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let meant = suggest(text, choices.iter().map(|(word, _)| *word));
            let hint = match meant {
                Some(meant) => format!("did you mean \"{meant}\"? known: {}", words.join(", ")),
                None => format!("known: {}", words.join(", ")),
            };
            self.problem(format!("is {}", quoted(text)), hint);
        }
        chosen
    }

    /// A path; a relative one starts at the directory of the file.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let text = self.filled()?;
        if text.contains('\0') {
            self.problem("contains a NUL character", None);
            return None;
        }
        Some(self.source.directory.join(text))
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.raw else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table::new(self.source, self.key.clone(), self.offset, Some(entries)))
    }

    /// The elements of an array of whatever `wanted` says.
    pub(super) fn array(&self, wanted: &str) -> Option<Vec<Self>> {
        let DeValue::Array(elements) = self.raw else {
            self.wrong_type(wanted);
            return None;
        };
        let elements = elements.iter().enumerate();
        let element = |(index, value)| {
            let key = format!("{}[{index}]", self.key);
            Self::new(self.source, key, self.name, self.example, value)
        };
        Some(elements.map(element).collect())
    }
}

/// The number, if it fits 64 bits.
pub(super) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
