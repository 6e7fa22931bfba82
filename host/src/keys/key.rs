//! What a key of the file is, declared once: its name, its form and bounds, what holds without it, what it
//! means, and whether a running host can take a change of it over.
//!
//! A table of the file is a [`Section`] of such keys that fill one value of type `T`. The reader, the
//! manual, the schema for editors and the comparison of two files all come from it; nothing here reads.

use std::path::PathBuf;
use std::time::Duration;

use super::read::Given;
use super::shape::{Form, Shape};
use super::table::Table;
use super::value::Value;
use phasegate_core::domain::Percent;

/// One table of the file.
pub struct Section<T: 'static> {
    /// Its keys; each is read after those before it.
    pub keys: &'static [Key<T>],
    /// Looks at what the keys say together; reports and spoils what does not fit.
    pub check: for<'a> fn(&mut T, &mut Given<'a>),
}

/// One key.
pub struct Key<T: 'static> {
    pub(super) name: &'static str,
    pub(super) is: Is<T>,
    pub(super) preset: Preset,
    pub(super) example: &'static str,
    pub(super) bounds: &'static str,
    pub(super) doc: &'static str,
    pub(super) reload: Reload,
    pub(super) narrow: Option<Narrow<T>>,
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// It must be there.
    Required,
    /// This value, as the file would write it.
    Value(&'static str),
    /// Nothing, or what other keys say; told in a few words for the manual.
    Absent(&'static str),
}

/// What becomes of a change while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    /// A reload takes it over.
    Live,
    /// It needs a restart.
    Restart,
}

/// The form of a value with its bounds, and where it goes.
pub enum Is<T: 'static> {
    /// `true` or `false`.
    Flag(fn(&mut T, bool)),
    /// A whole number, both bounds included.
    Whole(u32, u32, fn(&mut T, u32)),
    /// Whole percent from this to 100.
    Percent(u8, fn(&mut T, Percent)),
    /// Seconds as a number, fractions allowed, both bounds included.
    Seconds(f64, f64, fn(&mut T, Duration)),
    /// An ISO-8601 duration, within bounds that are written in the same way, or else up to a year.
    Span(Option<(&'static str, &'static str)>, fn(&mut T, Duration)),
    /// One of a few words.
    Word(&'static [Choice<T>]),
    /// A path; a relative one starts at the folder of the file.
    Path(fn(&mut T, PathBuf)),
    /// A table of its own.
    Table(fn() -> Shape, for<'a> fn(&mut T, Table<'a>) -> Given<'a>),
    /// Anything else. Nothing comes back when it was reported that the value is wrong.
    Own(fn() -> Form, for<'a, 'b> fn(&mut T, &'b Value<'a>) -> Option<()>),
}

/// A word, and what it does.
pub type Choice<T> = (&'static str, fn(&mut T));

/// Narrower bounds in whole numbers, which hold under a condition. A key of an own form heeds them itself.
pub struct Narrow<T: 'static> {
    /// The condition.
    pub when: fn(&T) -> bool,
    /// Follows the bounds in messages, for example ` in the azure profile`.
    pub note: &'static str,
    /// Both included.
    pub bounds: (u32, u32),
}

impl<T> Key<T> {
    /// As the file writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it holds a table of its own.
    #[must_use]
    pub fn is_table(&self) -> bool {
        match &self.is {
            Is::Table(..) => true,
            Is::Flag(_)
            | Is::Whole(..)
            | Is::Percent(..)
            | Is::Seconds(..)
            | Is::Span(..)
            | Is::Word(_)
            | Is::Path(_)
            | Is::Own(..) => false,
        }
    }

    const fn new(name: &'static str, preset: Preset, example: &'static str, is: Is<T>) -> Self {
        Self { name, is, preset, example, bounds: "", doc: "", reload: Reload::Live, narrow: None }
    }

    /// A key that must be there, and how a right value looks.
    pub const fn required(name: &'static str, example: &'static str, is: Is<T>) -> Self {
        Self::new(name, Preset::Required, example, is)
    }

    /// A key with a value that holds without it, as the file would write it.
    pub const fn preset(name: &'static str, value: &'static str, is: Is<T>) -> Self {
        Self::new(name, Preset::Value(value), value, is)
    }

    /// A key that may be left out, and how a right value looks. The manual says `none` for it.
    pub const fn optional(name: &'static str, example: &'static str, is: Is<T>) -> Self {
        Self::new(name, Preset::Absent("none"), example, is)
    }

    /// A table that is read as an empty one where it is not there.
    pub const fn table(name: &'static str, example: &'static str, is: Is<T>) -> Self {
        Self::new(name, Preset::Value("{}"), example, is)
    }

    /// What holds without it, in the manual's words.
    #[must_use]
    pub const fn without(mut self, what: &'static str) -> Self {
        self.preset = Preset::Absent(what);
        self
    }

    /// What it means, as the manual says it.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// What else bounds it, beside what its form says.
    #[must_use]
    pub const fn bounds(mut self, bounds: &'static str) -> Self {
        self.bounds = bounds;
        self
    }

    /// How a right value looks, where that is not its preset.
    #[must_use]
    pub const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// A change needs a restart.
    #[must_use]
    pub const fn restart(mut self) -> Self {
        self.reload = Reload::Restart;
        self
    }

    /// Narrower bounds under a condition.
    #[must_use]
    pub const fn narrow(mut self, narrow: Narrow<T>) -> Self {
        self.narrow = Some(narrow);
        self
    }
}
