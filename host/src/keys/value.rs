//! Turns one TOML value into a Rust value, or reports why it cannot be one.
//!
//! Every method reports at most one problem and then returns nothing.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::problem::Place;
use super::show::{describe, number_text, quoted};
use super::source::{Basis, Source};
use super::suggest::suggest;
use super::table::{Table, join};
use phasegate_core::domain::ids::InvalidIdError;
use phasegate_core::domain::{Percent, parse_iso_duration};

/// Longest free text in bytes, such as a zone or a label: fits every table and metric label.
const TEXT_LEN_MAX: usize = 256;

/// Where a value or a table is, without the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Path of the key.
    pub(crate) key: String,
    pub(super) offset: usize,
}

impl Spot {
    /// A key of the table, told of at the table's place.
    pub(crate) fn within(&self, name: &str) -> Self {
        Self { key: join(&self.key, name), offset: self.offset }
    }
}

/// A value together with where it is and what its key is.
#[derive(Clone)]
pub struct Value<'a> {
    source: &'a Source<'a>,
    /// Path of the key.
    pub(crate) key: String,
    /// Last part of the key.
    pub(crate) name: &'a str,
    /// How a right value looks.
    pub(crate) example: &'static str,
    /// Why the bounds are as they are; appended to them.
    note: &'static str,
    offset: usize,
    /// The value as parsed.
    pub(crate) raw: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(crate) fn new(
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
    pub(crate) fn noted(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Where the value is.
    pub(crate) fn place(&self) -> Place {
        self.source.place(self.offset)
    }

    /// The same without the file.
    pub(crate) fn spot(&self) -> Spot {
        Spot { key: self.key.clone(), offset: self.offset }
    }

    /// The file.
    pub(crate) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// Reports that the value is wrong by itself.
    pub(crate) fn problem(&self, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.source.report(Basis::Value, self.offset, &self.key, message.into(), hint.into());
    }

    /// Reports that the value is at odds with another part of the file.
    pub(crate) fn conflict(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.source.report(Basis::Whole, self.offset, &self.key, message.into(), Some(hint.into()));
    }

    /// Reports that the value is of the wrong type.
    pub(crate) fn wrong_type(&self, wanted: &str) {
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

    pub(crate) fn string(&self) -> Option<&'a str> {
        let text = self.raw.as_str();
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    /// A string with at least one character.
    pub(crate) fn filled(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.problem("is empty", format!("for example {} = {}", self.name, self.example));
            return None;
        }
        Some(text)
    }

    /// Free text for people; numbers and booleans count as their text.
    pub(crate) fn text(&self) -> Option<String> {
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

    pub(crate) fn boolean(&self) -> Option<bool> {
        let value = self.raw.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, min: u32, max: u32) -> Option<u32> {
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
    pub(crate) fn seconds(&self, min: f64, max: f64) -> Option<Duration> {
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

    /// A duration such as `PT30S`, within bounds that are written in the same way.
    pub(crate) fn span(&self, bounds: Option<(&'static str, &'static str)>) -> Option<Duration> {
        let text = self.string()?;
        let span = self.parsed(text, parse_iso_duration(text))?;
        let Some((min, max)) = bounds else { return Some(span) };
        let (least, most) = (parse_iso_duration(min).ok()?, parse_iso_duration(max).ok()?);
        if !(least..=most).contains(&span) {
            self.problem(format!("is {}", quoted(text)), format!("allowed: {min} to {max}"));
            return None;
        }
        Some(span)
    }

    /// Whole percent from `min` to 100.
    pub(crate) fn percent(&self, min: u8) -> Option<Percent> {
        let percent = self.integer(min.into(), 100)?;
        u8::try_from(percent).ok().and_then(Percent::new)
    }

    /// An identifier.
    pub(crate) fn id<T>(&self, parse: impl FnOnce(&str) -> Result<T, InvalidIdError>) -> Option<T> {
        let text = self.string()?;
        if text.is_empty() { self.filled().and(None) } else { self.parsed(text, parse(text)) }
    }

    /// The result of parsing `text`; an error is a fragment that follows the text.
    pub(crate) fn parsed<T>(&self, text: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.problem(format!("{} {error}", quoted(text)), None)).ok()
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
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
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let text = self.filled()?;
        if text.contains('\0') {
            self.problem("contains a NUL character", None);
            return None;
        }
        Some(self.source.directory.join(text))
    }

    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.raw else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table::new(self.source, self.key.clone(), self.offset, Some(entries)))
    }

    /// The elements of an array of whatever `wanted` says.
    pub(crate) fn array(&self, wanted: &str) -> Option<Vec<Self>> {
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
pub(crate) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
