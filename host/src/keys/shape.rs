//! What a table of the file looks like, without what fills it: for the manual and for editors.
//!
//! Made of the declarations; nothing is declared here.

use super::key::{Is, Key, Preset, Reload, Section};

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its keys in the order of the manual.
    pub keys: Vec<KeyShape>,
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyShape {
    /// As the file writes it.
    pub name: &'static str,
    /// What it holds.
    pub form: Form,
    /// What holds without it.
    pub preset: Preset,
    /// How a right value looks, as the file would write it.
    pub example: &'static str,
    /// What else bounds it, in Markdown.
    pub bounds: &'static str,
    /// Narrower bounds that hold under a condition.
    pub narrow: Option<(u32, u32)>,
    /// What it means, in Markdown.
    pub doc: &'static str,
    /// What becomes of a change.
    pub reload: Reload,
}

/// The form of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// `true` or `false`.
    Flag,
    /// A whole number, both bounds included.
    Whole(u32, u32),
    /// A number, both bounds included.
    Number(f64, f64),
    /// An ISO-8601 duration, within bounds or up to a year.
    Span(Option<(&'static str, &'static str)>),
    /// One of a few words.
    Words(Vec<&'static str>),
    /// A string.
    Text,
    /// A string, a number or a boolean, which all count as text.
    Loose,
    /// A table whose keys and values are free.
    Free,
    /// A table of free names, each with a value of this form.
    Named(Box<Form>),
    /// An array.
    List(Box<Form>),
    /// One of several forms.
    Either(Vec<Form>),
    /// A table.
    Table(Shape),
    /// An array of tables.
    Tables(Shape),
    /// A table whose other keys depend on the word at this key.
    Kinds(&'static str, Vec<(&'static str, Shape)>),
}

impl<T> Section<T> {
    /// What the table looks like.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { keys: self.keys.iter().map(Key::shape).collect() }
    }
}

impl<T> Key<T> {
    fn shape(&self) -> KeyShape {
        let Self { name, is, preset, example, bounds, doc, reload, narrow } = self;
        KeyShape {
            name,
            form: is.form(),
            preset: *preset,
            example,
            bounds,
            narrow: narrow.as_ref().map(|narrow| narrow.bounds),
            doc,
            reload: *reload,
        }
    }
}

impl<T> Is<T> {
    fn form(&self) -> Form {
        match self {
            Self::Flag(_) => Form::Flag,
            Self::Whole(min, max, _) => Form::Whole(*min, *max),
            Self::Percent(min, _) => Form::Whole((*min).into(), 100),
            Self::Seconds(min, max, _) => Form::Number(*min, *max),
            Self::Span(bounds, _) => Form::Span(*bounds),
            Self::Word(choices) => Form::Words(choices.iter().map(|(word, _)| *word).collect()),
            Self::Path(_) => Form::Text,
            Self::Table(shape, _) => Form::Table(shape()),
            Self::Own(form, _) => form(),
        }
    }
}

impl Shape {
    /// The table at this path of keys, for example `scaleSets.health`; in front of the keys of a kind
    /// stands its name, as in `scaleSets.driver.process`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Shape> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let key = self.keys.iter().find(|key| key.name == name)?;
        match (&key.form, rest) {
            (Form::Table(shape) | Form::Tables(shape), None) => Some(shape),
            (Form::Table(shape) | Form::Tables(shape), Some(rest)) => shape.at(rest),
            (Form::Kinds(_, kinds), Some(rest)) => {
                let (kind, rest) =
                    rest.split_once('.').map_or((rest, None), |(kind, rest)| (kind, Some(rest)));
                let (_, shape) = kinds.iter().find(|(name, _)| *name == kind)?;
                rest.map_or(Some(shape), |rest| shape.at(rest))
            }
            (_, _) => None,
        }
    }
}
