//! Reads one TOML table key by key, and reports the keys that were not asked for.
//!
//! Knows nothing of the configuration's meaning.

use toml::de::DeTable;

use super::source::{Basis, Source};
use super::suggest::suggest;
use super::value::{Spot, Value};

/// A table whose keys are asked for one after the other. An absent optional table reads as an
/// empty one.
pub struct Table<'a> {
    pub(crate) source: &'a Source<'a>,
    pub(crate) key: String,
    offset: usize,
    entries: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(
        source: &'a Source<'a>,
        key: String,
        offset: usize,
        entries: Option<&'a DeTable<'a>>,
    ) -> Self {
        Self { source, key, offset, entries, known: Vec::new(), missing: Vec::new() }
    }

    /// The value of a key that may be left out. `example` is how a right value looks.
    pub(crate) fn optional(&mut self, name: &'static str, example: &'static str) -> Option<Value<'a>> {
        self.known.push(name);
        let (key, value) = self.entries?.get_key_value(name)?;
        Some(Value::new(self.source, join(&self.key, key.get_ref()), key.get_ref(), example, value))
    }

    /// The value of a key that must be there.
    pub(crate) fn required(&mut self, name: &'static str, example: &'static str) -> Option<Value<'a>> {
        let value = self.optional(name, example);
        if value.is_none() {
            self.missing.push((name, example));
        }
        value
    }

    /// Where it is.
    pub(crate) fn spot(&self) -> Spot {
        Spot { key: self.key.clone(), offset: self.offset }
    }

    /// All entries in the order of the file, for a table whose keys are free.
    pub(crate) fn into_entries(self) -> Vec<Value<'a>> {
        let entries = self.entries.into_iter().flatten();
        let mut entries: Vec<_> = entries
            .map(|(key, value)| {
                let path = join(&self.key, key.get_ref());
                (key.span().start, Value::new(self.source, path, key.get_ref(), "\"…\"", value))
            })
            .collect();
        entries.sort_by_key(|(offset, _)| *offset);
        entries.into_iter().map(|(_, value)| value).collect()
    }

    /// Reports that a key that it lacks is at odds with the rest.
    fn conflict(&self, name: &str, message: impl Into<String>, hint: impl Into<String>) {
        let key = join(&self.key, name);
        self.source.report(Basis::Whole, self.offset, &key, message.into(), Some(hint.into()));
    }

    /// Reports the keys that were not asked for and the required ones that are not there.
    pub(crate) fn finish(mut self) {
        for key in self.entries.into_iter().flat_map(|entries| entries.keys()) {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let absent = self.known.iter().copied().filter(|known| !self.contains(known));
            let meant = suggest(name, absent);
            let hint = match meant {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            // One mistake, one report: a misspelt key is not missing as well.
            self.missing.retain(|(missing, _)| meant != Some(*missing));
            let path = join(&self.key, name);
            let message = "is not a known key".to_owned();
            self.source.report(Basis::Whole, key.span().start, &path, message, Some(hint));
        }
        for (name, example) in &self.missing {
            self.conflict(name, "is missing", format!("for example {name} = {example}"));
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(name))
    }
}

/// Path of a key within a table; names that TOML would have to quote are quoted.
pub(crate) fn join(table: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let quoted =
        if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") };
    if table.is_empty() { quoted } else { format!("{table}.{quoted}") }
}
